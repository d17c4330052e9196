//! What the stable structures hold.

use paigham_wire::frame::HEADER_BYTES;
use paigham_wire::hash::Hash;
use paigham_wire::keys::EpochKeys;
use paigham_wire::leaf::{InboxLeaf, QueueLeaf};
use paigham_wire::relay::{InboxState, SignatureBytes};
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct QueueRecord {
    pub leaf: QueueLeaf,
    pub control_key: Hash,
    /// `None` in epoch 0.
    pub keys: Option<EpochKeys>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Payload {
    pub header: [u8; HEADER_BYTES],
    pub keys_hash: Option<Hash>,
    pub envelope: VLBytes,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct CommitRecord {
    pub seq: u32,
    pub accepted_at: u64,
    pub post_hash: Hash,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct TokenRecord {
    pub generation: u32,
    /// Entry that ended the generation; 0 while it lasts.
    pub end: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct BundleRecord {
    pub joiners_left: u32,
    pub wrapper: VLBytes,
    pub tree: VLBytes,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct InboxRecord {
    pub leaf: InboxLeaf,
    pub inbox_key: Hash,
    pub xwing_key: VLBytes,
    pub last_resort: VLBytes,
    /// Number of the oldest one-time key package, and of the next to come.
    pub first_package: u32,
    pub next_package: u32,
    /// Claim ids remembered, oldest first.
    pub claims: Vec<Hash>,
    /// Signature of the newest drain or refill, so that its repeat is harmless.
    pub last_signature: SignatureBytes,
}

impl InboxRecord {
    pub(crate) const fn state(&self) -> InboxState {
        InboxState {
            one_time_left: self.leaf.one_time_left,
            first_seq: self.leaf.first_seq,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct StoredDeposit {
    pub accepted_at: u64,
    pub sealed: VLBytes,
}
