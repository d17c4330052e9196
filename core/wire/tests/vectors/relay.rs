//! Requests, replies and errors of the relay.

use ed25519_dalek::SigningKey;
use paigham_wire::chain::EntryDigest;
use paigham_wire::codec::{decode, decode_result, encode_result};
use paigham_wire::frame::{PostHeader, PostKind, encode_post, post_hash};
use paigham_wire::ids::{InboxId, QueueId, WelcomeId, WelcomeLocator};
use paigham_wire::keys::{EpochKeys, MacKey, ReadToken};
use paigham_wire::relay::{
    BatchReply, Capability, Claim, Claimed, CommitAccepted, CommitBundle, CommitDigest,
    CreateInbox, CreateQueue, Credential, Deposit, DepositEntry, Drain, Entry, FetchItem,
    FetchRefusal, FetchReply, FetchRequest, FetchWhat, FetchedItem, InboxOperation, InboxReply,
    InboxState, PoolReply, PoolRequest, Position, PostOutcome, PostRefusal, QueueCreated,
    ReadInbox, Refill, RelayError, SubmitCommit, WelcomeReply, WelcomeRequest, XWING_KEY_BYTES,
    credential,
};
use serde_json::{Value, json};

use crate::{canister, hex, structure};

const POSITION: Position = Position {
    seq: 0x0102_0304,
    accepted_at: 0x0506_0708_090a_0b0c,
};

pub fn all() -> Value {
    json!({
        "queues": queues(),
        "inboxes": inboxes(),
        "replies": replies(),
        "errors": errors(),
    })
}

fn queues() -> Value {
    let key = SigningKey::from_bytes(&[1; 32]);
    let (queue, create) = CreateQueue::sign(&key, &canister(), [2; 32]);
    assert_eq!(create.verify(&canister()), Some(queue));
    let fetch = FetchRequest {
        items: [
            FetchWhat::Entries,
            FetchWhat::Digests,
            FetchWhat::Commits,
            FetchWhat::CommitDigests,
        ]
        .map(|what| FetchItem {
            queue,
            token: ReadToken::new([3; 32]),
            from: 4,
            what,
        })
        .to_vec(),
    };
    let welcome_id = WelcomeId([6; 32]);
    json!({
        "control_key_seed": hex(key.to_bytes()),
        "queue": hex(queue),
        "create_queue": structure(&create),
        "submit_commit": commit(&key, queue),
        "fetch": structure(&fetch),
        "welcome": structure(&WelcomeRequest { welcome_id }),
    })
}

fn commit(key: &SigningKey, queue: QueueId) -> Value {
    let envelope = [0xc3; 40];
    let header = PostHeader {
        queue,
        epoch: 7,
        not_after: 0x6564_a5b6,
        kind: PostKind::Commit,
        after_seq: 8,
        length: 40,
    };
    let post_hash = post_hash(&header.to_bytes(), &envelope);
    let next_keys = EpochKeys {
        control_key: [0xd5; 32],
        mac_key: MacKey::new([0xd6; 32]),
        read_token_hash: [0xd7; 32],
        generation: 2,
    };
    let joined = CommitBundle {
        wrapper: b"sealed wrapper".to_vec().into(),
        tree: b"sealed tree".to_vec().into(),
        locators: vec![WelcomeLocator([1; 32]), WelcomeLocator([2; 32])],
    };
    let cases = [
        ("nobody joins", CommitBundle::empty()),
        ("two join", joined),
    ];
    cases
        .into_iter()
        .map(|(what, bundle)| {
            let signature = SubmitCommit::signature(
                key,
                &canister(),
                &queue,
                header.epoch,
                &post_hash,
                &next_keys,
                &bundle,
            );
            let request = SubmitCommit {
                post: encode_post(&header, None, &envelope).into(),
                next_keys: next_keys.clone(),
                bundle,
                signature,
            };
            let public = key.verifying_key().to_bytes();
            assert!(request.verify(&public, &canister(), &queue, 7, &post_hash));
            json!({
                "what": what,
                "base_epoch": header.epoch,
                "post_hash": hex(post_hash),
                "keys_hash": hex(next_keys.hash()),
                "bundle": structure(&request.bundle),
                "signature": hex(signature),
                "request": structure(&request),
            })
        })
        .collect()
}

fn inboxes() -> Value {
    let key = SigningKey::from_bytes(&[0x11; 32]);
    let inbox_key = key.verifying_key().to_bytes();
    let inbox = InboxId::derive(&inbox_key);
    let sign = |operation: InboxOperation<'_>| {
        let signature = operation.sign(&key, &canister(), &inbox);
        assert!(operation.verify(&inbox_key, &signature, &canister(), &inbox));
        signature
    };
    let xwing_key = vec![3; XWING_KEY_BYTES];
    let create = CreateInbox {
        inbox_key,
        signature: sign(InboxOperation::Create {
            xwing_key: &xwing_key,
        }),
        xwing_key: xwing_key.into(),
        credential: Credential::none(),
    };
    let (from_seq, not_after, counter, up_to) = (5, 0x6564_a5b6, 6, 7);
    let read = ReadInbox {
        inbox,
        from_seq,
        not_after,
        signature: sign(InboxOperation::Read {
            from_seq,
            not_after,
        }),
    };
    let drain = Drain {
        inbox,
        counter,
        up_to,
        signature: sign(InboxOperation::Drain { counter, up_to }),
    };
    let capability = Capability {
        not_after,
        signature: sign(InboxOperation::Capability { not_after }),
    };
    let credentials = [
        (credential::NONE, Vec::new()),
        (
            credential::CAPABILITY,
            paigham_wire::codec::encode(&capability),
        ),
    ]
    .map(|(credential_type, data)| Credential {
        credential_type,
        data: data.into(),
    });
    let deposit = Deposit {
        inbox,
        credential: credentials[1].clone(),
        sealed: b"sealed pointer".to_vec().into(),
    };
    let claim = Claim {
        inbox,
        claim_id: [8; 32],
        credential: credentials[0].clone(),
    };
    let refills: Vec<_> = [
        (
            vec![b"one".to_vec(), b"two".to_vec()],
            Some(b"last".to_vec()),
        ),
        (vec![], None),
    ]
    .into_iter()
    .map(|(packages, last)| {
        let key_packages = packages.into_iter().map(Into::into).collect();
        let last_resort = last.map(Into::into);
        let signature = sign(InboxOperation::Refill {
            counter,
            key_packages: &key_packages,
            last_resort: &last_resort,
        });
        structure(&Refill {
            inbox,
            counter,
            key_packages,
            last_resort,
            signature,
        })
    })
    .collect();
    json!({
        "inbox_key_seed": hex(key.to_bytes()),
        "inbox": hex(inbox),
        "create_inbox": structure(&create),
        "read_inbox": structure(&read),
        "drain": structure(&drain),
        "refill": refills,
        "capability": structure(&capability),
        "deposit": structure(&deposit),
        "claim": structure(&claim),
        "pool": structure(&PoolRequest { inbox }),
    })
}

fn replies() -> Value {
    let (certificate, witness) = (b"certificate".to_vec(), b"witness".to_vec());
    let digest = EntryDigest {
        accepted_at: POSITION.accepted_at,
        post_hash: [1; 32],
    };
    let entry = |keys_hash| Entry {
        seq: POSITION.seq,
        accepted_at: POSITION.accepted_at,
        header: [2; 48],
        keys_hash,
        envelope: vec![3; 70].into(),
    };
    let fetch = FetchReply {
        certificate: certificate.clone().into(),
        witness: witness.clone().into(),
        items: vec![
            FetchedItem::Entries(vec![entry(None), entry(Some([4; 32]))]),
            FetchedItem::Digests(vec![digest, digest]),
            FetchedItem::Refused(FetchRefusal::NoSuchQueue),
            FetchedItem::Refused(FetchRefusal::UnknownToken),
            FetchedItem::Refused(FetchRefusal::GenerationOver),
            FetchedItem::Commits(vec![entry(Some([4; 32]))]),
            FetchedItem::CommitDigests(vec![CommitDigest {
                seq: POSITION.seq,
                digest,
                keys_hash: [4; 32],
            }]),
        ],
    };
    let welcome = WelcomeReply {
        certificate: certificate.clone().into(),
        witness: witness.clone().into(),
        wrapper: b"wrapper".to_vec().into(),
        tree: b"tree".to_vec().into(),
    };
    let inbox = InboxReply {
        certificate: certificate.clone().into(),
        witness: witness.clone().into(),
        deposits: vec![DepositEntry {
            seq: POSITION.seq,
            accepted_at: POSITION.accepted_at,
            sealed: b"sealed".to_vec().into(),
        }],
        rest: vec![digest],
    };
    let pool = PoolReply {
        certificate: certificate.into(),
        witness: witness.into(),
        xwing_key: vec![5; XWING_KEY_BYTES].into(),
        last_resort: b"last".to_vec().into(),
    };
    let claimed = |key_package: Option<&[u8]>| Claimed {
        key_package: key_package.map(|package| package.to_vec().into()),
    };
    json!({
        "create_queue": structure(&QueueCreated { queue: QueueId([0xa1; 32]) }),
        "append_batch": structure(&BatchReply { outcomes: outcomes() }),
        "submit_commit": structure(&CommitAccepted { epoch: 9, position: POSITION }),
        "fetch": structure(&fetch),
        "welcome": structure(&welcome),
        "deposit": structure(&POSITION),
        "read_inbox": structure(&inbox),
        "drain": structure(&InboxState { one_time_left: 1, first_seq: 2 }),
        "claim": [structure(&claimed(Some(b"package"))), structure(&claimed(None))],
        "pool": structure(&pool),
        "ok": hex(encode_result::<_, RelayError>(&Ok(POSITION))),
    })
}

fn outcomes() -> Vec<PostOutcome> {
    let refused = refusals().into_iter().map(PostOutcome::Refused);
    [
        PostOutcome::Accepted(POSITION),
        PostOutcome::Repeat(POSITION),
    ]
    .into_iter()
    .chain(refused)
    .collect()
}

/// Every refusal there is: their numbers are consecutive, and the next one is unknown.
fn refusals() -> Vec<PostRefusal> {
    let all: Vec<_> = (1..=u8::MAX).map_while(|n| decode(&[n]).ok()).collect();
    assert_eq!(all.last(), Some(&PostRefusal::Busy));
    all
}

fn errors() -> Value {
    let simple = (1..=u8::MAX).filter_map(|n| decode::<RelayError>(&[n]).ok());
    let refused = refusals().into_iter().map(RelayError::Post);
    let tickets = (1..=u8::MAX).map_while(|n| decode(&[n]).ok());
    simple
        .chain(refused)
        .chain(tickets.map(RelayError::Ticket))
        .chain([RelayError::StaleCounter(0x0102_0304_0506_0708)])
        .map(|error| {
            let bytes = encode_result::<Position, _>(&Err(error));
            assert_eq!(decode_result::<Position, _>(&bytes), Ok(Err(error)));
            json!({ "meaning": error.to_string(), "reply": hex(bytes) })
        })
        .collect()
}
