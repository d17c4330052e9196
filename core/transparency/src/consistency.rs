//! That one log began with another: what is left of a batch proof where no entry is asked for
//! (`spec/transparency.md` §9). It connects a statement over one size with a head of another.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::{Codec, DecodeError, Reader, TooLong, put_len8, put_len16};
use crate::hash::{HashValue, LogNode};
use crate::implicit::MAX_TREE_SIZE;
use crate::log_tree::{self, LogProof, full_heads, full_subtrees, root_of};
use crate::store::Store;

/// Connects the roots of one log at two sizes.
///
/// Encoding: a byte with the number of full subtrees of the smaller size, each (32); then the
/// elements of the batch proof, their number in two bytes, each (32).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consistency {
    /// The full subtrees of the smaller size, left to right.
    subtrees: Vec<HashValue>,
    /// The batch proof for no entry, from the smaller size.
    elements: Vec<HashValue>,
}

/// The roots that a proof leads to. Whoever checks it compares each with what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roots {
    /// At the smaller size.
    pub smaller: HashValue,
    /// At the larger size.
    pub larger: HashValue,
}

impl Consistency {
    /// The proof for two sizes of a log; `None` where it does not have them, or the smaller is 0.
    pub fn prove(store: &(impl Store + ?Sized), smaller: u64, larger: u64) -> Option<Self> {
        if smaller == 0 || smaller > larger || larger > store.tree_size() {
            return None;
        }
        Some(Self {
            subtrees: log_tree::full_values(store, smaller)?,
            elements: log_tree::prove(store, larger, smaller, &BTreeSet::new())?,
        })
    }

    /// Where the proof leads; `None` if it is none for these sizes.
    ///
    /// # Security
    /// The proof says nothing by itself: that a log of the one root became a log of the other
    /// follows once **both** roots are those that somebody vouches for.
    #[must_use]
    pub fn roots(&self, smaller: u64, larger: u64) -> Option<Roots> {
        let shapes = full_subtrees(smaller);
        let fits = smaller > 0 && smaller <= larger && larger <= MAX_TREE_SIZE;
        if !fits || shapes.len() != self.subtrees.len() {
            return None;
        }
        let nodes = shapes.iter().zip(&self.subtrees);
        let retained: Vec<LogNode> = nodes
            .map(|(shape, value)| LogNode {
                value: *value,
                is_leaf: shape.size == 1,
            })
            .collect();
        let proof = LogProof {
            entries: &BTreeMap::new(),
            last: smaller,
            retained: &retained,
            elements: &self.elements,
        };
        let heads = proof.evaluate(larger).ok()?;
        Some(Roots {
            smaller: root_of(&retained)?,
            larger: root_of(&full_heads(&heads, larger)?)?,
        })
    }
}

impl Codec for Consistency {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_len8(out, self.subtrees.len(), "full subtrees")?;
        out.extend_from_slice(self.subtrees.as_flattened());
        put_len16(out, self.elements.len(), "elements")?;
        out.extend_from_slice(self.elements.as_flattened());
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            subtrees: input.vec8(Reader::array)?,
            elements: input.hashes16()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log_tree::tests::log_of;

    /// For any two sizes of a log the proof leads to its two roots, and no proof for other sizes,
    /// of another log, or with an element more or less does.
    #[test]
    fn two_sizes_of_one_log_are_connected() {
        let (log, other) = (log_of(70, 0), log_of(70, 1));
        for larger in 1..=70 {
            let root = |size| log_tree::root(&log, size).unwrap();
            for smaller in 1..=larger {
                let proof = Consistency::prove(&log, smaller, larger).unwrap();
                let roots = Roots {
                    smaller: root(smaller),
                    larger: root(larger),
                };
                assert_eq!(proof.roots(smaller, larger), Some(roots));
                assert_eq!(
                    Consistency::decode(&proof.encode().unwrap()).unwrap(),
                    proof
                );
                let foreign = Consistency::prove(&other, smaller, larger).unwrap();
                assert_ne!(foreign.roots(smaller, larger), Some(roots));
                let mut longer = proof.clone();
                longer.elements.push([7; 32]);
                assert_eq!(longer.roots(smaller, larger), None);
                if smaller < larger {
                    // The roots of two logs do not go together.
                    let mut mixed = foreign;
                    mixed.subtrees = proof.subtrees.clone();
                    assert_ne!(mixed.roots(smaller, larger), Some(roots));
                    assert_eq!(proof.roots(larger, smaller), None);
                }
            }
        }
        assert_eq!(Consistency::prove(&log, 0, 5), None);
        assert_eq!(Consistency::prove(&log, 6, 5), None);
        assert_eq!(Consistency::prove(&log, 6, 71), None);
    }

    proptest! {
        /// Any bytes are one proof in one encoding or none, and none of them makes the check panic.
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..300), a: u64, b: u64) {
            if let Ok(proof) = Consistency::decode(&bytes) {
                prop_assert_eq!(proof.encode().unwrap(), bytes);
                let _ = proof.roots(a, b);
            }
        }
    }
}
