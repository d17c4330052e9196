//! The log tree: left-balanced, only its balanced subtrees are kept or sent (draft, §3.2, §12.1).

use std::collections::{BTreeMap, BTreeSet};

use crate::hash::{HashValue, LogNode, log_parent};
use crate::store::{Store, StoreMut};

/// A balanced subtree: its first entry and its size, a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subtree {
    /// Its first entry.
    pub start: u64,
    /// Its number of entries.
    pub size: u64,
}

impl Subtree {
    const fn end(self) -> u64 {
        self.start + self.size
    }

    const fn halves(self) -> (Self, Self) {
        let size = self.size / 2;
        let right = Self {
            start: self.start + size,
            size,
        };
        (Self { size, ..self }, right)
    }

    /// Which of all nodes ever appended this is: each leaf is followed by the parents it completes.
    const fn index(self) -> u64 {
        let before = self.end() - 1;
        2 * before - before.count_ones() as u64 + self.size.trailing_zeros() as u64
    }

    /// One of the largest balanced subtrees of the first `size` entries.
    const fn is_full(self, size: u64) -> bool {
        self.end() <= size && self.start == size & !(2 * self.size - 1) && size & self.size != 0
    }
}

/// The largest balanced subtrees of a log, left to right.
#[must_use]
pub fn full_subtrees(size: u64) -> Vec<Subtree> {
    let mut out = Vec::new();
    let mut start = 0;
    for level in (0..u64::BITS).rev() {
        let width = 1 << level;
        if size & width != 0 {
            out.push(Subtree { start, size: width });
            start += width;
        }
    }
    out
}

/// The root over full subtrees; `None` for an empty log.
#[must_use]
pub fn root_of(full: &[LogNode]) -> Option<HashValue> {
    let (last, rest) = full.split_last()?;
    let fold = |right, left: &LogNode| log_parent(left, &right);
    Some(rest.iter().rev().fold(*last, fold).value)
}

/// What is to be done about a balanced subtree in a batch proof.
enum Step {
    /// The verifier has it.
    Retained,
    /// The proof gives it.
    Provided,
    /// The verifier computes it from the entry.
    Entry,
    /// Look at its halves; where it is also a retained head, compare.
    Split { retained: bool },
}

fn step(subtree: Subtree, last: u64, mut entries_inside: impl Iterator) -> Step {
    let has_entry = entries_inside.next().is_some();
    let retained = subtree.is_full(last);
    if has_entry && subtree.size == 1 {
        Step::Entry
    } else if has_entry {
        Step::Split { retained }
    } else if retained {
        Step::Retained
    } else if subtree.start >= last || subtree.end() <= last {
        Step::Provided
    } else {
        Step::Split { retained: false }
    }
}

/// Appends the parents that a new last entry completes, and its own node.
pub(crate) fn append(store: &mut impl StoreMut, leaf: HashValue) -> Option<()> {
    // The entry itself is pushed by the caller, after this.
    let position = store.tree_size();
    let mut node = LogNode {
        value: leaf,
        is_leaf: true,
    };
    store.push_log_node(leaf);
    for level in 0..position.trailing_ones() {
        let size = 1 << level;
        let left = Subtree {
            start: position + 1 - 2 * size,
            size,
        };
        node = log_parent(&head(store, left)?, &node);
        store.push_log_node(node.value);
    }
    Some(())
}

fn head(store: &(impl Store + ?Sized), subtree: Subtree) -> Option<LogNode> {
    Some(LogNode {
        value: store.log_node(subtree.index())?,
        is_leaf: subtree.size == 1,
    })
}

/// The full subtrees of a log's first `size` entries, left to right.
pub(crate) fn full_values(store: &(impl Store + ?Sized), size: u64) -> Option<Vec<HashValue>> {
    let full = full_subtrees(size).into_iter();
    full.map(|subtree| store.log_node(subtree.index()))
        .collect()
}

/// The root of a log's first `size` entries.
pub fn root(store: &(impl Store + ?Sized), size: u64) -> Option<HashValue> {
    let heads: Option<Vec<LogNode>> = full_subtrees(size)
        .into_iter()
        .map(|subtree| head(store, subtree))
        .collect();
    root_of(&heads?)
}

/// The batch proof that the entries are in the log of `size` entries and that it grew from the
/// one of `last` (0: none), whose full subtrees the verifier holds.
pub(crate) fn prove(
    store: &(impl Store + ?Sized),
    size: u64,
    last: u64,
    entries: &BTreeSet<u64>,
) -> Option<Vec<HashValue>> {
    let mut out = Vec::new();
    let mut todo = full_subtrees(size);
    todo.reverse();
    while let Some(subtree) = todo.pop() {
        match step(subtree, last, entries.range(subtree.start..subtree.end())) {
            Step::Retained | Step::Entry => {}
            Step::Provided => out.push(store.log_node(subtree.index())?),
            Step::Split { .. } => {
                let (left, right) = subtree.halves();
                todo.extend([right, left]);
            }
        }
    }
    Some(out)
}

/// Why a batch proof of the log tree fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogProofError {
    /// Too few or too many elements.
    Length,
    /// A subtree differs from the one that was retained: the log was rewritten.
    Retained,
}

/// A batch proof as its verifier sees it.
pub(crate) struct LogProof<'a> {
    /// Entries whose leaf value is known.
    pub(crate) entries: &'a BTreeMap<u64, HashValue>,
    /// Size of the log that the verifier knows, 0 for none, and its full subtrees.
    pub(crate) last: u64,
    pub(crate) retained: &'a [LogNode],
    /// What the proof gives.
    pub(crate) elements: &'a [HashValue],
}

/// Every balanced subtree whose head became known.
pub(crate) type Heads = BTreeMap<Subtree, LogNode>;

impl LogProof<'_> {
    /// The heads of the balanced subtrees touched, the full subtrees of `size` among them.
    pub(crate) fn evaluate(mut self, size: u64) -> Result<Heads, LogProofError> {
        let mut heads: Heads = full_subtrees(self.last)
            .into_iter()
            .zip(self.retained.iter().copied())
            .collect();
        for subtree in full_subtrees(size) {
            self.visit(subtree, &mut heads)?;
        }
        if self.elements.is_empty() {
            Ok(heads)
        } else {
            Err(LogProofError::Length)
        }
    }

    fn visit(&mut self, subtree: Subtree, heads: &mut Heads) -> Result<LogNode, LogProofError> {
        let inside = self.entries.range(subtree.start..subtree.end());
        let node = match step(subtree, self.last, inside) {
            Step::Retained => *heads.get(&subtree).ok_or(LogProofError::Retained)?,
            Step::Provided => LogNode {
                value: self.next()?,
                is_leaf: subtree.size == 1,
            },
            Step::Entry => {
                let value = self.entries.get(&subtree.start);
                let node = LogNode {
                    value: *value.ok_or(LogProofError::Length)?,
                    is_leaf: true,
                };
                if heads.get(&subtree).is_some_and(|known| *known != node) {
                    return Err(LogProofError::Retained);
                }
                node
            }
            Step::Split { retained } => {
                let (left, right) = subtree.halves();
                let left = self.visit(left, heads)?;
                let right = self.visit(right, heads)?;
                let node = log_parent(&left, &right);
                if retained && heads.get(&subtree) != Some(&node) {
                    return Err(LogProofError::Retained);
                }
                node
            }
        };
        heads.insert(subtree, node);
        Ok(node)
    }

    fn next(&mut self) -> Result<HashValue, LogProofError> {
        let (first, rest) = self.elements.split_first().ok_or(LogProofError::Length)?;
        self.elements = rest;
        Ok(*first)
    }
}

/// The full subtrees of a smaller or equal size, where all of them are known.
pub(crate) fn full_heads(heads: &Heads, size: u64) -> Option<Vec<LogNode>> {
    full_subtrees(size)
        .iter()
        .map(|subtree| heads.get(subtree).copied())
        .collect()
}

#[cfg(test)]
#[path = "log_tree_tests.rs"]
pub(crate) mod tests;
