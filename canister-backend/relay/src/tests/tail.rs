//! Gateways follow what is new; nobody else does.

use paigham_wire::admin::Action;

use super::administration::{admin, administered, agree};
use super::*;
use crate::limits::POSTS_SPAN_NS;

fn tail(relay: &Relay<VectorMemory>, cursor: Option<u64>) -> TailReply {
    let request = encode(&TailRequest { cursor });
    relay.tail(&request, &admin(5)).unwrap()
}

fn write(relay: &mut Relay<VectorMemory>, group: &mut Group, at: u64) {
    let envelope = group.seq.to_le_bytes();
    let mut header = group.header(PostKind::Application, &envelope);
    header.not_after = (at / 1_000_000_000) as u32 + 300;
    let key = group.keys.as_ref().map(|keys| &keys.mac_key);
    let post = encode_post(&header, key, &envelope);
    let outcomes = relay.append_batch(&post, at).unwrap().outcomes;
    assert!(matches!(outcomes[..], [PostOutcome::Accepted(_)]));
    group.seq += 1;
}

fn groups(relay: &mut Relay<VectorMemory>, count: u8) -> Vec<Group> {
    (0..count)
        .map(|n| {
            let mut group = Group::with_nonce(relay, [n; 32]);
            group.advance(relay, false);
            group
        })
        .collect()
}

/// A listed gateway hears once of each queue that got entries since it asked last, with the newest,
/// also over the end of a bucket and an upgrade.
#[test]
fn a_gateway_hears_of_every_entry() {
    let memory = VectorMemory::default();
    let mut relay = administered(memory.clone());
    agree(&mut relay, Action::SetGateways(vec![admin(5)]));
    let mut groups = groups(&mut relay, 3);
    let start = tail(&relay, None);
    assert!(start.activities.is_empty() && start.more == 0);
    for _ in 0..40 {
        write(&mut relay, &mut groups[0], NOW);
        write(&mut relay, &mut groups[1], NOW);
    }
    write(&mut relay, &mut groups[2], NOW + POSTS_SPAN_NS);
    write(&mut relay, &mut groups[0], NOW + POSTS_SPAN_NS);
    relay.seal();
    drop(relay);
    let mut relay = Relay::open(memory, canister(), 1).unwrap();
    let heard = tail(&relay, Some(start.cursor));
    let expected = [1, 2, 0].map(|n: usize| Activity {
        queue: groups[n].queue,
        seq: groups[n].seq,
    });
    assert_eq!(heard.activities, expected);
    assert_eq!(heard.more, 0);
    assert!(tail(&relay, Some(heard.cursor)).activities.is_empty());
    write(&mut relay, &mut groups[1], NOW + POSTS_SPAN_NS + 1);
    let heard = tail(&relay, Some(heard.cursor));
    assert_eq!(heard.activities.len(), 1);
    assert_eq!(heard.activities[0].queue, groups[1].queue);
}

/// Whoever is not listed hears nothing; one that is taken off the list nothing more.
#[test]
fn only_listed_gateways_hear() {
    let mut relay = administered(VectorMemory::default());
    let request = encode(&TailRequest { cursor: None });
    let refused = Err(RelayError::NotListed);
    assert_eq!(relay.tail(&request, &admin(5)), refused);
    agree(&mut relay, Action::SetGateways(vec![admin(5)]));
    assert!(relay.tail(&request, &admin(5)).is_ok());
    assert_eq!(relay.tail(&request, &admin(0)), refused);
    agree(&mut relay, Action::SetGateways(vec![]));
    assert_eq!(relay.tail(&request, &admin(5)), refused);
}

/// A gateway that was away longer than posts are kept goes on where they begin, and any number as a
/// cursor gets an answer that ends.
#[test]
fn any_cursor_gets_an_answer() {
    let mut relay = administered(VectorMemory::default());
    agree(&mut relay, Action::SetGateways(vec![admin(5)]));
    let mut groups = groups(&mut relay, 1);
    let start = tail(&relay, None).cursor;
    write(&mut relay, &mut groups[0], NOW);
    let later = NOW + 31 * 24 * 3_600 * 1_000_000_000;
    write(&mut relay, &mut groups[0], later);
    while relay.expire(later) {}
    let heard = tail(&relay, Some(start));
    assert_eq!(heard.activities.len(), 1);
    assert_eq!(heard.activities[0].seq, groups[0].seq);
    let end = tail(&relay, None).cursor;
    let odd = (end - 200..end + 200).chain([0, 1, u64::MAX, u64::MAX / 2]);
    for cursor in odd {
        let reply = tail(&relay, Some(cursor));
        assert!(reply.cursor <= end && reply.activities.len() <= TAIL_MAX_ENTRIES);
    }
}
