//! The commit of a change: prepared, staged, submitted, given up.

use std::collections::BTreeSet;

use paigham_group::commit::{Base, Change};
use paigham_group::{Group, GroupError, Member};
use paigham_wire::codec::encode;
#[cfg(feature = "testkit")]
use paigham_wire::ids::CanisterId;
use paigham_wire::ids::{AccountId, QueueId};
use paigham_wire::relay::{CommitAccepted, PostRefusal, RelayError};
use serde::{Deserialize, Serialize};

use super::change::Intent;
use super::invite::{ClaimedDevice, ResetDue};
use super::{Conversation, OwnWelcome, POST_SECONDS};
use crate::client::Client;
use crate::error::{ClientError, NotVerified};
use crate::inbox::OutgoingDeposit;
use crate::log::Proved;
use crate::view::SyncReport;

/// Largest commit, and largest Welcome with its tree, that the relay takes (`spec/relay.md` §2).
const COMMIT_MAX_BYTES: usize = 1_500_000;
/// Largest request: 2 MiB, but for what travels around it.
const REQUEST_MAX_BYTES: usize = 2 * 1024 * 1024 - 1_024;
/// A carried certificate counts for 600 s; some are left for the way.
const PROOF_SECONDS: u64 = 590;

/// A commit on its way: sent again, byte for byte, until its fate is certain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Submission {
    #[serde(with = "serde_bytes")]
    request: Vec<u8>,
    not_after: u32,
    /// Whether it is the first intent's; otherwise it only takes leavers out.
    pub for_intent: bool,
    /// What tells the joiners, once it is accepted; of a home that was written before Welcomes were
    /// looked at.
    pub deposits: Vec<OutgoingDeposit>,
    /// Its Welcome, if anybody joins.
    #[serde(default)]
    pub welcome: Option<OwnWelcome>,
    pub added: Vec<[u8; 16]>,
    pub removed: Vec<[u8; 16]>,
    pub policy_changed: bool,
}

/// A change with everything that its commit carries.
#[derive(Default)]
pub(crate) struct Prepared {
    pub change: Change,
    pub joiners: Vec<ClaimedDevice>,
    /// What shows the joiners' accounts to the others.
    pub proved: Vec<Proved>,
}

impl Client {
    /// Makes a commit and stores it, ready to be sent. `Ok(false)`: there is nothing to change.
    pub(super) async fn stage(
        &mut self,
        queue: QueueId,
        intent: Option<&Intent>,
    ) -> Result<bool, ClientError> {
        self.connection.ensure_time().await?;
        let Some(prepared) = self.prepare(queue, intent).await? else {
            return Ok(false);
        };
        if !prepared.change.add.is_empty() {
            self.connection.check_clock()?;
        }
        let now = self.connection.now_seconds();
        let oldest = prepared
            .proved
            .iter()
            .map(|proved| proved.certified_ns / 1_000_000_000)
            .min();
        let proofs_end = oldest.map_or(u64::MAX, |seconds| seconds + PROOF_SECONDS);
        let not_after = u32::try_from((now + POST_SECONDS).min(proofs_end)).unwrap_or(u32::MAX);
        let set = self.store.begin();
        let mut conversation = Conversation::load(&set, queue)?;
        let provider = self.crypto.with(set.mls());
        let mut group = Group::load(&provider, conversation.group.clone())?;
        let removed = accounts_of(&group, &prepared.change.remove);
        let mut added: Vec<_> = prepared
            .change
            .add
            .iter()
            .map(|package| package.credential.account.0)
            .collect();
        added.dedup();
        let base = Base {
            canister: conversation.shard()?,
            seq: conversation.cursor.seq,
            head: conversation.cursor.head,
            commit_head: conversation.cursor.commit_head,
            not_after,
            proofs: prepared
                .proved
                .into_iter()
                .map(|proved| proved.proof)
                .collect(),
            reset: self.claim_of(&set, &conversation)?,
        };
        let staged = group.commit(
            &self.crypto,
            &provider,
            &self.device,
            &prepared.change,
            base,
        )?;
        let request = encode(&staged.submit);
        let bundle = &staged.submit.bundle;
        let bundle = bundle.wrapper.as_slice().len() + bundle.tree.as_slice().len();
        let post = staged.submit.post.as_slice().len();
        if post > COMMIT_MAX_BYTES || bundle > COMMIT_MAX_BYTES || request.len() > REQUEST_MAX_BYTES
        {
            return Err(GroupError::TooLarge.into());
        }
        let deposits = staged
            .pointers
            .iter()
            .map(|pointer| self.pointer_deposit(pointer, &prepared.joiners))
            .collect::<Result<Vec<_>, _>>()?;
        let pointers = &staged.pointers;
        let welcome = (!pointers.is_empty()).then(|| OwnWelcome {
            ids: pointers
                .iter()
                .map(|one| one.pointer.welcome_id.0)
                .collect(),
            accounts: added.clone(),
            devices: pointers.iter().map(|one| one.device.0).collect(),
            deposits,
            ..OwnWelcome::of(&staged.submit.bundle)
        });
        conversation.submission = Some(Submission {
            request,
            not_after,
            for_intent: intent.is_some(),
            deposits: Vec::new(),
            welcome,
            added,
            removed,
            policy_changed: prepared.change.policy.is_some(),
        });
        conversation.group = group.state().clone();
        conversation.save(&set)?;
        self.commit(set)?;
        Ok(true)
    }

    /// What an intent comes to in the group as it is now; `None` if there is nothing left of it.
    async fn prepare(
        &mut self,
        queue: QueueId,
        intent: Option<&Intent>,
    ) -> Result<Option<Prepared>, ClientError> {
        let (epoch, members, leaving, policy, revoked) = {
            let set = self.store.begin();
            let conversation = Conversation::load(&set, queue)?;
            let group = Group::load(&self.crypto.with(set.mls()), conversation.group.clone())?;
            let members: Vec<_> = group.members().collect();
            let revoked = self.removable(&set, &conversation, &group)?;
            (
                group.epoch(),
                members,
                group.leaving(),
                group.policy()?,
                revoked,
            )
        };
        let mut prepared = Prepared::default();
        let own = self.account.id();
        match intent {
            Some(Intent::Add { accounts, claimed }) => {
                if epoch > 0 && !policy.is_admin(&own) {
                    return Err(GroupError::NotAllowed.into());
                }
                self.prepare_add(queue, &members, accounts, claimed, &mut prepared)
                    .await?;
                if prepared.change.add.is_empty() && epoch > 0 {
                    return Ok(None);
                }
            }
            Some(Intent::AddAnew {
                accounts,
                devices,
                claimed,
            }) => {
                let (gone, stay): (Vec<_>, Vec<_>) = members
                    .iter()
                    .copied()
                    .partition(|member| devices.contains(&member.device));
                self.prepare_add(queue, &stay, accounts, claimed, &mut prepared)
                    .await?;
                prepared.change.remove = gone.iter().map(|member| member.leaf).collect();
                if prepared.change.add.is_empty() && gone.is_empty() {
                    return Ok(None);
                }
            }
            Some(Intent::Remove { accounts }) => {
                prepared.change.remove = members
                    .iter()
                    .filter(|member| accounts.contains(&member.account))
                    .map(|member| member.leaf)
                    .collect();
                if prepared.change.remove.is_empty() {
                    return Ok(None);
                }
                // Who comes back later comes back without the role.
                let mut after = policy.clone();
                after.admins.retain(|admin| !accounts.contains(&admin.0));
                if after != policy {
                    prepared.change.policy = Some(after);
                }
            }
            Some(Intent::RemoveOwn { devices }) => {
                prepared.change.remove = members
                    .iter()
                    .filter(|member| {
                        member.account() == own && devices.contains(&member.device().0)
                    })
                    .map(|member| member.leaf)
                    .collect();
                if prepared.change.remove.is_empty() {
                    return Ok(None);
                }
            }
            Some(Intent::MakeAdmin { account }) => {
                let account = AccountId(*account);
                if policy.is_admin(&account) {
                    return Ok(None);
                }
                let mut policy = policy;
                policy.admins.push(account);
                policy.admins.sort_unstable();
                prepared.change.policy = Some(policy);
            }
            Some(Intent::StepDown) => {
                let mut after = policy.clone();
                after.admins.retain(|admin| *admin != own);
                if after.admins.is_empty() {
                    let heir = members
                        .iter()
                        .find(|member| member.account() != own && !leaving.contains(&member.leaf));
                    after.admins.extend(heir.map(Member::account));
                }
                if after == policy || after.admins.is_empty() {
                    return Ok(None);
                }
                prepared.change.policy = Some(after);
            }
            Some(Intent::Reset {
                devices, claimed, ..
            }) => {
                let due = ResetDue {
                    devices,
                    claimed,
                    policy,
                };
                self.prepare_reset(queue, &members, due, &mut prepared)
                    .await?;
                if prepared.change.add.is_empty() && prepared.change.policy.is_none() && epoch > 0 {
                    return Ok(None);
                }
            }
            Some(Intent::ReAdd { message }) => {
                if !self.prepare_re_add(queue, message, &mut prepared).await? {
                    return Ok(None);
                }
            }
            Some(Intent::Renew) => {}
            // Nobody asked for it: it takes out who leaves and what was revoked.
            None => prepared.change.remove = revoked,
        }
        Ok(Some(prepared))
    }

    /// Sends the commit on its way and reads on. `Ok(false)`: another commit won.
    pub(super) async fn submit(
        &mut self,
        queue: QueueId,
        report: &mut SyncReport,
    ) -> Result<bool, ClientError> {
        let conversation = Conversation::load(&self.store.begin(), queue)?;
        let Some(submission) = conversation.submission.as_ref() else {
            return Ok(true);
        };
        let base_epoch = conversation.cursor.epoch;
        let answer = self
            .connection
            .update_at::<CommitAccepted, RelayError>(
                &conversation.shard()?,
                "submit_commit",
                &submission.request,
            )
            .await;
        let (answer, since_ns) = match answer {
            Ok(answered) => answered,
            // Nobody takes it, and its time is over: whether it was stored the log says.
            Err(ClientError::Unreachable(_) | ClientError::RelayUnreachable { .. })
                if self.connection.now_seconds() > u64::from(submission.not_after) =>
            {
                let expired = RelayError::Post(PostRefusal::Expired);
                (Err(expired.into()), self.connection.now_ns())
            }
            Err(other) => return Err(other),
        };
        let refusal = match answer {
            Ok(_) => None,
            Err(ClientError::Relay(
                refusal @ (RelayError::Post(_) | RelayError::TooLarge | RelayError::Full),
            )) => Some(refusal),
            Err(other) => return Err(other),
        };
        let certified_ns = self.catch_up_since(queue, since_ns, report).await?;
        let after = Conversation::load(&self.store.begin(), queue)?;
        let Some(still) = &after.submission else {
            self.check_own_welcome(queue).await?;
            self.send_deposits().await?;
            return Ok(refusal.is_none());
        };
        let Some(refusal) = refusal else {
            // Certified as accepted, and not among the entries up to the certified head.
            return Err(NotVerified::Epoch.into());
        };
        let expired = certified_ns / 1_000_000_000 > u64::from(still.not_after);
        if after.cursor.epoch != base_epoch || expired || is_final(refusal) {
            self.give_up_commit(queue)?;
        }
        match refusal {
            RelayError::TooLarge => {
                if still.for_intent {
                    self.forget_intent(queue)?;
                }
                Err(GroupError::TooLarge.into())
            }
            // A Welcome finds no room where its locator would lie: another one lies elsewhere.
            RelayError::Full
            | RelayError::Post(
                PostRefusal::StaleEpoch | PostRefusal::CatchUpFirst | PostRefusal::Expired,
            ) => Ok(false),
            other => Err(other.into()),
        }
    }

    /// Another member has submitted the commit on its way with a Welcome that opens nothing.
    ///
    /// # Errors
    /// [`ClientError`].
    #[cfg(feature = "testkit")]
    pub(crate) async fn stage_spoiled(
        &mut self,
        queue: QueueId,
        intent: Intent,
    ) -> Result<(), ClientError> {
        use paigham_wire::codec::decode;
        use paigham_wire::frame::PostRef;
        use paigham_wire::relay::SubmitCommit;
        self.stage(queue, Some(&intent)).await?;
        let set = self.store.begin();
        let mut conversation = Conversation::load(&set, queue)?;
        conversation.intents.push(intent);
        let group = Group::load(&self.crypto.with(set.mls()), conversation.group.clone())?;
        let malformed = || ClientError::Bug("a commit of ours");
        let submission = conversation.submission.as_mut().ok_or_else(malformed)?;
        let mut submit: SubmitCommit = decode(&submission.request).map_err(|_| malformed())?;
        let hash = PostRef::decode(submit.post.as_slice()).map_err(|_| malformed())?;
        let hash = hash.hash();
        submit.bundle.wrapper = b"opens nothing".to_vec().into();
        let shard = CanisterId::new(&conversation.shard).ok_or_else(malformed)?;
        group.sign_again(&self.crypto, &shard, &hash, &mut submit)?;
        submission.request = encode(&submit);
        conversation.save(&set)?;
        self.commit(set)
    }

    /// Gives the commit on its way up: it can never be accepted any more. Its intent stays.
    fn give_up_commit(&mut self, queue: QueueId) -> Result<(), ClientError> {
        let set = self.store.begin();
        let mut conversation = Conversation::load(&set, queue)?;
        let provider = self.crypto.with(set.mls());
        let mut group = Group::load(&provider, conversation.group.clone())?;
        group.abandon(&provider)?;
        conversation.group = group.state().clone();
        conversation.submission = None;
        conversation.save(&set)?;
        self.commit(set)
    }
}

/// Whether a certified refusal of a commit holds for good.
const fn is_final(refusal: RelayError) -> bool {
    match refusal {
        RelayError::Post(refusal) => matches!(
            refusal,
            PostRefusal::Malformed
                | PostRefusal::CatchUpFirst
                | PostRefusal::Expired
                | PostRefusal::WrongKind
                | PostRefusal::WrongSignature
                | PostRefusal::WrongGeneration
        ),
        _ => true,
    }
}

fn accounts_of(group: &Group, leaves: &[u32]) -> Vec<[u8; 16]> {
    let members: Vec<_> = group.members().collect();
    accounts_without(&members, &[leaves, &group.leaving()].concat())
}

/// The accounts that have no leaf any more once some leaves are gone: one that only loses a device
/// stays.
pub(super) fn accounts_without(members: &[Member], gone: &[u32]) -> Vec<[u8; 16]> {
    let is_gone = |member: &&Member| gone.contains(&member.leaf);
    let stay: BTreeSet<_> = members
        .iter()
        .filter(|member| !is_gone(member))
        .map(|member| member.account)
        .collect();
    let accounts = members.iter().filter(is_gone).map(|member| member.account);
    let gone: BTreeSet<_> = accounts.filter(|account| !stay.contains(account)).collect();
    gone.into_iter().collect()
}
