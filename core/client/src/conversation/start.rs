//! Making a conversation.

use paigham_group::Group;
use paigham_wire::chain::{commit_start, queue_start};
use paigham_wire::codec::{decode, encode};
use paigham_wire::envelope::{GroupForm, GroupPolicy};
use paigham_wire::ids::{AccountId, CanisterId, QueueId};
use paigham_wire::relay::{CreateQueue, QueueCreated};

use super::{Conversation, Intent, StoredStanding, direct_with};
use crate::account::{checked_name, random};
use crate::client::Client;
use crate::error::{ClientError, NotVerified};
use crate::verify::{Cursor, Seen};
use crate::view::SyncReport;

impl Conversation {
    /// One whose queue is not made yet, and which `intent` fills.
    pub(super) fn beginning(
        queue: QueueId,
        relay: &CanisterId,
        peer: Option<[u8; 16]>,
        group: &Group,
        create: &CreateQueue,
        intent: Intent,
    ) -> Self {
        let cursor = Cursor {
            seq: 0,
            head: queue_start(&queue),
            commit_head: commit_start(&queue),
            epoch: 0,
        };
        Self {
            number: 0,
            queue: queue.0,
            shard: relay.as_slice().to_vec(),
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
            create: Some(encode(create)),
            intents: vec![intent],
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
        let mut admins = vec![self.account.id(), account];
        admins.sort_unstable();
        self.start(GroupForm::Direct, "", admins, &[account]).await
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
        self.start(GroupForm::Group, &name, vec![own], &others)
            .await
    }

    async fn start(
        &mut self,
        form: GroupForm,
        name: &str,
        admins: Vec<AccountId>,
        others: &[AccountId],
    ) -> Result<QueueId, ClientError> {
        self.sync_account().await?;
        // Unknown accounts are refused before anything is made.
        self.look_up(others).await?;
        let control = Self::fresh_signing_key()?;
        let nonce = random()?;
        let relay = self.connection.open_relays().await?.place(&nonce)?;
        let (queue, create) = CreateQueue::sign(&control, &relay, nonce);
        let policy = GroupPolicy {
            version: 1,
            name: name.as_bytes().into(),
            form,
            admins,
            network_sequence: self.connection.network().file().sequence,
        };
        let set = self.store.begin();
        let provider = self.crypto.with(set.mls());
        let group = Group::create(&provider, &self.device, queue, &policy, &control)?;
        let peer = match form {
            GroupForm::Direct => others.first().map(|peer| peer.0),
            GroupForm::Group => None,
        };
        let everybody = Intent::Add {
            accounts: others.iter().map(|one| one.0).collect(),
            claimed: Vec::new(),
        };
        let mut conversation =
            Conversation::beginning(queue, &relay, peer, &group, &create, everybody);
        conversation.reflect(&group)?;
        conversation.enter(&set)?;
        self.commit(set)?;
        self.settle(queue, &mut SyncReport::default()).await?;
        Ok(queue)
    }

    /// Makes the queue of a new conversation, if it is not made yet.
    pub(super) async fn create_queue(&mut self, queue: QueueId) -> Result<(), ClientError> {
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
