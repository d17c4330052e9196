//! What lies in the certified map beside its leaves, and ids that strangers choose.

use paigham_wire::ids::WelcomeLocator;
use paigham_wire::leaf::InboxLeaf;
use paigham_wire::map::MapError;

use super::*;
use crate::records::InboxRecord;

/// Locators that begin alike, as somebody may choose them.
fn crowd(numbers: std::ops::Range<u8>) -> Vec<WelcomeLocator> {
    numbers
        .map(|number| {
            let mut locator = [0x77; 32];
            locator[31] = number;
            WelcomeLocator(locator)
        })
        .collect()
}

fn bundle(locators: Vec<WelcomeLocator>) -> CommitBundle {
    CommitBundle {
        wrapper: b"wrapper".to_vec().into(),
        tree: b"tree".to_vec().into(),
        locators,
    }
}

fn shows(relay: &Relay<VectorMemory>, locator: &WelcomeLocator) -> bool {
    let witness = Witness::decode(&relay.witness(&[locator.0])).unwrap();
    matches!(witness.get(&locator.0), Ok(Found::Present(_)))
}

/// A member crowds the map with locators until one has no room: that commit is refused as a whole
/// and leaves nothing behind, one with other locators is taken, and the Welcomes that are there
/// are handed out.
#[test]
fn a_commit_whose_locators_have_no_room_leaves_nothing() {
    let mut relay = relay();
    let mut group = Group::create(&mut relay);
    let first = group.commit(b"add", keys(1, 1), bundle(crowd(0..50)));
    relay.submit_commit(&encode(&first), NOW).unwrap();
    (group.epoch, group.seq, group.control) = (1, 1, control(1));
    let before = (relay.seal(), relay.queue(&group.queue));

    let second = encode(&group.commit(b"add", keys(2, 1), bundle(crowd(50..80))));
    assert_eq!(relay.submit_commit(&second, NOW), Err(RelayError::Full));
    assert_eq!((relay.seal(), relay.queue(&group.queue)), before);
    assert!(crowd(50..80).iter().all(|locator| !shows(&relay, locator)));
    assert!(crowd(0..50).iter().all(|locator| shows(&relay, locator)));

    let elsewhere = vec![WelcomeId([1; 32]).locator()];
    let third = group.commit(b"add", keys(2, 1), bundle(elsewhere.clone()));
    relay.submit_commit(&encode(&third), NOW).unwrap();
    relay.seal();
    assert!(shows(&relay, &elsewhere[0]));
    let request = encode(&WelcomeRequest {
        welcome_id: WelcomeId([1; 32]),
    });
    let reply = relay.welcome(&request, vec![1]).unwrap();
    assert_eq!(reply.tree.as_slice(), b"tree");
}

/// Strangers crowd the place of a new queue: its maker is told so, and chooses another nonce.
#[test]
fn a_new_id_without_room_is_refused() {
    let mut relay = relay();
    let (queue, request) = CreateQueue::sign(&control(0), &canister(), [9; 32]);
    let near = (1..=u8::MAX).map(|number| {
        let mut near = queue.0;
        near[31] ^= number;
        near
    });
    let crowded = near
        .map(|near| relay.map.insert(&near, b"crowd", &[]))
        .any(|inserted| inserted == Err(MapError::Crowded));
    assert!(crowded);
    let root = relay.seal();
    assert_eq!(relay.create_queue(&encode(&request)), Err(RelayError::Full));
    assert_eq!(relay.seal(), root);
    assert_eq!(relay.queue(&queue), None);
    Group::with_nonce(&mut relay, [10; 32]);
}

/// A member names the id of another's future queue as a locator: the queue is not made over it,
/// and the Welcome stays.
#[test]
fn an_id_has_one_meaning() {
    let mut relay = relay();
    let group = Group::create(&mut relay);
    let (queue, request) = CreateQueue::sign(&control(0), &canister(), [9; 32]);
    let locator = WelcomeLocator(queue.0);
    let commit = group.commit(b"add", keys(1, 1), bundle(vec![locator]));
    relay.submit_commit(&encode(&commit), NOW).unwrap();
    assert_eq!(
        relay.create_queue(&encode(&request)),
        Err(RelayError::Exists)
    );
    relay.seal();
    assert!(shows(&relay, &locator));
    assert_eq!(relay.queue(&queue), None);
    assert_eq!(relay.inbox(&InboxId(queue.0)), None);
}

/// What lies beside an inbox's leaf is put together again as it was.
#[test]
fn an_inbox_record_keeps_every_field() {
    let record = InboxRecord {
        leaf: InboxLeaf {
            seq: 1,
            head: [2; 32],
            first_seq: 3,
            head_before: [4; 32],
            counter: 5,
            xwing_key_hash: [6; 32],
            one_time_left: 7,
            claimed: 8,
            last_resort_hash: [9; 32],
        },
        inbox_key: [10; 32],
        first_package: 0x0102_0304,
        next_package: 0x0506_0708,
        last_signature: [11; 64],
    };
    assert_eq!(
        InboxRecord::new(record.leaf.clone(), &record.extra()),
        record
    );
}
