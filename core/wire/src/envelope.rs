//! What lies inside an envelope, and what a joiner gets (`spec/protocol.md` §4, §5).
//!
//! Sealing and opening is the group engine's; here are the structures and their hash inputs.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use crate::codec::{CodecError, decode, encode};
use crate::hash::{Hash, blake3_labelled, label, labelled};
use crate::ids::{AccountId, CanisterId, DeviceId, InboxId, QueueId, WelcomeId};
use crate::keys::{ReadToken, WrapperKey};
use crate::log::FoundLabel;
use crate::relay::{Capability, InboxOperation};

/// Bytes of an XChaCha20-Poly1305 nonce, at the start of every envelope.
pub const NONCE_BYTES: usize = 24;
/// Version of every structure here.
pub const VERSION: u8 = 1;
/// Context and length of every exported secret: the queue id, 32 bytes.
pub const EXPORT_BYTES: usize = 32;
/// MLS extension type of [`GroupPolicy`] in the GroupContext.
pub const GROUP_POLICY_EXTENSION: u16 = 0xF0A1;
/// Longest group name in bytes of UTF-8.
pub const GROUP_NAME_MAX_BYTES: usize = 256;

/// Labels of the MLS exporter (§4.1).
pub mod exporter {
    /// Key of the epoch's envelopes.
    pub const ENVELOPE: &str = "paigham/1 envelope";
    /// Seed of the epoch's control key.
    pub const CONTROL: &str = "paigham/1 control";
    /// MAC key of the epoch.
    pub const MAC: &str = "paigham/1 mac";
    /// Read token, from the first epoch of a generation.
    pub const READ_TOKEN: &str = "paigham/1 read token";
}

/// The plaintext of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct EnvelopePlaintext {
    /// [`VERSION`].
    pub version: u8,
    /// An `MLSMessage` (RFC 9420 §6).
    pub mls_message: VLBytes,
    /// What a commit proves of the leaves it adds and removes.
    pub proofs: Vec<Proof>,
    /// Ascending types, each once.
    pub extensions: Vec<Extension>,
}

impl EnvelopePlaintext {
    /// H("paigham/1 proofs"; proofs ‖ extensions), which `authenticated_data` repeats.
    #[must_use]
    pub fn proofs_hash(&self) -> Hash {
        proofs_hash(&self.proofs, &self.extensions)
    }

    /// Whether version and extensions are as §4.2 wants them.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        self.version == VERSION
            && self
                .extensions
                .windows(2)
                .all(|pair| pair[0].extension_type < pair[1].extension_type)
    }

    /// The data of an extension, if it is there.
    #[must_use]
    pub fn extension(&self, extension_type: u16) -> Option<&[u8]> {
        let found = self
            .extensions
            .iter()
            .find(|known| known.extension_type == extension_type)?;
        Some(found.data.as_slice())
    }
}

/// H("paigham/1 proofs"; proofs ‖ extensions).
#[must_use]
pub fn proofs_hash(proofs: &Vec<Proof>, extensions: &Vec<Extension>) -> Hash {
    blake3_labelled(label::PROOFS, &[&encode(proofs), &encode(extensions)])
}

/// A proof by type; types are listed in §4.4.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Proof {
    /// Its type.
    pub proof_type: u16,
    /// Its bytes.
    pub data: VLBytes,
}

/// Type of [`LogProof`]. Type 1 is retired: it stood for a map that the directory had before the log.
pub const PROOF_LOG: u16 = 2;

/// Proof type 2: an account as the transparency log shows it to somebody who has never asked
/// before. It stands alone: its search holds the newest head with the signature over it.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct LogProof {
    /// Whose.
    pub account: AccountId,
    /// The answer to a look-up of the account alone, without a known head, from version 0 on.
    pub answer: FoundLabel,
}

/// An extension of an envelope or a Welcome wrapper; unknown types are ignored.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Extension {
    /// Its type.
    pub extension_type: u16,
    /// Its bytes.
    pub data: VLBytes,
}

/// Extension types of an envelope.
pub mod extension {
    /// [`super::Welcomes`].
    pub const WELCOMES: u16 = 1;
    /// [`super::Gossip`].
    pub const GOSSIP: u16 = 2;
    /// [`super::SelfRemoves`].
    pub const SELF_REMOVES: u16 = 3;
    /// [`super::InboxCapability`].
    pub const CAPABILITY: u16 = 4;
    /// [`crate::reset::ReAdds`].
    pub const RE_ADDS: u16 = 5;
}

/// Extension types of a Welcome wrapper.
pub mod wrapper_extension {
    /// [`crate::reset::ResetClaim`].
    pub const RESET: u16 = 1;
    /// [`crate::reset::ReAddLog`].
    pub const RE_ADD_LOG: u16 = 2;
}

/// Which Welcomes a commit left, so that any member can send a pointer again.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Welcomes {
    /// One for each joining device.
    pub joiners: Vec<WelcomeRef>,
    /// Opens wrapper and tree.
    pub wrapper_key: WrapperKey,
}

/// The Welcome of one joiner.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct WelcomeRef {
    /// Who joins.
    pub account: AccountId,
    /// With which device.
    pub device: DeviceId,
    /// Where its Welcome is.
    pub welcome_id: WelcomeId,
}

/// What the sender has seen of the queue, and of the transparency log.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Gossip {
    /// Entry.
    pub seq: u32,
    /// Head there.
    pub head: Hash,
    /// H("paigham/1 epoch authenticator"; …) of the epoch there.
    pub epoch_authenticator_hash: Hash,
    /// The newest distinguished entries of the log, ascending, at most [`GOSSIP_MAX_ROOTS`].
    pub roots: Vec<LogRoot>,
}

/// Most distinguished entries of one [`Gossip`].
pub const GOSSIP_MAX_ROOTS: usize = 2;

/// The transparency log as it was at a distinguished entry (`spec/transparency.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct LogRoot {
    /// The entry.
    pub position: u64,
    /// Root of the log with this entry as its newest.
    pub root: Hash,
}

impl Gossip {
    /// Whether its roots ascend and are not too many.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let ascend = |pair: &[LogRoot]| matches!(pair, [a, b] if a.position < b.position);
        self.roots.len() <= GOSSIP_MAX_ROOTS && self.roots.windows(2).all(ascend)
    }
}

/// SelfRemove messages that a commit refers to, each a `PublicMessage` as posted.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SelfRemoves {
    /// `MLSMessage`s.
    pub messages: Vec<VLBytes>,
}

/// Leave to deposit in the inbox of the device that sends it, and to claim its key packages.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct InboxCapability {
    /// The relay canister of the inbox.
    pub canister: CanisterId,
    /// The inbox key, from which the inbox id follows.
    pub inbox_key: Hash,
    /// What the relay takes.
    pub capability: Capability,
}

impl InboxCapability {
    /// The inbox.
    #[must_use]
    pub fn inbox(&self) -> InboxId {
        InboxId::derive(&self.inbox_key)
    }

    /// Whether the inbox key signed it, for this canister.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        let operation = InboxOperation::Capability {
            not_after: self.capability.not_after,
        };
        let signature = &self.capability.signature;
        operation.verify(&self.inbox_key, signature, &self.canister, &self.inbox())
    }
}

/// The `authenticated_data` of every message of a group (§4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct AuthenticatedData {
    /// The group's queue.
    pub queue: QueueId,
    /// `not_after` of the header.
    pub not_after: u32,
    /// [`EnvelopePlaintext::proofs_hash`].
    pub proofs_hash: Hash,
}

/// The identity inside the basic credential of every leaf (§4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Credential {
    /// 1.
    pub version: u16,
    /// Whose leaf it is.
    pub account: AccountId,
    /// Which device.
    pub device: DeviceId,
    /// Version of the account's record in which the device was last seen.
    pub record_version: u32,
}

impl Credential {
    /// The credential of a device as seen in a record version.
    #[must_use]
    pub const fn new(account: AccountId, device: DeviceId, record_version: u32) -> Self {
        Self {
            version: 1,
            account,
            device,
            record_version,
        }
    }

    /// Decodes the identity of a leaf's basic credential.
    ///
    /// # Errors
    /// [`CodecError::Malformed`], also for another version.
    pub fn from_identity(identity: &[u8]) -> Result<Self, CodecError> {
        let credential: Self = decode(identity)?;
        (credential.version == 1)
            .then_some(credential)
            .ok_or(CodecError::Malformed)
    }
}

/// What kind of conversation a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum GroupForm {
    /// A chat of two accounts, both admins.
    Direct = 1,
    /// A group.
    Group = 2,
}

/// Rules of a group, in its GroupContext (§4.6).
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct GroupPolicy {
    /// 1.
    pub version: u16,
    /// UTF-8, at most [`GROUP_NAME_MAX_BYTES`]; empty in a direct chat.
    pub name: VLBytes,
    /// Direct or group.
    pub form: GroupForm,
    /// Ascending, not empty.
    pub admins: Vec<AccountId>,
    /// Number of the network file that proofs are judged under.
    pub network_sequence: u64,
}

impl GroupPolicy {
    /// Whether version, name, and admins are as §4.6 wants them.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let admins_ascend = self.admins.windows(2).all(|pair| pair[0] < pair[1]);
        let admins_fit = match self.form {
            GroupForm::Direct => self.admins.len() == 2 && self.name.as_slice().is_empty(),
            GroupForm::Group => !self.admins.is_empty(),
        };
        self.version == 1
            && self.name.as_slice().len() <= GROUP_NAME_MAX_BYTES
            && std::str::from_utf8(self.name.as_slice()).is_ok()
            && admins_ascend
            && admins_fit
    }

    /// Whether the account may add, remove others and change the policy.
    #[must_use]
    pub fn is_admin(&self, account: &AccountId) -> bool {
        self.admins.binary_search(account).is_ok()
    }
}

/// What a joiner reads under its welcome id, sealed under the wrapper key (§5.1).
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct WelcomeWrapper {
    /// [`VERSION`].
    pub version: u8,
    /// `MLSMessage` with a Welcome.
    pub mls_welcome: VLBytes,
    /// BLAKE3 of the sealed tree.
    pub tree_hash: Hash,
    /// Token of the generation that the new epoch belongs to.
    pub read_token: ReadToken,
    /// That generation.
    pub generation: u32,
    /// Newest entry that the committer had verified.
    pub base_seq: u32,
    /// Head there.
    pub base_head: Hash,
    /// Commit head there.
    pub base_commit_head: Hash,
    /// Ascending types, each once.
    pub extensions: Vec<Extension>,
}

impl WelcomeWrapper {
    /// The data of an extension, if it is there.
    #[must_use]
    pub fn extension(&self, extension_type: u16) -> Option<&[u8]> {
        let found = self
            .extensions
            .iter()
            .find(|known| known.extension_type == extension_type)?;
        Some(found.data.as_slice())
    }
}

/// What a joiner finds in its inbox, sealed to its X-Wing key (§5.2).
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct WelcomePointer {
    /// [`VERSION`].
    pub version: u8,
    /// The relay canister of the queue.
    pub canister: CanisterId,
    /// The queue.
    pub queue: QueueId,
    /// Where its Welcome is.
    pub welcome_id: WelcomeId,
    /// Opens wrapper and tree.
    pub wrapper_key: WrapperKey,
}

/// What a deposit of a pointer holds.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct PointerContent {
    /// Where the Welcome is.
    pub pointer: WelcomePointer,
    /// What the owner of the inbox gave to who sends it. Without one it is a stranger's.
    pub capability: Option<Capability>,
}

/// A [`PointerContent`] under HPKE, as it lies in an inbox.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SealedPointer {
    /// HPKE `enc`.
    pub kem_output: VLBytes,
    /// HPKE ciphertext.
    pub ciphertext: VLBytes,
}

/// AAD of a sealed Welcome wrapper or tree: u8 length ‖ label ‖ queue id. `purpose` is
/// [`label::WELCOME`] or [`label::TREE`].
#[must_use]
pub fn welcome_aad(purpose: &str, queue: &QueueId) -> Vec<u8> {
    labelled(purpose, &[&queue.0])
}

/// HPKE info of a pointer: u8 length ‖ label ‖ inbox id.
#[must_use]
pub fn pointer_info(inbox: &InboxId) -> Vec<u8> {
    labelled(label::POINTER, &[&inbox.0])
}

/// H("paigham/1 epoch authenticator"; …), as gossip carries it.
#[must_use]
pub fn epoch_authenticator_hash(epoch_authenticator: &[u8]) -> Hash {
    blake3_labelled(label::EPOCH_AUTHENTICATOR, &[epoch_authenticator])
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    fn given(not_after: u32) -> InboxCapability {
        let key = SigningKey::from_bytes(&[3; 32]);
        let canister = CanisterId::new(&[7; 10]).unwrap();
        let inbox_key = key.verifying_key().to_bytes();
        let operation = InboxOperation::Capability { not_after };
        let signature = operation.sign(&key, &canister, &InboxId::derive(&inbox_key));
        InboxCapability {
            canister,
            inbox_key,
            capability: Capability {
                not_after,
                signature,
            },
        }
    }

    /// A capability is its inbox key's word for one relay and one time.
    #[test]
    fn a_capability_counts_as_it_was_given_only() {
        assert!(given(9).is_signed());
        let mut longer = given(9);
        longer.capability.not_after += 1;
        let mut elsewhere = given(9);
        elsewhere.canister = CanisterId::new(&[8; 10]).unwrap();
        let mut of_another = given(9);
        of_another.inbox_key = SigningKey::from_bytes(&[4; 32]).verifying_key().to_bytes();
        for changed in [longer, elsewhere, of_another] {
            assert!(!changed.is_signed(), "{changed:?}");
        }
    }
}
