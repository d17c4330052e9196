//! Expiry: the oldest bucket of a log goes as a whole, after every queue in it has been told.
//!
//! A bucket is swept from its start, in bounded steps: each queue's first entry in it names the
//! queue, whose leaf then moves on to its first entry behind the bucket, with the head before it. A
//! reader can so prove that nothing is missing but what has expired. When all queues have moved on,
//! the bucket's storage is given back at once.

use ic_stable_structures::Memory;
use paigham_wire::chain::{commit_next, queue_next};
use paigham_wire::codec::decode;
use paigham_wire::hash::Hash;
use paigham_wire::ids::QueueId;

use crate::entries::Entries;
use crate::limits::{
    COMMITS_KEPT_NS, EXPIRY_STEP_ENTRIES, KEPT_AT_LEAST_NS, LOGS_MAX_BYTES, POSTS_KEPT_NS,
};
use crate::log::Bucket;
use crate::records::{CommitBody, TokenRecord};
use crate::relay::{Relay, paired};

/// How long things are kept while there is room, and how much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Nanoseconds that posts are kept at most.
    pub posts: u64,
    /// Nanoseconds that commits and Welcomes are kept at most.
    pub commits: u64,
    /// Bytes that posts and commits may take together.
    pub bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            posts: POSTS_KEPT_NS,
            commits: COMMITS_KEPT_NS,
            bytes: LOGS_MAX_BYTES,
        }
    }
}

impl Retention {
    /// How long posts are kept when the logs take so many bytes: up to half of the room the full
    /// time, then ever shorter.
    fn posts_kept(&self, bytes: u64) -> u64 {
        shortened(self.posts, bytes, self.bytes)
    }

    /// How long commits are kept: always longer than the posts that they stand among.
    fn commits_kept(&self, bytes: u64) -> u64 {
        shortened(self.commits, bytes, self.bytes).max(self.posts_kept(bytes) + KEPT_AT_LEAST_NS)
    }
}

/// The full time up to half of the room, falling from there to the least at all of it.
fn shortened(full: u64, bytes: u64, room: u64) -> u64 {
    let half = room / 2;
    let over = u128::from(bytes.saturating_sub(half).min(half.max(1)));
    let cut = u128::from(full) * over / u128::from(half.max(1));
    full.saturating_sub(u64::try_from(cut).unwrap_or(full))
        .max(KEPT_AT_LEAST_NS)
}

/// From when on entries are there; what is older may have gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Horizons {
    /// Of posts, in nanoseconds since 1970; 0 while none has expired.
    pub posts: u64,
    /// Of commits and Welcomes.
    pub commits: u64,
}

impl<M: Memory> Relay<M> {
    /// One bounded step of expiry; true if more is due.
    pub fn expire(&mut self, now: u64) -> bool {
        let bytes = self.posts.log.bytes_in_use() + self.commits.log.bytes_in_use();
        let kept = self.retention.posts_kept(bytes);
        if let Some(bucket) = due(&mut self.posts, kept, now) {
            self.posts.log.begin_drop();
            let window = Window::of(&self.posts, &bucket, self.posts_swept);
            self.posts_swept = self.sweep(&bucket, window, Self::forget_posts);
            if self.posts_swept >= bucket.end {
                self.posts.log.drop_oldest();
            }
            return true;
        }
        let kept = self.retention.commits_kept(bytes);
        if let Some(bucket) = due(&mut self.commits, kept, now) {
            self.commits.log.begin_drop();
            let window = Window::of(&self.commits, &bucket, self.commits_swept);
            self.commits_swept = self.sweep(&bucket, window, Self::forget_commits);
            if self.commits_swept >= bucket.end {
                self.commits.log.drop_oldest();
            }
            return true;
        }
        false
    }

    /// From when on everything is there.
    #[must_use]
    pub fn horizons(&self) -> Horizons {
        Horizons {
            posts: self.posts.log.kept_since(),
            commits: self.commits.log.kept_since(),
        }
    }

    /// Moves the queues of a window on, and tells from where to go on.
    fn sweep(&mut self, bucket: &Bucket, window: Window, forget: Forget<M>) -> u64 {
        let mut left = EXPIRY_STEP_ENTRIES;
        for (owner, at) in window.owners {
            if left == 0 || !forget(self, &owner, bucket.end, &mut left) {
                return at;
            }
        }
        window.end
    }

    /// Forgets the posts of a queue that lie before `end`; false if more are left than `left`.
    fn forget_posts(&mut self, owner: &Hash, end: u64, left: &mut u32) -> bool {
        let queue = QueueId(*owner);
        let Some(mut record) = self.load_queue(&queue) else {
            return true;
        };
        let range = record.entries();
        let Some(last) = self.posts.newest_before(&range, end) else {
            return true;
        };
        let to = last.number.min(range.first.saturating_add(*left));
        let leaf = &mut record.leaf;
        for link in self.posts.between(&range, range.first, to) {
            leaf.head_before = queue_next(&leaf.head_before, link.number, &link.digest);
            leaf.first_seq = link.number + 1;
            *left = left.saturating_sub(1);
        }
        self.put_queue(&queue, &record);
        to == last.number
    }

    /// The same of commits; with a commit goes what waited for its joiners, and the read token
    /// whose generation it ended.
    fn forget_commits(&mut self, owner: &Hash, end: u64, left: &mut u32) -> bool {
        let queue = QueueId(*owner);
        let Some(mut record) = self.queue(&queue) else {
            return true;
        };
        let range = record.commits();
        let Some(last) = self.commits.newest_before(&range, end) else {
            return true;
        };
        let to = last.number.min(range.first.saturating_add(*left));
        let mut forgotten = None;
        for link in self.commits.between(&range, range.first, to) {
            if forgotten.is_some() && *left == 0 {
                break;
            }
            let body = CommitBody::from_bytes(&self.commits.read_body(&link));
            let locators = self.locators(&link, &body);
            self.forget_locators(&queue, link.number, &locators);
            let leaf = &mut record.leaf;
            leaf.commit_head_before = commit_next(
                &leaf.commit_head_before,
                link.number,
                body.seq,
                &link.digest,
                &body.keys_hash,
            );
            leaf.first_epoch = link.number + 1;
            *left = left.saturating_sub(1 + body.joiners);
            forgotten = Some((link.number, body.seq));
        }
        self.put_queue(&queue, &record);
        let Some((epoch, seq)) = forgotten else {
            return true;
        };
        self.forget_tokens(&queue, seq, left);
        epoch == last.number
    }

    /// Forgets tokens that read nothing any more: their generation ended with an entry up to `seq`,
    /// and posts are kept for less time than commits.
    fn forget_tokens(&mut self, queue: &QueueId, seq: u32, left: &mut u32) {
        let range = paired(&queue.0, &[0; 32])..=paired(&queue.0, &[0xff; 32]);
        let of_queue = self.tokens.range(range).take(*left as usize + 1);
        let over: Vec<_> = of_queue
            .filter_map(|token| {
                let record: TokenRecord = decode(&token.value()).ok()?;
                (record.end != 0 && record.end <= seq).then(|| *token.key())
            })
            .collect();
        for key in over {
            self.tokens.remove(&key);
            *left = left.saturating_sub(1);
        }
    }
}

/// Moves a queue on; false if the step has no room for all of its entries.
type Forget<M> = fn(&mut Relay<M>, &Hash, u64, &mut u32) -> bool;

/// The oldest bucket, if its first entry is older than entries are kept.
fn due<M: Memory>(entries: &mut Entries<M>, kept: u64, now: u64) -> Option<Bucket> {
    let over = |opened_at: u64| opened_at.saturating_add(kept) <= now;
    if entries.log.newest_at().is_some_and(over) {
        // Where nothing is written any more the newest bucket has its time as well.
        entries.log.turn_bucket(now);
    }
    let bucket = entries.log.oldest_closed()?;
    over(bucket.opened_at).then_some(bucket)
}

/// What one step looks at.
struct Window {
    /// Queues that have their first entry of the bucket here, and where.
    owners: Vec<(Hash, u64)>,
    /// Where the next step goes on.
    end: u64,
}

impl Window {
    fn of<M: Memory>(entries: &Entries<M>, bucket: &Bucket, swept: u64) -> Self {
        let mut at = swept.max(bucket.start);
        let mut owners = Vec::new();
        for _ in 0..EXPIRY_STEP_ENTRIES {
            if at >= bucket.end {
                break;
            }
            let (link, owner) = entries.scan(at);
            owners.extend(owner.map(|owner| (owner, at)));
            at = link.end();
        }
        Self { owners, end: at }
    }
}
