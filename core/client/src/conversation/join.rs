//! Joining: from a pointer in the inbox to a group whose members are all in the log.

use paigham_group::join::{join, open_wrapper};
use paigham_group::proof::{LeafClaim, check_device};
use paigham_group::reset::reset_claim;
use paigham_group::{Group, GroupError, Member};
use paigham_store::{Table, WriteSet};
use paigham_wire::codec::{decode, encode};
use paigham_wire::envelope::WelcomePointer;
use paigham_wire::hash::blake3;
use paigham_wire::ids::{AccountId, CanisterId, QueueId, WelcomeId};
use paigham_wire::leaf::{Leaf, WelcomeLeaf};
use paigham_wire::map::{Found, Witness};
use paigham_wire::relay::{RelayError, WelcomeReply, WelcomeRequest};
use paigham_wire::reset::ResetClaim;
use serde::{Deserialize, Serialize};

use super::history::StoredBody;
use super::{Conversation, MessageRow, StoredStanding, peer_of};
use crate::client::Client;
use crate::error::{ClientError, NotVerified};
use crate::people::next_number;
use crate::requests::Leave;
use crate::verify::{Cursor, Link, Seen};
use crate::view::{Notice, SyncReport, Verified};

const ALL: &[u8] = b"all";

/// Most pointers that wait; a flood of strangers' does not grow the home.
const WAITING_MAX: usize = 1_000;
/// Of these, most of strangers.
const STRANGERS_MAX: usize = 500;
/// A pointer whose group was so often found, under certificates, not to be one to join is
/// forgotten.
const MAX_FAULTS: u32 = 8;
/// A pointer is forgotten after the 90 days that a Welcome is kept.
const KEPT_SECONDS: u64 = 90 * 24 * 3_600;
/// Most pointers that one sync follows, those that failed least first: a flood of bad ones delays
/// no good one and no text.
const TRIED_AT_ONCE: usize = 50;
/// Joiners of one commit renew their keys so many seconds apart, in the order of their leaves: the
/// last of a full group within a day.
const RENEWAL_STEP_SECONDS: u64 = 300;

/// A pointer that was found in the inbox, until its Welcome is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Joining {
    #[serde(with = "serde_bytes")]
    pointer: Vec<u8>,
    /// Whether the join is durable; what is left is to tell the relay.
    joined: bool,
    /// How often it was tried in vain.
    tries: u32,
    /// How often what is certified was the reason.
    faults: u32,
    /// When it was first tried, seconds since 1970.
    pub since: u64,
    /// Whether it is to be followed.
    #[serde(default)]
    pub leave: Leave,
}

/// Who a pointer is from, as far as the pointer itself shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Somebody to whom this device gave its capability.
    Member,
    /// Anybody.
    Stranger,
}

impl Joining {
    pub fn new(pointer: &WelcomePointer, by: Sender) -> Self {
        Self {
            pointer: encode(pointer),
            joined: false,
            tries: 0,
            faults: 0,
            since: 0,
            leave: match by {
                Sender::Member => Leave::Given,
                Sender::Stranger => Leave::Unasked,
            },
        }
    }

    /// All of them, in the order in which they came.
    pub fn all(set: &WriteSet) -> Result<Vec<(u64, Self)>, ClientError> {
        Ok(set.scan(Table::Joining, ALL, 0, u64::MAX)?)
    }

    pub fn put(&self, set: &WriteSet, number: u64) -> Result<(), ClientError> {
        Ok(set.put_at(Table::Joining, ALL, number, self)?)
    }

    /// Queues it behind the others, unless it is there already or there is no room. Strangers'
    /// have a part of the room, so that they crowd out nobody who has leave.
    pub fn queue(&self, set: &WriteSet) -> Result<(), ClientError> {
        let waiting = Self::all(set)?;
        let has_leave = self.leave == Leave::Given;
        let there = waiting.iter().find(|(_, one)| one.pointer == self.pointer);
        if let Some((number, there)) = there {
            if has_leave && there.leave == Leave::Unasked {
                return self.put(set, *number);
            }
            return Ok(());
        }
        let strangers = waiting.iter().filter(|(_, one)| one.leave != Leave::Given);
        let has_room = has_leave || strangers.count() < STRANGERS_MAX;
        if !has_room || waiting.len() >= WAITING_MAX {
            return Ok(());
        }
        self.put(set, next_number(set, Table::Joining, ALL)?)
    }

    /// Whether it waits for its owner, or was refused.
    const fn is_held(&self) -> bool {
        matches!(self.leave, Leave::Asked(_) | Leave::Refused)
    }
}

/// What a Welcome of the relay opens to, verified as far as the relay can.
struct SealedWelcome {
    wrapper: Vec<u8>,
    tree: Vec<u8>,
}

impl Client {
    /// Joins wherever a pointer leads, and acknowledges what is joined. One that fails stops no
    /// other.
    ///
    /// # Errors
    /// The last of those that may heal; any other is a [`Notice::JoinRefused`].
    pub(crate) async fn join_all(&mut self, report: &mut SyncReport) -> Result<(), ClientError> {
        self.forget_old_requests()?;
        let mut waiting = Joining::all(&self.store.begin())?;
        waiting.retain(|(_, joining)| !joining.is_held());
        waiting.sort_by_key(|(_, joining)| joining.tries);
        waiting.truncate(TRIED_AT_ONCE);
        let mut failed = Ok(());
        for (number, joining) in waiting {
            let pointer: WelcomePointer = decode(&joining.pointer)
                .map_err(|_| ClientError::Bug("a stored pointer that does not decode"))?;
            match self.join_one(number, &joining, &pointer, report).await {
                Ok(()) => {}
                Err(error @ ClientError::Store(_)) => return Err(error),
                Err(error) => {
                    self.count_try(number, joining, &error)?;
                    if error.may_heal() {
                        if let Err(error) = self.unless_relay_missing(Err::<(), _>(error)) {
                            failed = Err(error);
                        }
                    } else {
                        self.notices.push(Notice::JoinRefused(error.to_string()));
                    }
                }
            }
        }
        failed
    }

    /// A request is forgotten with its Welcome, answered or not.
    fn forget_old_requests(&mut self) -> Result<(), ClientError> {
        let now = self.connection.now_seconds();
        for (number, joining) in Joining::all(&self.store.begin())? {
            if joining.is_held() && now.saturating_sub(joining.since) > KEPT_SECONDS {
                self.forget_joining(number)?;
            }
        }
        Ok(())
    }

    /// What is wrong in a certified Welcome stays wrong, and so does a pointer to a foreign relay.
    /// What the directory or the chain certify against the group may change, for a while. The rest
    /// is the fault of who answered: a lying node must not make this device forget an invitation.
    fn count_try(
        &mut self,
        number: u64,
        mut joining: Joining,
        error: &ClientError,
    ) -> Result<(), ClientError> {
        let is_wrong = matches!(
            error,
            ClientError::Group(GroupError::Welcome(_) | GroupError::Sealed)
                | ClientError::Ended(_)
                | ClientError::Reset(_)
        );
        let is_certified = matches!(
            error,
            ClientError::NoSuchAccount(_)
                | ClientError::NotVerified(NotVerified::GhostDevice(_) | NotVerified::Epoch)
        );
        let now = self.connection.now_seconds();
        if joining.since == 0 {
            joining.since = now;
        }
        joining.tries = joining.tries.saturating_add(1);
        joining.faults += u32::from(is_certified);
        let is_old = now.saturating_sub(joining.since) > KEPT_SECONDS;
        if is_wrong || is_old || joining.faults >= MAX_FAULTS {
            return self.forget_joining(number);
        }
        let set = self.store.begin();
        joining.put(&set, number)?;
        self.commit(set)
    }

    async fn join_one(
        &mut self,
        number: u64,
        joining: &Joining,
        pointer: &WelcomePointer,
        report: &mut SyncReport,
    ) -> Result<(), ClientError> {
        self.check_relay(&pointer.canister).map_err(|_| {
            ClientError::Ended("an invitation to a relay of another network".into())
        })?;
        if !joining.joined && !self.joined_by(pointer)? {
            if self.is_member(pointer.queue)? {
                // It may be that this device was taken out and brought back since it last looked.
                self.catch_up(pointer.queue, report).await?;
            }
            if self.is_member(pointer.queue)? {
                // A group that this device is in is never replaced by a Welcome. It is left where
                // it is, in case the removal is yet to be read.
                return Err(GroupError::Nothing.into());
            }
            let Some(welcome) = self.read_welcome(pointer).await? else {
                // Expired, or never there: certified.
                return self.forget_joining(number);
            };
            let is_followed = self
                .join_by(number, joining, pointer, &welcome, report)
                .await?;
            if !is_followed {
                return Ok(());
            }
            report.joined.push(pointer.queue);
            self.catch_up(pointer.queue, report).await?;
        }
        let request = WelcomeRequest {
            welcome_id: pointer.welcome_id,
        };
        self.connection
            .update::<(), RelayError>(&pointer.canister, "ack_welcome", &encode(&request))
            .await?;
        self.forget_joining(number)
    }

    fn known(&self, queue: QueueId) -> Result<Option<Conversation>, ClientError> {
        match Conversation::load(&self.store.begin(), queue) {
            Ok(one) => Ok(Some(one)),
            Err(ClientError::NoSuchName(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    fn is_member(&self, queue: QueueId) -> Result<bool, ClientError> {
        let known = self.known(queue)?;
        let is_over = |one: &Conversation| {
            matches!(one.standing, StoredStanding::Out | StoredStanding::Lapsed)
                || one.waits_for_re_add()
        };
        Ok(known.is_some_and(|one| !is_over(&one)))
    }

    /// Whether this very Welcome led into the conversation: its pointer came twice.
    fn joined_by(&self, pointer: &WelcomePointer) -> Result<bool, ClientError> {
        let known = self.known(pointer.queue)?;
        Ok(known.is_some_and(|one| one.joined_by == Some(pointer.welcome_id.0)))
    }

    fn forget_joining(&mut self, number: u64) -> Result<(), ClientError> {
        let set = self.store.begin();
        set.delete_at(Table::Joining, ALL, number);
        self.commit(set)
    }

    /// Reads the sealed Welcome; `None` if it is certified not to be there.
    async fn read_welcome(
        &self,
        pointer: &WelcomePointer,
    ) -> Result<Option<SealedWelcome>, ClientError> {
        self.check_relay(&pointer.canister)?;
        let request = WelcomeRequest {
            welcome_id: pointer.welcome_id,
        };
        let (reply, certified) = self
            .connection
            .read::<WelcomeReply, RelayError>(&pointer.canister, "welcome", &request)
            .await?;
        let Some(leaf) = welcome_leaf(&certified.witness, pointer.welcome_id)? else {
            return Ok(None);
        };
        let WelcomeLeaf {
            wrapper_hash,
            tree_hash,
        } = leaf;
        let (wrapper, tree) = (reply.wrapper.as_slice(), reply.tree.as_slice());
        if blake3(wrapper) != wrapper_hash || blake3(tree) != tree_hash {
            return Err(NotVerified::Differs("another Welcome than the certified one").into());
        }
        Ok(Some(SealedWelcome {
            wrapper: wrapper.to_vec(),
            tree: tree.to_vec(),
        }))
    }

    /// What is certified of a Welcome, and when; `None` if it is certified not to be there.
    pub(super) async fn welcome_leaf(
        &self,
        relay: &CanisterId,
        welcome_id: WelcomeId,
    ) -> Result<(Option<WelcomeLeaf>, u64), ClientError> {
        let request = WelcomeRequest { welcome_id };
        let (_, certified) = self
            .connection
            .read::<WelcomeReply, RelayError>(relay, "welcome", &request)
            .await?;
        let leaf = welcome_leaf(&certified.witness, welcome_id)?;
        Ok((leaf, certified.time_ns))
    }

    /// A pointer is a stranger's word: only relays of this network are asked.
    pub(super) fn check_relay(&self, canister: &CanisterId) -> Result<(), ClientError> {
        let entry = self.connection.network().entry(canister);
        match entry {
            Some(entry) if entry.role == paigham_wire::network::CanisterRole::Relay => Ok(()),
            _ => Err(NotVerified::Differs("a pointer to a relay of another network").into()),
        }
    }

    /// Opens the Welcome, verifies every member and the place of the commit in the queue, and only
    /// then takes the group over, in one step with everything that the join consumed. A stranger's
    /// is held instead; then it returns false.
    async fn join_by(
        &mut self,
        number: u64,
        joining: &Joining,
        pointer: &WelcomePointer,
        welcome: &SealedWelcome,
        report: &mut SyncReport,
    ) -> Result<bool, ClientError> {
        let wrapper = open_wrapper(pointer, &welcome.wrapper)?;
        let claim = reset_claim(&wrapper)?;
        if let Some(claim) = &claim {
            // To where the old group ends, before what says that it continues it.
            let is_known = self.known(claim.old)?.is_some();
            if is_known {
                self.catch_up(claim.old, report).await?;
            }
        }
        // A first look without consequences: whom does it name, and where does it lead?
        let (group, base, added_by) = {
            let set = self.store.begin();
            self.clear_lapsed(&set, pointer.queue)?;
            let provider = self.crypto.with(set.mls());
            let opened = join(&provider, &self.device, pointer, &wrapper, &welcome.tree)?;
            let base = Cursor {
                seq: opened.base_seq,
                head: opened.base_head,
                commit_head: opened.base_commit_head,
                epoch: opened.group.epoch().saturating_sub(1),
            };
            (opened.group, base, opened.added_by)
        };
        let by = group.member_at(added_by);
        let by = by.ok_or(GroupError::Welcome("nobody made it"))?;
        self.check_comeback(&group, added_by)?;
        let has_leave = joining.leave == Leave::Given
            || self.is_welcome(by.account())?
            || self.brings_on(pointer.queue, claim.as_ref())?;
        if !has_leave {
            // Who asks is looked up; the rest of the group only if the answer is yes.
            self.check_members(&[by]).await?;
            self.hold(number, joining, &group, by.account())?;
            return Ok(false);
        }
        let members: Vec<_> = group.members().collect();
        self.check_members(&members).await?;
        let start = self.find_commit(&group, base, pointer).await?;
        let (commit, certified) = (&start.commit, start.certified);
        let accepted_at = commit.entry.accepted_at;
        let mut continues = None;
        if let Some(claim) = &claim {
            continues = Some(self.judge_reset(claim, &group, accepted_at).await?);
        }
        let set = self.store.begin();
        self.clear_lapsed(&set, pointer.queue)?;
        let provider = self.crypto.with(set.mls());
        let mut joined = join(&provider, &self.device, pointer, &wrapper, &welcome.tree)?;
        joined.group.joined_at(accepted_at);
        let policy = joined.group.policy()?;
        let by = joined.group.member_at(joined.added_by);
        if let (Some(continues), Some(by)) = (&mut continues, &by) {
            continues.note_post(by.account, accepted_at);
        }
        let mut one = Conversation {
            number: 0,
            queue: pointer.queue.0,
            shard: pointer.canister.as_slice().to_vec(),
            peer: None,
            name: String::new(),
            members: Vec::new(),
            admins: Vec::new(),
            authenticator: [0; 32],
            standing: StoredStanding::Open,
            group: joined.group.state().clone(),
            cursor: commit.after,
            seen: Seen::from(&start.leaf),
            told: commit.after.seq.saturating_sub(1),
            created_at: commit.entry.accepted_at,
            create: None,
            intents: Vec::new(),
            submission: None,
            leave: None,
            joined_by: Some(pointer.welcome_id.0),
            gap: start.gap,
            renew_at: renewal_of_joiner(commit.entry.accepted_at, joined.group.own_leaf()),
            stop: None,
            continues,
            continued_by: None,
            asked: None,
            welcome: None,
            handed_until: 0,
            said_at: 0,
        };
        one.reflect(&joined.group)?;
        let admins: Vec<_> = policy.admins.iter().map(|admin| admin.0).collect();
        one.peer = peer_of(policy.form, &admins, self.account.id());
        match Conversation::load(&set, pointer.queue) {
            Ok(before) => {
                one.number = before.number;
                // What was read before, and not told yet, is told.
                one.told = one.told.min(before.told);
                if before.waits_for_re_add() {
                    tell_missed(&set, &before, commit, certified)?;
                }
                one.save(&set)?;
            }
            Err(_) => one.enter(&set)?,
        }
        let body = match &one.continues {
            Some(continues) => StoredBody::Reset {
                without: continues.without,
            },
            None => StoredBody::Joined,
        };
        if let Some(continues) = &one.continues {
            self.choose(&set, continues.old)?;
        }
        let row = MessageRow {
            from: by.map(|member| member.account),
            body,
            verified: Verified {
                seq: commit.entry.seq,
                epoch: commit.header.epoch,
                accepted_at: commit.entry.accepted_at,
                certificate_time: certified.0,
                certificate_age_ms: certified.1,
            },
        };
        row.save(&set, pointer.queue)?;
        let done = Joining {
            joined: true,
            ..Joining::new(pointer, Sender::Member)
        };
        done.put(&set, number)?;
        self.commit(set)?;
        Ok(true)
    }

    /// Whether a Welcome says that it brings on what this home is in already: by a reset that a
    /// member of the own group signed, or into the queue in which this device asked for a new leaf.
    /// Such a one needs no leave. What it says is judged after.
    fn brings_on(&self, queue: QueueId, claim: Option<&ResetClaim>) -> Result<bool, ClientError> {
        let Some(claim) = claim else {
            let known = self.known(queue)?;
            return Ok(known.is_some_and(|one| one.asked.is_some()));
        };
        let old = self.known(claim.old)?;
        let is_in = |one: &Conversation| {
            !matches!(one.standing, StoredStanding::Out | StoredStanding::Lapsed)
        };
        let Some(old) = old.filter(is_in) else {
            return Ok(false);
        };
        let set = self.store.begin();
        let group = Group::load(&self.crypto.with(set.mls()), old.group)?;
        let by = group.member_at(claim.leaf);
        Ok(claim.new == queue && by.is_some_and(|by| claim.verify(&by.leaf_key)))
    }

    /// A device that could not apply a commit comes back into the group of its last good epoch, as
    /// it was or as an admin of that epoch made it; anything else waits for the reset.
    fn check_comeback(&self, group: &Group, added_by: u32) -> Result<(), ClientError> {
        let Some(before) = self
            .known(group.queue())?
            .filter(Conversation::waits_for_re_add)
        else {
            return Ok(());
        };
        let set = self.store.begin();
        let last_good = Group::load(&self.crypto.with(set.mls()), before.group)?;
        let leaves = |group: &Group| {
            let mut leaves: Vec<_> = group
                .members()
                .map(|member| (member.account, member.device, member.leaf_key))
                .collect();
            leaves.sort_unstable();
            leaves
        };
        let policy = last_good.policy()?;
        let is_same = leaves(&last_good) == leaves(group) && policy == group.policy()?;
        let by = group.member_at(added_by);
        let by_admin = by.is_some_and(|by| {
            policy.is_admin(&by.account())
                && last_good
                    .members()
                    .any(|m| m.account == by.account && m.leaf_key == by.leaf_key)
        });
        if is_same || by_admin {
            Ok(())
        } else {
            Err(
                GroupError::Welcome("it brings back into another group than this device knew")
                    .into(),
            )
        }
    }

    /// Every leaf is a device of its account, as the directory certifies it now.
    async fn check_members(&mut self, members: &[Member]) -> Result<(), ClientError> {
        let mut accounts: Vec<AccountId> = members.iter().map(Member::account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let seen = self.look_up(&accounts).await?;
        for member in members {
            let account = member.account();
            let claim = LeafClaim {
                account,
                device: member.device(),
                leaf_key: member.leaf_key,
            };
            let records = seen.iter().find(|one| one.state.account() == account);
            let logged =
                records.is_some_and(|one| check_device(&one.state, &claim, one.now_ns).is_ok());
            if !logged {
                return Err(NotVerified::GhostDevice(account).into());
            }
        }
        Ok(())
    }
}

fn welcome_leaf(
    witness: &Witness,
    welcome_id: WelcomeId,
) -> Result<Option<WelcomeLeaf>, NotVerified> {
    match witness.get(&welcome_id.locator().map_key())? {
        Found::Absent => Ok(None),
        Found::Present(value) => match decode(value) {
            Ok(Leaf::Welcome(leaf)) => Ok(Some(leaf)),
            _ => Err(NotVerified::Differs("another leaf where a Welcome is due")),
        },
    }
}

/// What lies between the commit that this device could not apply and the one that brought it back
/// stays unread.
fn tell_missed(
    set: &WriteSet,
    before: &Conversation,
    commit: &Link,
    certified: (u64, u64),
) -> Result<(), ClientError> {
    let first = before.newest_line();
    let row = MessageRow {
        from: None,
        body: StoredBody::Missed {
            count: commit.entry.seq.saturating_sub(first),
        },
        verified: Verified {
            seq: first,
            epoch: before.cursor.epoch,
            accepted_at: before.stop.as_ref().map_or(0, |stop| stop.accepted_at),
            certificate_time: certified.0,
            certificate_age_ms: certified.1,
        },
    };
    row.save(set, before.queue())
}

/// When a joiner renews its keys. Until then whoever has the private part of its key package, which
/// lay in the home for weeks, reads along; and others see no sign of life.
fn renewal_of_joiner(accepted_at: u64, leaf: u32) -> u64 {
    let seconds = RENEWAL_STEP_SECONDS * (u64::from(leaf) + 1);
    accepted_at.saturating_add(seconds * 1_000_000_000)
}
