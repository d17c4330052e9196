//! A strategy for every structure of the wire: any value of each field.

use paigham_wire::admin::{
    Action, AdminEntry, AdminLogReply, AdminLogRequest, AdminRefusal, AdminSet, ApprovalReply,
    ApproveRequest, InitArgument, OpenProposal, Proposal, Quotas, RetentionBounds,
};
use paigham_wire::blob::{
    BlobMac, BlobManifest, BlobReply, BlobRequest, BlobState, CHUNK_BYTES, ChunkReply,
    ChunkRequest, CreateBlob, PutChunk,
};
use paigham_wire::chain::EntryDigest;
use paigham_wire::directory::{BeaconReply, DirectoryError, Ping};
use paigham_wire::envelope::{
    AuthenticatedData, Credential as LeafCredential, EnvelopePlaintext, Extension, Gossip,
    GroupForm, GroupPolicy, InboxCapability, LogRoot, PointerContent, Proof, SealedPointer,
    SelfRemoves, WelcomePointer, WelcomeRef, WelcomeWrapper, Welcomes,
};
use paigham_wire::identity::{
    Authorisation, DeviceEntry, IdentityRecord, RecordContent, RecordKind, Role,
};
use paigham_wire::ids::{
    AccountId, BlobId, CANISTER_ID_MAX_BYTES, CanisterId, DeviceId, InboxId, PrincipalId, QueueId,
    WelcomeId, WelcomeLocator,
};
use paigham_wire::keys::{EpochKeys, MacKey, ReadToken, WrapperKey};
use paigham_wire::leaf::{
    BeaconLeaf, InboxLeaf, Leaf, QueueLeaf, ShardLeaf, ShardsLeaf, WelcomeLeaf,
};
use paigham_wire::log::{Lookup, Status, Submission, Submit, Wanted};
use paigham_wire::relay::{
    Activity, BatchReply, Capability, Claim, Claimed, CommitAccepted, CommitBundle, CommitDigest,
    CreateInbox, CreateQueue, Credential, Deposit, DepositEntry, Drain, Entry, FetchItem,
    FetchRefusal, FetchReply, FetchRequest, FetchWhat, FetchedItem, InboxReply, InboxState,
    PoolReply, PoolRequest, Position, PostOutcome, PostRefusal, QueueCreated, ReadInbox, Refill,
    RelayError, ShardReply, SubmitCommit, TailReply, TailRequest, WelcomeReply, WelcomeRequest,
};
use paigham_wire::reset::{
    LeftOut, ReAddLog, ReAddMessage, ReAddRequest, ReAdded, ReAdds, ResetClaim,
};
use paigham_wire::shards::{Shard, ShardMap, ShardState, ShardsReply};
use paigham_wire::ticket::{Beacon, Difficulties, Ticket, TicketRefusal};
use proptest::collection::vec;
use proptest::prelude::*;
use tls_codec::VLBytes;

/// A type of which any value can be made.
pub trait Sample: Sized + std::fmt::Debug + 'static {
    fn sample() -> BoxedStrategy<Self>;
}

macro_rules! anything {
    ($($T:ty),*) => {$(
        impl Sample for $T {
            fn sample() -> BoxedStrategy<Self> {
                any::<$T>().boxed()
            }
        }
    )*};
}

/// Newtypes over bytes.
macro_rules! wrapped {
    ($($make:expr => $T:ty),* $(,)?) => {$(
        impl Sample for $T {
            fn sample() -> BoxedStrategy<Self> {
                Sample::sample().prop_map($make).boxed()
            }
        }
    )*};
}

macro_rules! structures {
    (@any $field:ident) => { Sample::sample() };
    ($($T:ident { $($field:ident),* $(,)? })*) => {$(
        impl Sample for $T {
            fn sample() -> BoxedStrategy<Self> {
                ($(structures!(@any $field),)*)
                    .prop_map(|($($field,)*)| Self { $($field),* })
                    .boxed()
            }
        }
    )*};
}

macro_rules! choices {
    ($($T:ident [ $($variant:ident $(($inner:ty))?),* $(,)? ])*) => {$(
        impl Sample for $T {
            fn sample() -> BoxedStrategy<Self> {
                prop::strategy::Union::new([$(choices!(@one $T $variant $(($inner))?)),*]).boxed()
            }
        }
    )*};
    (@one $T:ident $variant:ident) => { Just($T::$variant).boxed() };
    (@one $T:ident $variant:ident ($inner:ty)) => {
        <$inner>::sample().prop_map($T::$variant).boxed()
    };
}

anything!(u8, u16, u32, u64, [u8; 16], [u8; 32], [u8; 48], [u8; 64]);

wrapped! {
    AccountId => AccountId, DeviceId => DeviceId, QueueId => QueueId, InboxId => InboxId,
    WelcomeId => WelcomeId, BlobId => BlobId, WelcomeLocator => WelcomeLocator, MacKey::new => MacKey,
    ReadToken::new => ReadToken, WrapperKey::new => WrapperKey,
}

impl Sample for VLBytes {
    /// Mostly short; now and then with a length of two bytes.
    fn sample() -> BoxedStrategy<Self> {
        prop_oneof![4 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 60..90)]
            .prop_map(Into::into)
            .boxed()
    }
}

impl Sample for CanisterId {
    fn sample() -> BoxedStrategy<Self> {
        vec(any::<u8>(), 0..=CANISTER_ID_MAX_BYTES)
            .prop_map(|principal| Self::new(&principal).unwrap())
            .boxed()
    }
}

impl Sample for PrincipalId {
    fn sample() -> BoxedStrategy<Self> {
        vec(any::<u8>(), 0..=CANISTER_ID_MAX_BYTES)
            .prop_map(|principal| Self::new(&principal).unwrap())
            .boxed()
    }
}

impl Sample for BlobManifest {
    /// Of real bytes: what contradicts itself does not decode.
    fn sample() -> BoxedStrategy<Self> {
        (1..3 * CHUNK_BYTES)
            .prop_map(|size| Self::of(&vec![7; size]).unwrap())
            .boxed()
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample() -> BoxedStrategy<Self> {
        vec(T::sample(), 0..4).boxed()
    }
}

impl<T: Sample> Sample for Option<T> {
    fn sample() -> BoxedStrategy<Self> {
        prop::option::of(T::sample()).boxed()
    }
}

impl Sample for RecordKind {
    fn sample() -> BoxedStrategy<Self> {
        let others = [
            Self::DeviceAdd,
            Self::DeviceRekey,
            Self::DeviceRemove,
            Self::Rotate,
            Self::RecoveryChange,
            Self::Recover,
            Self::Freeze,
            Self::Delete,
        ];
        prop_oneof![
            any::<[u8; 32]>().prop_map(|nonce| Self::Create { nonce }),
            prop::sample::select(others.to_vec()),
        ]
        .boxed()
    }
}

choices! {
    Role [Identity, NewIdentity, Recovery]
    GroupForm [Direct, Group]
    FetchWhat [Entries, Digests, Commits, CommitDigests]
    FetchRefusal [NoSuchQueue, UnknownToken, GenerationOver]
    FetchedItem [Entries(Vec<Entry>), Digests(Vec<EntryDigest>), Refused(FetchRefusal), Commits(Vec<Entry>), CommitDigests(Vec<CommitDigest>)]
    PostOutcome [Accepted(Position), Repeat(Position), Refused(PostRefusal)]
    PostRefusal [
        Malformed, NoSuchQueue, AfterSeqAhead, CatchUpFirst, Expired, NotAfterTooFar, StaleEpoch,
        FutureEpoch, WrongMac, WrongKind, WrongSignature, WrongGeneration, Full, OverQuota,
        Busy,
    ]
    RelayError [
        Malformed, TooLarge, Post(PostRefusal), WrongSignature, StaleCounter(u64), NoSuchInbox,
        NotAfter, Credential, Full, Exists, NoCertificate, Ticket(TicketRefusal), NoSuchBlob,
        OverQuota, NotListed,
    ]
    TicketRefusal [Missing, NotReady, BeaconExpired, TooLittleWork, Spent, Busy]
    AdminRefusal [
        Malformed, NotAdmin, WrongCanister, WrongNumber, OutOfBounds, NoSuchProposal,
        NoCertificate,
    ]
    ShardState [Open, Closed]
    Submission [Identity(VLBytes), Handle(VLBytes), Network(VLBytes)]
    Action [
        SetAdmins(AdminSet), SetQuotas(Quotas), SetGateways(Vec<PrincipalId>),
        SetDifficulties(Difficulties), SetRetention(RetentionBounds), SetShards(ShardMap),
    ]
    DirectoryError [
        Malformed, TooLarge, Rejected, NoSuchAccount, Full, NoCertificate, NotReady, Pending, Busy,
        NotWaiting, DoesNotFit, NotAllowed, Ticket(TicketRefusal), Credential, Damaged,
    ]
    Leaf [
        Queue(QueueLeaf), Inbox(InboxLeaf), Welcome(WelcomeLeaf),
        Shard(ShardLeaf), Shards(ShardsLeaf), Beacon(BeaconLeaf),
    ]
}

structures! {
    EntryDigest { accepted_at, post_hash }
    EpochKeys { control_key, mac_key, read_token_hash, generation }
    QueueLeaf {
        epoch, seq, head, first_seq, head_before, commit_head, first_epoch, commit_head_before,
        keys_hash, generation,
    }
    InboxLeaf {
        seq, head, first_seq, head_before, counter, xwing_key_hash, one_time_left, claimed,
        last_resort_hash,
    }
    WelcomeLeaf { wrapper_hash, tree_hash }
    ShardLeaf {
        beacon, previous, difficulties, posts_since, commits_since, fill, admin_entries,
        admin_head,
    }
    ShardsLeaf { map_hash, admin_entries, admin_head }
    BeaconLeaf { beacon, previous, difficulties }
    BeaconReply { certificate, witness }

    Beacon { issued_at, value }
    Difficulties { create_queue, create_inbox, deposit, claim, create_blob, look_up }
    Ticket { issued_at, nonce }
    ShardReply { certificate, witness }
    TailRequest { cursor }
    TailReply { cursor, activities, more }
    Activity { queue, seq }

    CreateBlob { manifest, expires_at, credential }
    BlobMac { queue, epoch, tag }
    PutChunk { blob, index, bytes }
    BlobState { expires_at, missing }
    BlobRequest { blob }
    BlobReply { manifest, state }
    ChunkRequest { blob, index }
    ChunkReply { bytes }

    AdminSet { admins, threshold }
    Quotas { queue_bytes, queue_posts, queue_commits, blob_bytes, stranger_deposits }
    RetentionBounds { posts, commits, bytes }
    Proposal { canister, number, action }
    AdminEntry { proposal, approvers, executed_at }
    OpenProposal { proposal, approvers }
    InitArgument { admins, difficulties }
    ApproveRequest { proposal }
    ApprovalReply { proposal, approvals, executed }
    AdminLogRequest { from }
    AdminLogReply { certificate, witness, admins, open, entries }

    Shard { canister, subnet, state }
    ShardMap { shards }
    ShardsReply { certificate, witness, map }

    DeviceEntry { device, leaf_key, shard, inbox, xwing_key_hash, added_at }
    RecordContent {
        version, account, record_version, identity_key, recovery_key_hash, devices, previous,
        key_change_version, key_change_hash, kind,
    }
    Authorisation { role, key, signature }
    IdentityRecord { content, authorisation }

    Ping { nonce }
    Submit { submission, credential }
    Status { label, version, value_hash }
    Wanted { label, from, credential }
    Lookup { last, wanted }

    EnvelopePlaintext { version, mls_message, proofs, extensions }
    Proof { proof_type, data }
    Extension { extension_type, data }
    Welcomes { joiners, wrapper_key }
    WelcomeRef { account, device, welcome_id }
    Gossip { seq, head, epoch_authenticator_hash, roots }
    LogRoot { position, root }
    SelfRemoves { messages }
    InboxCapability { canister, inbox_key, capability }
    PointerContent { pointer, capability }
    AuthenticatedData { queue, not_after, proofs_hash }
    LeafCredential { version, account, device, record_version }
    GroupPolicy { version, name, form, admins, network_sequence }
    WelcomeWrapper {
        version, mls_welcome, tree_hash, read_token, generation, base_seq, base_head,
        base_commit_head, extensions,
    }
    WelcomePointer { version, canister, queue, welcome_id, wrapper_key }
    SealedPointer { kem_output, ciphertext }
    LeftOut { account, device }
    ResetClaim {
        version, old, new, epoch, commit_head, authenticator_hash, leaf, left_out, signature,
    }
    ReAddRequest {
        version, queue, account, device, epoch, asked_at, key_package_hash, signature,
    }
    ReAddMessage { request, key_package }
    ReAdds { requests }
    ReAdded { device, accepted_at, request }
    ReAddLog { entries }

    CreateQueue { control_key, nonce, signature, credential }
    QueueCreated { queue }
    Position { seq, accepted_at }
    BatchReply { outcomes }
    CommitBundle { wrapper, tree, locators }
    SubmitCommit { post, next_keys, bundle, signature }
    CommitAccepted { epoch, position }
    FetchRequest { items }
    FetchItem { queue, token, from, what }
    FetchReply { certificate, witness, items }
    Entry { seq, accepted_at, header, keys_hash, envelope }
    CommitDigest { seq, digest, keys_hash }
    WelcomeRequest { welcome_id }
    WelcomeReply { certificate, witness, wrapper, tree }
    CreateInbox { inbox_key, xwing_key, signature, credential }
    Credential { credential_type, data }
    Capability { not_after, signature }
    Deposit { inbox, credential, sealed }
    ReadInbox { inbox, from_seq, not_after, signature }
    DepositEntry { seq, accepted_at, sealed }
    InboxReply { certificate, witness, deposits, rest }
    Drain { inbox, counter, up_to, signature }
    Refill { inbox, counter, key_packages, last_resort, signature }
    InboxState { one_time_left, first_seq }
    Claim { inbox, claim_id, credential }
    Claimed { key_package }
    PoolRequest { inbox }
    PoolReply { certificate, witness, xwing_key, last_resort }
}
