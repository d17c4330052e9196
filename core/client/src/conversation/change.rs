//! Changes of a group: what is to be made, and settling it with everything else that waits.

use std::time::Duration;

use paigham_group::{Group, Member};
use paigham_wire::ids::{AccountId, QueueId};
use serde::{Deserialize, Serialize};

use super::invite::ClaimedDevice;
use super::{Conversation, StoredStanding};
use crate::account::random;
use crate::client::Client;
use crate::error::ClientError;
use crate::view::SyncReport;

/// Rounds of one settling without progress: commits that lose to others, texts that are sealed anew.
const MAX_ROUNDS: u32 = 12;
/// First wait after a lost race; each further one up to three times as long.
const BACKOFF: Duration = Duration::from_millis(50);
/// Lost races after which waits grow no longer.
const BACKOFF_STEPS: u32 = 4;

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
    /// Some devices of this account go out: its record does not name them any more.
    RemoveOwn { devices: Vec<[u8; 16]> },
    /// An account becomes an admin.
    MakeAdmin { account: [u8; 16] },
    /// This account gives its role up, before it leaves; the only admin hands it to a member.
    StepDown,
    /// This device renews its keys in the group.
    Renew,
    /// The devices of a group that stopped come in: account, device, leaf key.
    Reset {
        devices: Vec<OldDevice>,
        /// Those that do not: the log has revoked them, or they cannot be reached.
        left_out: Vec<OldDevice>,
        claimed: Vec<ClaimedDevice>,
    },
    /// Devices whose Welcome was spoiled go out and come in by one commit.
    AddAnew {
        accounts: Vec<[u8; 16]>,
        devices: Vec<[u8; 16]>,
        claimed: Vec<ClaimedDevice>,
    },
    /// A device's leaf is replaced, as it has asked.
    ReAdd {
        #[serde(with = "serde_bytes")]
        message: Vec<u8>,
    },
}

/// A device of a group that stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OldDevice {
    pub account: [u8; 16],
    pub device: [u8; 16],
    pub leaf_key: [u8; 32],
}

impl Intent {
    /// Key packages that were claimed for it.
    pub const fn claimed_mut(&mut self) -> Option<&mut Vec<ClaimedDevice>> {
        match self {
            Self::Add { claimed, .. }
            | Self::AddAnew { claimed, .. }
            | Self::Reset { claimed, .. } => Some(claimed),
            _ => None,
        }
    }
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

    /// Has this device renew its keys if that is due and nothing else is to be done, which would
    /// renew them as well.
    pub(super) fn renew_if_due(&self, one: &Conversation) -> Result<(), ClientError> {
        let is_due = one.renew_at > 0 && one.renew_at <= self.connection.now_ns();
        let is_idle = one.intents.is_empty() && one.submission.is_none() && one.gap.is_none();
        if !is_due || !is_idle || one.standing != StoredStanding::Open {
            return Ok(());
        }
        let set = self.store.begin();
        let mut one = Conversation::load(&set, one.queue())?;
        one.intents.push(Intent::Renew);
        one.renew_at = 0;
        one.save(&set)?;
        self.commit(set)
    }

    pub(super) fn check_group(&self, queue: QueueId) -> Result<Conversation, ClientError> {
        let queue = self.current(queue)?;
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
        let queue = self.current(queue)?;
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
        let mut queue = queue;
        // Rounds without progress: races that were lost, texts that are still there.
        let mut lost = 0;
        // The change that waits for a relay which does not answer: what is said goes on.
        let mut held = None;
        while lost < MAX_ROUNDS {
            queue = self.create_queue(queue).await?;
            let conversation = Conversation::load(&self.store.begin(), queue)?;
            if conversation.has_ended() {
                return Ok(());
            }
            self.check_own_welcome(queue).await?;
            if conversation.submission.is_some() {
                if !self.submit(queue, report).await? {
                    lost += 1;
                    back_off(lost).await?;
                }
                continue;
            }
            if held.is_none()
                && let Some(intent) = conversation.intents.first()
            {
                match self.begin_change(&conversation, intent).await {
                    Err(error @ ClientError::RelayUnreachable { .. })
                        if conversation.standing == StoredStanding::Open =>
                    {
                        held = Some(error);
                    }
                    outcome => outcome?,
                }
                continue;
            }
            if conversation.standing == StoredStanding::Leaving {
                return self.settle_leave(queue, report).await;
            }
            let texts = self.outgoing(&self.store.begin(), queue)?;
            if !texts.is_empty() {
                self.check_may_send(queue).await?;
            }
            if self.commits_leavers(&conversation, !texts.is_empty())? {
                self.stage(queue, None).await?;
                continue;
            }
            if texts.is_empty() {
                return held.map_or(Ok(()), Err);
            }
            self.check_no_revoked(queue)?;
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

    pub(super) fn forget_intent(&mut self, queue: QueueId) -> Result<(), ClientError> {
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

    /// Whether this device commits the leavers of the epoch, and the devices that were revoked:
    /// before it sends, or when it is the first of those who stay.
    fn commits_leavers(
        &self,
        conversation: &Conversation,
        sends: bool,
    ) -> Result<bool, ClientError> {
        if conversation.standing != StoredStanding::Open {
            return Ok(false);
        }
        let set = self.store.begin();
        let group = Group::load(&self.crypto.with(set.mls()), conversation.group.clone())?;
        let leaving = group.leaving();
        if leaving.contains(&group.own_leaf()) {
            return Ok(false);
        }
        let revoked = self.removable(&set, conversation, &group)?;
        if leaving.is_empty() && revoked.is_empty() {
            return Ok(false);
        }
        let policy = group.policy()?;
        let may = |member: &Member| revoked.is_empty() || policy.is_admin(&member.account());
        let first = group
            .members()
            .filter(|member| !leaving.contains(&member.leaf) && !revoked.contains(&member.leaf))
            .filter(may)
            .map(|member| member.leaf)
            .min();
        Ok(sends || first == Some(group.own_leaf()))
    }
}

/// Waits a little, at random, so that two who lost against each other do not meet again.
async fn back_off(lost: u32) -> Result<(), ClientError> {
    let [random]: [u8; 1] = random()?;
    let longest = BACKOFF * 3u32.pow(lost.min(BACKOFF_STEPS) - 1);
    tokio::time::sleep(longest * u32::from(random) / 256).await;
    Ok(())
}
