//! The hashes of `protocol.json` again, from the prose of `spec/protocol.md` and its inputs alone.
//!
//! Nothing of `paigham_wire` is used here: a slip in the code would otherwise be written into the
//! vectors and stay.

use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::read;

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn number(value: &Value) -> u32 {
    value.as_u64().unwrap().try_into().unwrap()
}

fn input(label: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut input = vec![label.len().try_into().unwrap()];
    input.extend_from_slice(label.as_bytes());
    input.extend(parts.concat());
    input
}

fn h(label: &str, parts: &[&[u8]]) -> Vec<u8> {
    blake3::hash(&input(label, parts)).as_bytes().to_vec()
}

fn signed(key: &[u8], signature: &[u8], label: &str, parts: &[&[u8]]) -> bool {
    let key = VerifyingKey::from_bytes(key.try_into().unwrap()).unwrap();
    let signature = Signature::from_bytes(signature.try_into().unwrap());
    key.verify_strict(&input(label, parts), &signature).is_ok()
}

/// u8 length ‖ the principal's bytes.
fn canister(vectors: &Value) -> Vec<u8> {
    let principal = bytes(&vectors["canister"]);
    [&[u8::try_from(principal.len()).unwrap()], &principal[..]].concat()
}

/// §1: labelled hashes and signatures.
#[test]
fn hashes_are_as_the_prose_says() {
    let hashes = &read("protocol.json")["hashes"];
    let (message, key) = (bytes(&hashes["message"]), bytes(&hashes["public_key"]));
    for vector in hashes["labels"].as_array().unwrap() {
        let label = vector["label"].as_str().unwrap();
        assert_eq!(bytes(&vector["blake3"]), h(label, &[&message]));
        let sha256 = Sha256::digest(input(label, &[&message]));
        assert_eq!(bytes(&vector["sha256"]), sha256.to_vec());
        assert!(signed(
            &key,
            &bytes(&vector["signature"]),
            label,
            &[&message]
        ));
    }
}

/// §2: ids.
#[test]
fn ids_are_as_the_prose_says() {
    let vectors = read("protocol.json");
    let ids = &vectors["ids"];
    let get = |id: &str, field: &str| bytes(&ids[id][field]);
    let fixed = ["first_identity_key", "recovery_key_hash", "nonce"]
        .map(|field| get("account", field))
        .concat();
    let hash = Sha256::digest(input("paigham/1 account id", &[&fixed]));
    assert_eq!(get("account", "id"), hash[..16]);
    let label = [b"a:", &get("account", "id")[..]].concat();
    assert_eq!(get("account", "directory_label"), label);
    let key = h("paigham/1 directory label", &[&label]);
    assert_eq!(get("account", "directory_key"), key);
    let (control, nonce) = (get("queue", "first_control_key"), get("queue", "nonce"));
    let queue = h(
        "paigham/1 queue id",
        &[&canister(&vectors), &control, &nonce],
    );
    assert_eq!(get("queue", "id"), queue);
    let inbox = h("paigham/1 inbox id", &[&get("inbox", "inbox_key")]);
    assert_eq!(get("inbox", "id"), inbox);
    let locator = h("paigham/1 welcome locator", &[&get("welcome", "id")]);
    assert_eq!(get("welcome", "locator"), locator);
}

/// §3.1: the frame, byte by byte, H(post) and the tag.
#[test]
fn frames_are_as_the_prose_says() {
    let frames = &read("protocol.json")["frames"];
    let key: [u8; 32] = bytes(&frames["mac_key"]).try_into().unwrap();
    for frame in frames["accepted"].as_array().unwrap() {
        let envelope = bytes(&frame["envelope"]);
        let kind = u8::try_from(number(&frame["kind"])).unwrap();
        let length = u32::try_from(envelope.len()).unwrap().to_be_bytes();
        let mut header = bytes(&frame["queue"]);
        header.extend(number(&frame["epoch"]).to_be_bytes());
        header.extend(number(&frame["not_after"]).to_be_bytes());
        header.push(kind);
        header.extend(number(&frame["after_seq"]).to_be_bytes());
        header.extend(&length[1..]);
        assert_eq!(header.len(), 48);
        assert_eq!(bytes(&frame["header"]), header);
        let hash = h(
            "paigham/1 post",
            &[&header, blake3::hash(&envelope).as_bytes()],
        );
        assert_eq!(bytes(&frame["post_hash"]), hash);
        let mac = blake3::keyed_hash(&key, &input("paigham/1 post mac", &[&hash]));
        let tag = if kind == 2 {
            vec![0; 16]
        } else {
            mac.as_bytes()[..16].to_vec()
        };
        assert_eq!(bytes(&frame["tag"]), tag);
        assert_eq!(bytes(&frame["post"]), [header, tag, envelope].concat());
    }
}

/// §3.2, §6.1, §7: the four chains.
#[test]
fn chains_are_as_the_prose_says() {
    let chains = &read("protocol.json")["chains"];
    let names = [
        ("queue", "queue_id", "paigham/1 chain"),
        ("commit", "queue_id", "paigham/1 commit chain"),
        ("inbox", "inbox_id", "paigham/1 inbox chain"),
        ("record", "directory_label", "paigham/1 record chain"),
    ];
    for (name, of, label) in names {
        let mut head = h(&format!("{label} start"), &[&bytes(&chains[of])]);
        assert_eq!(bytes(&chains["start"][name]), head, "{name}");
        for step in chains["steps"].as_array().unwrap() {
            let n = number(&step["number"]);
            let accepted_at: u64 = step["accepted_at"].as_str().unwrap().parse().unwrap();
            let mut next = head.clone();
            if name == "commit" {
                // The epoch that it starts, here equal to the entry's number.
                next.extend(n.to_be_bytes());
            }
            // Versions of records start at 0.
            next.extend((if name == "record" { n - 1 } else { n }).to_be_bytes());
            next.extend(accepted_at.to_be_bytes());
            next.extend(bytes(&step["hash"]));
            if name == "commit" {
                next.extend(bytes(&step["keys_hash"]));
            }
            head = h(label, &[&next]);
            assert_eq!(bytes(&step[name]), head, "{name} {n}");
        }
    }
}

/// §3.3: the keys of an epoch.
#[test]
fn keys_are_as_the_prose_says() {
    let keys = &read("protocol.json")["keys"];
    let token_hash = h("paigham/1 read token", &[&bytes(&keys["read_token"])]);
    assert_eq!(bytes(&keys["read_token_hash"]), token_hash);
    let registered = [
        bytes(&keys["control_key"]),
        bytes(&keys["mac_key"]),
        token_hash,
        number(&keys["generation"]).to_be_bytes().to_vec(),
    ]
    .concat();
    assert_eq!(bytes(&keys["encoded"]), registered);
    assert_eq!(
        bytes(&keys["hash"]),
        h("paigham/1 epoch keys", &[&registered])
    );
}

/// §6.1: the leaves. The bytes of each field repeat its place in the table.
#[test]
fn leaves_are_as_the_tables_say() {
    let leaves = &read("protocol.json")["leaves"];
    let tables: [(&str, u8, &[usize]); 4] = [
        ("queue", 1, &[4, 4, 32, 4, 32, 32, 4, 32, 32, 4]),
        ("inbox", 2, &[4, 32, 4, 32, 8, 32, 4, 4, 32]),
        ("welcome", 3, &[32, 32]),
        ("records", 4, &[4, 32]),
    ];
    for (name, kind, lengths) in tables {
        let mut expected = vec![kind];
        for (place, length) in (1..).zip(lengths) {
            expected.extend(vec![place; *length]);
        }
        assert_eq!(bytes(&leaves[name]), expected, "{name}");
    }
}

/// §4.3: what authenticated_data says of proofs and extensions.
#[test]
fn proofs_are_hashed_as_the_prose_says() {
    let plaintext = &read("protocol.json")["envelope"]["plaintext"];
    let (proofs, extensions) = (bytes(&plaintext["proofs"]), bytes(&plaintext["extensions"]));
    let hash = h("paigham/1 proofs", &[&proofs, &extensions]);
    assert_eq!(bytes(&plaintext["proofs_hash"]), hash);
    let without = h("paigham/1 proofs", &[&[0], &[0]]);
    assert_eq!(bytes(&plaintext["proofs_hash_without_proofs"]), without);
    let authenticated = bytes(&plaintext["authenticated_data"]);
    assert_eq!(authenticated.len(), 68);
    assert_eq!(authenticated[36..], hash);
    assert!(bytes(&plaintext["encoded"]).ends_with(&[proofs, extensions].concat()));
}

/// §6.2: what the control key signs.
#[test]
fn commits_are_signed_as_the_table_says() {
    let vectors = read("protocol.json");
    let queues = &vectors["relay"]["queues"];
    let canister = canister(&vectors);
    let create = bytes(&queues["create_queue"]);
    let (key, signature) = (&create[..32], &create[64..]);
    let queue = bytes(&queues["queue"]);
    let parts: [&[u8]; 2] = [&canister, &queue];
    assert!(signed(key, signature, "paigham/1 create queue", &parts));
    for commit in queues["submit_commit"].as_array().unwrap() {
        let bundle = h("paigham/1 commit bundle", &[&bytes(&commit["bundle"])]);
        let base = number(&commit["base_epoch"]).to_be_bytes();
        let (post, keys) = (bytes(&commit["post_hash"]), bytes(&commit["keys_hash"]));
        let parts: [&[u8]; 6] = [&canister, &queue, &base, &post, &keys, &bundle];
        let signature = bytes(&commit["signature"]);
        assert!(signed(key, &signature, "paigham/1 submit commit", &parts));
    }
}

/// §6.2: what the inbox key signs. Each request ends in the signature; what is signed are the
/// fields before it.
#[test]
fn inbox_operations_are_signed_as_the_table_says() {
    let vectors = read("protocol.json");
    let inboxes = &vectors["relay"]["inboxes"];
    let (canister, inbox) = (canister(&vectors), bytes(&inboxes["inbox"]));
    let create = bytes(&inboxes["create_inbox"]);
    let key = &create[..32];
    let check = |request: &[u8], label: &str, arguments: &[u8]| {
        let signature = &request[request.len() - 64..];
        let parts: [&[u8]; 3] = [&canister, &inbox, arguments];
        assert!(signed(key, signature, label, &parts), "{label}");
    };
    // Two bytes of length before the 1,216 of the X-Wing key.
    let xwing = Sha256::digest(&create[34..34 + 1216]);
    check(&create, "paigham/1 create inbox", &xwing);
    for (method, label) in [
        ("read_inbox", "paigham/1 read inbox"),
        ("drain", "paigham/1 drain"),
    ] {
        let request = bytes(&inboxes[method]);
        check(&request, label, &request[32..request.len() - 64]);
    }
    for refill in inboxes["refill"].as_array().unwrap() {
        let request = bytes(refill);
        let (counter, packages) = (&request[32..40], &request[40..request.len() - 64]);
        let hash = blake3::hash(packages);
        check(
            &request,
            "paigham/1 refill",
            &[counter, hash.as_bytes()].concat(),
        );
    }
    let capability = bytes(&inboxes["capability"]);
    check(&capability, "paigham/1 capability", &capability[..4]);
}

/// §6.1: the hash of every map in `map.json`, and of the root that each witness leads to.
#[test]
fn maps_are_hashed_as_the_prose_says() {
    for map in read("map.json")["maps"].as_array().unwrap() {
        let pairs: Vec<_> = map["pairs"].as_array().unwrap().iter().collect();
        let leaves: Vec<_> = pairs
            .iter()
            .map(|pair| {
                let value_hash = blake3::hash(&bytes(&pair["value"]));
                (bytes(&pair["key"]), value_hash.as_bytes().to_vec())
            })
            .collect();
        let root = bytes(&map["root"]);
        assert_eq!(subtree(&leaves, 0), root, "{}", map["what"]);
        let shown = map["shown"]
            .as_array()
            .unwrap()
            .iter()
            .map(|shown| &shown["cut"]);
        for witness in shown.chain([&map["witness"]]) {
            let bytes = bytes(witness);
            assert_eq!(witness_root(&mut &bytes[..]), root, "{}", map["what"]);
        }
    }
}

fn keyed(label: &str, left: &[u8], right: &[u8]) -> Vec<u8> {
    let key = blake3::hash(label.as_bytes());
    let hash = blake3::keyed_hash(key.as_bytes(), &[left, right].concat());
    hash.as_bytes().to_vec()
}

fn subtree(leaves: &[(Vec<u8>, Vec<u8>)], depth: usize) -> Vec<u8> {
    match leaves {
        [] => vec![0; 32],
        [(key, value_hash)] => keyed("paigham/1 map leaf", key, value_hash),
        _ => {
            let one = |key: &[u8]| key[depth / 8] >> (7 - depth % 8) & 1 == 1;
            let (ones, zeros): (Vec<_>, Vec<_>) =
                leaves.iter().cloned().partition(|(key, _)| one(key));
            let (left, right) = (subtree(&zeros, depth + 1), subtree(&ones, depth + 1));
            keyed("paigham/1 map inner", &left, &right)
        }
    }
}

fn witness_root(rest: &mut &[u8]) -> Vec<u8> {
    let mut take = |count: usize| {
        let (taken, behind) = rest.split_at(count);
        *rest = behind;
        taken.to_vec()
    };
    match take(1)[0] {
        0 => vec![0; 32],
        1 => {
            let left = witness_root(rest);
            keyed("paigham/1 map inner", &left, &witness_root(rest))
        }
        2 => {
            let key = take(32);
            let length = take(2);
            let value = take(usize::from(u16::from_be_bytes([length[0], length[1]])));
            keyed("paigham/1 map leaf", &key, blake3::hash(&value).as_bytes())
        }
        3 => take(32),
        4 => {
            let key = take(32);
            keyed("paigham/1 map leaf", &key, &take(32))
        }
        tag => panic!("tag {tag}"),
    }
}
