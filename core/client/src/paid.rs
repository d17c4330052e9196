//! Calls that a ticket pays for (`spec/protocol.md` §6.4).

use std::time::Duration;

use paigham_wire::codec::{decode, encode};
use paigham_wire::ids::CanisterId;
use paigham_wire::leaf::{Leaf, ShardLeaf};
use paigham_wire::map::Found;
use paigham_wire::relay::{RelayError, ShardReply};
use paigham_wire::ticket::{Paid, TicketRefusal};
use tls_codec::DeserializeBytes;

use crate::capability::is_capability;
use crate::connection::{CertifiedReply, Connection};
use crate::error::{ClientError, NotVerified};

/// Tries before a shard without a beacon that counts is given up: a new one has its first within
/// seconds.
const TRIES: u32 = 20;
/// Pause between them.
const WAIT: Duration = Duration::from_millis(250);

impl CertifiedReply for ShardReply {
    fn proof(&self) -> (&[u8], &[u8]) {
        (self.certificate.as_slice(), self.witness.as_slice())
    }
}

impl Connection {
    /// What a relay certifies of itself.
    async fn shard(&self, relay: &CanisterId) -> Result<ShardLeaf, ClientError> {
        // Takes nothing: an empty vector of bytes has no bytes at all.
        let (_, certified) = self
            .read::<ShardReply, RelayError>(relay, "shard", &())
            .await?;
        let found = certified.witness.get(&ShardLeaf::key())?;
        let Found::Present(leaf) = found else {
            return Err(NotVerified::Differs("a relay certifies nothing of itself").into());
        };
        match decode(leaf) {
            Ok(Leaf::Shard(leaf)) => Ok(leaf),
            _ => Err(NotVerified::Malformed("shard").into()),
        }
    }

    /// Calls an update that a ticket pays for, or the capability that it carries. The work is done on a thread of its own, for the
    /// newest certified beacon; the same call for the same beacon has the same ticket, so that a
    /// repeat is one. Where beacon or difficulty have changed meanwhile, it is done anew.
    ///
    /// # Errors
    /// As [`Connection::update`]; [`NotVerified::Differs`] if more work is asked for than any
    /// relay may.
    pub async fn pay<T, R>(
        &self,
        relay: &CanisterId,
        method: &'static str,
        request: &R,
    ) -> Result<T, ClientError>
    where
        T: DeserializeBytes,
        R: Paid + Send + 'static,
    {
        if is_capability(request.clone().credential_mut()) {
            let answer = self
                .update::<T, RelayError>(relay, method, &encode(request))
                .await;
            match answer {
                // It has ended, or was never one: a ticket pays as for anybody.
                Err(ClientError::Relay(RelayError::Credential)) => {}
                answer => return answer,
            }
        }
        for _ in 0..TRIES {
            match self.pay_once(relay, method, request).await {
                Err(ClientError::Relay(RelayError::Ticket(
                    TicketRefusal::NotReady
                    | TicketRefusal::BeaconExpired
                    | TicketRefusal::TooLittleWork,
                ))) => tokio::time::sleep(WAIT).await,
                answer => return answer,
            }
        }
        self.pay_once(relay, method, request).await
    }

    async fn pay_once<T, R>(
        &self,
        relay: &CanisterId,
        method: &'static str,
        request: &R,
    ) -> Result<T, ClientError>
    where
        T: DeserializeBytes,
        R: Paid + Send + 'static,
    {
        let leaf = self.shard(relay).await?;
        let bits = leaf.difficulties.of(R::PURPOSE);
        let mut request = request.clone();
        let canister = relay.clone();
        let work = move || {
            request.pay(&canister, leaf.beacon, bits)?;
            Some(encode(&request))
        };
        let paid = tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| ClientError::Bug("the search for a ticket ended"))?
            .ok_or(NotVerified::Differs("a relay asks for endless work"))?;
        self.update::<T, RelayError>(relay, method, &paid).await
    }
}
