//! A relay's module on a seeded memory, and what its messages cost.

use std::collections::HashMap;

use candid::Principal;
use paigham_relay::Retention;
use paigham_subnet::{Execution, LoneCanister, Outcome};
use paigham_wire::codec::decode_result;
use paigham_wire::ids::{CanisterId, QueueId};
use paigham_wire::relay::{BatchReply, FetchReply, FetchedItem, PostOutcome, RelayError};
use serde_bytes::{ByteBuf, Bytes};
use tls_codec::DeserializeBytes;

use super::image;
use super::layout::{HEADER_BYTES, Layout, Pages, little};
use super::member::{MEASURED_AT, Member, fetch_request};
use crate::Failure;

/// The id of the first relay of a network.
const ID: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1];
/// Bytes of a certificate of a canister's data: of a subnet below a root key, with its delegation.
const CERTIFICATE_BYTES: usize = 1_024;

/// A relay with queues.
pub(super) struct Shard {
    canister: LoneCanister,
    /// Newest entries, of queues that got more than they were seeded with.
    seqs: HashMap<QueueId, u32>,
    salt: u32,
    /// Posts that were taken here.
    taken: u64,
    /// What opening the memory again cost.
    pub upgrade: Execution,
}

/// What a batch of posts cost.
pub(super) struct Cost {
    pub posts: usize,
    pub instructions: u64,
    pub heap_pages: u64,
    pub stable_pages: u64,
    pub pages: Pages,
    /// Bytes of the argument.
    pub bytes: usize,
    /// Bytes that the log of posts grew by.
    pub logged: u64,
}

impl Shard {
    /// A relay with `n` queues.
    pub fn load(n: u32, module: &[u8]) -> Result<Self, Failure> {
        let id = CanisterId::new(&ID).ok_or("no canister id")?;
        let stable = image::load(n, module, &id)?;
        let time = u64::from(MEASURED_AT) * 1_000_000_000;
        let id = Principal::from_slice(&ID);
        let (canister, upgrade) = LoneCanister::resume(module, id, &stable, time)?;
        if let Outcome::Failed { message, .. } = &upgrade.outcome {
            return Err(format!("the upgrade failed: {message}").into());
        }
        Ok(Self {
            canister,
            seqs: HashMap::new(),
            salt: 0,
            taken: 0,
            upgrade,
        })
    }

    /// Newest entry of a queue.
    pub fn seq(&self, member: &Member) -> u32 {
        let known = self.seqs.get(&member.queue).copied();
        known.unwrap_or_else(|| member.seeded_seq())
    }

    /// A new post to each of these queues in one call; all must be taken.
    pub fn post(&mut self, members: &[Member]) -> Result<Cost, Failure> {
        let mut posts = Vec::new();
        for member in members {
            let seq = self.seq(member);
            self.salt += 1;
            posts.extend(member.post(self.salt, seq)?);
            self.seqs.insert(member.queue, seq + 1);
        }
        let tail = self.log_tail()?;
        let (cost, outcomes) = self.append(members.len(), &posts)?;
        let taken = |outcome: &PostOutcome| matches!(outcome, PostOutcome::Accepted(_));
        if !outcomes.iter().all(taken) {
            return Err("a post was not accepted".into());
        }
        self.taken += outcomes.len() as u64;
        Ok(Cost {
            logged: self.log_tail()? - tail,
            ..cost
        })
    }

    /// The argument of a call with the next post to a queue.
    pub fn next_post(&mut self, member: &Member) -> Result<Vec<u8>, Failure> {
        let seq = self.seq(member);
        self.salt += 1;
        self.seqs.insert(member.queue, seq + 1);
        let post = member.post(self.salt, seq)?;
        Ok(candid::encode_one(Bytes::new(&post))?)
    }

    /// Runs a call of posts, and nothing else.
    pub fn run(&mut self, argument: Vec<u8>) -> Result<(), Failure> {
        let execution = self.canister.update("append_batch", argument);
        match execution.outcome {
            Outcome::Replied(_) => Ok(()),
            outcome => Err(format!("{outcome:?}").into()),
        }
    }

    /// Posts with a forged MAC, or with a claim to have seen what is not there; all must be refused.
    pub fn refused(&mut self, members: &[Member], forged: bool) -> Result<Cost, Failure> {
        let mut posts = Vec::new();
        for member in members {
            let ahead = if forged { 0 } else { 1 };
            posts.extend(member.forged(0, self.seq(member) + ahead)?);
        }
        let (cost, outcomes) = self.append(members.len(), &posts)?;
        let refused = |outcome: &PostOutcome| matches!(outcome, PostOutcome::Refused(_));
        if !outcomes.iter().all(refused) {
            return Err("a post was not refused".into());
        }
        Ok(cost)
    }

    fn append(&mut self, count: usize, posts: &[u8]) -> Result<(Cost, Vec<PostOutcome>), Failure> {
        let argument = candid::encode_one(Bytes::new(posts))?;
        let bytes = argument.len();
        let execution = self.canister.update("append_batch", argument);
        let (_, reply) = replied::<BatchReply>(&execution)?;
        let cost = Cost {
            posts: count,
            instructions: execution.instructions,
            heap_pages: execution.dirty_heap_pages,
            stable_pages: execution.dirty_pages,
            pages: self.layout()?.sort(self.canister.written_pages()),
            bytes,
            logged: 0,
        };
        Ok((cost, reply.outcomes))
    }

    /// Fetches what these queues have after a number of entries, and tells what the reply's bytes
    /// are.
    pub fn fetch(&mut self, wanted: &[(&Member, u32)]) -> Result<Fetched, Failure> {
        let items = wanted.iter().map(|(member, from)| member.wants(*from));
        let request = fetch_request(items.collect());
        let argument = candid::encode_one(Bytes::new(&request))?;
        let certificate = vec![0; CERTIFICATE_BYTES];
        let execution = self.canister.query("fetch", argument, certificate);
        let (bytes, reply) = replied::<FetchReply>(&execution)?;
        Ok(Fetched {
            instructions: execution.instructions,
            bytes,
            reply,
        })
    }

    /// Lets all posts expire; what that cost, message for message, and how many posts it were.
    pub fn expire(&mut self, n: u32, module: &[u8]) -> Result<(Vec<Execution>, u64), Failure> {
        let seeded = (0..n).map(|number| u64::from(Member::of(number).seeded_seq()) - 1);
        let posts = seeded.sum::<u64>() + self.taken;
        // A relay tends itself every minute; here a month passes at once, and no minute of it counts.
        let now = all_expired_ns();
        self.canister.upgrade(module, now)?;
        let ran = self.canister.wake(now, [7; 32]);
        let failed = |execution: &&Execution| matches!(execution.outcome, Outcome::Failed { .. });
        if let Some(failed) = ran.iter().find(failed) {
            return Err(format!("{:?}", failed.outcome).into());
        }
        let (busy, from) = (Member::of(1), 2);
        let left = self.fetch(&[(&busy, from)])?;
        match left.reply.items.first() {
            Some(FetchedItem::Entries(entries)) if entries.is_empty() => Ok((ran, posts)),
            other => Err(format!("not all posts have expired: {other:?}").into()),
        }
    }

    /// Where what lies in stable memory.
    pub fn layout(&self) -> Result<Layout, Failure> {
        let length = usize::try_from(HEADER_BYTES)?;
        let header = self.canister.stable_bytes(0, length);
        Ok(Layout::read(&header.ok_or("no memory")?))
    }

    fn log_tail(&self) -> Result<u64, Failure> {
        let at = self.layout()?.log_tail_at(super::layout::POSTS);
        let tail = self.canister.stable_bytes(at.ok_or("no log")?, 8);
        Ok(little(&tail.ok_or("no log")?))
    }
}

/// A bucket takes in posts of less than a day, and goes when its last one is too old.
const DAY_NS: u64 = 24 * 3_600 * 1_000_000_000;

/// When every post is too old, and no commit, in nanoseconds since 1970.
fn all_expired_ns() -> u64 {
    u64::from(MEASURED_AT) * 1_000_000_000 + Retention::default().posts + DAY_NS
}

/// A reply of `fetch`.
pub(super) struct Fetched {
    pub instructions: u64,
    /// All bytes of the reply.
    pub bytes: usize,
    pub reply: FetchReply,
}

/// The bytes and the contents of a reply that is no error.
fn replied<T: DeserializeBytes>(execution: &Execution) -> Result<(usize, T), Failure> {
    let Outcome::Replied(bytes) = &execution.outcome else {
        return Err(format!("{:?}", execution.outcome).into());
    };
    let reply: ByteBuf = candid::decode_one(bytes)?;
    let reply = decode_result::<T, RelayError>(&reply)?.map_err(|error| format!("{error:?}"))?;
    Ok((bytes.len(), reply))
}
