//! What a handle's record holds and who signs it.

use ed25519_dalek::SigningKey;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use super::name::Handle;
use crate::codec::{CodecError, decode_bounded, encode};
use crate::hash::{Hash, label, sha256_labelled, sign, verify};
use crate::ids::AccountId;
use crate::relay::SignatureBytes;

/// Largest encoded record in bytes.
pub const HANDLE_RECORD_MAX_BYTES: usize = 256;

/// What a record does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum HandleKind {
    /// Takes the handle, spells it anew, or voids a release that does not count yet.
    Claim = 1,
    /// Gives it up; counts after 72 h.
    Release = 2,
}

/// Everything that is signed.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct HandleContent {
    /// 1.
    pub version: u16,
    /// As it is shown; its skeleton is the label.
    pub handle: Handle,
    /// Whose.
    pub account: AccountId,
    /// 0 for the first of the label, then one more each, whoever holds it.
    pub record_version: u32,
    /// Hash of the label's record before; zeros for the first.
    pub previous: Hash,
    /// Version of the account's record that made the identity key which signs: the key change that
    /// counts (`spec/identity.md` §5).
    pub key_change_version: u32,
    /// Its hash.
    pub key_change_hash: Hash,
    /// What it does.
    pub kind: HandleKind,
}

/// A record: content and the signature of the account's identity key.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct HandleRecord {
    /// What is signed.
    pub content: HandleContent,
    /// Sign(identity key, "paigham/1 handle record signature", content).
    pub signature: SignatureBytes,
}

impl HandleRecord {
    /// Signs a content with the account's identity key.
    #[must_use]
    pub fn sign(content: HandleContent, identity_key: &SigningKey) -> Self {
        let signature = sign(
            identity_key,
            label::HANDLE_RECORD_SIGNATURE,
            &[&encode(&content)],
        );
        Self { content, signature }
    }

    /// Decodes a record of at most [`HANDLE_RECORD_MAX_BYTES`].
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        decode_bounded(bytes, HANDLE_RECORD_MAX_BYTES)
    }

    /// S("paigham/1 handle record"; encoded record).
    #[must_use]
    pub fn hash(&self) -> Hash {
        sha256_labelled(label::HANDLE_RECORD, &[&encode(self)])
    }

    /// Whether an identity key signed it.
    #[must_use]
    pub fn is_signed_by(&self, identity_key: &Hash) -> bool {
        verify(
            identity_key,
            &self.signature,
            label::HANDLE_RECORD_SIGNATURE,
            &[&encode(&self.content)],
        )
    }
}
