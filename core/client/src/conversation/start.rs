//! Making a conversation.

use ed25519_dalek::SigningKey;
use paigham_group::Group;
use paigham_wire::chain::{commit_start, queue_start};
use paigham_wire::codec::{decode, encode};
use paigham_wire::envelope::{GroupForm, GroupPolicy};
use paigham_wire::ids::{AccountId, CanisterId, QueueId};
use paigham_wire::relay::{CreateQueue, QueueCreated, RelayError};

use super::continues::move_waiting;
use super::leave::end;
use super::{Conversation, Intent, StoredStanding, direct_with};
use crate::account::{checked_name, random};
use crate::client::Client;
use crate::error::{ClientError, NotVerified};
use crate::verify::{Cursor, Seen};
use crate::view::SyncReport;

/// Nonces of one try to make a queue: who crowds one place of a relay's map does not hold places
/// everywhere.
const QUEUE_TRIES: u32 = 8;

/// A queue that is yet to be made.
pub(crate) struct NewQueue {
    pub id: QueueId,
    /// The relay that its nonce places it on.
    relay: CanisterId,
    /// First control key.
    pub control: SigningKey,
    create: CreateQueue,
}

impl Conversation {
    /// One whose queue is not made yet, and which `intents` fill.
    pub(super) fn beginning(
        new: &NewQueue,
        peer: Option<[u8; 16]>,
        group: &Group,
        intents: Vec<Intent>,
    ) -> Self {
        let queue = new.id;
        let cursor = Cursor {
            seq: 0,
            head: queue_start(&queue),
            commit_head: commit_start(&queue),
            epoch: 0,
        };
        Self {
            number: 0,
            queue: queue.0,
            shard: new.relay.as_slice().to_vec(),
            peer,
            name: String::new(),
            members: Vec::new(),
            admins: Vec::new(),
            authenticator: [0; 32],
            standing: StoredStanding::Starting,
            group: group.state().clone(),
            cursor,
            seen: Seen {
                seq: 0,
                head: cursor.head,
                epoch: 0,
                generation: 0,
                first_seq: 0,
            },
            told: 0,
            created_at: 0,
            create: Some(encode(&new.create)),
            intents,
            submission: None,
            leave: None,
            joined_by: None,
            gap: None,
            renew_at: 0,
            stop: None,
            continues: None,
            continued_by: None,
            asked: None,
            welcome: None,
            handed_until: 0,
            said_at: 0,
        }
    }
}

impl Client {
    /// Opens the 1:1 chat with an account: the one there is, or a new one.
    ///
    /// # Errors
    /// [`ClientError`]. [`ClientError::Unreachable`] or [`ClientError::RelayUnreachable`] after the
    /// chat was stored leaves it [`crate::Standing::Starting`].
    pub async fn start_chat(&mut self, account: AccountId) -> Result<QueueId, ClientError> {
        if account == self.account.id() {
            return Err(ClientError::Oneself);
        }
        if let Some(there) = direct_with(&self.all_conversations()?, account) {
            return self.current(there);
        }
        self.get_ready_for(&[account]).await?;
        let new = self.new_queue().await?;
        self.start_direct(&new, account).await
    }

    /// What comes before anything is made or asked for it: the own account, and that the others
    /// exist.
    pub(crate) async fn get_ready_for(&mut self, others: &[AccountId]) -> Result<(), ClientError> {
        self.sync_account().await?;
        self.look_up(others).await?;
        Ok(())
    }

    /// Makes the 1:1 chat with an account.
    pub(crate) async fn start_direct(
        &mut self,
        new: &NewQueue,
        account: AccountId,
    ) -> Result<QueueId, ClientError> {
        let mut admins = vec![self.account.id(), account];
        admins.sort_unstable();
        self.start(new, GroupForm::Direct, "", admins, &[account])
            .await
    }

    /// Makes a group of this account, its admin, and some others.
    ///
    /// # Errors
    /// As [`Client::start_chat`].
    pub async fn create_group(
        &mut self,
        name: &str,
        members: &[AccountId],
    ) -> Result<QueueId, ClientError> {
        let name = checked_name(name)?;
        let own = self.account.id();
        let mut others: Vec<_> = members.iter().copied().filter(|one| *one != own).collect();
        others.sort_unstable();
        others.dedup();
        self.get_ready_for(&others).await?;
        let new = self.new_queue().await?;
        self.start(&new, GroupForm::Group, &name, vec![own], &others)
            .await
    }

    async fn start(
        &mut self,
        new: &NewQueue,
        form: GroupForm,
        name: &str,
        admins: Vec<AccountId>,
        others: &[AccountId],
    ) -> Result<QueueId, ClientError> {
        let policy = GroupPolicy {
            version: 1,
            name: name.as_bytes().into(),
            form,
            admins,
            network_sequence: self.connection.network().file().sequence,
        };
        let set = self.store.begin();
        let provider = self.crypto.with(set.mls());
        let group = Group::create(&provider, &self.device, new.id, &policy, &new.control)?;
        let peer = match form {
            GroupForm::Direct => others.first().map(|peer| peer.0),
            GroupForm::Group => None,
        };
        let everybody = Intent::Add {
            accounts: others.iter().map(|one| one.0).collect(),
            claimed: Vec::new(),
        };
        let mut conversation = Conversation::beginning(new, peer, &group, vec![everybody]);
        conversation.reflect(&group)?;
        conversation.enter(&set)?;
        self.commit(set)?;
        self.settle(new.id, &mut SyncReport::default()).await?;
        self.current(new.id)
    }

    /// Places a queue by a fresh nonce, under a fresh control key.
    pub(crate) async fn new_queue(&self) -> Result<NewQueue, ClientError> {
        let nonce = random()?;
        let relay = self.connection.open_relays().await?.place(&nonce)?;
        let control = Self::fresh_signing_key()?;
        let (id, create) = CreateQueue::sign(&control, &relay, nonce);
        Ok(NewQueue {
            id,
            relay,
            control,
            create,
        })
    }

    /// Makes the queue of a new conversation, if it is not made yet; returns the queue, which is
    /// another one where there was no room for it.
    pub(super) async fn create_queue(&mut self, queue: QueueId) -> Result<QueueId, ClientError> {
        let mut queue = queue;
        for _ in 1..QUEUE_TRIES {
            match self.create_this_queue(queue).await {
                Err(ClientError::Relay(RelayError::Full)) => {
                    queue = self.begin_elsewhere(queue).await?;
                }
                outcome => return outcome.map(|()| queue),
            }
        }
        self.create_this_queue(queue).await?;
        Ok(queue)
    }

    /// A new conversation whose queue finds no room begins again in another, which may be on
    /// another relay. What waits in it goes along; the id that was given out leads there.
    async fn begin_elsewhere(&mut self, queue: QueueId) -> Result<QueueId, ClientError> {
        let new = self.new_queue().await?;
        let set = self.store.begin();
        let provider = self.crypto.with(set.mls());
        let mut old = Conversation::load(&set, queue)?;
        let mut old_group = Group::load(&provider, old.group.clone())?;
        let policy = old_group.policy()?;
        let group = Group::create(&provider, &self.device, new.id, &policy, &new.control)?;
        let intents = std::mem::take(&mut old.intents);
        let mut one = Conversation {
            number: old.number,
            continues: old.continues.take().map(|it| it.moved_to(new.id)),
            ..Conversation::beginning(&new, old.peer, &group, intents)
        };
        one.reflect(&group)?;
        one.list(&set)?;
        old_group.delete(&provider)?;
        end(&mut old, StoredStanding::Out);
        old.create = None;
        old.continued_by = Some(one.queue);
        old.save(&set)?;
        move_waiting(&set, old.queue, one.queue)?;
        self.commit(set)?;
        Ok(new.id)
    }

    async fn create_this_queue(&mut self, queue: QueueId) -> Result<(), ClientError> {
        let conversation = Conversation::load(&self.store.begin(), queue)?;
        let Some(request) = &conversation.create else {
            return Ok(());
        };
        let request: CreateQueue =
            decode(request).map_err(|_| ClientError::Bug("a request that does not decode"))?;
        let created = self
            .connection
            .pay::<QueueCreated, _>(&conversation.shard()?, "create_queue", &request)
            .await?;
        if created.queue != queue {
            return Err(NotVerified::Differs("another queue was made").into());
        }
        let set = self.store.begin();
        let mut conversation = Conversation::load(&set, queue)?;
        conversation.create = None;
        conversation.save(&set)?;
        self.commit(set)
    }
}
