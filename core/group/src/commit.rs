//! Making commits.

use openmls::prelude::{MlsMessageOut, Proposal};
use openmls::treesync::RatchetTree;
use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::{CURRENT_VERSION, StorageProvider};
use paigham_wire::codec::encode;
use paigham_wire::envelope::{
    AuthenticatedData, EnvelopePlaintext, Extension, GroupPolicy, Proof, SelfRemoves, VERSION,
    WelcomePointer, WelcomeRef, WelcomeWrapper, Welcomes, extension, proofs_hash, welcome_aad,
    wrapper_extension,
};
use paigham_wire::frame::{NOT_AFTER_MAX_AHEAD_SECONDS, PostKind, encode_post, post_hash};
use paigham_wire::hash::{Hash, blake3, label};
use paigham_wire::ids::{AccountId, CanisterId, DeviceId, WelcomeId};
use paigham_wire::keys::WrapperKey;
use paigham_wire::relay::{CommitBundle, SubmitCommit};
use paigham_wire::reset::{ReAddRequest, ReAdds, ResetClaim};
use tls_codec::{Serialize, VLBytes};

use crate::crypto::{Crypto, Provider};
use crate::device::{CheckedKeyPackage, DeviceKeys};
use crate::error::{GroupError, mls};
use crate::group::{Group, MAX_LEAVES, Member, PendingState, context_extensions, leaf_index};
use crate::message::{SelfRemove, header, protocol_message};
use crate::seal::{random, seal};
use crate::verdict::{NS_PER_SECOND, Violation};

/// What a commit changes; any combination.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Key packages of the devices to add, checked against their accounts' records.
    pub add: Vec<CheckedKeyPackage>,
    /// Leaves to remove.
    pub remove: Vec<u32>,
    /// Another policy.
    pub policy: Option<GroupPolicy>,
    /// Requests of devices whose leaves are replaced: their leaves are among those to remove, their
    /// key packages among those to add. Ascending by account and device.
    pub re_adds: Vec<ReAddRequest>,
}

impl Change {
    fn re_adds_device(&self, account: AccountId, device: DeviceId) -> bool {
        self.re_adds
            .iter()
            .any(|request| request.account == account && request.device == device)
    }
}

/// Where the committer stands in the queue, and until when the relay may take the commit.
#[derive(Debug, Clone)]
pub struct Base {
    /// The relay canister of the queue.
    pub canister: CanisterId,
    /// Newest entry that was verified, and the heads there.
    pub seq: u32,
    /// Head there.
    pub head: Hash,
    /// Commit head there.
    pub commit_head: Hash,
    /// Unix seconds.
    pub not_after: u32,
    /// One for each account of which a leaf is added, in ascending account id.
    pub proofs: Vec<Proof>,
    /// What the joiners of a reset are told of the group that it continues.
    pub reset: Option<ResetClaim>,
}

/// How a commit is looked at before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// What others would not take is not sent.
    AsOthersWill,
    /// Only in tests: what others meet.
    #[cfg(any(test, feature = "testkit"))]
    Nothing,
}

/// A commit ready to be submitted, and what to tell the joiners once it is accepted.
#[derive(Debug, Clone)]
pub struct StagedCommitPost {
    /// For `submit_commit`.
    pub submit: SubmitCommit,
    /// Its H(post).
    pub post_hash: Hash,
    /// One for each joining device.
    pub pointers: Vec<JoinerPointer>,
}

/// The pointer of one joiner.
#[derive(Debug, Clone)]
pub struct JoinerPointer {
    /// Who joins.
    pub account: AccountId,
    /// With which device.
    pub device: DeviceId,
    /// What to seal into its inbox.
    pub pointer: WelcomePointer,
}

impl Group {
    /// Makes a commit, including every SelfRemove of this epoch but the own one; it waits until
    /// [`Group::receive`] finds it in the log or [`Group::abandon`].
    ///
    /// It is judged here as every member will judge it, apart from the proofs: the caller sets
    /// `not_after` to at most 600 s after the oldest certificate in them.
    ///
    /// # Errors
    /// [`GroupError`]; among them `NotAllowed`, `TooLarge`, `CommitPending`, `Refused`. As after any
    /// error, the caller drops this value and loads the group anew.
    pub fn commit<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        crypto: &Crypto,
        provider: &Provider<'_, S>,
        device: &DeviceKeys,
        change: &Change,
        base: Base,
    ) -> Result<StagedCommitPost, GroupError> {
        self.commit_checked(crypto, provider, device, change, base, Check::AsOthersWill)
    }

    pub(crate) fn commit_checked<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        crypto: &Crypto,
        provider: &Provider<'_, S>,
        device: &DeviceKeys,
        change: &Change,
        base: Base,
        check: Check,
    ) -> Result<StagedCommitPost, GroupError> {
        if check == Check::AsOthersWill {
            self.check_may_commit(device, change)?;
        }
        let leaving = self.leaving_but(&change.remove);
        let extensions = commit_extensions(crypto, change, &leaving)?;
        let welcomes = extensions.welcomes;
        let authenticated = AuthenticatedData {
            queue: self.queue(),
            not_after: base.not_after,
            proofs_hash: proofs_hash(&base.proofs, &extensions.all),
        };
        let carried = self.read_own_carried(crypto, &leaving)?;
        let carried_leaves: Vec<_> = leaving.iter().map(|(leaf, _)| *leaf).collect();
        self.inject(provider, carried)?;
        self.mls.set_aad(encode(&authenticated));
        let (commit, welcome) = self.stage(provider, device, change)?;
        let commit = commit.to_bytes().map_err(mls("encoding a commit"))?;
        if check == Check::AsOthersWill {
            self.judge_own(crypto, &commit, &carried_leaves, change, base.not_after)?;
        }
        let plaintext = EnvelopePlaintext {
            version: VERSION,
            mls_message: commit.into(),
            proofs: base.proofs.clone(),
            extensions: extensions.all,
        };
        self.finish(crypto, change, &base, &plaintext, welcome, welcomes)
    }

    fn check_may_commit(&self, device: &DeviceKeys, change: &Change) -> Result<(), GroupError> {
        if !self.mls.is_active() {
            return Err(GroupError::NotAMember);
        }
        if self.mls.pending_commit().is_some() {
            return Err(GroupError::CommitPending);
        }
        let own = device.credential().account;
        let asked_for = |member: &Member| {
            member.account() == own || change.re_adds_device(member.account(), member.device())
        };
        let own_leaves_only = change.policy.is_none()
            && change.add.iter().all(|added| {
                change.re_adds_device(added.credential.account, added.credential.device)
            })
            && change
                .remove
                .iter()
                .all(|leaf| self.member_at(*leaf).as_ref().is_some_and(asked_for));
        if !own_leaves_only && !self.policy()?.is_admin(&own) {
            return Err(GroupError::NotAllowed);
        }
        let leaves = self.members().count() + change.add.len();
        if leaves.saturating_sub(change.re_adds.len()) > MAX_LEAVES {
            return Err(GroupError::TooLarge);
        }
        Ok(())
    }

    /// SelfRemoves to commit, by ascending leaf. Nobody commits its own; who is removed anyway
    /// needs none.
    fn leaving_but(&self, removed: &[u32]) -> Vec<(u32, Vec<u8>)> {
        let mut leaving = self.state.leaving.clone();
        let own = self.own_leaf();
        leaving.retain(|(leaf, _)| *leaf != own && !removed.contains(leaf));
        leaving.sort_unstable_by_key(|(leaf, _)| *leaf);
        leaving
    }

    fn read_own_carried(
        &self,
        crypto: &Crypto,
        leaving: &[(u32, Vec<u8>)],
    ) -> Result<Vec<SelfRemove>, GroupError> {
        leaving
            .iter()
            .map(|(_, message)| {
                self.read_self_remove(crypto, message)
                    .ok_or_else(|| GroupError::Mls("reading a SelfRemove", "malformed".into()))
            })
            .collect()
    }

    /// What others would not take is not sent: it would stop the group for everybody.
    fn judge_own(
        &self,
        crypto: &Crypto,
        commit: &[u8],
        carried: &[u32],
        change: &Change,
        not_after: u32,
    ) -> Result<(), GroupError> {
        let message = protocol_message(commit)
            .ok_or_else(|| GroupError::Mls("reading the own commit", "malformed".into()))?;
        let public = self
            .mls
            .public_group()
            .process_message(crypto.inner(), message)
            .map_err(mls("reading the own commit"))?;
        // The relay takes it neither later nor when `not_after` is further ahead than this.
        let earliest = not_after.saturating_sub(NOT_AFTER_MAX_AHEAD_SECONDS);
        let accepted = u64::from(earliest) * NS_PER_SECOND..=u64::from(not_after) * NS_PER_SECOND;
        match self.judge(&public, carried, &change.re_adds, accepted) {
            Ok(_) => Ok(()),
            Err(Violation::Role) => Err(GroupError::NotAllowed),
            Err(other) => Err(GroupError::Refused(other)),
        }
    }

    fn stage<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        provider: &Provider<'_, S>,
        device: &DeviceKeys,
        change: &Change,
    ) -> Result<(MlsMessageOut, Option<MlsMessageOut>), GroupError> {
        let mut builder = self
            .mls
            .commit_builder()
            .consume_proposal_store(true)
            .force_self_update(true)
            .propose_adds(change.add.iter().map(|added| added.key_package.clone()))
            .propose_removals(change.remove.iter().map(|leaf| leaf_index(*leaf)));
        if let Some(policy) = &change.policy {
            builder = builder
                .propose_group_context_extensions(context_extensions(policy)?)
                .map_err(mls("proposing a policy"))?;
        }
        let bundle = builder
            .load_psks(provider.storage())
            .map_err(mls("making a commit"))?
            .build(provider.rand(), provider.crypto(), device.signer(), |_| {
                true
            })
            .map_err(mls("making a commit"))?
            .stage_commit(provider)
            .map_err(|error| GroupError::Mls("staging a commit", format!("{error:?}")))?;
        let (commit, welcome, _) = bundle.into_messages();
        Ok((commit, welcome))
    }

    pub(crate) fn finish(
        &mut self,
        crypto: &Crypto,
        change: &Change,
        base: &Base,
        plaintext: &EnvelopePlaintext,
        welcome: Option<MlsMessageOut>,
        welcomes: Option<Welcomes>,
    ) -> Result<StagedCommitPost, GroupError> {
        let staged = self.mls.pending_commit().ok_or(GroupError::Nothing)?;
        let removes = staged.queued_proposals().any(|queued| {
            matches!(
                queued.proposal(),
                Proposal::Remove(_) | Proposal::SelfRemove
            )
        });
        let takes_out = staged
            .queued_proposals()
            .any(|queued| match queued.proposal() {
                Proposal::Remove(remove) => {
                    let gone = self.member_at(remove.removed().u32());
                    !gone.is_some_and(|m| change.re_adds_device(m.account(), m.device()))
                }
                Proposal::SelfRemove => true,
                _ => false,
            });
        let new_generation = takes_out || self.state.generation == 0;
        let next = self.next_secrets(crypto, staged, new_generation)?;
        let tree = staged
            .export_ratchet_tree(crypto.inner(), self.mls.export_ratchet_tree())
            .map_err(mls("exporting the next tree"))?;
        let plaintext_bytes = encode(plaintext);
        let length = plaintext_bytes.len() + crate::seal::OVERHEAD_BYTES;
        let header = header(
            self.queue(),
            self.epoch(),
            base.not_after,
            PostKind::Commit,
            base.seq,
            length,
        )?;
        let header_bytes = header.to_bytes();
        let envelope = seal(
            crypto,
            &*self.envelope_key(crypto)?,
            &header_bytes,
            &plaintext_bytes,
        )?;
        let hash = post_hash(&header_bytes, &envelope);
        let (bundle, pointers) = match (welcomes, welcome) {
            (Some(welcomes), Some(welcome)) => {
                self.bundle(crypto, (base, change), &next, tree, &welcome, welcomes)?
            }
            _ => (CommitBundle::empty(), Vec::new()),
        };
        let signature = SubmitCommit::signature(
            &self.control_key(crypto)?,
            &base.canister,
            &self.queue(),
            self.epoch(),
            &hash,
            &next.keys,
            &bundle,
        );
        self.state.pending = Some(PendingState {
            post_hash: hash,
            keys_hash: next.keys.hash(),
            new_generation,
            adds: !change.add.is_empty(),
            removes,
            re_adds: change
                .re_adds
                .iter()
                .map(|request| (request.device.0, request.id()))
                .collect(),
        });
        let post = encode_post(&header, None, &envelope).into();
        let submit = SubmitCommit {
            post,
            next_keys: next.keys,
            bundle,
            signature,
        };
        Ok(StagedCommitPost {
            submit,
            post_hash: hash,
            pointers,
        })
    }

    fn bundle(
        &self,
        crypto: &Crypto,
        (base, change): (&Base, &Change),
        next: &crate::group::EpochSecrets,
        tree: Option<RatchetTree>,
        welcome: &MlsMessageOut,
        welcomes: Welcomes,
    ) -> Result<(CommitBundle, Vec<JoinerPointer>), GroupError> {
        let queue = self.queue();
        let key = welcomes.wrapper_key.as_bytes();
        let tree = tree
            .ok_or_else(|| GroupError::Mls("exporting the next tree", "absent".into()))?
            .tls_serialize_detached()
            .map_err(mls("encoding the tree"))?;
        let tree = seal(crypto, key, &welcome_aad(label::TREE, &queue), &tree)?;
        let wrapper = WelcomeWrapper {
            version: VERSION,
            mls_welcome: welcome
                .to_bytes()
                .map_err(mls("encoding a Welcome"))?
                .into(),
            tree_hash: blake3(&tree),
            read_token: next.token.clone(),
            generation: next.keys.generation,
            base_seq: base.seq,
            base_head: base.head,
            base_commit_head: base.commit_head,
            extensions: self.wrapper_extensions(base, change),
        };
        let wrapper = seal(
            crypto,
            key,
            &welcome_aad(label::WELCOME, &queue),
            &encode(&wrapper),
        )?;
        let mut locators: Vec<_> = welcomes
            .joiners
            .iter()
            .map(|joiner| joiner.welcome_id.locator())
            .collect();
        locators.sort_unstable();
        let pointers = welcomes
            .joiners
            .iter()
            .map(|joiner| JoinerPointer {
                account: joiner.account,
                device: joiner.device,
                pointer: WelcomePointer {
                    version: VERSION,
                    canister: base.canister.clone(),
                    queue,
                    welcome_id: joiner.welcome_id,
                    wrapper_key: welcomes.wrapper_key.clone(),
                },
            })
            .collect();
        Ok((
            CommitBundle {
                wrapper: wrapper.into(),
                tree: tree.into(),
                locators,
            },
            pointers,
        ))
    }

    /// What joiners are told beside the group itself, by ascending type.
    fn wrapper_extensions(&self, base: &Base, change: &Change) -> Vec<Extension> {
        let reset = base.reset.as_ref().map(|claim| Extension {
            extension_type: wrapper_extension::RESET,
            data: encode(claim).into(),
        });
        let log = self.re_add_log(&change.re_adds);
        reset.into_iter().chain(log).collect()
    }

    /// Takes the own commit over: the relay has accepted it, everything before it was read, and it
    /// was judged.
    pub(crate) fn merge_own<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        crypto: &Crypto,
        provider: &Provider<'_, S>,
        accepted_at: u64,
    ) -> Result<(), GroupError> {
        let pending = self.state.pending.clone().ok_or(GroupError::Nothing)?;
        let staged = self.mls.pending_commit().ok_or(GroupError::Nothing)?;
        let next = self.next_secrets(crypto, staged, pending.new_generation)?;
        self.mls
            .merge_pending_commit(provider)
            .map_err(|error| GroupError::Mls("merging a commit", format!("{error:?}")))?;
        let leaf = self.own_leaf();
        self.count_commit(leaf, accepted_at, pending.adds, pending.removes);
        self.count_re_adds(pending.re_adds.iter().copied(), accepted_at);
        self.enter_epoch(Some(&next));
        Ok(())
    }

    /// Gives the own commit up: it can never be accepted any more.
    ///
    /// # Errors
    /// [`GroupError::Storage`].
    pub fn abandon<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        provider: &Provider<'_, S>,
    ) -> Result<(), GroupError> {
        let storage = |error: &dyn std::fmt::Display| GroupError::Storage(error.to_string());
        self.mls
            .clear_pending_commit(provider.storage())
            .map_err(|error| storage(&error))?;
        self.mls
            .clear_pending_proposals(provider.storage())
            .map_err(|error| storage(&error))?;
        self.state.pending = None;
        Ok(())
    }

    /// The rate rule counts commits that add and remove nobody, since the newest one that added.
    pub(crate) fn count_commit(&mut self, leaf: u32, at: u64, adds: bool, removes: bool) {
        if adds {
            self.state.commits.clear();
        } else if !removes {
            let hour_ago = at.saturating_sub(crate::verdict::RATE_WINDOW_NS);
            self.state.commits.retain(|(_, time)| *time >= hour_ago);
            self.state.commits.push((leaf, at));
        }
    }
}

struct CommitExtensions {
    all: Vec<Extension>,
    welcomes: Option<Welcomes>,
}

fn commit_extensions(
    crypto: &Crypto,
    change: &Change,
    leaving: &[(u32, Vec<u8>)],
) -> Result<CommitExtensions, GroupError> {
    let welcomes = welcomes_for(crypto, change)?;
    let mut all = Vec::new();
    if let Some(welcomes) = &welcomes {
        all.push(Extension {
            extension_type: extension::WELCOMES,
            data: encode(welcomes).into(),
        });
    }
    if !leaving.is_empty() {
        let messages: Vec<VLBytes> = leaving
            .iter()
            .map(|(_, message)| message.clone().into())
            .collect();
        all.push(Extension {
            extension_type: extension::SELF_REMOVES,
            data: encode(&SelfRemoves { messages }).into(),
        });
    }
    if !change.re_adds.is_empty() {
        all.push(Extension {
            extension_type: extension::RE_ADDS,
            data: encode(&ReAdds {
                requests: change.re_adds.clone(),
            })
            .into(),
        });
    }
    Ok(CommitExtensions { all, welcomes })
}

/// A welcome id for each joiner and the key of what they share; `None` if nobody joins.
pub(crate) fn welcomes_for(
    crypto: &Crypto,
    change: &Change,
) -> Result<Option<Welcomes>, GroupError> {
    if change.add.is_empty() {
        return Ok(None);
    }
    let mut joiners = Vec::with_capacity(change.add.len());
    for added in &change.add {
        joiners.push(WelcomeRef {
            account: added.credential.account,
            device: added.credential.device,
            welcome_id: WelcomeId(random(crypto)?),
        });
    }
    let wrapper_key = WrapperKey::new(random(crypto)?);
    Ok(Some(Welcomes {
        joiners,
        wrapper_key,
    }))
}
