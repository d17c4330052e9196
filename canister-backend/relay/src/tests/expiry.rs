//! Stories of entries that expire: what goes, what stays, and what a reader can still prove.

use paigham_wire::relay::{CommitBundle, FetchWhat};

use super::*;
use crate::Retention;
use crate::limits::{COMMITS_SPAN_NS, EXPIRY_STEP_ENTRIES, POSTS_SPAN_NS};

const DAY: u64 = 24 * 3_600 * 1_000_000_000;

/// A group whose members write at times of their choice.
struct Clocked {
    group: Group,
    posts: Vec<(u32, EntryDigest)>,
}

impl Clocked {
    fn create(relay: &mut Relay<VectorMemory>, nonce: u8) -> Self {
        Self {
            group: Group::with_nonce(relay, [nonce; 32]),
            posts: Vec::new(),
        }
    }

    fn write(&mut self, relay: &mut Relay<VectorMemory>, at: u64, text: &[u8]) {
        let mut header = self.group.header(PostKind::Application, text);
        header.not_after = (at / 1_000_000_000) as u32 + 300;
        let key = self.group.keys.as_ref().map(|keys| &keys.mac_key);
        let post = encode_post(&header, key, text);
        let outcomes = relay.append_batch(&post, at).unwrap().outcomes;
        let [PostOutcome::Accepted(position)] = outcomes[..] else {
            panic!("{outcomes:?}");
        };
        self.group.seq = position.seq;
        let digest = EntryDigest {
            accepted_at: at,
            post_hash: post_hash(&header.to_bytes(), text),
        };
        self.posts.push((position.seq, digest));
    }

    fn commit(&mut self, relay: &mut Relay<VectorMemory>, at: u64, bundle: CommitBundle) {
        let next = keys(self.group.epoch + 1, 1);
        let mut header = self.group.header(PostKind::Commit, b"commit");
        header.not_after = (at / 1_000_000_000) as u32 + 300;
        let hash = post_hash(&header.to_bytes(), b"commit");
        let signature = SubmitCommit::signature(
            &self.group.control,
            &canister(),
            &self.group.queue,
            self.group.epoch,
            &hash,
            &next,
            &bundle,
        );
        let commit = SubmitCommit {
            post: encode_post(&header, None, b"commit").into(),
            next_keys: next.clone(),
            bundle,
            signature,
        };
        let accepted = relay.submit_commit(&encode(&commit), at).unwrap();
        let digest = EntryDigest {
            accepted_at: at,
            post_hash: hash,
        };
        self.posts.push((accepted.position.seq, digest));
        self.group.seq = accepted.position.seq;
        self.group.epoch += 1;
        self.group.control = control(self.group.epoch);
        self.group.token = token(1);
        self.group.keys = Some(next);
    }

    /// A reader takes what there is and follows the chain from the certified head before it to the
    /// certified head. Returns the numbers that it got.
    fn read(&self, relay: &mut Relay<VectorMemory>) -> Vec<u32> {
        let leaf = leaf(relay, &self.group.queue);
        let item = fetch(
            relay,
            self.group.queue,
            &self.group.token,
            1,
            FetchWhat::Entries,
        );
        let FetchedItem::Entries(entries) = item else {
            panic!("{item:?}");
        };
        let mut head = leaf.head_before;
        let mut expected = leaf.first_seq;
        for entry in &entries {
            assert_eq!(entry.seq, expected);
            let digest = EntryDigest {
                accepted_at: entry.accepted_at,
                post_hash: post_hash(&entry.header, entry.envelope.as_slice()),
            };
            assert!(self.posts.contains(&(entry.seq, digest)));
            head = queue_next(&head, entry.seq, &digest);
            expected += 1;
        }
        assert_eq!(head, leaf.head);
        assert_eq!(expected, leaf.seq + 1);
        entries.iter().map(|entry| entry.seq).collect()
    }

    /// A device that was away follows all commits by their own chain. Returns their epochs.
    fn follow(&self, relay: &mut Relay<VectorMemory>) -> Vec<u32> {
        let leaf = leaf(relay, &self.group.queue);
        let (queue, token) = (self.group.queue, &self.group.token);
        let item = fetch(relay, queue, token, 1, FetchWhat::Commits);
        let FetchedItem::Commits(commits) = item else {
            panic!("{item:?}");
        };
        let item = fetch(relay, queue, token, 1, FetchWhat::CommitDigests);
        let FetchedItem::CommitDigests(digests) = item else {
            panic!("{item:?}");
        };
        let mut head = leaf.commit_head_before;
        let mut epochs = Vec::new();
        for (commit, digest) in commits.iter().zip(&digests) {
            let epoch = leaf.first_epoch + epochs.len() as u32;
            let own = EntryDigest {
                accepted_at: commit.accepted_at,
                post_hash: post_hash(&commit.header, commit.envelope.as_slice()),
            };
            assert_eq!(
                (commit.seq, own, commit.keys_hash),
                (digest.seq, digest.digest, Some(digest.keys_hash))
            );
            head = commit_next(&head, epoch, commit.seq, &own, &digest.keys_hash);
            epochs.push(epoch);
        }
        assert_eq!(head, leaf.commit_head);
        assert_eq!(commits.len(), digests.len());
        epochs
    }
}

fn expire_all(relay: &mut Relay<VectorMemory>, now: u64) -> u32 {
    let mut steps = 0;
    while relay.expire(now) {
        relay.seal();
        steps += 1;
    }
    steps
}

/// A group writes every day for 100 days. Posts go after 30 days and commits after 90; what is
/// left is provably all that has not expired, and storage comes to rest.
#[test]
fn entries_go_when_their_time_is_over() {
    let mut relay = relay();
    let mut group = Clocked::create(&mut relay, 1);
    let mut bytes = Vec::new();
    for day in 0..100_u64 {
        let now = NOW + day * DAY;
        if day % 10 == 0 {
            group.commit(&mut relay, now, CommitBundle::empty());
        }
        group.write(&mut relay, now + 1, &[day as u8; 2_000]);
        expire_all(&mut relay, now + 2);
        let read = group.read(&mut relay);
        let oldest = group.posts[read[0] as usize - 1].1.accepted_at;
        assert!(
            oldest + 30 * DAY > now,
            "day {day}: an entry has outlived its time"
        );
        // The bucket that an entry was in lasts six hours.
        assert!(read.len() as u64 >= 29.min(day), "day {day}: {read:?}");
        let epochs = group.follow(&mut relay);
        assert_eq!(*epochs.last().unwrap(), group.group.epoch);
        assert!(
            epochs.len() as u64 >= (day / 10 + 1).min(9),
            "day {day}: {epochs:?}"
        );
        bytes.push(relay.posts.log.bytes_in_use());
    }
    assert_eq!(bytes[40..].iter().max(), bytes[99..].iter().max());
    let horizons = relay.horizons();
    assert!(horizons.posts > NOW + 68 * DAY && horizons.posts < NOW + 71 * DAY);
    assert!(horizons.commits > NOW && horizons.commits < NOW + 11 * DAY);
    let leaf = leaf(&mut relay, &group.group.queue);
    assert_eq!(
        leaf.first_epoch, 2,
        "the commit of day 0 is gone, that of day 10 is there"
    );
}

/// One queue has more entries in a bucket than a step may look at: it moves on in several steps,
/// and after each of them a reader gets exactly what the leaf says.
#[test]
fn a_long_queue_expires_in_steps() {
    let mut relay = relay();
    let mut quiet = Clocked::create(&mut relay, 1);
    let mut busy = Clocked::create(&mut relay, 2);
    quiet.commit(&mut relay, NOW, CommitBundle::empty());
    busy.commit(&mut relay, NOW, CommitBundle::empty());
    for n in 0..9_000_u64 {
        busy.write(&mut relay, NOW + n, &n.to_le_bytes());
    }
    quiet.write(&mut relay, NOW + 9_001, b"last of the bucket");
    busy.write(&mut relay, NOW + POSTS_SPAN_NS, b"the next bucket");
    let later = NOW + 30 * DAY;
    let mut steps = 0;
    while relay.expire(later) {
        relay.seal();
        steps += 1;
        let leaf = leaf(&mut relay, &busy.group.queue);
        let digests = fetch(
            &relay,
            busy.group.queue,
            &busy.group.token,
            1,
            FetchWhat::Digests,
        );
        let FetchedItem::Digests(digests) = digests else {
            panic!("{digests:?}");
        };
        let head = (leaf.first_seq..)
            .zip(&digests)
            .fold(leaf.head_before, |head, (seq, digest)| {
                queue_next(&head, seq, digest)
            });
        assert_eq!(head, leaf.head);
        // While queues move on one after another, all are told the horizon already.
        assert_eq!(relay.horizons().posts, NOW + POSTS_SPAN_NS);
    }
    assert!(steps >= 3, "{steps}");
    assert_eq!(busy.read(&mut relay), [9_002]);
    assert_eq!(quiet.read(&mut relay), [] as [u32; 0]);
    // Who comes after everything expired writes on, in the same chain.
    quiet.write(&mut relay, later, b"again");
    assert_eq!(quiet.read(&mut relay), [3]);
}

/// A Welcome waits 90 days for its joiner, not longer.
#[test]
fn a_welcome_goes_with_its_commit() {
    let mut relay = relay();
    let mut group = Clocked::create(&mut relay, 1);
    let id = WelcomeId([9; 32]);
    let bundle = CommitBundle {
        wrapper: b"wrapper".to_vec().into(),
        tree: b"tree".to_vec().into(),
        locators: vec![id.locator()],
    };
    group.commit(&mut relay, NOW, bundle);
    group.commit(&mut relay, NOW + COMMITS_SPAN_NS, CommitBundle::empty());
    let shown = |relay: &mut Relay<VectorMemory>| {
        relay.seal();
        let request = encode(&WelcomeRequest { welcome_id: id });
        let reply = relay.welcome(&request, vec![1]).unwrap();
        let witness = Witness::decode(reply.witness.as_slice()).unwrap();
        let certified = witness.get(&id.locator().map_key()).unwrap() != Found::Absent;
        assert_eq!(certified, !reply.wrapper.as_slice().is_empty());
        certified
    };
    expire_all(&mut relay, NOW + 89 * DAY);
    assert!(shown(&mut relay));
    assert!(group.read(&mut relay).is_empty(), "the posts have gone");
    expire_all(&mut relay, NOW + 90 * DAY);
    assert!(!shown(&mut relay));
    assert_eq!(group.follow(&mut relay), [2]);
}

/// Who left the group reads no commit behind the one that removed it.
#[test]
fn a_token_that_ended_reads_no_later_commit() {
    let mut relay = relay();
    let mut group = Group::create(&mut relay);
    group.advance(&mut relay, false);
    group.advance(&mut relay, false);
    let removed = group.token.clone();
    group.advance(&mut relay, true);
    group.advance(&mut relay, false);
    let read =
        |token: &ReadToken, from| match fetch(&relay, group.queue, token, from, FetchWhat::Commits)
        {
            FetchedItem::Commits(commits) => commits.iter().map(|c| c.seq).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
    assert_eq!(read(&removed, 1), [1, 2, 3]);
    assert_eq!(read(&removed, 4), [] as [u32; 0]);
    assert_eq!(read(&group.token, 1), [1, 2, 3, 4]);
    assert_eq!(read(&group.token, 3), [3, 4]);
}

/// A shard that is nearly full keeps posts for less time, never for less than a day, and commits
/// always longer than posts.
#[test]
fn a_fuller_shard_shortens_its_horizon() {
    let mut relay = relay();
    relay.retention = Retention {
        bytes: 40 << 20,
        ..Retention::default()
    };
    let mut group = Clocked::create(&mut relay, 1);
    group.commit(&mut relay, NOW, CommitBundle::empty());
    let mut kept = Vec::new();
    for day in 0..40_u64 {
        let now = NOW + day * DAY;
        // Two MiB a day: thirty days do not fit forty MiB.
        for n in 0..2 {
            group.write(&mut relay, now + n, &[day as u8; 1_000_000]);
        }
        group.commit(&mut relay, now + 3, CommitBundle::empty());
        expire_all(&mut relay, now + 4);
        let first = leaf(&mut relay, &group.group.queue).first_seq;
        let oldest = group.posts[first as usize - 1].1.accepted_at;
        kept.push((now - oldest.min(now)) / DAY);
        assert!(relay.posts.log.bytes_in_use() <= 40 << 20);
        let commits = leaf(&mut relay, &group.group.queue);
        assert!(
            commits.first_epoch as u64 <= (day + 1).saturating_sub(kept[kept.len() - 1]).max(1)
        );
    }
    assert_eq!(
        kept[9], 9,
        "while there is room nothing goes early: {kept:?}"
    );
    assert!(kept[39] >= 1 && kept[39] < 20, "{kept:?}");
    assert!(relay.horizons().posts > NOW + 20 * DAY);
}

/// Somebody with an epoch's MAC key writes faster than anyone can read. Who removes him need not
/// catch up first: a commit's repeat is known by its epoch.
#[test]
fn a_flood_keeps_no_commit_away() {
    let mut relay = relay();
    let mut group = Clocked::create(&mut relay, 1);
    group.commit(&mut relay, NOW, CommitBundle::empty());
    let before = group.group.seq;
    for n in 0..400_u64 {
        group.write(&mut relay, NOW + n, &n.to_le_bytes());
    }
    group.group.seq = before;
    let post = group.group.post(b"too late");
    assert_eq!(refused(&mut relay, &post), PostRefusal::CatchUpFirst);
    group.commit(&mut relay, NOW + 500, CommitBundle::empty());
    assert_eq!(group.group.epoch, 2);
    // Ahead of everything is still refused.
    group.group.seq += 1;
    let ahead = group
        .group
        .commit(b"ahead", keys(3, 1), CommitBundle::empty());
    assert_eq!(
        relay.submit_commit(&encode(&ahead), NOW),
        Err(PostRefusal::AfterSeqAhead.into())
    );
}

/// A member fills a day with commits of as many joiners as there may be: their bundles expire in
/// steps of bounded work, and nothing of them stays.
#[test]
fn commits_with_many_joiners_expire_in_steps() {
    let mut relay = relay();
    let mut group = Clocked::create(&mut relay, 1);
    for n in 0..100_u64 {
        let mut locators: Vec<_> = (0..=255_u8)
            .map(|m| {
                let mut id = [m; 32];
                id[..8].copy_from_slice(&n.to_be_bytes());
                WelcomeId(id).locator()
            })
            .collect();
        locators.sort_unstable();
        let bundle = CommitBundle {
            wrapper: b"wrapper".to_vec().into(),
            tree: vec![1; 1_000].into(),
            locators,
        };
        group.commit(&mut relay, NOW + n, bundle);
    }
    let most = relay.map.len();
    let (mut steps, mut left) = (0, most);
    while relay.expire(NOW + 100 * DAY) {
        relay.seal();
        steps += 1;
        assert!(left - relay.map.len() <= EXPIRY_STEP_ENTRIES + 256);
        left = relay.map.len();
    }
    assert!(steps >= 6, "{steps}");
    assert_eq!((most, left), (25_602, 2));
    assert!(group.follow(&mut relay).is_empty());
}

/// Tokens of generations of which nothing is retained are forgotten; the current one stays.
#[test]
fn tokens_go_with_what_they_read() {
    let mut relay = relay();
    let mut group = Group::create(&mut relay);
    for _ in 0..5 {
        group.advance(&mut relay, true);
    }
    assert_eq!(relay.tokens.len(), 5);
    expire_all(&mut relay, NOW + 100 * DAY);
    assert_eq!(relay.tokens.len(), 1);
    let item = fetch(&relay, group.queue, &group.token, 1, FetchWhat::Digests);
    assert_eq!(item, FetchedItem::Digests(Vec::new()));
    let item = fetch(&relay, group.queue, &token(4), 1, FetchWhat::Digests);
    assert_eq!(item, FetchedItem::Refused(FetchRefusal::UnknownToken));
}
