//! Reset: what a new group must be to continue one that stopped (`spec/groups.md` §9).
//!
//! Everybody who stands at the last good epoch comes to the same answer: who is taken over, under
//! which policy, and of several resets which counts.

use paigham_wire::codec::decode;
use paigham_wire::envelope::{GroupForm, GroupPolicy, VERSION, WelcomeWrapper, wrapper_extension};
use paigham_wire::hash::Hash;
use paigham_wire::ids::{AccountId, QueueId};
use paigham_wire::reset::{LeftOut, ResetClaim};

use crate::device::DeviceKeys;
use crate::error::GroupError;
use crate::group::{Group, Member};
use crate::verdict::NS_PER_SECOND;

/// After so much chain time any member may make the group anew, an admin at once: 24 h.
pub const MEMBERS_WAIT_NS: u64 = 24 * 3_600 * NS_PER_SECOND;
/// Most devices that one commit of a reset takes over; a whole Welcome bundle of so many fits the
/// relay's limit (some 2.7 KB a key package, 1.3 KB a Welcome).
pub const DEVICES_A_COMMIT: usize = 100;

/// Why a new group does not continue the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResetRefusal {
    /// The claim is not signed by a leaf of the last good epoch that may make a reset.
    #[error("the group was not made anew by a member of it")]
    Creator,
    /// It is about another queue.
    #[error("it continues another group, or says so in another queue")]
    Queue,
    /// It cites another commit than the newest valid one.
    #[error("it does not continue from the newest valid change")]
    Position,
    /// A member made it before its time.
    #[error("a member made it before its time")]
    Early,
    /// Its members are not those of the last good epoch without the offender.
    #[error("its members are not those that the group had")]
    Members,
    /// Roles, name or form differ.
    #[error("its rules are not those that the group had")]
    Policy,
}

/// Where a group stopped: the same for every member who stopped there with the same verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoppedAt {
    /// Commit head of the last good epoch.
    pub commit_head: Hash,
    /// Whose commit it was, if it broke a rule.
    pub offender: Option<AccountId>,
    /// When the relay took it, nanoseconds since 1970.
    pub accepted_at: u64,
}

/// Which reset counts of several: the least. Admins' go first, then the lower leaf of the creator;
/// of two by one creator any one, the same for all.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Rank {
    /// Whether its creator was no admin of the last good epoch.
    pub by_member: bool,
    /// The creator's leaf there.
    pub leaf: u32,
    /// The new queue.
    pub queue: [u8; 32],
}

impl Group {
    /// The leaves that a reset takes over.
    pub fn survivors(&self, offender: Option<AccountId>) -> impl Iterator<Item = Member> + '_ {
        self.members()
            .filter(move |member| Some(member.account()) != offender)
    }

    /// The policy of the group that continues this one: the same, without the offender. If it was
    /// the only admin, the account with the lowest leaf is one.
    ///
    /// # Errors
    /// [`GroupError::NotAllowed`] in a direct chat without one of the two, and where nobody is left.
    pub fn policy_of_reset(&self, offender: Option<AccountId>) -> Result<GroupPolicy, GroupError> {
        let mut policy = self.policy()?;
        if policy.form == GroupForm::Direct && offender.is_some() {
            return Err(GroupError::NotAllowed);
        }
        policy.admins.retain(|admin| Some(*admin) != offender);
        if policy.admins.is_empty() {
            let heir = self.survivors(offender).min_by_key(|member| member.leaf);
            policy.admins.extend(heir.map(|heir| heir.account()));
        }
        if policy.admins.is_empty() {
            return Err(GroupError::NotAllowed);
        }
        Ok(policy)
    }

    /// How many wait before a leaf, among those who may make a reset: admins first, then by leaf.
    /// So that they do not all do it at once.
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn turn_in_reset(
        &self,
        leaf: u32,
        offender: Option<AccountId>,
    ) -> Result<(bool, u64), GroupError> {
        let policy = self.policy()?;
        let place = |member: &Member| (!policy.is_admin(&member.account()), member.leaf);
        let own = self
            .survivors(offender)
            .find(|member| member.leaf == leaf)
            .ok_or(GroupError::NotAllowed)?;
        let before = self
            .survivors(offender)
            .filter(|member| place(member) < place(&own))
            .count();
        Ok((
            policy.is_admin(&own.account()),
            u64::try_from(before).unwrap_or(u64::MAX),
        ))
    }

    /// The claim of the group that continues this one, whose last good epoch this is.
    #[must_use]
    pub fn claim_reset(
        &self,
        device: &DeviceKeys,
        commit_head: Hash,
        new: QueueId,
        mut left_out: Vec<LeftOut>,
    ) -> ResetClaim {
        left_out.sort_unstable();
        left_out.dedup();
        let claim = ResetClaim {
            version: VERSION,
            old: self.queue(),
            new,
            epoch: self.epoch(),
            commit_head,
            authenticator_hash: self.authenticator_hash(),
            leaf: self.own_leaf(),
            left_out,
            signature: [0; 64],
        };
        claim.sign(device.leaf_key())
    }

    /// Judges a group that says that it continues this one, whose last good epoch this is; `at` is
    /// when the commit that leads there was accepted (ns). What it leaves out is for the caller to
    /// compare with the log.
    ///
    /// # Errors
    /// [`ResetRefusal`].
    pub fn judge_reset(
        &self,
        stopped: &StoppedAt,
        claim: &ResetClaim,
        new: &Self,
        at: u64,
    ) -> Result<Rank, ResetRefusal> {
        if claim.old != self.queue() || claim.new != new.queue() {
            return Err(ResetRefusal::Queue);
        }
        let creator = self
            .survivors(stopped.offender)
            .find(|member| member.leaf == claim.leaf && claim.verify(&member.leaf_key))
            .ok_or(ResetRefusal::Creator)?;
        let is_ours = claim.epoch == self.epoch()
            && claim.commit_head == stopped.commit_head
            && claim.authenticator_hash == self.authenticator_hash();
        if !is_ours {
            return Err(ResetRefusal::Position);
        }
        let is_admin = self
            .policy()
            .is_ok_and(|policy| policy.is_admin(&creator.account()));
        if !is_admin && at < stopped.accepted_at.saturating_add(MEMBERS_WAIT_NS) {
            return Err(ResetRefusal::Early);
        }
        let is_whole = self.judge_members(stopped, claim, new)?;
        self.judge_policy(stopped, &creator, new, is_whole)?;
        Ok(Rank {
            by_member: !is_admin,
            leaf: creator.leaf,
            queue: new.queue().0,
        })
    }

    /// Whether all are there who are to come. In a large group others follow with later commits.
    fn judge_members(
        &self,
        stopped: &StoppedAt,
        claim: &ResetClaim,
        new: &Self,
    ) -> Result<bool, ResetRefusal> {
        let key = |m: &Member| (m.account, m.device, m.leaf_key);
        let is_left_out = |member: &Member| {
            claim
                .left_out
                .iter()
                .any(|gone| gone.account == member.account() && gone.device == member.device())
        };
        let mut due: Vec<_> = self
            .survivors(stopped.offender)
            .filter(|member| !is_left_out(member))
            .map(|member| key(&member))
            .collect();
        let mut there: Vec<_> = new.members().map(|member| key(&member)).collect();
        due.sort_unstable();
        there.sort_unstable();
        let is_whole = there == due;
        let is_part = due.len() > DEVICES_A_COMMIT
            && there.iter().all(|leaf| due.binary_search(leaf).is_ok())
            && there.len() > DEVICES_A_COMMIT;
        if is_whole || is_part {
            Ok(is_whole)
        } else {
            Err(ResetRefusal::Members)
        }
    }

    /// The rules are the old ones. While others are to come, the creator may have the role to add
    /// them; it has lost it when all are there.
    fn judge_policy(
        &self,
        stopped: &StoppedAt,
        creator: &Member,
        new: &Self,
        is_whole: bool,
    ) -> Result<(), ResetRefusal> {
        let due = self.policy_of_reset(stopped.offender);
        let due = due.map_err(|_| ResetRefusal::Policy)?;
        let there = new.policy().map_err(|_| ResetRefusal::Policy)?;
        let with_creator = with_admin(&due, creator.account());
        if there == due || (!is_whole && there == with_creator) {
            Ok(())
        } else {
            Err(ResetRefusal::Policy)
        }
    }
}

/// A policy with one more admin.
#[must_use]
pub fn with_admin(policy: &GroupPolicy, account: AccountId) -> GroupPolicy {
    let mut policy = policy.clone();
    policy.admins.push(account);
    policy.admins.sort_unstable();
    policy.admins.dedup();
    policy
}

/// What a Welcome says of a group that it continues; `None` for an ordinary one.
///
/// # Errors
/// [`GroupError::Welcome`] for what does not decode.
pub fn reset_claim(wrapper: &WelcomeWrapper) -> Result<Option<ResetClaim>, GroupError> {
    wrapper
        .extension(wrapper_extension::RESET)
        .map(|data| {
            decode(data).map_err(|_| GroupError::Welcome("its claim of a reset is malformed"))
        })
        .transpose()
}
