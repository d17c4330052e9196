//! The state tree that the subnet signs, and witnesses of it.
//!
//! Any fork shape is legal in a certificate as long as labels ascend. Maps are forked in the
//! middle; request statuses, of which there are many, live in a binary trie whose hashes are kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use ic_certification::hash_tree::{fork_hash, labeled_hash, leaf_hash};
use ic_certification::{HashTree, empty, fork, labeled, leaf, pruned};

type Hash = [u8; 32];

/// A labelled tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tree {
    Leaf(Vec<u8>),
    Map(BTreeMap<Vec<u8>, Self>),
    Statuses(Trie),
    /// A tree that stays as it is over many seals, and its digest.
    Fixed(Arc<(Self, Hash)>),
}

impl Tree {
    pub fn map<const N: usize>(entries: [(&[u8], Self); N]) -> Self {
        Self::Map(
            entries
                .into_iter()
                .map(|(label, tree)| (label.to_vec(), tree))
                .collect(),
        )
    }

    /// Hashes a tree once for all seals that it is part of.
    pub fn fixed(tree: Self) -> Self {
        let digest = tree.digest();
        Self::Fixed(Arc::new((tree, digest)))
    }

    pub fn digest(&self) -> Hash {
        match self {
            Self::Leaf(bytes) => leaf_hash(bytes),
            Self::Map(map) => map_digest(&map.iter().collect::<Vec<_>>()),
            Self::Statuses(trie) => trie.digest(),
            Self::Fixed(fixed) => fixed.1,
        }
    }

    /// Shows the subtrees at `paths`, or that they are absent; everything else is pruned.
    pub fn witness(&self, paths: &[&[Vec<u8>]]) -> HashTree {
        if paths.is_empty() {
            return pruned(self.digest());
        }
        if paths.iter().any(|path| path.is_empty()) {
            return self.whole();
        }
        match self {
            // A path that goes on below a leaf: the leaf shows that it cannot.
            Self::Leaf(bytes) => leaf(bytes.clone()),
            Self::Map(map) => map_witness(map, paths),
            Self::Statuses(trie) => trie.witness(paths),
            Self::Fixed(fixed) => fixed.0.witness(paths),
        }
    }

    fn whole(&self) -> HashTree {
        match self {
            Self::Leaf(bytes) => leaf(bytes.clone()),
            Self::Map(map) => map_whole(map),
            Self::Statuses(trie) => pruned(trie.digest()),
            Self::Fixed(fixed) => fixed.0.whole(),
        }
    }
}

fn map_digest(entries: &[(&Vec<u8>, &Tree)]) -> Hash {
    match entries {
        [] => empty().digest(),
        [(label, tree)] => labeled_hash(label, &tree.digest()),
        _ => {
            let (left, right) = entries.split_at(entries.len() / 2);
            fork_hash(&map_digest(left), &map_digest(right))
        }
    }
}

fn map_whole(map: &BTreeMap<Vec<u8>, Tree>) -> HashTree {
    let entries = map.iter();
    balanced(
        entries
            .map(|(label, tree)| labeled(label.clone(), tree.whole()))
            .collect(),
    )
}

fn balanced(mut all: Vec<HashTree>) -> HashTree {
    match all.len() {
        0 => empty(),
        1 => all.remove(0),
        count => {
            let right = all.split_off(count / 2);
            fork(balanced(all), balanced(right))
        }
    }
}

fn map_witness(map: &BTreeMap<Vec<u8>, Tree>, paths: &[&[Vec<u8>]]) -> HashTree {
    // Label shown → what is shown below it; a neighbour of an absent label shows nothing below.
    let mut shown: BTreeMap<&[u8], Vec<&[Vec<u8>]>> = BTreeMap::new();
    for path in paths {
        let label = &path[0];
        if map.contains_key(label) {
            shown.entry(label).or_default().push(&path[1..]);
        } else {
            for neighbour in neighbours(map, label) {
                shown.entry(neighbour).or_default();
            }
        }
    }
    range_witness(&map.iter().collect::<Vec<_>>(), &shown)
}

fn range_witness(
    entries: &[(&Vec<u8>, &Tree)],
    shown: &BTreeMap<&[u8], Vec<&[Vec<u8>]>>,
) -> HashTree {
    if !entries
        .iter()
        .any(|(label, _)| shown.contains_key(label.as_slice()))
        && !entries.is_empty()
    {
        return pruned(map_digest(entries));
    }
    match entries {
        [] => empty(),
        [(label, tree)] => {
            let below = shown.get(label.as_slice()).map_or(&[][..], Vec::as_slice);
            labeled((*label).clone(), tree.witness(below))
        }
        _ => {
            let (left, right) = entries.split_at(entries.len() / 2);
            fork(range_witness(left, shown), range_witness(right, shown))
        }
    }
}

fn neighbours<'a, V>(map: &'a BTreeMap<Vec<u8>, V>, label: &[u8]) -> Vec<&'a [u8]> {
    use std::ops::Bound::{Excluded, Unbounded};
    let before = map
        .range::<[u8], _>((Unbounded, Excluded(label)))
        .next_back();
    let after = map.range::<[u8], _>((Excluded(label), Unbounded)).next();
    before
        .into_iter()
        .chain(after)
        .map(|(label, _)| label.as_slice())
        .collect()
}

/// Labels of 32 bytes with small trees below, in a binary trie with kept hashes. Its shape depends
/// on its labels alone, so a restored subnet has the same root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trie {
    root: Option<Box<Node>>,
    trees: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Tree>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Leaf {
        label: Hash,
        below: Hash,
    },
    Fork {
        bit: usize,
        hash: Hash,
        left: Box<Self>,
        right: Box<Self>,
    },
}

impl Node {
    fn digest(&self) -> Hash {
        match self {
            Self::Leaf { label, below } => labeled_hash(label, below),
            Self::Fork { hash, .. } => *hash,
        }
    }

    fn fork(bit: usize, left: Box<Self>, right: Box<Self>) -> Box<Self> {
        let hash = fork_hash(&left.digest(), &right.digest());
        Box::new(Self::Fork {
            bit,
            hash,
            left,
            right,
        })
    }

    fn first_label(&self) -> &Hash {
        match self {
            Self::Leaf { label, .. } => label,
            Self::Fork { left, .. } => left.first_label(),
        }
    }

    fn insert(self, new: Box<Self>) -> Box<Self> {
        let label = *new.first_label();
        let apart = first_difference(self.first_label(), &label);
        match self {
            Self::Leaf { .. } if apart.is_none() => new,
            Self::Fork {
                bit, left, right, ..
            } if apart.is_none_or(|apart| apart >= bit) => {
                if bit_of(&label, bit) {
                    Self::fork(bit, left, right.insert(new))
                } else {
                    Self::fork(bit, left.insert(new), right)
                }
            }
            // A fork below which all labels share the bits up to its own, or a single leaf.
            node => {
                let node = Box::new(node);
                match apart {
                    Some(apart) if bit_of(&label, apart) => Self::fork(apart, node, new),
                    Some(apart) => Self::fork(apart, new, node),
                    None => node,
                }
            }
        }
    }

    fn remove(self: Box<Self>, label: &Hash) -> Option<Box<Self>> {
        match *self {
            Self::Leaf { label: there, .. } if there == *label => None,
            Self::Leaf { .. } => Some(self),
            Self::Fork {
                bit, left, right, ..
            } => {
                let (left, right) = if bit_of(label, bit) {
                    (Some(left), right.remove(label))
                } else {
                    (left.remove(label), Some(right))
                };
                match (left, right) {
                    (Some(left), Some(right)) => Some(Self::fork(bit, left, right)),
                    (left, right) => left.or(right),
                }
            }
        }
    }

    /// Shows labels that are below, ascending. Only what leads to them is visited: a witness of one
    /// status among many costs what its path costs.
    fn witness(&self, shown: &[(Hash, HashTree)]) -> HashTree {
        match (self, shown) {
            (_, []) => pruned(self.digest()),
            (Self::Leaf { label, .. }, [(_, below), ..]) => labeled(label.to_vec(), below.clone()),
            (
                Self::Fork {
                    bit, left, right, ..
                },
                _,
            ) => {
                // All labels below share the bits before this one, so order tells the side.
                let side = shown.partition_point(|(label, _)| !bit_of(label, *bit));
                let (on_left, on_right) = shown.split_at(side);
                fork(left.witness(on_left), right.witness(on_right))
            }
        }
    }
}

fn is_pruned(tree: &HashTree) -> bool {
    use ic_certification::HashTreeNode;
    matches!(HashTreeNode::from(tree.clone()), HashTreeNode::Pruned(_))
}

fn bit_of(label: &Hash, bit: usize) -> bool {
    label[bit / 8] & (0x80 >> (bit % 8)) != 0
}

fn first_difference(a: &Hash, b: &Hash) -> Option<usize> {
    (0..256).find(|bit| bit_of(a, *bit) != bit_of(b, *bit))
}

impl Trie {
    pub fn insert(&mut self, label: Hash, tree: BTreeMap<Vec<u8>, Tree>) {
        let below = map_digest(&tree.iter().collect::<Vec<_>>());
        let new = Box::new(Node::Leaf { label, below });
        self.root = Some(match self.root.take() {
            Some(root) => root.insert(new),
            None => new,
        });
        self.trees.insert(label.to_vec(), tree);
    }

    pub fn remove(&mut self, label: &Hash) {
        self.root = self.root.take().and_then(|root| root.remove(label));
        self.trees.remove(label.as_slice());
    }

    fn digest(&self) -> Hash {
        self.root
            .as_ref()
            .map_or_else(|| empty().digest(), |root| root.digest())
    }

    fn witness(&self, paths: &[&[Vec<u8>]]) -> HashTree {
        let Some(root) = &self.root else {
            return empty();
        };
        let mut shown = BTreeMap::new();
        for path in paths {
            let label = path[0].as_slice();
            // Many paths into one status cost as much as one.
            let known = |tree: &HashTree| !is_pruned(tree);
            if <&Hash>::try_from(label).is_ok_and(|label| shown.get(label).is_some_and(known)) {
                continue;
            }
            match self.trees.get(label) {
                Some(tree) => {
                    // The whole status: the agent wants absent fields provably absent.
                    show(&mut shown, label, map_whole(tree));
                }
                None => {
                    for neighbour in neighbours(&self.trees, label) {
                        if let Some(tree) = self.trees.get(neighbour) {
                            let digest = map_digest(&tree.iter().collect::<Vec<_>>());
                            show(&mut shown, neighbour, pruned(digest));
                        }
                    }
                }
            }
        }
        root.witness(&shown.into_iter().collect::<Vec<_>>())
    }
}

fn show(shown: &mut BTreeMap<Hash, HashTree>, label: &[u8], below: HashTree) {
    if let Ok(label) = Hash::try_from(label)
        && (!is_pruned(&below) || !shown.contains_key(&label))
    {
        shown.insert(label, below);
    }
}

/// Unsigned LEB128.
pub(crate) fn leb128(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return out;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use ic_certification::LookupResult;

    use super::*;

    fn tree() -> Tree {
        let mut statuses = Trie::default();
        for i in 0..50u8 {
            let id = Sha(i).hash();
            let status = BTreeMap::from([(b"status".to_vec(), Tree::Leaf(vec![i]))]);
            statuses.insert(id, status);
        }
        for i in (0..50u8).step_by(3) {
            statuses.remove(&Sha(i).hash());
        }
        Tree::map([
            (
                b"canister",
                Tree::map([
                    (b"a", Tree::Leaf(vec![1])),
                    (b"c", Tree::Leaf(vec![2])),
                    (b"e", Tree::Leaf(vec![3])),
                ]),
            ),
            (b"request_status", Tree::Statuses(statuses)),
            (b"time", Tree::Leaf(vec![9])),
        ])
    }

    struct Sha(u8);

    impl Sha {
        fn hash(&self) -> Hash {
            use sha2::{Digest, Sha256};
            Sha256::digest([self.0]).into()
        }
    }

    /// What is shown leads to the signed root, and what is not there is provably absent.
    #[test]
    fn witnesses_show_presence_and_absence() {
        let tree = tree();
        let path = |parts: &[&[u8]]| parts.iter().map(|part| part.to_vec()).collect::<Vec<_>>();
        let paths = [
            path(&[b"time"]),
            path(&[b"canister", b"b"]),
            path(&[b"request_status", &Sha(1).hash()]),
            path(&[b"request_status", &Sha(3).hash()]),
        ];
        let witness = tree.witness(&paths.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(witness.digest(), tree.digest());
        assert_eq!(witness.lookup_path([b"time"]), LookupResult::Found(&[9]));
        assert_eq!(
            witness.lookup_path([&b"canister"[..], b"b"]),
            LookupResult::Absent
        );
        assert_eq!(
            witness.lookup_path([&b"canister"[..], b"d"]),
            LookupResult::Unknown
        );
        let status =
            |i: u8| witness.lookup_path([&b"request_status"[..], &Sha(i).hash(), b"status"]);
        assert_eq!(status(1), LookupResult::Found(&[1]));
        assert_eq!(status(3), LookupResult::Absent);
    }

    /// A restored subnet inserts the statuses in another order and has the same root.
    #[test]
    fn the_shape_depends_on_the_labels_alone() {
        let mut forward = Trie::default();
        let mut backward = Trie::default();
        for i in 0..40u8 {
            forward.insert(Sha(i).hash(), BTreeMap::new());
            backward.insert(Sha(39 - i).hash(), BTreeMap::new());
        }
        backward.insert(Sha(77).hash(), BTreeMap::new());
        backward.remove(&Sha(77).hash());
        assert_eq!(forward.digest(), backward.digest());
    }
}
