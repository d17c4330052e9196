//! The state of a relay and its certified map.

use ic_stable_structures::memory_manager::{MemoryId, MemoryManager, VirtualMemory};
use ic_stable_structures::{Memory, StableBTreeMap, StableCell};
use paigham_wire::admin::AdministrationStore;
use paigham_wire::codec::{decode, encode};
use paigham_wire::hash::Hash;
use paigham_wire::ids::{CanisterId, InboxId, QueueId};
use paigham_wire::leaf::{Leaf, QueueLeaf};
use paigham_wire::map::{MapError, MerkleMap, Record, StableMemory};
use paigham_wire::relay::RelayError;
use paigham_wire::ticket::desk::TicketDesk;
use tls_codec::{DeserializeBytes, Serialize};

use crate::administration::Settings;
use crate::blobs::Blobs;
use crate::entries::Entries;
use crate::expiry::Retention;
use crate::limits::{COMMITS_SPAN_NS, POSTS_SPAN_NS};
use crate::log::LogError;
use crate::records::{InboxRecord, QueueRecord};

/// Version of the layout of stable memory.
const LAYOUT: u32 = 2;

pub(crate) type Table<const N: usize, M> = StableBTreeMap<[u8; N], Vec<u8>, VirtualMemory<M>>;

/// Why a relay does not open on a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// The certified map.
    Map(MapError),
    /// A log of entries.
    Log(LogError),
    /// A layout of another version.
    Layout(u32),
}

/// A relay over a memory.
pub struct Relay<M: Memory> {
    pub(crate) canister: CanisterId,
    pub(crate) map: MerkleMap<StableMemory<VirtualMemory<M>>>,
    pub(crate) posts: Entries<VirtualMemory<M>>,
    pub(crate) commits: Entries<VirtualMemory<M>>,
    /// How far the oldest bucket of either log has been swept; begun again after an upgrade.
    pub(crate) posts_swept: u64,
    pub(crate) commits_swept: u64,
    pub(crate) retention: Retention,
    pub(crate) tokens: Table<64, M>,
    pub(crate) pools: Table<32, M>,
    pub(crate) deposits: Table<36, M>,
    /// Where a deposit with these bytes lies: a repeat is found without reading the inbox.
    pub(crate) deposit_places: Table<64, M>,
    pub(crate) packages: Table<36, M>,
    pub(crate) claims: Table<64, M>,
    pub(crate) tickets: TicketDesk<VirtualMemory<M>>,
    pub(crate) administration: AdministrationStore<Settings, M>,
    pub(crate) blobs: Blobs<M>,
}

impl<M: Memory> std::fmt::Debug for Relay<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay")
            .field("canister", &self.canister)
            .finish_non_exhaustive()
    }
}

impl<M: Memory> Relay<M> {
    /// Opens the relay in `memory`, or makes an empty one. Each structure grows by
    /// `bucket_pages` wasm pages at a time; what a memory was made with stays.
    ///
    /// # Errors
    /// [`OpenError`]: the memory holds something else.
    pub fn open(memory: M, canister: CanisterId, bucket_pages: u16) -> Result<Self, OpenError> {
        let manager = MemoryManager::init_with_bucket_size(memory, bucket_pages);
        let layout = StableCell::init(manager.get(MemoryId::new(12)), LAYOUT);
        if *layout.get() != LAYOUT {
            return Err(OpenError::Layout(*layout.get()));
        }
        let at = |id: u8| manager.get(MemoryId::new(id));
        let mut relay = Self {
            map: MerkleMap::open(
                StableMemory(at(0)),
                StableMemory(at(1)),
                StableMemory(at(7)),
            )
            .map_err(OpenError::Map)?,
            posts: Entries::open(at(2), POSTS_SPAN_NS).map_err(OpenError::Log)?,
            commits: Entries::open(at(3), COMMITS_SPAN_NS).map_err(OpenError::Log)?,
            retention: Retention::default(),
            posts_swept: 0,
            commits_swept: 0,
            tokens: StableBTreeMap::init(at(5)),
            pools: StableBTreeMap::init(at(8)),
            deposits: StableBTreeMap::init(at(9)),
            deposit_places: StableBTreeMap::init(at(4)),
            packages: StableBTreeMap::init(at(10)),
            claims: StableBTreeMap::init(at(11)),
            tickets: TicketDesk::open(canister.clone(), at(13), at(14), at(15)),
            administration: AdministrationStore::open(at(16), at(17)),
            blobs: Blobs::open([18, 19, 20, 21, 22, 23].map(at)).map_err(OpenError::Log)?,
            canister,
        };
        relay.use_settings();
        Ok(relay)
    }

    /// Ends an update: what it stored counts from here on. Returns the root of the certified map,
    /// for `certified_data`.
    pub fn seal(&mut self) -> Hash {
        self.posts.log.flush();
        self.commits.log.flush();
        self.blobs.flush();
        self.map.root()
    }

    pub(crate) fn queue(&self, queue: &QueueId) -> Option<QueueRecord> {
        queue_record(&self.map.get(&queue.0)?)
    }

    /// As [`Relay::queue`], for storing it right after.
    pub(crate) fn load_queue(&mut self, queue: &QueueId) -> Option<QueueRecord> {
        queue_record(&self.map.load(&queue.0)?)
    }

    /// Stores a new queue.
    ///
    /// # Errors
    /// As [`Relay::add`].
    pub(crate) fn add_queue(
        &mut self,
        queue: &QueueId,
        record: &QueueRecord,
    ) -> Result<(), RelayError> {
        self.add(&queue.0, &Leaf::Queue(record.leaf.clone()), &record.extra())
    }

    /// Stores a queue that is there.
    pub(crate) fn put_queue(&mut self, queue: &QueueId, record: &QueueRecord) {
        self.put_leaf(&queue.0, &record.leaf.to_bytes(), &record.extra());
    }

    pub(crate) fn inbox(&self, inbox: &InboxId) -> Option<InboxRecord> {
        inbox_record(&self.map.get(&inbox.0)?)
    }

    /// Stores a new inbox.
    ///
    /// # Errors
    /// As [`Relay::add`].
    pub(crate) fn add_inbox(
        &mut self,
        inbox: &InboxId,
        record: &InboxRecord,
    ) -> Result<(), RelayError> {
        self.add(&inbox.0, &Leaf::Inbox(record.leaf.clone()), &record.extra())
    }

    /// Stores an inbox that is there.
    pub(crate) fn put_inbox(&mut self, inbox: &InboxId, record: &InboxRecord) {
        let leaf = encode(&Leaf::Inbox(record.leaf.clone()));
        self.put_leaf(&inbox.0, &leaf, &record.extra());
    }

    /// Puts a leaf under a new id.
    ///
    /// # Errors
    /// [`RelayError::Exists`] if something else has the id, [`RelayError::Full`] if there is no
    /// room for it; nothing is changed then.
    pub(crate) fn add(
        &mut self,
        id: &[u8; 32],
        leaf: &Leaf,
        extra: &[u8],
    ) -> Result<(), RelayError> {
        if self.map.load(id).is_some() {
            return Err(RelayError::Exists);
        }
        self.map
            .insert(id, &encode(leaf), extra)
            .map_err(|_| RelayError::Full)
    }

    /// # Panics
    /// Never: a record that is there is changed in its place, and all records of a kind have the
    /// same length.
    fn put_leaf(&mut self, id: &[u8; 32], leaf: &[u8], extra: &[u8]) {
        self.map
            .insert(id, leaf, extra)
            .expect("the record is there and keeps its length");
    }

    pub(crate) fn witness(&self, keys: &[[u8; 32]]) -> Vec<u8> {
        self.map.witness(keys).encode()
    }
}

fn queue_record(record: &Record) -> Option<QueueRecord> {
    let leaf = QueueLeaf::from_bytes(record.leaf.as_slice().try_into().ok()?)?;
    Some(QueueRecord::new(leaf, record.extra.first_chunk()?))
}

fn inbox_record(record: &Record) -> Option<InboxRecord> {
    match decode(&record.leaf).ok()? {
        Leaf::Inbox(leaf) => Some(InboxRecord::new(leaf, record.extra.first_chunk()?)),
        _ => None,
    }
}

/// Reads a record; what does not decode is treated as absent (the layout version guards it).
pub(crate) fn get<const N: usize, M: Memory, T: DeserializeBytes>(
    table: &Table<N, M>,
    key: &[u8; N],
) -> Option<T> {
    decode(&table.get(key)?).ok()
}

pub(crate) fn put<const N: usize, M: Memory>(
    table: &mut Table<N, M>,
    key: [u8; N],
    record: &impl Serialize,
) {
    table.insert(key, encode(record));
}

/// id ‖ number
pub(crate) fn numbered(id: &[u8; 32], number: u32) -> [u8; 36] {
    let mut key = [0; 36];
    key[..32].copy_from_slice(id);
    key[32..].copy_from_slice(&number.to_be_bytes());
    key
}

/// id ‖ hash
pub(crate) fn paired(id: &[u8; 32], hash: &Hash) -> [u8; 64] {
    let mut key = [0; 64];
    key[..32].copy_from_slice(id);
    key[32..].copy_from_slice(hash);
    key
}
