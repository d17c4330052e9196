//! Reading queues.

use ic_stable_structures::Memory;
use paigham_wire::codec::decode;
use paigham_wire::frame::PostKind;
use paigham_wire::hash::Hash;
use paigham_wire::relay::{
    CommitDigest, Entry, FETCH_MAX_BYTES, FETCH_MAX_QUEUES, FetchItem, FetchRefusal, FetchReply,
    FetchRequest, FetchWhat, FetchedItem, RelayError,
};

use crate::entries::{Entries, Link, Range};
use crate::limits::{FETCH_MAX_DIGESTS, FETCH_MAX_ENTRIES};
use crate::records::{CommitBody, QueueRecord, TokenRecord};
use crate::relay::{Relay, get, paired};

/// Bytes of an entry beside its envelope.
const ENTRY_OVERHEAD_BYTES: usize = 128;
/// Bytes of a digest.
const DIGEST_BYTES: usize = 40;
/// Bytes of a commit's digest.
const COMMIT_DIGEST_BYTES: usize = 76;
/// Where a post header says what it is.
const KIND_AT: usize = 40;

/// What of a reply is left. Entries and digests share its bytes: a query reply of more than 3 MiB
/// would be none.
struct Room {
    bytes: usize,
    digests: usize,
}

impl Room {
    /// Whether an entry of so many bytes still fits. The first of a reply always does, so that a
    /// reader gets on.
    fn take(&mut self, body: usize) -> bool {
        let bytes = ENTRY_OVERHEAD_BYTES + body;
        if bytes > self.bytes && self.bytes < FETCH_MAX_BYTES {
            return false;
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }
}

impl<M: Memory> Relay<M> {
    /// Entries or digests of some queues, with a witness over all of them.
    pub(crate) fn fetch(
        &self,
        request: &[u8],
        certificate: Vec<u8>,
    ) -> Result<FetchReply, RelayError> {
        let request: FetchRequest = decode(request).map_err(|_| RelayError::Malformed)?;
        if request.items.len() > FETCH_MAX_QUEUES {
            return Err(RelayError::TooLarge);
        }
        let keys: Vec<_> = request.items.iter().map(|item| item.queue.0).collect();
        let mut room = Room {
            bytes: FETCH_MAX_BYTES,
            digests: FETCH_MAX_DIGESTS,
        };
        let items = request
            .items
            .iter()
            .map(|item| {
                self.fetch_one(item, &mut room)
                    .unwrap_or_else(FetchedItem::Refused)
            })
            .collect();
        let witness = self.witness(&keys).into();
        Ok(FetchReply {
            certificate: certificate.into(),
            witness,
            items,
        })
    }

    fn fetch_one(&self, item: &FetchItem, room: &mut Room) -> Result<FetchedItem, FetchRefusal> {
        let record = self.queue(&item.queue).ok_or(FetchRefusal::NoSuchQueue)?;
        let token: TokenRecord = get(&self.tokens, &paired(&item.queue.0, &item.token.hash()))
            .ok_or(FetchRefusal::UnknownToken)?;
        // The entry that ended the token's generation is the last that it reads.
        let end = (token.end != 0).then_some(token.end);
        let posts = record.entries();
        match item.what {
            FetchWhat::Digests => Ok(self.fetch_digests(&posts, item.from, room)),
            FetchWhat::Entries => {
                if end.is_some_and(|end| item.from.max(posts.first) > end) {
                    return Err(FetchRefusal::GenerationOver);
                }
                let last = end.unwrap_or(posts.last);
                Ok(self.fetch_entries(item, &record, last, room))
            }
            FetchWhat::CommitDigests => {
                Ok(self.fetch_commit_digests(&record.commits(), item.from, room))
            }
            FetchWhat::Commits => Ok(self.fetch_commits(item, &record.commits(), end, room)),
        }
    }

    fn fetch_digests(&self, range: &Range, from: u32, room: &mut Room) -> FetchedItem {
        let most = room.digests.min(room.bytes / DIGEST_BYTES);
        let links = page(&self.posts, range, from, range.last, most);
        room.digests -= links.len();
        room.bytes -= links.len() * DIGEST_BYTES;
        FetchedItem::Digests(links.into_iter().map(|link| link.digest).collect())
    }

    fn fetch_commit_digests(&self, range: &Range, from: u32, room: &mut Room) -> FetchedItem {
        let most = room.digests.min(room.bytes / COMMIT_DIGEST_BYTES);
        let links = page(&self.commits, range, from, range.last, most);
        room.digests -= links.len();
        room.bytes -= links.len() * COMMIT_DIGEST_BYTES;
        let digest = |link: Link| {
            let CommitBody { seq, keys_hash, .. } =
                CommitBody::from_bytes(&self.commits.read_body(&link));
            CommitDigest {
                seq,
                digest: link.digest,
                keys_hash,
            }
        };
        FetchedItem::CommitDigests(links.into_iter().map(digest).collect())
    }

    fn fetch_entries(
        &self,
        item: &FetchItem,
        record: &QueueRecord,
        last: u32,
        room: &mut Room,
    ) -> FetchedItem {
        let range = record.entries();
        let links = page(&self.posts, &range, item.from, last, FETCH_MAX_ENTRIES);
        let mut entries = Vec::new();
        for link in links {
            let header = link.header(&item.queue);
            // Of a commit the log of posts says only where it lies among the commits.
            let commit = (header[KIND_AT] == PostKind::Commit as u8).then(|| {
                let offset = u64::from_le_bytes(self.posts.read_body(&link));
                self.commits.at(offset)
            });
            if !room.take(link.envelope_bytes()) {
                break;
            }
            let (keys_hash, envelope) = match &commit {
                Some(commit) => self.commit_body(commit),
                None => (None, self.posts.body(&link, 0)),
            };
            entries.push(Entry {
                seq: link.number,
                accepted_at: link.digest.accepted_at,
                header,
                keys_hash,
                envelope: envelope.into(),
            });
        }
        FetchedItem::Entries(entries)
    }

    /// Commits by epoch, as far as the token's generation covers them.
    fn fetch_commits(
        &self,
        item: &FetchItem,
        range: &Range,
        end: Option<u32>,
        room: &mut Room,
    ) -> FetchedItem {
        let links = page(
            &self.commits,
            range,
            item.from,
            range.last,
            FETCH_MAX_ENTRIES,
        );
        let mut entries = Vec::new();
        for link in links {
            let seq = CommitBody::from_bytes(&self.commits.read_body(&link)).seq;
            if end.is_some_and(|end| seq > end) || !room.take(link.envelope_bytes()) {
                break;
            }
            let (keys_hash, envelope) = self.commit_body(&link);
            entries.push(Entry {
                seq,
                accepted_at: link.digest.accepted_at,
                header: link.header(&item.queue),
                keys_hash,
                envelope: envelope.into(),
            });
        }
        FetchedItem::Commits(entries)
    }

    fn commit_body(&self, commit: &Link) -> (Option<Hash>, Vec<u8>) {
        let start = CommitBody::from_bytes(&self.commits.read_body(commit));
        let envelope = self.commits.body(commit, start.envelope_at());
        (Some(start.keys_hash), envelope)
    }
}

/// Retained entries `from` to `last`, at most so many.
fn page<M: Memory>(
    entries: &Entries<M>,
    range: &Range,
    from: u32,
    last: u32,
    most: usize,
) -> Vec<Link> {
    let from = from.max(range.first);
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    let to = last
        .min(range.last)
        .min(from.saturating_add(most).saturating_sub(1));
    if most == 0 || from > to {
        return Vec::new();
    }
    entries.between(range, from, to)
}
