//! What closes, and what is refused.

use paigham_wire::chain::{commit_start, queue_start};
use paigham_wire::frame::HEADER_BYTES;

use super::*;

mod commits;

const QUEUE: QueueId = QueueId([7; 32]);

fn header(kind: PostKind, epoch: u32) -> [u8; HEADER_BYTES] {
    PostHeader {
        queue: QUEUE,
        epoch,
        not_after: 1,
        kind,
        after_seq: 0,
        length: 3,
    }
    .to_bytes()
}

fn entry(seq: u32, kind: PostKind, epoch: u32) -> Entry {
    let byte = u8::try_from(seq).unwrap();
    Entry {
        seq,
        accepted_at: u64::from(seq),
        header: header(kind, epoch),
        keys_hash: (kind == PostKind::Commit).then_some([byte; 32]),
        envelope: vec![byte; 3].into(),
    }
}

fn start() -> Cursor {
    Cursor {
        seq: 0,
        head: queue_start(&QUEUE),
        commit_head: commit_start(&QUEUE),
        epoch: 0,
    }
}

fn seen(cursor: &Cursor) -> Seen {
    Seen {
        seq: cursor.seq,
        head: cursor.head,
        epoch: cursor.epoch,
        generation: 0,
        first_seq: 1,
    }
}

/// A commit and three messages, and the leaf that a relay certifies over them.
fn honest() -> (Vec<Entry>, QueueLeaf) {
    let mut entries = vec![entry(1, PostKind::Commit, 0)];
    entries.extend((2..=4).map(|seq| entry(seq, PostKind::Application, 1)));
    let mut walk = Walk::new(QUEUE, &start(), seen(&start()));
    let last = entries
        .iter()
        .map(|entry| walk.entry(entry.clone()).unwrap())
        .last()
        .unwrap();
    let leaf = QueueLeaf {
        epoch: 1,
        seq: 4,
        head: last.after.head,
        first_seq: 1,
        head_before: queue_start(&QUEUE),
        commit_head: last.after.commit_head,
        first_epoch: 1,
        commit_head_before: commit_start(&QUEUE),
        keys_hash: [1; 32],
        generation: 1,
    };
    (entries, leaf)
}

fn walked(entries: &[Entry], leaf: &QueueLeaf) -> Result<bool, NotVerified> {
    let mut walk = Walk::new(QUEUE, &start(), seen(&start()));
    for entry in entries {
        walk.entry(entry.clone())?;
    }
    walk.closes(leaf)
}

/// What the relay certified is taken, and each way of changing it is refused.
#[test]
fn only_the_certified_entries_close() {
    let (honest, leaf) = honest();
    assert_eq!(walked(&honest, &leaf), Ok(true));
    assert_eq!(walked(&honest[..3], &leaf), Ok(false), "more is to come");
    let changed = |change: &dyn Fn(&mut Vec<Entry>)| {
        let mut entries = honest.clone();
        change(&mut entries);
        walked(&entries, &leaf).unwrap_err()
    };
    let order = |expected, found| NotVerified::Order { expected, found };
    let chain = NotVerified::Chain { after: 0 };
    let dropped = |entries: &mut Vec<Entry>| drop(entries.remove(1));
    assert_eq!(changed(&dropped), order(2, 3));
    assert_eq!(changed(&|entries| entries.swap(1, 2)), order(2, 3));
    assert_eq!(
        changed(&|entries| entries.insert(2, entries[1].clone())),
        order(3, 2)
    );
    let renumbered = |entries: &mut Vec<Entry>| {
        entries.swap(1, 2);
        (entries[1].seq, entries[2].seq) = (2, 3);
    };
    assert_eq!(changed(&renumbered), chain);
    assert_eq!(
        changed(&|entries| entries[2].envelope = vec![9; 3].into()),
        chain
    );
    assert_eq!(changed(&|entries| entries[2].accepted_at += 1), chain);
    assert_eq!(
        changed(&|entries| entries[0].keys_hash = Some([9; 32])),
        NotVerified::Epoch
    );
    assert_eq!(
        changed(&|entries| entries[2].header[0] ^= 1),
        NotVerified::OtherQueue
    );
    assert_eq!(
        changed(&|entries| entries.push(entry(5, PostKind::Application, 1))),
        chain
    );
}

/// Digests lead to the head as entries do, and after them no entry is taken.
#[test]
fn digests_close_the_chain() {
    let (entries, leaf) = honest();
    let mut walk = Walk::new(QUEUE, &start(), seen(&start()));
    walk.entry(entries[0].clone()).unwrap();
    for entry in &entries[1..] {
        walk.digest(&EntryDigest {
            accepted_at: entry.accepted_at,
            post_hash: post_hash(&entry.header, entry.envelope.as_slice()),
        })
        .unwrap();
    }
    assert_eq!(walk.closes(&leaf), Ok(true));
    assert!(walk.entry(entry(5, PostKind::Application, 1)).is_err());
}

/// State that was seen certified is never given up for older or for other state.
#[test]
fn older_and_forked_state_is_refused() {
    let (entries, leaf) = honest();
    let now = Seen::from(&leaf);
    assert_eq!(check_not_older(&now, &leaf), Ok(()));
    let older = QueueLeaf { seq: 3, ..leaf };
    assert!(matches!(
        check_not_older(&now, &older),
        Err(NotVerified::Older { what: "entry", .. })
    ));
    let forked = QueueLeaf {
        head: [9; 32],
        ..leaf
    };
    assert_eq!(check_not_older(&now, &forked), Err(NotVerified::Fork(4)));
    // What has expired does not come back: such a leaf is of before.
    let unexpired = QueueLeaf {
        first_seq: 0,
        ..leaf
    };
    assert!(matches!(
        check_not_older(&now, &unexpired),
        Err(NotVerified::Older {
            what: "first retained entry",
            ..
        })
    ));
    // A longer history that does not lead through the head that was seen.
    let other = Seen {
        seq: 3,
        head: [9; 32],
        ..now
    };
    let mut walk = Walk::new(QUEUE, &start(), other);
    let outcome: Result<Vec<_>, _> = entries.into_iter().map(|e| walk.entry(e)).collect();
    assert_eq!(outcome.unwrap_err(), NotVerified::Chain { after: 0 });
}
