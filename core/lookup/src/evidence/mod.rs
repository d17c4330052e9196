//! What was shown, kept so that anybody can check it again: the evidence file (`spec/evidence.md`).
//!
//! A file holds raw bytes only: the network file, and what the log showed, each piece with what it
//! takes to check it. [`Evidence::check`] believes none of it and says what it proves, and what it
//! does not.

mod check;
mod files;
mod piece;

pub use check::{Checked, Limit, Proved, RECENT_HEADS, Report};

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use paigham_wire::codec::{CodecError, decode, encode};
use paigham_wire::hash::Hash;
use paigham_wire::ids::AccountId;
use paigham_wire::log::{LabelAnswer, Monitor};
use paigham_wire::network::NETWORK_MAX_BYTES;

use crate::finding::Finding;

/// What a file begins with.
pub const EVIDENCE_MAGIC: &[u8; 5] = b"PGEV1";
/// Largest file in bytes: a few replies of the largest size.
pub const EVIDENCE_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most pieces in a file.
pub const EVIDENCE_MAX_ITEMS: usize = 8;

/// An evidence file.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Evidence {
    /// What whoever wrote it says is wrong.
    pub finding: Finding,
    /// The network file that it was judged under, as it was read.
    pub network: VLBytes,
    /// What was shown, in the order in which it was.
    pub items: Vec<Item>,
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum Item {
    /// A head.
    #[tls_codec(discriminant = 1)]
    Head(ShownHead),
    /// An answer about an account.
    #[tls_codec(discriminant = 2)]
    Account(ShownAnswer),
    /// An answer about the newest distinguished heads, to a request without a known head: the
    /// draft's `DistinguishedResponse`.
    #[tls_codec(discriminant = 3)]
    Distinguished(VLBytes),
    /// An answer about a handle or a network, to somebody who knew nothing.
    #[tls_codec(discriminant = 4)]
    Label(ShownLabel),
    /// A published network file.
    #[tls_codec(discriminant = 5)]
    Network(VLBytes),
    /// An answer to somebody who watched a label.
    #[tls_codec(discriminant = 6)]
    Watched(ShownWatch),
    /// What a member of a conversation said that it was shown.
    #[tls_codec(discriminant = 7)]
    Said(SaidRoot),
}

/// A head with the signature over it.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ShownHead {
    /// The encoded view of it (`spec/transparency.md` §10).
    pub view: VLBytes,
    /// The directory's signature.
    pub signature: VLBytes,
}

/// An answer about an account, with what the asker knew before.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ShownAnswer {
    /// The head that the request named.
    pub before: Option<ShownHead>,
    /// The account's history that the asker had, encoded; empty for none.
    pub known: VLBytes,
    /// Whose.
    pub account: AccountId,
    /// The answer.
    pub answer: LabelAnswer,
    /// The head beside it, as the reply had it.
    pub head: VLBytes,
}

/// An answer about a handle or a network, asked for from version 0 on and without a head.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ShownLabel {
    /// The label.
    pub label: VLBytes,
    /// The answer.
    pub answer: LabelAnswer,
    /// The head beside it, as the reply had it.
    pub head: VLBytes,
}

/// What a client archives of its network file: that the log showed it, however long ago.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Archived {
    /// The published network file.
    pub network: VLBytes,
    /// What the log showed under the network's label.
    pub shown: ShownLabel,
}

/// An answer to one who watched a label, with what it knew.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ShownWatch {
    /// The head that the request named.
    pub before: ShownHead,
    /// The request.
    pub request: Monitor,
    /// What the asker kept of the label (`spec/transparency.md` §10): a contact map, or an owner's
    /// state; empty where the request needs none.
    pub state: VLBytes,
    /// The answer.
    pub answer: VLBytes,
    /// The head beside it, as the reply had it.
    pub head: VLBytes,
}

/// A root of the log, as somebody said that it was shown to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SaidRoot {
    /// Who said so.
    pub account: AccountId,
    /// The entry.
    pub position: u64,
    /// Root of the log with this entry as its newest.
    pub root: Hash,
}

impl Evidence {
    /// The file's bytes: magic, then the structure.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&EVIDENCE_MAGIC[..], &encode(self)].concat()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`CodecError::TooLong`] beyond [`EVIDENCE_MAX_BYTES`]; [`CodecError::Malformed`] for all else
    /// that is none, also beyond [`EVIDENCE_MAX_ITEMS`] or with a network file beyond its own limit.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.len() > EVIDENCE_MAX_BYTES {
            return Err(CodecError::TooLong {
                limit: EVIDENCE_MAX_BYTES,
            });
        }
        let body = bytes
            .strip_prefix(&EVIDENCE_MAGIC[..])
            .ok_or(CodecError::Malformed)?;
        let evidence: Self = decode(body)?;
        let fits = (1..=EVIDENCE_MAX_ITEMS).contains(&evidence.items.len())
            && evidence.network.as_slice().len() <= NETWORK_MAX_BYTES;
        fits.then_some(evidence).ok_or(CodecError::Malformed)
    }
}
