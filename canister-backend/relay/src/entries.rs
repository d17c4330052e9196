//! Entries of many owners in one log, each owner's linked from the newest back.
//!
//! An owner's entries carry consecutive numbers from 1 on. Each is linked to the one before, and to
//! the one whose number is its own with the lowest set bit cleared; so any number is reached in a
//! few dozen steps from the newest, whose offset the owner's record keeps, and nothing has to be
//! indexed.
//!
//! ```text
//! offset  bytes  entry
//! 0       1      flags: 1 the owner's first in its bucket, so that its id follows
//! 1       3      bytes of the body
//! 4       4      number
//! 8       5      distance back to the entry before; 0 = none retained when this was written
//! 13      5      distance back to the jump target; 0 likewise
//! 18      8      accepted_at, ns
//! 26      32     H(post)
//! 58      16     bytes 32 to 47 of the post header (the others are the queue id)
//! 74      0/32   owner
//! …              body
//! ```
//! Numbers are little-endian.

use std::collections::BTreeMap;

use ic_stable_structures::Memory;
use paigham_wire::chain::EntryDigest;
use paigham_wire::frame::HEADER_BYTES;
use paigham_wire::hash::Hash;
use paigham_wire::ids::QueueId;

use crate::log::{LogError, SegmentLog};

const LINK_BYTES: usize = 74;
const OWNER_FOLLOWS: u8 = 1;
/// Steps that lead from an entry to its owner's first in the bucket, at most: twice the bits of a
/// number, squared.
const OWNER_MAX_STEPS: usize = 1_024;
/// Bytes of a post header behind the queue id.
const HEADER_REST: usize = HEADER_BYTES - 32;
/// Bits of an offset that are kept: far more than can be live at once.
const OFFSET_MASK: u64 = (1 << 40) - 1;

/// Where an owner's entries are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    /// Number of the first retained entry.
    pub first: u32,
    /// Number of the newest entry; `first - 1` if none is retained.
    pub last: u32,
    /// Offset of the newest entry, in 40 bits; meaningless if none is retained.
    pub newest: u64,
}

/// An entry without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub number: u32,
    pub digest: EntryDigest,
    header_rest: [u8; HEADER_REST],
    offset: u64,
    previous: u64,
    jump: u64,
    owned: bool,
    body: u32,
}

impl Link {
    /// The post header of an entry of `queue`.
    pub(crate) fn header(&self, queue: &QueueId) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..32].copy_from_slice(&queue.0);
        header[32..].copy_from_slice(&self.header_rest);
        header
    }

    /// Bytes of the envelope, as the post header says.
    pub(crate) const fn envelope_bytes(&self) -> usize {
        let [.., high, middle, low] = self.header_rest;
        u32::from_be_bytes([0, high, middle, low]) as usize
    }

    /// Bytes of the body.
    pub(crate) const fn body_bytes(&self) -> usize {
        self.body as usize
    }

    const fn body_at(&self) -> u64 {
        let owner = if self.owned { 32 } else { 0 };
        self.offset + LINK_BYTES as u64 + owner
    }

    /// Where it begins.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Offset behind the entry.
    pub(crate) const fn end(&self) -> u64 {
        self.body_at() + self.body as u64
    }
}

/// Entries of many owners.
#[derive(Debug)]
pub(crate) struct Entries<M> {
    pub(crate) log: SegmentLog<M>,
    #[cfg(test)]
    links_read: std::cell::Cell<u64>,
}

impl<M: Memory> Entries<M> {
    /// Opens them in `memory`; see [`SegmentLog::open`].
    ///
    /// # Errors
    /// Any [`LogError`].
    pub(crate) fn open(memory: M, span: u64) -> Result<Self, LogError> {
        Ok(Self {
            log: SegmentLog::open(memory, span)?,
            #[cfg(test)]
            links_read: std::cell::Cell::default(),
        })
    }

    /// How many entries have been looked at.
    #[cfg(test)]
    pub(crate) fn links_read(&self) -> u64 {
        self.links_read.get()
    }

    /// Stores the owner's next entry and tells its offset in 40 bits.
    ///
    /// # Errors
    /// [`LogError::Full`].
    pub(crate) fn append(
        &mut self,
        owner: &Hash,
        range: &Range,
        digest: &EntryDigest,
        header: &[u8; HEADER_BYTES],
        body: &[&[u8]],
        now: u64,
    ) -> Result<u64, LogError> {
        self.log.turn_bucket(now);
        let offset = self.log.tail();
        let number = range.last + 1;
        let retained = range.first <= range.last;
        let previous = if retained {
            self.whole(range.newest)
        } else {
            0
        };
        let target = jump_target(number);
        let jump = match target {
            _ if !retained || target < range.first => 0,
            _ if target == range.last => previous,
            _ => self.find(range, target).map_or(0, |link| link.offset),
        };
        let owned = !retained || previous < self.log.bucket_start();
        let bytes: usize = body.iter().map(|part| part.len()).sum();
        // Bodies are bounded by the size of a message, far below 24 bits.
        let bytes = u32::try_from(bytes).map_err(|_| LogError::Full)?;
        let mut link = [0; LINK_BYTES + 32];
        link[0] = u8::from(owned) * OWNER_FOLLOWS;
        link[1..4].copy_from_slice(&bytes.to_le_bytes()[..3]);
        link[4..8].copy_from_slice(&number.to_le_bytes());
        link[8..13].copy_from_slice(&back(offset, previous).to_le_bytes()[..5]);
        link[13..18].copy_from_slice(&back(offset, jump).to_le_bytes()[..5]);
        link[18..26].copy_from_slice(&digest.accepted_at.to_le_bytes());
        link[26..58].copy_from_slice(&digest.post_hash);
        link[58..LINK_BYTES].copy_from_slice(&header[32..]);
        link[LINK_BYTES..].copy_from_slice(owner);
        let link = if owned {
            &link[..]
        } else {
            &link[..LINK_BYTES]
        };
        match *body {
            [one] => self.log.append(now, &[link, one])?,
            [one, two] => self.log.append(now, &[link, one, two])?,
            _ => self.log.append(now, &[link, &body.concat()])?,
        };
        Ok(offset & OFFSET_MASK)
    }

    /// The newest entry, if one is retained.
    pub(crate) fn newest(&self, range: &Range) -> Option<Link> {
        (range.first <= range.last).then(|| self.link(self.whole(range.newest)))
    }

    /// The newest entry, taken off the range.
    pub(crate) fn take_newest(&self, range: &mut Range) -> Option<Link> {
        let link = self.newest(range)?;
        range.last -= 1;
        range.newest = link.previous & OFFSET_MASK;
        Some(link)
    }

    /// The entry before one of the same range.
    pub(crate) fn before(&self, range: &Range, link: &Link) -> Option<Link> {
        let retained = link.number > range.first && link.previous != 0;
        retained.then(|| self.link(link.previous))
    }

    /// The entry of a number.
    pub(crate) fn find(&self, range: &Range, number: u32) -> Option<Link> {
        if number < range.first {
            return None;
        }
        let mut at = self.newest(range)?;
        while at.number > number {
            let jumps = at.jump != 0 && jump_target(at.number) >= number;
            let back = if jumps { at.jump } else { at.previous };
            if back == 0 {
                return None;
            }
            at = self.link(back);
        }
        (at.number == number).then_some(at)
    }

    /// The newest entry that lies before `offset`.
    pub(crate) fn newest_before(&self, range: &Range, offset: u64) -> Option<Link> {
        let mut at = self.newest(range)?;
        while at.offset >= offset {
            // What lies before the first retained entry may have been given away.
            if at.number <= range.first {
                return None;
            }
            let back = if at.jump >= offset && jump_target(at.number) >= range.first {
                at.jump
            } else {
                at.previous
            };
            if back == 0 {
                return None;
            }
            at = self.link(back);
        }
        Some(at)
    }

    /// Entries `from` to `to`, oldest first; they must be retained.
    pub(crate) fn between(&self, range: &Range, from: u32, to: u32) -> Vec<Link> {
        let mut links = Vec::new();
        let mut at = self.find(range, to);
        while let Some(link) = at.filter(|link| link.number >= from) {
            at = self.before(range, &link);
            links.push(link);
        }
        links.reverse();
        links
    }

    /// The body of an entry, from its byte `from` on.
    pub(crate) fn body(&self, link: &Link, from: usize) -> Vec<u8> {
        self.part(link, from, link.body_bytes().saturating_sub(from))
    }

    /// Some bytes of a body, as far as it has them.
    pub(crate) fn part(&self, link: &Link, from: usize, length: usize) -> Vec<u8> {
        let there = link.body_bytes().saturating_sub(from).min(length);
        let mut part = vec![0; there];
        self.log.read(link.body_at() + from as u64, &mut part);
        part
    }

    /// Fills `into` from the start of a body.
    pub(crate) fn read_body<const N: usize>(&self, link: &Link) -> [u8; N] {
        let mut start = [0; N];
        let there = N.min(link.body_bytes());
        self.log.read(link.body_at(), &mut start[..there]);
        start
    }

    /// The entry at an offset that was stored in 40 bits.
    pub(crate) fn at(&self, offset: u64) -> Link {
        self.link(self.whole(offset))
    }

    /// The entry that begins at an offset, with its owner if it names one.
    pub(crate) fn scan(&self, offset: u64) -> (Link, Option<Hash>) {
        let link = self.link(offset);
        let owner = link.owned.then(|| {
            let mut owner = [0; 32];
            self.log.read(offset + LINK_BYTES as u64, &mut owner);
            owner
        });
        (link, owner)
    }

    /// Whose entry it is: the first of the owner in the same bucket says so. `known` has owners of
    /// other entries, by offset. `None` where the bucket is damaged.
    pub(crate) fn owner(&self, link: &Link, known: &BTreeMap<u64, Hash>) -> Option<Hash> {
        let start = self.log.bucket_of(link.offset)?.start;
        let mut at = link.clone();
        // Each jump clears a bit of the number, and so many single steps lie between two jumps.
        for _ in 0..OWNER_MAX_STEPS {
            let back = if at.jump >= start {
                at.jump
            } else {
                at.previous
            };
            if back < start {
                return None;
            }
            if let Some(owner) = known.get(&back) {
                return Some(*owner);
            }
            let (before, owner) = self.scan(back);
            if owner.is_some() {
                return owner;
            }
            at = before;
        }
        None
    }

    fn link(&self, offset: u64) -> Link {
        let mut bytes = [0; LINK_BYTES];
        self.log.read(offset, &mut bytes);
        #[cfg(test)]
        self.links_read.set(self.links_read.get() + 1);
        let mut post_hash = [0; 32];
        post_hash.copy_from_slice(&bytes[26..58]);
        let mut header_rest = [0; HEADER_REST];
        header_rest.copy_from_slice(&bytes[58..]);
        let accepted_at = little(&bytes[18..26]);
        Link {
            number: u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
            digest: EntryDigest {
                accepted_at,
                post_hash,
            },
            header_rest,
            offset,
            previous: target(offset, little(&bytes[8..13])),
            jump: target(offset, little(&bytes[13..18])),
            owned: bytes[0] & OWNER_FOLLOWS != 0,
            body: u32::from_le_bytes([bytes[1], bytes[2], bytes[3], 0]),
        }
    }

    /// The whole offset of which 40 bits are known: the newest one below the tail.
    const fn whole(&self, offset: u64) -> u64 {
        let tail = self.log.tail();
        tail.wrapping_sub(tail.wrapping_sub(offset) & OFFSET_MASK)
    }
}

/// The number that an entry's jump leads to; 0 = none.
const fn jump_target(number: u32) -> u32 {
    number & number.wrapping_sub(1)
}

/// Distance from an entry back to another; no entry lies at 0, which stands for none.
const fn back(from: u64, to: u64) -> u64 {
    if to == 0 { 0 } else { from.saturating_sub(to) }
}

/// Where a distance leads: always further back.
const fn target(from: u64, back: u64) -> u64 {
    if back == 0 {
        0
    } else {
        from.saturating_sub(back)
    }
}

fn little(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}
