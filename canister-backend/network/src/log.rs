//! The first network file in the directory's log. It names the log's configuration, and the log
//! begins with it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use candid::Principal;
use ic_agent::{Agent, AgentError};
use paigham_subnet::Subnet;
use paigham_transparency::hash::Label;
use paigham_transparency::structs::{SearchRequest, SearchResponse};
use paigham_wire::codec::{decode, decode_result, encode};
use paigham_wire::directory::{BeaconReply, DirectoryError};
use paigham_wire::ids::CanisterId;
use paigham_wire::leaf::{BeaconLeaf, Leaf};
use paigham_wire::log::{
    ConfigReply, LabelAnswer, Lookup, LookupAnswers, NETWORK_PREFIX, Submission, Submit,
    SubmitState, Submitted, Wanted,
};
use paigham_wire::map::{Found, Witness};
use paigham_wire::network::{NetworkError, VerifiedNetwork};
use paigham_wire::relay::Credential;
use paigham_wire::ticket::{Beacon, Paid, TicketRefusal};
use serde_bytes::{ByteBuf, Bytes};
use tls_codec::DeserializeBytes;

/// The agent compares certificates with this machine's clock; a subnet in this process may go by
/// another one.
const READ_EXPIRY: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);
/// How long an update may be on its way; a subnet takes at most 5 minutes.
const UPDATE_EXPIRY: Duration = Duration::from_secs(4 * 60);
/// Between two questions whether something is ready.
const PAUSE: Duration = Duration::from_millis(20);
/// How often it is asked: the directory needs a round or two for each step, and a subnet elsewhere
/// a few seconds for a round.
const QUESTIONS: u32 = 3_000;

/// Why the directory's log does not begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory cannot be asked.
    #[error("the directory: {0}")]
    Agent(#[source] Box<AgentError>),
    /// It refuses.
    #[error("the directory refuses: {0}")]
    Refused(#[source] DirectoryError),
    /// It answers something else than it should.
    #[error("the directory answers something else than it should")]
    Reply,
    /// It does not come to it in a minute.
    #[error("the directory's log does not begin")]
    Late,
    /// The file that the log began with earlier is none.
    #[error("the network file in the log: {0}")]
    File(#[source] NetworkError),
}

/// The directory, as whoever sets it up asks it.
pub(crate) struct DirectoryLog<'a> {
    asker: &'a Asker,
    directory: Principal,
}

/// How a subnet is asked.
pub(crate) struct Asker {
    agent: Agent,
    /// Time of a subnet in this process, nanoseconds since 1970: its clock may be another one than
    /// this machine's.
    now_ns: Option<u64>,
}

impl Asker {
    /// A subnet elsewhere, which goes by the time of the world.
    pub(crate) fn over(agent: &Agent) -> Self {
        Self {
            agent: agent.clone(),
            now_ns: None,
        }
    }

    /// A subnet in this process.
    pub(crate) fn on(subnet: &Subnet, now_ns: u64) -> Result<Self, LogError> {
        Ok(Self {
            agent: agent_on(subnet)?,
            now_ns: Some(now_ns),
        })
    }
}

/// An agent on a subnet in this process.
fn agent_on(subnet: &Subnet) -> Result<Agent, LogError> {
    let agent = Agent::builder()
        .with_url(crate::NOWHERE)
        .with_arc_http_middleware(subnet.in_process())
        .with_ingress_expiry(READ_EXPIRY)
        .build()
        .map_err(|error| LogError::Agent(Box::new(error)))?;
    agent.set_root_key(subnet.root_key_der());
    Ok(agent)
}

impl<'a> DirectoryLog<'a> {
    pub(crate) const fn new(asker: &'a Asker, directory: Principal) -> Self {
        Self { asker, directory }
    }

    /// The log's configuration, once the directory has drawn its keys.
    pub(crate) async fn configuration(&self) -> Result<Vec<u8>, LogError> {
        for _ in 0..QUESTIONS {
            match self.query::<ConfigReply>("config", Vec::new()).await {
                Err(LogError::Refused(DirectoryError::NotReady)) => {
                    tokio::time::sleep(PAUSE).await;
                }
                reply => return Ok(reply?.config.as_slice().to_vec()),
            }
        }
        Err(LogError::Late)
    }

    /// Begins the log with a network file, and returns the file that it began with: another one of
    /// the same network, where an earlier start was interrupted after this.
    pub(crate) async fn begin(&self, file: &VerifiedNetwork) -> Result<VerifiedNetwork, LogError> {
        let label = [&NETWORK_PREFIX[..], &file.file().network[..]].concat();
        let submit = Submit {
            submission: Submission::Network(file.bytes().to_vec().into()),
            credential: Credential::none(),
        };
        // The same bytes again are told how far they are; another file that waits goes first.
        for _ in 0..QUESTIONS {
            match self.update::<SubmitState>("submit", encode(&submit)).await {
                Ok(SubmitState {
                    state: Submitted::Published { .. },
                    ..
                })
                | Err(LogError::Refused(DirectoryError::NotAllowed)) => {
                    return self.first(label).await;
                }
                Ok(_) | Err(LogError::Refused(DirectoryError::Pending)) => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(LogError::Late)
    }

    /// Hands the log a successor of the newest file in it. It is kept there until the next entry;
    /// who makes sure of it after that is the next start.
    ///
    /// A file that waits already goes first.
    pub(crate) async fn follow(&self, file: &VerifiedNetwork) -> Result<(), LogError> {
        let mut submit = Submit {
            submission: Submission::Network(file.bytes().to_vec().into()),
            credential: Credential::none(),
        };
        for _ in 0..QUESTIONS {
            match self.update::<SubmitState>("submit", encode(&submit)).await {
                Err(LogError::Refused(DirectoryError::Pending)) => {
                    tokio::time::sleep(PAUSE).await;
                }
                // Beyond the free versions of a day, or that ticket is of an earlier beacon.
                Err(LogError::Refused(DirectoryError::Ticket(
                    TicketRefusal::Missing
                    | TicketRefusal::BeaconExpired
                    | TicketRefusal::TooLittleWork,
                ))) => self.pay(&mut submit).await?,
                outcome => return outcome.map(drop),
            }
        }
        Err(LogError::Late)
    }

    /// The newest file in the log.
    pub(crate) async fn newest(
        &self,
        network: &VerifiedNetwork,
    ) -> Result<VerifiedNetwork, LogError> {
        let files = self.files(network.log_label().to_vec()).await?;
        VerifiedNetwork::pinned(&files.1).map_err(LogError::File)
    }

    /// The file that the log began with.
    async fn first(&self, label: Vec<u8>) -> Result<VerifiedNetwork, LogError> {
        let files = self.files(label).await?;
        VerifiedNetwork::pinned(&files.0).map_err(LogError::File)
    }

    /// The first and the newest file in the log. Their proof is for clients: whoever asks here has
    /// installed the canister.
    async fn files(&self, label: Vec<u8>) -> Result<(Vec<u8>, Vec<u8>), LogError> {
        let mut wanted = Wanted {
            label: label.clone().into(),
            from: 0,
            credential: Credential::none(),
        };
        self.pay(&mut wanted).await?;
        let lookup = Lookup {
            last: None,
            wanted: vec![wanted],
        };
        let not_allowed = || LogError::Refused(DirectoryError::NotAllowed);
        let reply: LookupAnswers = match self.query("lookup", encode(&lookup)).await {
            // It has not begun with another file, so it refused this one.
            Err(LogError::Refused(DirectoryError::NotReady)) => return Err(not_allowed()),
            reply => reply?,
        };
        let Some(LabelAnswer::Found(found)) = reply.answers.first() else {
            return Err(not_allowed());
        };
        let request = SearchRequest {
            last: None,
            label: Label::new(label).map_err(|_| LogError::Reply)?,
            version: None,
        };
        let search = SearchResponse::decode_for(&request, found.search.as_slice());
        let newest = search.map_err(|_| LogError::Reply)?.value;
        let first = found.earlier.first();
        let first = first.map_or_else(|| newest.clone(), |first| first.as_slice().to_vec());
        Ok((first, newest))
    }

    /// Puts a ticket into a request, once there is a beacon that counts. Work goes on only as far as
    /// the directory asks; whoever asks here has installed it.
    async fn pay<R: Paid>(&self, request: &mut R) -> Result<(), LogError> {
        let canister = CanisterId::new(self.directory.as_slice()).ok_or(LogError::Reply)?;
        let leaf = self.beacon().await?;
        let bits = leaf.difficulties.of(R::PURPOSE);
        request
            .pay(&canister, leaf.beacon, bits)
            .ok_or(LogError::Reply)
    }

    async fn beacon(&self) -> Result<BeaconLeaf, LogError> {
        for _ in 0..QUESTIONS {
            match self.query::<BeaconReply>("beacon", Vec::new()).await {
                Ok(reply) => {
                    let witness = Witness::decode(reply.witness.as_slice());
                    let witness = witness.map_err(|_| LogError::Reply)?;
                    let Ok(Found::Present(leaf)) = witness.get(&BeaconLeaf::key()) else {
                        return Err(LogError::Reply);
                    };
                    let Ok(Leaf::Beacon(leaf)) = decode(leaf) else {
                        return Err(LogError::Reply);
                    };
                    if self.counts(&leaf.beacon) {
                        return Ok(leaf);
                    }
                }
                Err(LogError::Refused(DirectoryError::Ticket(TicketRefusal::NotReady))) => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(LogError::Late)
    }

    /// Whether a beacon counts by the time of the subnet; after a long stop a new one is due within
    /// a round.
    fn counts(&self, beacon: &Beacon) -> bool {
        let now_ns = match self.asker.now_ns {
            Some(now_ns) => now_ns,
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .ok()
                .and_then(|since| u64::try_from(since.as_nanos()).ok())
                .unwrap_or(u64::MAX),
        };
        beacon.counts(now_ns)
    }

    async fn query<T: DeserializeBytes>(
        &self,
        method: &str,
        request: Vec<u8>,
    ) -> Result<T, LogError> {
        let answer = self
            .asker
            .agent
            .query(&self.directory, method)
            .with_arg(argument(&request)?)
            .call()
            .await;
        reply(&answer.map_err(|error| LogError::Agent(Box::new(error)))?)
    }

    async fn update<T: DeserializeBytes>(
        &self,
        method: &str,
        request: Vec<u8>,
    ) -> Result<T, LogError> {
        let call = self.asker.agent.update(&self.directory, method);
        let call = call.with_arg(argument(&request)?);
        let call = match self.asker.now_ns {
            Some(now_ns) => {
                call.expire_at(UNIX_EPOCH + Duration::from_nanos(now_ns) + UPDATE_EXPIRY)
            }
            None => call,
        };
        let answer = call.call_and_wait().await;
        reply(&answer.map_err(|error| LogError::Agent(Box::new(error)))?)
    }
}

fn argument(request: &[u8]) -> Result<Vec<u8>, LogError> {
    candid::encode_one(Bytes::new(request)).map_err(|_| LogError::Reply)
}

fn reply<T: DeserializeBytes>(answer: &[u8]) -> Result<T, LogError> {
    let blob: ByteBuf = candid::decode_one(answer).map_err(|_| LogError::Reply)?;
    decode_result::<T, DirectoryError>(&blob)
        .map_err(|_| LogError::Reply)?
        .map_err(LogError::Refused)
}
