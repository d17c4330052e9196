//! A queue as its members use it, with keys made from a number instead of an MLS group: for
//! figures that do not depend on what posts hold.

use ed25519_dalek::SigningKey;
use paigham_wire::codec::encode;
use paigham_wire::frame::{PostHeader, PostKind, encode_post, post_hash};
use paigham_wire::hash::{Hash, blake3_labelled};
use paigham_wire::ids::{CanisterId, QueueId};
use paigham_wire::keys::{EpochKeys, MacKey, ReadToken};
use paigham_wire::relay::{CommitBundle, CreateQueue, SubmitCommit};

use crate::Failure;

/// Bytes of the envelope of a post of 1 KiB.
pub(crate) const KIB: usize = 1024;
/// How long a post may be on its way.
const LIFETIME_SECONDS: u64 = 300;

/// One queue in epoch 1.
pub(crate) struct Queue {
    pub id: QueueId,
    /// What makes it, once it is paid for.
    pub create: CreateQueue,
    /// What starts epoch 1.
    pub commit: Vec<u8>,
    /// Newest entry.
    pub seq: u32,
    mac_key: MacKey,
}

impl Queue {
    /// The queue of a number at a relay.
    pub fn new(relay: &CanisterId, number: u32) -> Result<Self, Failure> {
        let secret = |what: &str| derive(what, number);
        let control = SigningKey::from_bytes(&secret("control"));
        let (id, create) = CreateQueue::sign(&control, relay, secret("nonce"));
        let keys = EpochKeys {
            control_key: secret("next control"),
            mac_key: MacKey::new(secret("mac")),
            read_token_hash: ReadToken::new(secret("token")).hash(),
            generation: 1,
        };
        let mac_key = keys.mac_key.clone();
        let commit = first_commit(relay, id, &control, keys)?;
        Ok(Self {
            id,
            create,
            commit: encode(&commit),
            seq: 1,
            mac_key,
        })
    }

    /// A post of somebody who has seen everything up to `after_seq`. `salt` makes it another one.
    pub fn post(&self, bytes: usize, salt: u32, after_seq: u32) -> Result<Vec<u8>, Failure> {
        let mut envelope = vec![0x5a; bytes];
        for (to, from) in envelope.iter_mut().zip(salt.to_be_bytes()) {
            *to = from;
        }
        let header = header(self.id, 1, PostKind::Application, after_seq, bytes)?;
        Ok(encode_post(&header, Some(&self.mac_key), &envelope))
    }
}

fn first_commit(
    relay: &CanisterId,
    queue: QueueId,
    control: &SigningKey,
    next_keys: EpochKeys,
) -> Result<SubmitCommit, Failure> {
    let envelope = [0x5a; KIB];
    let header = header(queue, 0, PostKind::Commit, 0, envelope.len())?;
    let hash = post_hash(&header.to_bytes(), &envelope);
    let bundle = CommitBundle::empty();
    let signature = SubmitCommit::signature(control, relay, &queue, 0, &hash, &next_keys, &bundle);
    Ok(SubmitCommit {
        post: encode_post(&header, None, &envelope).into(),
        next_keys,
        bundle,
        signature,
    })
}

fn header(
    queue: QueueId,
    epoch: u32,
    kind: PostKind,
    after_seq: u32,
    length: usize,
) -> Result<PostHeader, Failure> {
    Ok(PostHeader {
        queue,
        epoch,
        not_after: not_after()?,
        kind,
        after_seq,
        length: u32::try_from(length)?,
    })
}

/// Until when a post made now may be taken, in seconds since 1970.
pub(crate) fn not_after() -> Result<u32, Failure> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(u32::try_from(now.as_secs() + LIFETIME_SECONDS)?)
}

fn derive(what: &str, number: u32) -> Hash {
    blake3_labelled("bench", &[&number.to_be_bytes(), what.as_bytes()])
}
