//! Tickets, blobs, administration and placement.

use paigham_wire::admin::{Action, AdminEntry, AdminSet, InitArgument, Proposal, Quotas};
use paigham_wire::admin::{ApproveRequest, RetentionBounds};
use paigham_wire::blob::{BlobMac, BlobManifest, CHUNK_BYTES, CreateBlob, PutChunk};
use paigham_wire::ids::{CanisterId, InboxId, PrincipalId, QueueId};
use paigham_wire::keys::MacKey;
use paigham_wire::log::{Submission, Submit, Wanted};
use paigham_wire::relay::{Claim, Credential, Deposit, TailRequest, credential};
use paigham_wire::shards::{Shard, ShardMap, ShardState, place};
use paigham_wire::ticket::{Beacon, Challenge, Difficulties, Paid};
use serde_json::{Value, json};

use crate::{canister, hex, structure};

pub fn all() -> Value {
    json!({
        "tickets": tickets(),
        "blobs": blobs(),
        "administration": administration(),
        "shards": shards(),
    })
}

fn ticket<R: Paid>(mut request: R, beacon: Beacon, bits: u8) -> Value {
    let call = request.call_hash();
    let challenge = Challenge {
        canister: &canister(),
        purpose: R::PURPOSE,
        call,
        beacon,
    };
    let solved = challenge.solve(bits).unwrap();
    *request.credential_mut() = Credential::ticket(&solved);
    assert_eq!(request.call_hash(), call);
    json!({
        "purpose": R::PURPOSE as u8,
        "bits": bits,
        "call": hex(call),
        "beacon": structure(&beacon),
        "ticket": structure(&solved),
        "hash": hex(challenge.hash(solved.nonce)),
        "request": hex(paigham_wire::codec::encode(&request)),
    })
}

fn tickets() -> Value {
    let beacon = Beacon {
        issued_at: 0x0102_0304_0506_0708,
        value: [9; 32],
    };
    let inbox = InboxId([1; 32]);
    let deposit = Deposit {
        inbox,
        credential: Credential::none(),
        sealed: b"sealed pointer".to_vec().into(),
    };
    let claim = Claim {
        inbox,
        claim_id: [2; 32],
        credential: Credential::none(),
    };
    let look_up = Wanted {
        label: b"a:a label".to_vec().into(),
        from: 3,
        credential: Credential::none(),
    };
    let register = Submit {
        submission: Submission::Identity(b"a record".to_vec().into()),
        credential: Credential::none(),
    };
    json!([
        ticket(deposit, beacon, 12),
        ticket(claim, beacon, 9),
        ticket(look_up, beacon, 10),
        ticket(register, beacon, 11),
    ])
}

fn blobs() -> Value {
    let mut bytes = vec![1; CHUNK_BYTES];
    bytes.extend_from_slice(b"the rest");
    let manifest = BlobManifest::of(&bytes).unwrap();
    let (queue, epoch, expires_at) = (QueueId([3; 32]), 4, 0x6564_a5b6);
    let key = MacKey::new([5; 32]);
    let blob = manifest.id();
    let tag = BlobMac::tag(&key, &canister(), &queue, epoch, &blob, expires_at);
    let mac = BlobMac { queue, epoch, tag };
    let put = PutChunk {
        blob,
        index: 1,
        bytes: b"the rest".to_vec().into(),
    };
    let create = CreateBlob {
        manifest: manifest.clone(),
        expires_at,
        credential: Credential {
            credential_type: credential::MEMBER,
            data: paigham_wire::codec::encode(&mac).into(),
        },
    };
    json!({
        "manifest": structure(&manifest),
        "blob": hex(blob),
        "mac_key": hex(key.as_bytes()),
        "mac": structure(&mac),
        "create_blob": structure(&create),
        "put_chunk": structure(&put),
        "tail": [
            structure(&TailRequest { cursor: None }),
            structure(&TailRequest { cursor: Some(6) }),
        ],
    })
}

fn principal(n: u8) -> PrincipalId {
    PrincipalId::new(&[0xd0, n]).unwrap()
}

fn administration() -> Value {
    let admins = AdminSet {
        admins: vec![principal(1), principal(2)],
        threshold: 2,
    };
    let bounds = RetentionBounds {
        posts: 1,
        commits: 2,
        bytes: 3,
    };
    let actions = [
        Action::SetAdmins(admins.clone()),
        Action::SetQuotas(Quotas::default()),
        Action::SetGateways(vec![principal(3)]),
        Action::SetDifficulties(Difficulties::default()),
        Action::SetRetention(bounds),
        Action::SetShards(map()),
    ];
    let mut head = [0; 32];
    let log: Vec<_> = (0..)
        .zip(actions)
        .map(|(number, action)| {
            let entry = AdminEntry {
                proposal: Proposal {
                    canister: canister(),
                    number,
                    action,
                },
                approvers: vec![principal(2), principal(1)],
                executed_at: 7,
            };
            head = entry.head(&head);
            let proposal = entry.proposal.hash();
            json!({
                "proposal": structure(&entry.proposal),
                "hash": hex(proposal),
                "approve": structure(&ApproveRequest { proposal }),
                "entry": structure(&entry),
                "head": hex(head),
            })
        })
        .collect();
    let argument = InitArgument {
        admins: Some(admins),
        difficulties: Some(Difficulties::all(8)),
    };
    json!({
        "log": log,
        "init_arguments": [structure(&InitArgument::default()), structure(&argument)],
    })
}

fn map() -> ShardMap {
    let shard = |n, state| Shard {
        canister: CanisterId::new(&[0, n]).unwrap(),
        subnet: principal(9),
        state,
    };
    ShardMap {
        shards: vec![
            shard(1, ShardState::Open),
            shard(2, ShardState::Closed),
            shard(3, ShardState::Open),
            shard(4, ShardState::Open),
        ],
    }
}

fn shards() -> Value {
    let map = map();
    let placed: Vec<_> = (0..8)
        .map(|n| {
            let nonce = [n; 32];
            let canister = place(&nonce, map.open()).unwrap();
            json!({ "nonce": hex(nonce), "canister": hex(canister.as_slice()) })
        })
        .collect();
    json!({ "map": structure(&map), "placed": placed })
}
