//! Stories of the directory's operations.

use ed25519_dalek::SigningKey;
use ic_stable_structures::VectorMemory;
use paigham_wire::admin::{
    Action, AdminLogRequest, AdminRefusal, AdminSet, ApproveRequest, InitArgument, Proposal, Quotas,
};
use paigham_wire::codec::{decode, encode};
use paigham_wire::directory::{DirectoryArgument, DirectoryError};
use paigham_wire::hash::blake3;
use paigham_wire::identity::{
    AccountState, DeviceEntry, IdentityRecord, RecordContent, RecordKind, Role, recovery_key_hash,
};
use paigham_wire::ids::{AccountId, CanisterId, DeviceId, InboxId, PrincipalId};
use paigham_wire::leaf::{Leaf, ShardsLeaf};
use paigham_wire::map::{Found, Witness};
use paigham_wire::shards::{Shard, ShardMap, ShardState};
use paigham_wire::ticket::Difficulties;

use crate::Directory;

mod handles;
mod log;
mod tickets;

const NOW: u64 = 1_700_000_000_000_000_000;

fn directory() -> Directory<VectorMemory> {
    Directory::open(VectorMemory::default(), myself(), 1).unwrap()
}

/// Asks for so much work, from now on.
fn ask_for_work(directory: &mut Directory<VectorMemory>, bits: u8) {
    let common = InitArgument {
        admins: None,
        difficulties: Some(Difficulties::all(bits)),
    };
    let argument = DirectoryArgument {
        common,
        release_key: None,
    };
    directory.install(&argument).unwrap();
}

fn myself() -> CanisterId {
    CanisterId::new(&[1]).unwrap()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn create(seed: u8) -> IdentityRecord {
    let identity_key = key(seed).verifying_key().to_bytes();
    let recovery = recovery_key_hash(&key(seed + 1).verifying_key().to_bytes());
    let device = DeviceEntry {
        device: DeviceId([seed; 16]),
        leaf_key: [1; 32],
        shard: CanisterId::new(&[1]).unwrap(),
        inbox: InboxId([1; 32]),
        xwing_key_hash: [1; 32],
        added_at: NOW,
    };
    let content = RecordContent {
        version: 1,
        account: AccountId::derive(&identity_key, &recovery, &[0; 32]),
        record_version: 0,
        identity_key,
        recovery_key_hash: recovery,
        devices: vec![device],
        previous: [0; 32],
        key_change_version: 0,
        key_change_hash: [0; 32],
        kind: RecordKind::Create { nonce: [0; 32] },
    };
    let keys = [
        (Role::NewIdentity, &key(seed)),
        (Role::Recovery, &key(seed + 1)),
    ];
    IdentityRecord::sign(content, &keys)
}

fn freeze(create: &IdentityRecord, signer: &SigningKey) -> IdentityRecord {
    let state = AccountState::create(create, NOW).unwrap();
    let content = RecordContent {
        record_version: 1,
        previous: create.hash(),
        key_change_version: 0,
        key_change_hash: state.at(NOW).key_change.1,
        kind: RecordKind::Freeze,
        ..create.content.clone()
    };
    IdentityRecord::sign(content, &[(Role::Identity, signer)])
}

/// Two of three administrators set the shard map: readers get it under the directory's root, and
/// what was executed leads to the certified head. Before, its absence is certified; one
/// administrator alone, and a relay's action, change nothing.
#[test]
fn administrators_set_the_shard_map() {
    let memory = VectorMemory::default();
    let mut directory = Directory::open(memory.clone(), myself(), 1).unwrap();
    let admin = |id| PrincipalId::new(&[9, id]).unwrap();
    let canister = CanisterId::new(&[1]).unwrap();
    let common = InitArgument {
        admins: Some(AdminSet {
            admins: (0..3).map(admin).collect(),
            threshold: 2,
        }),
        difficulties: None,
    };
    let argument = DirectoryArgument {
        common,
        release_key: None,
    };
    directory.install(&argument).unwrap();
    let none = directory.shards(&[1]).unwrap();
    let witness = Witness::decode(none.witness.as_slice()).unwrap();
    assert_eq!(witness.root(), directory.map.root());
    assert_eq!(witness.get(&ShardsLeaf::key()), Ok(Found::Absent));
    assert!(none.map.as_slice().is_empty());

    let map = ShardMap {
        shards: vec![Shard {
            canister: CanisterId::new(&[7]).unwrap(),
            subnet: admin(8),
            state: ShardState::Open,
        }],
    };
    let proposal = |action| {
        encode(&Proposal {
            canister: canister.clone(),
            number: 0,
            action,
        })
    };
    let wanted = proposal(Action::SetShards(map.clone()));
    let mut propose = |who, request: &[u8]| directory.admin_propose(request, &canister, &who, NOW);
    let quotas = proposal(Action::SetQuotas(Quotas::default()));
    assert_eq!(propose(admin(0), &quotas), Err(AdminRefusal::WrongCanister));
    assert_eq!(propose(admin(7), &wanted), Err(AdminRefusal::NotAdmin));
    let first = propose(admin(0), &wanted).unwrap();
    assert_eq!((first.approvals, first.executed), (1, 0));
    assert!(directory.shards(&[1]).unwrap().map.as_slice().is_empty());
    let approval = encode(&ApproveRequest {
        proposal: first.proposal,
    });
    let second = directory.admin_approve(&approval, &admin(2), NOW).unwrap();
    assert_eq!(second.executed, 1);

    let root = directory.map.root();
    drop(directory);
    let mut directory = Directory::open(memory, myself(), 1).unwrap();
    assert_eq!(directory.map.root(), root);
    let reply = directory.shards(&[1]).unwrap();
    let witness = Witness::decode(reply.witness.as_slice()).unwrap();
    assert_eq!(witness.root(), root);
    let Ok(Found::Present(leaf)) = witness.get(&ShardsLeaf::key()) else {
        panic!("absent")
    };
    let Leaf::Shards(leaf) = decode(leaf).unwrap() else {
        panic!("another leaf")
    };
    assert_eq!(leaf.map_hash, blake3(reply.map.as_slice()));
    assert_eq!(decode(reply.map.as_slice()), Ok(map));
    let log = directory
        .admin_log(&encode(&AdminLogRequest { from: 0 }), &[1])
        .unwrap();
    assert_eq!(log.entries.len(), 1);
    assert_eq!(log.entries[0].approvers, [admin(0), admin(2)]);
    assert_eq!(leaf.admin_head, log.entries[0].head(&[0; 32]));
}

/// The interface that others build against is the one in spec/.
#[test]
fn the_candid_interface_is_the_written_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/directory.did");
    let generated = crate::candid_interface();
    if std::env::var_os("PAIGHAM_WRITE_VECTORS").is_some() {
        std::fs::write(path, &generated).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), generated);
}
