//! The change on its way: brought into the log, then taken into the home.

use paigham_store::WriteSet;
use paigham_wire::hash::Hash;

use super::{ChangeOnItsWay, OwnChange};
use crate::account::Recovered;
use crate::client::Client;
use crate::error::ClientError;
use crate::log::KeptLabel;
use crate::view::Notice;

impl Client {
    /// Brings the change on its way into the log, if there is one, and takes it into the home once a
    /// search has shown its record. One that will never be made is forgotten.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Unfinished`] while nothing is decided,
    /// [`ClientError::ChangeLost`] where another record came first or it does not follow any more.
    pub(crate) async fn settle_change(&mut self) -> Result<(), ClientError> {
        let change = ChangeOnItsWay::load(&self.store.begin())?;
        match self.publish_record().await {
            Ok(_) => {}
            Err(ClientError::RecordLost) if change.is_some() => {}
            Err(other) => return Err(other),
        }
        let Some(change) = change else { return Ok(()) };
        // Publishing has looked the account up, in this run or in the one that was interrupted.
        let kept = KeptLabel::load(&self.store.begin(), self.account.id())?;
        let hash = change.record()?.hash();
        let made = kept.is_some_and(|kept| kept.history.hash(change.version) == Some(&hash));
        if made {
            return self.take_up(&change, hash);
        }
        self.forget_change()?;
        Err(ClientError::ChangeLost(change.what))
    }

    /// Goes on with the change on its way. What nobody has decided yet stops nothing else; neither
    /// does one that will never be made, which the user is told.
    pub(crate) async fn go_on_with_change(&mut self) -> Result<(), ClientError> {
        match self.settle_change().await {
            Err(ClientError::Unfinished(_)) => Ok(()),
            Err(ClientError::ChangeLost(what)) => {
                self.notices.push(Notice::OwnChangeLost(what));
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// The record counts: the home takes up its key, and each group is to lose the leaves of devices
    /// that are gone, all in one step with forgetting the change.
    fn take_up(&mut self, change: &ChangeOnItsWay, hash: Hash) -> Result<(), ClientError> {
        let mut account = self.account.clone();
        match change.what {
            OwnChange::Freeze | OwnChange::ChangeKit | OwnChange::Delete => {}
            OwnChange::Rotate | OwnChange::RemoveDevices => {
                let seed = change.identity.clone();
                account.take_identity(seed.ok_or(ClientError::Bug("a rotation without a key"))?);
            }
            OwnChange::Recover => {
                account.recovered = Some(Recovered {
                    version: change.version,
                    hash,
                });
            }
            OwnChange::AddDevice => account.registered = true,
        }
        let set = self.store.begin();
        account.save(&set)?;
        self.remove_own_leaves(&set, &change.removed)?;
        ChangeOnItsWay::forget(&set);
        self.commit(set)?;
        self.account = account;
        Ok(())
    }

    fn remove_own_leaves(&self, set: &WriteSet, devices: &[[u8; 16]]) -> Result<(), ClientError> {
        if devices.is_empty() {
            return Ok(());
        }
        for mut conversation in self.all_conversations()? {
            if conversation.take_own_devices_out(devices) {
                conversation.save(set)?;
            }
        }
        Ok(())
    }

    fn forget_change(&self) -> Result<(), ClientError> {
        let set = self.store.begin();
        ChangeOnItsWay::forget(&set);
        self.commit(set)
    }
}
