//! A queue whose oldest entries have expired, as a relay certifies it, and everything that a node
//! can answer instead.

use paigham_wire::relay::CommitDigest;

use super::*;

/// Numbers of the entries that are commits.
const COMMITS: [u32; 5] = [1, 4, 5, 9, 12];
const NEWEST: u32 = 13;

fn is_commit(seq: u32) -> bool {
    COMMITS.contains(&seq)
}

/// The epoch in which an entry was posted.
fn epoch_of(seq: u32) -> u32 {
    u32::try_from(COMMITS.iter().filter(|commit| **commit < seq).count()).unwrap()
}

fn post(seq: u32) -> Entry {
    let kind = if is_commit(seq) {
        PostKind::Commit
    } else {
        PostKind::Application
    };
    entry(seq, kind, epoch_of(seq))
}

/// Where the queue stands after an entry.
fn after(seq: u32) -> Cursor {
    let mut walk = Walk::new(QUEUE, &start(), seen(&start()));
    (1..=seq).fold(start(), |_, seq| walk.entry(post(seq)).unwrap().after)
}

/// The leaf when everything in front of `first_seq` has expired, commits aside.
fn leaf_from(first_seq: u32) -> QueueLeaf {
    let (newest, before) = (after(NEWEST), after(first_seq - 1));
    QueueLeaf {
        epoch: newest.epoch,
        seq: NEWEST,
        head: newest.head,
        first_seq,
        head_before: before.head,
        commit_head: newest.commit_head,
        first_epoch: 1,
        commit_head_before: commit_start(&QUEUE),
        keys_hash: [12; 32],
        generation: 1,
    }
}

fn commits_behind(seq: u32) -> Vec<Entry> {
    COMMITS
        .into_iter()
        .filter(|commit| *commit > seq)
        .map(post)
        .collect()
}

fn digest_of(commit: &Entry) -> CommitDigest {
    CommitDigest {
        seq: commit.seq,
        digest: EntryDigest {
            accepted_at: commit.accepted_at,
            post_hash: post_hash(&commit.header, commit.envelope.as_slice()),
        },
        keys_hash: commit.keys_hash.unwrap(),
    }
}

fn walked(from: u32, commits: &[Entry], leaf: &QueueLeaf) -> Result<bool, NotVerified> {
    let mut walk = CommitWalk::new(QUEUE, &after(from), from);
    for commit in commits {
        walk.entry(commit.clone())?;
    }
    walk.closes(leaf)
}

/// From every place, over every gap, in pages of every length: the commits lead to the certified
/// commit head, and from the commits in front of the first retained entry on the entries lead to
/// the certified head. Both chains end alike.
#[test]
fn a_reader_crosses_every_gap() {
    for from in 0..NEWEST {
        for first_seq in from + 2..=NEWEST + 1 {
            let leaf = leaf_from(first_seq);
            let commits = commits_behind(from);
            for page in 1..=commits.len() {
                let mut walk = CommitWalk::new(QUEUE, &after(from), from);
                for commit in &commits[..page] {
                    walk.entry(commit.clone()).unwrap();
                }
                assert_eq!(walk.closes(&leaf), Ok(page == commits.len()));
                for commit in &commits[page..] {
                    walk.digest(&digest_of(commit)).unwrap();
                }
                assert_eq!(walk.closes(&leaf), Ok(true), "{from} {first_seq} {page}");
            }
            // The reader's own state after the commits in front of what is left.
            let mut walk = CommitWalk::new(QUEUE, &after(from), from);
            let mut own = after(from);
            for commit in commits.into_iter().filter(|one| one.seq < first_seq) {
                own = walk.entry(commit).unwrap().after;
            }
            assert_eq!((own.seq, own.head), (from, after(from).head));
            let resumed = Cursor {
                seq: first_seq - 1,
                head: leaf.head_before,
                ..own
            };
            assert_eq!(resumed, after(first_seq - 1));
            let mut walk = Walk::new(QUEUE, &resumed, seen(&after(from)));
            for seq in first_seq..=NEWEST {
                walk.entry(post(seq)).unwrap();
            }
            assert_eq!(walk.closes(&leaf), Ok(true));
        }
    }
}

/// Whoever leaves a commit in front of the retained entries out finds the two chains apart.
#[test]
fn both_chains_must_agree() {
    let leaf = leaf_from(7);
    let short = Cursor {
        seq: 6,
        head: leaf.head_before,
        ..after(4)
    };
    let mut walk = Walk::new(QUEUE, &short, seen(&short));
    for seq in 7..=NEWEST {
        walk.entry(post(seq)).unwrap();
    }
    assert_eq!(walk.closes(&leaf), Err(NotVerified::Epoch));
    // Two certified heads that contradict each other: commits end elsewhere than entries.
    let other = QueueLeaf {
        commit_head: [9; 32],
        ..leaf_from(7)
    };
    let mut walk = Walk::new(QUEUE, &after(6), seen(&after(6)));
    for seq in 7..=NEWEST {
        walk.entry(post(seq)).unwrap();
    }
    assert_eq!(walk.closes(&other), Err(NotVerified::Epoch));
}

/// What the relay certified is taken, and each way of changing the list of commits is refused with
/// its own reason.
#[test]
fn only_the_certified_commits_close() {
    let (from, leaf) = (2, leaf_from(11));
    let honest = commits_behind(from);
    assert_eq!(walked(from, &honest, &leaf), Ok(true));
    assert_eq!(
        walked(from, &honest[..2], &leaf),
        Ok(false),
        "more is to come"
    );
    assert_eq!(walked(from, &[], &leaf), Ok(false), "withheld");
    let changed = |change: &dyn Fn(&mut Vec<Entry>)| {
        let mut commits = honest.clone();
        change(&mut commits);
        walked(from, &commits, &leaf).unwrap_err()
    };
    let order = |expected, found| NotVerified::CommitOrder { expected, found };
    let chain = NotVerified::CommitChain { after: 1 };
    let malformed = NotVerified::Malformed("fetch");
    for missing in 0..3 {
        let expected = 2 + u32::try_from(missing).unwrap();
        assert_eq!(
            changed(&|commits| drop(commits.remove(missing))),
            order(expected, expected + 1)
        );
    }
    assert_eq!(changed(&|commits| commits.swap(0, 1)), order(2, 3));
    assert_eq!(
        changed(&|commits| commits.insert(1, commits[0].clone())),
        order(3, 2)
    );
    // Another commit of the same epoch, and one that is numbered or dated otherwise.
    assert_eq!(
        changed(&|commits| commits[1].envelope = vec![9; 3].into()),
        chain
    );
    assert_eq!(changed(&|commits| commits[1].accepted_at += 1), chain);
    assert_eq!(changed(&|commits| commits[1].seq += 1), chain);
    assert_eq!(
        changed(&|commits| commits[1].keys_hash = Some([9; 32])),
        chain
    );
    assert_eq!(
        changed(&|commits| commits[1].seq = commits[0].seq),
        NotVerified::Order {
            expected: 5,
            found: 4
        }
    );
    // A commit in front of the cursor is nothing that came behind it.
    assert_eq!(
        changed(&|commits| commits[0].seq = from),
        NotVerified::Order {
            expected: 3,
            found: 2
        }
    );
    assert_eq!(
        changed(&|commits| commits[0].header[0] ^= 1),
        NotVerified::OtherQueue
    );
    assert_eq!(changed(&|commits| commits[0] = post(3)), malformed);
    assert_eq!(changed(&|commits| commits[0].keys_hash = None), malformed);
    assert_eq!(
        changed(&|commits| commits[0].envelope = vec![4; 2].into()),
        malformed
    );
    // One that the certified head does not count.
    assert_eq!(
        changed(&|commits| commits.push(entry(14, PostKind::Commit, 5))),
        chain
    );
}

/// Digests of commits are bound by the same chain.
#[test]
fn only_the_certified_digests_close() {
    let leaf = leaf_from(11);
    let honest: Vec<_> = commits_behind(2).iter().map(digest_of).collect();
    let outcome = |change: &dyn Fn(&mut Vec<CommitDigest>)| {
        let mut digests = honest.clone();
        change(&mut digests);
        let mut walk = CommitWalk::new(QUEUE, &after(2), 2);
        for digest in &digests {
            walk.digest(digest)?;
        }
        walk.closes(&leaf)
    };
    let chain = Err(NotVerified::CommitChain { after: 1 });
    assert_eq!(outcome(&|_| {}), Ok(true));
    assert_eq!(outcome(&|digests| digests.truncate(3)), Ok(false));
    assert_eq!(outcome(&|digests| digests[0].seq = 3), chain);
    assert_eq!(outcome(&|digests| digests[1].keys_hash = [9; 32]), chain);
    assert_eq!(
        outcome(&|digests| digests[2].digest.post_hash = [9; 32]),
        chain
    );
    assert_eq!(outcome(&|digests| digests[2].digest.accepted_at = 1), chain);
    assert_eq!(
        outcome(&|digests| digests.push(digests[3])),
        Err(NotVerified::Order {
            expected: 13,
            found: 12
        })
    );
    assert!(outcome(&|digests| digests.swap(0, 1)).is_err());
}

/// A leaf whose keys are not those of the newest commit is none of this queue.
#[test]
fn the_newest_commit_has_the_certified_keys() {
    let leaf = QueueLeaf {
        keys_hash: [9; 32],
        ..leaf_from(11)
    };
    assert_eq!(
        walked(2, &commits_behind(2), &leaf),
        Err(NotVerified::Epoch)
    );
    // Where no commit came, the own commit head must be the certified one.
    let other = QueueLeaf {
        commit_head: [9; 32],
        ..leaf_from(14)
    };
    assert_eq!(
        walked(12, &[], &other),
        Err(NotVerified::CommitChain { after: 5 })
    );
    assert_eq!(walked(12, &[], &leaf_from(14)), Ok(true));
}
