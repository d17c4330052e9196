//! The shard map: which relays there are, and where new queues and inboxes go
//! (`spec/protocol.md` §7.1).

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use crate::hash::{Hash, blake3_labelled, label};
use crate::ids::{CanisterId, PrincipalId};

/// Most shards of a network.
pub const SHARDS_MAX: usize = 1_000;

/// A relay canister.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Shard {
    /// Its id.
    pub canister: CanisterId,
    /// The subnet that it runs on.
    pub subnet: PrincipalId,
    /// Whether it takes new queues and inboxes.
    pub state: ShardState,
}

/// Whether a shard takes new queues and inboxes; those that it has stay in either state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum ShardState {
    /// It does.
    Open = 1,
    /// It does not.
    Closed = 2,
}

/// All relays of a network.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ShardMap {
    /// Ascending by canister, without repetition.
    pub shards: Vec<Shard>,
}

impl ShardMap {
    /// Whether it is well formed: bounded, ascending, with an open shard.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        let ascending = self
            .shards
            .windows(2)
            .all(|pair| pair[0].canister < pair[1].canister);
        let open = self
            .shards
            .iter()
            .any(|shard| shard.state == ShardState::Open);
        self.shards.len() <= SHARDS_MAX && ascending && open
    }

    /// Shards that take new queues and inboxes.
    pub fn open(&self) -> impl Iterator<Item = &CanisterId> {
        self.shards
            .iter()
            .filter(|shard| shard.state == ShardState::Open)
            .map(|shard| &shard.canister)
    }
}

/// Where a new queue (by its nonce) or inbox (by its id) goes: to the shard with the highest
/// H("paigham/1 placement"; nonce 32 ‖ canister). So shards fill evenly, nobody has to be asked,
/// and a shard that opens or closes changes only what would have gone to it.
#[must_use]
pub fn place<'a>(
    nonce: &Hash,
    open: impl IntoIterator<Item = &'a CanisterId>,
) -> Option<&'a CanisterId> {
    open.into_iter()
        .max_by_key(|canister| blake3_labelled(label::PLACEMENT, &[nonce, &canister.hash_part()]))
}

/// Reply of the directory's `shards`.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ShardsReply {
    /// The canister's certificate.
    pub certificate: VLBytes,
    /// Witness over [`crate::leaf::ShardsLeaf::key`].
    pub witness: VLBytes,
    /// The encoded [`ShardMap`]; empty while none is set: the network file's relays are the map
    /// then.
    pub map: VLBytes,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn shard(id: u8, state: ShardState) -> Shard {
        Shard {
            canister: CanisterId::new(&[id]).unwrap(),
            subnet: PrincipalId::new(&[1]).unwrap(),
            state,
        }
    }

    /// Ten thousand queues spread evenly over eight shards. When one closes, only its own share
    /// goes elsewhere, and none of the new ones goes to it.
    #[test]
    fn queues_spread_evenly_and_stay() {
        let mut map = ShardMap {
            shards: (0..8).map(|id| shard(id, ShardState::Open)).collect(),
        };
        let nonces: Vec<Hash> = (0..10_000_u32)
            .map(|n| crate::hash::blake3(&n.to_be_bytes()))
            .collect();
        let before: Vec<_> = nonces
            .iter()
            .map(|nonce| place(nonce, map.open()).unwrap().clone())
            .collect();
        let mut counts = BTreeMap::new();
        for canister in &before {
            *counts.entry(canister).or_insert(0) += 1;
        }
        assert!(counts.len() == 8 && counts.values().all(|count| (1_000..1_500).contains(count)));
        map.shards[3].state = ShardState::Closed;
        for (nonce, before) in nonces.iter().zip(&before) {
            let now = place(nonce, map.open()).unwrap();
            if before == &map.shards[3].canister {
                assert_ne!(now, before);
            } else {
                assert_eq!(now, before);
            }
        }
    }

    /// A map without an open shard, out of order or with one twice is refused.
    #[test]
    fn maps_are_checked() {
        let allowed = |shards| ShardMap { shards }.is_allowed();
        let (open, closed) = (ShardState::Open, ShardState::Closed);
        assert!(allowed(vec![shard(1, closed), shard(2, open)]));
        assert!(!allowed(vec![]));
        assert!(!allowed(vec![shard(1, closed)]));
        assert!(!allowed(vec![shard(2, open), shard(1, open)]));
        assert!(!allowed(vec![shard(1, open), shard(1, open)]));
        assert_eq!(place(&[0; 32], []), None);
    }
}
