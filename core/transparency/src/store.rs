//! What a log keeps, and where: the prover asks a [`Store`], the publisher writes to a
//! [`StoreMut`]. Everything but the label index is an append-only array of records of one size,
//! so that a canister can lay it out in stable memory and an upgrade has nothing to do.

use std::collections::BTreeMap;

use crate::hash::{HashValue, Label, Opening};
use crate::structs::PrefixLeaf;
use crate::vrf::{VrfOutput, VrfProof};

/// A child in the prefix tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Child {
    /// There is none.
    Missing,
    /// Index among the leaves.
    Leaf(u64),
    /// Index among the parents.
    Parent(u64),
}

impl Child {
    /// One number for a fixed-size record: 0 for none, odd for leaves, even for parents. Fits 40
    /// bits while there are fewer than 2^39 nodes of a kind.
    #[must_use]
    pub const fn to_number(self) -> u64 {
        match self {
            Self::Missing => 0,
            Self::Leaf(index) => 2 * index + 1,
            Self::Parent(index) => 2 * index + 2,
        }
    }

    /// The child behind a number.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Missing,
            odd if odd % 2 == 1 => Self::Leaf(odd / 2),
            even => Self::Parent(even / 2 - 1),
        }
    }
}

/// A parent of the prefix tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixParent {
    /// Its value.
    pub hash: HashValue,
    /// Keys that go on with 0.
    pub left: Child,
    /// Keys that go on with 1.
    pub right: Child,
}

/// One entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// Root value of the prefix tree.
    pub prefix_root: HashValue,
    /// Root node of the prefix tree, always a parent.
    pub root: Child,
    /// Number of prefix leaves before this entry; its own are those up to the next entry's.
    pub first_leaf: u64,
}

/// Where a version of a label was inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionPlace {
    /// The entry that brought it.
    pub position: u64,
    /// Its leaf in the prefix tree.
    pub leaf: u64,
}

/// A label's value at a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVersion {
    /// Where it was inserted.
    pub place: VersionPlace,
    /// Of its commitment.
    pub opening: Opening,
    /// The value.
    pub value: Vec<u8>,
}

/// What a prover reads.
pub trait Store {
    /// Number of entries.
    fn tree_size(&self) -> u64;
    /// Number of prefix leaves.
    fn leaf_count(&self) -> u64;
    /// An entry.
    fn entry(&self, position: u64) -> Option<LogEntry>;
    /// A node of the log tree, by the order in which nodes come to be.
    fn log_node(&self, index: u64) -> Option<HashValue>;
    /// A leaf of the prefix tree, by the order of adding; within an entry ascending.
    fn leaf(&self, index: u64) -> Option<PrefixLeaf>;
    /// A parent of the prefix tree.
    fn parent(&self, index: u64) -> Option<PrefixParent>;
    /// How many versions a label has.
    fn version_count(&self, label: &Label) -> u32;
    /// One version of a label.
    fn version(&self, label: &Label, version: u32) -> Option<StoredVersion>;
    /// Where a version was inserted. A store that can tell without reading the value should.
    fn version_place(&self, label: &Label, version: u32) -> Option<VersionPlace> {
        self.version(label, version).map(|stored| stored.place)
    }
    /// The VRF output and proof of a label and version, if kept.
    fn vrf(&self, label: &Label, version: u32) -> Option<(VrfOutput, VrfProof)>;
}

/// What a publisher writes. Each call appends one record.
pub trait StoreMut: Store {
    /// Appends an entry.
    fn push_entry(&mut self, entry: LogEntry);
    /// Appends a node of the log tree.
    fn push_log_node(&mut self, value: HashValue);
    /// Appends a leaf of the prefix tree and returns its index.
    fn push_leaf(&mut self, leaf: PrefixLeaf) -> u64;
    /// Appends a parent of the prefix tree and returns its index.
    fn push_parent(&mut self, parent: PrefixParent) -> u64;
    /// Appends the next version of a label.
    fn push_version(&mut self, label: &Label, version: StoredVersion);
}

/// A log in memory, for tests and small tools.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    entries: Vec<LogEntry>,
    log_nodes: Vec<HashValue>,
    leaves: Vec<PrefixLeaf>,
    parents: Vec<PrefixParent>,
    labels: BTreeMap<Label, Vec<StoredVersion>>,
    vrf: BTreeMap<(Label, u32), (VrfOutput, VrfProof)>,
}

impl MemoryStore {
    /// Keeps a proof, so that the prover need not make it again.
    pub fn keep_vrf(&mut self, label: Label, version: u32, output: VrfOutput, proof: VrfProof) {
        self.vrf.insert((label, version), (output, proof));
    }

    /// Number of parents of the prefix tree, all versions of it together.
    #[must_use]
    pub const fn parent_count(&self) -> usize {
        self.parents.len()
    }
}

fn at<T: Copy>(records: &[T], index: u64) -> Option<T> {
    records.get(usize::try_from(index).ok()?).copied()
}

fn push<T>(records: &mut Vec<T>, record: T) -> u64 {
    records.push(record);
    records.len() as u64 - 1
}

impl Store for MemoryStore {
    fn tree_size(&self) -> u64 {
        self.entries.len() as u64
    }

    fn leaf_count(&self) -> u64 {
        self.leaves.len() as u64
    }

    fn entry(&self, position: u64) -> Option<LogEntry> {
        at(&self.entries, position)
    }

    fn log_node(&self, index: u64) -> Option<HashValue> {
        at(&self.log_nodes, index)
    }

    fn leaf(&self, index: u64) -> Option<PrefixLeaf> {
        at(&self.leaves, index)
    }

    fn parent(&self, index: u64) -> Option<PrefixParent> {
        at(&self.parents, index)
    }

    fn version_count(&self, label: &Label) -> u32 {
        let count = self.labels.get(label).map_or(0, Vec::len);
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn version(&self, label: &Label, version: u32) -> Option<StoredVersion> {
        let index = usize::try_from(version).ok()?;
        self.labels.get(label)?.get(index).cloned()
    }

    fn vrf(&self, label: &Label, version: u32) -> Option<(VrfOutput, VrfProof)> {
        self.vrf.get(&(label.clone(), version)).copied()
    }
}

impl StoreMut for MemoryStore {
    fn push_entry(&mut self, entry: LogEntry) {
        self.entries.push(entry);
    }

    fn push_log_node(&mut self, value: HashValue) {
        self.log_nodes.push(value);
    }

    fn push_leaf(&mut self, leaf: PrefixLeaf) -> u64 {
        push(&mut self.leaves, leaf)
    }

    fn push_parent(&mut self, parent: PrefixParent) -> u64 {
        push(&mut self.parents, parent)
    }

    fn push_version(&mut self, label: &Label, version: StoredVersion) {
        self.labels.entry(label.clone()).or_default().push(version);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What a record of fixed size holds comes back as what it was.
        #[test]
        fn children_are_numbers(index in 0u64..(1 << 39)) {
            for child in [Child::Missing, Child::Leaf(index), Child::Parent(index)] {
                prop_assert_eq!(Child::from_number(child.to_number()), child);
            }
        }
    }
}
