//! The directory's state over a memory.

use ic_stable_structures::memory_manager::{MemoryId, MemoryManager, VirtualMemory};
use ic_stable_structures::{Memory, StableBTreeMap, StableCell};
use paigham_transparency::store::Store;
use paigham_wire::hash::Hash;
use paigham_wire::ids::CanisterId;
use paigham_wire::map::{MapError, MerkleMap, StableMemory};
use paigham_wire::ticket::desk::TicketDesk;

use crate::handles::Holders;
use crate::heads::Branches;
use crate::keys::KeyStore;
use crate::pending::Pending;
use crate::shards::Shards;
use crate::store::{Foreign, LogMemories, LogStore};

/// Version of the layout of stable memory.
const LAYOUT: u32 = 3;
/// Most records of one account: its whole history must fit one reply.
pub const MAX_RECORDS: u32 = 500;
/// Of these the last are for records that the kit has signed: a thief of the identity key alone
/// cannot fill what the owner needs to take the account back.
pub const RECORDS_KEPT_FOR_KIT: u32 = 100;

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
    pub(crate) shards: Shards<M>,
    pub(crate) canister: CanisterId,
    pub(crate) keys: KeyStore<VirtualMemory<M>>,
    pub(crate) log: LogStore<VirtualMemory<M>>,
    pub(crate) pending: Pending<VirtualMemory<M>>,
    /// Number of the first version whose VRF proofs may be missing.
    pub(crate) proved: StableCell<u64, VirtualMemory<M>>,
    /// Of the network, from the argument of the install; empty for none.
    release_key: StableCell<Vec<u8>, VirtualMemory<M>>,
    /// Key of an auditor → its newest statement.
    pub(crate) cosignatures: Table<32, M>,
    pub(crate) holders: Holders<VirtualMemory<M>>,
    pub(crate) tickets: TicketDesk<VirtualMemory<M>>,
    pub(crate) branches: Branches,
}

impl<M: Memory> std::fmt::Debug for Directory<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory")
            .field("entries", &self.log.tree_size())
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
            shards: Shards::open(at(5), at(6)),
            keys: KeyStore::open(at(7)),
            log: LogStore::open(log)?,
            pending: Pending::open(at(17), at(18), at(19)),
            proved: StableCell::init(at(20), 0),
            release_key: StableCell::init(at(21), Vec::new()),
            cosignatures: StableBTreeMap::init(at(22)),
            holders: Holders::open(at(23)),
            tickets: TicketDesk::open(canister.clone(), at(24), at(25), at(26)),
            canister,
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
}
