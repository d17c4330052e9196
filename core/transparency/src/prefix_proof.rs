//! Proofs from the prefix tree as their verifier sees them: the part of the tree that the proof
//! shows is built anew, and what it hashes to is the root (draft, §12.2).

use crate::hash::{HashValue, MISSING, prefix_parent};
use crate::prefix_tree::bit;
use crate::structs::{PrefixLeaf, PrefixProof, PrefixSearchResult};

/// What is wrong with a proof in itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixProofError {
    /// Other than one result for each search.
    #[error("other than one result for each search")]
    Results,
    /// A depth at which the search cannot have ended.
    #[error("a search ends where it cannot")]
    Depth,
    /// Two results contradict each other, or a leaf lies off the path of its search.
    #[error("results contradict each other")]
    Contradiction,
    /// Too few or too many elements.
    #[error("too few or too many elements")]
    Elements,
    /// A version is shown included whose commitment is not known.
    #[error("a leaf without a commitment is shown as included")]
    Commitment,
}

/// A search and what its verifier knows: the key, and the commitment if there should be one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup {
    pub(crate) key: HashValue,
    pub(crate) commitment: Option<HashValue>,
}

/// The part of a prefix tree that a proof shows.
#[derive(Debug)]
pub(crate) enum Partial {
    /// Known by its value alone.
    Hash(HashValue),
    Missing,
    Leaf(PrefixLeaf),
    Parent(Box<(Self, Self)>),
}

impl Partial {
    pub(crate) fn hash(&self) -> HashValue {
        match self {
            Self::Hash(hash) => *hash,
            Self::Missing => MISSING,
            Self::Leaf(leaf) => leaf.hash(),
            Self::Parent(children) => prefix_parent(&children.0.hash(), &children.1.hash()),
        }
    }

    /// The root of a tree without keys.
    pub(crate) fn empty_root() -> Self {
        Self::Parent(Box::new((Self::Missing, Self::Missing)))
    }

    /// Adds a leaf that the proof showed to be absent; `None` where the proof does not reach, or
    /// the key is there.
    pub(crate) fn insert(self, leaf: PrefixLeaf, depth: u8) -> Option<Self> {
        match self {
            Self::Hash(_) => None,
            Self::Missing => Some(Self::Leaf(leaf)),
            Self::Leaf(other) => {
                if other.vrf_output == leaf.vrf_output {
                    return None;
                }
                Self::empty_root().insert(other, depth)?.insert(leaf, depth)
            }
            Self::Parent(children) => {
                let (left, right) = *children;
                let next = depth.checked_add(1)?;
                Some(Self::Parent(Box::new(if bit(&leaf.vrf_output, depth) {
                    (left, right.insert(leaf, next)?)
                } else {
                    (left.insert(leaf, next)?, right)
                })))
            }
        }
    }
}

/// Builds what a proof shows.
pub(crate) fn evaluate(
    proof: &PrefixProof,
    lookups: &[Lookup],
) -> Result<Partial, PrefixProofError> {
    if proof.results.len() != lookups.len() {
        return Err(PrefixProofError::Results);
    }
    let mut searches: Vec<(&Lookup, &PrefixSearchResult)> =
        lookups.iter().zip(&proof.results).collect();
    searches.sort_by_key(|(lookup, _)| lookup.key);
    let mut elements = proof.elements.iter();
    let root = if searches.is_empty() {
        Partial::Hash(*elements.next().ok_or(PrefixProofError::Elements)?)
    } else {
        build(&searches, 0, &mut elements)?
    };
    match elements.next() {
        None => Ok(root),
        Some(_) => Err(PrefixProofError::Elements),
    }
}

/// Recursion ends at the greatest depth named, at most 255.
fn build(
    searches: &[(&Lookup, &PrefixSearchResult)],
    depth: u8,
    elements: &mut std::slice::Iter<'_, HashValue>,
) -> Result<Partial, PrefixProofError> {
    if searches.is_empty() {
        let hash = elements.next().ok_or(PrefixProofError::Elements)?;
        return Ok(Partial::Hash(*hash));
    }
    let ends = searches.iter().filter(|(_, end)| end.depth() == depth);
    match ends.count() {
        0 => {
            let split = searches.partition_point(|(lookup, _)| !bit(&lookup.key, depth));
            let next = depth.checked_add(1).ok_or(PrefixProofError::Depth)?;
            let left = build(&searches[..split], next, elements)?;
            let right = build(&searches[split..], next, elements)?;
            Ok(Partial::Parent(Box::new((left, right))))
        }
        // The root is a parent; and where one search ends, all that come by end.
        _ if depth == 0 => Err(PrefixProofError::Depth),
        some if some < searches.len() => Err(PrefixProofError::Contradiction),
        _ => terminal(searches, depth),
    }
}

fn terminal(
    searches: &[(&Lookup, &PrefixSearchResult)],
    depth: u8,
) -> Result<Partial, PrefixProofError> {
    let mut leaves = Vec::with_capacity(searches.len());
    for (lookup, result) in searches {
        leaves.push(match result {
            PrefixSearchResult::NonInclusionParent { .. } => None,
            PrefixSearchResult::Inclusion { .. } => Some(PrefixLeaf {
                vrf_output: lookup.key,
                commitment: lookup.commitment.ok_or(PrefixProofError::Commitment)?,
            }),
            PrefixSearchResult::NonInclusionLeaf { leaf, .. } => {
                let on_path =
                    (0..depth).all(|depth| bit(&leaf.vrf_output, depth) == bit(&lookup.key, depth));
                if !on_path || leaf.vrf_output == lookup.key {
                    return Err(PrefixProofError::Contradiction);
                }
                Some(*leaf)
            }
        });
    }
    match leaves.split_first() {
        Some((first, rest)) if rest.iter().all(|leaf| leaf == first) => {
            Ok(first.map_or(Partial::Missing, Partial::Leaf))
        }
        _ => Err(PrefixProofError::Contradiction),
    }
}
