//! Changes of a group: what is to be made, the commit on its way, and settling both.

use std::time::Duration;

use paigham_group::commit::{Base, Change, JoinerPointer};
use paigham_group::device::CheckedKeyPackage;
use paigham_group::pointer::seal_pointer;
use paigham_group::proof::{LeafClaim, check_device};
use paigham_group::{Group, GroupError, Member};
use paigham_wire::codec::encode;
use paigham_wire::hash::{blake3, sha256};
use paigham_wire::identity::DeviceEntry;
use paigham_wire::ids::{AccountId, CanisterId, DeviceId, InboxId, QueueId};
use paigham_wire::relay::{
    Claim, Claimed, CommitAccepted, Credential, Deposit, PoolReply, PoolRequest, PostRefusal,
    RelayError, credential,
};
use serde::{Deserialize, Serialize};

use super::{Conversation, POST_SECONDS, StoredStanding};
use crate::account::random;
use crate::client::Client;
use crate::error::{ClientError, NotVerified};
use crate::inbox::OutgoingDeposit;
use crate::people::LookedUp;
use crate::verify::inbox_leaf;
use crate::view::SyncReport;

/// Rounds of one settling without progress: commits that lose to others, texts that are sealed anew.
const MAX_ROUNDS: u32 = 12;
/// First wait after a lost race; each further one up to three times as long.
const BACKOFF: Duration = Duration::from_millis(50);
/// Lost races after which waits grow no longer.
const BACKOFF_STEPS: u32 = 4;
/// Largest commit, and largest Welcome with its tree, that the relay takes (`spec/relay.md` §2).
const COMMIT_MAX_BYTES: usize = 1_500_000;
/// Largest request: 2 MiB, but for what travels around it.
const REQUEST_MAX_BYTES: usize = 2 * 1024 * 1024 - 1_024;
/// A carried certificate counts for 600 s; some are left for the way.
const PROOF_SECONDS: u64 = 590;

/// A change that is to be made; it stays until it is in the group or turns out impossible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Intent {
    /// All devices of some accounts come in.
    Add {
        accounts: Vec<[u8; 16]>,
        /// Key packages that were claimed for it.
        claimed: Vec<ClaimedDevice>,
    },
    /// All devices of some accounts go out.
    Remove { accounts: Vec<[u8; 16]> },
    /// An account becomes an admin.
    MakeAdmin { account: [u8; 16] },
    /// This account gives its role up, before it leaves; the only admin hands it to a member.
    StepDown,
    /// This device renews its keys in the group.
    Renew,
}

/// What is needed to add one device and tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClaimedDevice {
    device: [u8; 16],
    inbox: [u8; 32],
    #[serde(with = "serde_bytes")]
    shard: Vec<u8>,
    #[serde(with = "serde_bytes")]
    xwing_key: Vec<u8>,
    #[serde(with = "serde_bytes")]
    key_package: Vec<u8>,
}

/// A commit on its way: sent again, byte for byte, until its fate is certain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Submission {
    #[serde(with = "serde_bytes")]
    request: Vec<u8>,
    not_after: u32,
    /// Whether it is the first intent's; otherwise it only takes leavers out.
    pub for_intent: bool,
    /// What tells the joiners, once it is accepted.
    pub deposits: Vec<OutgoingDeposit>,
    pub added: Vec<[u8; 16]>,
    pub removed: Vec<[u8; 16]>,
    pub policy_changed: bool,
}

/// A change with everything that its commit carries.
struct Prepared {
    change: Change,
    joiners: Vec<ClaimedDevice>,
    seen: Vec<LookedUp>,
}

impl Client {
    /// Adds all devices of some accounts to a group.
    ///
    /// # Errors
    /// [`ClientError`]; what is unreachable is kept and goes on with the next sync.
    pub async fn add_members(
        &mut self,
        queue: QueueId,
        members: &[AccountId],
    ) -> Result<(), ClientError> {
        self.check_group(queue)?;
        let accounts = members.iter().map(|account| account.0).collect();
        self.change(
            queue,
            Intent::Add {
                accounts,
                claimed: Vec::new(),
            },
        )
        .await
    }

    /// Removes all devices of some accounts; they can read nothing new.
    ///
    /// # Errors
    /// As [`Client::add_members`]; [`ClientError::NotAMember`].
    pub async fn remove_members(
        &mut self,
        queue: QueueId,
        members: &[AccountId],
    ) -> Result<(), ClientError> {
        let conversation = self.check_group(queue)?;
        for account in members {
            if *account == self.account.id() {
                return Err(ClientError::Oneself);
            }
            if !conversation.members.contains(&account.0) {
                return Err(ClientError::NotAMember(*account));
            }
        }
        let accounts = members.iter().map(|account| account.0).collect();
        self.change(queue, Intent::Remove { accounts }).await
    }

    /// Makes a member an admin, too.
    ///
    /// # Errors
    /// As [`Client::remove_members`].
    pub async fn make_admin(
        &mut self,
        queue: QueueId,
        account: AccountId,
    ) -> Result<(), ClientError> {
        let conversation = self.check_group(queue)?;
        if !conversation.members.contains(&account.0) {
            return Err(ClientError::NotAMember(account));
        }
        self.change(queue, Intent::MakeAdmin { account: account.0 })
            .await
    }

    /// Renews this device's keys in a conversation: who copied its state reads nothing after it.
    ///
    /// # Errors
    /// As [`Client::add_members`].
    pub async fn renew_keys(&mut self, queue: QueueId) -> Result<(), ClientError> {
        self.change(queue, Intent::Renew).await
    }

    pub(super) fn check_group(&self, queue: QueueId) -> Result<Conversation, ClientError> {
        let conversation = Conversation::load(&self.store.begin(), queue)?;
        conversation.check_open()?;
        match conversation.peer {
            None => Ok(conversation),
            Some(_) => Err(ClientError::DirectChat),
        }
    }

    /// Stores a change and settles it.
    pub(super) async fn change(
        &mut self,
        queue: QueueId,
        intent: Intent,
    ) -> Result<(), ClientError> {
        self.sync_account().await?;
        let set = self.store.begin();
        let mut conversation = Conversation::load(&set, queue)?;
        conversation.check_open()?;
        conversation.intents.push(intent);
        conversation.save(&set)?;
        self.commit(set)?;
        self.settle(queue, &mut SyncReport::default()).await
    }

    /// Works off what waits in a conversation: its queue, the commit on its way, changes, leavers,
    /// texts.
    ///
    /// # Errors
    /// [`ClientError`]; a change that the group does not allow is forgotten.
    pub(crate) async fn settle(
        &mut self,
        queue: QueueId,
        report: &mut SyncReport,
    ) -> Result<(), ClientError> {
        // Rounds without progress: races that were lost, texts that are still there.
        let mut lost = 0;
        while lost < MAX_ROUNDS {
            self.create_queue(queue).await?;
            let conversation = Conversation::load(&self.store.begin(), queue)?;
            if conversation.has_ended() {
                return Ok(());
            }
            if conversation.submission.is_some() {
                if !self.submit(queue, report).await? {
                    lost += 1;
                    back_off(lost).await?;
                }
                continue;
            }
            if let Some(intent) = conversation.intents.first() {
                self.begin_change(&conversation, intent).await?;
                continue;
            }
            if conversation.standing == StoredStanding::Leaving {
                return self.settle_leave(queue, report).await;
            }
            let texts = self.outgoing(&self.store.begin(), queue)?;
            if self.commits_leavers(&conversation, !texts.is_empty())? {
                self.stage(queue, None).await?;
                continue;
            }
            if texts.is_empty() {
                return Ok(());
            }
            self.deliver(queue, report).await?;
            let left = self.outgoing(&self.store.begin(), queue)?.len();
            lost = if left < texts.len() { 0 } else { lost + 1 };
            if lost > 0 {
                back_off(lost).await?;
            }
        }
        Err(ClientError::Unfinished(
            "others changed the group meanwhile",
        ))
    }

    /// Makes the commit of the first intent; forgets an intent that is fulfilled or impossible.
    async fn begin_change(
        &mut self,
        conversation: &Conversation,
        intent: &Intent,
    ) -> Result<(), ClientError> {
        let queue = conversation.queue();
        match self.stage(queue, Some(intent)).await {
            Ok(true) => Ok(()),
            Ok(false) => self.forget_intent(queue),
            // What certified or signed data say stays so: the change is impossible, and must not
            // keep texts and other changes from going on.
            Err(error) if !error.may_heal() => {
                self.forget_intent(queue)?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    fn forget_intent(&mut self, queue: QueueId) -> Result<(), ClientError> {
        let set = self.store.begin();
        let mut conversation = Conversation::load(&set, queue)?;
        conversation.drop_intent();
        if conversation.standing == StoredStanding::Starting && conversation.intents.is_empty() {
            // It never began.
            conversation.standing = StoredStanding::Out;
        }
        conversation.save(&set)?;
        self.commit(set)
    }

    /// Whether this device commits the leavers of the epoch: before it sends, or when it is the
    /// first of those who stay.
    fn commits_leavers(
        &self,
        conversation: &Conversation,
        sends: bool,
    ) -> Result<bool, ClientError> {
        if conversation.group.leaving.is_empty() || conversation.standing != StoredStanding::Open {
            return Ok(false);
        }
        let set = self.store.begin();
        let group = Group::load(&self.crypto.with(set.mls()), conversation.group.clone())?;
        let leaving = group.leaving();
        if leaving.contains(&group.own_leaf()) {
            return Ok(false);
        }
        let first = group
            .members()
            .map(|member| member.leaf)
            .filter(|leaf| !leaving.contains(leaf))
            .min();
        Ok(sends || first == Some(group.own_leaf()))
    }

    /// Makes a commit and stores it, ready to be sent. `Ok(false)`: there is nothing to change.
    async fn stage(
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
            .seen
            .iter()
            .map(|seen| seen.time_ns / 1_000_000_000)
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
            proofs: prepared.seen.into_iter().map(|seen| seen.proof).collect(),
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
        conversation.submission = Some(Submission {
            request,
            not_after,
            for_intent: intent.is_some(),
            deposits,
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
        let (epoch, members, leaving, policy) = {
            let set = self.store.begin();
            let conversation = Conversation::load(&set, queue)?;
            let group = Group::load(&self.crypto.with(set.mls()), conversation.group)?;
            let members: Vec<_> = group.members().collect();
            (group.epoch(), members, group.leaving(), group.policy()?)
        };
        let mut prepared = Prepared {
            change: Change::default(),
            joiners: Vec::new(),
            seen: Vec::new(),
        };
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
            Some(Intent::Renew) | None => {}
        }
        Ok(Some(prepared))
    }

    /// Looks the accounts up and claims a key package of each of their devices that is not in yet.
    async fn prepare_add(
        &mut self,
        queue: QueueId,
        members: &[Member],
        accounts: &[[u8; 16]],
        claimed: &[ClaimedDevice],
        prepared: &mut Prepared,
    ) -> Result<(), ClientError> {
        let mut accounts: Vec<_> = accounts.iter().copied().map(AccountId).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let seen = self.look_up(&accounts).await?;
        let mut claimed = claimed.to_vec();
        for one in seen {
            let account = one.state.account();
            let devices = one.state.at(one.time_ns).devices;
            if devices.is_empty() || one.state.is_deleted(one.time_ns) {
                return Err(ClientError::NoDevice(account));
            }
            let is_in = |device: &DeviceEntry| {
                members
                    .iter()
                    .any(|m| m.account() == account && m.device() == device.device)
            };
            let before = prepared.joiners.len();
            for device in devices.iter().filter(|device| !is_in(device)) {
                let (package, joiner) = self.package_of(queue, &one, device, &mut claimed).await?;
                prepared.change.add.push(package);
                prepared.joiners.push(joiner);
            }
            if prepared.joiners.len() > before {
                prepared.seen.push(one);
            }
        }
        Ok(())
    }

    /// A checked key package of a device: one that was claimed before, or a new one.
    async fn package_of(
        &mut self,
        queue: QueueId,
        account: &LookedUp,
        device: &DeviceEntry,
        claimed: &mut Vec<ClaimedDevice>,
    ) -> Result<(CheckedKeyPackage, ClaimedDevice), ClientError> {
        let kept = claimed
            .iter()
            .find(|one| one.device == device.device.0 && one.inbox == device.inbox.0);
        if let Some(kept) = kept
            && let Ok(package) = self.check_package(&kept.key_package, account, device)
        {
            return Ok((package, kept.clone()));
        }
        let (mut new, last_resort) = self.claim(device).await?;
        let package = match self.check_package(&new.key_package, account, device) {
            // Too old, or not the device's: the pool is somebody else's word, as is the last resort.
            Err(ClientError::Group(GroupError::KeyPackage(_))) => {
                new.key_package = last_resort;
                self.check_package(&new.key_package, account, device)?
            }
            checked => checked?,
        };
        claimed.retain(|one| one.device != new.device);
        claimed.push(new.clone());
        self.keep_claimed(queue, claimed)?;
        Ok((package, new))
    }

    /// A lost race does not cost the others another key package each.
    fn keep_claimed(&mut self, queue: QueueId, now: &[ClaimedDevice]) -> Result<(), ClientError> {
        let set = self.store.begin();
        let mut conversation = Conversation::load(&set, queue)?;
        if let Some(Intent::Add { claimed, .. }) = conversation.intents.first_mut() {
            *claimed = now.to_vec();
        }
        conversation.save(&set)?;
        self.commit(set)
    }

    fn check_package(
        &self,
        bytes: &[u8],
        account: &LookedUp,
        device: &DeviceEntry,
    ) -> Result<CheckedKeyPackage, ClientError> {
        let now = self.connection.now_seconds();
        let package = CheckedKeyPackage::check(&self.crypto, bytes, now)?;
        let claim = LeafClaim {
            account: package.credential.account,
            device: package.credential.device,
            leaf_key: package.leaf_key,
        };
        check_device(&account.state, &claim, account.time_ns)?;
        if claim.device != device.device {
            return Err(GroupError::KeyPackage("it is another device's").into());
        }
        Ok(package)
    }

    /// Takes a one-time key package of a device, if there is one, and its inbox key; and gives its
    /// last resort.
    async fn claim(&self, device: &DeviceEntry) -> Result<(ClaimedDevice, Vec<u8>), ClientError> {
        self.check_relay(&device.shard)?;
        let request = PoolRequest {
            inbox: device.inbox,
        };
        let (pool, certified) = self
            .connection
            .read::<PoolReply, RelayError>(&device.shard, "pool", &request)
            .await?;
        let leaf = inbox_leaf(&certified.witness, &device.inbox)?.ok_or(NotVerified::Differs(
            "a device's inbox is certified not to exist",
        ))?;
        let xwing_key = pool.xwing_key.as_slice();
        let key_hash = sha256(xwing_key);
        if key_hash != leaf.xwing_key_hash || key_hash != device.xwing_key_hash {
            return Err(NotVerified::Differs("an inbox key is not that of the record").into());
        }
        let claim = Claim {
            inbox: device.inbox,
            claim_id: random()?,
            credential: no_credential(),
        };
        let one_time = self
            .connection
            .update::<Claimed, RelayError>(&device.shard, "claim", &encode(&claim))
            .await?;
        let last_resort = pool.last_resort.as_slice();
        if blake3(last_resort) != leaf.last_resort_hash && !last_resort.is_empty() {
            return Err(NotVerified::Differs("a last resort is not the certified one").into());
        }
        let key_package = match one_time.key_package {
            Some(package) => package.into(),
            None if last_resort.is_empty() => {
                return Err(GroupError::KeyPackage("none is left").into());
            }
            None => last_resort.to_vec(),
        };
        let claimed = ClaimedDevice {
            device: device.device.0,
            inbox: device.inbox.0,
            shard: device.shard.as_slice().to_vec(),
            xwing_key: xwing_key.to_vec(),
            key_package,
        };
        Ok((claimed, last_resort.to_vec()))
    }

    fn pointer_deposit(
        &self,
        pointer: &JoinerPointer,
        joiners: &[ClaimedDevice],
    ) -> Result<OutgoingDeposit, ClientError> {
        let joiner = joiners
            .iter()
            .find(|joiner| DeviceId(joiner.device) == pointer.device)
            .ok_or(ClientError::Bug("a pointer for nobody"))?;
        let inbox = InboxId(joiner.inbox);
        let sealed = seal_pointer(&self.crypto, &inbox, &joiner.xwing_key, &pointer.pointer)?;
        let deposit = Deposit {
            inbox,
            credential: no_credential(),
            sealed: sealed.into(),
        };
        let shard = CanisterId::new(&joiner.shard);
        let shard = shard.ok_or(ClientError::Bug("an inbox on no canister"))?;
        Ok(OutgoingDeposit::new(&shard, &deposit))
    }

    /// Sends the commit on its way and reads on. `Ok(false)`: another commit won.
    async fn submit(
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
            Err(ClientError::Unreachable(_))
                if self.connection.now_seconds() > u64::from(submission.not_after) =>
            {
                let expired = RelayError::Post(PostRefusal::Expired);
                (Err(expired.into()), self.connection.now_ns())
            }
            Err(other) => return Err(other),
        };
        let refusal = match answer {
            Ok(_) => None,
            Err(ClientError::Relay(refusal @ (RelayError::Post(_) | RelayError::TooLarge))) => {
                Some(refusal)
            }
            Err(other) => return Err(other),
        };
        let certified_ns = self.catch_up_since(queue, since_ns, report).await?;
        let after = Conversation::load(&self.store.begin(), queue)?;
        let Some(still) = &after.submission else {
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
            RelayError::Post(
                PostRefusal::StaleEpoch | PostRefusal::CatchUpFirst | PostRefusal::Expired,
            ) => Ok(false),
            other => Err(other.into()),
        }
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
    let leaving = group.leaving();
    let mut accounts: Vec<_> = group
        .members()
        .filter(|member| leaves.contains(&member.leaf) || leaving.contains(&member.leaf))
        .map(|member| member.account)
        .collect();
    accounts.sort_unstable();
    accounts.dedup();
    accounts
}

pub(crate) fn no_credential() -> Credential {
    Credential {
        credential_type: credential::NONE,
        data: Vec::new().into(),
    }
}

/// Waits a little, at random, so that two who lost against each other do not meet again.
async fn back_off(lost: u32) -> Result<(), ClientError> {
    let [random]: [u8; 1] = random()?;
    let longest = BACKOFF * 3u32.pow(lost.min(BACKOFF_STEPS) - 1);
    tokio::time::sleep(longest * u32::from(random) / 256).await;
    Ok(())
}
