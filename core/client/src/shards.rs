//! Where new queues and inboxes go (`spec/protocol.md` §7.1), and what waits for a relay that does
//! not answer (`spec/client.md` §7).

use std::sync::Arc;

use paigham_wire::codec::decode;
use paigham_wire::directory::DirectoryError;
use paigham_wire::hash::{Hash, blake3};
use paigham_wire::ids::CanisterId;
use paigham_wire::leaf::{Leaf, ShardsLeaf};
use paigham_wire::map::Found;
use paigham_wire::network::{CanisterRole, VerifiedNetwork};
use paigham_wire::shards::{ShardMap, ShardsReply, place};

use crate::account::Environment;
use crate::client::Client;
use crate::clock::NetworkTime;
use crate::connection::{CertifiedReply, Connection};
use crate::error::{ClientError, NotVerified};
use crate::view::Notice;

/// The relays that take new queues and inboxes: never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRelays(Vec<CanisterId>);

impl OpenRelays {
    /// All relays of a network file: those that count while the directory has no shard map.
    #[must_use]
    pub fn of_file(network: &VerifiedNetwork) -> Self {
        let entries = network.file().canisters.iter();
        let relays = entries.filter(|entry| entry.role == CanisterRole::Relay);
        Self(
            relays
                .filter_map(|relay| CanisterId::new(&relay.id))
                .collect(),
        )
    }

    /// Asks the directory: the open shards of its certified map, or else the relays of the file.
    ///
    /// # Errors
    /// [`ClientError`].
    ///
    /// # Security
    /// The map says where something new goes; it cannot name a relay that the network file does
    /// not name, whose code nobody has signed for.
    pub async fn read(
        network: &VerifiedNetwork,
        environment: &Environment,
    ) -> Result<Self, ClientError> {
        let connection = Connection::new(
            network.clone(),
            environment.transport.clone(),
            Arc::clone(&environment.clock),
            NetworkTime::default(),
        )?;
        connection.ensure_code(connection.directory()).await?;
        connection.open_relays().await
    }

    /// What a certified leaf and the map beside it say; `None` is a leaf that is certified to be
    /// absent.
    fn certified(
        network: &VerifiedNetwork,
        leaf: Option<&ShardsLeaf>,
        map: &[u8],
    ) -> Result<Self, ClientError> {
        let Some(leaf) = leaf else {
            return Ok(Self::of_file(network));
        };
        if blake3(map) != leaf.map_hash {
            return Err(NotVerified::Differs("another shard map than the certified one").into());
        }
        if map.is_empty() {
            return Ok(Self::of_file(network));
        }
        let map: ShardMap = decode(map).map_err(|_| NotVerified::Malformed("shards"))?;
        if !map.is_allowed() {
            return Err(NotVerified::Malformed("shards").into());
        }
        let mut named = Self::of_file(network).0;
        named.retain(|relay| map.open().any(|open| open == relay));
        if named.is_empty() {
            return Err(NotVerified::Differs("no open relay is in the network file").into());
        }
        Ok(Self(named))
    }

    /// The relay of a new queue, by its nonce, or of a new inbox, by its id.
    pub(crate) fn place(&self, nonce: &Hash) -> Result<CanisterId, ClientError> {
        place(nonce, &self.0)
            .cloned()
            .ok_or(ClientError::Bug("a network without a relay"))
    }
}

impl CertifiedReply for ShardsReply {
    fn proof(&self) -> (&[u8], &[u8]) {
        (self.certificate.as_slice(), self.witness.as_slice())
    }
}

impl Connection {
    /// The relays that take new queues and inboxes now.
    ///
    /// # Errors
    /// As [`Connection::read`].
    pub async fn open_relays(&self) -> Result<OpenRelays, ClientError> {
        // Takes nothing: an empty vector of bytes has no bytes at all.
        let (reply, certified) = self
            .read::<ShardsReply, DirectoryError>(self.directory(), "shards", &())
            .await?;
        let leaf = match certified.witness.get(&ShardsLeaf::key())? {
            Found::Absent => None,
            Found::Present(leaf) => match decode(leaf) {
                Ok(Leaf::Shards(leaf)) => Some(leaf),
                _ => return Err(NotVerified::Malformed("shards").into()),
            },
        };
        OpenRelays::certified(self.network(), leaf.as_ref(), reply.map.as_slice())
    }
}

impl Client {
    /// What hangs on a relay that does not answer waits, is told once, and stops nothing else.
    pub(crate) fn unless_relay_missing<T>(
        &mut self,
        outcome: Result<T, ClientError>,
    ) -> Result<Option<T>, ClientError> {
        match outcome {
            Err(ClientError::RelayUnreachable { relay, .. }) => {
                let notice = Notice::RelayUnreachable(relay);
                if !self.notices.contains(&notice) {
                    self.notices.push(notice);
                }
                Ok(None)
            }
            other => other.map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use paigham_wire::codec::encode;
    use paigham_wire::ids::PrincipalId;
    use paigham_wire::network::{KeySet, NetworkCanister, NetworkFile};
    use paigham_wire::shards::{Shard, ShardState};

    use super::*;

    fn canister(role: CanisterRole, id: u8) -> NetworkCanister {
        NetworkCanister {
            role,
            id: vec![id; 10].into(),
            module_hashes: vec![[id; 32].into()],
            controllers: Vec::new(),
        }
    }

    /// A directory and the relays 2, 3 and 4.
    fn network() -> VerifiedNetwork {
        let key = SigningKey::from_bytes(&[1; 32]);
        let relays = (2..=4).map(|id| canister(CanisterRole::Relay, id));
        let file = NetworkFile {
            version: 1,
            network: [1; 16].into(),
            name: "test".into(),
            sequence: 1,
            issued_at: 1,
            expires_at: 2,
            root_key: vec![1; 133].into(),
            canisters: std::iter::once(canister(CanisterRole::Directory, 1))
                .chain(relays)
                .collect(),
            authority: KeySet {
                keys: Vec::new(),
                threshold: 0,
            },
            proof_types: vec![1],
            urls: vec!["http://127.0.0.1:1".into()],
            gateways: Vec::new(),
            release: KeySet {
                keys: vec![key.verifying_key().to_bytes().into()],
                threshold: 1,
            },
            development: true,
            transparency: None,
            auditors: None,
        };
        VerifiedNetwork::pinned(&file.sign(&[&key]).unwrap()).unwrap()
    }

    fn map(shards: &[(u8, ShardState)]) -> Vec<u8> {
        let shards = shards.iter().map(|(id, state)| Shard {
            canister: CanisterId::new(&[*id; 10]).unwrap(),
            subnet: PrincipalId::new(&[1]).unwrap(),
            state: *state,
        });
        encode(&ShardMap {
            shards: shards.collect(),
        })
    }

    fn read(map: &[u8]) -> Result<OpenRelays, ClientError> {
        let leaf = ShardsLeaf {
            map_hash: blake3(map),
            admin_entries: 1,
            admin_head: [0; 32],
        };
        OpenRelays::certified(&network(), Some(&leaf), map)
    }

    fn relays(ids: &[u8]) -> OpenRelays {
        OpenRelays(
            ids.iter()
                .map(|id| CanisterId::new(&[*id; 10]).unwrap())
                .collect(),
        )
    }

    /// Where no map is certified, or an empty one, all relays of the file are open. Where one is,
    /// its open shards are, as far as the file names them.
    #[test]
    fn the_certified_map_goes_before_the_file() {
        use ShardState::{Closed, Open};
        let without = OpenRelays::certified(&network(), None, &[]).unwrap();
        assert_eq!(without, relays(&[2, 3, 4]));
        assert_eq!(read(&[]).unwrap(), relays(&[2, 3, 4]));
        let set = map(&[(2, Open), (3, Closed), (4, Open), (9, Open)]);
        assert_eq!(read(&set).unwrap(), relays(&[2, 4]));
    }

    /// A node puts another map beside the certified leaf, or the map makes no sense, or all that is
    /// open in it is unknown to the file: nothing is placed.
    #[test]
    fn no_other_map_places_anything() {
        use ShardState::{Closed, Open};
        let differs = |outcome: Result<OpenRelays, ClientError>| {
            matches!(
                outcome,
                Err(ClientError::NotVerified(NotVerified::Differs(_)))
            )
        };
        let leaf = ShardsLeaf {
            map_hash: blake3(&map(&[(2, Open)])),
            admin_entries: 1,
            admin_head: [0; 32],
        };
        let other = map(&[(3, Open)]);
        for map in [&other[..], &[]] {
            assert!(differs(OpenRelays::certified(&network(), Some(&leaf), map)));
        }
        assert!(differs(read(&map(&[(9, Open), (10, Open)]))));
        for map in [map(&[(3, Open), (2, Open)]), map(&[(2, Closed)]), vec![9]] {
            let refused = read(&map);
            assert!(
                matches!(
                    refused,
                    Err(ClientError::NotVerified(NotVerified::Malformed("shards")))
                ),
                "{refused:?}"
            );
        }
    }
}
