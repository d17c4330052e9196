//! The map itself.
//!
//! ```text
//! offset  bytes  header
//! 0       4      "PMAP"
//! 4       1      layout version, 1
//! 5       3      zero
//! 8       4      root node, 0 = none
//! 12      4      nodes ever allocated
//! 16      4      first free node, 0 = none
//! 20      4      keys in the map
//! 24      40     zero
//! 64      …      nodes of 104 bytes, the first is number 1
//!
//! offset  bytes  node
//! 0       1      0 free, 1 leaf, 2 inner
//! 1       1      1 if the hash is out of date (inner only)
//! 2       6      zero
//! 8       32     hash
//! 40      32     leaf: key · inner: left u32, right u32 (0 = empty) · free: next u32
//! 72      32     leaf: BLAKE3 of the value
//! ```
//! Numbers are little-endian. Nothing is rebuilt when the memory is opened again.

use super::memory::MapMemory;
use super::witness::{Node as Shown, Witness};
use super::{EMPTY, Key, MAX_DEPTH, bit, inner_hash, leaf_hash};
use crate::hash::{Hash, blake3};

const MAGIC: &[u8; 4] = b"PMAP";
const LAYOUT: u8 = 1;
const HEADER_BYTES: usize = 64;
const NODE_BYTES: usize = 104;
/// Bytes of an inner node that are used.
const INNER_BYTES: usize = 48;
/// Where the parts of a node lie.
const DIRTY: u64 = 1;
const HASH: usize = 8;
const LEFT_AT: usize = 40;
const LEFT: u64 = LEFT_AT as u64;
const RIGHT: u64 = LEFT + 4;

/// Why a memory holds no map, or a map takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// The memory holds something else.
    #[error("the memory holds no certified map")]
    Foreign,
    /// The memory holds a layout that this version does not know.
    #[error("certified map of layout {0}")]
    Layout(u8),
    /// The header names nodes that the memory does not have.
    #[error("the header of the certified map does not fit its memory")]
    Corrupt,
    /// The memory cannot grow.
    #[error("no memory left for the certified map")]
    Full,
}

/// A Merkle map in a memory.
#[derive(Debug)]
pub struct MerkleMap<M> {
    memory: M,
    root: u32,
    allocated: u32,
    free: u32,
    len: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Leaf {
        key: Key,
        value_hash: Hash,
        hash: Hash,
    },
    Inner {
        left: u32,
        right: u32,
        hash: Hash,
        dirty: bool,
    },
}

impl<M: MapMemory> MerkleMap<M> {
    /// Opens the map in `memory`, or makes an empty one in an empty memory.
    ///
    /// # Errors
    /// Any [`MapError`]. Only the header and the root node are looked at, so that opening costs the
    /// same however large the map is.
    pub fn open(memory: M) -> Result<Self, MapError> {
        let mut map = Self {
            memory,
            root: 0,
            allocated: 0,
            free: 0,
            len: 0,
        };
        if map.memory.size() == 0 {
            if !map.memory.grow_to(HEADER_BYTES as u64) {
                return Err(MapError::Full);
            }
            map.write_header();
            return Ok(map);
        }
        let mut header = [0; 24];
        if map.memory.size() < HEADER_BYTES as u64 {
            return Err(MapError::Foreign);
        }
        map.memory.read(0, &mut header);
        if &header[..4] != MAGIC {
            return Err(MapError::Foreign);
        }
        if header[4] != LAYOUT {
            return Err(MapError::Layout(header[4]));
        }
        map.root = le_u32(&header, 8);
        map.allocated = le_u32(&header, 12);
        map.free = le_u32(&header, 16);
        map.len = le_u32(&header, 20);
        map.check_header()?;
        Ok(map)
    }

    /// Whether what the header says can be true of this memory: nothing read later lies outside.
    fn check_header(&self) -> Result<(), MapError> {
        let end = HEADER_BYTES as u64 + u64::from(self.allocated) * NODE_BYTES as u64;
        let fits = end <= self.memory.size()
            && self.root <= self.allocated
            && self.free <= self.allocated
            && self.len <= self.allocated
            && (self.root == 0) == (self.len == 0)
            && (self.root == 0 || self.node(self.root).is_some());
        fits.then_some(()).ok_or(MapError::Corrupt)
    }

    /// Keys in the map.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// [`MapError::Full`]; the map is as before then.
    pub fn insert(&mut self, key: &Key, value: &[u8]) -> Result<(), MapError> {
        // The deepest split needs an inner node per bit and two leaves; checked before any change.
        if !self.reserve() {
            return Err(MapError::Full);
        }
        let value_hash = blake3(value);
        let leaf = Node::Leaf {
            key: *key,
            value_hash,
            hash: leaf_hash(key, &value_hash),
        };
        self.root = self.insert_below(self.root, 0, key, leaf);
        self.write_header();
        Ok(())
    }

    /// Takes a key out; true if it was there.
    pub fn remove(&mut self, key: &Key) -> bool {
        let Some(root) = self.remove_below(self.root, 0, key) else {
            return false;
        };
        self.root = root;
        self.len -= 1;
        self.write_header();
        true
    }

    /// The root hash; hashes what changed since the last call.
    pub fn root(&mut self) -> Hash {
        self.hash_of(self.root)
    }

    /// Shows some keys: `value` gives the value of a key that is in the map.
    ///
    /// Call [`MerkleMap::root`] after the last change first; a witness of a map that is not hashed
    /// shows hashes out of date.
    pub fn witness(&self, keys: &[Key], value: impl Fn(&Key) -> Option<Vec<u8>>) -> Witness {
        let mut sorted = keys.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        Witness::from_node(self.show(self.root, 0, &sorted, &value))
    }

    fn show(
        &self,
        at: u32,
        depth: usize,
        keys: &[Key],
        value: &impl Fn(&Key) -> Option<Vec<u8>>,
    ) -> Shown {
        match (self.node(at), keys) {
            (None, _) => Shown::Empty,
            (Some(Node::Leaf { hash, .. } | Node::Inner { hash, .. }), []) => Shown::Pruned(hash),
            (
                Some(Node::Leaf {
                    key, value_hash, ..
                }),
                keys,
            ) => {
                // Looking a value up may cost much more than its hash: only for what is wanted.
                let wanted = keys.binary_search(&key).is_ok();
                match wanted.then(|| value(&key)).flatten() {
                    Some(value) => Shown::Leaf { key, value },
                    None => Shown::OtherLeaf { key, value_hash },
                }
            }
            (Some(Node::Inner { left, right, .. }), keys) => {
                let middle = keys.partition_point(|key| !bit(key, depth));
                let (zeros, ones) = keys.split_at(middle);
                Shown::inner(
                    self.show(left, depth + 1, zeros, value),
                    self.show(right, depth + 1, ones, value),
                )
            }
        }
    }

    fn insert_below(&mut self, at: u32, depth: usize, key: &Key, leaf: Node) -> u32 {
        match self.node(at) {
            None => {
                self.len += 1;
                self.allocate(leaf)
            }
            Some(Node::Leaf { key: there, .. }) if there == *key => {
                self.write_node(at, leaf);
                at
            }
            Some(Node::Leaf { key: there, .. }) => {
                self.len += 1;
                let new = self.allocate(leaf);
                self.split(at, &there, new, key, depth)
            }
            Some(Node::Inner {
                left, right, dirty, ..
            }) => {
                let (child, field) = if bit(key, depth) {
                    (right, RIGHT)
                } else {
                    (left, LEFT)
                };
                let below = self.insert_below(child, depth + 1, key, leaf);
                // Only what changes is written: most insertions replace a leaf in its place.
                if below != child {
                    self.memory.write(offset(at) + field, &below.to_le_bytes());
                }
                if !dirty {
                    self.memory.write(offset(at) + DIRTY, &[1]);
                }
                at
            }
        }
    }

    /// Puts two leaves under as many inner nodes as their keys share bits.
    fn split(&mut self, old: u32, old_key: &Key, new: u32, new_key: &Key, depth: usize) -> u32 {
        let apart = (depth..MAX_DEPTH)
            .find(|d| bit(old_key, *d) != bit(new_key, *d))
            .unwrap_or(depth);
        let pair = if bit(new_key, apart) {
            (old, new)
        } else {
            (new, old)
        };
        let mut below = self.allocate_inner(pair);
        for d in (depth..apart).rev() {
            below = self.allocate_inner(if bit(new_key, d) {
                (0, below)
            } else {
                (below, 0)
            });
        }
        below
    }

    fn allocate_inner(&mut self, (left, right): (u32, u32)) -> u32 {
        self.allocate(Node::Inner {
            left,
            right,
            hash: EMPTY,
            dirty: true,
        })
    }

    /// The subtree without the key; `None` if the key is not in it.
    fn remove_below(&mut self, at: u32, depth: usize, key: &Key) -> Option<u32> {
        match self.node(at)? {
            Node::Leaf { key: there, .. } => (there == *key).then(|| {
                self.release(at);
                0
            }),
            Node::Inner {
                left, right, hash, ..
            } => {
                let (left, right) = if bit(key, depth) {
                    (left, self.remove_below(right, depth + 1, key)?)
                } else {
                    (self.remove_below(left, depth + 1, key)?, right)
                };
                // A leaf that is alone is lifted, as the hash defines it.
                let alone = match (left, right) {
                    (0, other) | (other, 0) => Some(other),
                    _ => None,
                };
                match alone {
                    Some(other) if other == 0 || self.is_leaf(other) => {
                        self.release(at);
                        Some(other)
                    }
                    _ => {
                        self.write_node(
                            at,
                            Node::Inner {
                                left,
                                right,
                                hash,
                                dirty: true,
                            },
                        );
                        Some(at)
                    }
                }
            }
        }
    }

    /// Hashes what is out of date. Half of the nodes on the way are siblings that are not: of every
    /// node only the part that is needed is read and written.
    fn hash_of(&mut self, at: u32) -> Hash {
        if at == 0 || at > self.allocated {
            return EMPTY;
        }
        let mut bytes = [0; INNER_BYTES];
        self.memory.read(offset(at), &mut bytes);
        match (bytes[0], bytes[1]) {
            (1, _) | (2, 0) => array(&bytes, HASH),
            (2, _) => {
                let (left, right) = (le_u32(&bytes, LEFT_AT), le_u32(&bytes, LEFT_AT + 4));
                let hash = inner_hash(&self.hash_of(left), &self.hash_of(right));
                bytes[1] = 0;
                bytes[HASH..HASH + 32].copy_from_slice(&hash);
                self.memory.write(offset(at), &bytes[..HASH + 32]);
                hash
            }
            _ => EMPTY,
        }
    }

    fn is_leaf(&self, at: u32) -> bool {
        matches!(self.node(at), Some(Node::Leaf { .. }))
    }

    fn node(&self, at: u32) -> Option<Node> {
        if at == 0 || at > self.allocated {
            return None;
        }
        let mut bytes = [0; NODE_BYTES];
        self.memory.read(offset(at), &mut bytes);
        let hash = array(&bytes, 8);
        match bytes[0] {
            1 => Some(Node::Leaf {
                key: array(&bytes, 40),
                value_hash: array(&bytes, 72),
                hash,
            }),
            2 => Some(Node::Inner {
                left: le_u32(&bytes, 40),
                right: le_u32(&bytes, 44),
                hash,
                dirty: bytes[1] != 0,
            }),
            _ => None,
        }
    }

    fn write_node(&mut self, at: u32, node: Node) {
        let mut bytes = [0; NODE_BYTES];
        match node {
            Node::Leaf {
                key,
                value_hash,
                hash,
            } => {
                bytes[0] = 1;
                bytes[8..40].copy_from_slice(&hash);
                bytes[40..72].copy_from_slice(&key);
                bytes[72..].copy_from_slice(&value_hash);
            }
            Node::Inner {
                left,
                right,
                hash,
                dirty,
            } => {
                bytes[0] = 2;
                bytes[1] = u8::from(dirty);
                bytes[8..40].copy_from_slice(&hash);
                bytes[40..44].copy_from_slice(&left.to_le_bytes());
                bytes[44..48].copy_from_slice(&right.to_le_bytes());
            }
        }
        self.memory.write(offset(at), &bytes);
    }

    /// Room for the most nodes that one insertion can need.
    fn reserve(&mut self) -> bool {
        // A path of inner nodes and the two leaves at its end.
        let most = u32::try_from(MAX_DEPTH + 2).ok();
        let Some(last) = most.and_then(|most| self.allocated.checked_add(most)) else {
            return false;
        };
        self.memory.grow_to(offset(last) + NODE_BYTES as u64)
    }

    fn allocate(&mut self, node: Node) -> u32 {
        let at = if self.free == 0 {
            self.allocated += 1;
            self.allocated
        } else {
            let mut next = [0; 4];
            self.memory.read(offset(self.free) + 40, &mut next);
            std::mem::replace(&mut self.free, u32::from_le_bytes(next))
        };
        self.write_node(at, node);
        at
    }

    fn release(&mut self, at: u32) {
        let mut bytes = [0; NODE_BYTES];
        bytes[40..44].copy_from_slice(&self.free.to_le_bytes());
        self.memory.write(offset(at), &bytes);
        self.free = at;
    }

    fn write_header(&mut self) {
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(MAGIC);
        header[4] = LAYOUT;
        header[8..12].copy_from_slice(&self.root.to_le_bytes());
        header[12..16].copy_from_slice(&self.allocated.to_le_bytes());
        header[16..20].copy_from_slice(&self.free.to_le_bytes());
        header[20..24].copy_from_slice(&self.len.to_le_bytes());
        self.memory.write(0, &header);
    }
}

#[cfg(test)]
impl MerkleMap<Vec<u8>> {
    pub(super) fn memory_for_tests(self) -> Vec<u8> {
        self.memory
    }
}

fn offset(at: u32) -> u64 {
    HEADER_BYTES as u64 + (u64::from(at) - 1) * NODE_BYTES as u64
}

fn le_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn array(bytes: &[u8], at: usize) -> Hash {
    let mut out = [0; 32];
    out.copy_from_slice(&bytes[at..at + 32]);
    out
}
