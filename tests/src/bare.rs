//! Calls without a client: an unmodified agent, and a queue whose posts nobody encrypted. The relay
//! does not look into envelopes, so this is enough to test what stands between.

use std::sync::Arc;
use std::time::Duration;

use candid::Principal;
use ed25519_dalek::SigningKey;
use ic_agent::agent::HttpService;
use ic_agent::{Agent, AgentError};
use paigham_transparency::codec::Codec;
use paigham_transparency::hash::Label;
use paigham_transparency::structs::{AuditorUpdate, SearchRequest, SearchResponse};
use paigham_wire::certificate::VerifiedCertificate;
use paigham_wire::chain::{EntryDigest, queue_next, queue_start};
use paigham_wire::codec::decode_result;
use paigham_wire::codec::{decode, encode};
use paigham_wire::directory::{BeaconReply, DirectoryError, Ping};
use paigham_wire::frame::{PostHeader, PostKind, encode_post, post_hash};
use paigham_wire::identity::IdentityRecord;
use paigham_wire::ids::{AccountId, CanisterId, QueueId};
use paigham_wire::keys::{EpochKeys, MacKey, ReadToken};
use paigham_wire::leaf::{BeaconLeaf, Leaf, ShardLeaf};
use paigham_wire::log::{AuditReply, AuditRequest, LabelAnswer, Lookup, LookupAnswers, Wanted};
use paigham_wire::map::{Found, Witness};
use paigham_wire::network::VerifiedNetwork;
use paigham_wire::relay::{
    BatchReply, CommitAccepted, CommitBundle, CreateQueue, Credential, Entry, FetchItem,
    FetchReply, FetchRequest, FetchWhat, FetchedItem, PostOutcome, QueueCreated, RelayError,
    ShardReply, SubmitCommit,
};
use paigham_wire::shards::ShardsReply;
use paigham_wire::ticket::{Beacon, Difficulties, Paid};
use serde_bytes::ByteBuf;
use tls_codec::DeserializeBytes;

use crate::ic::Ic;
use crate::world::World;

/// A log whose newest entry is older is soon refused, in milliseconds.
const LOG_OLD_MS: u64 = 11 * 60 * 1_000;

/// How calls reach the canisters.
#[derive(Debug, Clone)]
enum Way {
    /// An agent with query signatures on.
    Agent(Agent),
    /// As something that runs canisters takes calls.
    Ic(Arc<dyn Ic>),
}

/// An anonymous caller, and the two canisters.
#[derive(Debug, Clone)]
pub struct BareAgent {
    way: Way,
    network: VerifiedNetwork,
    clock: Option<paigham_subnet::ManualClock>,
}

impl BareAgent {
    /// Over loopback, through the world's node.
    #[must_use]
    pub fn over_http(world: &World) -> Self {
        Self::new(world, None)
    }

    /// In process, through the world's node.
    #[must_use]
    pub fn in_process(world: &World) -> Self {
        Self::new(world, Some(world.in_process()))
    }

    /// Over any transport.
    ///
    /// # Panics
    /// If the agent cannot be built.
    #[must_use]
    pub fn new(world: &World, transport: Option<Arc<dyn HttpService>>) -> Self {
        let network = world.file();
        // The agent compares with this machine's clock, which a manual clock runs away from.
        let mut builder = Agent::builder()
            .with_url(&network.file().urls[0])
            .with_ingress_expiry(Duration::from_secs(365 * 24 * 3_600));
        if let Some(transport) = transport {
            builder = builder.with_arc_http_middleware(transport);
        }
        let agent = builder.build().unwrap();
        agent.set_root_key(network.file().root_key.to_vec());
        Self {
            way: Way::Agent(agent),
            network,
            clock: world.manual_clock().cloned(),
        }
    }

    /// Without a world, on anything that runs canisters.
    #[must_use]
    pub fn on(ic: Arc<dyn Ic>, network: VerifiedNetwork) -> Self {
        Self {
            clock: Some(ic.clock()),
            way: Way::Ic(ic),
            network,
        }
    }

    /// The time that the subnet goes by, since 1970.
    #[must_use]
    pub fn now(&self) -> Duration {
        let clock: &dyn paigham_subnet::Clock = match &self.clock {
            Some(clock) => clock,
            None => &paigham_subnet::SystemClock,
        };
        Duration::from_nanos(clock.now_ns())
    }

    /// An update call; blob in, blob out.
    ///
    /// # Errors
    /// As the agent says.
    pub async fn update(
        &self,
        canister: &CanisterId,
        method: &str,
        blob: &[u8],
    ) -> Result<Vec<u8>, AgentError> {
        let expiry = std::time::UNIX_EPOCH + self.now() + Duration::from_secs(120);
        let agent = match &self.way {
            Way::Agent(agent) => agent,
            Way::Ic(ic) => {
                let answer = ic.update(principal(canister), method, argument(blob));
                return Ok(unwrapped(&answer.await?));
            }
        };
        let answer = agent
            .update(&principal(canister), method)
            .with_arg(argument(blob))
            .expire_at(expiry)
            .call()
            .and_wait()
            .await?;
        Ok(unwrapped(&answer.0))
    }

    /// A query call; blob in, blob out.
    ///
    /// # Errors
    /// As the agent says.
    pub async fn query(
        &self,
        canister: &CanisterId,
        method: &str,
        blob: &[u8],
    ) -> Result<Vec<u8>, AgentError> {
        let agent = match &self.way {
            Way::Agent(agent) => agent,
            Way::Ic(ic) => {
                let answer = ic.query(principal(canister), method, argument(blob));
                return Ok(unwrapped(&answer.await?));
            }
        };
        let answer = agent
            .query(&principal(canister), method)
            .with_arg(argument(blob))
            .call()
            .await?;
        Ok(unwrapped(&answer))
    }

    /// The directory proves the present.
    ///
    /// # Panics
    /// If it does not.
    pub async fn ping(&self) {
        let ping = Ping { nonce: [1; 32] };
        let directory = self.network.directory().unwrap();
        let answer = self.update(&directory, "ping", &encode(&ping)).await;
        let echoed: Ping = reply::<_, DirectoryError>(&answer.unwrap()).unwrap();
        assert_eq!(echoed, ping);
    }

    /// Timestamp of the log's newest entry, milliseconds since 1970.
    async fn newest_entry(&self) -> Result<u64, AgentError> {
        let directory = self.network.directory().unwrap();
        let ask = async |from| {
            let request = AuditRequest { from, limit: 1 };
            let answer = self.query(&directory, "audit", &encode(&request)).await?;
            let reply = reply::<AuditReply, DirectoryError>(&answer).unwrap();
            Ok::<_, AgentError>(reply)
        };
        let size = ask(0).await?.size;
        let newest = ask(size - 1).await?;
        let update = AuditorUpdate::decode(newest.updates[0].as_slice()).unwrap();
        Ok(update.timestamp)
    }

    /// Waits until the log has an entry of the last minutes. After a jump of the clock the next
    /// heartbeat is due at once, and clients refuse a log that is old.
    ///
    /// # Panics
    /// If none comes.
    pub async fn log_is_new(&self) {
        for _ in 0..1_000 {
            let now = u64::try_from(self.now().as_millis()).unwrap();
            if now < self.newest_entry().await.unwrap() + LOG_OLD_MS {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no heartbeat");
    }

    /// The newest record of an account, as the directory's log has it. Nothing is verified.
    ///
    /// # Errors
    /// As the agent says.
    ///
    /// # Panics
    /// If there is none.
    pub async fn record(&self, account: AccountId) -> Result<IdentityRecord, AgentError> {
        let label = account.directory_label();
        let directory = self.network.directory().unwrap();
        let request = Lookup {
            last: None,
            wanted: self.wanted(&[label.to_vec()]).await,
        };
        let answer = self.query(&directory, "lookup", &encode(&request)).await?;
        let reply: LookupAnswers = reply::<_, DirectoryError>(&answer).unwrap();
        let LabelAnswer::Found(found) = &reply.answers[0] else {
            panic!("no such account");
        };
        let request = SearchRequest {
            last: None,
            label: Label::new(&label[..]).unwrap(),
            version: None,
        };
        let newest = SearchResponse::decode_for(&request, found.search.as_slice()).unwrap();
        Ok(IdentityRecord::decode(&newest.value).unwrap())
    }

    /// What the directory certifies of the relays.
    ///
    /// # Errors
    /// As the agent says.
    ///
    /// # Panics
    /// If the directory refuses.
    pub async fn shards(&self) -> Result<ShardsReply, AgentError> {
        let directory = self.network.directory().unwrap();
        let answer = self.query(&directory, "shards", &[]).await?;
        Ok(reply::<_, DirectoryError>(&answer).unwrap())
    }

    /// Encodes a request with its ticket, once the canister has a beacon that counts.
    ///
    /// # Panics
    /// If none comes.
    pub async fn paid<R: Paid>(&self, canister: &CanisterId, mut request: R) -> Vec<u8> {
        let (beacon, difficulties) = self.price(canister).await;
        let bits = difficulties.of(R::PURPOSE);
        request.pay(canister, beacon, bits).unwrap();
        encode(&request)
    }

    /// Labels from their first version on, each with its ticket.
    ///
    /// # Panics
    /// If the directory has no beacon.
    pub async fn wanted(&self, labels: &[Vec<u8>]) -> Vec<Wanted> {
        let directory = self.network.directory().unwrap();
        let (beacon, difficulties) = self.price(&directory).await;
        let paid = labels.iter().map(|label| {
            let mut wanted = Wanted {
                label: label.clone().into(),
                from: 0,
                credential: Credential::none(),
            };
            wanted
                .pay(&directory, beacon, difficulties.look_up)
                .unwrap();
            wanted
        });
        paid.collect()
    }

    /// What a canister asks of strangers, once it has a beacon that counts.
    ///
    /// # Panics
    /// If none comes.
    pub async fn price(&self, canister: &CanisterId) -> (Beacon, Difficulties) {
        for _ in 0..200 {
            let now = u64::try_from(self.now().as_nanos()).unwrap();
            match self.asked_for(canister).await {
                Some((beacon, difficulties)) if beacon.counts(now) => {
                    return (beacon, difficulties);
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        panic!("no beacon comes")
    }

    async fn asked_for(&self, canister: &CanisterId) -> Option<(Beacon, Difficulties)> {
        if self.network.directory().as_ref() == Ok(canister) {
            let answer = self.query(canister, "beacon", &[]).await.unwrap();
            let reply = reply::<BeaconReply, DirectoryError>(&answer).ok()?;
            let witness = Witness::decode(reply.witness.as_slice()).unwrap();
            let Ok(Found::Present(leaf)) = witness.get(&BeaconLeaf::key()) else {
                panic!("no beacon in the witness")
            };
            let Leaf::Beacon(leaf) = decode(leaf).unwrap() else {
                panic!("another leaf")
            };
            return Some((leaf.beacon, leaf.difficulties));
        }
        let answer = self.query(canister, "shard", &[]).await.unwrap();
        let shard = reply::<ShardReply, RelayError>(&answer).ok()?;
        let leaf = shard_leaf(shard.witness.as_slice());
        Some((leaf.beacon, leaf.difficulties))
    }

    /// Makes a queue in epoch 0.
    ///
    /// # Panics
    /// If the relay refuses.
    pub async fn create_queue(
        &self,
        relay: &CanisterId,
        first_control_key: &SigningKey,
        nonce: [u8; 32],
    ) -> QueueId {
        let (queue, request) = CreateQueue::sign(first_control_key, relay, nonce);
        let created = self.try_create_queue(relay, request).await.unwrap();
        assert_eq!(created.queue, queue);
        queue
    }

    /// Pays for a queue and asks for it.
    ///
    /// # Errors
    /// What the relay answers.
    ///
    /// # Panics
    /// If nothing answers.
    pub async fn try_create_queue(
        &self,
        relay: &CanisterId,
        request: CreateQueue,
    ) -> Result<QueueCreated, RelayError> {
        let request = self.paid(relay, request).await;
        let answer = self.update(relay, "create_queue", &request).await;
        decode_result(&answer.unwrap()).unwrap()
    }

    /// Makes a queue and starts its epoch 1.
    ///
    /// # Panics
    /// If the relay refuses.
    pub async fn make_queue(&self) -> BareQueue {
        let relay = self.network.relay().unwrap();
        let first = SigningKey::from_bytes(&[3; 32]);
        let queue = self.create_queue(&relay, &first, [4; 32]).await;
        let queue = BareQueue {
            agent: self.clone(),
            relay,
            queue,
            mac_key: MacKey::new([5; 32]),
            token: ReadToken::new([6; 32]),
        };
        queue.start_epoch_one(&first).await;
        queue
    }
}

fn shard_leaf(witness: &[u8]) -> ShardLeaf {
    let witness = Witness::decode(witness).unwrap();
    match witness.get(&ShardLeaf::key()).unwrap() {
        Found::Present(leaf) => match decode(leaf).unwrap() {
            Leaf::Shard(leaf) => leaf,
            other => panic!("{other:?}"),
        },
        Found::Absent => panic!("the relay certifies nothing of itself"),
    }
}

/// A queue whose keys are known and whose posts are plain bytes.
#[derive(Debug, Clone)]
pub struct BareQueue {
    agent: BareAgent,
    relay: CanisterId,
    queue: QueueId,
    mac_key: MacKey,
    token: ReadToken,
}

impl BareQueue {
    /// Its id.
    #[must_use]
    pub const fn id(&self) -> QueueId {
        self.queue
    }

    fn header(&self, kind: PostKind, epoch: u32, after_seq: u32, envelope: &[u8]) -> PostHeader {
        let not_after = self.agent.now().as_secs() + 300;
        PostHeader {
            queue: self.queue,
            epoch,
            not_after: u32::try_from(not_after).unwrap(),
            kind,
            after_seq,
            length: u32::try_from(envelope.len()).unwrap(),
        }
    }

    async fn start_epoch_one(&self, first: &SigningKey) {
        let envelope = b"the first commit";
        let header = self.header(PostKind::Commit, 0, 0, envelope);
        let next_keys = EpochKeys {
            control_key: SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes(),
            mac_key: self.mac_key.clone(),
            read_token_hash: self.token.hash(),
            generation: 1,
        };
        let bundle = CommitBundle::empty();
        let hash = post_hash(&header.to_bytes(), envelope);
        let signature = SubmitCommit::signature(
            first,
            &self.relay,
            &self.queue,
            0,
            &hash,
            &next_keys,
            &bundle,
        );
        let request = SubmitCommit {
            post: encode_post(&header, None, envelope).into(),
            next_keys,
            bundle,
            signature,
        };
        let request = encode(&request);
        let answer = self.agent.update(&self.relay, "submit_commit", &request);
        let accepted: CommitAccepted = reply::<_, RelayError>(&answer.await.unwrap()).unwrap();
        assert_eq!(accepted.epoch, 1);
    }

    /// The bytes of a post.
    #[must_use]
    pub fn sealed(&self, text: &str, after_seq: u32) -> Vec<u8> {
        let header = self.header(PostKind::Application, 1, after_seq, text.as_bytes());
        encode_post(&header, Some(&self.mac_key), text.as_bytes())
    }

    /// Appends a post; sealed anew it is another one, the same bytes are a repeat.
    ///
    /// # Errors
    /// As the agent says.
    ///
    /// # Panics
    /// If the relay refuses the batch.
    pub async fn append(&self, post: &[u8]) -> Result<PostOutcome, AgentError> {
        let answer = self.agent.update(&self.relay, "append_batch", post).await?;
        let reply: BatchReply = reply::<_, RelayError>(&answer).unwrap();
        Ok(reply.outcomes[0])
    }

    /// Asks for entries, and believes the node.
    ///
    /// # Errors
    /// As the agent says.
    pub async fn fetch(&self, from_seq: u32) -> Result<Vec<u8>, AgentError> {
        let request = FetchRequest {
            items: vec![FetchItem {
                queue: self.queue,
                token: self.token.clone(),
                from: from_seq,
                what: FetchWhat::Entries,
            }],
        };
        let request = encode(&request);
        self.agent.query(&self.relay, "fetch", &request).await
    }

    /// Checks a whole fetch from the first entry as the protocol demands (`spec/protocol.md`
    /// §6.3) and returns the entries. A second opinion on what [`crate::node`] makes of a reply;
    /// it knows nothing of clients.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self, answer: &[u8]) -> Result<Vec<Entry>, &'static str> {
        let fetched = reply::<FetchReply, RelayError>(answer).map_err(|_| "reply")?;
        let certificate = VerifiedCertificate::verify(
            fetched.certificate.as_slice(),
            &self.agent.network.file().root_key,
            &self.relay,
        )
        .map_err(|_| "certificate")?;
        let data = certificate
            .certified_data(&self.relay)
            .map_err(|_| "certificate")?;
        let witness = Witness::decode(fetched.witness.as_slice()).map_err(|_| "witness")?;
        if witness.root() != data {
            return Err("root");
        }
        let Ok(Found::Present(leaf)) = witness.get(&self.queue.0) else {
            return Err("leaf");
        };
        let Ok(Leaf::Queue(leaf)) = decode(leaf) else {
            return Err("leaf");
        };
        let [FetchedItem::Entries(entries)] = &fetched.items[..] else {
            return Err("items");
        };
        let mut at = (0, queue_start(&self.queue));
        for entry in entries {
            if entry.seq != at.0 + 1 {
                return Err("order");
            }
            let digest = EntryDigest {
                accepted_at: entry.accepted_at,
                post_hash: post_hash(&entry.header, entry.envelope.as_slice()),
            };
            at = (entry.seq, queue_next(&at.1, entry.seq, &digest));
        }
        if at != (leaf.seq, leaf.head) {
            return Err("chain");
        }
        // The queue's chain does not cover H(keys); the commit chain does (§3.2).
        let keys = entries.iter().rev().find_map(|entry| entry.keys_hash);
        if keys != Some(leaf.keys_hash) {
            return Err("keys");
        }
        Ok(entries.clone())
    }
}

fn principal(canister: &CanisterId) -> Principal {
    Principal::try_from_slice(canister.as_slice()).unwrap()
}

fn argument(blob: &[u8]) -> Vec<u8> {
    candid::encode_one(serde_bytes::Bytes::new(blob)).unwrap()
}

/// The blob inside of a Candid reply, or nothing: a malicious node may answer anything.
fn unwrapped(answer: &[u8]) -> Vec<u8> {
    candid::decode_one::<ByteBuf>(answer)
        .map(ByteBuf::into_vec)
        .unwrap_or_default()
}

fn reply<T: DeserializeBytes, E: DeserializeBytes + std::fmt::Debug>(
    answer: &[u8],
) -> Result<T, &'static str> {
    match decode_result::<T, E>(answer) {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(_)) => Err("refused"),
        Err(_) => Err("malformed"),
    }
}
