//! What is kept of the tree between answers.

use crate::codec::{Codec, DecodeError, Reader, TooLong, put_len8, put_u64};
use crate::hash::{HashValue, LogNode};
use crate::implicit::{MAX_TREE_SIZE, frontier};
use crate::log_tree::{full_subtrees, root_of};

/// An entry on the frontier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownEntry {
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// Root of its prefix tree.
    pub prefix_root: HashValue,
}

/// The newest head that was verified (draft, §4.2): plain data, replaced as a whole by the next.
///
/// Encoding: size (u64), the full subtrees left to right (a byte with their number, 32 bytes
/// each), the frontier from the root on (a byte with the number, each timestamp (u64) and root).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeView {
    size: u64,
    full_subtrees: Vec<HashValue>,
    frontier: Vec<KnownEntry>,
}

impl TreeView {
    pub(crate) const fn new(
        size: u64,
        full_subtrees: Vec<HashValue>,
        frontier: Vec<KnownEntry>,
    ) -> Self {
        Self {
            size,
            full_subtrees,
            frontier,
        }
    }

    /// Number of entries.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root of the log tree.
    #[must_use]
    pub fn root(&self) -> HashValue {
        root_of(&self.log_nodes()).unwrap_or_default()
    }

    /// Timestamp of the newest entry.
    #[must_use]
    pub fn newest_timestamp(&self) -> u64 {
        self.frontier.last().map_or(0, |entry| entry.timestamp)
    }

    /// The entries on the frontier, ascending.
    pub fn frontier(&self) -> impl Iterator<Item = (u64, KnownEntry)> {
        frontier(self.size)
            .into_iter()
            .zip(self.frontier.iter().copied())
    }

    /// Whether two views can be of one log: the size of the part that both show and show
    /// differently. Views too far apart show no common part.
    ///
    /// # Security
    /// Compares what the roots of the two views stand for, the full subtrees. So where both roots
    /// are signed, a difference is the log's own.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> Option<u64> {
        let own = full_subtrees(self.size)
            .into_iter()
            .zip(&self.full_subtrees);
        let others = full_subtrees(other.size).into_iter();
        for ((subtree, value), (other, shown)) in own.zip(others.zip(&other.full_subtrees)) {
            if subtree != other {
                return None;
            }
            if value != shown {
                return Some(subtree.start + subtree.size);
            }
        }
        None
    }

    pub(crate) fn log_nodes(&self) -> Vec<LogNode> {
        full_subtrees(self.size)
            .iter()
            .zip(&self.full_subtrees)
            .map(|(subtree, value)| LogNode {
                value: *value,
                is_leaf: subtree.size == 1,
            })
            .collect()
    }
}

impl Codec for TreeView {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_u64(out, &self.size);
        put_len8(out, self.full_subtrees.len(), "full subtrees")?;
        out.extend_from_slice(self.full_subtrees.as_flattened());
        put_len8(out, self.frontier.len(), "frontier")?;
        for entry in &self.frontier {
            put_u64(out, &entry.timestamp);
            out.extend_from_slice(&entry.prefix_root);
        }
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let size = input.u64()?;
        if size == 0 || size > MAX_TREE_SIZE {
            return Err(DecodeError::Value("tree size"));
        }
        let view = Self {
            size,
            full_subtrees: input.vec8(Reader::array)?,
            frontier: input.vec8(|input| {
                Ok(KnownEntry {
                    timestamp: input.u64()?,
                    prefix_root: input.array()?,
                })
            })?,
        };
        let fits = view.full_subtrees.len() == full_subtrees(size).len()
            && view.frontier.len() == frontier(size).len();
        if !fits || !view.frontier.is_sorted_by_key(|entry| entry.timestamp) {
            return Err(DecodeError::Value("tree view"));
        }
        Ok(view)
    }
}
