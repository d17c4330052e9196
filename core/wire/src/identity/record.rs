//! What a record holds and who signs it.

use ed25519_dalek::SigningKey;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::{CodecError, decode_bounded, encode};
use crate::hash::{Hash, label, sha256_labelled, sign, verify};
use crate::ids::{AccountId, CanisterId, DeviceId, InboxId};
use crate::relay::SignatureBytes;

/// Largest encoded record in bytes.
pub const RECORD_MAX_BYTES: usize = 2_048;
/// Most devices of an account.
pub const MAX_DEVICES: usize = 8;

/// A device of an account.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct DeviceEntry {
    /// Its id.
    pub device: DeviceId,
    /// Ed25519 key of its leaves in all groups.
    pub leaf_key: Hash,
    /// Relay canister of its inbox.
    pub shard: CanisterId,
    /// Its inbox and key-package pool.
    pub inbox: InboxId,
    /// SHA-256 of the inbox's X-Wing key.
    pub xwing_key_hash: Hash,
    /// When the signer says that it was added, in nanoseconds since 1970.
    pub added_at: u64,
}

/// What a record does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum RecordKind {
    /// Makes the account.
    #[tls_codec(discriminant = 1)]
    Create {
        /// Part of the account id.
        nonce: Hash,
    },
    /// Adds one device.
    #[tls_codec(discriminant = 2)]
    DeviceAdd,
    /// Changes keys, inbox or shard of one device.
    #[tls_codec(discriminant = 3)]
    DeviceRekey,
    /// Removes devices, with a fresh identity key: one that has never counted before.
    #[tls_codec(discriminant = 4)]
    DeviceRemove,
    /// A fresh identity key.
    #[tls_codec(discriminant = 5)]
    Rotate,
    /// Another recovery key.
    #[tls_codec(discriminant = 6)]
    RecoveryChange,
    /// By the recovery key: a fresh identity key and the devices that remain; counts after 72 h.
    #[tls_codec(discriminant = 7)]
    Recover,
    /// For 7 days, or until a Recover counts, nothing but Recover and RecoveryChange.
    #[tls_codec(discriminant = 8)]
    Freeze,
    /// Ends the account; counts after 72 h.
    #[tls_codec(discriminant = 9)]
    Delete,
}

/// Everything that is signed.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct RecordContent {
    /// 1.
    pub version: u16,
    /// Whose.
    pub account: AccountId,
    /// 0 for the create, then one more each.
    pub record_version: u32,
    /// Identity key after this record (of a Recover: once it counts).
    pub identity_key: Hash,
    /// Hash of the recovery key after this record.
    pub recovery_key_hash: Hash,
    /// Devices after this record, ascending by id.
    pub devices: Vec<DeviceEntry>,
    /// Hash of the record before; zeros for the create.
    pub previous: Hash,
    /// Version of the last record that changed identity key or recovery key, as it counted before
    /// this record.
    pub key_change_version: u32,
    /// Its hash; zeros for the create.
    pub key_change_hash: Hash,
    /// What it does.
    pub kind: RecordKind,
}

impl RecordKind {
    /// Whether the time of such a record decides what counts afterwards: a look-up shows its place
    /// in the log, and that of the record which follows it.
    #[must_use]
    pub const fn counts_by_time(&self) -> bool {
        matches!(self, Self::Recover | Self::Freeze | Self::Delete)
    }
}

/// Which key signs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, TlsSize, TlsSerialize, TlsDeserializeBytes,
)]
#[repr(u8)]
pub enum Role {
    /// The identity key that counts before the record.
    Identity = 1,
    /// The identity key that the record names.
    NewIdentity = 2,
    /// The recovery key that counts before the record (of a create: that it names).
    Recovery = 3,
}

/// One signature over a record's content.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Authorisation {
    /// Which key.
    pub role: Role,
    /// The key; reveals a recovery key whose hash is known.
    pub key: Hash,
    /// Sign(key, "paigham/1 record signature", content).
    pub signature: SignatureBytes,
}

/// A record: content and signatures, ascending by role, each once.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct IdentityRecord {
    /// What is signed.
    pub content: RecordContent,
    /// By whom.
    pub authorisation: Vec<Authorisation>,
}

/// Whether the signatures of a record are still to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signatures {
    /// Nobody has looked at them.
    Unverified,
    /// They were checked when the record was taken in, and it has lain in one's own store since.
    Verified,
}

impl IdentityRecord {
    /// Signs a content with keys in their roles.
    #[must_use]
    pub fn sign(content: RecordContent, keys: &[(Role, &SigningKey)]) -> Self {
        let bytes = encode(&content);
        let mut authorisation: Vec<_> = keys
            .iter()
            .map(|(role, key)| Authorisation {
                role: *role,
                key: key.verifying_key().to_bytes(),
                signature: sign(key, label::RECORD_SIGNATURE, &[&bytes]),
            })
            .collect();
        authorisation.sort_by_key(|signature| signature.role);
        Self {
            content,
            authorisation,
        }
    }

    /// Decodes a record of at most [`RECORD_MAX_BYTES`].
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        decode_bounded(bytes, RECORD_MAX_BYTES)
    }

    /// S("paigham/1 record"; encoded record).
    #[must_use]
    pub fn hash(&self) -> Hash {
        sha256_labelled(label::RECORD, &[&encode(self)])
    }

    /// The key that signed in a role, if its signature holds.
    pub(super) fn signer(&self, role: Role, signatures: Signatures) -> Option<&Hash> {
        let found = self
            .authorisation
            .iter()
            .find(|signature| signature.role == role)?;
        if signatures == Signatures::Verified {
            return Some(&found.key);
        }
        let content = encode(&self.content);
        verify(
            &found.key,
            &found.signature,
            label::RECORD_SIGNATURE,
            &[&content],
        )
        .then_some(&found.key)
    }

    pub(super) fn roles_ascend(&self) -> bool {
        self.authorisation
            .windows(2)
            .all(|pair| pair[0].role < pair[1].role)
    }
}

/// S("paigham/1 recovery key"; recovery public key).
#[must_use]
pub fn recovery_key_hash(recovery_key: &Hash) -> Hash {
    sha256_labelled(label::RECOVERY_KEY, &[recovery_key])
}
