//! Going: a SelfRemove in each epoch until somebody's commit takes this account out.

use paigham_group::Group;
use paigham_wire::ids::QueueId;
use paigham_wire::relay::{BatchReply, PostOutcome, PostRefusal, RelayError};

use super::{Conversation, Intent, POST_SECONDS, SealedPost, StoredStanding};
use crate::client::Client;
use crate::error::{ClientError, NotVerified};
use crate::view::SyncReport;

impl Client {
    /// Leaves a group. Nothing is sent to it any more; the next commit of another member takes
    /// this account out. An admin gives its role up first, the only one to another member.
    ///
    /// # Errors
    /// [`ClientError`]; what is unreachable is kept and goes on with the next sync.
    pub async fn leave(&mut self, queue: QueueId) -> Result<(), ClientError> {
        let queue = self.check_group(queue)?.queue();
        let own = self.account.id();
        let set = self.store.begin();
        let mut conversation = Conversation::load(&set, queue)?;
        conversation.intents.clear();
        let alone = conversation.members.iter().all(|one| *one == own.0);
        if alone && conversation.submission.is_none() {
            let provider = self.crypto.with(set.mls());
            Group::load(&provider, conversation.group.clone())?.delete(&provider)?;
            end(&mut conversation, StoredStanding::Out);
        } else {
            // The change on its way is nobody's any more; if it is accepted, so be it.
            if let Some(submission) = &mut conversation.submission {
                submission.for_intent = false;
            }
            if conversation.admins.contains(&own.0) {
                conversation.intents.push(Intent::StepDown);
            }
            conversation.standing = StoredStanding::Leaving;
        }
        conversation.save(&set)?;
        self.commit(set)?;
        self.sync_account().await?;
        self.settle(queue, &mut SyncReport::default()).await
    }

    /// Posts the SelfRemove of this epoch, if the log does not hold it yet.
    pub(super) async fn settle_leave(
        &mut self,
        queue: QueueId,
        report: &mut SyncReport,
    ) -> Result<(), ClientError> {
        self.connection.ensure_time().await?;
        let Some(sealed) = self.propose_leave(queue)? else {
            return Ok(());
        };
        let shard = Conversation::load(&self.store.begin(), queue)?.shard()?;
        let (reply, answered_ns) = self
            .connection
            .update_at::<BatchReply, RelayError>(&shard, "append_batch", &sealed.post)
            .await?;
        let reply = reply?;
        let [outcome] = reply.outcomes[..] else {
            return Err(NotVerified::Malformed("append_batch").into());
        };
        let certified_ns = self.catch_up_since(queue, answered_ns, report).await?;
        let for_good = matches!(
            outcome,
            PostOutcome::Refused(PostRefusal::CatchUpFirst | PostRefusal::Expired)
        );
        let expired = certified_ns / 1_000_000_000 > u64::from(sealed.not_after);
        if for_good || expired {
            let set = self.store.begin();
            let mut conversation = Conversation::load(&set, queue)?;
            conversation.leave = None;
            conversation.save(&set)?;
            self.commit(set)?;
        }
        Ok(())
    }

    /// The SelfRemove of the current epoch; `None` once it is in the log.
    fn propose_leave(&mut self, queue: QueueId) -> Result<Option<SealedPost>, ClientError> {
        let set = self.store.begin();
        let mut conversation = Conversation::load(&set, queue)?;
        let provider = self.crypto.with(set.mls());
        let mut group = Group::load(&provider, conversation.group.clone())?;
        let (leaving, own) = (group.leaving(), group.own_leaf());
        let somebody_stays = group
            .members()
            .any(|member| member.leaf != own && !leaving.contains(&member.leaf));
        if !somebody_stays {
            // Nobody is left to take this account out.
            group.delete(&provider)?;
            end(&mut conversation, StoredStanding::Out);
            conversation.save(&set)?;
            self.commit(set)?;
            return Ok(None);
        }
        if leaving.contains(&own) {
            return Ok(None);
        }
        let epoch = conversation.cursor.epoch;
        if let Some(waiting) = conversation.leave.clone().filter(|one| one.epoch == epoch) {
            return Ok(Some(waiting));
        }
        let not_after = self.connection.now_seconds() + POST_SECONDS;
        let post = group.propose_leave(
            &self.crypto,
            &provider,
            &self.device,
            conversation.cursor.seq,
            u32::try_from(not_after).unwrap_or(u32::MAX),
        )?;
        let sealed = SealedPost::new(post)?;
        conversation.group = group.state().clone();
        conversation.leave = Some(sealed.clone());
        conversation.save(&set)?;
        self.commit(set)?;
        Ok(Some(sealed))
    }
}

/// What of a conversation is dropped when it ends.
pub(super) fn end(conversation: &mut Conversation, standing: StoredStanding) {
    conversation.standing = standing;
    conversation.intents.clear();
    conversation.submission = None;
    conversation.leave = None;
}
