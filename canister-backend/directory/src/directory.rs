//! The directory's state over a memory, and the certified map of accounts.

use ic_stable_structures::memory_manager::{MemoryId, MemoryManager, VirtualMemory};
use ic_stable_structures::{Memory, StableBTreeMap, StableCell};
use paigham_wire::chain::{record_next, record_start};
use paigham_wire::codec::{decode, encode};
use paigham_wire::directory::{
    AccountRecords, DatedRecord, DirectoryError, LOOKUP_MAX_ACCOUNTS, LookupReply, LookupRequest,
    SubmitReply, SubmitRequest,
};
use paigham_wire::hash::Hash;
use paigham_wire::identity::{AccountState, IdentityRecord, RecordKind};
use paigham_wire::ids::{AccountId, CanisterId, DirectoryKey};
use paigham_wire::leaf::{Leaf, RecordsLeaf};
use paigham_wire::map::{Key, MapError, MerkleMap, StableMemory};
use tls_codec::VLBytes;

use crate::heads::Branches;
use crate::keys::KeyStore;
use crate::pending::Pending;
use crate::shards::Shards;
use crate::store::{Foreign, LogMemories, LogStore};

/// Version of the layout of stable memory.
const LAYOUT: u32 = 3;
/// Most records of one account: its lookup must fit one reply until the log takes their place.
pub const MAX_RECORDS: u32 = 500;
/// Bytes of records in one lookup; a query reply may have 3 MiB.
const LOOKUP_MAX_BYTES: usize = 2 * 1024 * 1024;

type Table<const N: usize, M> = StableBTreeMap<[u8; N], Vec<u8>, VirtualMemory<M>>;

/// Why a directory does not open on a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// The certified map.
    Map(MapError),
    /// The log.
    Log,
    /// A layout of another version.
    Layout(u32),
}

impl From<Foreign> for OpenError {
    fn from(_: Foreign) -> Self {
        Self::Log
    }
}

/// A directory over a memory.
pub struct Directory<M: Memory> {
    pub(crate) map: MerkleMap<StableMemory<VirtualMemory<M>>>,
    records: Table<20, M>,
    pub(crate) shards: Shards<M>,
    pub(crate) canister: CanisterId,
    pub(crate) keys: KeyStore<VirtualMemory<M>>,
    pub(crate) log: LogStore<VirtualMemory<M>>,
    pub(crate) pending: Pending<VirtualMemory<M>>,
    /// Number of the first version whose VRF proofs may be missing.
    pub(crate) proved: StableCell<u64, VirtualMemory<M>>,
    /// Of the network, from the argument of the install; empty for none.
    release_key: StableCell<Vec<u8>, VirtualMemory<M>>,
    pub(crate) branches: Branches,
}

impl<M: Memory> std::fmt::Debug for Directory<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory")
            .field("accounts", &self.map.len())
            .finish_non_exhaustive()
    }
}

impl<M: Memory> Directory<M> {
    /// Opens the directory in `memory`, or makes an empty one. Each structure grows by
    /// `bucket_pages` wasm pages at a time.
    ///
    /// # Errors
    /// [`OpenError`]: the memory holds something else.
    pub fn open(memory: M, canister: CanisterId, bucket_pages: u16) -> Result<Self, OpenError> {
        let manager = MemoryManager::init_with_bucket_size(memory, bucket_pages);
        let layout = StableCell::init(manager.get(MemoryId::new(3)), LAYOUT);
        if *layout.get() != LAYOUT {
            return Err(OpenError::Layout(*layout.get()));
        }
        let at = |id: u8| manager.get(MemoryId::new(id));
        let map = MerkleMap::open(
            StableMemory(at(0)),
            StableMemory(at(2)),
            StableMemory(at(4)),
        );
        let log = LogMemories {
            entries: at(8),
            nodes: at(9),
            leaves: at(10),
            parents: at(11),
            proofs: at(12),
            versions: at(13),
            ahead: at(14),
            values: at(15),
            labels: at(16),
        };
        let mut directory = Self {
            map: map.map_err(OpenError::Map)?,
            records: StableBTreeMap::init(at(1)),
            shards: Shards::open(at(5), at(6)),
            canister,
            keys: KeyStore::open(at(7)),
            log: LogStore::open(log)?,
            pending: Pending::open(at(17), at(18), at(19)),
            proved: StableCell::init(at(20), 0),
            release_key: StableCell::init(at(21), Vec::new()),
            branches: Branches::default(),
        };
        directory.certify();
        Ok(directory)
    }

    /// The release key that a first network file may come with.
    pub(crate) fn release_key(&self) -> Option<Hash> {
        self.release_key.get().as_slice().try_into().ok()
    }

    /// Sets it, at the install.
    pub(crate) fn set_release_key(&mut self, key: &Hash) {
        self.release_key.set(key.to_vec());
    }

    /// Whether the log's keys are still to be drawn.
    #[must_use]
    pub const fn needs_keys(&self) -> bool {
        self.keys.keys().is_none()
    }

    /// Takes 32 random bytes that nobody knows as the secret of the log; the first ones only.
    pub fn draw_keys(&mut self, draw: &[u8; 32]) {
        self.keys.draw(draw);
    }

    /// Stores a record that follows from those before; a repeat of the newest gets the same reply.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn map_submit(&mut self, request: &[u8], now: u64) -> Result<SubmitReply, DirectoryError> {
        let request: SubmitRequest = decode(request).map_err(|_| DirectoryError::Malformed)?;
        let bytes = request.record.as_slice();
        let record = IdentityRecord::decode(bytes).map_err(|_| DirectoryError::Malformed)?;
        let account = record.content.account;
        let stored = self.stored(&account);
        if let Some((at, newest)) = stored.last()
            && newest.hash() == record.hash()
        {
            return Ok(SubmitReply {
                version: record.content.record_version,
                accepted_at: *at,
            });
        }
        match (stored.is_empty(), record.content.kind) {
            (true, RecordKind::Create { .. }) => {
                AccountState::create(&record, now).map_err(|_| DirectoryError::Rejected)?;
            }
            (true, _) => return Err(DirectoryError::NoSuchAccount),
            (false, _) => {
                AccountState::from_records(&stored)
                    .and_then(|state| state.apply(&record, now))
                    .map_err(|_| DirectoryError::Rejected)?;
            }
        }
        let leaf = self.head(&account);
        if leaf.count >= MAX_RECORDS {
            return Err(DirectoryError::Full);
        }
        self.store(&account, leaf, &record, request.record, now)?;
        Ok(SubmitReply {
            version: record.content.record_version,
            accepted_at: now,
        })
    }

    /// # Errors
    /// [`DirectoryError::Full`], and nothing is changed, if the map has no room for a new account.
    fn store(
        &mut self,
        account: &AccountId,
        mut leaf: RecordsLeaf,
        record: &IdentityRecord,
        bytes: VLBytes,
        now: u64,
    ) -> Result<(), DirectoryError> {
        let version = record.content.record_version;
        leaf.head = record_next(&leaf.head, version, now, &record.hash());
        leaf.count += 1;
        self.map
            .insert(&map_key(account), &encode(&Leaf::Records(leaf)), &[])
            .map_err(|_| DirectoryError::Full)?;
        self.records.insert(
            numbered(account, version),
            encode(&DatedRecord {
                accepted_at: now,
                record: bytes,
            }),
        );
        Ok(())
    }

    /// All records of some accounts, with a witness over all of them.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn map_lookup(
        &self,
        request: &[u8],
        certificate: &[u8],
    ) -> Result<LookupReply, DirectoryError> {
        let request: LookupRequest = decode(request).map_err(|_| DirectoryError::Malformed)?;
        if request.accounts.len() > LOOKUP_MAX_ACCOUNTS {
            return Err(DirectoryError::TooLarge);
        }
        let mut bytes = 0;
        let mut accounts = Vec::with_capacity(request.accounts.len());
        for account in &request.accounts {
            let records = self.dated(account);
            bytes += records
                .iter()
                .map(|dated| dated.record.as_slice().len())
                .sum::<usize>();
            if bytes > LOOKUP_MAX_BYTES {
                return Err(DirectoryError::TooLarge);
            }
            accounts.push(AccountRecords {
                account: *account,
                records,
            });
        }
        let keys: Vec<_> = request.accounts.iter().map(map_key).collect();
        let witness = self.map.witness(&keys).encode().into();
        Ok(LookupReply {
            certificate: self.map_certificate(certificate)?.into(),
            witness,
            accounts,
        })
    }

    fn head(&self, account: &AccountId) -> RecordsLeaf {
        let stored = self.map.get(&map_key(account));
        match stored.and_then(|record| decode(&record.leaf).ok()) {
            Some(Leaf::Records(leaf)) => leaf,
            _ => RecordsLeaf {
                count: 0,
                head: record_start(&account.directory_label()),
            },
        }
    }

    fn dated(&self, account: &AccountId) -> Vec<DatedRecord> {
        self.records
            .range(numbered(account, 0)..=numbered(account, u32::MAX))
            .filter_map(|entry| decode(&entry.value()).ok())
            .collect()
    }

    fn stored(&self, account: &AccountId) -> Vec<(u64, IdentityRecord)> {
        self.dated(account)
            .into_iter()
            .filter_map(|dated| {
                let record = IdentityRecord::decode(dated.record.as_slice()).ok()?;
                Some((dated.accepted_at, record))
            })
            .collect()
    }
}

/// Where the map has an account.
fn map_key(account: &AccountId) -> Key {
    DirectoryKey::of_label(&account.directory_label()).0
}

/// account ‖ version
fn numbered(account: &AccountId, version: u32) -> [u8; 20] {
    let mut key = [0; 20];
    key[..16].copy_from_slice(&account.0);
    key[16..].copy_from_slice(&version.to_be_bytes());
    key
}
