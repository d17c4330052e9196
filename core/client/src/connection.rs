//! Calls to the canisters through an unmodified agent, and the verification that every answer has
//! to pass (`spec/client.md` §1, §2).

mod code;
mod reach;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use candid::{DecoderConfig, Principal};
use ic_agent::agent::HttpService;
use ic_agent::{Agent, AgentError};
use paigham_wire::certificate::{
    FreshnessError, VerifiedCertificate, certified_time_ns, check_fresh,
};
use paigham_wire::codec::{decode_result, encode};
use paigham_wire::directory::{DirectoryError, Ping};
use paigham_wire::ids::CanisterId;
use paigham_wire::map::Witness;
use paigham_wire::network::VerifiedNetwork;
use paigham_wire::relay::{FetchReply, InboxReply, PoolReply, WelcomeReply};
use serde_bytes::ByteBuf;
use tls_codec::{DeserializeBytes, Serialize};

use crate::clock::{Clock, NetworkTime};
use crate::error::{ClientError, NotVerified};
use crate::paid::Purse;
use reach::{READ_MAX, UPDATE_MAX};

/// The agent's own freshness check is switched off by an expiry that never comes: it compares with
/// this machine's clock, which may be wrong. Ours compares with certified time. Anonymous reads may
/// carry any expiry (IC interface specification).
const READ_EXPIRY: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);
/// How long an update may be on its way, in the network's time; a subnet takes at most 5 minutes.
const UPDATE_EXPIRY_NS: u64 = 4 * 60 * 1_000_000_000;
/// How far two clocks of this machine may run apart before the time is compared anew.
const DRIFT_NS: u64 = 60 * 1_000_000_000;
/// How wrong this machine's clock may be where OpenMLS reads it; lifetimes leave a day.
const CLOCK_MAX_SECONDS: u64 = 12 * 3_600;
/// How long a ping may take to prove the present.
const PING_MAX_NS: u64 = 60 * 1_000_000_000;
/// Largest answer in bytes; a query reply has at most 3 MiB.
const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Steps that decoding an answer may take; a blob needs a few for each byte.
const DECODING_QUOTA: usize = 64 * ANSWER_MAX_BYTES;

/// A reply that is certified as a whole.
pub(crate) trait CertifiedReply {
    /// Its certificate and witness.
    fn proof(&self) -> (&[u8], &[u8]);
}

macro_rules! certified {
    ($($reply:ty),*) => {
        $(impl CertifiedReply for $reply {
            fn proof(&self) -> (&[u8], &[u8]) {
                (self.certificate.as_slice(), self.witness.as_slice())
            }
        })*
    };
}
certified!(FetchReply, InboxReply, PoolReply, WelcomeReply);

/// What a certificate and a witness show.
#[derive(Debug, Clone)]
pub(crate) struct Certified {
    /// The witness; its root is the certified one.
    pub witness: Witness,
    /// Certified time in nanoseconds since 1970.
    pub time_ns: u64,
    /// How old it was on arrival, in milliseconds.
    pub age_ms: u64,
}

/// One network, as one client reaches it.
pub(crate) struct Connection {
    agent: Agent,
    network: VerifiedNetwork,
    directory: CanisterId,
    clock: Arc<dyn Clock>,
    time: Mutex<NetworkTime>,
    /// Wall and monotonic clock when the time was last compared with a certificate.
    compared: Mutex<Option<(u64, u64)>>,
    /// The same for each canister whose code was looked at and found to be allowed.
    code_seen: Mutex<BTreeMap<Vec<u8>, (u64, u64)>>,
    /// Relays that let a time run out in this round, and what was said of it.
    silent: Mutex<BTreeMap<Vec<u8>, String>>,
    /// Tickets that were found.
    pub(crate) purse: Mutex<Purse>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("network", &self.network.file().name)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Reaches the network over HTTP, or over `transport`.
    pub fn new(
        network: VerifiedNetwork,
        transport: Option<Arc<dyn HttpService>>,
        clock: Arc<dyn Clock>,
        time: NetworkTime,
    ) -> Result<Self, ClientError> {
        let unreachable = |error: AgentError| ClientError::Unreachable(error.to_string());
        let url = network.file().urls.first();
        let url =
            url.ok_or_else(|| ClientError::Unreachable("the network has no address".into()))?;
        let mut builder = Agent::builder()
            .with_url(url)
            .with_ingress_expiry(READ_EXPIRY)
            .with_max_response_body_size(ANSWER_MAX_BYTES);
        if let Some(transport) = transport {
            builder = builder.with_arc_http_middleware(transport);
        }
        let agent = builder.build().map_err(unreachable)?;
        agent.set_root_key(network.file().root_key.to_vec());
        let directory = network.directory()?;
        Ok(Self {
            agent,
            network,
            directory,
            clock,
            time: Mutex::new(time),
            compared: Mutex::new(None),
            code_seen: Mutex::default(),
            silent: Mutex::default(),
            purse: Mutex::default(),
        })
    }

    /// The pinned network.
    pub const fn network(&self) -> &VerifiedNetwork {
        &self.network
    }

    /// The directory canister.
    pub const fn directory(&self) -> &CanisterId {
        &self.directory
    }

    /// What is known of the network's time.
    pub fn time(&self) -> NetworkTime {
        *self.locked_time()
    }

    /// The present in the network's time, nanoseconds since 1970.
    pub fn now_ns(&self) -> u64 {
        self.time().now_ns(self.clock.wall_ns())
    }

    /// The present in the network's time, seconds since 1970.
    pub fn now_seconds(&self) -> u64 {
        self.now_ns() / 1_000_000_000
    }

    fn locked_time(&self) -> MutexGuard<'_, NetworkTime> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a query that is certified, and verifies certificate, time, canister and witness.
    ///
    /// # Errors
    /// [`ClientError`], or the canister's own error inside.
    pub async fn read<T, E>(
        &self,
        canister: &CanisterId,
        method: &'static str,
        request: &impl Serialize,
    ) -> Result<(T, Certified), ClientError>
    where
        T: DeserializeBytes + CertifiedReply,
        E: DeserializeBytes + Into<ClientError>,
    {
        let reply = self
            .query::<T, E>(canister, method, &encode(request))
            .await?;
        let certified = self.verify(canister, &reply).await?;
        Ok((reply, certified))
    }

    /// Calls a query whose reply proves itself, or is a hint: nothing of it is verified here but
    /// its form.
    ///
    /// # Errors
    /// [`ClientError`], or the canister's own error inside.
    pub async fn query<T, E>(
        &self,
        canister: &CanisterId,
        method: &'static str,
        request: &[u8],
    ) -> Result<T, ClientError>
    where
        T: DeserializeBytes,
        E: DeserializeBytes + Into<ClientError>,
    {
        if canister != &self.directory {
            self.ensure_code(canister).await?;
        }
        let asked = self
            .agent
            .query(&principal(canister)?, method)
            .with_arg(argument(request)?)
            .call();
        let answer = self.reach(canister, READ_MAX, asked).await?;
        reply::<T, E>(method, &answer)
    }

    async fn verify(
        &self,
        canister: &CanisterId,
        reply: &impl CertifiedReply,
    ) -> Result<Certified, ClientError> {
        let (certificate, witness) = reply.proof();
        let root_key = &self.network.file().root_key;
        let certificate = VerifiedCertificate::verify(certificate, root_key, canister)?;
        let certified_data = certificate.certified_data(canister)?;
        let time_ns = certificate.time_ns();
        let age_ms = self.check_time(time_ns).await?;
        let witness = Witness::decode(witness)?;
        if witness.root() != certified_data {
            return Err(NotVerified::WitnessRoot.into());
        }
        Ok(Certified {
            witness,
            time_ns,
            age_ms,
        })
    }

    /// Whether a certificate is of now; returns its age in milliseconds. Where this machine's clock
    /// and the certificate disagree, a ping tells which of the two is wrong.
    pub async fn check_time(&self, certified_ns: u64) -> Result<u64, ClientError> {
        if self.time().is_unproved(self.clock.wall_ns())
            || check_fresh(certified_ns, self.now_ns()).is_err()
        {
            self.prove_present(certified_ns).await?;
        }
        let now = self.now_ns();
        match check_fresh(certified_ns, now) {
            Ok(()) => {}
            Err(FreshnessError::Stale(seconds)) => {
                return Err(NotVerified::StaleCertificate(seconds).into());
            }
            Err(FreshnessError::Ahead(seconds)) => {
                return Err(NotVerified::AheadOfTime(seconds).into());
            }
        }
        self.locked_time().observe(certified_ns);
        *self.locked_compared() = Some((self.clock.wall_ns(), self.clock.monotonic_ns()));
        Ok(now.saturating_sub(certified_ns) / 1_000_000)
    }

    fn locked_compared(&self) -> MutexGuard<'_, Option<(u64, u64)>> {
        self.compared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that the present is known before anything is sealed with a `not_after`: a post
    /// that may be accepted in a year would have to be waited for as long.
    ///
    /// # Errors
    /// As [`Connection::read`].
    pub async fn ensure_time(&self) -> Result<(), ClientError> {
        let compared = *self.locked_compared();
        let steady = compared.is_some_and(|(wall, monotonic)| {
            let by_wall = self.clock.wall_ns().abs_diff(wall);
            let by_monotonic = self.clock.monotonic_ns().saturating_sub(monotonic);
            self.clock.wall_ns() >= wall && by_wall.abs_diff(by_monotonic) <= DRIFT_NS
        });
        if !steady || self.time().is_unproved(self.clock.wall_ns()) {
            let time_ns = self.canister_state(&self.directory).await?.time_ns;
            self.check_time(time_ns).await?;
        }
        Ok(())
    }

    /// Refuses what OpenMLS judges by this machine's own clock (lifetimes of key packages), where
    /// that clock is far from the network's time.
    ///
    /// # Errors
    /// [`ClientError::ClockWrong`].
    pub fn check_clock(&self) -> Result<(), ClientError> {
        match self.time().wrong_by_seconds() {
            Some(seconds) if seconds.unsigned_abs() > CLOCK_MAX_SECONDS => {
                Err(ClientError::ClockWrong(seconds))
            }
            _ => Ok(()),
        }
    }

    /// Proves the present: a certificate over an own request with a fresh nonce, which arrives
    /// within a minute of a clock that nobody can set.
    ///
    /// `hint_ns` is a time that the subnet certified once: where it was long ago, the subnet takes
    /// no update that expires shortly after it, and no proof comes about.
    async fn prove_present(&self, hint_ns: u64) -> Result<(), ClientError> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(|_| ClientError::Bug("no randomness"))?;
        let ping = encode(&Ping { nonce });
        let sent = self.clock.monotonic_ns();
        let hint_ns = hint_ns.max(self.time().floor_ns);
        let answer = self
            .call(&self.directory, "ping", &ping, hint_ns)
            .await
            .map_err(|error| self.not_of_now(hint_ns, error))?;
        let took = self.clock.monotonic_ns().saturating_sub(sent);
        let echoed: Ping = reply::<_, DirectoryError>("ping", &answer.0)?;
        if echoed.nonce != nonce {
            return Err(NotVerified::Differs("another ping").into());
        }
        if took > PING_MAX_NS {
            return Err(ClientError::Unreachable(
                "the network answers too slowly".into(),
            ));
        }
        self.locked_time().present(answer.1, self.clock.wall_ns());
        Ok(())
    }

    /// A ping that is not taken, after a certificate that this clock finds old, means that the
    /// certificate is old.
    fn not_of_now(&self, hint_ns: u64, error: ClientError) -> ClientError {
        match (check_fresh(hint_ns, self.now_ns()), &error) {
            (Err(FreshnessError::Stale(seconds)), ClientError::Unreachable(_)) => {
                NotVerified::StaleCertificate(seconds).into()
            }
            _ => error,
        }
    }

    /// Calls an update whose structured reply the subnet certifies.
    ///
    /// # Errors
    /// [`ClientError`], or the canister's own error inside.
    pub async fn update<T, E>(
        &self,
        canister: &CanisterId,
        method: &'static str,
        request: &[u8],
    ) -> Result<T, ClientError>
    where
        T: DeserializeBytes,
        E: DeserializeBytes + Into<ClientError>,
    {
        self.update_at::<T, E>(canister, method, request).await?.0
    }

    /// As [`Connection::update`], with the time of the certificate over the answer, also where the
    /// canister refuses.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn update_at<T, E>(
        &self,
        canister: &CanisterId,
        method: &'static str,
        request: &[u8],
    ) -> Result<(Result<T, ClientError>, u64), ClientError>
    where
        T: DeserializeBytes,
        E: DeserializeBytes + Into<ClientError>,
    {
        self.ensure_time().await?;
        self.ensure_code(canister).await?;
        let (answer, time_ns) = self.call(canister, method, request, self.now_ns()).await?;
        self.locked_time().observe(time_ns);
        Ok((reply::<T, E>(method, &answer), time_ns))
    }

    /// The bytes of an update's reply, and the time of the certificate over it.
    async fn call(
        &self,
        canister: &CanisterId,
        method: &'static str,
        request: &[u8],
        now_ns: u64,
    ) -> Result<(Vec<u8>, u64), ClientError> {
        let expiry = UNIX_EPOCH + Duration::from_nanos(now_ns.saturating_add(UPDATE_EXPIRY_NS));
        let asked = self
            .agent
            .update(&principal(canister)?, method)
            .with_arg(argument(request)?)
            .expire_at(expiry)
            .call()
            .and_wait();
        let (answer, certificate) = self.reach(canister, UPDATE_MAX, asked).await?;
        Ok((answer, certified_time_ns(&certificate)?))
    }
}

fn principal(canister: &CanisterId) -> Result<Principal, ClientError> {
    Principal::try_from_slice(canister.as_slice())
        .map_err(|_| ClientError::Bug("a canister id that is no principal"))
}

fn argument(blob: &[u8]) -> Result<Vec<u8>, ClientError> {
    candid::encode_one(serde_bytes::Bytes::new(blob))
        .map_err(|_| ClientError::Bug("an argument that does not encode"))
}

fn reply<T, E>(method: &'static str, answer: &[u8]) -> Result<T, ClientError>
where
    T: DeserializeBytes,
    E: DeserializeBytes + Into<ClientError>,
{
    let malformed = || ClientError::from(NotVerified::Malformed(method));
    let mut quota = DecoderConfig::new();
    quota
        .set_decoding_quota(DECODING_QUOTA)
        .set_skipping_quota(10_000);
    let (blob,): (ByteBuf,) =
        candid::decode_args_with_config(answer, &quota).map_err(|_| malformed())?;
    decode_result::<T, E>(&blob)
        .map_err(|_| malformed())?
        .map_err(Into::into)
}

/// What an agent's error means for us.
fn refused(error: AgentError) -> ClientError {
    match error {
        AgentError::QuerySignatureVerificationFailed
        | AgentError::MalformedSignature
        | AgentError::MissingSignature
        | AgentError::TooManySignatures { .. } => NotVerified::NodeSignature.into(),
        AgentError::CertificateVerificationFailed()
        | AgentError::CertificateNotAuthorized()
        | AgentError::CertificateHasTooManyDelegations
        | AgentError::LookupPathAbsent(_)
        | AgentError::LookupPathUnknown(_)
        | AgentError::LookupPathError(_)
        | AgentError::InvalidRequestStatus(..)
        | AgentError::InvalidCborData(_)
        | AgentError::MalformedPublicKey
        | AgentError::DerKeyLengthMismatch { .. }
        | AgentError::DerPrefixMismatch { .. }
        | AgentError::Leb128ReadError(_) => NotVerified::Agent(error.to_string()).into(),
        other => ClientError::Unreachable(other.to_string()),
    }
}
