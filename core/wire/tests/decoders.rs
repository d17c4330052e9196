//! Everything that comes over the wire, from anybody: each structure comes back as it was sent, no
//! bytes make a decoder panic, and what decodes has exactly one encoding.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "decoders/sample.rs"]
mod sample;

use std::fmt::Debug;

use ed25519_dalek::SigningKey;
use paigham_wire::chain::EntryDigest;
use paigham_wire::codec::{decode, decode_bounded, decode_result, encode, encode_result};
use paigham_wire::directory as dir;
use paigham_wire::envelope as env;
use paigham_wire::frame::{ENVELOPE_MAX_BYTES, PostHeader, PostKind, PostRef, encode_post};
use paigham_wire::identity as idn;
use paigham_wire::ids::{AccountId, WelcomeLocator};
use paigham_wire::keys::{EpochKeys, MacKey};
use paigham_wire::leaf::Leaf;
use paigham_wire::map::{MerkleMap, Witness};
use paigham_wire::network as net;
use paigham_wire::relay as rel;
use paigham_wire::{admin, blob, log, reset, shards, ticket};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sample::Sample;
use tls_codec::{DeserializeBytes, Serialize, VLBytes};

/// What somebody may do to bytes on their way.
#[derive(Debug, Clone)]
enum Damage {
    FlipBit(usize),
    Put(usize, u8),
    Insert(usize, u8),
    TakeOut(usize),
    Cut(usize),
    Repeat(usize, usize),
}

impl Damage {
    fn strategy() -> impl Strategy<Value = Self> {
        let place = any::<usize>;
        prop_oneof![
            place().prop_map(Self::FlipBit),
            (place(), any::<u8>()).prop_map(|(at, byte)| Self::Put(at, byte)),
            (place(), any::<u8>()).prop_map(|(at, byte)| Self::Insert(at, byte)),
            place().prop_map(Self::TakeOut),
            place().prop_map(Self::Cut),
            (place(), place()).prop_map(|(from, to)| Self::Repeat(from, to)),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        let end = bytes.len();
        if end == 0 {
            return;
        }
        match *self {
            Self::FlipBit(at) => bytes[at / 8 % end] ^= 1 << (at % 8),
            Self::Put(at, byte) => bytes[at % end] = byte,
            Self::Insert(at, byte) => bytes.insert(at % (end + 1), byte),
            Self::TakeOut(at) => drop(bytes.remove(at % end)),
            Self::Cut(at) => bytes.truncate(at % end),
            Self::Repeat(from, to) => {
                let (from, to) = (from % end, to % end);
                let part = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(to..to, part);
            }
        }
    }
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    vec(Damage::strategy(), 1..4)
}

fn damaged(bytes: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    damages.iter().for_each(|damage| damage.apply(&mut bytes));
    bytes
}

/// Bytes with many small numbers, as lengths and discriminants are.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![0u8..12, any::<u8>()], 0..200)
}

/// One structure through all of it.
fn holds<T: Sample + Serialize + DeserializeBytes + PartialEq + Debug>() {
    let strategy = (T::sample(), damages(), bytes());
    let cases = Config::with_cases(100);
    let outcome = TestRunner::new(cases).run(&strategy, |(value, damages, noise)| {
        let sent = encode(&value);
        prop_assert_eq!(decode::<T>(&sent), Ok(value));
        for cut in (0..sent.len()).step_by(7) {
            prop_assert!(decode::<T>(&sent[..cut]).is_err(), "cut at {}", cut);
        }
        prop_assert!(decode::<T>(&[&sent[..], &[0]].concat()).is_err());
        prop_assert!(decode_bounded::<T>(&sent, sent.len() - 1).is_err());
        for received in [damaged(&sent, &damages), noise] {
            if let Ok(value) = decode::<T>(&received) {
                prop_assert_eq!(encode(&value), received);
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{}: {failure}", std::any::type_name::<T>()));
}

macro_rules! all_hold {
    ($($(#[$doc:meta])* $test:ident: $($T:ty),* $(,)?;)*) => {$(
        $(#[$doc])*
        #[test]
        fn $test() {
            $(holds::<$T>();)*
        }
    )*};
}

all_hold! {
    /// Clients call the relay.
    relay_requests: rel::CreateQueue, rel::SubmitCommit, rel::CommitBundle, rel::FetchRequest,
        rel::WelcomeRequest, rel::CreateInbox, rel::Deposit, rel::ReadInbox, rel::Drain,
        rel::Refill, rel::Claim, rel::PoolRequest, rel::Credential, rel::Capability;
    /// A relay, or a node that pretends, answers.
    relay_replies: rel::QueueCreated, rel::BatchReply, rel::CommitAccepted, rel::FetchReply,
        rel::WelcomeReply, rel::Position, rel::InboxReply, rel::InboxState, rel::Claimed,
        rel::PoolReply, rel::RelayError;
    /// Strangers work, members and strangers store blobs, gateways tail.
    tickets_blobs_and_tails: ticket::Ticket, blob::CreateBlob, blob::BlobMac, blob::PutChunk,
        blob::BlobState, blob::BlobRequest, blob::BlobReply, blob::ChunkRequest,
        blob::ChunkReply, blob::BlobManifest, rel::ShardReply, rel::TailRequest, rel::TailReply;
    /// Administrators call, and everybody reads what they did.
    administration: admin::InitArgument, admin::Proposal, admin::ApproveRequest,
        admin::ApprovalReply, admin::AdminLogRequest, admin::AdminLogReply, admin::AdminRefusal,
        shards::ShardMap, shards::ShardsReply;
    /// The directory is asked and answers.
    directory_messages: dir::Ping, dir::BeaconReply, dir::DirectoryError;
    /// Anybody asks the log, and submits to it.
    log_requests: log::Submit, log::Status, log::Lookup, log::Wanted;
    /// A member of a group writes what it likes into an envelope.
    envelopes: env::EnvelopePlaintext, env::Welcomes, env::Gossip,
        env::SelfRemoves, env::InboxCapability, env::AuthenticatedData, env::Credential, env::GroupPolicy;
    /// A committer, or a stranger, sends a Welcome.
    welcomes: env::WelcomeWrapper, env::WelcomePointer, env::PointerContent,
        env::SealedPointer;
    /// A member of a group that cannot go on.
    resets: reset::ResetClaim, reset::ReAddMessage, reset::ReAdds, reset::ReAddLog;
    /// Records, keys and leaves.
    records_keys_and_leaves: idn::IdentityRecord, idn::DeviceEntry, EpochKeys, EntryDigest, Leaf;
}

/// A reply is one thing: the reply, or the error, never both and never neither.
#[test]
fn results_have_one_form() {
    type Reply = Result<rel::Position, rel::RelayError>;
    let value = prop_oneof![
        rel::Position::sample().prop_map(Ok),
        rel::RelayError::sample().prop_map(Err)
    ];
    let strategy = (value, damages());
    let outcome = TestRunner::default().run(&strategy, |(result, damages): (Reply, _)| {
        let sent = encode_result(&result);
        prop_assert_eq!(decode_result(&sent), Ok(result));
        let received = damaged(&sent, &damages);
        if let Ok(result) = decode_result::<rel::Position, rel::RelayError>(&received) {
            prop_assert_eq!(encode_result(&result), received);
        }
        Ok(())
    });
    outcome.unwrap();
}

fn post_kind() -> impl Strategy<Value = PostKind> {
    let kinds = vec![PostKind::Application, PostKind::Commit, PostKind::Proposal];
    prop::sample::select(kinds)
}

proptest! {
    /// Posts lie one behind another in a batch. What is taken from it are the bytes that were in
    /// it, and what is no post ends it.
    #[test]
    fn posts_are_taken_from_a_batch(
        envelopes in vec((vec(any::<u8>(), 1..60), post_kind(), any::<[u8; 32]>()), 0..4),
        damages in vec(Damage::strategy(), 0..3),
        noise in bytes(),
    ) {
        let key = MacKey::new([7; 32]);
        let posts = envelopes.iter().map(|(envelope, kind, queue)| {
            let header = PostHeader {
                queue: (*queue).into(),
                epoch: 1,
                not_after: 2,
                kind: *kind,
                after_seq: 3,
                length: u32::try_from(envelope.len()).unwrap(),
            };
            encode_post(&header, (*kind != PostKind::Commit).then_some(&key), envelope)
        });
        let batch = posts.collect::<Vec<_>>().concat();
        let received = damaged(&batch, &damages);
        for (whole, batch) in [(true, &batch), (false, &received), (false, &noise)] {
            let mut rest = &batch[..];
            let mut taken = Vec::new();
            let mut count = 0;
            while let Ok((post, behind)) = PostRef::split_first(rest) {
                prop_assert_eq!(post.header.to_bytes(), *post.header_bytes);
                prop_assert_eq!(post.header.length as usize, post.envelope.len());
                prop_assert!(post.envelope.len() <= ENVELOPE_MAX_BYTES);
                let alone = [post.header_bytes, &post.tag[..], post.envelope].concat();
                prop_assert_eq!(PostRef::decode(&alone), Ok(post));
                taken.extend(alone);
                prop_assert!(behind.len() < rest.len());
                rest = behind;
                count += 1;
            }
            prop_assert_eq!(&[&taken[..], rest].concat(), batch);
            if whole {
                prop_assert_eq!((count, rest.len()), (envelopes.len(), 0));
            }
        }
    }

    /// A node shows a witness of a real map, changed a little: it is refused, or it is another
    /// witness with one encoding, which leads to the same root only if it is the same one.
    #[test]
    fn witnesses_have_one_form(
        keys in vec((any::<u8>(), any::<u8>()), 1..30),
        damages in damages(),
    ) {
        let pairs: std::collections::BTreeMap<[u8; 32], Vec<u8>> = keys
            .iter()
            .map(|(first, last)| {
                let mut key = [0; 32];
                (key[0], key[31]) = (*first, *last);
                (key, vec![*last; usize::from(first % 8)])
            })
            .collect();
        let mut map = MerkleMap::open(Vec::new(), Vec::new(), Vec::new()).unwrap();
        for (key, value) in &pairs {
            map.insert(key, value, &[]).unwrap();
        }
        let root = map.root();
        let shown: Vec<_> = pairs.keys().copied().step_by(3).chain([[0x55; 32]]).collect();
        let sent = map.witness(&shown).encode();
        let received = damaged(&sent, &damages);
        if let Ok(witness) = Witness::decode(&received) {
            prop_assert_eq!(witness.encode(), &received[..]);
            prop_assert_eq!(witness.root() == root, received == sent);
        }
    }
}

/// Any network file of good form, with release keys 1 and 2 of which one must sign.
fn network_file() -> impl Strategy<Value = net::NetworkFile> {
    let key_set = |seeds: &[u8], threshold| {
        let mut keys: Vec<_> = seeds
            .iter()
            .map(|seed| release_key(*seed).verifying_key().to_bytes())
            .collect();
        keys.sort_unstable();
        net::KeySet {
            keys: keys.into_iter().map(Into::into).collect(),
            threshold,
        }
    };
    let canisters = vec(
        (
            vec(any::<[u8; 32]>(), 0..3),
            vec(vec(any::<u8>(), 0..30), 0..3),
            1usize..29,
        ),
        2..5,
    );
    let canisters = canisters.prop_map(|entries| {
        let roles = [
            net::CanisterRole::Directory,
            net::CanisterRole::Relay,
            net::CanisterRole::Bulletin,
        ];
        let entries = (0u8..)
            .zip(entries)
            .map(
                |(index, (hashes, controllers, length))| net::NetworkCanister {
                    role: roles[usize::from(index) % 3],
                    id: vec![index; length].into(),
                    module_hashes: hashes.into_iter().map(Into::into).collect(),
                    controllers: controllers.into_iter().map(Into::into).collect(),
                },
            );
        entries.collect::<Vec<_>>()
    });
    let numbers = (any::<u64>(), any::<u64>(), 1_000..=u64::MAX);
    let lists = (
        vec(any::<u16>(), 0..3),
        vec(any::<String>(), 0..3),
        vec(any::<String>(), 0..3),
    );
    let rest = (
        any::<[u8; 16]>(),
        any::<String>(),
        vec(any::<u8>(), 0..140),
        any::<bool>(),
    );
    (canisters, numbers, lists, rest).prop_map(move |(canisters, numbers, lists, rest)| {
        net::NetworkFile {
            version: 1,
            network: rest.0.into(),
            name: rest.1,
            sequence: numbers.0,
            issued_at: numbers.1,
            expires_at: numbers.2,
            root_key: rest.2.into(),
            canisters,
            authority: key_set(&[5, 6], 2),
            proof_types: lists.0,
            urls: lists.1,
            gateways: lists.2,
            release: key_set(&[1, 2], 1),
            development: rest.3,
            transparency: Some(vec![3; 40].into()),
            auditors: Some(key_set(&[8], 1)),
        }
    })
}

fn release_key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

proptest! {
    #![proptest_config(Config::with_cases(100))]
    /// A network file comes back as it was signed. Changed on its way, with a second signature to
    /// spare, it is refused; and bytes from anywhere are no network file.
    #[test]
    fn network_files_have_one_form(file in network_file(), damages in damages(), noise in bytes()) {
        let sent = file.sign(&[&release_key(1), &release_key(2)]).unwrap();
        let verified = net::VerifiedNetwork::first(&sent, 1_000).unwrap();
        prop_assert_eq!(verified.file(), &file);
        prop_assert_eq!(verified.bytes(), &sent[..]);
        let received = damaged(&sent, &damages);
        let accepted = net::VerifiedNetwork::first(&received, 1_000).is_ok();
        prop_assert_eq!(accepted, received == sent);
        prop_assert!(net::VerifiedNetwork::first(&noise, 1_000).is_err());
    }

    /// A link comes back as it was shown; any text is a link in its one form, or none.
    #[test]
    fn links_have_one_form(
        hash: [u8; 32],
        at in "https?://[!-~]{0,40}",
        text in "(paigham:n/)?[A-Za-z0-9_-]{0,44}(\\?at=)?(https?://)?\\PC{0,10}",
        damages in damages(),
    ) {
        let link = net::NetworkLink { hash, at };
        let shown = link.to_string();
        prop_assert_eq!(net::NetworkLink::parse(&shown), Some(link));
        let changed = damaged(shown.as_bytes(), &damages);
        for text in [text, String::from_utf8_lossy(&changed).into_owned()] {
            if let Some(link) = net::NetworkLink::parse(&text) {
                prop_assert_eq!(link.to_string(), text);
            }
        }
    }
}

/// Few bytes must not become much memory: an element of any vector takes at most 32 times the
/// bytes of its shortest encoding (twice that while a vector grows). With at most 2 MiB in a
/// message that is what a phone and a canister can bear.
#[test]
fn vectors_do_not_blow_up() {
    fn check<T: Sample + Serialize + Debug>() {
        let mut runner = TestRunner::deterministic();
        let lengths = (0..500).map(|_| {
            let value = T::sample().new_tree(&mut runner).unwrap().current();
            encode(&value).len()
        });
        let shortest = lengths.min().unwrap();
        let memory = size_of::<T>();
        assert!(
            memory <= 32 * shortest,
            "{}: {memory} bytes of memory for {shortest}",
            std::any::type_name::<T>()
        );
    }
    check::<VLBytes>();
    check::<rel::PostOutcome>();
    check::<rel::FetchItem>();
    check::<rel::FetchedItem>();
    check::<rel::Entry>();
    check::<rel::DepositEntry>();
    check::<EntryDigest>();
    check::<WelcomeLocator>();
    check::<AccountId>();
    check::<env::Proof>();
    check::<env::Extension>();
    check::<env::WelcomeRef>();
    check::<idn::DeviceEntry>();
    check::<idn::Authorisation>();
}
