//! Network files: a first one of a development network, a successor under other keys, and files
//! that do not count.

use ed25519_dalek::SigningKey;
use paigham_wire::hash::{blake3, label, sign};
use paigham_wire::network::{
    CanisterRole, KeySet, NetworkCanister, NetworkError, NetworkFile, NetworkLink, VerifiedNetwork,
};
use serde_json::{Value, json};

use crate::{canister, hex};

const NOW: u64 = 1_700_000_000;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn keys(seeds: &[u8], threshold: u32) -> KeySet {
    let mut keys: Vec<_> = seeds
        .iter()
        .map(|seed| key(*seed).verifying_key().to_bytes())
        .collect();
    keys.sort_unstable();
    KeySet {
        keys: keys.into_iter().map(Into::into).collect(),
        threshold,
    }
}

fn first() -> NetworkFile {
    let entry = |role, id: &[u8], module: u8| NetworkCanister {
        role,
        id: id.to_vec().into(),
        module_hashes: vec![[module; 32].into()],
        controllers: Vec::new(),
    };
    NetworkFile {
        version: 1,
        network: [0x11; 16].into(),
        name: "پیغام".into(),
        sequence: 1,
        issued_at: NOW,
        expires_at: NOW + 365 * 24 * 60 * 60,
        root_key: vec![0x22; 133].into(),
        canisters: vec![
            entry(
                CanisterRole::Directory,
                &[0, 0, 0, 0, 0, 0, 0, 6, 1, 1],
                0x33,
            ),
            entry(CanisterRole::Relay, canister().as_slice(), 0x44),
        ],
        authority: keys(&[], 0),
        proof_types: vec![1],
        urls: vec!["http://127.0.0.1:4943".into()],
        gateways: Vec::new(),
        release: keys(&[1], 1),
        development: true,
        transparency: None,
        auditors: None,
    }
}

fn second() -> NetworkFile {
    let mut file = first();
    file.sequence = 2;
    file.canisters[1].module_hashes.push([0x45; 32].into());
    file.canisters[1].controllers = vec![vec![4].into()];
    file.authority = keys(&[7, 8, 9], 2);
    file.gateways = vec!["https://gateway.example".into()];
    file.release = keys(&[2, 3, 4], 2);
    file.development = false;
    file
}

pub fn all() -> Value {
    let one = first().sign(&[&key(1)]).unwrap();
    let two = second().sign(&[&key(3), &key(1), &key(2)]).unwrap();
    let trusted = VerifiedNetwork::first(&one, NOW).unwrap();
    let next = trusted.successor(&two, NOW).unwrap();
    json!({
        "release_key_seeds": [hex([1; 32]), hex([2; 32]), hex([3; 32]), hex([4; 32])],
        "files": [published(&trusted), published(&next)],
        "refused_first": refused_first(),
        "refused_as_successor_of_the_first_file": refused_successors(&trusted),
    })
}

fn published(network: &VerifiedNetwork) -> Value {
    let file = network.file();
    let hexes =
        |list: &[minicbor::bytes::ByteVec]| list.iter().map(|b| hex(&b[..])).collect::<Vec<_>>();
    let key_set = |set: &KeySet| {
        let keys: Vec<_> = set.keys.iter().map(|key| hex(&key[..])).collect();
        json!({ "keys": keys, "threshold": set.threshold })
    };
    let canisters: Vec<_> = file
        .canisters
        .iter()
        .map(|entry| {
            let hashes: Vec<_> = entry
                .module_hashes
                .iter()
                .map(|hash| hex(&hash[..]))
                .collect();
            json!({
                "role": match entry.role {
                    CanisterRole::Directory => 1,
                    CanisterRole::Relay => 2,
                    CanisterRole::Bulletin => 3,
                },
                "id": hex(&entry.id[..]),
                "module_hashes": hashes,
                "controllers": hexes(&entry.controllers),
            })
        })
        .collect();
    let link = NetworkLink {
        hash: network.hash(),
        at: "http://127.0.0.1:4943/paigham/network.cbor".into(),
    };
    assert_eq!(NetworkLink::parse(&link.to_string()).as_ref(), Some(&link));
    json!({
        "content": {
            "version": file.version,
            "network": hex(&file.network[..]),
            "name": file.name,
            "sequence": file.sequence,
            "issued_at": file.issued_at,
            "expires_at": file.expires_at,
            "root_key": hex(&file.root_key[..]),
            "canisters": canisters,
            "authority": key_set(&file.authority),
            "proof_types": file.proof_types,
            "urls": file.urls,
            "gateways": file.gateways,
            "release": key_set(&file.release),
            "development": file.development,
        },
        "published": hex(network.bytes()),
        "hash": hex(network.hash()),
        "link": link.to_string(),
    })
}

fn refused_first() -> Vec<Value> {
    let good = first().sign(&[&key(1)]).unwrap();
    let mut broken = good.clone();
    *broken.last_mut().unwrap() ^= 1;
    let mut expired = first();
    expired.expires_at = NOW - 1;
    let mut alike = first();
    alike.canisters[1].id = alike.canisters[0].id.clone();
    let mut later = first();
    later.version = 2;
    let cases = [
        ("nothing", Vec::new(), NetworkError::Malformed),
        (
            "a byte left over",
            [&good[..], &[0]].concat(),
            NetworkError::Malformed,
        ),
        (
            "well signed, but an integer in two bytes",
            longer(),
            NetworkError::Malformed,
        ),
        ("a broken signature", broken, NetworkError::Signatures),
        (
            "another's signature",
            first().sign(&[&key(2)]).unwrap(),
            NetworkError::Signatures,
        ),
        (
            "version 2",
            later.sign(&[&key(1)]).unwrap(),
            NetworkError::Version(2),
        ),
        (
            "expired at 1700000000",
            expired.sign(&[&key(1)]).unwrap(),
            NetworkError::Expired,
        ),
        (
            "one canister in two roles",
            alike.sign(&[&key(1)]).unwrap(),
            NetworkError::Malformed,
        ),
    ];
    cases
        .iter()
        .map(|(why, bytes, error)| {
            assert_eq!(
                VerifiedNetwork::first(bytes, NOW).as_ref(),
                Err(error),
                "{why}"
            );
            json!({ "why": why, "published": hex(bytes), "hash": hex(blake3(bytes)) })
        })
        .collect()
}

/// The first file with the value of its first key, the version, in two bytes instead of one.
fn longer() -> Vec<u8> {
    let file = minicbor::to_vec(first()).unwrap();
    assert_eq!(file[..3], [0xae, 1, 1]);
    let file = [&[0xae, 1, 0x18, 1], &file[3..]].concat();
    let signature = sign(&key(1), label::NETWORK_FILE, &[&file]);
    let length = u16::try_from(file.len()).unwrap().to_be_bytes();
    let head: [&[u8]; 4] = [&[0x82, 0x59], &length, &file, &[0x81, 0x82, 0x58, 32]];
    let public = key(1).verifying_key().to_bytes();
    [&head.concat(), &public[..], &[0x58, 64], &signature].concat()
}

fn refused_successors(trusted: &VerifiedNetwork) -> Vec<Value> {
    let mut same_number = second();
    same_number.sequence = 1;
    let mut foreign = second();
    foreign.network = [0x12; 16].into();
    let all = [key(1), key(2), key(3)];
    let all: Vec<_> = all.iter().collect();
    let cases = [
        (
            "not signed by the old keys",
            second().sign(&all[1..]).unwrap(),
            NetworkError::NotASuccessor,
        ),
        (
            "signed by one of two new keys",
            second().sign(&all[..2]).unwrap(),
            NetworkError::Signatures,
        ),
        (
            "the same number",
            same_number.sign(&all).unwrap(),
            NetworkError::DoesNotFollow,
        ),
        (
            "another network",
            foreign.sign(&all).unwrap(),
            NetworkError::DoesNotFollow,
        ),
    ];
    cases
        .iter()
        .map(|(why, bytes, error)| {
            assert_eq!(trusted.successor(bytes, NOW).as_ref(), Err(error), "{why}");
            json!({ "why": why, "published": hex(bytes) })
        })
        .collect()
}
