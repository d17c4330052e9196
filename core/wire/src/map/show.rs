//! Showing keys of a map.

use super::certified::MerkleMap;
use super::memory::MapMemory;
use super::page::Page;
use super::shape::Place;
use super::witness::{Node, Witness};
use super::{EMPTY, Key, MAX_DEPTH, bit, subtree};
use crate::hash::{Hash, blake3};

impl<M: MapMemory> MerkleMap<M> {
    /// Shows some keys, present or absent.
    ///
    /// Call [`MerkleMap::root`] after the last change first; a witness of a map that is not hashed
    /// shows hashes out of date.
    pub fn witness(&self, keys: &[Key]) -> Witness {
        let mut sorted = keys.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let root = self.hash_at(Place::ROOT);
        Witness::from_node(self.show(Place::ROOT, root, &sorted))
    }

    fn show(&self, place: Place, hash: Hash, keys: &[Key]) -> Node {
        if hash == EMPTY {
            return Node::Empty;
        }
        if keys.is_empty() {
            return Node::Pruned(hash);
        }
        if self.header.shape.is_page(place) {
            return self.with_page(place, |page| {
                let leaf = |key: &Key| self.leaf(page, key);
                show_slots(&page.sorted(), place.depth, keys, &leaf)
            });
        }
        let children = [place.child(false), place.child(true)];
        let hashes = children.map(|child| self.hash_at(child));
        for (child, other) in [(0, 1), (1, 0)] {
            // A leaf that is alone is lifted to here, whichever keys are asked for.
            if hashes[other] == EMPTY && self.is_leaf(children[child]) {
                return self.show(children[child], hashes[child], keys);
            }
        }
        let middle = keys.partition_point(|key| !bit(key, place.depth));
        let (zeros, ones) = keys.split_at(middle);
        Node::inner(
            self.show(children[0], hashes[0], zeros),
            self.show(children[1], hashes[1], ones),
        )
    }

    fn leaf(&self, page: &Page, key: &Key) -> Vec<u8> {
        page.find(key).map_or_else(Vec::new, |slot| {
            page.record(slot, &self.pages, &self.overflow).leaf
        })
    }
}

fn show_slots(
    sorted: &[(&Key, &Hash)],
    depth: usize,
    keys: &[Key],
    leaf: &impl Fn(&Key) -> Vec<u8>,
) -> Node {
    match (sorted, keys) {
        ([], _) => Node::Empty,
        (_, []) => Node::Pruned(subtree(sorted, depth)),
        ([(key, _), rest @ ..], _) if rest.is_empty() || depth == MAX_DEPTH => {
            if keys.binary_search(key).is_ok() {
                Node::Leaf {
                    key: **key,
                    value: leaf(key),
                }
            } else {
                Node::OtherLeaf {
                    key: **key,
                    value_hash: blake3(&leaf(key)),
                }
            }
        }
        _ => {
            let middle = sorted.partition_point(|(key, _)| !bit(key, depth));
            let (left, right) = sorted.split_at(middle);
            let middle = keys.partition_point(|key| !bit(key, depth));
            let (zeros, ones) = keys.split_at(middle);
            Node::inner(
                show_slots(left, depth + 1, zeros, leaf),
                show_slots(right, depth + 1, ones, leaf),
            )
        }
    }
}
