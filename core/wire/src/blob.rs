//! Blobs: attachments and other large ciphertext, stored in chunks (`spec/protocol.md` §6.5).
//!
//! A blob is named by the hash of its **manifest**, its size and the hash of each chunk. So every
//! chunk is verified where it arrives, on the relay and on the reader's device, in any order; an
//! upload that was interrupted goes on with the chunks that are missing; and no certificate is
//! needed to read.

use tls_codec::{DeserializeBytes, TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use crate::codec::encode;
use crate::frame::TAG_BYTES;
use crate::hash::{Hash, blake3, blake3_labelled, label};
use crate::ids::{BlobId, CanisterId, QueueId};
use crate::keys::MacKey;
use crate::relay::Credential;
use crate::ticket::{Paid, Purpose};

/// Bytes of each chunk but the last: with its frame it fits an ingress message of 2 MiB and a query
/// reply.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Most chunks of a blob: 100 MiB.
pub const BLOB_MAX_CHUNKS: usize = 100;
/// Most chunks of a blob that a ticket pays for.
pub const TICKET_BLOB_MAX_CHUNKS: usize = 8;
/// Longest lifetime of a blob in seconds: 30 days.
pub const BLOB_MAX_SECONDS: u32 = 30 * 24 * 3_600;

/// Size of a blob and the hash of each chunk.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize)]
pub struct BlobManifest {
    size: u64,
    chunks: Vec<Hash>,
}

impl BlobManifest {
    /// The manifest of some bytes; `None` if there are none, or more than [`BLOB_MAX_CHUNKS`]
    /// hold.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let size = u64::try_from(bytes.len()).ok()?;
        Self::checked(size, bytes.chunks(CHUNK_BYTES).map(blake3).collect())
    }

    fn checked(size: u64, chunks: Vec<Hash>) -> Option<Self> {
        let wanted = size.div_ceil(CHUNK_BYTES as u64);
        let fits = chunks.len() as u64 == wanted && (1..=BLOB_MAX_CHUNKS).contains(&chunks.len());
        fits.then_some(Self { size, chunks })
    }

    /// Bytes of the blob.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// BLAKE3 of each chunk.
    #[must_use]
    pub fn chunks(&self) -> &[Hash] {
        &self.chunks
    }

    /// H("paigham/1 blob"; manifest).
    #[must_use]
    pub fn id(&self) -> BlobId {
        BlobId(blake3_labelled(label::BLOB, &[&encode(self)]))
    }

    /// Bytes of a chunk: all are whole but the last.
    #[must_use]
    pub fn chunk_bytes(&self, index: u16) -> usize {
        if usize::from(index) + 1 < self.chunks.len() {
            CHUNK_BYTES
        } else {
            // 1 to CHUNK_BYTES: a manifest of nothing does not exist.
            usize::try_from((self.size - 1) % CHUNK_BYTES as u64 + 1).unwrap_or(CHUNK_BYTES)
        }
    }

    /// Whether these are the bytes of a chunk.
    #[must_use]
    pub fn verify_chunk(&self, index: u16, bytes: &[u8]) -> bool {
        bytes.len() == self.chunk_bytes(index)
            && self.chunks.get(usize::from(index)) == Some(&blake3(bytes))
    }
}

impl DeserializeBytes for BlobManifest {
    fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(Self, &[u8]), tls_codec::Error> {
        let (size, rest) = u64::tls_deserialize_bytes(bytes)?;
        let (chunks, rest) = Vec::<Hash>::tls_deserialize_bytes(rest)?;
        let manifest = Self::checked(size, chunks).ok_or_else(|| {
            tls_codec::Error::DecodingError("the chunks do not make up the size".into())
        })?;
        Ok((manifest, rest))
    }
}

/// `create_blob`: announces a blob; its chunks follow.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct CreateBlob {
    /// What will come.
    pub manifest: BlobManifest,
    /// Unix seconds until which it is kept, at most [`BLOB_MAX_SECONDS`] ahead.
    pub expires_at: u32,
    /// A member's MAC ([`BlobMac`]) or a ticket.
    pub credential: Credential,
}

impl Paid for CreateBlob {
    const PURPOSE: Purpose = Purpose::CreateBlob;

    fn credential_mut(&mut self) -> &mut Credential {
        &mut self.credential
    }
}

/// The data of a credential of type [`crate::relay::credential::MEMBER`]: a member of a queue
/// stores a blob at the cost of the queue.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct BlobMac {
    /// Whose quota it counts against.
    pub queue: QueueId,
    /// Its current epoch.
    pub epoch: u32,
    /// [`BlobMac::tag`].
    pub tag: [u8; TAG_BYTES],
}

impl BlobMac {
    /// First 16 bytes of keyed BLAKE3 under the epoch's MAC key over H("paigham/1 blob mac";
    /// canister ‖ queue 32 ‖ epoch u32 ‖ blob id 32 ‖ expires_at u32).
    #[must_use]
    pub fn tag(
        key: &MacKey,
        canister: &CanisterId,
        queue: &QueueId,
        epoch: u32,
        blob: &BlobId,
        expires_at: u32,
    ) -> [u8; TAG_BYTES] {
        let covered = blake3_labelled(
            label::BLOB_MAC,
            &[
                &canister.hash_part(),
                &queue.0,
                &epoch.to_be_bytes(),
                &blob.0,
                &expires_at.to_be_bytes(),
            ],
        );
        let mac = blake3::keyed_hash(key.as_bytes(), &covered);
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&mac.as_bytes()[..TAG_BYTES]);
        tag
    }

    /// Whether a member of the epoch announced exactly this.
    #[must_use]
    pub fn verify(
        &self,
        key: &MacKey,
        canister: &CanisterId,
        blob: &BlobId,
        expires_at: u32,
    ) -> bool {
        let tag = Self::tag(key, canister, &self.queue, self.epoch, blob, expires_at);
        subtle::ConstantTimeEq::ct_eq(&tag[..], &self.tag[..]).into()
    }
}

/// `put_chunk`: one chunk of an announced blob. Its hash is its leave.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct PutChunk {
    /// Of which blob.
    pub blob: BlobId,
    /// Number of the chunk, from 0 on.
    pub index: u16,
    /// The chunk.
    pub bytes: VLBytes,
}

/// Reply of `create_blob` and `put_chunk`.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct BlobState {
    /// Unix seconds until which it is kept.
    pub expires_at: u32,
    /// Chunks that are still missing, ascending.
    pub missing: Vec<u16>,
}

/// `blob`: what there is of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct BlobRequest {
    /// The capability.
    pub blob: BlobId,
}

/// Reply of `blob`.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct BlobReply {
    /// Its hash is the blob's id.
    pub manifest: BlobManifest,
    /// What there is.
    pub state: BlobState,
}

/// `chunk`: reads one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ChunkRequest {
    /// The capability.
    pub blob: BlobId,
    /// Number of the chunk, from 0 on.
    pub index: u16,
}

/// Reply of `chunk`.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ChunkReply {
    /// The manifest has its hash.
    pub bytes: VLBytes,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::decode;

    /// A reader accepts each chunk of a blob in its place, and nothing else there.
    #[test]
    fn chunks_are_verified_one_by_one() {
        let bytes: Vec<u8> = (0..=255).cycle().take(2 * CHUNK_BYTES + 5).collect();
        let manifest = BlobManifest::of(&bytes).unwrap();
        let chunks: Vec<_> = bytes.chunks(CHUNK_BYTES).collect();
        assert!(manifest.verify_chunk(0, chunks[0]));
        assert!(manifest.verify_chunk(2, chunks[2]));
        assert!(!manifest.verify_chunk(0, &chunks[0][1..]));
        assert!(!manifest.verify_chunk(0, chunks[2]));
        assert!(!manifest.verify_chunk(2, &chunks[2][..4]));
        assert!(!manifest.verify_chunk(3, &[]));
        assert!(!manifest.verify_chunk(u16::MAX, &[]));
    }

    /// A last chunk that is full is a whole one; nothing is no blob, and too much is none either.
    #[test]
    fn sizes_have_bounds() {
        let full = vec![1; CHUNK_BYTES];
        let manifest = BlobManifest::of(&full).unwrap();
        assert!(manifest.verify_chunk(0, &full));
        assert_eq!(BlobManifest::of(&[]), None);
        let most = vec![[0; 32]; BLOB_MAX_CHUNKS];
        let bytes = (BLOB_MAX_CHUNKS * CHUNK_BYTES) as u64;
        assert!(BlobManifest::checked(bytes, most.clone()).is_some());
        assert!(BlobManifest::checked(bytes + 1, [&most[..], &[[0; 32]]].concat()).is_none());
    }

    /// A manifest whose chunks do not make up its size does not decode.
    #[test]
    fn manifests_that_contradict_themselves_are_refused() {
        for (size, chunks) in [(0, 0), (0, 1), (1, 2), (CHUNK_BYTES as u64 + 1, 1)] {
            let odd = BlobManifest {
                size,
                chunks: vec![[1; 32]; chunks],
            };
            assert!(decode::<BlobManifest>(&encode(&odd)).is_err());
        }
    }

    /// A MAC counts for one canister, queue, epoch, blob and expiry.
    #[test]
    fn a_mac_is_bound_to_everything() {
        let canister = CanisterId::new(&[1]).unwrap();
        let (key, blob) = (MacKey::new([2; 32]), BlobId([3; 32]));
        let queue = QueueId([4; 32]);
        let tag = BlobMac::tag(&key, &canister, &queue, 5, &blob, 6);
        let epoch = 5;
        let mac = BlobMac { queue, epoch, tag };
        assert!(mac.verify(&key, &canister, &blob, 6));
        assert!(!mac.verify(&MacKey::new([9; 32]), &canister, &blob, 6));
        assert!(!mac.verify(&key, &CanisterId::new(&[9]).unwrap(), &blob, 6));
        assert!(!mac.verify(&key, &canister, &BlobId([9; 32]), 6));
        assert!(!mac.verify(&key, &canister, &blob, 7));
        let later = BlobMac { epoch: 6, ..mac };
        assert!(!later.verify(&key, &canister, &blob, 6));
    }
}
