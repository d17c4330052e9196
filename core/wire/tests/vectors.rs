//! The golden vectors in `spec/vectors/`: what this crate computes is what is written there.
//!
//! With `PAIGHAM_WRITE_VECTORS=1` the files are written anew; changing one is a change of the
//! protocol and a commit of its own. `by_hand` computes the hashes again from the prose of
//! `spec/protocol.md`, without this crate, so that code and prose cannot drift apart together.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "vectors/by_hand.rs"]
mod by_hand;
#[path = "vectors/directory.rs"]
mod directory;
#[path = "vectors/envelope.rs"]
mod envelope;
#[path = "vectors/handles.rs"]
mod handles;
#[path = "vectors/identity.rs"]
mod identity;
#[path = "vectors/map.rs"]
mod map;
#[path = "vectors/network.rs"]
mod network;
#[path = "vectors/operations.rs"]
mod operations;
#[path = "vectors/protocol.rs"]
mod protocol;
#[path = "vectors/relay.rs"]
mod relay;

use std::path::PathBuf;

use paigham_wire::codec::{decode, encode};
use paigham_wire::ids::CanisterId;
use serde_json::{Map, Value, json};
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
    let difference = difference(name, &read(name), computed);
    assert_eq!(difference, None, "(where, written, computed)");
}

/// Goes down to the first place where two values differ, so that a failure names the vector.
fn difference(at: &str, written: &Value, computed: &Value) -> Option<(String, Value, Value)> {
    let same_keys = |a: &Map<String, Value>, b: &Map<String, Value>| a.keys().eq(b.keys());
    match (written, computed) {
        (Value::Object(a), Value::Object(b)) if same_keys(a, b) => a
            .iter()
            .find_map(|(key, a)| difference(&format!("{at}/{key}"), a, &b[key])),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => (0..a.len())
            .find_map(|index| difference(&format!("{at}/{index}"), &a[index], &b[index])),
        _ if written == computed => None,
        _ => Some((at.to_owned(), written.clone(), computed.clone())),
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

/// Ids, hashes, frames, chains, keys, leaves, envelopes and the messages of relay and
/// directory are those of `protocol.json`.
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
        "directory": directory::all(),
    });
    check("protocol.json", &computed);
}

/// Tickets, blobs, administration and placement are those of `operations.json`.
#[test]
fn operations_json() {
    check("operations.json", &operations::all());
}

/// Roots and witnesses of small maps are those of `map.json`.
#[test]
fn map_json() {
    check("map.json", &map::all());
}

/// The records of one account, from its create to the delete that it thinks better of, and records
/// that do not follow, are those of `identity.json`.
#[test]
fn identity_json() {
    check("identity.json", &identity::all());
}

/// Handles as typed and as kept; claims and releases.
#[test]
fn handles_json() {
    check("handles.json", &handles::all());
}

/// Network files, their hashes and links are those of `network.json`.
#[test]
fn network_json() {
    check("network.json", &network::all());
}

/// A vector that was changed, taken out or added by hand is noticed, and told by its place.
#[test]
fn a_changed_vector_is_noticed() {
    let good = json!({ "a": [{ "x": "00", "y": null }], "b": 1 });
    assert_eq!(difference("v", &good, &good), None);
    let others = [
        (
            json!({ "a": [{ "x": "01", "y": null }], "b": 1 }),
            "v/a/0/x",
        ),
        (json!({ "a": [{ "x": "00" }], "b": 1 }), "v/a/0"),
        (json!({ "a": [], "b": 1 }), "v/a"),
        (
            json!({ "a": [{ "x": "00", "y": null }], "b": 1, "c": 2 }),
            "v",
        ),
    ];
    for (written, place) in others {
        let (at, _, _) = difference("v", &written, &good).unwrap();
        assert_eq!(at, place);
    }
}
