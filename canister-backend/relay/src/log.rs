//! An append-only log in stable memory whose oldest part can be dropped whole.
//!
//! Bytes are addressed by their **offset** in everything ever appended, so an offset stays right
//! whatever is dropped. The log is cut into **buckets** by time; a bucket is what is dropped at
//! once. Storage is handed out in **segments** of 1 MiB; a dropped bucket gives its segments back.
//! An append may run over the end of a segment, never over the end of a bucket.
//!
//! ```text
//! offset in memory      bytes          what
//! 0                     4096           header
//!   0                   4              "PLOG"
//!   4                   1              layout version, 1
//!   5                   1              1 while the oldest bucket is going
//!   8                   8              tail: offset of the next append
//!   16                  8              oldest bucket retained, counted from the first ever
//!   24                  8              buckets opened ever
//!   32                  4              segments that storage has been made for
//!   36                  4              of these, free
//! 4096                  4096 · 32      buckets, at their number modulo 4096:
//!   0                   8              offset of their first byte, a multiple of the segment size
//!   8                   8              offset behind their last byte (0 while they grow)
//!   16                  8              time they were opened, ns
//!   24                  8              zero
//! 135168                524288 · 4     place of a segment, at its number modulo 524288
//! 2232320               524288 · 4     places of free segments, a stack
//! 4390912               n · 1 MiB      segments at their places
//! ```
//! Numbers are little-endian. Opening reads the header. What has been appended counts once
//! [`SegmentLog::flush`] has written the header: every update ends with it, and a trap undoes both.

use std::cell::Cell;

use ic_stable_structures::Memory;

/// Bytes of a segment.
pub(crate) const SEGMENT_BYTES: u64 = 1 << 20;
/// Segments that can be live at once: 512 GiB, more than the stable memory of a canister.
const SEGMENTS_MAX: u64 = 1 << 19;
/// Buckets that can be live at once: far more than the longest retention has.
const BUCKETS_MAX: u64 = 4_096;

const MAGIC: &[u8; 4] = b"PLOG";
const LAYOUT: u8 = 1;
const HEADER_BYTES: usize = 40;
const BUCKETS_AT: u64 = 4_096;
const BUCKET_BYTES: usize = 32;
const PLACES_AT: u64 = BUCKETS_AT + BUCKETS_MAX * BUCKET_BYTES as u64;
const FREE_AT: u64 = PLACES_AT + SEGMENTS_MAX * 4;
const DATA_AT: u64 = (FREE_AT + SEGMENTS_MAX * 4).next_multiple_of(64 * 1024);
const WASM_PAGE: u64 = 64 * 1024;

/// Why a memory holds no log, or a log takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogError {
    /// The memory holds something else.
    Foreign,
    /// A layout that this version does not know.
    Layout(u8),
    /// The header contradicts itself or its memory.
    Corrupt,
    /// No storage left.
    Full,
}

/// Entries of one span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// Offset of its first byte.
    pub start: u64,
    /// Offset behind its last byte.
    pub end: u64,
    /// When it was opened, in nanoseconds since 1970: no entry in it is older.
    pub opened_at: u64,
}

/// The log.
#[derive(Debug)]
pub(crate) struct SegmentLog<M> {
    memory: M,
    /// Nanoseconds that one bucket takes in.
    span: u64,
    tail: u64,
    first_bucket: u64,
    next_bucket: u64,
    segments: u32,
    free: u32,
    /// The newest bucket; meaningless while there is none.
    current: Bucket,
    /// Whether entries of the oldest bucket have been forgotten.
    going: bool,
    /// Whether the header in memory is older than this.
    changed: bool,
    /// The segment looked up last and its place.
    last_place: Cell<(u64, u32)>,
}

impl<M: Memory> SegmentLog<M> {
    /// Opens the log in `memory`, or makes an empty one in an empty memory. A bucket takes in `span`
    /// nanoseconds: how finely old entries go.
    ///
    /// # Errors
    /// Any [`LogError`].
    pub(crate) fn open(memory: M, span: u64) -> Result<Self, LogError> {
        let mut log = Self {
            memory,
            span,
            // Nothing lies at 0, so that it can stand for no offset.
            tail: SEGMENT_BYTES,
            first_bucket: 0,
            next_bucket: 0,
            segments: 0,
            free: 0,
            current: Bucket {
                start: 0,
                end: 0,
                opened_at: 0,
            },
            going: false,
            changed: true,
            last_place: Cell::new((u64::MAX, 0)),
        };
        if log.memory.size() == 0 {
            log.grow_to(DATA_AT)?;
            log.flush();
            return Ok(log);
        }
        let mut header = [0; HEADER_BYTES];
        log.memory.read(0, &mut header);
        if &header[..4] != MAGIC {
            return Err(LogError::Foreign);
        }
        if header[4] != LAYOUT {
            return Err(LogError::Layout(header[4]));
        }
        log.going = header[5] != 0;
        log.tail = le_u64(&header, 8);
        log.first_bucket = le_u64(&header, 16);
        log.next_bucket = le_u64(&header, 24);
        log.segments = le_u32(&header, 32);
        log.free = le_u32(&header, 36);
        log.changed = false;
        log.check()?;
        if log.next_bucket > log.first_bucket {
            log.current = log.bucket(log.next_bucket - 1);
            if log.current.start > log.tail {
                return Err(LogError::Corrupt);
            }
        }
        Ok(log)
    }

    /// Whether what the header says can be true of this memory: nothing read later lies outside.
    fn check(&self) -> Result<(), LogError> {
        let buckets = self.next_bucket.checked_sub(self.first_bucket);
        let end = DATA_AT.checked_add(u64::from(self.segments) * SEGMENT_BYTES);
        let fits = buckets.is_some_and(|buckets| buckets <= BUCKETS_MAX)
            && u64::from(self.segments) <= SEGMENTS_MAX
            && self.free <= self.segments
            && self.memory.size() * WASM_PAGE >= DATA_AT
            && end.is_some_and(|end| end <= self.memory.size() * WASM_PAGE);
        fits.then_some(()).ok_or(LogError::Corrupt)
    }

    /// Writes the header, if it changed. Every update ends with it.
    pub(crate) fn flush(&mut self) {
        if !self.changed {
            return;
        }
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(MAGIC);
        header[4] = LAYOUT;
        header[5] = u8::from(self.going);
        header[8..16].copy_from_slice(&self.tail.to_le_bytes());
        header[16..24].copy_from_slice(&self.first_bucket.to_le_bytes());
        header[24..32].copy_from_slice(&self.next_bucket.to_le_bytes());
        header[32..36].copy_from_slice(&self.segments.to_le_bytes());
        header[36..40].copy_from_slice(&self.free.to_le_bytes());
        self.memory.write(0, &header);
        self.changed = false;
    }

    /// Appends the parts one behind the other and tells where the first begins.
    ///
    /// # Errors
    /// [`LogError::Full`]; the log is as before, but for a bucket that may have been opened.
    pub(crate) fn append(&mut self, now: u64, parts: &[&[u8]]) -> Result<u64, LogError> {
        self.turn_bucket(now);
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let start = self.tail;
        self.provide(start + length as u64)?;
        let mut at = start;
        for part in parts {
            self.write(at, part);
            at += part.len() as u64;
        }
        self.tail = at;
        self.changed = true;
        Ok(start)
    }

    /// Where the newest bucket begins: what lies before belongs to an older one. Call it after
    /// [`SegmentLog::turn_bucket`] to know of the next append.
    pub(crate) const fn bucket_start(&self) -> u64 {
        self.current.start
    }

    /// The retained bucket that an offset lies in.
    pub(crate) fn bucket_of(&self, offset: u64) -> Option<Bucket> {
        // The last that starts at or before it, by halving.
        let (mut low, mut high) = (self.first_bucket, self.next_bucket);
        while low < high {
            let middle = low.midpoint(high);
            if self.bucket(middle).start <= offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let found = low.checked_sub(1).filter(|n| *n >= self.first_bucket)?;
        let bucket = self.bucket(found);
        let end = if found + 1 == self.next_bucket {
            self.tail
        } else {
            bucket.end
        };
        (offset < end).then_some(Bucket { end, ..bucket })
    }

    /// Where the first entry at or behind an offset begins, for one that begins or ends an entry:
    /// between buckets nothing lies. `None` if there is none.
    pub(crate) fn entry_from(&self, offset: u64) -> Option<u64> {
        if self.bucket_of(offset).is_some() {
            return Some(offset);
        }
        (self.first_bucket..self.next_bucket)
            .map(|number| self.bucket(number).start)
            .find(|start| *start >= offset && *start < self.tail)
    }

    /// Opens a new bucket if the newest one has had its time.
    pub(crate) fn turn_bucket(&mut self, now: u64) {
        let live = self.next_bucket - self.first_bucket;
        let due = live == 0 || now >= self.current.opened_at.saturating_add(self.span);
        // A clock that jumps far cannot use up the table: the newest bucket then takes in more.
        if !due || live == BUCKETS_MAX {
            return;
        }
        if live > 0 {
            let closed = Bucket {
                end: self.tail,
                ..self.current
            };
            self.put_bucket(self.next_bucket - 1, &closed);
        }
        self.tail = self.tail.next_multiple_of(SEGMENT_BYTES);
        self.current = Bucket {
            start: self.tail,
            end: 0,
            opened_at: now,
        };
        self.put_bucket(self.next_bucket, &self.current);
        self.next_bucket += 1;
        self.changed = true;
    }

    /// Fills `into` from `offset`, which must be of something appended and not dropped.
    pub(crate) fn read(&self, mut offset: u64, mut into: &mut [u8]) {
        while !into.is_empty() {
            let (at, room) = self.place(offset);
            let (now, rest) = into.split_at_mut(room.min(into.len()));
            self.memory.read(at, now);
            offset += now.len() as u64;
            into = rest;
        }
    }

    fn write(&self, mut offset: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (at, room) = self.place(offset);
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.memory.write(at, now);
            offset += now.len() as u64;
            bytes = rest;
        }
    }

    /// Where an offset lies, and how many bytes its segment has from there on.
    fn place(&self, offset: u64) -> (u64, usize) {
        let segment = offset / SEGMENT_BYTES;
        // A number is given to a segment once, so what was looked up stays true.
        let (known, mut place) = self.last_place.get();
        if known != segment {
            place = self.word(PLACES_AT + segment % SEGMENTS_MAX * 4);
            self.last_place.set((segment, place));
        }
        let inside = offset % SEGMENT_BYTES;
        // A damaged table cannot lead out of the segments that there are.
        let place = u64::from(place.min(self.segments.saturating_sub(1)));
        let room = usize::try_from(SEGMENT_BYTES - inside).unwrap_or(usize::MAX);
        (DATA_AT + place * SEGMENT_BYTES + inside, room)
    }

    /// Provides segments for all offsets below `end`; those below the tail have theirs.
    fn provide(&mut self, end: u64) -> Result<(), LogError> {
        let next = self.tail.div_ceil(SEGMENT_BYTES);
        let wanted = end.div_ceil(SEGMENT_BYTES);
        if wanted <= next {
            return Ok(());
        }
        let oldest = self.bucket(self.first_bucket).start / SEGMENT_BYTES;
        if wanted - oldest.min(next) > SEGMENTS_MAX {
            return Err(LogError::Full);
        }
        // All or nothing: a segment that was handed out and not used would be lost.
        let fresh = (wanted - next).saturating_sub(self.free.into());
        self.grow_to(DATA_AT + (u64::from(self.segments) + fresh) * SEGMENT_BYTES)?;
        for segment in next..wanted {
            let place = if self.free > 0 {
                self.free -= 1;
                self.word(FREE_AT + u64::from(self.free) * 4)
            } else {
                self.segments += 1;
                self.segments - 1
            };
            self.put_word(PLACES_AT + segment % SEGMENTS_MAX * 4, place);
        }
        Ok(())
    }

    fn grow_to(&self, bytes: u64) -> Result<(), LogError> {
        let wanted = bytes.div_ceil(WASM_PAGE);
        let there = self.memory.size();
        if wanted > there && self.memory.grow(wanted - there) < 0 {
            return Err(LogError::Full);
        }
        Ok(())
    }

    /// The oldest bucket, if it is not the newest as well: the newest is still written to.
    pub(crate) fn oldest_closed(&self) -> Option<Bucket> {
        (self.next_bucket - self.first_bucket > 1).then(|| self.bucket(self.first_bucket))
    }

    /// When the newest bucket was opened; `None` if there is none.
    pub(crate) fn newest_at(&self) -> Option<u64> {
        (self.next_bucket > self.first_bucket).then_some(self.current.opened_at)
    }

    /// Says that entries of the oldest closed bucket are forgotten from now on.
    pub(crate) fn begin_drop(&mut self) {
        self.going = true;
        self.changed = true;
    }

    /// From when on all entries are there; 0 while nothing has gone.
    pub(crate) fn kept_since(&self) -> u64 {
        match self.next_bucket - self.first_bucket {
            2.. if self.going => self.bucket(self.first_bucket + 1).opened_at,
            1.. if self.first_bucket > 0 => self.bucket(self.first_bucket).opened_at,
            _ => 0,
        }
    }

    /// Gives back the storage of the oldest closed bucket.
    pub(crate) fn drop_oldest(&mut self) {
        let Some(bucket) = self.oldest_closed() else {
            return;
        };
        let segments = bucket.start / SEGMENT_BYTES..bucket.end.div_ceil(SEGMENT_BYTES);
        for segment in segments {
            let place = self.word(PLACES_AT + segment % SEGMENTS_MAX * 4);
            self.put_word(FREE_AT + u64::from(self.free) * 4, place);
            self.free += 1;
        }
        self.first_bucket += 1;
        self.going = false;
        self.changed = true;
    }

    /// Offset of the next append.
    pub(crate) const fn tail(&self) -> u64 {
        self.tail
    }

    /// Bytes of the segments in use.
    pub(crate) const fn bytes_in_use(&self) -> u64 {
        (self.segments - self.free) as u64 * SEGMENT_BYTES
    }

    fn bucket(&self, number: u64) -> Bucket {
        let mut bytes = [0; BUCKET_BYTES];
        let at = BUCKETS_AT + number % BUCKETS_MAX * BUCKET_BYTES as u64;
        self.memory.read(at, &mut bytes);
        Bucket {
            start: le_u64(&bytes, 0),
            end: le_u64(&bytes, 8),
            opened_at: le_u64(&bytes, 16),
        }
    }

    fn put_bucket(&self, number: u64, bucket: &Bucket) {
        let mut bytes = [0; BUCKET_BYTES];
        bytes[..8].copy_from_slice(&bucket.start.to_le_bytes());
        bytes[8..16].copy_from_slice(&bucket.end.to_le_bytes());
        bytes[16..24].copy_from_slice(&bucket.opened_at.to_le_bytes());
        let at = BUCKETS_AT + number % BUCKETS_MAX * BUCKET_BYTES as u64;
        self.memory.write(at, &bytes);
    }

    fn word(&self, at: u64) -> u32 {
        let mut bytes = [0; 4];
        self.memory.read(at, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn put_word(&self, at: u64, word: u32) {
        self.memory.write(at, &word.to_le_bytes());
    }
}

fn le_u64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn le_u32(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}
