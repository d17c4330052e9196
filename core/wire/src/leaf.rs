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
    /// What a relay says of itself; 4 is retired.
    #[tls_codec(discriminant = 5)]
    Shard(ShardLeaf),
    /// The shard map, in the directory.
    #[tls_codec(discriminant = 6)]
    Shards(ShardsLeaf),
    /// What a ticket of the directory needs.
    #[tls_codec(discriminant = 7)]
    Beacon(BeaconLeaf),
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

impl QueueLeaf {
    /// Bytes of the leaf as it stands in the map.
    pub const BYTES: usize = 181;

    /// The bytes of [`Leaf::Queue`]; posts are many, and all fields lie at fixed places.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0] = QUEUE_KIND;
        bytes[1..5].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[5..9].copy_from_slice(&self.seq.to_be_bytes());
        bytes[9..41].copy_from_slice(&self.head);
        bytes[41..45].copy_from_slice(&self.first_seq.to_be_bytes());
        bytes[45..77].copy_from_slice(&self.head_before);
        bytes[77..109].copy_from_slice(&self.commit_head);
        bytes[109..113].copy_from_slice(&self.first_epoch.to_be_bytes());
        bytes[113..145].copy_from_slice(&self.commit_head_before);
        bytes[145..177].copy_from_slice(&self.keys_hash);
        bytes[177..].copy_from_slice(&self.generation.to_be_bytes());
        bytes
    }

    /// Reads them back; `None` if they are of another leaf.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        (bytes[0] == QUEUE_KIND).then(|| Self {
            epoch: number(bytes, 1),
            seq: number(bytes, 5),
            head: hash(bytes, 9),
            first_seq: number(bytes, 41),
            head_before: hash(bytes, 45),
            commit_head: hash(bytes, 77),
            first_epoch: number(bytes, 109),
            commit_head_before: hash(bytes, 113),
            keys_hash: hash(bytes, 145),
            generation: number(bytes, 177),
        })
    }
}

/// What the leaf of a queue begins with.
const QUEUE_KIND: u8 = 1;

fn number(bytes: &[u8; QueueLeaf::BYTES], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(number)
}

fn hash(bytes: &[u8; QueueLeaf::BYTES], at: usize) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(&bytes[at..at + 32]);
    hash
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

/// What the directory says of its tickets; there from its first beacon on, always of one length.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct BeaconLeaf {
    /// The newest beacon.
    pub beacon: Beacon,
    /// The one before it; [`Beacon::NONE`] before the second.
    pub previous: Beacon,
    /// Work that tickets need now.
    pub difficulties: Difficulties,
}

impl BeaconLeaf {
    /// Where it lies in the map.
    #[must_use]
    pub fn key() -> Hash {
        blake3_labelled(label::BEACON, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode;
    use proptest::prelude::*;

    proptest! {
        /// The bytes put at fixed places are those of the TLS structure, whatever the fields hold;
        /// a leaf of another kind is none of a queue.
        #[test]
        fn a_queue_leaf_at_fixed_places_is_its_tls_encoding(
            numbers in any::<[u32; 5]>(),
            hashes in any::<[[u8; 32]; 5]>(),
            kind in any::<u8>(),
        ) {
            let leaf = QueueLeaf {
                epoch: numbers[0],
                seq: numbers[1],
                head: hashes[0],
                first_seq: numbers[2],
                head_before: hashes[1],
                commit_head: hashes[2],
                first_epoch: numbers[3],
                commit_head_before: hashes[3],
                keys_hash: hashes[4],
                generation: numbers[4],
            };
            let mut bytes = leaf.to_bytes();
            prop_assert_eq!(&bytes[..], &encode(&Leaf::Queue(leaf.clone()))[..]);
            prop_assert_eq!(QueueLeaf::from_bytes(&bytes), Some(leaf));
            bytes[0] = kind;
            prop_assert_eq!(QueueLeaf::from_bytes(&bytes).is_some(), kind == QUEUE_KIND);
        }
    }
}
