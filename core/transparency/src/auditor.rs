//! Checking every entry of a log, without knowing any label (draft, §15.2).

use ed25519_dalek::{Signature, VerifyingKey};

use crate::codec::{Codec, DecodeError, Reader, TooLong, put_len8, put_u64};
use crate::hash::{HashValue, LogNode, log_leaf, log_parent};
use crate::implicit::MAX_TREE_SIZE;
use crate::log_tree::{full_subtrees, root_of};
use crate::prefix_proof::{Lookup, Partial, PrefixProofError, evaluate};
use crate::structs::{AuditorTreeHead, AuditorTreeHeadTbs, AuditorUpdate, Configuration};

/// Why an entry is refused. The state stays at the entry before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// Older than the entry before.
    #[error("the entry is older than the one before")]
    TimeRegression,
    /// Added leaves are not ascending, or one is there twice.
    #[error("the added leaves are not in order")]
    Order,
    /// A leaf was removed. The draft allows it under conditions; this log never does it.
    #[error("a leaf was removed")]
    Removal,
    /// A leaf was added where one is: a value was swapped.
    #[error("an added leaf was in the tree before")]
    Present,
    /// The proof is wrong in itself.
    #[error("the proof is wrong: {0}")]
    Proof(#[from] PrefixProofError),
    /// The proof leads to another prefix tree than that of the entry before.
    #[error("the proof is not of the tree before this entry")]
    Root,
    /// The log has reached its largest size.
    #[error("the log cannot have another entry")]
    Size,
}

/// Whether an auditor's head is its Ed25519 signature over `said` (draft, §11.3).
#[must_use]
pub fn is_signed_by(key: &[u8; 32], said: &AuditorTreeHeadTbs, head: &AuditorTreeHead) -> bool {
    let key = VerifyingKey::from_bytes(key).ok();
    let signature = Signature::from_slice(&head.signature).ok();
    let bytes = said.encode().ok();
    head.timestamp == said.timestamp
        && head.tree_size == said.tree_size
        && key
            .zip(signature)
            .zip(bytes)
            .is_some_and(|((key, signature), bytes)| key.verify_strict(&bytes, &signature).is_ok())
}

/// A log as an auditor knows it after some entries: plain data.
///
/// Encoding: size (u64), timestamp of the newest entry (u64), root of its prefix tree (32), a byte
/// with the number of full subtrees, each (32).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditorState {
    size: u64,
    timestamp: u64,
    prefix_root: HashValue,
    full_subtrees: Vec<LogNode>,
}

impl Default for AuditorState {
    fn default() -> Self {
        Self {
            size: 0,
            timestamp: 0,
            prefix_root: Partial::empty_root().hash(),
            full_subtrees: Vec::new(),
        }
    }
}

impl AuditorState {
    /// Number of entries audited, or taken over from where the audit began.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Timestamp of the newest of them.
    #[must_use]
    pub const fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// Root of the log; `None` before the first entry.
    #[must_use]
    pub fn root(&self) -> Option<HashValue> {
        root_of(&self.full_subtrees)
    }

    /// What an auditor signs after having checked all entries so far; `None` before the first. An
    /// auditor keeps what it signed before it lets the signature out, and never signs two roots for
    /// one size.
    #[must_use]
    pub fn to_be_signed(&self, config: &Configuration) -> Option<AuditorTreeHeadTbs> {
        Some(AuditorTreeHeadTbs {
            config: config.clone(),
            timestamp: self.timestamp,
            tree_size: self.size,
            root: self.root()?,
        })
    }

    /// The state after one more entry.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn apply(&self, update: &AuditorUpdate) -> Result<Self, AuditError> {
        if self.size >= MAX_TREE_SIZE {
            return Err(AuditError::Size);
        }
        if update.timestamp < self.timestamp {
            return Err(AuditError::TimeRegression);
        }
        if !update.removed.is_empty() {
            return Err(AuditError::Removal);
        }
        if !update
            .added
            .is_sorted_by(|a, b| a.vrf_output < b.vrf_output)
        {
            return Err(AuditError::Order);
        }
        if update
            .proof
            .results
            .iter()
            .any(|result| result.is_inclusion())
        {
            return Err(AuditError::Present);
        }
        let prefix_root = self.extend_prefix_tree(update)?;
        let mut next = Self {
            size: self.size + 1,
            timestamp: update.timestamp,
            prefix_root,
            full_subtrees: self.full_subtrees.clone(),
        };
        next.append(log_leaf(update.timestamp, &prefix_root));
        Ok(next)
    }

    fn extend_prefix_tree(&self, update: &AuditorUpdate) -> Result<HashValue, AuditError> {
        let lookups: Vec<Lookup> = update
            .added
            .iter()
            .map(|leaf| Lookup {
                key: leaf.vrf_output,
                commitment: None,
            })
            .collect();
        let mut tree = evaluate(&update.proof, &lookups)?;
        if tree.hash() != self.prefix_root {
            return Err(AuditError::Root);
        }
        for leaf in &update.added {
            tree = tree.insert(*leaf, 0).ok_or(AuditError::Present)?;
        }
        Ok(tree.hash())
    }

    /// Appends an entry, the size already counting it.
    fn append(&mut self, value: HashValue) {
        let mut node = LogNode {
            value,
            is_leaf: true,
        };
        for _ in 0..self.size.trailing_zeros() {
            if let Some(left) = self.full_subtrees.pop() {
                node = log_parent(&left, &node);
            }
        }
        self.full_subtrees.push(node);
    }
}

impl Codec for AuditorState {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_u64(out, &self.size);
        put_u64(out, &self.timestamp);
        out.extend_from_slice(&self.prefix_root);
        put_len8(out, self.full_subtrees.len(), "full subtrees")?;
        for node in &self.full_subtrees {
            out.extend_from_slice(&node.value);
        }
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let size = input.u64()?;
        let timestamp = input.u64()?;
        let prefix_root = input.array()?;
        let values: Vec<HashValue> = input.vec8(Reader::array)?;
        let full = full_subtrees(size);
        if size > MAX_TREE_SIZE || full.len() != values.len() {
            return Err(DecodeError::Value("auditor state"));
        }
        let nodes = full.iter().zip(values).map(|(subtree, value)| LogNode {
            value,
            is_leaf: subtree.size == 1,
        });
        Ok(Self {
            size,
            timestamp,
            prefix_root,
            full_subtrees: nodes.collect(),
        })
    }
}
