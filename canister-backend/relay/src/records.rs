//! What the stable structures hold.

use paigham_wire::chain::{commit_start, queue_start};
use paigham_wire::hash::Hash;
use paigham_wire::ids::QueueId;
use paigham_wire::keys::{EPOCH_ZERO_KEYS_HASH, EpochKeys, MacKey};
use paigham_wire::leaf::{InboxLeaf, QueueLeaf};
use paigham_wire::relay::{InboxState, SignatureBytes};

use crate::entries::Range;
use crate::quota::QueueQuota;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

/// Bytes of a queue's record behind its leaf.
pub(crate) const QUEUE_EXTRA_BYTES: usize = 118;
/// Bytes kept for the queue's quota.
pub(crate) const QUOTA_BYTES: usize = 12;

/// A queue: its leaf, and what is not certified.
///
/// ```text
/// offset  bytes  behind the leaf
/// 0       32     control key of the epoch
/// 32      32     MAC key; zeros in epoch 0, which has none
/// 64      32     hash of the read token; zeros in epoch 0
/// 96      5      offset of the newest entry, little-endian
/// 101     5      offset of the newest commit, little-endian
/// 106     12     quota
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueRecord {
    pub leaf: QueueLeaf,
    pub control_key: Hash,
    /// `None` in epoch 0.
    pub keys: Option<EpochKeys>,
    /// Offset of the newest entry in 40 bits.
    pub newest_entry: u64,
    /// Offset of the newest commit in 40 bits.
    pub newest_commit: u64,
    pub quota: QueueQuota,
}

impl QueueRecord {
    /// Of a new queue: epoch 0 and no entries.
    pub(crate) fn founded(queue: &QueueId, control_key: Hash) -> Self {
        let (head, commit_head) = (queue_start(queue), commit_start(queue));
        let leaf = QueueLeaf {
            epoch: 0,
            seq: 0,
            head,
            first_seq: 1,
            head_before: head,
            commit_head,
            first_epoch: 1,
            commit_head_before: commit_head,
            keys_hash: EPOCH_ZERO_KEYS_HASH,
            generation: 0,
        };
        Self {
            leaf,
            control_key,
            keys: None,
            newest_entry: 0,
            newest_commit: 0,
            quota: QueueQuota::default(),
        }
    }

    /// What is not certified.
    pub(crate) fn extra(&self) -> [u8; QUEUE_EXTRA_BYTES] {
        let mut extra = [0; QUEUE_EXTRA_BYTES];
        extra[..32].copy_from_slice(&self.control_key);
        if let Some(keys) = &self.keys {
            extra[32..64].copy_from_slice(keys.mac_key.as_bytes());
            extra[64..96].copy_from_slice(&keys.read_token_hash);
        }
        extra[96..101].copy_from_slice(&self.newest_entry.to_le_bytes()[..5]);
        extra[101..106].copy_from_slice(&self.newest_commit.to_le_bytes()[..5]);
        extra[106..].copy_from_slice(&self.quota.to_bytes());
        extra
    }

    /// Puts a record together again.
    pub(crate) fn new(leaf: QueueLeaf, extra: &[u8; QUEUE_EXTRA_BYTES]) -> Self {
        let control_key = part(extra, 0);
        let keys = (leaf.epoch > 0).then(|| EpochKeys {
            control_key,
            mac_key: MacKey::new(part(extra, 32)),
            read_token_hash: part(extra, 64),
            generation: leaf.generation,
        });
        let offset = |at: usize| {
            let mut word = [0; 8];
            word[..5].copy_from_slice(&extra[at..at + 5]);
            u64::from_le_bytes(word)
        };
        Self {
            control_key,
            keys,
            newest_entry: offset(96),
            newest_commit: offset(101),
            quota: QueueQuota::from_bytes(&part(extra, 106)),
            leaf,
        }
    }

    /// Where its retained entries are.
    pub(crate) const fn entries(&self) -> Range {
        Range {
            first: self.leaf.first_seq,
            last: self.leaf.seq,
            newest: self.newest_entry,
        }
    }

    /// Where its retained commits are.
    pub(crate) const fn commits(&self) -> Range {
        Range {
            first: self.leaf.first_epoch,
            last: self.leaf.epoch,
            newest: self.newest_commit,
        }
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

/// What the body of a stored commit begins with.
///
/// ```text
/// offset  bytes  body
/// 0       4      number among the queue's entries
/// 4       32     H(keys) of the epoch that it started
/// 36      4      joiners
/// 40      4      bytes of the sealed wrapper
/// 44      4      bytes of the sealed tree
/// 48      …      locators of 32 bytes, wrapper, tree, envelope
/// ```
/// Numbers are little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitBody {
    pub seq: u32,
    pub keys_hash: Hash,
    pub joiners: u32,
    pub wrapper: u32,
    pub tree: u32,
}

impl CommitBody {
    pub(crate) const BYTES: usize = 48;

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.seq.to_le_bytes());
        bytes[4..36].copy_from_slice(&self.keys_hash);
        bytes[36..40].copy_from_slice(&self.joiners.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.wrapper.to_le_bytes());
        bytes[44..].copy_from_slice(&self.tree.to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        Self {
            seq: u32::from_le_bytes(part(bytes, 0)),
            keys_hash: part(bytes, 4),
            joiners: u32::from_le_bytes(part(bytes, 36)),
            wrapper: u32::from_le_bytes(part(bytes, 40)),
            tree: u32::from_le_bytes(part(bytes, 44)),
        }
    }

    /// Where the wrapper begins.
    pub(crate) const fn wrapper_at(&self) -> usize {
        Self::BYTES + self.joiners as usize * 32
    }

    /// Where the tree begins.
    pub(crate) const fn tree_at(&self) -> usize {
        self.wrapper_at() + self.wrapper as usize
    }

    /// Where the envelope begins; it is the rest.
    pub(crate) const fn envelope_at(&self) -> usize {
        self.tree_at() + self.tree as usize
    }
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct TokenRecord {
    pub generation: u32,
    /// Entry that ended the generation; 0 while it lasts.
    pub end: u32,
}

/// Bytes of an inbox's record behind its leaf.
pub(crate) const INBOX_EXTRA_BYTES: usize = 108;

/// An inbox: its leaf, and what is not certified.
///
/// ```text
/// offset  bytes  behind the leaf
/// 0       32     inbox key
/// 32      4      number of the oldest one-time key package, little-endian
/// 36      4      number of the next to come, little-endian
/// 40      64     signature of the newest drain or refill, so that its repeat is harmless
/// 104     4      retained deposits of strangers, little-endian
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InboxRecord {
    pub leaf: InboxLeaf,
    pub inbox_key: Hash,
    pub first_package: u32,
    pub next_package: u32,
    pub last_signature: SignatureBytes,
    pub strangers: u32,
}

impl InboxRecord {
    /// What is not certified.
    pub(crate) fn extra(&self) -> [u8; INBOX_EXTRA_BYTES] {
        let mut extra = [0; INBOX_EXTRA_BYTES];
        extra[..32].copy_from_slice(&self.inbox_key);
        extra[32..36].copy_from_slice(&self.first_package.to_le_bytes());
        extra[36..40].copy_from_slice(&self.next_package.to_le_bytes());
        extra[40..104].copy_from_slice(&self.last_signature);
        extra[104..].copy_from_slice(&self.strangers.to_le_bytes());
        extra
    }

    /// Puts a record together again.
    pub(crate) fn new(leaf: InboxLeaf, extra: &[u8; INBOX_EXTRA_BYTES]) -> Self {
        Self {
            leaf,
            inbox_key: part(extra, 0),
            first_package: u32::from_le_bytes(part(extra, 32)),
            next_package: u32::from_le_bytes(part(extra, 36)),
            last_signature: part(extra, 40),
            strangers: u32::from_le_bytes(part(extra, 104)),
        }
    }

    pub(crate) const fn state(&self) -> InboxState {
        InboxState {
            one_time_left: self.leaf.one_time_left,
            first_seq: self.leaf.first_seq,
        }
    }
}

/// What strangers need of an inbox; too long for its record, and seldom changed.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct PoolRecord {
    pub xwing_key: VLBytes,
    pub last_resort: VLBytes,
    /// Claim ids remembered, oldest first.
    pub claims: Vec<Hash>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct StoredDeposit {
    pub accepted_at: u64,
    /// 1 if a ticket paid for it, 0 if a capability let it in.
    pub stranger: u8,
    pub sealed: VLBytes,
}
