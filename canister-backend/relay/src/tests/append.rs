//! What posts can make the relay do before they have proved anything.

use paigham_wire::frame::REPEAT_WINDOW;

use super::*;
use crate::limits::{PROVEN_MAX_LINKS, UNPROVEN_MAX_LINKS};

/// Entries of each queue: with one commit more, all of them may be searched for a repeat.
const ENTRIES: u32 = REPEAT_WINDOW - 1;

/// Two queues in their first epoch, each with as many entries as a search may read.
fn two_full_windows(relay: &mut Relay<VectorMemory>) -> [Group; 2] {
    [1, 2].map(|nonce| {
        let mut group = Group::with_nonce(relay, [nonce; 32]);
        group.advance(relay, false);
        group.seq = 0;
        let posts: Vec<u8> = (1..ENTRIES).flat_map(|n| group.post(&number(n))).collect();
        append(relay, &posts);
        assert_eq!(leaf(relay, &group.queue).seq, ENTRIES);
        group
    })
}

fn number(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// Posts of the two in turn, so that each changes the queue, and how many links they cost.
fn alternate(
    relay: &mut Relay<VectorMemory>,
    groups: &[Group; 2],
    post: impl Fn(&Group, u32) -> Vec<u8>,
) -> (Vec<PostOutcome>, u64) {
    let posts: Vec<u8> = (0..BATCH_MAX_POSTS as u32)
        .flat_map(|n| post(&groups[n as usize % 2], n))
        .collect();
    let before = relay.posts.links_read();
    let outcomes = append(relay, &posts);
    (outcomes, relay.posts.links_read() - before)
}

/// Mallory knows two queues and no key. He posts to them in turn, as many as fit, each of which
/// would be compared with all entries of its queue: the MAC is looked at first, and nothing is read.
#[test]
fn forged_posts_of_this_epoch_are_not_searched_for() {
    let mut relay = relay();
    let groups = two_full_windows(&mut relay);
    let root = relay.seal();
    let (outcomes, links) = alternate(&mut relay, &groups, |group, n| {
        let envelope = number(1_000 + n);
        let header = group.header(PostKind::Application, &envelope);
        encode_post(&header, Some(&MacKey::new([9; 32])), &envelope)
    });
    let wrong = PostOutcome::Refused(PostRefusal::WrongMac);
    assert_eq!(outcomes, vec![wrong; BATCH_MAX_POSTS]);
    assert_eq!((links, relay.seal()), (0, root));
}

/// He says that they are of an epoch that is over, whose key the relay has no more. It looks for so
/// many and then for none; an honest repeat of that epoch behind them is told to come alone, and
/// then finds its place. Posts of the current epoch in the same call are taken as ever.
#[test]
fn searches_that_prove_nothing_have_an_end() {
    let mut relay = relay();
    let mut groups = two_full_windows(&mut relay);
    let old = groups.clone();
    for group in &mut groups {
        group.advance(&mut relay, false);
    }
    let stale = |group: &Group, n: u32| group.post(&number(1_000 + n));
    let (outcomes, links) = alternate(&mut relay, &old, stale);
    let searched = (UNPROVEN_MAX_LINKS / REPEAT_WINDOW) as usize;
    let (first, rest) = outcomes.split_at(searched);
    let [over, busy] = [PostRefusal::StaleEpoch, PostRefusal::Busy].map(PostOutcome::Refused);
    assert_eq!(first, vec![over; searched]);
    assert_eq!(rest, vec![busy; BATCH_MAX_POSTS - searched]);
    assert_eq!(links, u64::from(UNPROVEN_MAX_LINKS));

    let junk = (0..searched as u32).flat_map(|n| stale(&old[n as usize % 2], n));
    let honest = old[0].post(&number(1));
    let current = groups[1].post(b"now");
    let batch: Vec<u8> = junk.chain(honest.clone()).chain(current).collect();
    let outcomes = append(&mut relay, &batch);
    let stored = PostOutcome::Accepted(position(REPEAT_WINDOW + 1));
    assert_eq!(outcomes[searched..], [busy, stored]);
    assert_eq!(
        append(&mut relay, &honest),
        [PostOutcome::Repeat(position(2))]
    );
}

/// Mallory is a member of both queues and repeats what is there in turn, as often as fits. The
/// relay looks for so many and then for none; those told so find their place when they come alone,
/// and who has read what is there is taken in the same call.
#[test]
fn searches_of_members_have_an_end() {
    let mut relay = relay();
    let groups = two_full_windows(&mut relay);
    let repeated = |n: u32| 1 + n % (ENTRIES - 1);
    let repeat = |group: &Group, n: u32| group.post(&number(repeated(n)));
    let (outcomes, links) = alternate(&mut relay, &groups, repeat);
    let searched = PROVEN_MAX_LINKS / ENTRIES;
    let busy = PostOutcome::Refused(PostRefusal::Busy);
    for (n, outcome) in (0..).zip(&outcomes) {
        let expected = if n < searched {
            PostOutcome::Repeat(position(repeated(n) + 1))
        } else {
            busy
        };
        assert_eq!(*outcome, expected, "{n}");
    }
    assert_eq!(links, u64::from(searched * ENTRIES));

    let mut read = groups[0].clone();
    read.seq = ENTRIES;
    let posts = (0..searched).flat_map(|n| repeat(&groups[n as usize % 2], n));
    let late = repeat(&groups[1], 7);
    let batch: Vec<u8> = posts.chain(late.clone()).chain(read.post(b"new")).collect();
    let outcomes = append(&mut relay, &batch);
    let stored = PostOutcome::Accepted(position(ENTRIES + 1));
    assert_eq!(outcomes[searched as usize..], [busy, stored]);
    let found = PostOutcome::Repeat(position(repeated(7) + 1));
    assert_eq!(append(&mut relay, &late), [found]);
}
