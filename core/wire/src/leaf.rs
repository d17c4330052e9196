//! The values of the certified map (`spec/protocol.md` §6.1).

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::hash::{Hash, blake3_labelled, label};
use crate::ticket::{Beacon, Difficulties};

/// A value of a canister's certified map; its first byte says which kind.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum Leaf {
    /// A queue of the relay.
    #[tls_codec(discriminant = 1)]
    Queue(QueueLeaf),
    /// An inbox and its key-package pool.
    #[tls_codec(discriminant = 2)]
    Inbox(InboxLeaf),
    /// A Welcome that waits for its joiner.
    #[tls_codec(discriminant = 3)]
    Welcome(WelcomeLeaf),
    /// A label of the directory.
    #[tls_codec(discriminant = 4)]
    Records(RecordsLeaf),
    /// What a relay says of itself.
    #[tls_codec(discriminant = 5)]
    Shard(ShardLeaf),
    /// The shard map, in the directory.
    #[tls_codec(discriminant = 6)]
    Shards(ShardsLeaf),
}

/// Where a queue stands.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct QueueLeaf {
    /// Current epoch.
    pub epoch: u32,
    /// Newest entry, 0 if none.
    pub seq: u32,
    /// Head of the chain.
    pub head: Hash,
    /// First retained entry; `seq + 1` if none.
    pub first_seq: u32,
    /// Head before it.
    pub head_before: Hash,
    /// Head of the commit chain.
    pub commit_head: Hash,
    /// Epoch started by the oldest retained commit; `epoch + 1` if none.
    pub first_epoch: u32,
    /// Commit head before it.
    pub commit_head_before: Hash,
    /// H(keys) of the current epoch.
    pub keys_hash: Hash,
    /// Generation of the current epoch.
    pub generation: u32,
}

/// Where an inbox and its pool stand.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct InboxLeaf {
    /// Newest deposit, 0 if none.
    pub seq: u32,
    /// Head of the deposit chain.
    pub head: Hash,
    /// First retained deposit; `seq + 1` if none.
    pub first_seq: u32,
    /// Head before it.
    pub head_before: Hash,
    /// Highest counter that the inbox key has used.
    pub counter: u64,
    /// SHA-256 of the X-Wing inbox key.
    pub xwing_key_hash: Hash,
    /// One-time key packages left.
    pub one_time_left: u32,
    /// One-time key packages claimed, ever.
    pub claimed: u32,
    /// BLAKE3 of the last-resort key package; zeros if there is none.
    pub last_resort_hash: Hash,
}

/// A Welcome and its tree.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct WelcomeLeaf {
    /// BLAKE3 of the sealed wrapper.
    pub wrapper_hash: Hash,
    /// BLAKE3 of the sealed tree.
    pub tree_hash: Hash,
}

/// Where a label of the directory stands.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct RecordsLeaf {
    /// Number of records.
    pub count: u32,
    /// Head of the record chain.
    pub head: Hash,
}

/// What a relay says of itself; always of one length.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ShardLeaf {
    /// The newest beacon; [`Beacon::NONE`] before the first.
    pub beacon: Beacon,
    /// The one before it; [`Beacon::NONE`] before the second.
    pub previous: Beacon,
    /// Work that tickets need now.
    pub difficulties: Difficulties,
    /// From when on posts are there, in nanoseconds since 1970; 0 while none has expired.
    pub posts_since: u64,
    /// From when on commits and Welcomes are there.
    pub commits_since: u64,
    /// Thousandths of their room that posts and commits take.
    pub fill: u16,
    /// Number of proposals that the administrators have executed.
    pub admin_entries: u32,
    /// Head of the log of them; zeros before the first.
    pub admin_head: Hash,
}

impl ShardLeaf {
    /// Where it lies in the map.
    #[must_use]
    pub fn key() -> Hash {
        blake3_labelled(label::SHARD, &[])
    }
}

/// What the directory says of the shard map; there from the first proposal on that was executed.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ShardsLeaf {
    /// BLAKE3 of the encoded [`crate::shards::ShardMap`].
    pub map_hash: Hash,
    /// Number of proposals that the administrators have executed.
    pub admin_entries: u32,
    /// Head of the log of them.
    pub admin_head: Hash,
}

impl ShardsLeaf {
    /// Where it lies in the map.
    #[must_use]
    pub fn key() -> Hash {
        blake3_labelled(label::SHARDS, &[])
    }
}
