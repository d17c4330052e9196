//! Stories of the directory's operations.

use ed25519_dalek::SigningKey;
use ic_stable_structures::VectorMemory;
use paigham_wire::admin::{
    Action, AdminLogRequest, AdminRefusal, AdminSet, ApproveRequest, InitArgument, Proposal, Quotas,
};
use paigham_wire::chain::{record_next, record_start};
use paigham_wire::codec::{decode, encode};
use paigham_wire::directory::{
    DirectoryArgument, DirectoryError, LookupReply, LookupRequest, SubmitReply, SubmitRequest,
};
use paigham_wire::hash::blake3;
use paigham_wire::identity::{
    AccountState, DeviceEntry, IdentityRecord, RecordContent, RecordKind, Role, recovery_key_hash,
};
use paigham_wire::ids::{AccountId, CanisterId, DeviceId, DirectoryKey, InboxId, PrincipalId};
use paigham_wire::leaf::{Leaf, ShardsLeaf};
use paigham_wire::map::{Found, Witness};
use paigham_wire::shards::{Shard, ShardMap, ShardState};

use crate::Directory;

mod log;

const NOW: u64 = 1_700_000_000_000_000_000;

fn directory() -> Directory<VectorMemory> {
    Directory::open(VectorMemory::default(), myself(), 1).unwrap()
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

fn submit(
    directory: &mut Directory<VectorMemory>,
    record: &IdentityRecord,
    now: u64,
) -> Result<SubmitReply, DirectoryError> {
    directory.map_submit(
        &encode(&SubmitRequest {
            record: encode(record).into(),
        }),
        now,
    )
}

fn lookup(directory: &Directory<VectorMemory>, accounts: Vec<AccountId>) -> LookupReply {
    directory
        .map_lookup(&encode(&LookupRequest { accounts }), &[1])
        .unwrap()
}

/// An account is registered once; its records and their times are certified as a chain.
#[test]
fn records_are_certified_as_a_chain() {
    let mut directory = directory();
    let first = create(1);
    let account = first.content.account;
    let accepted = SubmitReply {
        version: 0,
        accepted_at: NOW,
    };
    assert_eq!(submit(&mut directory, &first, NOW), Ok(accepted));
    assert_eq!(submit(&mut directory, &first, NOW + 9), Ok(accepted));
    let second = freeze(&first, &key(1));
    assert_eq!(
        submit(&mut directory, &second, NOW + 5),
        Ok(SubmitReply {
            version: 1,
            accepted_at: NOW + 5
        })
    );
    let root = directory.map.root();
    let absent = AccountId([9; 16]);
    let reply = lookup(&directory, vec![account, absent]);
    let witness = Witness::decode(reply.witness.as_slice()).unwrap();
    assert_eq!(witness.root(), root);
    let key = DirectoryKey::of_label(&account.directory_label());
    let Ok(Found::Present(leaf)) = witness.get(&key.0) else {
        panic!("absent")
    };
    let Leaf::Records(leaf) = decode(leaf).unwrap() else {
        panic!("another leaf")
    };
    let head = record_start(&account.directory_label());
    let head = record_next(&head, 0, NOW, &first.hash());
    assert_eq!(
        (leaf.count, leaf.head),
        (2, record_next(&head, 1, NOW + 5, &second.hash()))
    );
    assert_eq!(reply.accounts[0].records.len(), 2);
    let key = DirectoryKey::of_label(&absent.directory_label());
    assert_eq!(witness.get(&key.0), Ok(Found::Absent));
    assert!(reply.accounts[1].records.is_empty());
}

/// Records that do not follow, by a stranger, for an account that is not there, or that are no
/// records at all, change nothing.
#[test]
fn wrong_records_are_refused() {
    let mut directory = directory();
    let first = create(1);
    let stranger = freeze(&first, &key(7));
    assert_eq!(
        submit(&mut directory, &stranger, NOW),
        Err(DirectoryError::NoSuchAccount)
    );
    submit(&mut directory, &first, NOW).unwrap();
    let root = directory.map.root();
    assert_eq!(
        submit(&mut directory, &stranger, NOW),
        Err(DirectoryError::Rejected)
    );
    let mut altered = first.clone();
    altered.content.devices[0].leaf_key = [9; 32];
    assert_eq!(
        submit(&mut directory, &altered, NOW),
        Err(DirectoryError::Rejected)
    );
    let garbage = SubmitRequest {
        record: vec![1, 2, 3].into(),
    };
    assert_eq!(
        directory.map_submit(&encode(&garbage), NOW),
        Err(DirectoryError::Malformed)
    );
    let many = LookupRequest {
        accounts: vec![AccountId([0; 16]); 257],
    };
    assert_eq!(
        directory.map_lookup(&encode(&many), &[]).unwrap_err(),
        DirectoryError::TooLarge
    );
    assert_eq!(directory.map.root(), root);
}

/// An upgrade finds everything where it was.
#[test]
fn a_directory_outlives_its_code() {
    let memory = VectorMemory::default();
    let mut directory = Directory::open(memory.clone(), myself(), 1).unwrap();
    submit(&mut directory, &create(1), NOW).unwrap();
    let root = directory.map.root();
    drop(directory);
    let mut directory = Directory::open(memory, myself(), 1).unwrap();
    assert_eq!(directory.map.root(), root);
    assert_eq!(
        submit(&mut directory, &create(1), NOW + 1)
            .unwrap()
            .accepted_at,
        NOW
    );
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
