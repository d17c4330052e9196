//! A group that stopped goes on in a new queue (`spec/groups.md` §9, `spec/client.md` §11).
//!
//! ```text
//! old   … good commits ─●  ✗ a commit that breaks a rule
//!                        └──▶ claim ──▶ new queue: the same members without the offender
//! ```
//! Whoever makes it and how many do it at once: everybody ends in the same one, and the user sees
//! one conversation.

use paigham_group::reset::{MEMBERS_WAIT_NS, Rank, StoppedAt, with_admin};
use paigham_group::verdict::Violation;
use paigham_group::{Group, GroupError};
use paigham_store::WriteSet;
use paigham_wire::envelope::GroupPolicy;
use paigham_wire::ids::{AccountId, DeviceId, QueueId};
use paigham_wire::reset::{LeftOut, ResetClaim};
use serde::{Deserialize, Serialize};

use super::change::OldDevice;
use super::continues::{Continues, candidates};
use super::{Conversation, Intent, StoredStanding, peer_of};
use crate::client::Client;
use crate::error::ClientError;
use crate::view::SyncReport;

/// Who may make a group anew does it so many seconds apart, so that not all do it at once.
const TURN_SECONDS: u64 = 60;
/// How much later than its right begins a member makes use of it: clocks differ, and a group that
/// was made too early is refused by all.
const MARGIN_NS: u64 = 10 * 60 * 1_000_000_000;

/// Where and why a conversation stopped; its members, roles, policy and place in the chain are those
/// of its group and cursor, which stay as the last good epoch left them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stop {
    /// The rule that was broken; `None` if the commit cannot be applied.
    pub rule: Option<Violation>,
    /// Who broke it: leaf and account.
    pub offender: Option<(u32, [u8; 16])>,
    /// When the relay took the commit, nanoseconds since 1970.
    pub accepted_at: u64,
}

impl Stop {
    pub fn offender(&self) -> Option<AccountId> {
        self.offender.map(|(_, account)| AccountId(account))
    }
}

impl Conversation {
    /// The place where it stopped, if it did.
    pub fn stopped_at(&self) -> Option<StoppedAt> {
        let stop = self.stop.as_ref()?;
        matches!(self.standing, StoredStanding::Stopped(_)).then(|| StoppedAt {
            commit_head: self.cursor.commit_head,
            offender: stop.offender(),
            accepted_at: stop.accepted_at,
        })
    }
}

impl Client {
    /// Makes a group anew that stopped: an admin at once, anybody after a day.
    ///
    /// # Errors
    /// [`ClientError::NotStopped`], [`ClientError::NotYet`], or as [`Client::create_group`].
    pub async fn reset(&mut self, queue: QueueId) -> Result<QueueId, ClientError> {
        let one = Conversation::load(&self.store.begin(), queue)?;
        if one.continued_by.is_some() || one.continues.is_some() {
            return self.current(queue);
        }
        let Some((may_from, _)) = self.reset_times(&one)? else {
            return Err(ClientError::NotStopped);
        };
        let now = self.connection.now_ns();
        if now < may_from {
            return Err(ClientError::NotYet((may_from - now) / 1_000_000_000));
        }
        self.sync_account().await?;
        let new = self.begin_reset(queue).await?;
        self.settle(new, &mut SyncReport::default()).await?;
        self.current(new)
    }

    /// Makes anew, each when it is this device's turn, what stopped and nobody has made anew.
    pub(crate) async fn reset_all(&mut self) -> Result<(), ClientError> {
        for one in self.all_conversations()? {
            let Some((_, turn)) = self.reset_times(&one)? else {
                continue;
            };
            if turn <= self.connection.now_ns() {
                let outcome = self.begin_reset(one.queue()).await;
                self.one_failed(&one, outcome.map(|_| ()))?;
            }
        }
        Ok(())
    }

    /// From when on this device may make a conversation anew, and when it does so by itself;
    /// `None` if there is nothing to be made, or it is on its way.
    fn reset_times(&self, one: &Conversation) -> Result<Option<(u64, u64)>, ClientError> {
        let Some(stop) = one.stop.as_ref().filter(|_| one.stopped_at().is_some()) else {
            return Ok(None);
        };
        let set = self.store.begin();
        if one.continued_by.is_some() || !candidates(&set, one.queue)?.is_empty() {
            return Ok(None);
        }
        let group = Group::load(&self.crypto.with(set.mls()), one.group.clone())?;
        let offender = stop.offender();
        if group.policy_of_reset(offender).is_err() {
            return Ok(None);
        }
        let Ok((is_admin, before)) = group.turn_in_reset(group.own_leaf(), offender) else {
            return Ok(None);
        };
        let may_from = if is_admin {
            stop.accepted_at
        } else {
            stop.accepted_at.saturating_add(MEMBERS_WAIT_NS + MARGIN_NS)
        };
        // What cannot be applied may be for others: first they are asked.
        let patience = match (is_admin, stop.rule) {
            (true, None) => MEMBERS_WAIT_NS,
            _ => 0,
        };
        let turn = before.saturating_mul(TURN_SECONDS * 1_000_000_000);
        let turn = may_from.saturating_add(patience).saturating_add(turn);
        Ok(Some((may_from, turn)))
    }

    /// Makes the new group, in one step; what follows is settled like any conversation's beginning.
    async fn begin_reset(&mut self, queue: QueueId) -> Result<QueueId, ClientError> {
        self.connection.ensure_time().await?;
        let new = self.new_queue().await?;
        let set = self.store.begin();
        let old = Conversation::load(&set, queue)?;
        let stopped = old.stopped_at().ok_or(ClientError::NotStopped)?;
        let provider = self.crypto.with(set.mls());
        let stopped_group = Group::load(&provider, old.group)?;
        let own = self.account.id();
        let policy = stopped_group.policy_of_reset(stopped.offender)?;
        // Who has no role adds the others nevertheless, and loses the role by the same commit.
        let beginning = with_admin(&policy, own);
        let group = Group::create(&provider, &self.device, new.id, &beginning, &new.control)?;
        let devices = stopped_group
            .survivors(stopped.offender)
            .filter(|member| member.leaf != stopped_group.own_leaf())
            .map(|member| OldDevice {
                account: member.account,
                device: member.device,
                leaf_key: member.leaf_key,
            })
            .collect();
        let rank = Rank {
            by_member: !stopped_group.policy()?.is_admin(&own),
            leaf: stopped_group.own_leaf(),
            queue: new.id.0,
        };
        let admins: Vec<_> = policy.admins.iter().map(|admin| admin.0).collect();
        let peer = peer_of(policy.form, &admins, own);
        let all_over = Intent::Reset {
            devices,
            left_out: Vec::new(),
            claimed: Vec::new(),
        };
        let mut one = Conversation {
            continues: Some(Continues::new(&stopped_group, stopped.offender, rank)),
            ..Conversation::beginning(&new, peer, &group, vec![all_over])
        };
        one.reflect(&group)?;
        one.enter(&set)?;
        self.commit(set)?;
        Ok(new.id)
    }

    /// The policy of a reset once all are in it.
    pub(super) fn policy_of_reset(&self, new: QueueId) -> Result<GroupPolicy, ClientError> {
        let set = self.store.begin();
        let one = Conversation::load(&set, new)?;
        let continues = one.continues.ok_or(ClientError::Bug("no reset"))?;
        let old = Conversation::load(&set, QueueId(continues.old))?;
        let group = Group::load(&self.crypto.with(set.mls()), old.group)?;
        Ok(group.policy_of_reset(continues.without.map(AccountId))?)
    }

    /// What joiners are told by the next commit of a conversation, if it is one that takes members
    /// of an old one over.
    pub(super) fn claim_of(
        &self,
        set: &WriteSet,
        one: &Conversation,
    ) -> Result<Option<ResetClaim>, ClientError> {
        let (Some(continues), Some(Intent::Reset { left_out, .. })) =
            (&one.continues, one.intents.first())
        else {
            return Ok(None);
        };
        let old = Conversation::load(set, QueueId(continues.old))?;
        let stopped = old.stopped_at().ok_or(ClientError::NotStopped)?;
        let group = Group::load(&self.crypto.with(set.mls()), old.group)?;
        let left_out = left_out.iter().map(|gone| LeftOut {
            account: AccountId(gone.account),
            device: DeviceId(gone.device),
        });
        Ok(Some(group.claim_reset(
            &self.device,
            stopped.commit_head,
            one.queue(),
            left_out.collect(),
        )))
    }

    /// Judges a group that a Welcome leads to and that says that it continues another one.
    pub(super) async fn judge_reset(
        &mut self,
        claim: &ResetClaim,
        new: &Group,
        accepted_at: u64,
    ) -> Result<Continues, ClientError> {
        let (rank, continues) = {
            let set = self.store.begin();
            let old = Conversation::load(&set, claim.old).map_err(|_| not_ours())?;
            let stopped = match (&old.standing, old.stopped_at()) {
                (_, Some(stopped)) => stopped,
                // The commit at which it stops may be yet to come from a node that is behind.
                (StoredStanding::Open | StoredStanding::Leaving, None) => {
                    return Err(ClientError::Unfinished("the group is not over"));
                }
                _ => return Err(not_ours()),
            };
            let group = Group::load(&self.crypto.with(set.mls()), old.group)?;
            let rank = group.judge_reset(&stopped, claim, new, accepted_at)?;
            (rank, Continues::new(&group, stopped.offender, rank))
        };
        if rank.by_member {
            self.check_left_out(&claim.left_out).await?;
        }
        Ok(continues)
    }

    /// Who has no role to remove anybody leaves out only what the log has revoked.
    async fn check_left_out(&mut self, left_out: &[LeftOut]) -> Result<(), ClientError> {
        let mut accounts: Vec<_> = left_out.iter().map(|gone| gone.account).collect();
        accounts.dedup();
        let seen = self.look_up(&accounts).await?;
        for gone in left_out {
            let counts = seen.iter().any(|one| {
                let standing = one.state.at(one.now_ns);
                one.state.account() == gone.account
                    && !one.state.is_deleted(one.now_ns)
                    && standing
                        .devices
                        .iter()
                        .any(|entry| entry.device == gone.device)
            });
            if counts {
                return Err(paigham_group::reset::ResetRefusal::Members.into());
            }
        }
        Ok(())
    }
}

fn not_ours() -> ClientError {
    GroupError::Welcome("it continues a group that this device is not in").into()
}
