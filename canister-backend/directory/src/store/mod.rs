//! The log in stable memory: what the prover reads and the publisher writes
//! (`spec/directory.md` §7).

mod ahead;
mod array;
mod bytes;
mod records;

use std::cell::RefCell;

use ic_stable_structures::{Memory, StableBTreeMap};
use paigham_transparency::hash::{HashValue, Label};
use paigham_transparency::store::{
    LogEntry, PrefixParent, Store, StoreMut, StoredVersion, VersionPlace,
};
use paigham_transparency::structs::PrefixLeaf;
use paigham_transparency::vrf::{PROOF_LEN, VrfOutput, VrfProof};
use paigham_wire::hash::sha256;

pub(crate) use array::{Array, Foreign};
pub(crate) use bytes::Bytes;
use records::{
    AHEAD_BYTES, AheadRecord, ENTRY_BYTES, LEAF_BYTES, PARENT_BYTES, VERSION_BYTES, VersionRecord,
    read_entry, read_leaf, read_parent, write_entry, write_leaf, write_parent,
};

/// Stands in the array of proofs where none has been made.
const NO_PROOF: VrfProof = [0; PROOF_LEN];
/// Record numbers of versions take five bytes.
const INDEX_BYTES: usize = 5;

/// The log over memories of its own.
pub(crate) struct LogStore<M: Memory> {
    entries: Array<ENTRY_BYTES, M>,
    nodes: Array<32, M>,
    leaves: Array<LEAF_BYTES, M>,
    parents: Array<PARENT_BYTES, M>,
    /// VRF proof of each leaf, at the leaf's index.
    proofs: Array<PROOF_LEN, M>,
    versions: Array<VERSION_BYTES, M>,
    ahead: Array<AHEAD_BYTES, M>,
    /// Label and value of each version.
    values: Bytes<M>,
    /// SHA-256 of a label → record of its newest version.
    labels: StableBTreeMap<[u8; 32], [u8; INDEX_BYTES], M>,
    /// The label looked up last and its newest record: one answer asks for one label many times.
    last: RefCell<Option<(Label, Option<u64>)>>,
}

/// The memories of a log, in the order of the fields.
pub(crate) struct LogMemories<M> {
    pub entries: M,
    pub nodes: M,
    pub leaves: M,
    pub parents: M,
    pub proofs: M,
    pub versions: M,
    pub ahead: M,
    pub values: M,
    pub labels: M,
}

impl<M: Memory> LogStore<M> {
    /// Opens the log, or begins an empty one.
    ///
    /// # Errors
    /// [`Foreign`].
    pub(crate) fn open(memories: LogMemories<M>) -> Result<Self, Foreign> {
        Ok(Self {
            entries: Array::open(memories.entries)?,
            nodes: Array::open(memories.nodes)?,
            leaves: Array::open(memories.leaves)?,
            parents: Array::open(memories.parents)?,
            proofs: Array::open(memories.proofs)?,
            versions: Array::open(memories.versions)?,
            ahead: Array::open(memories.ahead)?,
            values: Bytes::open(memories.values)?,
            labels: StableBTreeMap::init(memories.labels),
            last: RefCell::new(None),
        })
    }

    /// Writes what was appended.
    ///
    /// # Panics
    /// When stable memory cannot grow; the trap undoes the update.
    pub(crate) fn flush(&mut self) {
        self.entries.flush();
        self.nodes.flush();
        self.leaves.flush();
        self.parents.flush();
        self.proofs.flush();
        self.versions.flush();
        self.ahead.flush();
        self.values.flush();
    }

    /// The newest entry.
    pub(crate) fn newest(&self) -> Option<LogEntry> {
        self.entry(self.tree_size().checked_sub(1)?)
    }

    /// The value of a version.
    pub(crate) fn value(&self, label: &Label, version: u32) -> Option<Vec<u8>> {
        self.value_of(&self.find(label, version)?.1)
    }

    /// The label that was the first to be logged.
    pub(crate) fn first_label(&self) -> Option<Label> {
        self.label_of(&self.record(0)?)
    }

    fn record(&self, index: u64) -> Option<VersionRecord> {
        self.versions
            .get(index)
            .map(|bytes| VersionRecord::read(&bytes))
    }

    fn value_of(&self, record: &VersionRecord) -> Option<Vec<u8>> {
        let start = record.offset.checked_add(record.label_length.into())?;
        self.values.read(start, record.value_length)
    }

    fn label_of(&self, record: &VersionRecord) -> Option<Label> {
        let bytes = self
            .values
            .read(record.offset, record.label_length.into())?;
        Label::new(bytes).ok()
    }

    /// Record of a label's newest version.
    fn newest_record(&self, label: &Label) -> Option<u64> {
        if let Some((last, index)) = &*self.last.borrow()
            && last == label
        {
            return *index;
        }
        let index = self
            .labels
            .get(&sha256(label.as_bytes()))
            .map(|bytes| index_of(&bytes));
        self.last.replace(Some((label.clone(), index)));
        index
    }

    /// A version's record with its number, by jumps that never go behind it.
    fn find(&self, label: &Label, version: u32) -> Option<(u64, VersionRecord)> {
        let mut index = self.newest_record(label)?;
        let mut record = self.record(index)?;
        while record.version > version {
            let jump = self.record(record.jump)?;
            (index, record) = if jump.version >= version && jump.version < record.version {
                (record.jump, jump)
            } else {
                (record.before, self.record(record.before)?)
            };
        }
        (record.version == version).then_some((index, record))
    }

    /// Where the next version of a label jumps to. Jumps are as long again as the two before them,
    /// or one step (Myers, "An applicative random-access stack", 1983).
    fn next_jump(&self, before: u64, newest: &VersionRecord) -> Option<u64> {
        let jump = self.record(newest.jump)?;
        let further = self.record(jump.jump)?;
        if newest.version - jump.version == jump.version - further.version {
            Some(jump.jump)
        } else {
            Some(before)
        }
    }
}

fn index_of(bytes: &[u8; INDEX_BYTES]) -> u64 {
    let mut number = [0; 8];
    number[..INDEX_BYTES].copy_from_slice(bytes);
    u64::from_le_bytes(number)
}

fn index_bytes(index: u64) -> [u8; INDEX_BYTES] {
    let [a, b, c, d, e, ..] = index.to_le_bytes();
    [a, b, c, d, e]
}

impl<M: Memory> Store for LogStore<M> {
    fn tree_size(&self) -> u64 {
        self.entries.len()
    }

    fn leaf_count(&self) -> u64 {
        self.leaves.len()
    }

    fn entry(&self, position: u64) -> Option<LogEntry> {
        self.entries.get(position).map(|bytes| read_entry(&bytes))
    }

    fn log_node(&self, index: u64) -> Option<HashValue> {
        self.nodes.get(index)
    }

    fn leaf(&self, index: u64) -> Option<PrefixLeaf> {
        self.leaves.get(index).map(|bytes| read_leaf(&bytes))
    }

    fn parent(&self, index: u64) -> Option<PrefixParent> {
        self.parents.get(index).map(|bytes| read_parent(&bytes))
    }

    fn version_count(&self, label: &Label) -> u32 {
        let newest = self.newest_record(label);
        newest
            .and_then(|index| self.record(index))
            .map_or(0, |record| record.version.saturating_add(1))
    }

    fn version(&self, label: &Label, version: u32) -> Option<StoredVersion> {
        let (_, record) = self.find(label, version)?;
        Some(StoredVersion {
            place: place_of(&record),
            opening: record.opening,
            value: self.value_of(&record)?,
        })
    }

    fn version_place(&self, label: &Label, version: u32) -> Option<VersionPlace> {
        Some(place_of(&self.find(label, version)?.1))
    }

    fn vrf(&self, label: &Label, version: u32) -> Option<(VrfOutput, VrfProof)> {
        let newest = self.record(self.newest_record(label)?)?;
        if version > newest.version {
            let ahead = self
                .ahead_of(&newest)
                .find(|made| made.version == version)?;
            return Some((ahead.output, ahead.proof));
        }
        let leaf = self.find(label, version)?.1.leaf;
        let proof = self.proofs.get(leaf).filter(|proof| *proof != NO_PROOF)?;
        Some((self.leaf(leaf)?.vrf_output, proof))
    }
}

const fn place_of(record: &VersionRecord) -> VersionPlace {
    VersionPlace {
        position: record.position,
        leaf: record.leaf,
    }
}

impl<M: Memory> StoreMut for LogStore<M> {
    fn push_entry(&mut self, entry: LogEntry) {
        self.entries.push(write_entry(&entry));
    }

    fn push_log_node(&mut self, value: HashValue) {
        self.nodes.push(value);
    }

    fn push_leaf(&mut self, leaf: PrefixLeaf) -> u64 {
        self.proofs.push(NO_PROOF);
        self.leaves.push(write_leaf(&leaf))
    }

    fn push_parent(&mut self, parent: PrefixParent) -> u64 {
        self.parents.push(write_parent(&parent))
    }

    fn push_version(&mut self, label: &Label, version: StoredVersion) {
        let index = self.versions.len();
        let newest = self
            .newest_record(label)
            .and_then(|before| Some((before, self.record(before)?)));
        let (number, before, jump, ahead) = match &newest {
            None => (0, index, index, 0),
            Some((before, record)) => (
                record.version.saturating_add(1),
                *before,
                self.next_jump(*before, record).unwrap_or(*before),
                self.take_ahead(record, version.place.leaf),
            ),
        };
        let offset = self.values.append(label.as_bytes());
        self.values.append(&version.value);
        let record = VersionRecord {
            version: number,
            position: version.place.position,
            leaf: version.place.leaf,
            before,
            jump,
            ahead,
            offset,
            // Labels have at most 255 bytes and values less than 4 GiB, or the commitment would
            // have been refused.
            label_length: u8::try_from(label.as_bytes().len()).unwrap_or(u8::MAX),
            value_length: u32::try_from(version.value.len()).unwrap_or(u32::MAX),
            opening: version.opening,
        };
        self.versions.push(record.write());
        self.labels
            .insert(sha256(label.as_bytes()), index_bytes(index));
        self.last.replace(Some((label.clone(), Some(index))));
    }
}

#[cfg(test)]
mod tests;
