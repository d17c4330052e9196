//! The prefix tree as it is kept: nodes are never changed, an entry's insertions copy the paths
//! they touch (draft, §3.3, §11.9).
//!
//! The root stands for the empty prefix and is always a parent, so that a search ends at depth 1
//! at the earliest; with no key at all both its children are missing.

use crate::hash::{HashValue, MISSING, prefix_parent};
use crate::store::{Child, PrefixParent, Store, StoreMut};
use crate::structs::{PrefixLeaf, PrefixProof, PrefixSearchResult};

/// Bit `depth` of a key, counted from the most significant: `true` goes right.
#[must_use]
pub(crate) fn bit(key: &HashValue, depth: u8) -> bool {
    key[usize::from(depth / 8)] >> (7 - depth % 8) & 1 == 1
}

/// Why a tree cannot be read or extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TreeError {
    /// The store lacks a node that another node names.
    Broken,
    /// The key is there already.
    Exists,
    /// Two keys share 255 bits, which the proof format cannot show.
    TooDeep,
}

/// A node with its value.
#[derive(Clone, Copy)]
pub(crate) struct Node {
    pub(crate) child: Child,
    pub(crate) hash: HashValue,
}

fn hash_of(store: &(impl Store + ?Sized), child: Child) -> Result<HashValue, TreeError> {
    match child {
        Child::Missing => Ok(MISSING),
        Child::Leaf(index) => Ok(store.leaf(index).ok_or(TreeError::Broken)?.hash()),
        Child::Parent(index) => Ok(store.parent(index).ok_or(TreeError::Broken)?.hash),
    }
}

/// A leaf on its way into the tree.
#[derive(Clone, Copy)]
pub(crate) struct NewLeaf {
    pub(crate) leaf: PrefixLeaf,
    pub(crate) index: u64,
}

/// Inserts leaves, ascending by key, under a root and returns the new one.
pub(crate) fn insert(
    store: &mut impl StoreMut,
    root: Child,
    leaves: &[NewLeaf],
) -> Result<Node, TreeError> {
    let (left, right) = match root {
        Child::Parent(index) => children(store, index)?,
        _ => (Child::Missing, Child::Missing),
    };
    grow(store, left, right, 0, leaves)
}

fn children(store: &(impl Store + ?Sized), index: u64) -> Result<(Child, Child), TreeError> {
    let parent = store.parent(index).ok_or(TreeError::Broken)?;
    Ok((parent.left, parent.right))
}

/// A new parent at `depth` whose children are the given ones with the leaves inserted.
fn grow(
    store: &mut impl StoreMut,
    left: Child,
    right: Child,
    depth: u8,
    leaves: &[NewLeaf],
) -> Result<Node, TreeError> {
    let split = leaves.partition_point(|new| !bit(&new.leaf.vrf_output, depth));
    let (to_left, to_right) = leaves.split_at(split);
    let next = depth.checked_add(1).ok_or(TreeError::TooDeep)?;
    let left = insert_at(store, left, next, to_left)?;
    let right = insert_at(store, right, next, to_right)?;
    let parent = PrefixParent {
        hash: prefix_parent(&left.hash, &right.hash),
        left: left.child,
        right: right.child,
    };
    Ok(Node {
        child: Child::Parent(store.push_parent(parent)),
        hash: parent.hash,
    })
}

fn insert_at(
    store: &mut impl StoreMut,
    child: Child,
    depth: u8,
    leaves: &[NewLeaf],
) -> Result<Node, TreeError> {
    match (child, leaves) {
        (child, []) => Ok(Node {
            child,
            hash: hash_of(store, child)?,
        }),
        (Child::Missing, [only]) => Ok(Node {
            child: Child::Leaf(only.index),
            hash: only.leaf.hash(),
        }),
        (Child::Missing, _) => grow(store, Child::Missing, Child::Missing, depth, leaves),
        (Child::Leaf(index), _) => {
            let leaf = store.leaf(index).ok_or(TreeError::Broken)?;
            let mut all = leaves.to_vec();
            let place = all.binary_search_by(|new| new.leaf.vrf_output.cmp(&leaf.vrf_output));
            let Err(place) = place else {
                return Err(TreeError::Exists);
            };
            all.insert(place, NewLeaf { leaf, index });
            grow(store, Child::Missing, Child::Missing, depth, &all)
        }
        (Child::Parent(index), _) => {
            let (left, right) = children(store, index)?;
            grow(store, left, right, depth, leaves)
        }
    }
}

/// Searches one tree for keys and proves what was found, in the order of the keys.
pub(crate) fn prove(
    store: &(impl Store + ?Sized),
    root: Child,
    keys: &[HashValue],
) -> Result<PrefixProof, TreeError> {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by_key(|index| keys[*index]);
    let mut search = Search {
        store,
        keys,
        results: vec![None; keys.len()],
        elements: Vec::new(),
    };
    if order.is_empty() {
        search.elements.push(hash_of(store, root)?);
    } else {
        search.visit(root, 0, &order)?;
    }
    let results: Option<Vec<PrefixSearchResult>> = search.results.into_iter().collect();
    Ok(PrefixProof {
        results: results.ok_or(TreeError::Broken)?,
        elements: search.elements,
    })
}

/// Searches for keys, in their order, in the tree before the first entry: a root without children.
pub(crate) fn prove_in_empty(keys: &[HashValue]) -> PrefixProof {
    let result = PrefixSearchResult::NonInclusionParent { depth: 1 };
    let goes_right = keys.iter().filter(|key| bit(key, 0)).count();
    let elements = match (keys.len(), goes_right) {
        (0, _) => vec![prefix_parent(&MISSING, &MISSING)],
        (all, right) if right == 0 || right == all => vec![MISSING],
        _ => Vec::new(),
    };
    PrefixProof {
        results: vec![result; keys.len()],
        elements,
    }
}

struct Search<'a, S: ?Sized> {
    store: &'a S,
    keys: &'a [HashValue],
    results: Vec<Option<PrefixSearchResult>>,
    elements: Vec<HashValue>,
}

impl<S: Store + ?Sized> Search<'_, S> {
    /// Visits a node that the searches with these indices, ascending by key, pass through.
    fn visit(&mut self, node: Child, depth: u8, searches: &[usize]) -> Result<(), TreeError> {
        if searches.is_empty() {
            self.elements.push(hash_of(self.store, node)?);
            return Ok(());
        }
        match node {
            Child::Missing => {
                for search in searches {
                    let result = PrefixSearchResult::NonInclusionParent { depth };
                    self.results[*search] = Some(result);
                }
                Ok(())
            }
            Child::Leaf(index) => {
                let leaf = self.store.leaf(index).ok_or(TreeError::Broken)?;
                for search in searches {
                    let found = leaf.vrf_output == self.keys[*search];
                    self.results[*search] = Some(if found {
                        PrefixSearchResult::Inclusion { depth }
                    } else {
                        PrefixSearchResult::NonInclusionLeaf { leaf, depth }
                    });
                }
                Ok(())
            }
            Child::Parent(index) => {
                let (left, right) = children(self.store, index)?;
                let split = searches.partition_point(|search| !bit(&self.keys[*search], depth));
                let next = depth.checked_add(1).ok_or(TreeError::TooDeep)?;
                self.visit(left, next, &searches[..split])?;
                self.visit(right, next, &searches[split..])
            }
        }
    }
}

#[cfg(test)]
#[path = "prefix_tree_tests.rs"]
mod tests;
