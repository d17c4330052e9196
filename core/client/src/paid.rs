//! Calls that a ticket pays for (`spec/protocol.md` §6.4).
//!
//! The work is done on a thread of its own, for the newest certified beacon. The same call over the
//! same beacon has the same ticket, so that a repeat is one, and what was found is kept ([`Purse`]).
//! Where beacon or difficulty have changed meanwhile, the client looks again and pays again.

mod purse;

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use paigham_wire::codec::{decode, encode};
use paigham_wire::directory::{BeaconReply, DirectoryError};
use paigham_wire::ids::CanisterId;
use paigham_wire::leaf::{BeaconLeaf, Leaf, ShardLeaf};
use paigham_wire::log::{Lookup, LookupAnswers, Submission, Submit, SubmitState, Wanted};
use paigham_wire::map::Found;
use paigham_wire::relay::{Credential, RelayError, ShardReply};
use paigham_wire::ticket::{Challenge, Paid, Ticket, TicketRefusal};
use tls_codec::DeserializeBytes;

use crate::capability::is_capability;
use crate::connection::{CertifiedReply, Connection};
use crate::error::{ClientError, NotVerified};
use purse::Price;
pub(crate) use purse::Purse;

/// Tries before a canister without a beacon that counts is given up: a new one has its first within
/// seconds.
const TRIES: u32 = 20;
/// Of these so many because more work was asked for than before.
const RAISES_MAX: u32 = 3;
/// Pause between them.
const WAIT: Duration = Duration::from_millis(250);

impl CertifiedReply for ShardReply {
    fn proof(&self) -> (&[u8], &[u8]) {
        (self.certificate.as_slice(), self.witness.as_slice())
    }
}

impl CertifiedReply for BeaconReply {
    fn proof(&self) -> (&[u8], &[u8]) {
        (self.certificate.as_slice(), self.witness.as_slice())
    }
}

impl Connection {
    /// Calls an update of a relay that a ticket pays for, or the capability that it carries.
    ///
    /// # Errors
    /// As [`Connection::update`]; [`NotVerified::Differs`] if more work is asked for than any
    /// canister may.
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
        while_stale(WAIT, async || {
            let paid = self.paid(relay, request).await?;
            self.update::<T, RelayError>(relay, method, &paid).await
        })
        .await
    }

    /// Submits a version of a label, and pays where that costs a ticket.
    ///
    /// # Errors
    /// As [`Connection::pay`].
    pub async fn submit(
        &self,
        submission: &Submission,
        version: u32,
    ) -> Result<SubmitState, ClientError> {
        let request = Submit {
            submission: submission.clone(),
            credential: Credential::none(),
        };
        let directory = self.directory();
        let send = async |request: &[u8]| {
            self.update::<SubmitState, DirectoryError>(directory, "submit", request)
                .await
        };
        if !submission.always_costs(version) {
            match send(&encode(&request)).await {
                // Beyond the free ones of a day.
                Err(ClientError::Directory(DirectoryError::Ticket(TicketRefusal::Missing))) => {}
                answer => return answer,
            }
        }
        while_stale(WAIT, async || {
            send(&self.paid(directory, &request).await?).await
        })
        .await
    }

    /// Looks labels up, and pays for each. What the directory asks for is read once in a while and
    /// not for every look-up.
    ///
    /// # Errors
    /// As [`Connection::pay`].
    pub(crate) async fn ask_wanted(
        &self,
        last: Option<u64>,
        wanted: Vec<Wanted>,
    ) -> Result<LookupAnswers, ClientError> {
        let count = wanted.len();
        let directory = self.directory();
        let reply = while_stale(WAIT, async || {
            let price = self.directory_price().await?;
            let wanted = self.with_tickets(directory, price, wanted.clone()).await?;
            let request = encode(&Lookup { last, wanted });
            let answer = self
                .query::<LookupAnswers, DirectoryError>(directory, "lookup", &request)
                .await;
            if answer.as_ref().err().and_then(refusal).is_some() {
                self.locked_purse().directory = None;
            }
            answer
        })
        .await?;
        if reply.answers.len() != count {
            return Err(NotVerified::Malformed("lookup").into());
        }
        Ok(reply)
    }

    /// A request with its ticket, encoded.
    async fn paid<R>(&self, canister: &CanisterId, request: &R) -> Result<Vec<u8>, ClientError>
    where
        R: Paid + Send + 'static,
    {
        let price = self.price(canister).await?;
        let paid = self.with_tickets(canister, price, vec![request.clone()]);
        let paid = paid.await?.pop();
        paid.map(|request| encode(&request))
            .ok_or(ClientError::Bug("a request that is gone"))
    }

    /// What the directory asked for last, read anew when its beacon comes to its end.
    async fn directory_price(&self) -> Result<Price, ClientError> {
        let kept = self.locked_purse().directory;
        match kept.filter(|price| price.lasts(self.now_ns())) {
            Some(price) => Ok(price),
            None => self.price(self.directory()).await,
        }
    }

    /// What a canister certifies that it asks for now.
    async fn price(&self, canister: &CanisterId) -> Result<Price, ClientError> {
        // Both methods take nothing: an empty vector of bytes has no bytes at all.
        if canister != self.directory() {
            let (_, certified) = self
                .read::<ShardReply, RelayError>(canister, "shard", &())
                .await?;
            let found = certified.witness.get(&ShardLeaf::key())?;
            return match leaf_of(found, "shard")? {
                Leaf::Shard(leaf) => Ok(leaf.into()),
                _ => Err(NotVerified::Malformed("shard").into()),
            };
        }
        let (_, certified) = self
            .read::<BeaconReply, DirectoryError>(canister, "beacon", &())
            .await?;
        let found = certified.witness.get(&BeaconLeaf::key())?;
        let price = match leaf_of(found, "beacon")? {
            Leaf::Beacon(leaf) => Price::from(leaf),
            _ => return Err(NotVerified::Malformed("beacon").into()),
        };
        self.locked_purse().directory = Some(price);
        Ok(price)
    }

    /// Puts tickets into requests: those that were found before, and others that are looked for.
    async fn with_tickets<R>(
        &self,
        canister: &CanisterId,
        price: Price,
        requests: Vec<R>,
    ) -> Result<Vec<R>, ClientError>
    where
        R: Paid + Send + 'static,
    {
        let bits = price.difficulties.of(R::PURPOSE);
        let canister = canister.clone();
        let kept: Vec<Option<Ticket>> = {
            let purse = self.locked_purse();
            let requests = requests.iter();
            requests
                .map(|request| purse.ticket(&challenge(&canister, price, request), bits))
                .collect()
        };
        let work = move || {
            let mut found = Vec::with_capacity(requests.len());
            for (mut request, kept) in requests.into_iter().zip(kept) {
                let challenge = challenge(&canister, price, &request);
                let ticket = kept.or_else(|| challenge.solve(bits))?;
                *request.credential_mut() = Credential::ticket(&ticket);
                found.push((request, ticket));
            }
            Some((canister, found))
        };
        let (canister, found) = tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| ClientError::Bug("the search for a ticket ended"))?
            .ok_or(NotVerified::Differs("a canister asks for endless work"))?;
        let mut purse = self.locked_purse();
        let requests = found.into_iter().map(|(request, ticket)| {
            purse.keep(&challenge(&canister, price, &request), ticket);
            request
        });
        Ok(requests.collect())
    }

    fn locked_purse(&self) -> MutexGuard<'_, Purse> {
        self.purse.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn challenge<'a, R: Paid>(canister: &'a CanisterId, price: Price, request: &R) -> Challenge<'a> {
    Challenge {
        canister,
        purpose: R::PURPOSE,
        call: request.call_hash(),
        beacon: price.beacon,
    }
}

fn leaf_of(found: Found<'_>, method: &'static str) -> Result<Leaf, ClientError> {
    let Found::Present(leaf) = found else {
        return Err(NotVerified::Differs("a canister certifies nothing of itself").into());
    };
    decode(leaf).map_err(|_| NotVerified::Malformed(method).into())
}

/// Why a canister refused a ticket.
const fn refusal(error: &ClientError) -> Option<TicketRefusal> {
    match error {
        ClientError::Relay(RelayError::Ticket(refusal))
        | ClientError::Directory(DirectoryError::Ticket(refusal)) => Some(*refusal),
        _ => None,
    }
}

/// Pays again where a ticket does not count any more: at once, then after a pause each time, since
/// nodes are a little behind one another and beacons a little late. Where more and more work is
/// asked for it is given up soon.
async fn while_stale<T>(
    pause: Duration,
    mut call: impl AsyncFnMut() -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let mut raised = 0;
    for tried in 1..TRIES {
        let answer = call().await;
        match answer.as_ref().err().and_then(refusal) {
            Some(TicketRefusal::NotReady | TicketRefusal::BeaconExpired) => {}
            Some(TicketRefusal::TooLittleWork) if raised < RAISES_MAX => raised += 1,
            Some(_) | None => return answer,
        }
        if tried > 1 {
            tokio::time::sleep(pause).await;
        }
    }
    call().await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a call says each time, one after the other; and how often it was made.
    async fn calls(said: &[Result<u8, ClientError>]) -> (Result<u8, ClientError>, usize) {
        let mut made = 0;
        let answer = while_stale(Duration::ZERO, async || {
            let answer = match &said[made.min(said.len() - 1)] {
                Ok(answer) => Ok(*answer),
                Err(ClientError::Directory(error)) => Err((*error).into()),
                Err(ClientError::Relay(error)) => Err((*error).into()),
                Err(other) => panic!("{other:?}"),
            };
            made += 1;
            answer
        })
        .await;
        (answer, made)
    }

    fn by_directory(refusal: TicketRefusal) -> Result<u8, ClientError> {
        Err(DirectoryError::Ticket(refusal).into())
    }

    fn by_relay(refusal: TicketRefusal) -> Result<u8, ClientError> {
        Err(RelayError::Ticket(refusal).into())
    }

    /// Between payment and use the beacon is over, or the administrators ask for more: the client
    /// looks and pays again, and its caller hears nothing of it.
    #[tokio::test]
    async fn what_changed_meanwhile_is_paid_again() {
        for refusal in [
            TicketRefusal::NotReady,
            TicketRefusal::BeaconExpired,
            TicketRefusal::TooLittleWork,
        ] {
            for refused in [by_directory(refusal), by_relay(refusal)] {
                let (answer, made) = calls(&[refused, Ok(7)]).await;
                assert_eq!((answer.unwrap(), made), (7, 2));
            }
        }
    }

    /// A canister that asks for more each time gets three more payments; one without a beacon is
    /// asked for a while. Then the caller hears why.
    #[tokio::test]
    async fn it_is_not_paid_for_ever() {
        let (answer, made) = calls(&[by_directory(TicketRefusal::TooLittleWork)]).await;
        let Err(ClientError::Directory(DirectoryError::Ticket(refusal))) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!((refusal, made), (TicketRefusal::TooLittleWork, 4));
        let (answer, made) = calls(&[by_relay(TicketRefusal::NotReady)]).await;
        let Err(ClientError::Relay(RelayError::Ticket(refusal))) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!((refusal, made), (TicketRefusal::NotReady, TRIES as usize));
    }

    /// What another payment does not mend is told at once.
    #[tokio::test]
    async fn other_refusals_are_told() {
        for refused in [
            by_directory(TicketRefusal::Spent),
            by_directory(TicketRefusal::Busy),
            Err(DirectoryError::Rejected.into()),
            Err(RelayError::Full.into()),
            Ok(1),
        ] {
            let (_, made) = calls(&[refused, Ok(7)]).await;
            assert_eq!(made, 1);
        }
    }
}
