//! A queue of a seeded relay, as its members use it: its keys follow from its number, so that none
//! has to be kept.

use paigham_wire::codec::encode;
use paigham_wire::frame::{PostHeader, PostKind, encode_post};
use paigham_wire::hash::{Hash, blake3_labelled};
use paigham_wire::ids::QueueId;
use paigham_wire::keys::{EpochKeys, MacKey, ReadToken};
use paigham_wire::relay::{CommitBundle, FetchItem, FetchRequest, FetchWhat, SubmitCommit};

use crate::Failure;

/// Bytes of the envelope of a post of 1 KiB.
pub(super) const KIB: usize = 1024;
/// Bytes of the envelopes that queues are seeded with: costs of later posts do not depend on them.
const SEED_BYTES: usize = 32;
/// Posts in a queue at first, at most, beside the commit that founded it.
const SEED_MAX_POSTS: u8 = 8;

/// When the relay is seeded, in seconds since 1970.
pub(super) const SEEDED_AT: u32 = 1_800_000_000;
/// When it is measured: the bucket of seven hours before is closed, so that a queue's next post
/// names its queue, as those of all but busy queues do.
pub(super) const MEASURED_AT: u32 = SEEDED_AT + 7 * 3_600;
/// How long a post may be on its way.
const LIFETIME_SECONDS: u32 = 300;

/// A queue in epoch 1 and what its members know.
pub(super) struct Member {
    pub queue: QueueId,
    pub control_key: Hash,
    number: u32,
    mac_key: MacKey,
}

impl Member {
    /// Of the queue of a number.
    pub fn of(number: u32) -> Self {
        Self {
            queue: QueueId(derive("queue", number)),
            control_key: derive("control", number),
            number,
            mac_key: MacKey::new(derive("mac", number)),
        }
    }

    /// Newest entry of the queue as seeded.
    pub fn seeded_seq(&self) -> u32 {
        1 + u32::from(self.queue.0[31] % (SEED_MAX_POSTS + 1))
    }

    /// What starts epoch 1, with a signature that is none.
    pub fn commit(&self) -> Result<SubmitCommit, Failure> {
        let envelope = [0x5a; SEED_BYTES];
        let header = self.header(0, PostKind::Commit, 0, SEED_BYTES, SEEDED_AT)?;
        Ok(SubmitCommit {
            post: encode_post(&header, None, &envelope).into(),
            next_keys: EpochKeys {
                control_key: self.control_key,
                mac_key: self.mac_key.clone(),
                read_token_hash: self.token().hash(),
                generation: 1,
            },
            bundle: CommitBundle::empty(),
            signature: [0; 64].into(),
        })
    }

    /// The posts that the queue is seeded with, one behind the other.
    pub fn seed_posts(&self) -> Result<Vec<u8>, Failure> {
        let mut posts = Vec::new();
        for seq in 1..self.seeded_seq() {
            posts.extend(self.post_at(SEED_BYTES, seq, seq, SEEDED_AT)?);
        }
        Ok(posts)
    }

    /// A post of 1 KiB by somebody who has seen everything up to `after_seq`. `salt` makes it
    /// another one.
    pub fn post(&self, salt: u32, after_seq: u32) -> Result<Vec<u8>, Failure> {
        self.post_at(KIB, salt, after_seq, MEASURED_AT)
    }

    fn post_at(
        &self,
        bytes: usize,
        salt: u32,
        after_seq: u32,
        now: u32,
    ) -> Result<Vec<u8>, Failure> {
        let mut envelope = vec![0x5a; bytes];
        envelope[..4].copy_from_slice(&salt.to_be_bytes());
        let header = self.header(1, PostKind::Application, after_seq, bytes, now)?;
        Ok(encode_post(&header, Some(&self.mac_key), &envelope))
    }

    /// The same post with a MAC of nobody.
    pub fn forged(&self, salt: u32, after_seq: u32) -> Result<Vec<u8>, Failure> {
        let mut envelope = vec![0x5a; KIB];
        envelope[..4].copy_from_slice(&salt.to_be_bytes());
        let header = self.header(1, PostKind::Application, after_seq, KIB, MEASURED_AT)?;
        Ok(encode_post(&header, Some(&MacKey::new([0; 32])), &envelope))
    }

    /// Asks for entries from a number on.
    pub fn wants(&self, from: u32) -> FetchItem {
        FetchItem {
            queue: self.queue,
            token: self.token(),
            from,
            what: FetchWhat::Entries,
        }
    }

    fn token(&self) -> ReadToken {
        ReadToken::new(derive("token", self.number))
    }

    fn header(
        &self,
        epoch: u32,
        kind: PostKind,
        after_seq: u32,
        bytes: usize,
        now: u32,
    ) -> Result<PostHeader, Failure> {
        Ok(PostHeader {
            queue: self.queue,
            epoch,
            not_after: now + LIFETIME_SECONDS,
            kind,
            after_seq,
            length: u32::try_from(bytes)?,
        })
    }
}

/// The bytes of a request for entries of some queues.
pub(super) fn fetch_request(items: Vec<FetchItem>) -> Vec<u8> {
    encode(&FetchRequest { items })
}

fn derive(what: &str, number: u32) -> Hash {
    blake3_labelled("bench relay", &[&number.to_be_bytes(), what.as_bytes()])
}

/// Distinct queues out of `n`, uniformly at random, the same in each run.
pub(super) fn draw(n: u32, seed: u32) -> impl Iterator<Item = Member> {
    let mut drawn = std::collections::HashSet::new();
    let candidates = (0_u64..).map(move |draw| {
        let hash = blake3_labelled("bench draw", &[&seed.to_be_bytes(), &draw.to_be_bytes()]);
        let mut word = [0; 4];
        word.copy_from_slice(&hash[..4]);
        // The bias of a remainder is below n / 2³².
        u32::from_be_bytes(word) % n
    });
    candidates
        .filter(move |number| drawn.insert(*number))
        .map(Member::of)
}
