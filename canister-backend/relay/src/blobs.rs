//! Blobs: announced by a member of a queue or with a ticket, filled chunk by chunk, gone at their
//! time.
//!
//! Chunks lie in three logs, by how long their blob is kept: a day, a week, thirty days. A bucket
//! of a log goes as a whole when the last blob that may have a chunk in it has expired. What is
//! known of a blob lies in a table, whose expired rows go in bounded steps.

use ic_stable_structures::memory_manager::VirtualMemory;
use ic_stable_structures::{Memory, StableBTreeMap};
use paigham_wire::blob::{
    BLOB_MAX_SECONDS, BlobMac, BlobManifest, BlobReply, BlobRequest, BlobState, ChunkReply,
    ChunkRequest, CreateBlob, PutChunk, TICKET_BLOB_MAX_CHUNKS,
};
use paigham_wire::codec::decode;
use paigham_wire::ids::{BlobId, QueueId};
use paigham_wire::relay::{RelayError, credential};
use paigham_wire::ticket::desk::Receipt;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::limits::{BLOB_SPAN_NS, BLOBS_MAX_BYTES, EXPIRY_STEP_BLOBS};
use crate::log::{LogError, SegmentLog};
use crate::relay::{Relay, Table, get, put};

const NS_PER_SECOND: u64 = 1_000_000_000;
const DAY_SECONDS: u32 = 24 * 3_600;
/// Longest lifetimes of the blobs whose chunks lie in one log.
const LIFETIMES: [u32; 3] = [DAY_SECONDS, 7 * DAY_SECONDS, BLOB_MAX_SECONDS];

/// A blob.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct BlobRecord {
    manifest: BlobManifest,
    /// Unix seconds.
    expires_at: u32,
    /// Which log has its chunks.
    log: u8,
    /// Offset of each chunk; 0 while it is missing.
    offsets: Vec<u64>,
}

/// What the members of a queue have announced in a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct BlobQuota {
    day: u32,
    bytes: u64,
}

/// All blobs of a relay.
pub(crate) struct Blobs<M: Memory> {
    records: Table<32, M>,
    /// expires_at ‖ blob id
    expiries: StableBTreeMap<[u8; 36], (), VirtualMemory<M>>,
    quotas: Table<32, M>,
    logs: [SegmentLog<VirtualMemory<M>>; 3],
}

impl<M: Memory> Blobs<M> {
    /// Opens them in the memories of records, expiries, quotas and logs.
    ///
    /// # Errors
    /// [`LogError`].
    pub(crate) fn open(
        [records, expiries, quotas, day, week, month]: [VirtualMemory<M>; 6],
    ) -> Result<Self, LogError> {
        Ok(Self {
            records: StableBTreeMap::init(records),
            expiries: StableBTreeMap::init(expiries),
            quotas: StableBTreeMap::init(quotas),
            logs: [
                SegmentLog::open(day, BLOB_SPAN_NS)?,
                SegmentLog::open(week, BLOB_SPAN_NS)?,
                SegmentLog::open(month, BLOB_SPAN_NS)?,
            ],
        })
    }

    /// Ends an update.
    pub(crate) fn flush(&mut self) {
        for log in &mut self.logs {
            log.flush();
        }
    }

    fn bytes_in_use(&self) -> u64 {
        self.logs.iter().map(SegmentLog::bytes_in_use).sum()
    }

    fn find(&self, blob: &BlobId, now: u64) -> Result<BlobRecord, RelayError> {
        get(&self.records, &blob.0)
            .filter(|record: &BlobRecord| u64::from(record.expires_at) > now / NS_PER_SECOND)
            .ok_or(RelayError::NoSuchBlob)
    }

    /// One bounded step of expiry; true if more is due.
    fn expire(&mut self, now: u64) -> bool {
        let seconds = now / NS_PER_SECOND;
        for _ in 0..EXPIRY_STEP_BLOBS {
            let Some((key, ())) = self.expiries.first_key_value() else {
                break;
            };
            let ([e0, e1, e2, e3], blob) = parts(&key);
            if u64::from(u32::from_be_bytes([e0, e1, e2, e3])) > seconds {
                break;
            }
            self.expiries.remove(&key);
            self.records.remove(&blob);
        }
        let over = |log: &SegmentLog<VirtualMemory<M>>, lifetime: u32| {
            let kept = u64::from(lifetime) * NS_PER_SECOND;
            log.oldest_closed()
                .is_some_and(|bucket| bucket.opened_at + BLOB_SPAN_NS + kept <= now)
        };
        for (log, lifetime) in self.logs.iter_mut().zip(LIFETIMES) {
            let kept = u64::from(lifetime) * NS_PER_SECOND;
            let idle = |opened_at: u64| opened_at + BLOB_SPAN_NS + kept <= now;
            if log.newest_at().is_some_and(idle) {
                // Where nothing is written any more the newest bucket has its time as well.
                log.turn_bucket(now);
            }
            if over(log, lifetime) {
                log.drop_oldest();
            }
        }
        let first = self.expiries.first_key_value();
        let row_due = first.is_some_and(|(key, ())| {
            let (expires_at, _) = parts(&key);
            u64::from(u32::from_be_bytes(expires_at)) <= seconds
        });
        let bucket_due = self
            .logs
            .iter()
            .zip(LIFETIMES)
            .any(|(log, lifetime)| over(log, lifetime));
        row_due || bucket_due
    }
}

/// expires_at ‖ blob id
fn parts(key: &[u8; 36]) -> ([u8; 4], [u8; 32]) {
    let (mut expires_at, mut blob) = ([0; 4], [0; 32]);
    expires_at.copy_from_slice(&key[..4]);
    blob.copy_from_slice(&key[4..]);
    (expires_at, blob)
}

impl BlobRecord {
    fn state(&self) -> BlobState {
        let missing = (0..)
            .zip(&self.offsets)
            .filter(|(_, offset)| **offset == 0)
            .map(|(index, _)| index)
            .collect();
        BlobState {
            expires_at: self.expires_at,
            missing,
        }
    }
}

/// At whose cost a blob is stored.
enum Payer {
    Queue(QueueId),
    Ticket(Receipt),
}

impl<M: Memory> Relay<M> {
    /// Announces a blob; one that is there already is told as it is.
    pub(crate) fn create_blob(
        &mut self,
        request: &[u8],
        now: u64,
    ) -> Result<BlobState, RelayError> {
        let request: CreateBlob = decode(request).map_err(|_| RelayError::Malformed)?;
        let seconds = now / NS_PER_SECOND;
        let lifetime = u64::from(request.expires_at).saturating_sub(seconds);
        let log = LIFETIMES
            .iter()
            .position(|most| lifetime <= u64::from(*most))
            .filter(|_| lifetime > 0)
            .ok_or(RelayError::NotAfter)?;
        let blob = request.manifest.id();
        if let Ok(record) = self.blobs.find(&blob, now) {
            return Ok(record.state());
        }
        let payer = self.check_payer(&request, &blob, now)?;
        let size = request.manifest.size();
        if self.blobs.bytes_in_use() + size > BLOBS_MAX_BYTES {
            return Err(RelayError::Full);
        }
        match payer {
            Payer::Queue(queue) => self.charge_blob(&queue, size, seconds)?,
            Payer::Ticket(receipt) => self.spend_new(&receipt, now),
        }
        let record = BlobRecord {
            offsets: vec![0; request.manifest.chunks().len()],
            manifest: request.manifest,
            expires_at: request.expires_at,
            // One of three.
            log: u8::try_from(log).unwrap_or(0),
        };
        let blobs = &mut self.blobs;
        put(&mut blobs.records, blob.0, &record);
        blobs.expiries.insert(expiry(&record, &blob), ());
        Ok(record.state())
    }

    fn check_payer(
        &self,
        request: &CreateBlob,
        blob: &BlobId,
        now: u64,
    ) -> Result<Payer, RelayError> {
        let offered = &request.credential;
        if offered.credential_type == credential::MEMBER {
            let mac: BlobMac =
                decode(offered.data.as_slice()).map_err(|_| RelayError::Credential)?;
            let record = self.queue(&mac.queue).ok_or(RelayError::Credential)?;
            let keys = record.keys.as_ref().ok_or(RelayError::Credential)?;
            let current = mac.epoch == record.leaf.epoch;
            let holds = mac.verify(&keys.mac_key, &self.canister, blob, request.expires_at);
            return if current && holds {
                Ok(Payer::Queue(mac.queue))
            } else {
                Err(RelayError::Credential)
            };
        }
        let receipt = self.check_new(request, offered, now)?;
        if request.manifest.chunks().len() > TICKET_BLOB_MAX_CHUNKS {
            return Err(RelayError::TooLarge);
        }
        Ok(Payer::Ticket(receipt))
    }

    /// Counts what a queue's members announce in a day of the calendar.
    fn charge_blob(&mut self, queue: &QueueId, size: u64, seconds: u64) -> Result<(), RelayError> {
        let day = u32::try_from(seconds / u64::from(DAY_SECONDS)).unwrap_or(u32::MAX);
        let quotas = &mut self.blobs.quotas;
        let mut quota = get(quotas, &queue.0)
            .filter(|quota: &BlobQuota| quota.day == day)
            .unwrap_or(BlobQuota { day, bytes: 0 });
        quota.bytes = quota.bytes.saturating_add(size);
        if quota.bytes > self.administration.settings().quotas.blob_bytes {
            return Err(RelayError::OverQuota);
        }
        put(quotas, queue.0, &quota);
        Ok(())
    }

    /// Stores a chunk; one that is there already changes nothing.
    pub(crate) fn put_chunk(&mut self, request: &[u8], now: u64) -> Result<BlobState, RelayError> {
        let PutChunk { blob, index, bytes } = decode(request).map_err(|_| RelayError::Malformed)?;
        let blobs = &mut self.blobs;
        let mut record = blobs.find(&blob, now)?;
        if !record.manifest.verify_chunk(index, bytes.as_slice()) {
            return Err(RelayError::Credential);
        }
        let log = &mut blobs.logs[usize::from(record.log) % LIFETIMES.len()];
        // The manifest has a chunk of this number.
        if let Some(offset) = record.offsets.get_mut(usize::from(index))
            && *offset == 0
        {
            *offset = log
                .append(now, &[bytes.as_slice()])
                .map_err(|_| RelayError::Full)?;
            put(&mut blobs.records, blob.0, &record);
        }
        Ok(record.state())
    }

    /// What there is of a blob.
    pub(crate) fn blob(&self, request: &[u8], now: u64) -> Result<BlobReply, RelayError> {
        let request: BlobRequest = decode(request).map_err(|_| RelayError::Malformed)?;
        let record = self.blobs.find(&request.blob, now)?;
        Ok(BlobReply {
            state: record.state(),
            manifest: record.manifest,
        })
    }

    /// One chunk.
    pub(crate) fn chunk(&self, request: &[u8], now: u64) -> Result<ChunkReply, RelayError> {
        let request: ChunkRequest = decode(request).map_err(|_| RelayError::Malformed)?;
        let record = self.blobs.find(&request.blob, now)?;
        let index = usize::from(request.index);
        let offset = record
            .offsets
            .get(index)
            .filter(|offset| **offset != 0)
            .ok_or(RelayError::NoSuchBlob)?;
        let mut bytes = vec![0; record.manifest.chunk_bytes(request.index)];
        let log = &self.blobs.logs[usize::from(record.log) % LIFETIMES.len()];
        log.read(*offset, &mut bytes);
        Ok(ChunkReply {
            bytes: bytes.into(),
        })
    }

    /// Blobs known, and bytes of the segments that their chunks take.
    #[cfg(test)]
    pub(crate) fn blobs_in_use(&self) -> (u64, u64) {
        (self.blobs.records.len(), self.blobs.bytes_in_use())
    }

    /// One bounded step of the expiry of blobs; true if more is due.
    pub fn expire_blobs(&mut self, now: u64) -> bool {
        self.blobs.expire(now)
    }
}

fn expiry(record: &BlobRecord, blob: &BlobId) -> [u8; 36] {
    let mut key = [0; 36];
    key[..4].copy_from_slice(&record.expires_at.to_be_bytes());
    key[4..].copy_from_slice(&blob.0);
    key
}
