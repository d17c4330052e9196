//! What every member must judge alike: the rules of a commit.
//!
//! A verdict depends on the commit, the group's state, the proofs that it carries and the times in
//! the certified chain, never on the reader's clock or a later lookup. It is reached on the
//! `PublicMessage` and the public part of the group, before any path secret is touched, so that a
//! commit that only some members can open is still judged by all.

use openmls::prelude::{
    LeafNode, ProcessedMessage, ProcessedMessageContent, Proposal, ProposalOrRefType, Sender,
    StagedCommit,
};
use paigham_wire::envelope::{EnvelopePlaintext, GroupForm, GroupPolicy};

use crate::device::credential_of;
use crate::group::{Group, MAX_LEAVES, Member, context_extensions, policy_of};
use crate::proof::{LeafClaim, ProofJudge};

/// Commits by one leaf in an hour of chain time that add and remove nobody.
pub const RATE_MAX_COMMITS: usize = 12;
/// That hour.
pub const RATE_WINDOW_NS: u64 = 3_600 * 1_000_000_000;

/// The rule that a commit breaks. All honest members stop at the last good epoch.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize,
)]
pub enum Violation {
    /// GRP-001: external commits and senders from outside do not exist here.
    #[error("it was not sent by a member")]
    Outsider,
    /// GRP-002: Add, Remove and policy by value, SelfRemove by reference, nothing else.
    #[error("it carries a proposal that does not belong here")]
    Proposal,
    /// GRP-003: only admins add, remove others or change the policy.
    #[error("it does what its sender has no role for")]
    Role,
    /// GRP-004: every added leaf is proved to be a device of its account at the commit's time.
    #[error("it adds a leaf without a proof that holds")]
    Proof,
    /// GRP-005: the policy stays well formed; a direct chat stays one.
    #[error("it breaks the form of the group")]
    Policy,
    /// GRP-006: a leaf keeps its account, device and key.
    #[error("it changes who a leaf is")]
    Leaf,
    /// GRP-007: the rate rule.
    #[error("its sender commits too often")]
    Rate,
    /// GRP-008: at most 256 leaves, each device once.
    #[error("it makes the group too large or doubles a device")]
    Size,
}

/// What a judged commit does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Who made it.
    pub by: Member,
    /// Whom it adds: account, device, leaf key.
    pub added: Vec<LeafClaim>,
    /// Leaves that it removes.
    pub removed: Vec<u32>,
    /// The policy afterwards.
    pub policy: GroupPolicy,
}

impl Group {
    /// Judges a staged commit; `processed` comes from the public part of the group.
    pub(crate) fn judge(
        &self,
        processed: &ProcessedMessage,
        plaintext: &EnvelopePlaintext,
        accepted_at: u64,
        judge: &impl ProofJudge,
    ) -> Result<Judged, Violation> {
        let Sender::Member(sender) = processed.sender() else {
            return Err(Violation::Outsider);
        };
        let by = self.member_at(sender.u32()).ok_or(Violation::Outsider)?;
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.content() else {
            return Err(Violation::Outsider);
        };
        let before = self.policy().map_err(|_| Violation::Policy)?;
        let policy = check_policy(staged)?;
        let (added, removed, left) = self.changes(staged)?;
        self.check_roles(&by, &before, &policy, &added, &removed)?;
        check_path(staged, &by)?;
        self.check_size(&added, &removed, &left)?;
        check_form(&before, &policy, &added)?;
        for claim in &added {
            judge
                .authorises(claim, &plaintext.proofs, accepted_at)
                .map_err(|_| Violation::Proof)?;
        }
        let plain = added.is_empty() && removed.is_empty() && left.is_empty();
        self.check_rate(&by, accepted_at, plain)?;
        let removed = removed.into_iter().chain(left).collect();
        Ok(Judged {
            by,
            added,
            removed,
            policy,
        })
    }

    /// (added, removed by the committer, left by themselves)
    fn changes(&self, staged: &StagedCommit) -> Result<Changes, Violation> {
        let (mut added, mut removed, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for queued in staged.queued_proposals() {
            let by_value = matches!(queued.proposal_or_ref_type(), ProposalOrRefType::Proposal);
            match (queued.proposal(), by_value) {
                (Proposal::Add(add), true) => {
                    let claim = claim_of(add.key_package().leaf_node()).ok_or(Violation::Leaf)?;
                    added.push(claim);
                }
                (Proposal::Remove(remove), true) => removed.push(remove.removed().u32()),
                (Proposal::GroupContextExtensions(_), true) => {}
                (Proposal::SelfRemove, false) => {
                    let Sender::Member(leaf) = queued.sender() else {
                        return Err(Violation::Outsider);
                    };
                    left.push(leaf.u32());
                }
                _ => return Err(Violation::Proposal),
            }
        }
        Ok((added, removed, left))
    }

    fn check_roles(
        &self,
        by: &Member,
        before: &GroupPolicy,
        after: &GroupPolicy,
        added: &[LeafClaim],
        removed: &[u32],
    ) -> Result<(), Violation> {
        let own_leaves = removed.iter().all(|leaf| {
            self.member_at(*leaf)
                .is_some_and(|m| m.account == by.account)
        });
        let needs_role = !added.is_empty() || before != after || !own_leaves;
        if needs_role && !before.is_admin(&by.account()) {
            return Err(Violation::Role);
        }
        Ok(())
    }

    fn check_size(
        &self,
        added: &[LeafClaim],
        removed: &[u32],
        left: &[u32],
    ) -> Result<(), Violation> {
        let stay =
            |member: &Member| !removed.contains(&member.leaf) && !left.contains(&member.leaf);
        let mut devices: Vec<_> = self
            .members()
            .filter(stay)
            .map(|member| (member.account(), member.device()))
            .chain(added.iter().map(|claim| (claim.account, claim.device)))
            .collect();
        let count = devices.len();
        devices.sort_unstable();
        devices.dedup();
        if devices.len() != count || count > MAX_LEAVES {
            Err(Violation::Size)
        } else {
            Ok(())
        }
    }

    fn check_rate(&self, by: &Member, accepted_at: u64, plain: bool) -> Result<(), Violation> {
        let since = accepted_at.saturating_sub(RATE_WINDOW_NS);
        let recent = self
            .state
            .commits
            .iter()
            .filter(|(leaf, at)| *leaf == by.leaf && *at >= since)
            .count();
        if plain && recent >= RATE_MAX_COMMITS {
            Err(Violation::Rate)
        } else {
            Ok(())
        }
    }
}

type Changes = (Vec<LeafClaim>, Vec<u32>, Vec<u32>);

pub(crate) fn claim_of(leaf: &LeafNode) -> Option<LeafClaim> {
    let credential = credential_of(leaf.credential())?;
    Some(LeafClaim {
        account: credential.account,
        device: credential.device,
        leaf_key: leaf.signature_key().as_slice().try_into().ok()?,
    })
}

/// The extensions afterwards are exactly those that the policy afterwards makes.
fn check_policy(staged: &StagedCommit) -> Result<GroupPolicy, Violation> {
    let extensions = staged.group_context().extensions();
    let policy = policy_of(extensions).ok_or(Violation::Policy)?;
    let expected = context_extensions(&policy).map_err(|_| Violation::Policy)?;
    let same = extensions.iter().count() == expected.iter().count()
        && expected
            .iter()
            .all(|wanted| extensions.iter().any(|there| there == wanted));
    if same {
        Ok(policy)
    } else {
        Err(Violation::Policy)
    }
}

fn check_path(staged: &StagedCommit, by: &Member) -> Result<(), Violation> {
    let Some(leaf) = staged.update_path_leaf_node() else {
        return Ok(());
    };
    let same = claim_of(leaf).is_some_and(|claim| {
        claim.account == by.account()
            && claim.device == by.device()
            && claim.leaf_key == by.leaf_key
    });
    if same { Ok(()) } else { Err(Violation::Leaf) }
}

fn check_form(
    before: &GroupPolicy,
    after: &GroupPolicy,
    added: &[LeafClaim],
) -> Result<(), Violation> {
    let direct_stays = before.form != GroupForm::Direct
        || (before.admins == after.admins
            && added.iter().all(|claim| before.is_admin(&claim.account)));
    let number_rises = after.network_sequence >= before.network_sequence;
    if before.form == after.form && direct_stays && number_rises {
        Ok(())
    } else {
        Err(Violation::Policy)
    }
}
