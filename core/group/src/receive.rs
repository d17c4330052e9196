//! Entries of the log, in the order that the relay certified.

use openmls::group::{ProcessMessageError, StageCommitError};
use openmls::prelude::{ProcessedMessageContent, ProtocolMessage, Sender};
use openmls_traits::storage::{CURRENT_VERSION, StorageProvider};
use paigham_wire::codec::decode;
use paigham_wire::envelope::{
    AuthenticatedData, EnvelopePlaintext, Gossip, InboxCapability, SelfRemoves, extension,
};
use paigham_wire::frame::{PostHeader, PostKind, post_hash};
use paigham_wire::hash::Hash;
use paigham_wire::relay::Entry;

use crate::crypto::{Crypto, Provider};
use crate::error::GroupError;
use crate::group::{Group, Member, PendingState};
use crate::message::{SelfRemove, application_data, capability_of, gossip_of, protocol_message};
use crate::proof::ProofJudge;
use crate::re_add::requests_of;
use crate::verdict::{Judged, NS_PER_SECOND, Violation, judge_proofs};

/// What an entry was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A message.
    Message {
        /// Who sent it.
        from: Member,
        /// The padded content document.
        content: Vec<u8>,
        /// What its sender had seen, for comparison.
        gossip: Option<Gossip>,
        /// Leave to write into the sender's inbox, if it gave any; not checked.
        capability: Option<InboxCapability>,
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
    #[error("a member broke the rules of the group: {rule}")]
    Violating {
        /// Which rule.
        rule: Violation,
        /// Who did it, as of the last good epoch; `None` for an external commit.
        by: Option<Member>,
    },
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
    Group(#[from] GroupError),
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

/// OpenMLS's refusal of a message, apart from a failure of the own storage, which says nothing of
/// the message.
fn refusal<E: std::fmt::Display + std::fmt::Debug>(
    error: ProcessMessageError<E>,
) -> Result<Stopped, GroupError> {
    match error {
        ProcessMessageError::StorageError(error) => Err(GroupError::Storage(error.to_string())),
        // The keys of the own leaf could not be read from the storage.
        ProcessMessageError::InvalidCommit(StageCommitError::MissingDecryptionKey) => Err(
            GroupError::Storage("the keys of the epoch are not there".into()),
        ),
        other => Ok(unusable(format!("{other:?}"))),
    }
}

/// The relay takes no post later than its `not_after`; a chain that has one is not the relay's.
fn is_late(header: &PostHeader, accepted_at: u64) -> bool {
    accepted_at / NS_PER_SECOND > u64::from(header.not_after)
}

impl Group {
    /// Takes the next entry of the log. The caller commits its write-set with its cursor if this
    /// succeeds. On an error it drops the write-set **and this value**, and loads the group anew:
    /// what is in memory may be ahead of what is on the disk.
    ///
    /// Own application posts cannot be opened by their sender; the caller knows them by H(post) and
    /// does not pass them here. The own commit is passed, and judged like any other.
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
        if !self.mls.is_active() {
            return Err(GroupError::NotAMember.into());
        }
        let Ok(header) = PostHeader::from_bytes(&entry.header) else {
            return Ok(Received::Junk);
        };
        if header.epoch != self.epoch() {
            let (expected, found) = (self.epoch(), header.epoch);
            return Err(ReceiveError::Epoch { expected, found });
        }
        let opened = self.open_envelope(crypto, &entry.header, entry.envelope.as_slice());
        let plaintext = match opened {
            Ok(plaintext) => plaintext,
            Err(GroupError::Sealed) if header.kind == PostKind::Commit => {
                return Err(unusable("its envelope does not open").into());
            }
            Err(GroupError::Sealed) => return Ok(Received::Junk),
            Err(other) => return Err(other.into()),
        };
        match header.kind {
            PostKind::Commit => {
                self.receive_commit(crypto, provider, entry, &header, &plaintext, judge)
            }
            _ if is_late(&header, entry.accepted_at) => Ok(Received::Junk),
            PostKind::Application => self.receive_message(provider, &header, &plaintext),
            PostKind::Proposal => Ok(self.receive_leave(crypto, &header, &plaintext)),
        }
    }

    fn receive_message<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        provider: &Provider<'_, S>,
        header: &PostHeader,
        plaintext: &EnvelopePlaintext,
    ) -> Result<Received, ReceiveError> {
        let bytes = plaintext.mls_message.as_slice();
        let bound = application_data(bytes)
            .is_some_and(|authenticated| is_bound(&authenticated, self, header, plaintext));
        let Some(message) = protocol_message(bytes).filter(|_| bound) else {
            return Ok(Received::Junk);
        };
        // A message that OpenMLS refuses (replayed, garbled, by a stranger) leaves the ratchet
        // where it was.
        let processed = match self.mls.process_message(provider, message) {
            Ok(processed) => processed,
            Err(error) => {
                refusal(error)?;
                return Ok(Received::Junk);
            }
        };
        let from = match processed.sender() {
            Sender::Member(leaf) => self.member_at(leaf.u32()),
            _ => None,
        };
        match (processed.into_content(), from) {
            (ProcessedMessageContent::ApplicationMessage(message), Some(from)) => {
                Ok(Received::Message {
                    from,
                    content: message.into_bytes(),
                    gossip: gossip_of(plaintext),
                    capability: capability_of(plaintext),
                })
            }
            _ => Ok(Received::Junk),
        }
    }

    fn receive_leave(
        &mut self,
        crypto: &Crypto,
        header: &PostHeader,
        plaintext: &EnvelopePlaintext,
    ) -> Received {
        let bytes = plaintext.mls_message.as_slice();
        let member = self
            .read_self_remove(crypto, bytes)
            .filter(|found| is_bound(&found.authenticated, self, header, plaintext))
            .and_then(|found| self.member_at(found.leaf));
        match member {
            Some(member) => {
                self.note_leaving(member.leaf, bytes);
                Received::Leaving(member)
            }
            None => Received::Junk,
        }
    }

    /// Keeps a SelfRemove, the first of each leaf, for the commit that covers it.
    fn note_leaving(&mut self, leaf: u32, message: &[u8]) {
        if !self.state.leaving.iter().any(|(known, _)| *known == leaf) {
            self.state.leaving.push((leaf, message.to_vec()));
        }
    }

    /// The own SelfRemove has arrived in the log; [`Group::receive`] takes it too.
    ///
    /// # Errors
    /// [`GroupError::Sealed`] if the entry is not one of this epoch.
    pub fn receive_own_leave(&mut self, crypto: &Crypto, entry: &Entry) -> Result<(), GroupError> {
        let header = PostHeader::from_bytes(&entry.header).map_err(|_| GroupError::Sealed)?;
        let plaintext = self.open_envelope(crypto, &entry.header, entry.envelope.as_slice())?;
        match self.receive_leave(crypto, &header, &plaintext) {
            Received::Leaving(member) if member.leaf == self.own_leaf() => Ok(()),
            _ => Err(GroupError::Sealed),
        }
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
        // Its proofs were fresh enough for `not_after`; who accepts it later frames nobody.
        if is_late(header, entry.accepted_at) {
            return Err(unusable("it was accepted after its time").into());
        }
        let carried = self.read_carried(crypto, plaintext)?;
        let carried_leaves: Vec<_> = carried.iter().map(|found| found.leaf).collect();
        let requests = requests_of(plaintext)
            .ok_or_else(|| unusable("it carries what is no request for a re-add"))?;
        self.inject(provider, carried)?;
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
        let at = entry.accepted_at;
        let judged = self
            .judge(&public, &carried_leaves, &requests, at..=at)
            .and_then(|judged| {
                let shown = judge_proofs(&judged, plaintext, at, judge)?;
                Ok(Judged { shown, ..judged })
            })
            .map_err(|rule| {
                let by = match public.sender() {
                    Sender::Member(leaf) => self.member_at(leaf.u32()),
                    _ => None,
                };
                Stopped::Violating { rule, by }
            })?;
        match self.pending_of(entry) {
            Some(pending) if pending.keys_hash == keys_hash => {
                self.merge_own(crypto, provider, at)?;
                Ok(Received::OwnCommit)
            }
            // All members hold the control key: another one registered its own keys with it.
            Some(_) => Err(unusable("other keys are registered than it makes").into()),
            None => {
                let message = parse()?;
                self.merge(crypto, provider, at, &keys_hash, message, judged)
            }
        }
    }

    /// The own commit that waits, if the entry is it.
    fn pending_of(&self, entry: &Entry) -> Option<&PendingState> {
        let hash = post_hash(&entry.header, entry.envelope.as_slice());
        self.state
            .pending
            .as_ref()
            .filter(|pending| pending.post_hash == hash)
    }

    fn merge<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        crypto: &Crypto,
        provider: &Provider<'_, S>,
        accepted_at: u64,
        keys_hash: &Hash,
        message: ProtocolMessage,
        judged: Judged,
    ) -> Result<Received, ReceiveError> {
        let processed = match self.mls.process_message(provider, message) {
            Ok(processed) => processed,
            Err(error) => return Err(refusal(error)?.into()),
        };
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err(unusable("it is no commit").into());
        };
        // Who is removed cannot derive the next keys, and does not need to.
        let removed_us = staged.self_removed();
        let next = if removed_us {
            None
        } else {
            let new_generation = judged.takes_out() || self.state.generation == 0;
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
            .map_err(|error| GroupError::Storage(format!("{error:?}")))?;
        self.count_commit(
            judged.by.leaf,
            accepted_at,
            !judged.added.is_empty(),
            !judged.removed.is_empty(),
        );
        self.count_re_adds(
            judged
                .re_added
                .iter()
                .map(|one| (one.device.0, one.request)),
            accepted_at,
        );
        self.enter_epoch(next.as_ref());
        let epoch = self.epoch();
        Ok(Received::Committed(Committed {
            judged,
            epoch,
            removed_us,
        }))
    }

    /// The SelfRemoves that a commit refers to travel with it, since posts expire earlier: one for
    /// each leaf that leaves, in ascending order.
    fn read_carried(
        &self,
        crypto: &Crypto,
        plaintext: &EnvelopePlaintext,
    ) -> Result<Vec<SelfRemove>, Stopped> {
        let Some(data) = plaintext.extension(extension::SELF_REMOVES) else {
            return Ok(Vec::new());
        };
        let carried: SelfRemoves = decode(data).map_err(unusable)?;
        let found: Vec<_> = carried
            .messages
            .iter()
            .map(|message| {
                self.read_self_remove(crypto, message.as_slice())
                    .ok_or_else(|| unusable("it carries what is no SelfRemove"))
            })
            .collect::<Result<_, _>>()?;
        if found.windows(2).all(|pair| pair[0].leaf < pair[1].leaf) {
            Ok(found)
        } else {
            Err(unusable("it carries SelfRemoves out of order"))
        }
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
    header.queue == expected.queue
        && decode::<AuthenticatedData>(authenticated).is_ok_and(|found| found == expected)
}
