//! Administration of a relay or the directory by a threshold of principals (`spec/protocol.md`
//! §6.6).
//!
//! An administrator proposes an [`Action`]; when as many as the threshold have approved the same
//! bytes, it is executed and logged. The log is readable by all and its head is certified. No
//! action reaches a single queue, inbox, message or account: there is none that names one.
//!
//! [`Administration`] is the state machine; canisters keep it in an `AdministrationStore` (feature
//! `stable`), with what they let administrators set.

#[cfg(feature = "stable")]
mod store;

#[cfg(feature = "stable")]
pub use store::{AdministrationStore, Settings};

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use crate::codec::encode;
use crate::hash::{Hash, blake3_labelled, label};
use crate::ids::{CanisterId, PrincipalId};
use crate::shards::ShardMap;
use crate::ticket::Difficulties;

/// Most administrators of a canister.
pub const ADMINS_MAX: usize = 32;
/// Most gateways that may tail a relay.
pub const GATEWAYS_MAX: usize = 256;
/// Entries in one `admin_log` reply.
pub const ADMIN_LOG_PAGE: usize = 8;

const DAY_NS: u64 = 24 * 3_600 * 1_000_000_000;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Who administers, and how many of them must agree.
#[derive(Debug, Clone, PartialEq, Eq, Default, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct AdminSet {
    /// Ascending, without repetition.
    pub admins: Vec<PrincipalId>,
    /// From 1 to their number.
    pub threshold: u16,
}

impl AdminSet {
    /// Whether somebody administers, and not anybody.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        let ascending = self.admins.windows(2).all(|pair| pair[0] < pair[1]);
        let named = !self.admins.iter().any(PrincipalId::is_anonymous);
        let count = self.admins.len();
        ascending
            && named
            && count <= ADMINS_MAX
            && (1..=count).contains(&usize::from(self.threshold))
    }
}

/// What one queue or inbox may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Quotas {
    /// Bytes of posts that a queue takes in a day. Commits go on to twice as much, so that who
    /// floods a queue can still be removed from it.
    pub queue_bytes: u64,
    /// Posts that a queue takes in a day.
    pub queue_posts: u32,
    /// Commits that a queue takes in a day.
    pub queue_commits: u16,
    /// Bytes of blobs that the members of a queue may announce in a day.
    pub blob_bytes: u64,
    /// Deposits of strangers that an inbox retains, of all that it retains.
    pub stranger_deposits: u32,
}

impl Quotas {
    const LEAST: Self = Self {
        queue_bytes: MIB,
        queue_posts: 1_000,
        queue_commits: 100,
        blob_bytes: MIB,
        stranger_deposits: 10,
    };
    const MOST: Self = Self {
        queue_bytes: 64 * GIB,
        queue_posts: 10_000_000,
        queue_commits: 10_000,
        blob_bytes: 64 * GIB,
        stranger_deposits: 900,
    };

    /// Whether each lies between the least with which people can still talk and the most that a
    /// shard bears.
    #[must_use]
    pub fn are_allowed(&self) -> bool {
        let (least, most) = (Self::LEAST, Self::MOST);
        (least.queue_bytes..=most.queue_bytes).contains(&self.queue_bytes)
            && (least.queue_posts..=most.queue_posts).contains(&self.queue_posts)
            && (least.queue_commits..=most.queue_commits).contains(&self.queue_commits)
            && (least.blob_bytes..=most.blob_bytes).contains(&self.blob_bytes)
            && (least.stranger_deposits..=most.stranger_deposits).contains(&self.stranger_deposits)
    }
}

impl Default for Quotas {
    /// A thousand people who write a hundred messages each a day, twice over.
    fn default() -> Self {
        Self {
            queue_bytes: 256 * MIB,
            queue_posts: 200_000,
            queue_commits: 1_000,
            blob_bytes: 2 * GIB,
            stranger_deposits: 500,
        }
    }
}

/// How long a relay keeps entries at most, and how much room they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct RetentionBounds {
    /// Nanoseconds that posts are kept: 1 to 30 days.
    pub posts: u64,
    /// Nanoseconds that commits and Welcomes are kept: a day longer than posts, to 90 days.
    pub commits: u64,
    /// Bytes that posts and commits may take together: 1 to 400 GiB.
    pub bytes: u64,
}

impl RetentionBounds {
    /// Whether each lies within its bounds.
    #[must_use]
    pub fn are_allowed(&self) -> bool {
        (DAY_NS..=30 * DAY_NS).contains(&self.posts)
            && (self.posts + DAY_NS..=90 * DAY_NS).contains(&self.commits)
            && (GIB..=400 * GIB).contains(&self.bytes)
    }
}

/// What administrators can do.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum Action {
    /// Other administrators.
    #[tls_codec(discriminant = 1)]
    SetAdmins(AdminSet),
    /// Relay: what a queue and an inbox may cost.
    #[tls_codec(discriminant = 2)]
    SetQuotas(Quotas),
    /// Relay: who may tail it; ascending, at most [`GATEWAYS_MAX`].
    #[tls_codec(discriminant = 3)]
    SetGateways(Vec<PrincipalId>),
    /// Relay: work that tickets need.
    #[tls_codec(discriminant = 4)]
    SetDifficulties(Difficulties),
    /// Relay: how long entries are kept.
    #[tls_codec(discriminant = 5)]
    SetRetention(RetentionBounds),
    /// Directory: the shard map.
    #[tls_codec(discriminant = 6)]
    SetShards(ShardMap),
}

impl Action {
    /// Whether its values lie within their bounds.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        match self {
            Self::SetAdmins(set) => set.is_allowed(),
            Self::SetQuotas(quotas) => quotas.are_allowed(),
            Self::SetGateways(gateways) => {
                let ascending = gateways.windows(2).all(|pair| pair[0] < pair[1]);
                let named = !gateways.iter().any(PrincipalId::is_anonymous);
                ascending && named && gateways.len() <= GATEWAYS_MAX
            }
            Self::SetDifficulties(difficulties) => difficulties.are_allowed(),
            Self::SetRetention(bounds) => bounds.are_allowed(),
            Self::SetShards(map) => map.is_allowed(),
        }
    }
}

/// An action for one canister at one point of its log: what was executed before takes all other
/// open proposals away, so that nothing is executed in a state that its approvers did not see.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Proposal {
    /// For which canister.
    pub canister: CanisterId,
    /// Number of its log entry: as many as were executed before.
    pub number: u32,
    /// What to do.
    pub action: Action,
}

impl Proposal {
    /// H("paigham/1 admin proposal"; proposal): what approvers name.
    #[must_use]
    pub fn hash(&self) -> Hash {
        blake3_labelled(label::PROPOSAL, &[&encode(self)])
    }
}

/// An executed proposal.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct AdminEntry {
    /// What was executed.
    pub proposal: Proposal,
    /// Who approved it, in the order of approval.
    pub approvers: Vec<PrincipalId>,
    /// Canister time in nanoseconds since 1970.
    pub executed_at: u64,
}

impl AdminEntry {
    /// The head of the log behind it: H("paigham/1 admin log"; head before 32 ‖ entry).
    #[must_use]
    pub fn head(&self, before: &Hash) -> Hash {
        blake3_labelled(label::ADMIN_LOG, &[before, &encode(self)])
    }
}

/// A proposal that waits for approvals.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct OpenProposal {
    /// What is proposed.
    pub proposal: Proposal,
    /// Who approved it; the first proposed it.
    pub approvers: Vec<PrincipalId>,
}

/// The canister's argument at install: blob in Candid, this inside. Without one nobody
/// administers, and everything has its default.
#[derive(Debug, Clone, PartialEq, Eq, Default, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct InitArgument {
    /// Who administers.
    pub admins: Option<AdminSet>,
    /// Work that tickets need; little on a network for development.
    pub difficulties: Option<Difficulties>,
}

impl InitArgument {
    /// Whether its values lie within their bounds.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.admins.as_ref().is_none_or(AdminSet::is_allowed)
            && self.difficulties.is_none_or(|bits| bits.are_allowed())
    }
}

/// `admin_approve`: approves an open proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ApproveRequest {
    /// [`Proposal::hash`].
    pub proposal: Hash,
}

/// Reply of `admin_propose` (which takes a [`Proposal`]) and `admin_approve`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ApprovalReply {
    /// [`Proposal::hash`].
    pub proposal: Hash,
    /// Administrators who have approved it.
    pub approvals: u16,
    /// 1 if it was executed now, 0 if it waits.
    pub executed: u8,
}

/// `admin_log`: what was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct AdminLogRequest {
    /// Number of the first entry wanted.
    pub from: u32,
}

/// Reply of `admin_log`: at most [`ADMIN_LOG_PAGE`] entries. Followed from the first on, they lead
/// to the certified head.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct AdminLogReply {
    /// The canister's certificate.
    pub certificate: VLBytes,
    /// Witness over the leaf that has the head.
    pub witness: VLBytes,
    /// Who administers now.
    pub admins: AdminSet,
    /// What waits.
    pub open: Vec<OpenProposal>,
    /// Consecutive entries.
    pub entries: Vec<AdminEntry>,
}

/// Why a call of an administrator changed nothing.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes, thiserror::Error,
)]
#[repr(u8)]
pub enum AdminRefusal {
    /// The blob is not the method's request.
    #[error("malformed request")]
    Malformed = 1,
    /// The caller administers nothing here.
    #[error("not an administrator")]
    NotAdmin = 2,
    /// For another canister, or an action that this one does not have.
    #[error("for another canister")]
    WrongCanister = 3,
    /// Another proposal was executed meanwhile, or is to be executed before.
    #[error("not the next number of the log")]
    WrongNumber = 4,
    /// A value out of its bounds.
    #[error("out of bounds")]
    OutOfBounds = 5,
    /// No open proposal has this hash.
    #[error("no such proposal")]
    NoSuchProposal = 6,
    /// The canister has no certificate at hand: the call was not a plain query.
    #[error("no certificate at hand")]
    NoCertificate = 7,
}

/// The state machine: who administers, what waits, and where the log stands.
///
/// An administrator has one open proposal; a newer one replaces it, so that what waits is bounded
/// by the number of administrators and nobody can crowd the others out.
#[derive(Debug, Clone, PartialEq, Eq, Default, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Administration {
    set: AdminSet,
    entries: u32,
    head: Hash,
    open: Vec<OpenProposal>,
}

impl Administration {
    /// Of a new canister.
    #[must_use]
    pub fn new(set: AdminSet) -> Self {
        Self {
            set,
            ..Self::default()
        }
    }

    /// Who administers.
    #[must_use]
    pub const fn admins(&self) -> &AdminSet {
        &self.set
    }

    /// Number of executed proposals.
    #[must_use]
    pub const fn entries(&self) -> u32 {
        self.entries
    }

    /// Head of the log; zeros before the first.
    #[must_use]
    pub const fn head(&self) -> &Hash {
        &self.head
    }

    /// What waits.
    #[must_use]
    pub fn open(&self) -> &[OpenProposal] {
        &self.open
    }

    /// Proposes, which approves; proposing what is open approves it. Where the threshold is
    /// reached, returns what the canister has to log and apply.
    ///
    /// # Errors
    /// [`AdminRefusal`]; nothing is changed.
    pub fn propose(
        &mut self,
        caller: &PrincipalId,
        proposal: &Proposal,
        canister: &CanisterId,
        now: u64,
    ) -> Result<(ApprovalReply, Option<AdminEntry>), AdminRefusal> {
        self.check_admin(caller)?;
        if proposal.canister != *canister {
            return Err(AdminRefusal::WrongCanister);
        }
        if proposal.number != self.entries {
            return Err(AdminRefusal::WrongNumber);
        }
        if !proposal.action.is_allowed() {
            return Err(AdminRefusal::OutOfBounds);
        }
        let waits = |open: &OpenProposal| open.proposal == *proposal;
        if !self.open.iter().any(waits) {
            self.open
                .retain(|open| open.approvers.first() != Some(caller));
            self.open.push(OpenProposal {
                proposal: proposal.clone(),
                approvers: vec![caller.clone()],
            });
        }
        self.approve(caller, &proposal.hash(), now)
    }

    /// Approves an open proposal; a second time changes nothing. As [`Administration::propose`].
    ///
    /// # Errors
    /// [`AdminRefusal`]; nothing is changed.
    pub fn approve(
        &mut self,
        caller: &PrincipalId,
        proposal: &Hash,
        now: u64,
    ) -> Result<(ApprovalReply, Option<AdminEntry>), AdminRefusal> {
        self.check_admin(caller)?;
        let mut waiting = self.open.iter_mut();
        let open = waiting
            .find(|open| open.proposal.hash() == *proposal)
            .ok_or(AdminRefusal::NoSuchProposal)?;
        if !open.approvers.contains(caller) {
            open.approvers.push(caller.clone());
        }
        // At most ADMINS_MAX.
        let approvals = u16::try_from(open.approvers.len()).unwrap_or(u16::MAX);
        let mut reply = ApprovalReply {
            proposal: *proposal,
            approvals,
            executed: 0,
        };
        if approvals < self.set.threshold {
            return Ok((reply, None));
        }
        let entry = AdminEntry {
            proposal: open.proposal.clone(),
            approvers: open.approvers.clone(),
            executed_at: now,
        };
        self.execute(&entry);
        reply.executed = 1;
        Ok((reply, Some(entry)))
    }

    fn execute(&mut self, entry: &AdminEntry) {
        if let Action::SetAdmins(set) = &entry.proposal.action {
            self.set = set.clone();
        }
        self.head = entry.head(&self.head);
        self.entries = self.entries.saturating_add(1);
        self.open.clear();
    }

    fn check_admin(&self, caller: &PrincipalId) -> Result<(), AdminRefusal> {
        if self.set.admins.contains(caller) {
            Ok(())
        } else {
            Err(AdminRefusal::NotAdmin)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn admin(id: u8) -> PrincipalId {
        PrincipalId::new(&[9, id]).unwrap()
    }

    fn set(count: u8, threshold: u16) -> AdminSet {
        AdminSet {
            admins: (0..count).map(admin).collect(),
            threshold,
        }
    }

    fn here() -> CanisterId {
        CanisterId::new(&[1]).unwrap()
    }

    fn proposal(number: u32, bits: u8) -> Proposal {
        Proposal {
            canister: here(),
            number,
            action: Action::SetDifficulties(Difficulties::all(bits)),
        }
    }

    /// Three of five administrators agree: the third approval executes, and the log has who they
    /// were. One who approves twice counts once.
    #[test]
    fn the_threshold_executes() {
        let mut machine = Administration::new(set(5, 3));
        let wanted = proposal(0, 12);
        let hash = wanted.hash();
        let (reply, entry) = machine.propose(&admin(4), &wanted, &here(), 1).unwrap();
        assert_eq!((reply.approvals, entry), (1, None));
        for _ in 0..3 {
            let (reply, entry) = machine.approve(&admin(4), &hash, 2).unwrap();
            assert_eq!((reply.approvals, entry), (1, None));
        }
        let (reply, entry) = machine.approve(&admin(0), &hash, 3).unwrap();
        assert_eq!((reply.approvals, reply.executed, entry), (2, 0, None));
        let (reply, entry) = machine.propose(&admin(1), &wanted, &here(), 4).unwrap();
        assert_eq!((reply.approvals, reply.executed), (3, 1));
        let entry = entry.unwrap();
        assert_eq!(entry.approvers, [admin(4), admin(0), admin(1)]);
        assert_eq!(machine.entries(), 1);
        assert_eq!(*machine.head(), entry.head(&[0; 32]));
        assert_eq!(
            machine.approve(&admin(2), &hash, 5),
            Err(AdminRefusal::NoSuchProposal)
        );
    }

    /// A stranger, a proposal for another canister or number, and values out of bounds change
    /// nothing; where nobody administers, nobody can begin to.
    #[test]
    fn what_does_not_count_changes_nothing() {
        let mut machine = Administration::new(set(2, 2));
        machine
            .propose(&admin(0), &proposal(0, 9), &here(), 1)
            .unwrap();
        let before = machine.clone();
        let mut refused = |caller: u8, proposal: Proposal| {
            machine
                .propose(&admin(caller), &proposal, &here(), 2)
                .unwrap_err()
        };
        assert_eq!(refused(7, proposal(0, 9)), AdminRefusal::NotAdmin);
        assert_eq!(refused(1, proposal(1, 9)), AdminRefusal::WrongNumber);
        assert_eq!(refused(1, proposal(0, 99)), AdminRefusal::OutOfBounds);
        let elsewhere = Proposal {
            canister: CanisterId::new(&[2]).unwrap(),
            ..proposal(0, 9)
        };
        assert_eq!(refused(1, elsewhere), AdminRefusal::WrongCanister);
        assert_eq!(
            machine.approve(&admin(7), &proposal(0, 9).hash(), 2),
            Err(AdminRefusal::NotAdmin)
        );
        assert_eq!(machine, before);
        let mut nobodys = Administration::default();
        assert_eq!(
            nobodys.propose(&admin(0), &proposal(0, 9), &here(), 1),
            Err(AdminRefusal::NotAdmin)
        );
    }

    /// What was executed takes away what else waited: it was approved in another state.
    #[test]
    fn an_execution_ends_other_proposals() {
        let mut machine = Administration::new(set(3, 2));
        let (one, other) = (proposal(0, 10), proposal(0, 11));
        machine.propose(&admin(0), &one, &here(), 1).unwrap();
        machine.propose(&admin(1), &other, &here(), 1).unwrap();
        machine.approve(&admin(2), &one.hash(), 2).unwrap();
        assert!(machine.open().is_empty());
        assert_eq!(
            machine.approve(&admin(2), &other.hash(), 3),
            Err(AdminRefusal::NoSuchProposal)
        );
        assert_eq!(
            machine.propose(&admin(2), &other, &here(), 3),
            Err(AdminRefusal::WrongNumber)
        );
    }

    /// New administrators count from the moment of their execution on, and old ones no more.
    #[test]
    fn administrators_replace_themselves() {
        let mut machine = Administration::new(set(1, 1));
        let next = AdminSet {
            admins: vec![admin(5), admin(6)],
            threshold: 2,
        };
        let change = Proposal {
            action: Action::SetAdmins(next.clone()),
            ..proposal(0, 0)
        };
        machine.propose(&admin(0), &change, &here(), 1).unwrap();
        assert_eq!(*machine.admins(), next);
        assert_eq!(
            machine.propose(&admin(0), &proposal(1, 9), &here(), 2),
            Err(AdminRefusal::NotAdmin)
        );
        let (reply, _) = machine
            .propose(&admin(5), &proposal(1, 9), &here(), 2)
            .unwrap();
        assert_eq!(reply.executed, 0);
    }

    /// Sets that nobody or anybody could act for are refused.
    #[test]
    fn sets_are_checked() {
        assert!(set(3, 3).is_allowed());
        assert!(!set(3, 4).is_allowed());
        assert!(!set(3, 0).is_allowed());
        assert!(!set(0, 0).is_allowed());
        assert!(!set(33, 2).is_allowed());
        let anybody = AdminSet {
            admins: vec![PrincipalId::new(&[4]).unwrap()],
            threshold: 1,
        };
        assert!(!anybody.is_allowed());
    }

    /// Every default lies within the bounds that administrators have.
    #[test]
    fn defaults_are_allowed() {
        assert!(Action::SetQuotas(Quotas::default()).is_allowed());
        assert!(Action::SetDifficulties(Difficulties::default()).is_allowed());
    }

    proptest! {
        /// Whatever a number of administrators call in whatever order: nothing is executed with
        /// fewer distinct approvers than the threshold of the time, all of them administrators,
        /// and what waits stays bounded.
        #[test]
        fn nothing_is_executed_below_the_threshold(
            threshold in 1_u16..=4,
            calls in proptest::collection::vec((0_u8..6, 0_u8..3, any::<bool>()), 0..60),
        ) {
            let mut machine = Administration::new(set(4, threshold));
            for (caller, bits, proposes) in calls {
                let wanted = proposal(machine.entries(), bits);
                let before = machine.clone();
                let outcome = if proposes {
                    machine.propose(&admin(caller), &wanted, &here(), 1)
                } else {
                    machine.approve(&admin(caller), &wanted.hash(), 1)
                };
                match outcome {
                    Ok((_, Some(entry))) => {
                        let distinct: std::collections::BTreeSet<_> = entry.approvers.iter().collect();
                        prop_assert_eq!(distinct.len(), entry.approvers.len());
                        prop_assert!(distinct.len() >= usize::from(threshold));
                        prop_assert!(entry.approvers.iter().all(|who| before.set.admins.contains(who)));
                        prop_assert_eq!(machine.entries(), before.entries() + 1);
                    }
                    Ok((_, None)) => prop_assert_eq!(machine.entries(), before.entries()),
                    Err(_) => prop_assert_eq!(&machine, &before),
                }
                prop_assert!(machine.open().len() <= 4);
            }
        }
    }
}
