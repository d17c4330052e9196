//! Requests, replies and errors of the relay, and what its credentials cover
//! (`spec/protocol.md` §6.2).
//!
//! Every method takes one blob and returns one: 0 and the reply, or 1 and a [`RelayError`]
//! ([`crate::codec::encode_result`]). `append_batch` takes plain posts one after another
//! ([`crate::frame`]).

use ed25519_dalek::SigningKey;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use crate::chain::EntryDigest;
use crate::codec::encode;
use crate::frame::HEADER_BYTES;
use crate::hash::{Hash, blake3, blake3_labelled, label, sign, verify};
use crate::ids::{CanisterId, InboxId, QueueId, WelcomeId, WelcomeLocator};
use crate::keys::{EpochKeys, ReadToken};
#[cfg(feature = "stable")]
use crate::ticket::desk::Unpaid;
use crate::ticket::{Paid, Purpose, Ticket, TicketRefusal};

/// An Ed25519 signature.
pub type SignatureBytes = [u8; 64];

/// Most posts of one `append_batch`.
pub const BATCH_MAX_POSTS: usize = 2_000;
/// Most joiners of one commit.
pub const COMMIT_MAX_JOINERS: usize = 256;
/// Most queues of one `fetch`.
pub const FETCH_MAX_QUEUES: usize = 64;
/// Bytes of entries in one `fetch` reply; a query reply may have 3 MiB.
pub const FETCH_MAX_BYTES: usize = 1_900_000;
/// Largest deposit in bytes.
pub const DEPOSIT_MAX_BYTES: usize = 8 * 1024;
/// Largest key package in bytes; one of suite 0x004E has about 2.7 KB.
pub const KEY_PACKAGE_MAX_BYTES: usize = 8 * 1024;
/// Most one-time key packages of a pool.
pub const POOL_MAX_KEY_PACKAGES: usize = 100;
/// Bytes of an X-Wing public key.
pub const XWING_KEY_BYTES: usize = 1216;
/// Claims that a pool remembers, so that a repeated claim gets the same key package.
pub const CLAIMS_REMEMBERED: usize = 64;

// ---------------------------------------------------------------------------------------- queues

/// `create_queue`.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct CreateQueue {
    /// First control key; signs the commit to epoch 1.
    pub control_key: Hash,
    /// Random.
    pub nonce: Hash,
    /// By the control key: [`CreateQueue::sign`].
    pub signature: SignatureBytes,
    /// A ticket.
    pub credential: Credential,
}

impl Paid for CreateQueue {
    const PURPOSE: Purpose = Purpose::CreateQueue;

    fn credential_mut(&mut self) -> &mut Credential {
        &mut self.credential
    }
}

impl CreateQueue {
    /// Makes the request, still to be paid for, and tells the id of the queue.
    #[must_use]
    pub fn sign(key: &SigningKey, canister: &CanisterId, nonce: Hash) -> (QueueId, Self) {
        let control_key = key.verifying_key().to_bytes();
        let queue = QueueId::derive(canister, &control_key, &nonce);
        let signature = sign(key, label::CREATE_QUEUE, &[&canister.hash_part(), &queue.0]);
        (
            queue,
            Self {
                control_key,
                nonce,
                signature,
                credential: Credential::none(),
            },
        )
    }

    /// The id of the queue, if the signature holds.
    #[must_use]
    pub fn verify(&self, canister: &CanisterId) -> Option<QueueId> {
        let queue = QueueId::derive(canister, &self.control_key, &self.nonce);
        let covered: [&[u8]; 2] = [&canister.hash_part(), &queue.0];
        verify(
            &self.control_key,
            &self.signature,
            label::CREATE_QUEUE,
            &covered,
        )
        .then_some(queue)
    }
}

/// Reply of `create_queue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct QueueCreated {
    /// Its id.
    pub queue: QueueId,
}

/// What became of one post of a batch, in the order of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum PostOutcome {
    /// Stored now.
    #[tls_codec(discriminant = 1)]
    Accepted(Position),
    /// Was stored before.
    #[tls_codec(discriminant = 2)]
    Repeat(Position),
    /// Not stored.
    #[tls_codec(discriminant = 3)]
    Refused(PostRefusal),
}

/// Where and when an entry was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Position {
    /// Its number in the queue.
    pub seq: u32,
    /// Canister time in nanoseconds since 1970.
    pub accepted_at: u64,
}

/// Why a post or a commit was not stored.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes, thiserror::Error,
)]
#[repr(u8)]
pub enum PostRefusal {
    /// Not a well-formed frame; nothing behind it in the batch was looked at.
    #[error("malformed post")]
    Malformed = 1,
    /// The relay has no such queue.
    #[error("no such queue")]
    NoSuchQueue = 2,
    /// `after_seq` is beyond the newest entry: the sender saw another queue, or a fork.
    #[error("after_seq is ahead of the queue")]
    AfterSeqAhead = 3,
    /// More than 256 entries after `after_seq`: drain first, then seal anew.
    #[error("catch up first")]
    CatchUpFirst = 4,
    /// Past its `not_after`; it will never be stored.
    #[error("past its not_after")]
    Expired = 5,
    /// `not_after` is more than 600 s ahead.
    #[error("not_after is too far ahead")]
    NotAfterTooFar = 6,
    /// Sealed in an epoch that is over.
    #[error("the epoch is over")]
    StaleEpoch = 7,
    /// Sealed in an epoch that has not begun.
    #[error("the epoch has not begun")]
    FutureEpoch = 8,
    /// The MAC is not that of the epoch's key.
    #[error("wrong MAC")]
    WrongMac = 9,
    /// A commit in `append_batch`, or another kind in `submit_commit`.
    #[error("wrong kind for this method")]
    WrongKind = 10,
    /// The control signature does not hold.
    #[error("wrong control signature")]
    WrongSignature = 11,
    /// Generation or token hash do not follow from the current ones.
    #[error("generation does not follow")]
    WrongGeneration = 12,
    /// The queue has reached a limit of the relay.
    #[error("the queue is full")]
    Full = 13,
    /// The queue has had its quota of the day.
    #[error("the queue is over its quota of the day")]
    OverQuota = 14,
    /// The call searched for too many repeats of earlier epochs; sent alone, with the same bytes,
    /// this post gets its answer.
    #[error("the relay is busy; send it alone")]
    Busy = 15,
}

/// Reply of `append_batch`.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct BatchReply {
    /// One for each post.
    pub outcomes: Vec<PostOutcome>,
}

/// `submit_commit`: a commit and everything that is stored with it, in one step.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SubmitCommit {
    /// The post: header, zero tag, envelope.
    pub post: VLBytes,
    /// Keys of the epoch that it starts.
    pub next_keys: EpochKeys,
    /// Welcome wrapper and tree, if anybody joins.
    pub bundle: CommitBundle,
    /// By the control key of the base epoch: [`SubmitCommit::signature`].
    pub signature: SignatureBytes,
}

/// What joiners read.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct CommitBundle {
    /// Sealed Welcome wrapper; empty if nobody joins.
    pub wrapper: VLBytes,
    /// Sealed tree; empty if nobody joins.
    pub tree: VLBytes,
    /// One for each joiner.
    pub locators: Vec<WelcomeLocator>,
}

impl CommitBundle {
    /// The bundle of a commit that adds nobody.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            wrapper: Vec::new().into(),
            tree: Vec::new().into(),
            locators: Vec::new(),
        }
    }

    fn hash(&self) -> Hash {
        blake3_labelled(label::COMMIT_BUNDLE, &[&encode(self)])
    }
}

impl SubmitCommit {
    /// Signs a commit with the control key of its base epoch.
    #[must_use]
    pub fn signature(
        key: &SigningKey,
        canister: &CanisterId,
        queue: &QueueId,
        base_epoch: u32,
        post_hash: &Hash,
        next_keys: &EpochKeys,
        bundle: &CommitBundle,
    ) -> SignatureBytes {
        sign(
            key,
            label::SUBMIT_COMMIT,
            &[
                &canister.hash_part(),
                &queue.0,
                &base_epoch.to_be_bytes(),
                post_hash,
                &next_keys.hash(),
                &bundle.hash(),
            ],
        )
    }

    /// Whether the control key of the base epoch signed exactly this.
    #[must_use]
    pub fn verify(
        &self,
        control_key: &Hash,
        canister: &CanisterId,
        queue: &QueueId,
        base_epoch: u32,
        post_hash: &Hash,
    ) -> bool {
        let covered: [&[u8]; 6] = [
            &canister.hash_part(),
            &queue.0,
            &base_epoch.to_be_bytes(),
            post_hash,
            &self.next_keys.hash(),
            &self.bundle.hash(),
        ];
        verify(control_key, &self.signature, label::SUBMIT_COMMIT, &covered)
    }
}

/// Reply of `submit_commit`; a repeat gets the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct CommitAccepted {
    /// Epoch that it started.
    pub epoch: u32,
    /// Where it lies.
    pub position: Position,
}

/// `fetch`: entries or digests of some queues, under one certificate.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct FetchRequest {
    /// At most [`FETCH_MAX_QUEUES`].
    pub items: Vec<FetchItem>,
}

/// What to fetch of one queue.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct FetchItem {
    /// The queue.
    pub queue: QueueId,
    /// Token of a generation.
    pub token: ReadToken,
    /// First entry wanted; for commits the epoch that the first one wanted started.
    pub from: u32,
    /// What of them.
    pub what: FetchWhat,
}

/// What to fetch of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum FetchWhat {
    /// Whole entries.
    Entries = 1,
    /// 40 bytes an entry: enough to follow the chain to the certified head.
    Digests = 2,
    /// Whole commits: they are kept longer than other entries, and whoever was away for long goes
    /// on from them.
    Commits = 3,
    /// 76 bytes a commit: enough to follow the commit chain to its certified head.
    CommitDigests = 4,
}

/// Reply of `fetch`: items in the order asked for, as many as fit.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct FetchReply {
    /// The canister's certificate.
    pub certificate: VLBytes,
    /// Witness over every queue asked for.
    pub witness: VLBytes,
    /// What was found.
    pub items: Vec<FetchedItem>,
}

/// What was found of one queue.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum FetchedItem {
    /// Consecutive entries from `from` (or the first retained one, if later). Fewer than there
    /// are where the reply is full or where the token's generation ended.
    #[tls_codec(discriminant = 1)]
    Entries(Vec<Entry>),
    /// Consecutive digests.
    #[tls_codec(discriminant = 2)]
    Digests(Vec<EntryDigest>),
    /// Not given.
    #[tls_codec(discriminant = 3)]
    Refused(FetchRefusal),
    /// Commits of consecutive epochs from `from` (or the first retained one, if later); `seq` is
    /// their number among all entries. Fewer than there are as with entries.
    #[tls_codec(discriminant = 4)]
    Commits(Vec<Entry>),
    /// Digests of commits of consecutive epochs.
    #[tls_codec(discriminant = 5)]
    CommitDigests(Vec<CommitDigest>),
}

/// What one commit adds to the commit chain of its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct CommitDigest {
    /// Its number among the queue's entries.
    pub seq: u32,
    /// accepted_at and H(post).
    pub digest: EntryDigest,
    /// H(keys) of the epoch that it started.
    pub keys_hash: Hash,
}

/// Why nothing of a queue was given.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes, thiserror::Error,
)]
#[repr(u8)]
pub enum FetchRefusal {
    /// The relay has no such queue (the witness shows it).
    #[error("no such queue")]
    NoSuchQueue = 1,
    /// The token is of no generation of this queue.
    #[error("unknown read token")]
    UnknownToken = 2,
    /// The token's generation ended before `from`.
    #[error("the token's generation ended earlier")]
    GenerationOver = 3,
}

/// One entry of a queue.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Entry {
    /// Its number.
    pub seq: u32,
    /// Canister time in nanoseconds since 1970.
    pub accepted_at: u64,
    /// Its post header.
    pub header: [u8; HEADER_BYTES],
    /// H(keys) of the epoch that it starts, if it is a commit.
    pub keys_hash: Option<Hash>,
    /// Its envelope.
    pub envelope: VLBytes,
}

// -------------------------------------------------------------------------------------- Welcomes

/// `welcome` and `ack_welcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct WelcomeRequest {
    /// The capability.
    pub welcome_id: WelcomeId,
}

/// Reply of `welcome`.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct WelcomeReply {
    /// The canister's certificate.
    pub certificate: VLBytes,
    /// Witness over the locator.
    pub witness: VLBytes,
    /// The sealed wrapper; empty if there is none (the witness shows it).
    pub wrapper: VLBytes,
    /// The sealed tree.
    pub tree: VLBytes,
}

// --------------------------------------------------------------------------- inboxes and the pool

/// `create_inbox`.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct CreateInbox {
    /// Fresh Ed25519 key of this inbox alone.
    pub inbox_key: Hash,
    /// X-Wing public key, [`XWING_KEY_BYTES`].
    pub xwing_key: VLBytes,
    /// By the inbox key over canister ‖ inbox id ‖ SHA-256(X-Wing key).
    pub signature: SignatureBytes,
    /// A ticket.
    pub credential: Credential,
}

impl Paid for CreateInbox {
    const PURPOSE: Purpose = Purpose::CreateInbox;

    fn credential_mut(&mut self) -> &mut Credential {
        &mut self.credential
    }
}

/// Credential of a deposit or a claim.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Credential {
    /// One of [`credential`].
    pub credential_type: u8,
    /// Its bytes.
    pub data: VLBytes,
}

impl Credential {
    /// No credential; what a ticket is bound to has it in the ticket's place.
    #[must_use]
    pub fn none() -> Self {
        Self {
            credential_type: credential::NONE,
            data: Vec::new().into(),
        }
    }

    /// A ticket.
    #[must_use]
    pub fn ticket(ticket: &Ticket) -> Self {
        Self {
            credential_type: credential::TICKET,
            data: encode(ticket).into(),
        }
    }

    /// A capability.
    #[must_use]
    pub fn capability(capability: &Capability) -> Self {
        Self {
            credential_type: credential::CAPABILITY,
            data: encode(capability).into(),
        }
    }
}

/// Credential types.
pub mod credential {
    /// None: what a ticket is bound to, and never enough.
    pub const NONE: u8 = 0;
    /// [`super::Capability`].
    pub const CAPABILITY: u8 = 1;
    /// [`crate::ticket::Ticket`].
    pub const TICKET: u8 = 2;
    /// A token that somebody gave out in place of work; reserved.
    pub const TOKEN: u8 = 3;
    /// [`crate::blob::BlobMac`].
    pub const MEMBER: u8 = 4;
}

/// What an inbox's owner hands to its contacts: leave to deposit and claim.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Capability {
    /// Unix seconds until which it counts.
    pub not_after: u32,
    /// By the inbox key over canister ‖ inbox id ‖ not_after.
    pub signature: SignatureBytes,
}

/// `deposit`.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Deposit {
    /// Into which inbox.
    pub inbox: InboxId,
    /// Leave to do so.
    pub credential: Credential,
    /// Sealed bytes, at most [`DEPOSIT_MAX_BYTES`].
    pub sealed: VLBytes,
}

impl Paid for Deposit {
    const PURPOSE: Purpose = Purpose::Deposit;

    fn credential_mut(&mut self) -> &mut Credential {
        &mut self.credential
    }
}

/// `read_inbox`.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ReadInbox {
    /// Which.
    pub inbox: InboxId,
    /// First deposit wanted.
    pub from_seq: u32,
    /// Unix seconds until which the request counts, at most 600 s ahead.
    pub not_after: u32,
    /// By the inbox key.
    pub signature: SignatureBytes,
}

/// Reply of `read_inbox`: consecutive deposits, as many as fit.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct InboxReply {
    /// The canister's certificate.
    pub certificate: VLBytes,
    /// Witness over the inbox.
    pub witness: VLBytes,
    /// The deposits.
    pub deposits: Vec<DepositEntry>,
    /// Digests of the retained deposits behind the last one, so that the chain closes.
    pub rest: Vec<EntryDigest>,
}

/// One deposit.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct DepositEntry {
    /// Its number.
    pub seq: u32,
    /// Canister time in nanoseconds since 1970.
    pub accepted_at: u64,
    /// The sealed bytes.
    pub sealed: VLBytes,
}

/// `drain`: forgets all deposits up to one.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Drain {
    /// Which inbox.
    pub inbox: InboxId,
    /// Higher than every counter before.
    pub counter: u64,
    /// Last deposit to forget.
    pub up_to: u32,
    /// By the inbox key.
    pub signature: SignatureBytes,
}

/// `refill`: puts key packages into the pool.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Refill {
    /// Which pool.
    pub inbox: InboxId,
    /// Higher than every counter before.
    pub counter: u64,
    /// One-time key packages, added behind those there.
    pub key_packages: Vec<VLBytes>,
    /// Replaces the last-resort key package.
    pub last_resort: Option<VLBytes>,
    /// By the inbox key.
    pub signature: SignatureBytes,
}

/// Reply of `drain` and `refill`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct InboxState {
    /// One-time key packages left.
    pub one_time_left: u32,
    /// First retained deposit.
    pub first_seq: u32,
}

/// `claim`: takes one one-time key package.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Claim {
    /// From which pool.
    pub inbox: InboxId,
    /// Random; the same id gets the same key package again.
    pub claim_id: Hash,
    /// Leave to do so.
    pub credential: Credential,
}

impl Paid for Claim {
    const PURPOSE: Purpose = Purpose::Claim;

    fn credential_mut(&mut self) -> &mut Credential {
        &mut self.credential
    }
}

/// Reply of `claim`.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Claimed {
    /// The key package; `None` if the pool is empty (then take the last resort).
    pub key_package: Option<VLBytes>,
}

/// `pool`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct PoolRequest {
    /// Which.
    pub inbox: InboxId,
}

/// Reply of `pool`.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct PoolReply {
    /// The canister's certificate.
    pub certificate: VLBytes,
    /// Witness over the inbox.
    pub witness: VLBytes,
    /// X-Wing inbox key; the leaf holds its SHA-256, and so does the device's record.
    pub xwing_key: VLBytes,
    /// Last-resort key package; empty if there is none. The leaf holds its BLAKE3.
    pub last_resort: VLBytes,
}

// ------------------------------------------------------------------- what an inbox key's signature covers

/// What the inbox key signs, by operation.
#[derive(Debug, Clone, Copy)]
pub enum InboxOperation<'a> {
    /// Creates the inbox.
    Create {
        /// X-Wing key.
        xwing_key: &'a [u8],
    },
    /// Reads it.
    Read {
        /// First deposit wanted.
        from_seq: u32,
        /// Unix seconds.
        not_after: u32,
    },
    /// Drains it.
    Drain {
        /// Counter.
        counter: u64,
        /// Last deposit to forget.
        up_to: u32,
    },
    /// Refills its pool.
    Refill {
        /// Counter.
        counter: u64,
        /// One-time key packages.
        key_packages: &'a Vec<VLBytes>,
        /// Last resort.
        last_resort: &'a Option<VLBytes>,
    },
    /// Hands out a capability.
    Capability {
        /// Unix seconds.
        not_after: u32,
    },
}

impl InboxOperation<'_> {
    /// Signs the operation.
    #[must_use]
    pub fn sign(&self, key: &SigningKey, canister: &CanisterId, inbox: &InboxId) -> SignatureBytes {
        sign(
            key,
            self.label(),
            &[&canister.hash_part(), &inbox.0, &self.arguments()],
        )
    }

    /// Whether the inbox key signed the operation.
    #[must_use]
    pub fn verify(
        &self,
        inbox_key: &Hash,
        signature: &SignatureBytes,
        canister: &CanisterId,
        inbox: &InboxId,
    ) -> bool {
        let covered: [&[u8]; 3] = [&canister.hash_part(), &inbox.0, &self.arguments()];
        verify(inbox_key, signature, self.label(), &covered)
    }

    const fn label(&self) -> &'static str {
        match self {
            Self::Create { .. } => label::CREATE_INBOX,
            Self::Read { .. } => label::READ_INBOX,
            Self::Drain { .. } => label::DRAIN,
            Self::Refill { .. } => label::REFILL,
            Self::Capability { .. } => label::CAPABILITY,
        }
    }

    fn arguments(&self) -> Vec<u8> {
        match self {
            Self::Create { xwing_key } => crate::hash::sha256(xwing_key).to_vec(),
            Self::Read {
                from_seq,
                not_after,
            } => [from_seq.to_be_bytes(), not_after.to_be_bytes()].concat(),
            Self::Drain { counter, up_to } => {
                [&counter.to_be_bytes()[..], &up_to.to_be_bytes()].concat()
            }
            Self::Refill {
                counter,
                key_packages,
                last_resort,
            } => {
                let packages = [encode(*key_packages), encode(*last_resort)].concat();
                [&counter.to_be_bytes()[..], &blake3(&packages)].concat()
            }
            Self::Capability { not_after } => not_after.to_be_bytes().to_vec(),
        }
    }
}

// ------------------------------------------------------------------------------------- the shard

/// Reply of `shard`, which takes an empty blob.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ShardReply {
    /// The canister's certificate.
    pub certificate: VLBytes,
    /// Witness over [`crate::leaf::ShardLeaf::key`].
    pub witness: VLBytes,
}

/// Most entries that one `tail` looks at.
pub const TAIL_MAX_ENTRIES: usize = 2_048;

/// `tail`: which queues got entries since a cursor; for listed gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct TailRequest {
    /// Where the last answer ended; `None` to begin with what comes from now on.
    pub cursor: Option<u64>,
}

/// Reply of `tail`. Not certified: a gateway only wakes clients, who verify what they fetch.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct TailReply {
    /// Where to go on.
    pub cursor: u64,
    /// In the order of storing, each queue once, with its newest entry in this part.
    pub activities: Vec<Activity>,
    /// 1 if more waits, 0 if not.
    pub more: u8,
}

/// A queue that got an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Activity {
    /// The queue.
    pub queue: QueueId,
    /// Number of the entry.
    pub seq: u32,
}

// ---------------------------------------------------------------------------------------- replies

/// Why the relay refused a whole call.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes, thiserror::Error,
)]
#[repr(u8)]
pub enum RelayError {
    /// The blob is not the method's request.
    #[error("malformed request")]
    #[tls_codec(discriminant = 1)]
    Malformed,
    /// A named limit is exceeded.
    #[error("beyond a limit of the relay")]
    #[tls_codec(discriminant = 2)]
    TooLarge,
    /// A post or commit was not stored.
    #[error("refused: {0}")]
    #[tls_codec(discriminant = 3)]
    Post(PostRefusal),
    /// A signature does not hold.
    #[error("wrong signature")]
    #[tls_codec(discriminant = 4)]
    WrongSignature,
    /// The counter is not higher than the last one, or more than 2^32 higher.
    #[error("the counter does not follow the last one, {0}")]
    #[tls_codec(discriminant = 5)]
    StaleCounter(u64),
    /// No such inbox.
    #[error("no such inbox")]
    #[tls_codec(discriminant = 6)]
    NoSuchInbox,
    /// The request is past its `not_after`, or that is too far ahead.
    #[error("not_after has passed or is too far ahead")]
    #[tls_codec(discriminant = 7)]
    NotAfter,
    /// The credential does not count.
    #[error("credential refused")]
    #[tls_codec(discriminant = 8)]
    Credential,
    /// Inbox or pool are full, or a new id has no room: another one would lie elsewhere.
    #[error("full")]
    #[tls_codec(discriminant = 9)]
    Full,
    /// The queue or inbox exists with other contents.
    #[error("exists with other contents")]
    #[tls_codec(discriminant = 10)]
    Exists,
    /// The canister has no certificate at hand: the call was not a plain query.
    #[error("no certificate at hand")]
    #[tls_codec(discriminant = 11)]
    NoCertificate,
    /// The ticket does not count.
    #[error("ticket: {0}")]
    #[tls_codec(discriminant = 12)]
    Ticket(TicketRefusal),
    /// No such blob, or no such chunk of it, or not any more.
    #[error("no such blob")]
    #[tls_codec(discriminant = 13)]
    NoSuchBlob,
    /// The queue has had its quota of the day.
    #[error("over the quota of the day")]
    #[tls_codec(discriminant = 14)]
    OverQuota,
    /// Only listed gateways may do this.
    #[error("not a listed gateway")]
    #[tls_codec(discriminant = 15)]
    NotListed,
}

#[cfg(feature = "stable")]
impl From<Unpaid> for RelayError {
    fn from(unpaid: Unpaid) -> Self {
        match unpaid {
            Unpaid::Ticket(refusal) => Self::Ticket(refusal),
            Unpaid::Credential => Self::Credential,
        }
    }
}

impl From<TicketRefusal> for RelayError {
    fn from(refusal: TicketRefusal) -> Self {
        Self::Ticket(refusal)
    }
}

impl From<PostRefusal> for RelayError {
    fn from(refusal: PostRefusal) -> Self {
        Self::Post(refusal)
    }
}
