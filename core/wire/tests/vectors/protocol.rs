//! Hashes, ids, frames, chains, keys and leaves.

use ed25519_dalek::SigningKey;
use paigham_wire::chain::{
    EntryDigest, commit_next, commit_start, inbox_next, inbox_start, queue_next, queue_start,
};
use paigham_wire::frame::{
    FrameError, PostHeader, PostKind, PostRef, encode_post, post_hash, post_tag,
};
use paigham_wire::hash::{blake3_labelled, label, sha256_labelled, sign};
use paigham_wire::ids::{AccountId, InboxId, QueueId, WelcomeId};
use paigham_wire::keys::{EpochKeys, MacKey, ReadToken};
use paigham_wire::leaf::{
    BeaconLeaf, InboxLeaf, Leaf, QueueLeaf, ShardLeaf, ShardsLeaf, WelcomeLeaf,
};
use paigham_wire::ticket::{Beacon, Difficulties};
use serde_json::{Value, json};

use crate::{canister, hex, structure};

pub fn hashes() -> Value {
    let key = SigningKey::from_bytes(&[1; 32]);
    let labels: Vec<_> = label::ALL
        .iter()
        .map(|label| {
            json!({
                "label": label,
                "blake3": hex(blake3_labelled(label, &[b"abc"])),
                "sha256": hex(sha256_labelled(label, &[b"abc"])),
                "signature": hex(sign(&key, label, &[b"abc"])),
            })
        })
        .collect();
    json!({
        "message": hex("abc"),
        "signing_key_seed": hex(key.to_bytes()),
        "public_key": hex(key.verifying_key().to_bytes()),
        "labels": labels,
    })
}

pub fn ids() -> Value {
    let account = AccountId::derive(&[1; 32], &[2; 32], &[3; 32]);
    let welcome = WelcomeId([6; 32]);
    json!({
        "account": {
            "first_identity_key": hex([1; 32]),
            "recovery_key_hash": hex([2; 32]),
            "nonce": hex([3; 32]),
            "id": hex(account),
            "directory_label": hex(account.directory_label()),
        },
        "queue": {
            "first_control_key": hex([4; 32]),
            "nonce": hex([5; 32]),
            "id": hex(QueueId::derive(&canister(), &[4; 32], &[5; 32])),
        },
        "inbox": { "inbox_key": hex([7; 32]), "id": hex(InboxId::derive(&[7; 32])) },
        "welcome": { "id": hex(welcome), "locator": hex(welcome.locator()), "map_key": hex(welcome.locator().map_key()) },
    })
}

fn header(kind: PostKind, envelope: &[u8]) -> PostHeader {
    PostHeader {
        queue: QueueId([0xa1; 32]),
        epoch: 0x0102_0304,
        not_after: 0x6564_a5b6,
        kind,
        after_seq: 0x0506_0708,
        length: u32::try_from(envelope.len()).unwrap(),
    }
}

pub fn frames() -> Value {
    let key = MacKey::new([0xb2; 32]);
    let kinds = [
        (PostKind::Application, "application"),
        (PostKind::Commit, "commit"),
        (PostKind::Proposal, "proposal"),
    ];
    let accepted: Vec<_> = kinds
        .iter()
        .map(|(kind, name)| frame(*kind, name, &key))
        .collect();
    json!({ "mac_key": hex(key.as_bytes()), "accepted": accepted, "refused": refused(&key) })
}

fn frame(kind: PostKind, name: &str, key: &MacKey) -> Value {
    let envelope = [name.as_bytes(), &[0xc3; 300]].concat();
    let header = header(kind, &envelope);
    let key = (kind != PostKind::Commit).then_some(key);
    let post = encode_post(&header, key, &envelope);
    let decoded = PostRef::decode(&post).unwrap();
    assert_eq!(decoded.header, header);
    let hash = post_hash(&header.to_bytes(), &envelope);
    assert_eq!(decoded.hash(), hash);
    assert!(key.is_none_or(|key| *decoded.tag == post_tag(key, &hash)));
    json!({
        "kind": kind as u8,
        "queue": hex(header.queue),
        "epoch": header.epoch,
        "not_after": header.not_after,
        "after_seq": header.after_seq,
        "envelope": hex(&envelope),
        "header": hex(header.to_bytes()),
        "post_hash": hex(hash),
        "tag": hex(decoded.tag),
        "post": hex(&post),
    })
}

/// Each way in which bytes are no frame.
fn refused(key: &MacKey) -> Value {
    let good = encode_post(&header(PostKind::Application, b"x"), Some(key), b"x");
    let changed = |at: usize, bytes: &[u8]| {
        let mut post = good.clone();
        post[at..at + bytes.len()].copy_from_slice(bytes);
        post
    };
    let tagged = {
        let mut post = encode_post(&header(PostKind::Commit, b"x"), None, b"x");
        post[63] = 1;
        post
    };
    let cases = [
        ("no envelope", good[..64].to_vec(), FrameError::Truncated),
        ("half a header", good[..40].to_vec(), FrameError::Truncated),
        (
            "a byte left over",
            [&good[..], &[0]].concat(),
            FrameError::Truncated,
        ),
        ("kind 0", changed(40, &[0]), FrameError::UnknownKind(0)),
        ("kind 4", changed(40, &[4]), FrameError::UnknownKind(4)),
        ("length 0", changed(45, &[0, 0, 0]), FrameError::Length(0)),
        (
            "length 1,900,001",
            changed(45, &[0x1c, 0xfd, 0xe1]),
            FrameError::Length(1_900_001),
        ),
        ("a commit with a tag", tagged, FrameError::TagOnCommit),
    ];
    cases
        .iter()
        .map(|(why, post, error)| {
            assert_eq!(PostRef::decode(post), Err(*error), "{why}");
            json!({ "why": why, "post": hex(post) })
        })
        .collect()
}

fn digest(n: u8) -> EntryDigest {
    EntryDigest {
        accepted_at: 1_700_000_000_000_000_000 + u64::from(n),
        post_hash: [n; 32],
    }
}

pub fn chains() -> Value {
    let queue = QueueId([0xa1; 32]);
    let inbox = InboxId([0xa2; 32]);
    let (mut head, mut commit_head) = (queue_start(&queue), commit_start(&queue));
    let mut inbox_head = inbox_start(&inbox);
    let start = json!({
        "queue": hex(head),
        "commit": hex(commit_head),
        "inbox": hex(inbox_head),
    });
    let steps: Vec<_> = (1..=3u8)
        .map(|n| {
            let (number, entry) = (u32::from(n), digest(n));
            let keys_hash = [0x10 + n; 32];
            head = queue_next(&head, number, &entry);
            commit_head = commit_next(&commit_head, number, number, &entry, &keys_hash);
            inbox_head = inbox_next(&inbox_head, number, entry.accepted_at, &entry.post_hash);
            json!({
                "number": number,
                "accepted_at": entry.accepted_at.to_string(),
                "hash": hex(entry.post_hash),
                "keys_hash": hex(keys_hash),
                "queue": hex(head),
                "commit": hex(commit_head),
                "inbox": hex(inbox_head),
            })
        })
        .collect();
    json!({
        "queue_id": hex(queue),
        "inbox_id": hex(inbox),
        "start": start,
        "steps": steps,
    })
}

pub fn keys() -> Value {
    let token = ReadToken::new([0xd4; 32]);
    let keys = EpochKeys {
        control_key: [0xd5; 32],
        mac_key: MacKey::new([0xd6; 32]),
        read_token_hash: token.hash(),
        generation: 0x0a0b_0c0d,
    };
    json!({
        "read_token": hex(token.as_bytes()),
        "read_token_hash": hex(token.hash()),
        "control_key": hex(keys.control_key),
        "mac_key": hex(keys.mac_key.as_bytes()),
        "generation": keys.generation,
        "encoded": structure(&keys),
        "hash": hex(keys.hash()),
    })
}

/// Every field has bytes of its own, so that two fields in another order show.
pub fn leaves() -> Value {
    let queue = QueueLeaf {
        epoch: 0x0101_0101,
        seq: 0x0202_0202,
        head: [3; 32],
        first_seq: 0x0404_0404,
        head_before: [5; 32],
        commit_head: [6; 32],
        first_epoch: 0x0707_0707,
        commit_head_before: [8; 32],
        keys_hash: [9; 32],
        generation: 0x0a0a_0a0a,
    };
    let inbox = InboxLeaf {
        seq: 0x0101_0101,
        head: [2; 32],
        first_seq: 0x0303_0303,
        head_before: [4; 32],
        counter: 0x0505_0505_0505_0505,
        xwing_key_hash: [6; 32],
        one_time_left: 0x0707_0707,
        claimed: 0x0808_0808,
        last_resort_hash: [9; 32],
    };
    let welcome = WelcomeLeaf {
        wrapper_hash: [1; 32],
        tree_hash: [2; 32],
    };
    let beacon = |n| Beacon {
        issued_at: u64::from_be_bytes([n; 8]),
        value: [n + 1; 32],
    };
    let difficulties = Difficulties {
        create_queue: 5,
        create_inbox: 6,
        deposit: 7,
        claim: 8,
        create_blob: 9,
        look_up: 10,
    };
    let shard = ShardLeaf {
        beacon: beacon(1),
        previous: beacon(3),
        difficulties,
        posts_since: 0x0b0b_0b0b_0b0b_0b0b,
        commits_since: 0x0c0c_0c0c_0c0c_0c0c,
        fill: 0x0d0d,
        admin_entries: 0x0e0e_0e0e,
        admin_head: [15; 32],
    };
    let shards = ShardsLeaf {
        map_hash: [1; 32],
        admin_entries: 0x0202_0202,
        admin_head: [3; 32],
    };
    let beacons = BeaconLeaf {
        beacon: beacon(1),
        previous: beacon(3),
        difficulties,
    };
    json!({
        "queue": structure(&Leaf::Queue(queue)),
        "inbox": structure(&Leaf::Inbox(inbox)),
        "welcome": structure(&Leaf::Welcome(welcome)),
        "shard": structure(&Leaf::Shard(shard)),
        "shards": structure(&Leaf::Shards(shards)),
        "beacon": structure(&Leaf::Beacon(beacons)),
    })
}
