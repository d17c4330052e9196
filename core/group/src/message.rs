//! Envelopes, application messages and leaving.

use openmls::prelude::{
    MlsMessageIn, ProcessedMessageContent, Proposal, ProtocolMessage, QueuedProposal, Sender,
};
use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::{CURRENT_VERSION, StorageProvider};
use paigham_wire::codec::{decode, encode};
use paigham_wire::envelope::{
    AuthenticatedData, EnvelopePlaintext, Extension, Gossip, InboxCapability, VERSION, extension,
    proofs_hash,
};
use paigham_wire::frame::{ENVELOPE_MAX_BYTES, HEADER_BYTES, PostHeader, PostKind, encode_post};
use paigham_wire::ids::QueueId;
use tls_codec::{DeserializeBytes, TlsDeserializeBytes, TlsSize, VLBytes};

use crate::crypto::{Crypto, Provider};
use crate::device::DeviceKeys;
use crate::error::{GroupError, mls};
use crate::group::Group;
use crate::seal::{OVERHEAD_BYTES, open, seal};

/// A message that is to be sealed.
#[derive(Debug, Clone)]
pub struct Saying<'a> {
    /// The padded content document ([`crate::content`]).
    pub content: &'a [u8],
    /// What this device has seen, for the others to compare.
    pub gossip: Option<Gossip>,
    /// Leave to write into the sender's inbox, for the members.
    pub capability: Option<InboxCapability>,
    /// Newest entry that was verified.
    pub after_seq: u32,
    /// Until when the relay may take it, seconds since 1970.
    pub not_after: u32,
}

impl Saying<'_> {
    fn extensions(&self) -> Vec<Extension> {
        let gossip = self.gossip.as_ref().map(|gossip| Extension {
            extension_type: extension::GOSSIP,
            data: encode(gossip).into(),
        });
        let capability = self.capability.as_ref().map(|given| Extension {
            extension_type: extension::CAPABILITY,
            data: encode(given).into(),
        });
        gossip.into_iter().chain(capability).collect()
    }
}

/// What a message's sender has seen; `None` where it says nothing, or nothing that can be read.
pub(crate) fn gossip_of(plaintext: &EnvelopePlaintext) -> Option<Gossip> {
    let data = plaintext.extension(extension::GOSSIP)?;
    decode::<Gossip>(data).ok().filter(Gossip::is_well_formed)
}

/// Leave to write into the inbox of a message's sender, if it gave any; not checked.
pub(crate) fn capability_of(plaintext: &EnvelopePlaintext) -> Option<InboxCapability> {
    decode(plaintext.extension(extension::CAPABILITY)?).ok()
}

/// A header for an envelope of a length.
pub(crate) fn header(
    queue: QueueId,
    epoch: u32,
    not_after: u32,
    kind: PostKind,
    after_seq: u32,
    length: usize,
) -> Result<PostHeader, GroupError> {
    let length = u32::try_from(length)
        .ok()
        .filter(|_| length <= ENVELOPE_MAX_BYTES)
        .ok_or_else(|| GroupError::Mls("sealing a post", "too large".into()))?;
    Ok(PostHeader {
        queue,
        epoch,
        not_after,
        kind,
        after_seq,
        length,
    })
}

impl Group {
    /// Seals a message into a post of the current epoch.
    ///
    /// The ratchet has moved when this returns: the caller persists before it sends.
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn encrypt<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        crypto: &Crypto,
        provider: &Provider<'_, S>,
        device: &DeviceKeys,
        saying: &Saying<'_>,
    ) -> Result<Vec<u8>, GroupError> {
        self.check_active()?;
        let extensions = saying.extensions();
        self.set_authenticated_data(saying.not_after, &extensions);
        let message = self
            .mls
            .create_message(provider, device.signer(), saying.content)
            .map_err(|error| GroupError::Mls("encrypting a message", format!("{error:?}")))?
            .to_bytes()
            .map_err(mls("encoding a message"))?;
        let kind = PostKind::Application;
        let (after_seq, not_after) = (saying.after_seq, saying.not_after);
        self.post(crypto, kind, message, extensions, (after_seq, not_after))
    }

    /// A SelfRemove of the current epoch; the device stays until somebody's commit removes it.
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn propose_leave<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        crypto: &Crypto,
        provider: &Provider<'_, S>,
        device: &DeviceKeys,
        after_seq: u32,
        not_after: u32,
    ) -> Result<Vec<u8>, GroupError> {
        self.check_active()?;
        self.set_authenticated_data(not_after, &Vec::new());
        let message = self
            .mls
            .leave_group_via_self_remove(provider, device.signer())
            .map_err(|error| GroupError::Mls("leaving", format!("{error:?}")))?
            .to_bytes()
            .map_err(mls("encoding a SelfRemove"))?;
        // A stored proposal would block sending; ours lives in our own state.
        self.mls
            .clear_pending_proposals(provider.storage())
            .map_err(|error| GroupError::Storage(error.to_string()))?;
        let kind = PostKind::Proposal;
        self.post(crypto, kind, message, Vec::new(), (after_seq, not_after))
    }

    fn check_active(&self) -> Result<(), GroupError> {
        if !self.mls.is_active() {
            return Err(GroupError::NotAMember);
        }
        if self.mls.pending_commit().is_some() {
            return Err(GroupError::CommitPending);
        }
        Ok(())
    }

    fn set_authenticated_data(&mut self, not_after: u32, extensions: &Vec<Extension>) {
        let proofs_hash = proofs_hash(&Vec::new(), extensions);
        let data = AuthenticatedData {
            queue: self.queue(),
            not_after,
            proofs_hash,
        };
        self.mls.set_aad(encode(&data));
    }

    fn post(
        &self,
        crypto: &Crypto,
        kind: PostKind,
        message: Vec<u8>,
        extensions: Vec<Extension>,
        (after_seq, not_after): (u32, u32),
    ) -> Result<Vec<u8>, GroupError> {
        let plaintext = encode(&EnvelopePlaintext {
            version: VERSION,
            mls_message: message.into(),
            proofs: Vec::new(),
            extensions,
        });
        let length = plaintext.len() + OVERHEAD_BYTES;
        let header = header(
            self.queue(),
            self.epoch(),
            not_after,
            kind,
            after_seq,
            length,
        )?;
        let envelope = seal(
            crypto,
            &*self.envelope_key(crypto)?,
            &header.to_bytes(),
            &plaintext,
        )?;
        Ok(encode_post(
            &header,
            Some(&self.mac_key(crypto)?),
            &envelope,
        ))
    }

    /// Opens an envelope of the current epoch.
    pub(crate) fn open_envelope(
        &self,
        crypto: &Crypto,
        header: &[u8; HEADER_BYTES],
        envelope: &[u8],
    ) -> Result<EnvelopePlaintext, GroupError> {
        let bytes = open(&*self.envelope_key(crypto)?, header, envelope)?;
        let plaintext: EnvelopePlaintext = decode(&bytes).map_err(|_| GroupError::Sealed)?;
        if plaintext.is_well_formed() {
            Ok(plaintext)
        } else {
            Err(GroupError::Sealed)
        }
    }

    /// Reads a SelfRemove on the public part of the group, so that every member reads it alike, the
    /// leaver too, and no ratchet moves whatever the bytes are. `None` if it is anything else.
    pub(crate) fn read_self_remove(&self, crypto: &Crypto, message: &[u8]) -> Option<SelfRemove> {
        let processed = self
            .mls
            .public_group()
            .process_message(crypto.inner(), protocol_message(message)?)
            .ok()?;
        let Sender::Member(leaf) = *processed.sender() else {
            return None;
        };
        let authenticated = processed.aad().to_vec();
        match processed.into_content() {
            ProcessedMessageContent::ProposalMessage(proposal)
                if matches!(proposal.proposal(), Proposal::SelfRemove) =>
            {
                Some(SelfRemove {
                    leaf: leaf.u32(),
                    authenticated,
                    proposal,
                })
            }
            _ => None,
        }
    }

    /// Puts exactly these SelfRemoves into OpenMLS's proposal store, for the commit that is being
    /// made or read.
    pub(crate) fn inject<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        provider: &Provider<'_, S>,
        self_removes: Vec<SelfRemove>,
    ) -> Result<(), GroupError> {
        let storage = provider.storage();
        self.mls
            .clear_pending_proposals(storage)
            .map_err(|error| GroupError::Storage(error.to_string()))?;
        for self_remove in self_removes {
            self.mls
                .store_pending_proposal(storage, *self_remove.proposal)
                .map_err(|error| GroupError::Storage(error.to_string()))?;
        }
        Ok(())
    }
}

/// A SelfRemove that its leaf has signed for this epoch.
pub(crate) struct SelfRemove {
    /// Who leaves.
    pub(crate) leaf: u32,
    /// Its `authenticated_data`.
    pub(crate) authenticated: Vec<u8>,
    proposal: Box<QueuedProposal>,
}

/// The clear part of an MLSMessage with a PrivateMessage (RFC 9420 §6.3).
#[derive(TlsSize, TlsDeserializeBytes)]
struct PrivateHead {
    version: u16,
    wire_format: u16,
    group_id: VLBytes,
    epoch: u64,
    content_type: u8,
    authenticated_data: VLBytes,
}

/// The `authenticated_data` of an encrypted application message, read before it is decrypted; the
/// sender's AEAD covers it. `None` for any other message.
///
/// A member who wraps somebody's message anew, as a post of another kind or time, must not use up
/// the key that opens the real one.
pub(crate) fn application_data(message: &[u8]) -> Option<Vec<u8>> {
    const WIRE_FORMAT_PRIVATE: u16 = 2;
    const CONTENT_APPLICATION: u8 = 1;
    let (head, _) = PrivateHead::tls_deserialize_bytes(message).ok()?;
    (head.wire_format == WIRE_FORMAT_PRIVATE && head.content_type == CONTENT_APPLICATION)
        .then(|| head.authenticated_data.into())
}

/// An MLSMessage with a Public- or PrivateMessage.
pub(crate) fn protocol_message(bytes: &[u8]) -> Option<ProtocolMessage> {
    MlsMessageIn::tls_deserialize_exact_bytes(bytes)
        .ok()?
        .try_into_protocol_message()
        .ok()
}
