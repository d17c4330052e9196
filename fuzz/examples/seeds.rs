//! Writes a first corpus for every target: each byte string of the golden vectors, and what the
//! targets need of it in another form.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use paigham_wire::certificate::{CertificateError, VerifiedCertificate};
use paigham_wire::ids::CanisterId;
use serde_json::Value;

const TARGETS: [&str; 15] = [
    "frame",
    "witness",
    "certificate",
    "network",
    "identity_record",
    "handle",
    "relay_requests",
    "relay_replies",
    "directory",
    "envelope",
    "welcome",
    "pointer",
    "kt_structures",
    "kt_verifier",
    "evidence",
];

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut strings = Vec::new();
    for name in [
        "protocol", "map", "identity", "handles", "network", "kt-log", "evidence",
    ] {
        let path = folder.join(format!("../spec/vectors/{name}.json"));
        let text = fs::read(path).expect("the golden vectors are there");
        collect(
            &serde_json::from_slice(&text).expect("they are JSON"),
            &mut strings,
        );
    }
    strings.sort();
    strings.dedup();
    for target in TARGETS {
        let corpus = folder.join("corpus").join(target);
        fs::create_dir_all(&corpus).expect("a folder for the corpus");
        let seeds: BTreeSet<_> = strings
            .iter()
            .flat_map(|bytes| seeds(target, bytes))
            .collect();
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(corpus.join(format!("vector-{number}")), seed).expect("a seed is written");
        }
    }
}

/// All hexadecimal strings of some length.
fn collect(value: &Value, into: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) if text.len() >= 8 => into.extend(hex::decode(text)),
        Value::Array(values) => values.iter().for_each(|value| collect(value, into)),
        Value::Object(values) => values.values().for_each(|value| collect(value, into)),
        _ => {}
    }
}

/// `certified_data` and `time` of a canister, under a signature of zeros.
fn certificate() -> Vec<u8> {
    let tree: [&[u8]; 8] = [
        b"\x83\x01\x83\x02\x48canister\x83\x02\x4a",
        &[0, 0, 0, 0, 0, 0, 0, 7, 1, 1],
        b"\x83\x02\x4ecertified_data\x82\x03\x58\x20",
        &[3; 32],
        b"\x83\x02\x44time\x82\x03\x49",
        &[0x80, 0x80, 0x90, 0xe8, 0xb7, 0x97, 0xe3, 0xcb, 0x17],
        b"\x69signature\x58\x30",
        &[0; 48],
    ];
    let bytes = [&b"\xd9\xd9\xf7\xa2\x64tree"[..], &tree.concat()].concat();
    let canister = CanisterId::new(&[0, 0, 0, 0, 0, 0, 0, 7, 1, 1]).expect("ten bytes");
    let refused = VerifiedCertificate::verify(&bytes, &[], &canister).err();
    assert_eq!(
        refused,
        Some(CertificateError::RootKey),
        "all before the signature is right"
    );
    bytes
}

fn seeds(target: &str, bytes: &[u8]) -> Vec<Vec<u8>> {
    match target {
        // Behind the key that is asked for.
        "witness" => vec![[&[0; 32], bytes].concat()],
        // Published files; and of those with a length of two bytes, the file inside.
        "network" => {
            let inside = bytes.strip_prefix(&[0x82, 0x59]).and_then(|rest| {
                let (length, rest) = rest.split_first_chunk()?;
                rest.get(..u16::from_be_bytes(*length).into())
            });
            [Some(bytes), inside]
                .into_iter()
                .flatten()
                .map(<[u8]>::to_vec)
                .collect()
        }
        // The vectors hold no certificate.
        "certificate" => vec![certificate()],
        // Replies stand in the vectors without the byte before them.
        "relay_replies" | "directory" => vec![bytes.to_vec(), [&[0], bytes].concat()],
        _ => vec![bytes.to_vec()],
    }
}
