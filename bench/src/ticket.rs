//! Tickets for what the bench makes.

use std::time::Duration;

use candid::Principal;
use ic_agent::Agent;
use paigham_network::Network;
use paigham_wire::codec::{decode, decode_result, encode};
use paigham_wire::ids::CanisterId;
use paigham_wire::leaf::{Leaf, ShardLeaf};
use paigham_wire::map::{Found, Witness};
use paigham_wire::relay::{CreateQueue, RelayError, ShardReply};
use paigham_wire::ticket::{Paid, Purpose};
use serde_bytes::{ByteBuf, Bytes};

use crate::Failure;

/// Tries until a new network has its first beacon.
const TRIES: u32 = 100;
const WAIT: Duration = Duration::from_millis(100);

/// Pays for queues with the beacon of a relay.
pub(crate) struct Payer {
    relay: CanisterId,
    leaf: ShardLeaf,
}

impl Payer {
    /// Waits for the network's beacon.
    pub async fn of(network: &Network) -> Result<Self, Failure> {
        let agent = Agent::builder()
            .with_url(network.file().file().urls.first().ok_or("no address")?)
            .with_arc_http_middleware(network.subnet().in_process())
            .build()?;
        agent.set_root_key(network.subnet().root_key_der());
        let relay = network.relay().clone();
        let principal = Principal::try_from_slice(relay.as_slice())?;
        for _ in 0..TRIES {
            let argument = candid::encode_one(Bytes::new(&[]))?;
            let call = agent.query(&principal, "shard").with_arg(argument);
            let reply: ByteBuf = candid::decode_one(&call.call().await?)?;
            if let Ok(reply) = decode_result::<ShardReply, RelayError>(&reply)? {
                let witness = Witness::decode(reply.witness.as_slice())?;
                if let Found::Present(leaf) = witness.get(&ShardLeaf::key())?
                    && let Leaf::Shard(leaf) = decode(leaf)?
                {
                    return Ok(Self { relay, leaf });
                }
            }
            tokio::time::sleep(WAIT).await;
        }
        Err("the relay has no beacon".into())
    }

    /// The request with its ticket.
    pub fn pay(&self, request: &CreateQueue) -> Result<Vec<u8>, Failure> {
        let mut request = request.clone();
        let bits = self.leaf.difficulties.of(Purpose::CreateQueue);
        request
            .pay(&self.relay, self.leaf.beacon, bits)
            .ok_or("endless work")?;
        Ok(encode(&request))
    }
}
