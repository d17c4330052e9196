//! The golden vectors of the log in `spec/vectors/kt-*.json`: what this crate computes is what is
//! written there. With `PAIGHAM_WRITE_VECTORS=1` the files are written anew; changing one is a
//! change of the protocol and a commit of its own.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod common;
mod forger;

use std::path::PathBuf;

use common::*;
use ed25519_dalek::{Signer, SigningKey};
use paigham_transparency::auditor::{AuditorState, is_signed_by};
use paigham_transparency::codec::{Codec, TooLong};
use paigham_transparency::consistency::Consistency;
use paigham_transparency::hash::{Label, commitment};
use paigham_transparency::log_tree;
use paigham_transparency::prover::audit_update;
use paigham_transparency::store::Store;
use paigham_transparency::structs::{
    AuditorTreeHead, AuditorTreeHeadTbs, DistinguishedRequest, OwnerInitRequest, SearchResponse,
    TreeHeadTbs,
};
use paigham_transparency::verifier::{ContactMap, Verifier, VerifyError};
use paigham_transparency::vrf::{VrfPublicKey, VrfSecretKey};
use serde_json::{Value, json};

fn path(name: &str) -> PathBuf {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "..", "spec", "vectors"]
        .iter()
        .collect();
    folder.join(name)
}

/// Compares with the file, or writes it.
fn check(name: &str, computed: &Value) {
    if std::env::var_os("PAIGHAM_WRITE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(computed).unwrap();
        std::fs::write(path(name), text + "\n").unwrap();
    }
    let written: Value = serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap();
    for (key, value) in computed.as_object().unwrap() {
        assert_eq!(&written[key], value, "{name}: {key}");
    }
    assert_eq!(&written, computed, "{name}");
}

fn hex_of(encoded: Result<Vec<u8>, TooLong>) -> String {
    hex::encode(encoded.unwrap())
}

fn encoded(value: Option<&impl Codec>) -> Value {
    value.map_or(Value::Null, |value| json!(hex_of(value.encode())))
}

#[test]
fn kt_vrf_json() {
    let mut keys = Vec::new();
    for seed in [[0x9d; 32], [1; 32], [22; 32]] {
        let key = VrfSecretKey::from_seed(&seed);
        let mut cases = Vec::new();
        for (name, version) in [("", 0), ("a", 0), ("a", 1), ("a:label", 0x0102_0304)] {
            let alpha = label(name).vrf_input(version);
            let (output, proof) = key.prove(&alpha).unwrap();
            assert_eq!(key.public_key().verify(&alpha, &proof), Ok(output));
            cases.push(json!({
                "label": hex::encode(name), "version": version, "alpha": hex::encode(&alpha),
                "output": hex::encode(output), "proof": hex::encode(proof),
            }));
        }
        keys.push(json!({
            "seed": hex::encode(seed),
            "public_key": hex::encode(key.public_key().as_bytes()),
            "cases": cases,
        }));
    }
    let mut refused = Vec::new();
    for (why, bytes) in [
        ("the neutral element", {
            let mut key = [0; 32];
            key[0] = 1;
            key
        }),
        ("order 4", [0; 32]),
        ("y is not below p", {
            let mut key = [0xff; 32];
            key[0] = 0xee;
            key[31] = 0x7f;
            key
        }),
        ("no point", {
            let mut key = [0; 32];
            key[0] = 2;
            key
        }),
    ] {
        assert!(VrfPublicKey::from_bytes(&bytes).is_err(), "{why}");
        refused.push(json!({"public_key": hex::encode(bytes), "why": why}));
    }
    check(
        "kt-vrf.json",
        &json!({"keys": keys, "refused_public_keys": refused}),
    );
}

/// A small log: the second owner joins late, one label has many versions, some entries bring none.
fn small_log() -> Log {
    let mut log = Log::new(WINDOW);
    log.publish(0, &[("a:amina", b"amina 0"), ("u:amina", b"handle")]);
    log.publish(10 * MINUTE, &[]);
    log.publish(10 * MINUTE, &[("a:bilal", b"bilal 0")]);
    for version in 1..6 {
        log.publish(
            12 * MINUTE,
            &[("a:amina", format!("amina {version}").as_bytes())],
        );
        log.publish(MINUTE, &[]);
    }
    log
}

fn entries(log: &Log) -> Vec<Value> {
    let mut out = Vec::new();
    let mut state = AuditorState::default();
    for position in 0..log.store.tree_size() {
        let entry = log.store.entry(position).unwrap();
        let update = audit_update(&log.store, position).unwrap();
        state = state.apply(&update).unwrap();
        let root = log_tree::root(&log.store, position + 1).unwrap();
        assert_eq!(state.root(), Some(root));
        out.push(json!({
            "position": position,
            "timestamp": entry.timestamp,
            "versions": versions_at(log, position),
            "prefix_root": hex::encode(entry.prefix_root),
            "root": hex::encode(root),
            "head_signature": hex::encode(sign_head(&log.config, position + 1, root)),
            "auditor_update": hex_of(update.encode()),
            "auditor_state": hex_of(state.encode()),
        }));
    }
    out
}

fn versions_at(log: &Log, position: u64) -> Vec<Value> {
    let mut out = Vec::new();
    for name in ["a:amina", "u:amina", "a:bilal"] {
        let label: Label = label(name);
        for version in 0..log.store.version_count(&label) {
            let stored = log.store.version(&label, version).unwrap();
            if stored.place.position == position {
                let leaf = log.store.leaf(stored.place.leaf).unwrap();
                let computed = commitment(&stored.opening, &label, version, &stored.value);
                assert_eq!(computed, Some(leaf.commitment));
                out.push(json!({
                    "label": hex::encode(name), "version": version,
                    "value": hex::encode(&stored.value), "opening": hex::encode(stored.opening),
                    "vrf_output": hex::encode(leaf.vrf_output),
                    "commitment": hex::encode(leaf.commitment),
                }));
            }
        }
    }
    out
}

/// The same roots, heads and audit stream by brute force from the leaves that are written there.
#[test]
fn kt_log_json_by_hand() {
    let written: Value =
        serde_json::from_slice(&std::fs::read(path("kt-log.json")).unwrap()).unwrap();
    let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let hash = |value: &Value| -> [u8; 32] { bytes(value).try_into().unwrap() };
    let mut forger = forger::Forger::new(WINDOW);
    assert_eq!(
        bytes(&written["configuration"]),
        forger.config.encode().unwrap()
    );
    for (position, entry) in (0..).zip(written["entries"].as_array().unwrap()) {
        let leaves = entry["versions"].as_array().unwrap();
        let leaves = leaves
            .iter()
            .map(|leaf| (hash(&leaf["vrf_output"]), hash(&leaf["commitment"])));
        forger.add(entry["timestamp"].as_u64().unwrap(), |tree| {
            tree.extend(leaves);
        });
        let newest = forger.entries.last().unwrap();
        assert_eq!(
            forger::prefix_root(&newest.tree),
            hash(&entry["prefix_root"])
        );
        assert_eq!(forger.root(), hash(&entry["root"]));
        let update = forger.audit(position).encode().unwrap();
        assert_eq!(update, bytes(&entry["auditor_update"]));
        let signature = sign_head(&forger.config, position + 1, forger.root());
        assert_eq!(signature, bytes(&entry["head_signature"]));
    }
}

/// Answers in the order in which one person gets them, each with the state before and after.
struct Scribe {
    person: Person,
    answers: Vec<Value>,
}

impl Scribe {
    fn note(
        &mut self,
        kind: &str,
        before: &Person,
        request: &str,
        response: &str,
        now: u64,
        shows: &Value,
    ) {
        self.answers.push(json!({
            "kind": kind, "now": now, "request": request, "response": response, "shows": shows,
            "view": encoded(before.view.as_ref()), "view_after": encoded(self.person.view.as_ref()),
        }));
    }

    fn search(&mut self, log: &Log, name: &str, version: Option<u32>) {
        let before = self.person.clone();
        let request = before.request(name, version);
        let response: SearchResponse = log.ask(|prover| prover.search(&request)).unwrap();
        let found = self.person.search_version(log, name, version).unwrap();
        let shows = json!({
            "version": found.version, "value": hex::encode(&found.value),
            "terminal": found.terminal, "monitor": encoded(found.monitor.as_ref()),
        });
        let (request, response) = (hex_of(request.encode()), hex_of(response.encode()));
        self.note("search", &before, &request, &response, log.now, &shows);
    }

    fn absent(&mut self, log: &Log, name: &str) {
        let before = self.person.clone();
        let request = before.request(name, None);
        let response = log.ask(|prover| prover.absent(&request)).unwrap();
        self.person.absent(log, name).unwrap();
        let (request, response) = (hex_of(request.encode()), hex_of(response.encode()));
        self.note(
            "absent",
            &before,
            &request,
            &response,
            log.now,
            &Value::Null,
        );
    }

    fn contact_monitor(&mut self, log: &Log, name: &str) {
        let before = self.person.clone();
        let contacts: ContactMap = before.contacts[&label(name)].clone();
        let request = contacts.request(label(name), before.view.as_ref().unwrap());
        let response = log.ask(|prover| prover.contact_monitor(&request)).unwrap();
        self.person.monitor(log, name).unwrap();
        let shows = json!({
            "contact_map": encoded(Some(&contacts)),
            "contact_map_after": encoded(Some(&self.person.contacts[&label(name)])),
        });
        let (request, response) = (hex_of(request.encode()), hex_of(response.encode()));
        self.note(
            "contact_monitor",
            &before,
            &request,
            &response,
            log.now,
            &shows,
        );
    }

    fn distinguished(&mut self, log: &Log) -> u64 {
        let before = self.person.clone();
        let request = DistinguishedRequest {
            last: before.last(),
            stop: None,
        };
        let response = log
            .ask(|prover| prover.distinguished(&request, RECENT))
            .unwrap();
        let found = self.person.distinguished(log).unwrap();
        let shows: Vec<Value> = found.iter().map(|entry| json!({
            "position": entry.position, "timestamp": entry.timestamp, "root": hex::encode(entry.root),
        })).collect();
        let (request, response) = (hex_of(request.encode()), hex_of(response.encode()));
        self.note(
            "distinguished",
            &before,
            &request,
            &response,
            log.now,
            &json!({"newest": 4, "heads": shows}),
        );
        found.last().unwrap().position
    }

    fn own(&mut self, log: &Log, name: &str) {
        let start = self.distinguished(log);
        let before = self.person.clone();
        let request = OwnerInitRequest {
            last: before.last(),
            label: label(name),
            start,
        };
        let response = log.ask(|prover| prover.owner_init(&request)).unwrap();
        self.person.own(log, name).unwrap();
        let shows = json!({"owner_state_after": encoded(self.person.owned.get(&label(name)))});
        let (request, response) = (hex_of(request.encode()), hex_of(response.encode()));
        self.note("owner_init", &before, &request, &response, log.now, &shows);
    }

    fn owner(&mut self, log: &Log, name: &str) {
        loop {
            let before = self.person.clone();
            let state = before.owned[&label(name)].clone();
            let request =
                state.update_request(label(name), before.view.as_ref().unwrap(), Vec::new());
            let Some(response) = log.ask(|prover| prover.update(&request)).unwrap() else {
                break;
            };
            let new = self.person.learn(log, name, &[]).unwrap().unwrap();
            let values: Vec<String> = new
                .values
                .iter()
                .map(|(value, _)| hex::encode(value))
                .collect();
            let shows = json!({
                "position": new.position, "first": new.first, "values": values,
                "owner_state": encoded(Some(&state)), "owner_state_after": encoded(Some(&new.state)),
            });
            let (request, response) = (hex_of(request.encode()), hex_of(response.encode()));
            self.note("update", &before, &request, &response, log.now, &shows);
        }
        let before = self.person.clone();
        let state = before.owned[&label(name)].clone();
        let request = state.monitor_request(label(name), before.view.as_ref().unwrap());
        let response = log.ask(|prover| prover.owner_monitor(&request)).unwrap();
        self.person.owner_monitor(log, name).unwrap();
        let shows = json!({
            "owner_state": encoded(Some(&state)),
            "owner_state_after": encoded(self.person.owned.get(&label(name))),
        });
        let (request, response) = (hex_of(request.encode()), hex_of(response.encode()));
        self.note(
            "owner_monitor",
            &before,
            &request,
            &response,
            log.now,
            &shows,
        );
    }
}

fn refused(log: &Log) -> Vec<Value> {
    let mut early = log.clone();
    let person = Person::new(&log.config);
    let request = person.request("a:amina", None);
    let response = log.ask(|prover| prover.search(&request)).unwrap();
    let mut out = Vec::new();
    let mut refuse =
        |why: &str, person: &Person, response: &SearchResponse, now: u64, expected: VerifyError| {
            let mut request = request.clone();
            request.last = person.last();
            let bytes = response.encode().unwrap();
            let outcome = person.clone().accept(&request, &bytes, now);
            assert_eq!(outcome.unwrap_err(), expected, "{why}");
            out.push(json!({
                "why": why, "now": now, "view": encoded(person.view.as_ref()),
                "request": hex_of(request.encode()), "response": hex::encode(bytes),
            }));
        };
    let stale = VerifyError::Stale {
        behind: 15 * MINUTE + 1,
    };
    refuse(
        "stale",
        &person,
        &response,
        log.now + 15 * MINUTE + 1,
        stale,
    );
    let future = VerifyError::Future {
        ahead: 2 * MINUTE + 1,
    };
    refuse(
        "future",
        &person,
        &response,
        log.now - 2 * MINUTE - 1,
        future,
    );
    let mut forged = response.clone();
    forged.search.inclusion.elements.push([0; 32]);
    refuse(
        "an element too many",
        &person,
        &forged,
        log.now,
        VerifyError::Count("inclusion proof"),
    );
    let mut forged = response.clone();
    forged.search.timestamps.push(log.now);
    refuse(
        "a timestamp too many",
        &person,
        &forged,
        log.now,
        VerifyError::Count("timestamps"),
    );
    let mut forged = response.clone();
    let last = forged.search.timestamps.len() - 1;
    forged.search.timestamps[last] = forged.search.timestamps[0] - 1;
    let position = log.store.tree_size() - 1;
    refuse(
        "time regression",
        &person,
        &forged,
        log.now,
        VerifyError::TimeRegression { position },
    );
    let mut forged = response.clone();
    forged.value = b"another".to_vec();
    let mut outcome = person.clone();
    let error = outcome
        .accept(&request, &forged.encode().unwrap(), log.now)
        .unwrap_err();
    refuse("another value", &person, &forged, log.now, error);
    let mut later = person.clone();
    early.publish(MINUTE, &[]);
    later.search(&early, "a:amina").unwrap();
    let (known, shown) = (early.store.tree_size(), log.store.tree_size());
    refuse(
        "rollback",
        &later,
        &response,
        log.now,
        VerifyError::Rollback { known, shown },
    );
    out
}

#[test]
fn kt_log_json() {
    let mut log = small_log();
    let head = TreeHeadTbs {
        config: log.config.clone(),
        tree_size: log.store.tree_size(),
        root: log_tree::root(&log.store, log.store.tree_size()).unwrap(),
    };
    let entries_before = entries(&log);
    let refused = refused(&log);
    let mut scribe = Scribe {
        person: Person::new(&log.config),
        answers: Vec::new(),
    };
    scribe.search(&log, "a:amina", None);
    scribe.search(&log, "a:amina", None);
    scribe.search(&log, "a:amina", Some(2));
    scribe.search(&log, "a:bilal", None);
    scribe.absent(&log, "a:nobody");
    scribe.own(&log, "a:amina");
    log.publish(MINUTE, &[("a:amina", b"amina 6"), ("a:amina", b"amina 7")]);
    scribe.search(&log, "a:amina", None);
    log.publish(MINUTE, &[]);
    log.publish(MINUTE, &[]);
    scribe.contact_monitor(&log, "a:amina");
    scribe.owner(&log, "a:amina");
    for _ in 0..7 {
        log.publish(14 * MINUTE, &[]);
    }
    scribe.contact_monitor(&log, "a:amina");
    scribe.owner(&log, "a:amina");
    scribe.distinguished(&log);
    assert!(Verifier::new(&log.config, &paigham_transparency::verifier::Ed25519Heads).is_ok());
    check(
        "kt-log.json",
        &json!({
            "signing_seed": hex::encode([11; 32]),
            "vrf_seed": hex::encode([22; 32]),
            "configuration": hex_of(log.config.encode()),
            "tree_head_tbs": hex_of(head.encode()),
            "entries": entries_before,
            "answers": scribe.answers,
            "refused": refused,
        }),
    );
}

/// What an auditor signs of the first `size` entries; with another root where one is given.
fn auditor_head(
    log: &Log,
    size: u64,
    root: Option<[u8; 32]>,
) -> (AuditorTreeHeadTbs, AuditorTreeHead) {
    let said = AuditorTreeHeadTbs {
        config: log.config.clone(),
        timestamp: log.store.entry(size - 1).unwrap().timestamp,
        tree_size: size,
        root: root.unwrap_or_else(|| log_tree::root(&log.store, size).unwrap()),
    };
    let signature = auditor_key().sign(&said.encode().unwrap()).to_bytes();
    let head = AuditorTreeHead {
        timestamp: said.timestamp,
        tree_size: size,
        signature: signature.to_vec(),
    };
    (said, head)
}

fn auditor_key() -> SigningKey {
    SigningKey::from_bytes(&[33; 32])
}

#[test]
fn kt_auditors_json() {
    let mut log = small_log();
    let early = log.store.tree_size();
    log.publish(47 * 60 * MINUTE, &[]);
    let in_time = log.store.tree_size();
    log.publish(2 * 60 * MINUTE, &[]);
    let late = log.store.tree_size();
    let root = |size| log_tree::root(&log.store, size).unwrap();
    let prove = |smaller, larger| Consistency::prove(&log.store, smaller, larger).unwrap();
    let mut consistency = Vec::new();
    for larger in 1..=late {
        for smaller in 1..=larger {
            let proof = prove(smaller, larger);
            let roots = proof.roots(smaller, larger).unwrap();
            assert_eq!((roots.smaller, roots.larger), (root(smaller), root(larger)));
            consistency.push(json!({
                "smaller": smaller, "larger": larger, "proof": hex_of(proof.encode()),
                "smaller_root": hex::encode(roots.smaller),
                "larger_root": hex::encode(roots.larger),
            }));
        }
    }
    let key = auditor_key().verifying_key().to_bytes();
    let statement = |what: &str, signed: u64, size: u64, other: Option<[u8; 32]>, says: &str| {
        let (said, head) = auditor_head(&log, signed, other);
        assert!(is_signed_by(&key, &said, &head));
        json!({
            "what": what, "key": hex::encode(key), "head": hex_of(head.encode()),
            "size": size, "root": hex::encode(root(size)),
            "newest": log.store.entry(size - 1).unwrap().timestamp,
            "consistency": hex_of(prove(signed.min(size), signed.max(size)).encode()),
            "says": says,
        })
    };
    let statements = vec![
        statement("of the same size", early, early, None, "vouches"),
        statement("of an older size", 3, early, None, "vouches"),
        statement("of a newer size", in_time, early, None, "vouches"),
        statement("two days old, not more", early, in_time, None, "vouches"),
        statement("more than two days old", early, late, None, "late"),
        statement("of another log", 3, early, Some([9; 32]), "disagrees"),
        statement(
            "of another log, as large",
            early,
            early,
            Some([9; 32]),
            "disagrees",
        ),
    ];
    check(
        "kt-auditors.json",
        &json!({
            "auditor_seed": hex::encode([33; 32]),
            "configuration": hex_of(log.config.encode()),
            "consistency": consistency,
            "statements": statements,
        }),
    );
}
