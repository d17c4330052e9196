//! A device that cannot follow asks, through their inboxes, a sibling and then one member after the
//! other to have its leaf replaced (`spec/groups.md` §10).

use paigham_group::Group;
use paigham_group::Member;
use paigham_group::pointer::seal_re_add;
use paigham_store::WriteSet;
use paigham_wire::codec::encode;
use paigham_wire::ids::AccountId;
use paigham_wire::relay::{Credential, Deposit};
use paigham_wire::reset::ReAddMessage;
use serde::{Deserialize, Serialize};

use super::{Conversation, Intent, StoredStanding};
use crate::client::Client;
use crate::error::ClientError;
use crate::inbox::OutgoingDeposit;

/// How long one member is waited for before the next is asked: 10 minutes.
const PATIENCE_NS: u64 = 10 * 60 * 1_000_000_000;
/// How long one request is repeated: it counts for a day, and is used up once.
const REQUEST_SECONDS: u64 = 20 * 3_600;
/// Most requests that wait in one conversation: more is a flood.
const WAITING_MAX: usize = 8;

/// The request of a device that cannot follow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// How many have been asked.
    round: u32,
    /// When the next one is, nanoseconds since 1970.
    next_at: u64,
    /// When the request was signed, seconds since 1970.
    signed_at: u64,
    /// The request with its key package; the same to all, so that it is fulfilled once.
    #[serde(with = "serde_bytes")]
    message: Vec<u8>,
}

impl Client {
    /// Asks for a new leaf wherever this device cannot follow and it is time to ask the next.
    pub(crate) async fn ask_all(&mut self) -> Result<(), ClientError> {
        for one in self.all_conversations()? {
            let cannot_follow = one.waits_for_re_add() || one.standing == StoredStanding::Lapsed;
            let is_due = |asked: &Asked| asked.next_at <= self.connection.now_ns();
            if cannot_follow && one.asked.as_ref().is_some_and(is_due) {
                let outcome = self.ask_next(&one).await;
                self.one_failed(&one, outcome)?;
            }
        }
        self.send_deposits().await
    }

    async fn ask_next(&mut self, one: &Conversation) -> Result<(), ClientError> {
        self.connection.ensure_time().await?;
        let mut asked = one.asked.clone().unwrap_or_default();
        let member = {
            let set = self.store.begin();
            let group = Group::load(&self.crypto.with(set.mls()), one.group.clone())?;
            let helpers = helpers(&group, self.account.id())?;
            let count = u32::try_from(helpers.len()).unwrap_or(u32::MAX);
            let turn = asked.round.checked_rem(count);
            turn.and_then(|turn| helpers.get(turn as usize).copied())
        };
        asked.round = asked.round.wrapping_add(1);
        asked.next_at = self.connection.now_ns().saturating_add(PATIENCE_NS);
        let to = match member {
            Some(member) => self.inbox_of(&member).await?,
            None => None,
        };
        let set = self.store.begin();
        let mut one = Conversation::load(&set, one.queue())?;
        if let Some((shard, inbox, key)) = to {
            self.sign_request(&set, &one, &mut asked)?;
            let sealed = seal_re_add(&self.crypto, &inbox, &key, &asked.message)?;
            let deposit = Deposit {
                inbox,
                credential: Credential::none(),
                sealed: sealed.into(),
            };
            OutgoingDeposit::new(&shard, &deposit).queue(&set)?;
        }
        one.asked = Some(asked);
        one.save(&set)?;
        self.commit(set)
    }

    /// Signs the request anew if there is none that will count for long enough.
    fn sign_request(
        &self,
        set: &WriteSet,
        one: &Conversation,
        asked: &mut Asked,
    ) -> Result<(), ClientError> {
        let now = self.connection.now_seconds();
        let is_fresh = now.saturating_sub(asked.signed_at) < REQUEST_SECONDS;
        if is_fresh && !asked.message.is_empty() {
            return Ok(());
        }
        let key_package = self.keep_key_package(set, now)?;
        let message = self
            .device
            .ask_for_re_add(one.queue(), one.cursor.epoch, now, &key_package);
        asked.signed_at = now;
        asked.message = encode(&message);
        Ok(())
    }

    /// Where a member is told something: relay, inbox and its key; `None` for a device that the log
    /// does not show.
    async fn inbox_of(&mut self, member: &Member) -> Result<Option<Inbox>, ClientError> {
        let seen = self.look_up(&[member.account()]).await?;
        let Some(account) = seen.first() else {
            return Ok(None);
        };
        let devices = account.state.at(account.now_ns).devices;
        let is_it = |leaf_key: &[u8; 32]| *leaf_key == member.leaf_key;
        let device = devices
            .iter()
            .find(|entry| entry.device == member.device() && is_it(&entry.leaf_key));
        let Some(device) = device else {
            return Ok(None);
        };
        let (inbox, key) = self.inbox_key_of(device).await?;
        Ok(Some((device.shard.clone(), inbox, key)))
    }

    /// A member asks: what holds is kept as a change to be made, anything else is junk.
    pub(crate) fn take_request(
        &self,
        set: &WriteSet,
        message: &ReAddMessage,
    ) -> Result<(), ClientError> {
        let request = &message.request;
        let mut one = match Conversation::load(set, request.queue) {
            Ok(one) if one.standing == StoredStanding::Open => one,
            Ok(_) | Err(ClientError::NoSuchName(_)) => return Ok(()),
            Err(other) => return Err(other),
        };
        let intent = Intent::ReAdd {
            message: encode(message),
        };
        let waiting = one.intents.iter();
        let waiting = waiting
            .filter(|one| matches!(one, Intent::ReAdd { .. }))
            .count();
        if waiting >= WAITING_MAX || one.intents.contains(&intent) {
            return Ok(());
        }
        let group = Group::load(&self.crypto.with(set.mls()), one.group.clone())?;
        if group
            .check_re_add(request, self.connection.now_ns())
            .is_ok()
        {
            one.intents.push(intent);
            one.save(set)?;
        }
        Ok(())
    }
}

type Inbox = (
    paigham_wire::ids::CanisterId,
    paigham_wire::ids::InboxId,
    Vec<u8>,
);

/// Who can help: siblings first, then admins, then the others, by leaf.
fn helpers(group: &Group, own: AccountId) -> Result<Vec<Member>, ClientError> {
    let policy = group.policy()?;
    let own_leaf = group.own_leaf();
    let mut helpers: Vec<_> = group.members().filter(|m| m.leaf != own_leaf).collect();
    helpers.sort_by_key(|member| {
        let account = member.account();
        (account != own, !policy.is_admin(&account), member.leaf)
    });
    Ok(helpers)
}
