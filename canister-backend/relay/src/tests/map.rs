//! What lies in the certified map beside its leaves, and ids that strangers choose.

use paigham_wire::ids::WelcomeLocator;
use paigham_wire::leaf::InboxLeaf;
use paigham_wire::map::MapError;

use super::*;
use crate::records::InboxRecord;

fn bundle(locators: Vec<WelcomeLocator>) -> CommitBundle {
    CommitBundle {
        wrapper: b"wrapper".to_vec().into(),
        tree: b"tree".to_vec().into(),
        locators,
    }
}

fn shows(relay: &Relay<VectorMemory>, locator: &WelcomeLocator) -> bool {
    let key = locator.map_key();
    let witness = Witness::decode(&relay.witness(&[key])).unwrap();
    matches!(witness.get(&key), Ok(Found::Present(_)))
}

/// Fills the place in the map where a key would lie.
fn crowd(relay: &mut Relay<VectorMemory>, key: Hash) {
    let near = (1..=u8::MAX).map(|number| {
        let mut near = key;
        near[31] ^= number;
        near
    });
    let crowded = near
        .map(|near| relay.map.insert(&near, b"crowd", &[]))
        .any(|inserted| inserted == Err(MapError::Crowded));
    assert!(crowded);
}

/// There is no room for one of a commit's joiners: the commit is refused as a whole and leaves
/// nothing behind, one with another locator is taken.
#[test]
fn a_commit_whose_locators_have_no_room_leaves_nothing() {
    let mut relay = relay();
    let group = Group::create(&mut relay);
    let mut locators: Vec<_> = (0..20).map(|n| WelcomeId([n; 32]).locator()).collect();
    locators.sort_unstable();
    let crowded = locators[19].map_key();
    crowd(&mut relay, crowded);
    let before = (
        relay.seal(),
        relay.queue(&group.queue),
        relay.commits.log.tail(),
    );

    let first = encode(&group.commit(b"add", keys(1, 1), bundle(locators.clone())));
    assert_eq!(relay.submit_commit(&first, NOW), Err(RelayError::Full));
    let after = (
        relay.seal(),
        relay.queue(&group.queue),
        relay.commits.log.tail(),
    );
    assert_eq!(after, before);
    assert!(locators.iter().all(|locator| !shows(&relay, locator)));

    locators.retain(|locator| (locator.map_key()[0] ^ crowded[0]) & 0x80 != 0);
    assert!(!locators.is_empty());
    let second = group.commit(b"add", keys(1, 1), bundle(locators.clone()));
    relay.submit_commit(&encode(&second), NOW).unwrap();
    relay.seal();
    assert!(locators.iter().all(|locator| shows(&relay, locator)));
}

/// Strangers crowd the place of a new queue: its maker is told so, and chooses another nonce.
#[test]
fn a_new_id_without_room_is_refused() {
    let mut relay = relay();
    let (queue, request) = CreateQueue::sign(&control(0), &canister(), [9; 32]);
    crowd(&mut relay, queue.0);
    let root = relay.seal();
    assert_eq!(
        relay.create_queue(&paid(request), NOW),
        Err(RelayError::Full)
    );
    assert_eq!(relay.seal(), root);
    assert_eq!(relay.queue(&queue), None);
    Group::with_nonce(&mut relay, [10; 32]);
}

/// A member names the id of another's future queue as a locator: that takes the id from nobody.
#[test]
fn a_locator_takes_no_id() {
    let mut relay = relay();
    let group = Group::create(&mut relay);
    let (queue, request) = CreateQueue::sign(&control(0), &canister(), [9; 32]);
    let locator = WelcomeLocator(queue.0);
    let commit = group.commit(b"add", keys(1, 1), bundle(vec![locator]));
    relay.submit_commit(&encode(&commit), NOW).unwrap();
    assert_eq!(
        relay.create_queue(&paid(request), NOW),
        Ok(QueueCreated { queue })
    );
    relay.seal();
    assert!(shows(&relay, &locator));
    assert!(relay.queue(&queue).is_some());
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
        strangers: 0x090a_0b0c,
    };
    assert_eq!(
        InboxRecord::new(record.leaf.clone(), &record.extra()),
        record
    );
}
