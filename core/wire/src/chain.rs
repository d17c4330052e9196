//! Hash chains: of a queue's entries and commits, of an inbox, of a label's records
//! (`spec/protocol.md` §3.2, §6.1, §7).

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::hash::{Hash, blake3_labelled, label};
use crate::ids::{InboxId, QueueId};

/// What one entry adds to the chain of its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct EntryDigest {
    /// Canister time at which the relay accepted it, in nanoseconds since 1970.
    pub accepted_at: u64,
    /// H(post).
    pub post_hash: Hash,
}

/// Head of a queue without entries.
#[must_use]
pub fn queue_start(queue: &QueueId) -> Hash {
    blake3_labelled(label::CHAIN_START, &[&queue.0])
}

/// Head after entry `seq`.
#[must_use]
pub fn queue_next(head: &Hash, seq: u32, entry: &EntryDigest) -> Hash {
    blake3_labelled(
        label::CHAIN,
        &[
            head,
            &seq.to_be_bytes(),
            &entry.accepted_at.to_be_bytes(),
            &entry.post_hash,
        ],
    )
}

/// Commit head of a queue without commits.
#[must_use]
pub fn commit_start(queue: &QueueId) -> Hash {
    blake3_labelled(label::COMMIT_CHAIN_START, &[&queue.0])
}

/// Commit head after the commit that starts `epoch`, entry `seq` of the queue.
#[must_use]
pub fn commit_next(
    head: &Hash,
    epoch: u32,
    seq: u32,
    entry: &EntryDigest,
    keys_hash: &Hash,
) -> Hash {
    blake3_labelled(
        label::COMMIT_CHAIN,
        &[
            head,
            &epoch.to_be_bytes(),
            &seq.to_be_bytes(),
            &entry.accepted_at.to_be_bytes(),
            &entry.post_hash,
            keys_hash,
        ],
    )
}

/// Head of an inbox without deposits.
#[must_use]
pub fn inbox_start(inbox: &InboxId) -> Hash {
    blake3_labelled(label::INBOX_CHAIN_START, &[&inbox.0])
}

/// Head after deposit `seq`; `deposit_hash` is the BLAKE3 of its sealed bytes.
#[must_use]
pub fn inbox_next(head: &Hash, seq: u32, accepted_at: u64, deposit_hash: &Hash) -> Hash {
    blake3_labelled(
        label::INBOX_CHAIN,
        &[
            head,
            &seq.to_be_bytes(),
            &accepted_at.to_be_bytes(),
            deposit_hash,
        ],
    )
}
