//! Entries of the log, in the order that the relay certified.

use openmls::prelude::{ProcessedMessageContent, Proposal, Sender};
use openmls_traits::storage::{CURRENT_VERSION, StorageProvider};
use paigham_wire::codec::decode;
use paigham_wire::envelope::{AuthenticatedData, EnvelopePlaintext, SelfRemoves, extension};
use paigham_wire::frame::{PostHeader, PostKind, post_hash};
use paigham_wire::hash::Hash;
use paigham_wire::relay::Entry;

use crate::crypto::{Crypto, Provider};
use crate::group::{Group, Member};
use crate::message::protocol_message;
use crate::proof::ProofJudge;
use crate::verdict::{Judged, Violation};

/// What an entry was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A message.
    Message {
        /// Who sent it.
        from: Member,
        /// The padded content document.
        content: Vec<u8>,
    },
    /// A member wants to leave; the next commit removes it.
    Leaving(Member),
    /// A commit of somebody else was merged.
    Committed(Committed),
    /// The own commit was merged.
    OwnCommit,
    /// Opens under no key or says nothing that counts: a node or a former member posted junk. The
    /// group goes on.
    Junk,
}

/// What a merged commit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// By whom, whom it added and removed, the policy afterwards.
    pub judged: Judged,
    /// The epoch that it started.
    pub epoch: u32,
    /// Whether it removed this device.
    pub removed_us: bool,
}

/// A commit at which the group stops.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum Stopped {
    /// It is signed by a member and breaks a rule; every honest member stops here.
    #[error("a member broke the rules of the group: {0}")]
    Violating(Violation),
    /// This member cannot apply it.
    #[error("a change of the group cannot be applied: {0}")]
    Unusable(String),
}

/// Why an entry was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The group stops here.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// Storage or engine failed; nothing is known of the entry.
    #[error(transparent)]
    Group(#[from] crate::error::GroupError),
    /// An entry of another epoch: the relay gates epochs, so the log is not what it says.
    #[error("an entry of epoch {found} where epoch {expected} is due")]
    Epoch {
        /// Of the group.
        expected: u32,
        /// Of the entry.
        found: u32,
    },
}

fn unusable(why: impl std::fmt::Display) -> Stopped {
    Stopped::Unusable(why.to_string())
}

impl Group {
    /// Takes the next entry of the log. The caller drops its write-set on an error, and commits it
    /// with its cursor otherwise.
    ///
    /// Own application posts and SelfRemoves cannot be opened by their sender; the caller knows
    /// them by H(post) and does not pass them here. The own commit is passed.
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub fn receive<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        crypto: &Crypto,
        provider: &Provider<'_, S>,
        entry: &Entry,
        judge: &impl ProofJudge,
    ) -> Result<Received, ReceiveError> {
        let Ok(header) = PostHeader::from_bytes(&entry.header) else {
            return Ok(Received::Junk);
        };
        if header.epoch != self.epoch() {
            let (expected, found) = (self.epoch(), header.epoch);
            return Err(ReceiveError::Epoch { expected, found });
        }
        let hash = post_hash(&entry.header, entry.envelope.as_slice());
        let own = self
            .state
            .pending
            .as_ref()
            .is_some_and(|pending| pending.post_hash == hash);
        if own {
            self.merge_own(crypto, provider, entry.accepted_at)?;
            return Ok(Received::OwnCommit);
        }
        let opened = self.open_envelope(crypto, &entry.header, entry.envelope.as_slice());
        match (header.kind, opened) {
            (PostKind::Commit, Ok(plaintext)) => {
                self.receive_commit(crypto, provider, entry, &header, &plaintext, judge)
            }
            (PostKind::Commit, Err(_)) => Err(unusable("its envelope does not open").into()),
            (_, Err(_)) => Ok(Received::Junk),
            (PostKind::Application, Ok(plaintext)) => {
                Ok(self.receive_message(provider, &header, &plaintext))
            }
            (PostKind::Proposal, Ok(plaintext)) => {
                Ok(self.receive_leave(provider, &header, &plaintext))
            }
        }
    }

    fn receive_message<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        provider: &Provider<'_, S>,
        header: &PostHeader,
        plaintext: &EnvelopePlaintext,
    ) -> Received {
        let Some(message) = protocol_message(plaintext.mls_message.as_slice()) else {
            return Received::Junk;
        };
        // A message that OpenMLS refuses (replayed, garbled, by a stranger) leaves the ratchet
        // where it was.
        let Ok(processed) = self.mls.process_message(provider, message) else {
            return Received::Junk;
        };
        if !is_bound(processed.aad(), self, header, plaintext) {
            return Received::Junk;
        }
        let from = match processed.sender() {
            Sender::Member(leaf) => self.member_at(leaf.u32()),
            _ => None,
        };
        match (processed.into_content(), from) {
            (ProcessedMessageContent::ApplicationMessage(message), Some(from)) => {
                Received::Message {
                    from,
                    content: message.into_bytes(),
                }
            }
            _ => Received::Junk,
        }
    }

    fn receive_leave<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        provider: &Provider<'_, S>,
        header: &PostHeader,
        plaintext: &EnvelopePlaintext,
    ) -> Received {
        let bytes = plaintext.mls_message.as_slice();
        let Some(message) = protocol_message(bytes) else {
            return Received::Junk;
        };
        let Ok(processed) = self.mls.process_message(provider, message) else {
            return Received::Junk;
        };
        if !is_bound(processed.aad(), self, header, plaintext) {
            return Received::Junk;
        }
        let ProcessedMessageContent::ProposalMessage(proposal) = processed.content() else {
            return Received::Junk;
        };
        let (Proposal::SelfRemove, Sender::Member(leaf)) =
            (proposal.proposal(), processed.sender())
        else {
            return Received::Junk;
        };
        match self.member_at(leaf.u32()) {
            Some(member) => {
                self.note_leaving(member.leaf, bytes);
                Received::Leaving(member)
            }
            None => Received::Junk,
        }
    }

    /// Keeps a SelfRemove for the commit that covers it; the own one too, when its echo arrives.
    pub fn note_leaving(&mut self, leaf: u32, message: &[u8]) {
        if !self.state.leaving.iter().any(|(known, _)| *known == leaf) {
            self.state.leaving.push((leaf, message.to_vec()));
        }
    }

    /// The own SelfRemove has arrived in the log.
    ///
    /// # Errors
    /// [`crate::GroupError::Sealed`] if the entry is not one of this epoch.
    pub fn receive_own_leave(
        &mut self,
        crypto: &Crypto,
        entry: &Entry,
    ) -> Result<(), crate::GroupError> {
        let plaintext = self.open_envelope(crypto, &entry.header, entry.envelope.as_slice())?;
        self.note_leaving(self.own_leaf(), plaintext.mls_message.as_slice());
        Ok(())
    }

    fn receive_commit<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        crypto: &Crypto,
        provider: &Provider<'_, S>,
        entry: &Entry,
        header: &PostHeader,
        plaintext: &EnvelopePlaintext,
        judge: &impl ProofJudge,
    ) -> Result<Received, ReceiveError> {
        let keys_hash = entry
            .keys_hash
            .ok_or_else(|| unusable("no keys are registered"))?;
        self.inject_carried(provider, plaintext)?;
        let bytes = plaintext.mls_message.as_slice();
        let parse = || protocol_message(bytes).ok_or_else(|| unusable("it does not decode"));
        // First on the public part alone, so that all members judge the same.
        let public = self
            .mls
            .public_group()
            .process_message(crypto.inner(), parse()?)
            .map_err(unusable)?;
        if !is_bound(public.aad(), self, header, plaintext) {
            return Err(unusable("it is bound to other proofs").into());
        }
        let judged = self
            .judge(&public, plaintext, entry.accepted_at, judge)
            .map_err(Stopped::Violating)?;
        self.merge(
            crypto,
            provider,
            entry.accepted_at,
            &keys_hash,
            parse()?,
            judged,
        )
    }

    fn merge<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        crypto: &Crypto,
        provider: &Provider<'_, S>,
        accepted_at: u64,
        keys_hash: &Hash,
        message: openmls::prelude::ProtocolMessage,
        judged: Judged,
    ) -> Result<Received, ReceiveError> {
        let processed = self
            .mls
            .process_message(provider, message)
            .map_err(|error| unusable(format!("{error:?}")))?;
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err(unusable("it is no commit").into());
        };
        let removed_us = staged.self_removed();
        let new_generation = !judged.removed.is_empty() || self.state.generation == 0;
        let next = if removed_us {
            None
        } else {
            let next = self
                .next_secrets(crypto, &staged, new_generation)
                .map_err(|error| unusable(error.to_string()))?;
            if next.keys.hash() != *keys_hash {
                return Err(unusable("other keys are registered than it makes").into());
            }
            Some(next)
        };
        self.mls
            .merge_staged_commit(provider, *staged)
            .map_err(|error| unusable(format!("{error:?}")))?;
        self.count_commit(
            judged.by.leaf,
            accepted_at,
            !judged.added.is_empty(),
            !judged.removed.is_empty(),
        );
        self.enter_epoch(next.as_ref());
        let epoch = self.epoch();
        Ok(Received::Committed(Committed {
            judged,
            epoch,
            removed_us,
        }))
    }

    /// The SelfRemoves that a commit refers to travel with it, since posts expire earlier.
    fn inject_carried<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        provider: &Provider<'_, S>,
        plaintext: &EnvelopePlaintext,
    ) -> Result<(), ReceiveError> {
        let carried = match plaintext.extension(extension::SELF_REMOVES) {
            Some(data) => {
                let carried: SelfRemoves = decode(data).map_err(unusable)?;
                carried
                    .messages
                    .iter()
                    .map(|message| message.as_slice().to_vec())
                    .collect()
            }
            None => Vec::new(),
        };
        self.inject(provider, &carried)
            .map_err(|error| unusable(error).into())
    }
}

/// Whether the leaf-signed data names this queue, this post's time and exactly these proofs.
fn is_bound(
    authenticated: &[u8],
    group: &Group,
    header: &PostHeader,
    plaintext: &EnvelopePlaintext,
) -> bool {
    let expected = AuthenticatedData {
        queue: group.queue(),
        not_after: header.not_after,
        proofs_hash: plaintext.proofs_hash(),
    };
    decode::<AuthenticatedData>(authenticated).is_ok_and(|found| found == expected)
}
