//! A changed client: what it sends the relay takes, and no honest member does.

use paigham_group::Group;
use paigham_group::commit::Base;
use paigham_group::reset::with_admin;
use paigham_wire::codec::encode;
use paigham_wire::ids::{AccountId, QueueId};
use paigham_wire::relay::{CommitAccepted, RelayError};

use crate::client::Client;
use crate::conversation::{Conversation, Intent, POST_SECONDS, Prepared};
use crate::error::ClientError;
use crate::view::SyncReport;

/// What a commit does that it must not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Breach {
    /// Adds an account, without the role for it.
    Add(AccountId),
    /// Removes an account, without the role for it.
    Remove(AccountId),
    /// Makes its own account an admin.
    Promote,
    /// Says nothing: nobody can apply it.
    Garbage,
}

impl Client {
    /// Sends a commit that breaks a rule, past all own checks; nothing of it is kept in the home.
    ///
    /// # Errors
    /// [`ClientError`], if the relay does not take it.
    pub async fn breaks_the_rules(
        &mut self,
        queue: QueueId,
        breach: &Breach,
    ) -> Result<(), ClientError> {
        let queue = self.current(queue)?;
        self.connection.ensure_time().await?;
        let mut prepared = Prepared::default();
        let members: Vec<_> = self.group_of(queue)?.members().collect();
        match breach {
            Breach::Add(account) => {
                self.prepare_add(queue, &members, &[account.0], &[], &mut prepared)
                    .await?;
            }
            Breach::Remove(account) => {
                let gone = members.iter().filter(|m| m.account() == *account);
                prepared.change.remove = gone.map(|member| member.leaf).collect();
            }
            Breach::Promote => {
                let policy = self.group_of(queue)?.policy()?;
                prepared.change.policy = Some(with_admin(&policy, self.account.id()));
            }
            Breach::Garbage => {}
        }
        let set = self.store.begin();
        let one = Conversation::load(&set, queue)?;
        let provider = self.crypto.with(set.mls());
        let mut group = Group::load(&provider, one.group.clone())?;
        let not_after = self.connection.now_seconds() + POST_SECONDS;
        let base = Base {
            canister: one.shard()?,
            seq: one.cursor.seq,
            head: one.cursor.head,
            commit_head: one.cursor.commit_head,
            not_after: u32::try_from(not_after).unwrap_or(u32::MAX),
            proofs: prepared
                .proved
                .iter()
                .map(|one| one.proof.clone())
                .collect(),
            reset: None,
        };
        let (crypto, device, change) = (&self.crypto, &self.device, &prepared.change);
        let staged = match breach {
            Breach::Garbage => group.commit_garbage(crypto, &provider, device, base)?,
            _ => group.commit_unjudged(crypto, &provider, device, change, base)?,
        };
        drop(set);
        self.connection
            .update::<CommitAccepted, RelayError>(
                &one.shard()?,
                "submit_commit",
                &encode(&staged.submit),
            )
            .await?;
        Ok(())
    }

    /// This device cannot apply the next commit of a conversation, as if its path secret had been
    /// spoiled for it alone.
    ///
    /// # Errors
    /// [`ClientError`], among others if there is no next entry.
    pub async fn cannot_apply_the_next(&mut self, queue: QueueId) -> Result<(), ClientError> {
        self.connection.ensure_time().await?;
        self.stops_at_next(queue).await
    }

    /// Adds an account, and another member submits the commit in this device's place, with a Welcome
    /// that opens nothing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn adds_with_a_spoiled_welcome(
        &mut self,
        queue: QueueId,
        account: AccountId,
    ) -> Result<(), ClientError> {
        let intent = Intent::Add {
            accounts: vec![account.0],
            claimed: Vec::new(),
        };
        self.stage_spoiled(queue, intent).await?;
        self.settle(queue, &mut SyncReport::default()).await
    }

    /// Opens the chat with an account, in a queue whose id is one that the caller looks for.
    ///
    /// # Errors
    /// As [`Client::start_chat`].
    pub async fn starts_chat_at(
        &mut self,
        account: AccountId,
        wanted: impl Fn(&QueueId) -> bool,
    ) -> Result<QueueId, ClientError> {
        self.get_ready_for(&[account]).await?;
        let mut new = self.new_queue().await?;
        while !wanted(&new.id) {
            new = self.new_queue().await?;
        }
        self.start_direct(&new, account).await
    }

    fn group_of(&self, queue: QueueId) -> Result<Group, ClientError> {
        let set = self.store.begin();
        let one = Conversation::load(&set, queue)?;
        Ok(Group::load(&self.crypto.with(set.mls()), one.group)?)
    }
}
