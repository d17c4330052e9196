//! What every member must judge alike: the rules of a commit.
//!
//! A verdict depends on the commit, the group's state, the proofs that it carries and the times in
//! the certified chain, never on the reader's clock or a later lookup. It is reached on the
//! `PublicMessage` and the public part of the group, before any path secret is touched, so that a
//! commit that only some members can open is still judged by all.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use openmls::prelude::{
    LeafNode, ProcessedMessage, ProcessedMessageContent, Proposal, ProposalOrRefType, Sender,
    StagedCommit,
};
use paigham_wire::envelope::{EnvelopePlaintext, GroupForm, GroupPolicy};
use paigham_wire::hash::{Hash, blake3};
use paigham_wire::reset::ReAddRequest;
use tls_codec::Serialize;

use crate::device::{KeyPackageLifetime, credential_of, is_small};
use crate::group::{Group, MAX_LEAVES, Member, exact_policy_of};
use crate::proof::{LeafClaim, ProofJudge, ShownAccount, proved_account};
use crate::re_add::ReAddedLeaf;

/// Commits by one leaf in an hour of chain time that add and remove nobody.
pub const RATE_MAX_COMMITS: usize = 12;
/// That hour.
pub const RATE_WINDOW_NS: u64 = 3_600 * NS_PER_SECOND;
pub(crate) const NS_PER_SECOND: u64 = 1_000_000_000;

/// The rule that a commit breaks. All honest members stop at the last good epoch.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize,
)]
pub enum Violation {
    /// GRP-001: external commits and senders from outside do not exist here.
    #[error("it was not sent by a member")]
    Outsider,
    /// GRP-002: Add, Remove and policy by value, SelfRemove by reference, nothing else; it carries
    /// exactly the SelfRemoves that it refers to.
    #[error("it carries a proposal that does not belong here")]
    Proposal,
    /// GRP-003: only admins add, remove others or change the policy.
    #[error("it does what its sender has no role for")]
    Role,
    /// GRP-004: every added leaf is proved to be a device of its account at the commit's time, by
    /// one proof for each account, in ascending order, and nothing else.
    #[error("it adds a leaf without a proof that holds")]
    Proof,
    /// GRP-005: the policy stays well formed; a direct chat stays one.
    #[error("it breaks the form of the group")]
    Policy,
    /// GRP-006: a leaf keeps its account, device and key, and a bearable size.
    #[error("it changes who a leaf is, or makes it too large")]
    Leaf,
    /// GRP-007: the rate rule.
    #[error("its sender commits too often")]
    Rate,
    /// GRP-008: at most 256 leaves, each device once.
    #[error("it makes the group too large or doubles a device")]
    Size,
    /// GRP-009: an added key package may be used at the commit's time.
    #[error("it adds a key package out of its lifetime")]
    KeyPackage,
    /// GRP-010: a leaf is replaced only at its device's signed request, which counts once.
    #[error("it replaces a leaf without a request that holds")]
    ReAdd,
}

/// What a judged commit does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Who made it.
    pub by: Member,
    /// Whom it adds: account, device, leaf key.
    pub added: Vec<LeafClaim>,
    /// Leaves that it removes, also those that leave by themselves.
    pub removed: Vec<u32>,
    /// The policy afterwards.
    pub policy: GroupPolicy,
    /// Leaves among the removed whose devices asked to be re-added.
    pub re_added: Vec<ReAddedLeaf>,
    /// The accounts of the added leaves, as the log shows them in the commit's proofs: to be kept
    /// and watched by whoever merges it.
    pub shown: Vec<ShownAccount>,
}

impl Judged {
    /// Whether it takes a leaf out for good, which starts a generation.
    pub(crate) fn takes_out(&self) -> bool {
        let comes_back = |leaf: &u32| self.re_added.iter().any(|one| one.leaf == *leaf);
        self.removed.iter().any(|leaf| !comes_back(leaf))
    }
}

impl Group {
    /// Judges what a commit does. `processed` comes from the public part of the group; `carried`
    /// are the leaves whose SelfRemoves travel with it, `requests` the re-adds; `accepted` is its
    /// time in the chain, or all times that it may get there.
    pub(crate) fn judge(
        &self,
        processed: &ProcessedMessage,
        carried: &[u32],
        requests: &[ReAddRequest],
        accepted: RangeInclusive<u64>,
    ) -> Result<Judged, Violation> {
        let Sender::Member(sender) = processed.sender() else {
            return Err(Violation::Outsider);
        };
        let by = self.member_at(sender.u32()).ok_or(Violation::Outsider)?;
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.content() else {
            return Err(Violation::Proposal);
        };
        let before = self.policy().map_err(|_| Violation::Policy)?;
        let policy =
            exact_policy_of(staged.group_context().extensions()).ok_or(Violation::Policy)?;
        let changes = changes(staged)?;
        if !changes.refers_to(carried) {
            return Err(Violation::Proposal);
        }
        let re_added = self.judge_re_adds(&changes, requests, &accepted)?;
        self.check_roles(&by, &before, &policy, &changes, &re_added)?;
        check_path(staged, &by)?;
        self.check_size(&changes)?;
        check_form(&before, &policy, &changes.added)?;
        self.check_direct(&by, &before, &changes)?;
        changes.check_lifetimes(&accepted)?;
        self.check_rate(&by, *accepted.start(), &changes)?;
        let removed = changes.removed.into_iter().chain(changes.left).collect();
        Ok(Judged {
            by,
            added: changes.added,
            removed,
            policy,
            re_added,
            shown: Vec::new(),
        })
    }

    fn check_roles(
        &self,
        by: &Member,
        before: &GroupPolicy,
        after: &GroupPolicy,
        changes: &Changes,
        re_added: &[ReAddedLeaf],
    ) -> Result<(), Violation> {
        let own_leaves = changes.removed.iter().all(|leaf| {
            let is_own = |m: Member| m.account == by.account;
            re_added.iter().any(|one| one.leaf == *leaf)
                || self.member_at(*leaf).is_some_and(is_own)
        });
        // Each re-added leaf is one that is added.
        let adds = changes.added.len() > re_added.len();
        let needs_role = adds || before != after || !own_leaves;
        if needs_role && !before.is_admin(&by.account()) {
            return Err(Violation::Role);
        }
        Ok(())
    }

    fn check_size(&self, changes: &Changes) -> Result<(), Violation> {
        let mut devices: Vec<_> = self
            .members()
            .filter(|member| !changes.takes_out(member.leaf))
            .map(|member| (member.account(), member.device()))
            .chain(changes.added.iter().map(|c| (c.account, c.device)))
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

    fn check_rate(&self, by: &Member, at: u64, changes: &Changes) -> Result<(), Violation> {
        let since = at.saturating_sub(RATE_WINDOW_NS);
        let recent = self
            .state
            .commits
            .iter()
            .filter(|(leaf, time)| *leaf == by.leaf && *time >= since)
            .count();
        if changes.is_plain() && recent >= RATE_MAX_COMMITS {
            Err(Violation::Rate)
        } else {
            Ok(())
        }
    }

    /// In a direct chat each may take the other's old devices out, but not the other: who wants to
    /// be rid of somebody leaves.
    fn check_direct(
        &self,
        by: &Member,
        before: &GroupPolicy,
        changes: &Changes,
    ) -> Result<(), Violation> {
        if before.form != GroupForm::Direct {
            return Ok(());
        }
        let put_out = changes.removed.iter().any(|leaf| {
            self.member_at(*leaf).is_some_and(|gone| {
                let stays = self
                    .members()
                    .any(|m| m.account == gone.account && !changes.removed.contains(&m.leaf));
                let comes_back = changes.added.iter().any(|c| c.account == gone.account());
                gone.account != by.account && !stays && !comes_back
            })
        });
        if put_out {
            Err(Violation::Policy)
        } else {
            Ok(())
        }
    }
}

/// Judges the proofs: one for each account of which a leaf is added, in ascending order, and
/// nothing else; each leaf is a device of its account at the commit's time. Returns the accounts
/// as they were shown.
pub(crate) fn judge_proofs(
    judged: &Judged,
    plaintext: &EnvelopePlaintext,
    accepted_at: u64,
    judge: &impl ProofJudge,
) -> Result<Vec<ShownAccount>, Violation> {
    let accounts: BTreeSet<_> = judged.added.iter().map(|claim| claim.account).collect();
    let proved: Result<Vec<_>, _> = plaintext.proofs.iter().map(proved_account).collect();
    let proved = proved.map_err(|_| Violation::Proof)?;
    if !accounts.iter().eq(&proved) {
        return Err(Violation::Proof);
    }
    let mut all_shown = Vec::new();
    for (account, proof) in proved.iter().zip(&plaintext.proofs) {
        let of_account = judged
            .added
            .iter()
            .filter(|claim| claim.account == *account);
        let claims: Vec<_> = of_account.copied().collect();
        let shown = judge
            .authorises(&claims, proof, accepted_at)
            .map_err(|_| Violation::Proof)?;
        all_shown.extend(shown);
    }
    Ok(all_shown)
}

/// What a commit's proposals do.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) added: Vec<LeafClaim>,
    /// BLAKE3 of their key packages.
    pub(crate) key_packages: Vec<Hash>,
    lifetimes: Vec<KeyPackageLifetime>,
    /// By the committer.
    pub(crate) removed: Vec<u32>,
    /// By themselves.
    left: Vec<u32>,
}

impl Changes {
    fn takes_out(&self, leaf: u32) -> bool {
        self.removed.contains(&leaf) || self.left.contains(&leaf)
    }

    fn is_plain(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.left.is_empty()
    }

    fn check_lifetimes(&self, accepted: &RangeInclusive<u64>) -> Result<(), Violation> {
        let cover = [accepted.start(), accepted.end()].iter().all(|time| {
            let seconds = **time / NS_PER_SECOND;
            self.lifetimes.iter().all(|known| known.covers(seconds))
        });
        if cover {
            Ok(())
        } else {
            Err(Violation::KeyPackage)
        }
    }

    /// Whether the commit refers to each SelfRemove that it carries, once, and nobody leaves twice.
    fn refers_to(&self, carried: &[u32]) -> bool {
        let mut left = self.left.clone();
        left.sort_unstable();
        left == carried && !self.left.iter().any(|leaf| self.removed.contains(leaf))
    }
}

fn changes(staged: &StagedCommit) -> Result<Changes, Violation> {
    let mut changes = Changes::default();
    for queued in staged.queued_proposals() {
        let by_value = matches!(queued.proposal_or_ref_type(), ProposalOrRefType::Proposal);
        match (queued.proposal(), by_value) {
            (Proposal::Add(add), true) => {
                let leaf = add.key_package().leaf_node();
                let claim = claim_of(leaf).filter(|_| is_small(leaf));
                changes.added.push(claim.ok_or(Violation::Leaf)?);
                let bytes = add.key_package().tls_serialize_detached();
                let bytes = bytes.map_err(|_| Violation::Proposal)?;
                changes.key_packages.push(blake3(&bytes));
                changes
                    .lifetimes
                    .push(KeyPackageLifetime::of(add.key_package()));
            }
            (Proposal::Remove(remove), true) => changes.removed.push(remove.removed().u32()),
            (Proposal::GroupContextExtensions(_), true) => {}
            (Proposal::SelfRemove, false) => {
                let Sender::Member(leaf) = queued.sender() else {
                    return Err(Violation::Outsider);
                };
                changes.left.push(leaf.u32());
            }
            _ => return Err(Violation::Proposal),
        }
    }
    Ok(changes)
}

pub(crate) fn claim_of(leaf: &LeafNode) -> Option<LeafClaim> {
    let credential = credential_of(leaf.credential())?;
    Some(LeafClaim {
        account: credential.account,
        device: credential.device,
        leaf_key: leaf.signature_key().as_slice().try_into().ok()?,
    })
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
    if same && is_small(leaf) {
        Ok(())
    } else {
        Err(Violation::Leaf)
    }
}

fn check_form(
    before: &GroupPolicy,
    after: &GroupPolicy,
    added: &[LeafClaim],
) -> Result<(), Violation> {
    let direct_stays = before.form != GroupForm::Direct
        || (before.admins == after.admins
            && added.iter().all(|claim| before.is_admin(&claim.account)));
    // A newer network file counts with its proof of logging, and there is no such proof yet.
    let same_network = after.network_sequence == before.network_sequence;
    if before.form == after.form && direct_stays && same_network {
        Ok(())
    } else {
        Err(Violation::Policy)
    }
}
