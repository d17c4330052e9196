//! A directory's stable memory in the hands of its controller.

use candid::Principal;
use ic_stable_structures::memory_manager::{MemoryId, MemoryManager};
use ic_stable_structures::{Memory as _, StableBTreeMap, VectorMemory};
use paigham_directory::Directory;
use paigham_directory::testkit::BUCKET_PAGES;
use paigham_transparency::hash::{HashValue, Label, commitment};
use paigham_transparency::store::{Store, StoredVersion};
use paigham_transparency::structs::PrefixLeaf;
use paigham_wire::admin::InitArgument;
use paigham_wire::directory::DirectoryArgument;
use paigham_wire::hash::sha256;
use paigham_wire::ids::CanisterId;
use paigham_wire::ticket::Difficulties;

use super::PAGE_BYTES;

/// Memory ids and places of `paigham-directory` (its `lib.rs` and `store/records.rs`).
const VERSIONS: MemoryId = MemoryId::new(13);
const INDEX: MemoryId = MemoryId::new(16);
const VERSIONS_HEADER_BYTES: u64 = 64;
const VERSION_BYTES: u64 = 56;
const BEFORE_OFFSET: u64 = 14;
/// Most of the memory is empty, and that is passed over in pieces of this size.
const CHUNK_BYTES: usize = 4_096;
const ZEROS: [u8; CHUNK_BYTES] = [0; CHUNK_BYTES];

/// All of it. The keys of the log are there, too: whoever holds it can log what it likes.
#[derive(Debug, Clone)]
pub struct Memory {
    bytes: Vec<u8>,
    directory: CanisterId,
}

impl Memory {
    pub(super) fn new(bytes: Vec<u8>, directory: &Principal) -> Self {
        Self {
            bytes,
            directory: CanisterId::new(directory.as_slice()).unwrap(),
        }
    }

    /// Number and bytes of each page that another memory has not.
    pub(super) fn pages_other_than(&self, other: &Self) -> Vec<(usize, &[u8])> {
        let zeros = vec![0; self.bytes.len().saturating_sub(other.bytes.len())];
        let theirs = [&other.bytes[..], &zeros].concat();
        assert_eq!(theirs.len(), self.bytes.len(), "memory does not shrink");
        let pages = self.bytes.chunks_exact(PAGE_BYTES).enumerate();
        let pages = pages.zip(theirs.chunks_exact(PAGE_BYTES));
        pages
            .filter(|((_, mine), theirs)| mine != theirs)
            .map(|(mine, _)| mine)
            .collect()
    }

    /// Becomes as another memory: an earlier one, so that what came since is gone, or another
    /// canister's.
    pub fn becomes(&mut self, other: &Self) {
        let zeros = self.bytes.len().saturating_sub(other.bytes.len());
        self.bytes = [&other.bytes[..], &vec![0; zeros]].concat();
    }

    /// Asks for no work from now on: tickets count that were made for another canister over the
    /// same beacon.
    ///
    /// # Panics
    /// Never: so little may be asked for.
    pub fn asks_for_no_work(&mut self) {
        let argument = DirectoryArgument {
            common: InitArgument {
                admins: None,
                difficulties: Some(Difficulties::all(0)),
            },
            release_key: None,
        };
        self.with(|directory| {
            directory.install(&argument).unwrap();
            directory.certify();
        });
    }

    /// Number of entries.
    #[must_use]
    pub fn entries(&mut self) -> u64 {
        self.with(|log| log.log().tree_size())
    }

    /// Logs the next version of each of these labels in one entry, whatever the values say, at a
    /// time in milliseconds.
    ///
    /// # Panics
    /// If the log cannot have such an entry.
    pub fn logs(&mut self, at_ms: u64, values: Vec<(Label, Vec<u8>)>) {
        self.with(|directory| directory.publish_entry(at_ms, values).unwrap());
    }

    /// The leaf of a label's newest version.
    ///
    /// # Panics
    /// If the label is not in the log.
    pub fn leaf_of(&mut self, label: &Label) -> PrefixLeaf {
        self.newest(label, |log, newest| log.leaf(newest.place.leaf).unwrap())
    }

    /// What the tree would have to commit to if the newest version of a label had another value.
    ///
    /// # Panics
    /// If the label is not in the log.
    pub fn commits_to(&mut self, label: &Label, value: &[u8]) -> HashValue {
        let version = self.with(|log| log.log().version_count(label)) - 1;
        let opening = self.newest(label, |_, newest| newest.opening);
        commitment(&opening, label, version, value).unwrap()
    }

    /// The newest version of a label is not found any more. It stays in the tree.
    ///
    /// # Panics
    /// If the label has only one.
    pub fn hides_newest(&mut self, label: &Label) {
        self.opened(|manager| {
            let mut index: StableBTreeMap<[u8; 32], [u8; 5], _> =
                StableBTreeMap::init(manager.get(INDEX));
            let key = sha256(label.as_bytes());
            let newest = index.get(&key).unwrap();
            let mut number = [0; 8];
            number[..5].copy_from_slice(&newest);
            let record = VERSIONS_HEADER_BYTES + u64::from_le_bytes(number) * VERSION_BYTES;
            let mut before = [0; 5];
            manager
                .get(VERSIONS)
                .read(record + BEFORE_OFFSET, &mut before);
            assert_ne!(before, newest, "there is one version only");
            index.insert(key, before);
        });
    }

    /// Puts other bytes in the place of some, wherever they lie; returns in how many places.
    ///
    /// # Panics
    /// If they differ in length.
    pub fn replaces(&mut self, old: &[u8], new: &[u8]) -> usize {
        assert_eq!(old.len(), new.len());
        let chunks = self.bytes.chunks(CHUNK_BYTES).enumerate();
        let filled = chunks.filter(|(_, chunk)| **chunk != ZEROS[..chunk.len()]);
        let starts = filled.flat_map(|(number, _)| {
            let start = number * CHUNK_BYTES;
            start..start + CHUNK_BYTES
        });
        let places: Vec<_> = starts
            .filter(|place| self.bytes[*place..].starts_with(old))
            .collect();
        for place in &places {
            self.bytes[*place..][..new.len()].copy_from_slice(new);
        }
        places.len()
    }

    fn newest<T>(&mut self, label: &Label, read: impl FnOnce(&dyn Store, StoredVersion) -> T) -> T {
        self.with(|directory| {
            let log = directory.log();
            let version = log.version_count(label).checked_sub(1).unwrap();
            read(log, log.version(label, version).unwrap())
        })
    }

    /// The log over it.
    pub fn with<T>(&mut self, action: impl FnOnce(&mut Directory<VectorMemory>) -> T) -> T {
        let directory = self.directory.clone();
        self.on(|memory| {
            let mut directory = Directory::open(memory, directory, BUCKET_PAGES).unwrap();
            action(&mut directory)
        })
    }

    fn opened(&mut self, action: impl FnOnce(&MemoryManager<VectorMemory>)) {
        self.on(|memory| action(&MemoryManager::init_with_bucket_size(memory, BUCKET_PAGES)));
    }

    fn on<T>(&mut self, action: impl FnOnce(VectorMemory) -> T) -> T {
        let memory = VectorMemory::default();
        memory.replace(std::mem::take(&mut self.bytes));
        let outcome = action(memory.clone());
        self.bytes = memory.take();
        outcome
    }
}
