//! Claiming, giving up and watching the own handle.

use paigham_lookup::evidence::Item;
use paigham_lookup::finding::Finding;
use paigham_lookup::handle::JudgedHandle;
use paigham_store::WriteSet;
use paigham_wire::codec::encode;
use paigham_wire::directory::DirectoryError;
use paigham_wire::identity::handle::{Handle, HandleContent, HandleKind, HandleRecord, Holding};
use paigham_wire::log::Submission;

use super::find::view;
use super::kept::{HandleWatch, OwnHandle};
use crate::client::Client;
use crate::error::ClientError;
use crate::log::{KeptLabel, Problem, ProblemKind, evidence_of, is_for_later};
use crate::view::{HandleView, Notice};

impl Client {
    /// Takes a handle for the own account, as it is typed; voids an own release of it that does not
    /// count yet; spells it anew. An account holds one handle at a time.
    ///
    /// Can be interrupted anywhere: the same call, or [`Client::sync`], goes on.
    ///
    /// # Errors
    /// [`ClientError::HandleTaken`], [`ClientError::HandleResting`],
    /// [`ClientError::HandleRefused`]; [`ClientError::Unfinished`] while it is not in the log.
    pub async fn claim_handle(&mut self, typed: &str) -> Result<HandleView, ClientError> {
        let handle = Handle::typed(typed)?;
        self.sync_account().await?;
        self.publish_handle().await?;
        let judged = self.look_up_handle(&handle.skeleton()).await?;
        let own = self.account.id();
        match judged.as_ref().map(|judged| &judged.holding) {
            Some(Holding::Held { by, .. }) if *by != own => return Err(ClientError::HandleTaken),
            Some(Holding::Resting { after, until }) if *after != own => {
                return Err(ClientError::HandleResting(*until));
            }
            Some(Holding::Held { ends_at: None, .. })
                if judged
                    .as_ref()
                    .is_some_and(|judged| *judged.handle() == handle) =>
            {
                return Ok(view(&handle, judged.as_ref()));
            }
            _ => {}
        }
        self.write_handle(&handle, judged.as_ref(), HandleKind::Claim)?;
        self.publish_handle().await?;
        let judged = self.look_up_handle(&handle.skeleton()).await?;
        Ok(view(&handle, judged.as_ref()))
    }

    /// Gives the own handle up: that counts after 72 hours, until when a claim voids it. Then it
    /// rests for 180 days, in which only this account may claim it.
    ///
    /// # Errors
    /// [`ClientError::NoHandle`]; as [`Client::claim_handle`].
    pub async fn release_handle(&mut self) -> Result<HandleView, ClientError> {
        self.sync_account().await?;
        self.publish_handle().await?;
        let Some((handle, judged)) = self.held_handle().await? else {
            return Err(ClientError::NoHandle);
        };
        if let Holding::Held { ends_at: None, .. } = judged.holding {
            self.write_handle(&handle, Some(&judged), HandleKind::Release)?;
            self.publish_handle().await?;
        }
        let judged = self.look_up_handle(&handle.skeleton()).await?;
        Ok(view(&handle, judged.as_ref()))
    }

    /// The own handle as the log shows it now; `None` if the account has none.
    ///
    /// # Errors
    /// What does not verify.
    pub async fn own_handle(&mut self) -> Result<Option<HandleView>, ClientError> {
        self.publish_handle().await?;
        let held = self.held_handle().await?;
        Ok(held.map(|(handle, judged)| view(&handle, Some(&judged))))
    }

    /// Takes up a record that is on its way.
    ///
    /// # Errors
    /// As [`Client::claim_handle`].
    pub(crate) async fn publish_handle(&mut self) -> Result<(), ClientError> {
        let Some(record) = OwnHandle::load(&self.store.begin())?.waiting()? else {
            return Ok(());
        };
        let skeleton = record.content.handle.skeleton();
        let submission = Submission::Handle(encode(&record).into());
        let version = record.content.record_version;
        let refused = match self.bring_in(&skeleton.label(), version, &submission).await {
            // It waited, and did not follow any more when its turn came.
            Ok(()) | Err(ClientError::Directory(DirectoryError::Rejected)) => None,
            Err(ClientError::Directory(DirectoryError::Handle(reason))) => Some(reason),
            Err(error) if is_for_later(&error) => {
                return Err(ClientError::Unfinished(
                    "the log does not take the handle yet",
                ));
            }
            Err(other) => return Err(other),
        };
        // Only what a search shows is so, whatever the directory said of it.
        let judged = self.look_up_handle(&skeleton).await?;
        let logged = judged.is_some_and(|judged| {
            judged.state.newest_hash() == &record.hash() || judged.state.version() > version
        });
        self.settle_handle(&record, logged)?;
        match (logged, refused) {
            (true, _) => Ok(()),
            (false, Some(reason)) => Err(ClientError::HandleRefused(reason)),
            (false, None) => Err(ClientError::RecordLost),
        }
    }

    /// Looks the own handle up and tells of a record under it that this device did not make.
    ///
    /// # Errors
    /// What does not verify.
    pub(crate) async fn watch_handle(&mut self) -> Result<(), ClientError> {
        let Some((handle, judged)) = self.held_handle().await? else {
            return Ok(());
        };
        if OwnHandle::load(&self.store.begin())?.has_made(&judged) {
            return Ok(());
        }
        let ends_at = match judged.holding {
            Holding::Held { ends_at, .. } => ends_at,
            Holding::Resting { .. } | Holding::Free => None,
        };
        self.notices.push(Notice::HandleChanged {
            handle: handle.to_string(),
            ends_at,
        });
        self.keep_handle_alarm(&handle, &judged).await
    }

    /// What shows the record to anybody: the handle, and the account that it names.
    async fn keep_handle_alarm(
        &mut self,
        handle: &Handle,
        judged: &JudgedHandle,
    ) -> Result<(), ClientError> {
        let own = self.account.id();
        let shown = self.ask_label_alone(&handle.skeleton().label()).await?;
        let items = vec![Item::Label(shown), self.ask_alone(own).await?];
        let set = self.store.begin();
        let evidence = evidence_of(&set, Finding::UnknownVersion, items)?;
        let kind = ProblemKind::HandleChanged {
            handle: handle.to_string(),
            version: judged.state.version(),
        };
        let now = self.connection.now_ns();
        Problem::new(kind, Some(own), now, &evidence).keep(&set)?;
        self.commit(set)?;
        self.write_evidence()
    }

    /// The handle that this device claimed last, while the account holds it or may claim it back.
    async fn held_handle(&mut self) -> Result<Option<(Handle, JudgedHandle)>, ClientError> {
        let Some(shown) = OwnHandle::load(&self.store.begin())?.shown else {
            return Ok(None);
        };
        let handle = Handle::new(&shown)?;
        let judged = self.look_up_handle(&handle.skeleton()).await?;
        let own = self.account.id();
        Ok(judged
            .filter(|judged| match judged.holding {
                Holding::Held { by, .. } => by == own,
                Holding::Resting { after, .. } => after == own,
                Holding::Free => false,
            })
            .map(|judged| (judged.handle().clone(), judged)))
    }

    /// Makes the next record of a handle and keeps it before anything is sent.
    fn write_handle(
        &self,
        handle: &Handle,
        before: Option<&JudgedHandle>,
        kind: HandleKind,
    ) -> Result<(), ClientError> {
        let set = self.store.begin();
        let own = self.account.id();
        let kept = KeptLabel::load(&set, own)?.ok_or(ClientError::NoSuchAccount(own))?;
        let now = self.connection.now_ns();
        let key_change = kept.history.state().at(now).key_change;
        let content = HandleContent {
            version: 1,
            handle: handle.clone(),
            account: own,
            record_version: before.map_or(0, |before| before.state.version().saturating_add(1)),
            previous: before.map_or([0; 32], |before| *before.state.newest_hash()),
            key_change_version: key_change.0,
            key_change_hash: key_change.1,
            kind,
        };
        let record = HandleRecord::sign(content, &self.account.identity_signing_key());
        let mut waiting = OwnHandle::load(&set)?;
        waiting.wait_for(&record);
        waiting.save(&set)?;
        self.commit(set)
    }

    fn settle_handle(&self, record: &HandleRecord, logged: bool) -> Result<(), ClientError> {
        let set = self.store.begin();
        let mut own = OwnHandle::load(&set)?;
        own.settle();
        if logged {
            own.shown = Some(record.content.handle.to_string());
        }
        own.save(&set)?;
        self.commit(set)
    }
}

/// The owner made the newest record of a handle, with another device.
pub(crate) fn own_up_to_handle(set: &WriteSet, handle: &str) -> Result<(), ClientError> {
    let skeleton = Handle::new(handle)?.skeleton();
    let Some(kept) = HandleWatch::load(set, &skeleton)? else {
        return Ok(());
    };
    let mut own = OwnHandle::load(set)?;
    own.note_made(kept.hash);
    own.save(set)
}
