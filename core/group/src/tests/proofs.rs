//! The judge of a network whose directory certifies records by its map, with real certificates.

use ic_certification::{Certificate, HashTree, fork, labeled, leaf, pruned};
use ic_verify_bls_signature::PrivateKey;
use paigham_wire::chain::{record_next, record_start};
use paigham_wire::directory::DatedRecord;
use paigham_wire::identity::{
    DeviceEntry, IdentityRecord, RecordContent, RecordKind, Role, recovery_key_hash,
};
use paigham_wire::ids::{DirectoryKey, InboxId};
use paigham_wire::leaf::{Leaf, RecordsLeaf};
use paigham_wire::map::MerkleMap;

use super::*;
use crate::proof::{DirectoryMapJudge, PROOF_MAX_AGE_NS, PROOF_MAX_AHEAD_NS};

const NOW: u64 = 1_700_000_000_000_000_000;
const DER_PREFIX: [u8; 37] = *b"\x30\x81\x82\x30\x1d\x06\x0d\x2b\x06\x01\x04\x01\x82\xdc\x7c\x05\x03\x01\x02\x01\x06\x0c\x2b\x06\x01\x04\x01\x82\xdc\x7c\x05\x03\x02\x01\x03\x61\x00";

fn root_key(seed: u8) -> PrivateKey {
    let mut bytes = [0; 32];
    bytes[31] = seed;
    PrivateKey::deserialize(&bytes).unwrap()
}

fn directory() -> CanisterId {
    CanisterId::new(&[0, 0, 0, 0, 0, 0, 0, 1, 1, 1]).unwrap()
}

fn judge() -> DirectoryMapJudge {
    let public = root_key(1).public_key().serialize();
    DirectoryMapJudge {
        root_key: [&DER_PREFIX[..], &public].concat(),
        directory: directory(),
    }
}

fn leb(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
    out
}

fn certificate(by: &PrivateKey, data: Hash, time: u64) -> Vec<u8> {
    let data = labeled("certified_data", leaf(data.to_vec()));
    let canister = labeled("canister", labeled(directory().as_slice().to_vec(), data));
    let time = labeled("time", leaf(leb(time)));
    let tree: HashTree = fork(canister, fork(pruned([7; 32]), time));
    let message = [&b"\x0dic-state-root"[..], &tree.digest()[..]].concat();
    let certificate = Certificate {
        signature: by.sign(&message).serialize().to_vec(),
        tree,
        delegation: None,
    };
    let mut serializer = serde_cbor::Serializer::new(Vec::new());
    serializer.self_describe().unwrap();
    serde::Serialize::serialize(&certificate, &mut serializer).unwrap();
    serializer.into_inner()
}

fn seed(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn public(number: u8) -> [u8; 32] {
    seed(number).verifying_key().to_bytes()
}

/// An account with one device, as the directory holds it.
fn record(number: u8) -> IdentityRecord {
    let (identity, recovery) = (number, number + 100);
    let recovery_key_hash = recovery_key_hash(&public(recovery));
    let device = DeviceEntry {
        device: DeviceId([number; 16]),
        leaf_key: public(number),
        shard: directory(),
        inbox: InboxId([number; 32]),
        xwing_key_hash: [1; 32],
        added_at: NOW,
    };
    let content = RecordContent {
        version: 1,
        account: AccountId::derive(&public(identity), &recovery_key_hash, &[7; 32]),
        record_version: 0,
        identity_key: public(identity),
        recovery_key_hash,
        devices: vec![device],
        previous: [0; 32],
        key_change_version: 0,
        key_change_hash: [0; 32],
        kind: RecordKind::Create { nonce: [7; 32] },
    };
    let keys = [
        (Role::NewIdentity, &seed(identity)),
        (Role::Recovery, &seed(recovery)),
    ];
    IdentityRecord::sign(content, &keys)
}

fn claim(number: u8) -> LeafClaim {
    LeafClaim {
        account: record(number).content.account,
        device: DeviceId([number; 16]),
        leaf_key: public(number),
    }
}

/// The proof of an account under a map with the accounts 1 and 2.
fn proof(number: u8, by: &PrivateKey, time: u64) -> DirectoryMapProof {
    let mut map = MerkleMap::open(Vec::new(), Vec::new(), Vec::new()).unwrap();
    let mut values = BTreeMap::new();
    for known in [1, 2] {
        let record = record(known);
        let label = record.content.account.directory_label();
        let leaf = Leaf::Records(RecordsLeaf {
            count: 1,
            head: record_next(&record_start(&label), 0, NOW, &record.hash()),
        });
        values.insert(DirectoryKey::of_label(&label).0, encode(&leaf));
    }
    for (key, value) in &values {
        map.insert(key, value, &[]).unwrap();
    }
    let root = map.root();
    let record = record(number);
    let account = record.content.account;
    let key = DirectoryKey::of_label(&account.directory_label()).0;
    DirectoryMapProof {
        account,
        records: vec![DatedRecord {
            accepted_at: NOW,
            record: encode(&record).into(),
        }],
        certificate: certificate(by, root, time).into(),
        witness: map.witness(&[key]).encode().into(),
    }
}

fn typed(proof: &DirectoryMapProof) -> Proof {
    Proof {
        proof_type: PROOF_DIRECTORY_MAP,
        data: encode(proof).into(),
    }
}

/// GRP-004: certified records show a device of its account for ten minutes after their time and
/// two before it, and no longer.
#[test]
fn group_grp_004_records_prove_at_their_time() {
    let proof = typed(&proof(1, &root_key(1), NOW));
    let at = |time| judge().authorises(&[claim(1)], &proof, time);
    assert_eq!(at(NOW), Ok(None));
    assert_eq!(at(NOW + PROOF_MAX_AGE_NS), Ok(None));
    let stale = Err(ProofError::Certificate);
    assert_eq!(at(NOW + PROOF_MAX_AGE_NS + 1), stale);
    assert_eq!(at(NOW - PROOF_MAX_AHEAD_NS - 1), stale);
}

/// GRP-004: no other leaf key, device or account, no other signer, no record left out, changed or
/// put in, no proof of another type.
#[test]
fn group_grp_004_records_prove_nothing_else() {
    let good = proof(1, &root_key(1), NOW);
    let judged = |claim: LeafClaim, proof: &Proof| judge().authorises(&[claim], proof, NOW);
    let refused = |proof: &DirectoryMapProof| judged(claim(1), &typed(proof)).unwrap_err();
    let mut key = claim(1);
    key.leaf_key = public(9);
    let mut device = claim(1);
    device.device = DeviceId([9; 16]);
    for wrong in [key, device] {
        assert_eq!(judged(wrong, &typed(&good)), Err(ProofError::Device));
    }
    assert_eq!(judged(claim(2), &typed(&good)), Err(ProofError::Device));

    let forged = proof(1, &root_key(2), NOW);
    assert_eq!(refused(&forged), ProofError::Certificate);
    let mut fewer = good.clone();
    fewer.records.clear();
    assert_eq!(refused(&fewer), ProofError::Records);
    let mut later = good.clone();
    later.records[0].accepted_at += 1;
    assert_eq!(refused(&later), ProofError::Records);
    let mut twice = good.clone();
    twice.records.push(twice.records[0].clone());
    assert_eq!(refused(&twice), ProofError::Records);
    // The witness of one account under the name of another, with that one's record.
    let mut borrowed = proof(2, &root_key(1), NOW);
    borrowed.account = claim(1).account;
    assert_eq!(refused(&borrowed), ProofError::Records);
    // Account 3 is in no map.
    let absent = typed(&proof(3, &root_key(1), NOW));
    assert_eq!(judged(claim(3), &absent), Err(ProofError::Records));
    let mut foreign = typed(&good);
    foreign.proof_type = 2;
    assert_eq!(judged(claim(1), &foreign), Err(ProofError::Malformed));
}
