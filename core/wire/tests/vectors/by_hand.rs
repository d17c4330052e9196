//! The bytes and hashes of the vectors again, from the prose of `spec/` and their inputs alone.
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
    let map_key = h("paigham/1 welcome key", &[&locator]);
    assert_eq!(get("welcome", "map_key"), map_key);
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

/// §3.2, §6.1, §7: the three chains.
#[test]
fn chains_are_as_the_prose_says() {
    let chains = &read("protocol.json")["chains"];
    let names = [
        ("queue", "queue_id", "paigham/1 chain"),
        ("commit", "queue_id", "paigham/1 commit chain"),
        ("inbox", "inbox_id", "paigham/1 inbox chain"),
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
            next.extend(n.to_be_bytes());
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
    let tables: [(&str, u8, &[usize]); 6] = [
        ("queue", 1, &[4, 4, 32, 4, 32, 32, 4, 32, 32, 4]),
        ("inbox", 2, &[4, 32, 4, 32, 8, 32, 4, 4, 32]),
        ("welcome", 3, &[32, 32]),
        (
            "shard",
            5,
            &[8, 32, 8, 32, 1, 1, 1, 1, 1, 1, 8, 8, 2, 4, 32],
        ),
        ("shards", 6, &[32, 4, 32]),
        ("beacon", 7, &[8, 32, 8, 32, 1, 1, 1, 1, 1, 1]),
    ];
    for (name, kind, lengths) in tables {
        let mut expected = vec![kind];
        for (place, length) in (1..).zip(lengths) {
            expected.extend(vec![place; *length]);
        }
        assert_eq!(bytes(&leaves[name]), expected, "{name}");
    }
}

fn canister_part() -> Vec<u8> {
    let canister = bytes(&read("protocol.json")["canister"]);
    [&[canister.len().try_into().unwrap()], &canister[..]].concat()
}

/// §6.4: a ticket's hash begins with the zeros that it says.
#[test]
fn tickets_are_as_the_prose_says() {
    for ticket in read("operations.json")["tickets"].as_array().unwrap() {
        let beacon = bytes(&ticket["beacon"]);
        let (issued_at, value) = beacon.split_at(8);
        let solved = bytes(&ticket["ticket"]);
        let (of, nonce) = solved.split_at(8);
        assert_eq!(of, issued_at);
        let purpose = [number(&ticket["purpose"]).try_into().unwrap()];
        let call = bytes(&ticket["call"]);
        let parts = [&canister_part()[..], &purpose, &call, value, nonce];
        let hash = h("paigham/1 ticket", &parts);
        assert_eq!(bytes(&ticket["hash"]), hash);
        let bits = number(&ticket["bits"]) as usize;
        assert!((0..bits).all(|bit| hash[bit / 8] >> (7 - bit % 8) & 1 == 0));
        let request = bytes(&ticket["request"]);
        if purpose == [6] {
            // Of a look-up the label alone counts: the first field.
            let label = &request[1..1 + usize::from(request[0])];
            assert_eq!(call, h("paigham/1 call", &[label]));
            continue;
        }
        // The credential is the last field of most; of deposits the sealed bytes follow it.
        let at = request.windows(16).position(|part| part == solved).unwrap();
        let unpaid = [&request[..at - 2], &[0, 0], &request[at + 16..]].concat();
        assert_eq!(call, h("paigham/1 call", &[&unpaid]));
    }
}

/// §6.5: blob id and MAC.
#[test]
fn blobs_are_as_the_prose_says() {
    let blobs = &read("operations.json")["blobs"];
    let manifest = bytes(&blobs["manifest"]);
    let mut chunk = vec![1; 1_048_576];
    let mut expected = 1_048_584_u64.to_be_bytes().to_vec();
    expected.push(0x40);
    expected.push(64);
    expected.extend(blake3::hash(&chunk).as_bytes());
    chunk = b"the rest".to_vec();
    expected.extend(blake3::hash(&chunk).as_bytes());
    assert_eq!(manifest, expected);
    let blob = h("paigham/1 blob", &[&manifest]);
    assert_eq!(bytes(&blobs["blob"]), blob);
    let expires_at = 0x6564_a5b6_u32.to_be_bytes();
    let covered = h(
        "paigham/1 blob mac",
        &[
            &canister_part(),
            &[3; 32],
            &4_u32.to_be_bytes(),
            &blob,
            &expires_at,
        ],
    );
    let key: [u8; 32] = bytes(&blobs["mac_key"]).try_into().unwrap();
    let tag = blake3::keyed_hash(&key, &covered);
    let mac = [&[3; 32][..], &[0, 0, 0, 4], &tag.as_bytes()[..16]].concat();
    assert_eq!(bytes(&blobs["mac"]), mac);
    let credential = [&[4, 52][..], &mac].concat();
    let create = [&manifest[..], &expires_at, &credential].concat();
    assert_eq!(bytes(&blobs["create_blob"]), create);
    let put = [&blob[..], &[0, 1, 8], b"the rest"].concat();
    assert_eq!(bytes(&blobs["put_chunk"]), put);
}

/// §6.6: what approvers name, and the head of the log.
#[test]
fn the_admin_log_is_as_the_prose_says() {
    let mut head = vec![0; 32];
    let entries = read("operations.json")["administration"]["log"].clone();
    for entry in entries.as_array().unwrap() {
        let proposal = bytes(&entry["proposal"]);
        let hash = h("paigham/1 admin proposal", &[&proposal]);
        assert_eq!(bytes(&entry["hash"]), hash);
        assert_eq!(bytes(&entry["approve"]), hash);
        let approvers = [6, 2, 0xd0, 2, 2, 0xd0, 1];
        let executed_at = 7_u64.to_be_bytes();
        let whole = [&proposal[..], &approvers, &executed_at].concat();
        assert_eq!(bytes(&entry["entry"]), whole);
        head = h("paigham/1 admin log", &[&head, &whole]);
        assert_eq!(bytes(&entry["head"]), head);
    }
}

/// §7.1: the open shard with the highest hash gets what is new.
#[test]
fn placement_is_as_the_prose_says() {
    for placed in read("operations.json")["shards"]["placed"]
        .as_array()
        .unwrap()
    {
        let nonce = bytes(&placed["nonce"]);
        let open: [&[u8]; 3] = [&[0, 1], &[0, 3], &[0, 4]];
        let highest = open
            .into_iter()
            .max_by_key(|canister| h("paigham/1 placement", &[&nonce, &[2], canister]));
        assert_eq!(Some(&bytes(&placed["canister"])[..]), highest);
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
    let (key, signature) = (&create[..32], &create[64..128]);
    assert_eq!(create[128..], [0, 0]);
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
    let (create_signed, unpaid) = create.split_at(create.len() - 2);
    assert_eq!(unpaid, [0, 0]);
    check(create_signed, "paigham/1 create inbox", &xwing);
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

/// A vector of bytes behind its length in one, two or four bytes.
fn opaque(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    let prefix = match length {
        0..64 => vec![u8::try_from(length).unwrap()],
        64..16_384 => (0x4000 | length).to_be_bytes()[2..].to_vec(),
        _ => (0x8000_0000 | length).to_be_bytes().to_vec(),
    };
    [&prefix, bytes].concat()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

fn big(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

/// §4.1, §4.5, §4.6: exporter labels, credential and policies.
#[test]
fn what_a_group_holds_is_as_the_prose_says() {
    let envelope = &read("protocol.json")["envelope"];
    let labels =
        ["envelope", "control", "mac", "read token"].map(|use_| format!("paigham/1 {use_}"));
    assert!(list(&envelope["exporter_labels"]).eq(labels.iter()));
    let credential = [&[0, 1][..], &[1; 16], &[2; 16], &[0, 0, 0, 3]].concat();
    assert_eq!(bytes(&envelope["credential"]), credential);
    assert_eq!(number(&envelope["group_policy_extension_type"]), 0xf0a1);
    let direct = [
        &[0, 1][..],
        &[0, 1],
        &[32],
        &[1; 16],
        &[2; 16],
        &1u64.to_be_bytes(),
    ]
    .concat();
    let name = opaque("پیغام".as_bytes());
    let sequence = 0x0102_0304_0506_0708u64.to_be_bytes();
    let group = [&[0, 1][..], &name, &[2, 16], &[1; 16], &sequence].concat();
    assert_eq!(bytes(&envelope["group_policies"][0]["encoded"]), direct);
    assert_eq!(bytes(&envelope["group_policies"][1]["encoded"]), group);
}

/// §4.2, §4.4, §5.2: the plaintext of an envelope, its proofs and its extensions.
#[test]
fn plaintexts_are_as_the_prose_says() {
    let plaintext = &read("protocol.json")["envelope"]["plaintext"];
    let joiner = [[1; 16].to_vec(), vec![2; 16], vec![3; 32]].concat();
    let welcomes = [&opaque(&joiner)[..], &[4; 32]].concat();
    assert_eq!(bytes(&plaintext["welcomes"]), welcomes);
    let authenticator = bytes(&plaintext["epoch_authenticator"]);
    let authenticator = h("paigham/1 epoch authenticator", &[&authenticator]);
    let root = [&[0, 0, 0, 0, 0, 0, 0, 7][..], &[8; 32]].concat();
    let roots = [&[40][..], &root].concat();
    let gossip = [&[0, 0, 0, 9][..], &[5; 32], &authenticator, &roots].concat();
    assert_eq!(bytes(&plaintext["gossip"]), gossip);
    let self_removes = opaque(&[opaque(b"first"), opaque(b"second")].concat());
    assert_eq!(bytes(&plaintext["self_removes"]), self_removes);
    let typed = |number: u16, data: &[u8]| [&number.to_be_bytes()[..], &opaque(data)].concat();
    let proofs = opaque(&typed(2, b"a proof"));
    let extensions = [
        typed(1, &welcomes),
        typed(2, &gossip),
        typed(3, &self_removes),
        typed(0xfff0, b"unknown"),
    ];
    let extensions = opaque(&extensions.concat());
    let message = opaque(b"an MLSMessage");
    let encoded = [&[1], &message[..], &proofs, &extensions].concat();
    assert_eq!(bytes(&plaintext["encoded"]), encoded);
    let without = [&[1], &message[..], &[0, 0]].concat();
    assert_eq!(bytes(&plaintext["encoded_without_proofs"]), without);
    let authenticated = bytes(&plaintext["authenticated_data"]);
    assert_eq!(authenticated[..32], [0xa1; 32]);
    assert_eq!(authenticated[32..36], 0x6564_a5b6u32.to_be_bytes());
}

/// §5: Welcome wrapper, pointer, and what they are sealed with.
#[test]
fn joining_is_as_the_prose_says() {
    let vectors = read("protocol.json");
    let joining = &vectors["envelope"]["joining"];
    let wrapper = [
        &[1],
        &opaque(b"an MLSMessage")[..],
        &[1; 32],
        &[2; 32],
        &[0, 0, 0, 3, 0, 0, 0, 4],
        &[5; 32],
        &[6; 32],
        &[0],
    ];
    assert_eq!(bytes(&joining["wrapper"]), wrapper.concat());
    let queue = [0xa1; 32];
    let pointer = [&[1][..], &canister(&vectors), &queue, &[7; 32], &[8; 32]].concat();
    assert_eq!(bytes(&joining["pointer"]), pointer);
    let sealed = [opaque(&[9; 1120]), opaque(&[10; 100])].concat();
    assert_eq!(bytes(&joining["sealed_pointer"]), sealed);
    for (name, label, id) in [
        ("wrapper_aad", "paigham/1 welcome", queue),
        ("tree_aad", "paigham/1 tree", queue),
        ("pointer_info", "paigham/1 pointer", [0xa2; 32]),
    ] {
        assert_eq!(bytes(&joining[name]), input(label, &[&id]), "{name}");
    }
}

/// §6.2: replies of every method begin with 0 or 1, and errors have one number each.
#[test]
fn replies_are_as_the_prose_says() {
    let vectors = read("protocol.json");
    let position = [
        &0x0102_0304u32.to_be_bytes()[..],
        &0x0506_0708_090a_0b0cu64.to_be_bytes(),
    ];
    let position = position.concat();
    let replies = &vectors["relay"]["replies"];
    assert_eq!(bytes(&replies["deposit"]), position);
    assert_eq!(bytes(&replies["ok"]), [&[0], &position[..]].concat());
    let ping = bytes(&vectors["directory"]["ping"]);
    assert_eq!(ping, [9; 32]);
    let ok = [&[0], &ping[..]].concat();
    assert_eq!(bytes(&vectors["directory"]["ok"]), ok);
    let mut outcomes: Vec<u8> = [1, 2]
        .iter()
        .flat_map(|kind| [&[*kind], &position[..]].concat())
        .collect();
    outcomes.extend((1..=15).flat_map(|refusal| [3, refusal]));
    assert_eq!(bytes(&replies["append_batch"]), opaque(&outcomes));
    let mut errors: Vec<Vec<u8>> = [1, 2, 4, 6, 7, 8, 9, 10, 11, 13, 14, 15]
        .iter()
        .map(|n| vec![1, *n])
        .collect();
    errors.extend((1..=15).map(|refusal| vec![1, 3, refusal]));
    errors.extend((1..=6).map(|refusal| vec![1, 12, refusal]));
    errors.push(vec![1, 5, 1, 2, 3, 4, 5, 6, 7, 8]);
    let written: Vec<_> = list(&vectors["relay"]["errors"])
        .map(|error| bytes(&error["reply"]))
        .collect();
    assert_eq!(written, errors);
    let written: Vec<_> = list(&vectors["directory"]["errors"])
        .map(|error| bytes(&error["reply"]))
        .collect();
    let mut errors: Vec<Vec<u8>> = (1..=12).map(|n| vec![1, n]).collect();
    errors.extend((1..=6).map(|refusal| vec![1, 13, refusal]));
    errors.extend([vec![1, 14], vec![1, 15]]);
    errors.extend((1..=12).map(|refusal| vec![1, 16, refusal]));
    assert_eq!(written, errors);
}

/// `spec/identity.md`: a device entry and every record, field by field; hashes, signatures, and
/// that each record names the one before.
#[test]
fn records_are_as_the_tables_say() {
    let vectors = read("identity.json");
    let entry = [
        &[1; 16][..],
        &[2; 32],
        &[29],
        &[3; 29],
        &[4; 32],
        &[5; 32],
        &[6; 8],
    ];
    assert_eq!(bytes(&vectors["device_entry"]), entry.concat());
    let (mut previous, mut recovery_hash) = (vec![0; 32], Vec::new());
    for (version, record) in (0u32..).zip(list(&vectors["records"])) {
        let what = record["what"].as_str().unwrap();
        let field = |name: &str| bytes(&record["content"][name]);
        let devices: Vec<u8> = list(&record["content"]["devices"])
            .flat_map(bytes)
            .collect();
        let content = [
            &[0, 1],
            &field("account")[..],
            &version.to_be_bytes(),
            &field("identity_key"),
            &field("recovery_key_hash"),
            &opaque(&devices),
            &previous,
            &number(&record["content"]["key_change_version"]).to_be_bytes(),
            &field("key_change_hash"),
            &field("kind"),
        ];
        let content = content.concat();
        let mut signatures = Vec::new();
        for by in list(&record["authorisation"]) {
            let (key, signature) = (bytes(&by["key"]), bytes(&by["signature"]));
            let parts: [&[u8]; 1] = [&content];
            assert!(
                signed(&key, &signature, "paigham/1 record signature", &parts),
                "{what}"
            );
            let role = number(&by["role"]);
            if role == 3 {
                let hash = Sha256::digest(input("paigham/1 recovery key", &[&key])).to_vec();
                let counts = if version == 0 {
                    field("recovery_key_hash")
                } else {
                    recovery_hash.clone()
                };
                assert_eq!(hash, counts, "{what}");
            }
            signatures.extend([vec![u8::try_from(role).unwrap()], key, signature].concat());
        }
        let encoded = [content, opaque(&signatures)].concat();
        assert_eq!(bytes(&record["record"]), encoded, "{what}");
        let hash = Sha256::digest(input("paigham/1 record", &[&encoded])).to_vec();
        assert_eq!(bytes(&record["hash"]), hash, "{what}");
        assert_eq!(field("previous"), previous, "{what}");
        previous = hash;
        recovery_hash = field("recovery_key_hash");
    }
    let create = &vectors["records"][0]["content"];
    let kind = bytes(&create["kind"]);
    assert_eq!(kind[0], 1);
    let fixed = [
        bytes(&create["identity_key"]),
        bytes(&create["recovery_key_hash"]),
        kind[1..].to_vec(),
    ];
    let id = Sha256::digest(input("paigham/1 account id", &[&fixed.concat()]));
    assert_eq!(bytes(&create["account"]), id[..16]);
    let kinds: Vec<_> = list(&vectors["records"])
        .map(|record| bytes(&record["content"]["kind"])[0])
        .collect();
    assert_eq!(kinds, [1, 2, 3, 4, 5, 7, 8, 6, 9, 8]);
}

/// `spec/identity.md`: the delays, and the kit.
#[test]
fn delays_and_kit_are_as_the_prose_says() {
    let vectors = read("identity.json");
    let hours = |hours: u64| hours * 3_600 * 1_000_000_000;
    let delays = &vectors["delays_ns"];
    assert_eq!(big(&delays["recover"]), hours(72));
    assert_eq!(big(&delays["delete"]), hours(72));
    assert_eq!(big(&delays["freeze"]), hours(7 * 24));
    let kit = &vectors["recovery_kit"];
    let seed: [u8; 32] = bytes(&kit["random"]).try_into().unwrap();
    let public = ed25519_dalek::SigningKey::from_bytes(&seed)
        .verifying_key()
        .to_bytes();
    assert_eq!(bytes(&kit["recovery_key"]), public);
    let hash = Sha256::digest(input("paigham/1 recovery key", &[&public])).to_vec();
    assert_eq!(bytes(&kit["recovery_key_hash"]), hash);
    // BIP-39: 11 bits a word, 256 bits of entropy and 8 of its SHA-256.
    let words: Vec<_> = kit["words"].as_str().unwrap().split(' ').collect();
    let list = bip39::Language::English.word_list();
    let bits: String = words
        .iter()
        .map(|word| format!("{:011b}", list.binary_search(word).unwrap()))
        .collect();
    let checked = [&seed[..], &Sha256::digest(seed)[..1]].concat();
    let expected: String = checked.iter().map(|byte| format!("{byte:08b}")).collect();
    assert_eq!(bits, expected);
}

/// CBOR's head: major type and number in as few bytes as they fit.
fn cbor_head(major: u8, number: u64) -> Vec<u8> {
    let major = major << 5;
    match number {
        0..24 => vec![major | u8::try_from(number).unwrap()],
        24..0x100 => vec![major | 24, u8::try_from(number).unwrap()],
        0x100..0x1_0000 => [&[major | 25][..], &number.to_be_bytes()[6..]].concat(),
        0x1_0000..0x1_0000_0000 => [&[major | 26][..], &number.to_be_bytes()[4..]].concat(),
        _ => [&[major | 27][..], &number.to_be_bytes()].concat(),
    }
}

fn cbor_bytes(bytes: &[u8]) -> Vec<u8> {
    [&cbor_head(2, bytes.len() as u64), bytes].concat()
}

fn cbor_text(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap().as_bytes();
    [&cbor_head(3, text.len() as u64), text].concat()
}

fn cbor_number(value: &Value) -> Vec<u8> {
    cbor_head(0, value.as_u64().unwrap())
}

fn cbor_array(items: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let items: Vec<_> = items.into_iter().collect();
    [cbor_head(4, items.len() as u64), items.concat()].concat()
}

/// A map with the keys 1, 2, 3, …
fn cbor_map(values: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let values: Vec<_> = values.into_iter().collect();
    let pairs = (1..)
        .zip(&values)
        .flat_map(|(key, value)| [cbor_head(0, key), value.clone()].concat());
    [cbor_head(5, values.len() as u64), pairs.collect()].concat()
}

fn cbor_hexes(values: &Value) -> Vec<u8> {
    cbor_array(list(values).map(|value| cbor_bytes(&bytes(value))))
}

fn cbor_key_set(set: &Value) -> Vec<u8> {
    cbor_map([cbor_hexes(&set["keys"]), cbor_number(&set["threshold"])])
}

/// `spec/network.md`: the file, key by key, its signatures, its hash and its link.
#[test]
fn network_files_are_as_the_prose_says() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    for vector in list(&read("network.json")["files"]) {
        let content = &vector["content"];
        let hex_of = |name: &str| cbor_bytes(&bytes(&content[name]));
        let number_of = |name: &str| cbor_number(&content[name]);
        let texts = |name: &str| cbor_array(list(&content[name]).map(cbor_text));
        let canisters = list(&content["canisters"]).map(|entry| {
            cbor_map([
                cbor_number(&entry["role"]),
                cbor_bytes(&bytes(&entry["id"])),
                cbor_hexes(&entry["module_hashes"]),
                cbor_hexes(&entry["controllers"]),
            ])
        });
        let file = cbor_map([
            number_of("version"),
            hex_of("network"),
            cbor_text(&content["name"]),
            number_of("sequence"),
            number_of("issued_at"),
            number_of("expires_at"),
            hex_of("root_key"),
            cbor_array(canisters),
            cbor_key_set(&content["authority"]),
            cbor_array(list(&content["proof_types"]).map(cbor_number)),
            texts("urls"),
            texts("gateways"),
            cbor_key_set(&content["release"]),
            vec![if content["development"].as_bool().unwrap() {
                0xf5
            } else {
                0xf4
            }],
        ]);
        let published = bytes(&vector["published"]);
        let head = [&[0x82], &cbor_bytes(&file)[..]].concat();
        let signatures = published.strip_prefix(&head[..]).unwrap();
        // An array of at most 23 pairs, each of 32 and 64 bytes behind two bytes of head.
        assert_eq!(signatures[0] >> 5, 4);
        let pairs: Vec<_> = signatures[1..].chunks(1 + 2 + 32 + 2 + 64).collect();
        assert_eq!(pairs.len(), usize::from(signatures[0] & 0x1f));
        assert!(pairs.is_sorted());
        for pair in pairs {
            assert_eq!(pair[..3], [0x82, 0x58, 32]);
            assert_eq!(pair[35..37], [0x58, 64]);
            assert!(signed(
                &pair[3..35],
                &pair[37..],
                "paigham/1 network file",
                &[&file]
            ));
        }
        let hash = blake3::hash(&published);
        assert_eq!(bytes(&vector["hash"]), hash.as_bytes());
        let link = format!(
            "paigham:n/{}?at=http://127.0.0.1:4943/paigham/network.cbor",
            URL_SAFE_NO_PAD.encode(hash.as_bytes())
        );
        assert_eq!(vector["link"], link);
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

/// `handles.md` §2, §3: labels, and records byte by byte with their hashes and signatures.
#[test]
fn handle_records_are_as_the_prose_says() {
    let handles = read("handles.json");
    for typed in list(&handles["typed"]) {
        let label = [b"u:", typed["skeleton"].as_str().unwrap().as_bytes()].concat();
        assert_eq!(bytes(&typed["label"]), label);
    }
    let life = &handles["life"];
    let accounts: Vec<_> = list(&life["accounts"]).collect();
    let mut previous = vec![0; 32];
    for (version, step) in (0_u32..).zip(list(&life["records"])) {
        let then = &step["then"];
        let account = bytes(&then["held_by"]);
        let who = accounts
            .iter()
            .position(|known| bytes(&known["account"]) == account)
            .unwrap();
        let key_change = Sha256::digest(input(
            "paigham/1 record",
            &[&bytes(&accounts[who]["record"])],
        ));
        let kind = if then["ends_at"].is_null() { 1 } else { 2 };
        let content = [
            &[0, 1][..],
            &opaque(then["shown"].as_str().unwrap().as_bytes()),
            &account,
            &version.to_be_bytes(),
            &previous,
            &[0; 4],
            &key_change,
            &[kind],
        ]
        .concat();
        let record = bytes(&step["record"]);
        let (signed_part, signature) = record.split_at(record.len() - 64);
        assert_eq!(signed_part, content);
        let key = ed25519_dalek::SigningKey::from_bytes(&[u8::try_from(who).unwrap() + 1; 32]);
        assert!(signed(
            key.verifying_key().as_bytes(),
            signature,
            "paigham/1 handle record signature",
            &[&content]
        ));
        previous = Sha256::digest(input("paigham/1 handle record", &[&record])).to_vec();
        assert_eq!(bytes(&step["hash"]), previous);
    }
}
