//! The post frame: 64 bytes before the envelope (`spec/protocol.md` §3.1).

use subtle::ConstantTimeEq;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::hash::{Hash, blake3, blake3_keyed, blake3_labelled, label};
use crate::ids::QueueId;
use crate::keys::MacKey;

/// Bytes of a post header: the frame without its tag.
pub const HEADER_BYTES: usize = 48;
/// Bytes of a MAC tag.
pub const TAG_BYTES: usize = 16;
/// Bytes of a frame, before the envelope.
pub const FRAME_BYTES: usize = HEADER_BYTES + TAG_BYTES;
/// Largest envelope in bytes: a whole call stays below the 2 MiB of an ingress message.
pub const ENVELOPE_MAX_BYTES: usize = 1_900_000;
/// How far ahead of certified time a `not_after` may lie, in seconds: what a user saw fail is not
/// injected later.
pub const NOT_AFTER_MAX_AHEAD_SECONDS: u32 = 600;
/// How many entries after `after_seq` the relay compares to find a repeat.
pub const REPEAT_WINDOW: u32 = 256;

/// What a post is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum PostKind {
    /// An application message of the group.
    Application = 1,
    /// A commit; enters by `submit_commit` only.
    Commit = 2,
    /// A SelfRemove proposal.
    Proposal = 3,
}

impl PostKind {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Application),
            2 => Some(Self::Commit),
            3 => Some(Self::Proposal),
            _ => None,
        }
    }
}

/// The frame without its tag, decoded. Its bytes are the AAD of the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostHeader {
    /// The queue it belongs to.
    pub queue: QueueId,
    /// Epoch in which the envelope was sealed.
    pub epoch: u32,
    /// Unix seconds after which the relay refuses it.
    pub not_after: u32,
    /// What it is.
    pub kind: PostKind,
    /// Newest entry that the sender had verified.
    pub after_seq: u32,
    /// Bytes of the envelope.
    pub length: u32,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than the frame, or than the envelope it announces.
    #[error("truncated post")]
    Truncated,
    /// A kind that version 1 does not know.
    #[error("unknown post kind {0}")]
    UnknownKind(u8),
    /// An envelope of zero bytes or beyond [`ENVELOPE_MAX_BYTES`].
    #[error("envelope of {0} bytes")]
    Length(u32),
    /// A commit with a tag: commits carry zeros, so that no header bit is free.
    #[error("a commit carries no MAC")]
    TagOnCommit,
}

impl PostHeader {
    /// The 48 bytes.
    ///
    /// # Panics
    /// Never: `length` is at most [`ENVELOPE_MAX_BYTES`], which fits 24 bits; a longer one is cut.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..32].copy_from_slice(&self.queue.0);
        bytes[32..36].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[36..40].copy_from_slice(&self.not_after.to_be_bytes());
        bytes[40] = self.kind as u8;
        bytes[41..45].copy_from_slice(&self.after_seq.to_be_bytes());
        bytes[45..48].copy_from_slice(&self.length.to_be_bytes()[1..]);
        bytes
    }

    /// Decodes 48 bytes.
    ///
    /// # Errors
    /// [`FrameError::UnknownKind`], [`FrameError::Length`].
    pub fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Result<Self, FrameError> {
        let kind = PostKind::from_byte(bytes[40]).ok_or(FrameError::UnknownKind(bytes[40]))?;
        let length = u32::from_be_bytes([0, bytes[45], bytes[46], bytes[47]]);
        if length == 0 || length as usize > ENVELOPE_MAX_BYTES {
            return Err(FrameError::Length(length));
        }
        let mut queue = [0; 32];
        queue.copy_from_slice(&bytes[..32]);
        Ok(Self {
            queue: QueueId(queue),
            epoch: be_u32(bytes, 32),
            not_after: be_u32(bytes, 36),
            kind,
            after_seq: be_u32(bytes, 41),
            length,
        })
    }
}

/// Checks what stands in front of an envelope.
///
/// # Errors
/// Any [`FrameError`] but [`FrameError::Truncated`].
pub fn check_frame(
    header: &[u8; HEADER_BYTES],
    tag: &[u8; TAG_BYTES],
) -> Result<PostHeader, FrameError> {
    let header = PostHeader::from_bytes(header)?;
    if header.kind == PostKind::Commit && tag != &[0; TAG_BYTES] {
        return Err(FrameError::TagOnCommit);
    }
    Ok(header)
}

fn be_u32(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// `H(post)`: what the MAC, both chains, the repeat check and the control signature cover.
#[must_use]
pub fn post_hash(header: &[u8; HEADER_BYTES], envelope: &[u8]) -> Hash {
    blake3_labelled(label::POST, &[header, &blake3(envelope)])
}

/// The MAC of a post under the MAC key of its epoch.
#[must_use]
pub fn post_tag(key: &MacKey, post_hash: &Hash) -> [u8; TAG_BYTES] {
    let mac = blake3_keyed(key.as_bytes(), label::POST_MAC, &[post_hash]);
    let mut tag = [0; TAG_BYTES];
    tag.copy_from_slice(&mac[..TAG_BYTES]);
    tag
}

/// Whether `tag` is the MAC of the post; takes the same time whatever differs.
#[must_use]
pub fn verify_post_tag(key: &MacKey, post_hash: &Hash, tag: &[u8; TAG_BYTES]) -> bool {
    post_tag(key, post_hash).ct_eq(tag).into()
}

/// A whole post, borrowed from the bytes it arrived in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostRef<'a> {
    /// The decoded header.
    pub header: PostHeader,
    /// The header's bytes.
    pub header_bytes: &'a [u8; HEADER_BYTES],
    /// The MAC; zeros in a commit.
    pub tag: &'a [u8; TAG_BYTES],
    /// The envelope.
    pub envelope: &'a [u8],
}

impl<'a> PostRef<'a> {
    /// Takes one post from the front of `bytes`; returns it and the rest.
    ///
    /// # Errors
    /// [`FrameError`]; nothing is known of the rest then.
    pub fn split_first(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), FrameError> {
        let (header_bytes, rest) = bytes
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(FrameError::Truncated)?;
        let (tag, rest) = rest
            .split_first_chunk::<TAG_BYTES>()
            .ok_or(FrameError::Truncated)?;
        let header = check_frame(header_bytes, tag)?;
        let (envelope, rest) = rest
            .split_at_checked(header.length as usize)
            .ok_or(FrameError::Truncated)?;
        Ok((
            Self {
                header,
                header_bytes,
                tag,
                envelope,
            },
            rest,
        ))
    }

    /// Decodes exactly one post.
    ///
    /// # Errors
    /// [`FrameError`]; bytes left over count as [`FrameError::Truncated`] of a second post.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FrameError> {
        match Self::split_first(bytes)? {
            (post, []) => Ok(post),
            _ => Err(FrameError::Truncated),
        }
    }

    /// `H(post)`.
    #[must_use]
    pub fn hash(&self) -> Hash {
        post_hash(self.header_bytes, self.envelope)
    }
}

/// Puts a frame together: header ‖ tag ‖ envelope. `key` is `None` for a commit.
#[must_use]
pub fn encode_post(header: &PostHeader, key: Option<&MacKey>, envelope: &[u8]) -> Vec<u8> {
    let header_bytes = header.to_bytes();
    let tag = key.map_or([0; TAG_BYTES], |key| {
        post_tag(key, &post_hash(&header_bytes, envelope))
    });
    let mut post = Vec::with_capacity(FRAME_BYTES + envelope.len());
    post.extend_from_slice(&header_bytes);
    post.extend_from_slice(&tag);
    post.extend_from_slice(envelope);
    post
}
