//! The change on its way: sent until the directory certifies its fate, then taken into the home.

use paigham_store::WriteSet;
use paigham_wire::directory::DirectoryError;
use paigham_wire::hash::Hash;
use paigham_wire::identity::IdentityRecord;

use super::records::OwnRecords;
use super::{ChangeOnItsWay, OwnChange};
use crate::account::Recovered;
use crate::client::Client;
use crate::conversation::{LAGGING_TRIES, LAGGING_WAIT};
use crate::error::ClientError;
use crate::view::Notice;

/// What the directory certifies of a change.
enum Fate {
    /// Its record is one of the account's.
    Taken(Hash),
    /// Another record came first.
    Lost,
    /// It does not follow any more.
    Refused(DirectoryError),
    /// Nothing yet.
    Open,
}

impl Client {
    /// Sends the change on its way, if there is one, and takes it into the home once its record is
    /// certified. One that will never be made is forgotten.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Unfinished`] while nothing is certified,
    /// [`ClientError::ChangeLost`] where another record came first.
    pub(crate) async fn settle_change(&mut self) -> Result<(), ClientError> {
        let Some(change) = ChangeOnItsWay::load(&self.store.begin())? else {
            return Ok(());
        };
        match self.fate_of(&change).await? {
            Fate::Taken(hash) => self.take_up(&change, hash),
            Fate::Lost => {
                self.forget_change()?;
                Err(ClientError::ChangeLost(change.what))
            }
            Fate::Refused(why) => {
                self.forget_change()?;
                Err(why.into())
            }
            Fate::Open => Err(ClientError::Unfinished(
                "the directory has not certified the change of the account",
            )),
        }
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
            Err(ClientError::Directory(why)) => {
                self.notices.push(Notice::OwnChangeRefused(why));
                Ok(())
            }
            outcome => outcome,
        }
    }

    async fn fate_of(&self, change: &ChangeOnItsWay) -> Result<Fate, ClientError> {
        let record = IdentityRecord::decode(&change.record)
            .map_err(|_| ClientError::Bug("an own record that does not decode"))?;
        let hash = record.hash();
        let (answer, answered_ns) = self.connection.submit_record(&change.record).await?;
        let refused = match answer {
            Ok(()) => None,
            Err(ClientError::Directory(why)) => Some(why),
            Err(other) => return Err(other),
        };
        let on = self.records_since(answered_ns).await?;
        Ok(match (on.hash_of(change.version), refused) {
            (Some(taken), _) if *taken == hash => Fate::Taken(hash),
            (Some(_), _) => Fate::Lost,
            (None, Some(why)) if is_final(why) => Fate::Refused(why),
            (None, _) => Fate::Open,
        })
    }

    /// The own records as of a time or later: a node that is a little behind is asked again.
    async fn records_since(&self, time_ns: u64) -> Result<OwnRecords, ClientError> {
        let mut on = self.connection.own_records(self.account.id()).await?;
        for _ in 0..LAGGING_TRIES {
            if on.now_ns >= time_ns {
                break;
            }
            tokio::time::sleep(LAGGING_WAIT).await;
            on = self.connection.own_records(self.account.id()).await?;
        }
        if on.now_ns < time_ns {
            return Err(ClientError::Unfinished("the node that answers is behind"));
        }
        Ok(on)
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

/// Whether the same record cannot be taken later either.
const fn is_final(why: DirectoryError) -> bool {
    matches!(
        why,
        DirectoryError::Malformed
            | DirectoryError::TooLarge
            | DirectoryError::Rejected
            | DirectoryError::NoSuchAccount
            | DirectoryError::Full
    )
}
