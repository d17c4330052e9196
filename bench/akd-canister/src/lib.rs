//! `akd` 0.13 as a canister, to count what it takes for the work of our log.
//!
//! Its database lies on the heap, as its own in-memory database does; the bench puts the records of
//! a database that the same code made natively into stable memory, from where they are read at the
//! start (`records`). Arguments are little-endian numbers. Nothing here is part of the product.

#[cfg(target_arch = "wasm32")]
mod canister;

use akd::append_only_zks::AzksParallelismConfig;
use akd::directory::Directory;
use akd::ecvrf::HardCodedAkdVRF;
use akd::storage::memory::AsyncInMemoryDatabase;
use akd::storage::types::DbRecord;
use akd::storage::{Database, DbSetState, StorageManager, StorageUtil};
use akd::{AkdLabel, AkdValue, WhatsAppV1Configuration};
use protobuf::Message;

/// Bytes of a value: a record with two devices.
pub const VALUE_BYTES: usize = 450;
/// Labels of an epoch.
pub const PER_EPOCH: u32 = 100;

type Log = Directory<WhatsAppV1Configuration, AsyncInMemoryDatabase, HardCodedAkdVRF>;

/// Runs a future to its end. Everything lies in memory, so nothing is ever waited for; but akd's
/// auditor spawns tasks, whatever its log is told.
fn ready<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime of this thread alone")
        .block_on(future)
}

/// A log on the heap.
pub struct Heap {
    db: AsyncInMemoryDatabase,
    log: Log,
}

impl std::fmt::Debug for Heap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heap").finish_non_exhaustive()
    }
}

/// The label of a number.
#[must_use]
pub fn label(number: u32) -> AkdLabel {
    AkdLabel::from(format!("a:{number:016}").as_str())
}

impl Heap {
    /// A log over records that another one gave; empty without any.
    #[must_use]
    pub fn open(records: Vec<DbRecord>) -> Self {
        let db = AsyncInMemoryDatabase::new();
        ready(db.batch_set(records, DbSetState::General)).expect("a database in memory");
        let storage = StorageManager::new_no_cache(db.clone());
        let parallel = AzksParallelismConfig::disabled();
        let log = ready(Log::new(storage, HardCodedAkdVRF {}, parallel)).expect("a log");
        Self { db, log }
    }

    /// Everything that it holds.
    #[must_use]
    pub fn records(&self) -> Vec<DbRecord> {
        ready(self.db.batch_get_all_direct()).expect("a database in memory")
    }

    /// An epoch with so many new labels from a number on.
    pub fn publish(&self, first: u32, count: u32) {
        let value = AkdValue(vec![0; VALUE_BYTES]);
        let labels = (first..first + count).map(|number| (label(number), value.clone()));
        ready(self.log.publish(labels.collect())).expect("an epoch");
    }

    /// The bytes of a look-up proof; checks it too if asked to.
    #[must_use]
    pub fn lookup(&self, number: u32, check: bool) -> Vec<u8> {
        let (proof, head) = ready(self.log.lookup(label(number))).expect("a label");
        let bytes = akd_core::proto::specs::types::LookupProof::from(&proof)
            .write_to_bytes()
            .expect("bytes");
        if check {
            let key = ready(self.log.get_public_key()).expect("a key");
            akd::client::lookup_verify::<WhatsAppV1Configuration>(
                key.as_bytes(),
                head.hash(),
                head.epoch(),
                label(number),
                proof,
            )
            .expect("a proof that holds");
        }
        bytes
    }

    /// The bytes of the proof that the newest epoch only appended; checks it too if asked to.
    #[must_use]
    pub fn audit(&self, before: [u8; 32], check: bool) -> Vec<u8> {
        let head = ready(self.log.get_epoch_hash()).expect("a head");
        let proof = ready(self.log.audit(head.epoch() - 1, head.epoch())).expect("a proof");
        let mut bytes = Vec::new();
        for one in &proof.proofs {
            let one = akd_core::proto::specs::types::SingleAppendOnlyProof::from(one);
            bytes.extend(one.write_to_bytes().expect("bytes"));
        }
        if check {
            let hashes = vec![before, head.hash()];
            ready(akd::auditor::audit_verify::<WhatsAppV1Configuration>(
                hashes, proof,
            ))
            .expect("a proof that holds");
        }
        bytes
    }

    /// The newest root.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        ready(self.log.get_epoch_hash()).expect("a head").hash()
    }
}
