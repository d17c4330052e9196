//! The golden vectors in `spec/vectors/`: what this crate computes is what is written there.
//!
//! With `PAIGHAM_WRITE_VECTORS=1` the files are written anew; changing one is a change of the
//! protocol and a commit of its own. `by_hand` computes the hashes again from the prose of
//! `spec/protocol.md`, without this crate, so that code and prose cannot drift apart together.

#[path = "vectors/by_hand.rs"]
mod by_hand;
#[path = "vectors/envelope.rs"]
mod envelope;
#[path = "vectors/map.rs"]
mod map;
#[path = "vectors/protocol.rs"]
mod protocol;
#[path = "vectors/relay.rs"]
mod relay;

use std::path::PathBuf;

use paigham_wire::codec::{decode, encode};
use paigham_wire::ids::CanisterId;
use serde_json::{Value, json};
use tls_codec::{DeserializeBytes, Serialize};

fn path(name: &str) -> PathBuf {
    [
        env!("CARGO_MANIFEST_DIR"),
        "..",
        "..",
        "spec",
        "vectors",
        name,
    ]
    .iter()
    .collect()
}

fn read(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

/// Compares with the file, or writes it. Values are compared, not bytes: the order of an object's
/// members says nothing.
fn check(name: &str, computed: &Value) {
    if std::env::var_os("PAIGHAM_WRITE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(computed).unwrap();
        std::fs::write(path(name), text + "\n").unwrap();
    }
    compare(name, &read(name), computed);
}

/// Goes down to where two values differ, so that a failure names the vector.
fn compare(at: &str, written: &Value, computed: &Value) {
    match (written, computed) {
        (Value::Object(a), Value::Object(b)) if a.keys().all(|key| b.contains_key(key)) => {
            for (key, value) in b {
                let written = a.get(key).unwrap_or(&Value::Null);
                compare(&format!("{at}/{key}"), written, value);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{at}/{index}"), a, b);
            }
        }
        _ => assert_eq!(written, computed, "{at}"),
    }
}

fn hex(bytes: impl AsRef<[u8]>) -> Value {
    Value::String(hex::encode(bytes))
}

/// The encoding of a structure, after having read it back.
fn structure<T: Serialize + DeserializeBytes + PartialEq + std::fmt::Debug>(value: &T) -> Value {
    let bytes = encode(value);
    assert_eq!(&decode::<T>(&bytes).unwrap(), value);
    hex(bytes)
}

/// The canister of all vectors.
fn canister() -> CanisterId {
    CanisterId::new(&[0, 0, 0, 0, 0, 0, 0, 7, 1, 1]).unwrap()
}

/// Ids, hashes, frames, chains, keys, leaves, envelopes and the relay's messages are those of
/// `protocol.json`.
#[test]
fn protocol_json() {
    let computed = json!({
        "canister": hex(canister().as_slice()),
        "hashes": protocol::hashes(),
        "ids": protocol::ids(),
        "frames": protocol::frames(),
        "chains": protocol::chains(),
        "keys": protocol::keys(),
        "leaves": protocol::leaves(),
        "envelope": envelope::all(),
        "relay": relay::all(),
    });
    check("protocol.json", &computed);
}

/// Roots and witnesses of small maps are those of `map.json`.
#[test]
fn map_json() {
    check("map.json", &map::all());
}
