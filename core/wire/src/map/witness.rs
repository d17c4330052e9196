//! A witness: the tree pruned to what is shown.

use super::{EMPTY, Key, MAX_DEPTH, bit, inner_hash, leaf_hash};
use crate::hash::{Hash, blake3};

/// Longest witness in bytes: 256 keys, each under a path three times as deep as a map of 50
/// million keys has, stay below. Decoding takes up to
/// 72 times as much memory, for inner nodes with nothing on one side; a test counts.
pub const WITNESS_MAX_BYTES: usize = 1024 * 1024;

/// Why bytes are not a witness, or do not show a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// Truncated, with unknown tags or bytes left over.
    #[error("malformed witness")]
    Malformed,
    /// Longer than [`WITNESS_MAX_BYTES`].
    #[error("witness too long")]
    TooLong,
    /// Deeper than a key has bits.
    #[error("witness deeper than a key")]
    TooDeep,
    /// A leaf lies where its key does not lead.
    #[error("a leaf lies off its path")]
    OffPath,
    /// Not how the map hashes: a lone leaf below an inner node, an inner node over nothing, or an
    /// empty subtree shown as pruned.
    #[error("witness in another form than the map's")]
    NotCanonical,
    /// The key's path is pruned.
    #[error("the witness does not show the key")]
    NotShown,
}

/// What a witness says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// It is in the map, with this value.
    Present(&'a [u8]),
    /// It is not.
    Absent,
}

/// A pruned tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    node: Node,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Empty,
    Inner(Box<(Self, Self)>),
    Leaf { key: Key, value: Vec<u8> },
    Pruned(Hash),
    OtherLeaf { key: Key, value_hash: Hash },
}

impl Node {
    pub(super) fn inner(left: Self, right: Self) -> Self {
        Self::Inner(Box::new((left, right)))
    }

    fn hash(&self) -> Hash {
        match self {
            Self::Empty => EMPTY,
            Self::Inner(children) => inner_hash(&children.0.hash(), &children.1.hash()),
            Self::Leaf { key, value } => leaf_hash(key, &blake3(value)),
            Self::Pruned(hash) => *hash,
            Self::OtherLeaf { key, value_hash } => leaf_hash(key, value_hash),
        }
    }

    const fn is_leaf(&self) -> bool {
        matches!(self, Self::Leaf { .. } | Self::OtherLeaf { .. })
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Empty => out.push(0),
            Self::Inner(children) => {
                out.push(1);
                children.0.write(out);
                children.1.write(out);
            }
            Self::Leaf { key, value } => {
                out.push(2);
                out.extend_from_slice(key);
                // A value is a leaf of `crate::leaf`, far below 64 KiB.
                let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(value);
            }
            Self::Pruned(hash) => {
                out.push(3);
                out.extend_from_slice(hash);
            }
            Self::OtherLeaf { key, value_hash } => {
                out.push(4);
                out.extend_from_slice(key);
                out.extend_from_slice(value_hash);
            }
        }
    }

    /// Everything pruned but the paths of `keys` (sorted).
    fn cut(&self, depth: usize, keys: &[Key]) -> Self {
        match self {
            Self::Empty => Self::Empty,
            _ if keys.is_empty() => Self::Pruned(self.hash()),
            Self::Inner(children) => {
                let middle = keys.partition_point(|key| !bit(key, depth));
                let (zeros, ones) = keys.split_at(middle);
                Self::inner(
                    children.0.cut(depth + 1, zeros),
                    children.1.cut(depth + 1, ones),
                )
            }
            Self::Leaf { key, value } if keys.binary_search(key).is_err() => Self::OtherLeaf {
                key: *key,
                value_hash: blake3(value),
            },
            shown => shown.clone(),
        }
    }
}

impl Witness {
    pub(super) const fn from_node(node: Node) -> Self {
        Self { node }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.node.write(&mut out);
        out
    }

    /// Decodes exactly one witness in the map's form.
    ///
    /// # Errors
    /// All of [`WitnessError`] but `NotShown`.
    ///
    /// # Security
    /// Depth is bounded by [`MAX_DEPTH`], size by [`WITNESS_MAX_BYTES`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WitnessError> {
        if bytes.len() > WITNESS_MAX_BYTES {
            return Err(WitnessError::TooLong);
        }
        let mut reader = Reader {
            rest: bytes,
            path: [0; 32],
        };
        let node = reader.node(0)?;
        if !reader.rest.is_empty() {
            return Err(WitnessError::Malformed);
        }
        Ok(Self { node })
    }

    /// The root that it leads to.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.node.hash()
    }

    /// What it says of a key.
    ///
    /// # Errors
    /// [`WitnessError::NotShown`] where the key's path is pruned.
    pub fn get(&self, wanted: &Key) -> Result<Found<'_>, WitnessError> {
        let mut node = &self.node;
        for depth in 0..=MAX_DEPTH {
            match node {
                Node::Empty => return Ok(Found::Absent),
                Node::Leaf { key, value } if key == wanted => return Ok(Found::Present(value)),
                Node::OtherLeaf { key, .. } if key == wanted => break,
                Node::Leaf { .. } | Node::OtherLeaf { .. } => return Ok(Found::Absent),
                Node::Pruned(_) => break,
                Node::Inner(children) => {
                    node = if bit(wanted, depth) {
                        &children.1
                    } else {
                        &children.0
                    };
                }
            }
        }
        Err(WitnessError::NotShown)
    }

    /// The witness of some of its keys alone.
    #[must_use]
    pub fn cut(&self, keys: &[Key]) -> Self {
        let mut sorted = keys.to_vec();
        sorted.sort_unstable();
        Self {
            node: self.node.cut(0, &sorted),
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Bits chosen so far.
    path: Key,
}

impl Reader<'_> {
    fn node(&mut self, depth: usize) -> Result<Node, WitnessError> {
        match self.byte()? {
            0 => Ok(Node::Empty),
            1 => self.inner(depth),
            2 => {
                let key = self.key(depth)?;
                let length = u16::from_be_bytes([self.byte()?, self.byte()?]);
                let (value, rest) = self
                    .rest
                    .split_at_checked(usize::from(length))
                    .ok_or(WitnessError::Malformed)?;
                let value = value.to_vec();
                self.rest = rest;
                Ok(Node::Leaf { key, value })
            }
            3 => match self.hash()? {
                EMPTY => Err(WitnessError::NotCanonical),
                hash => Ok(Node::Pruned(hash)),
            },
            4 => Ok(Node::OtherLeaf {
                key: self.key(depth)?,
                value_hash: self.hash()?,
            }),
            _ => Err(WitnessError::Malformed),
        }
    }

    fn inner(&mut self, depth: usize) -> Result<Node, WitnessError> {
        if depth == MAX_DEPTH {
            return Err(WitnessError::TooDeep);
        }
        let mask = 0x80 >> (depth % 8);
        self.path[depth / 8] &= !mask;
        let left = self.node(depth + 1)?;
        self.path[depth / 8] |= mask;
        let right = self.node(depth + 1)?;
        self.path[depth / 8] &= !mask;
        let lone = |a: &Node, b: &Node| *a == Node::Empty && (*b == Node::Empty || b.is_leaf());
        if lone(&left, &right) || lone(&right, &left) {
            return Err(WitnessError::NotCanonical);
        }
        Ok(Node::inner(left, right))
    }

    fn key(&mut self, depth: usize) -> Result<Key, WitnessError> {
        let key = self.hash()?;
        if (0..depth).any(|d| bit(&key, d) != bit(&self.path, d)) {
            return Err(WitnessError::OffPath);
        }
        Ok(key)
    }

    fn byte(&mut self) -> Result<u8, WitnessError> {
        let (byte, rest) = self.rest.split_first().ok_or(WitnessError::Malformed)?;
        self.rest = rest;
        Ok(*byte)
    }

    fn hash(&mut self) -> Result<Hash, WitnessError> {
        let (hash, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(WitnessError::Malformed)?;
        let hash = *hash;
        self.rest = rest;
        Ok(hash)
    }
}
