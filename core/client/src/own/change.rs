//! The operations of an owner.

use ed25519_dalek::SigningKey;
use paigham_wire::identity::{RecordKind, Role, recovery_key_hash};
use paigham_wire::ids::DeviceId;
use paigham_wire::recovery_kit::RecoveryKit;

use super::propose::Proposal;
use super::reauthenticated::Reauthenticated;
use super::records::OwnRecords;
use super::{ChangeOnItsWay, OwnChange};
use crate::account::{Seed, random};
use crate::client::Client;
use crate::error::ClientError;

/// Which key freezes.
#[derive(Debug)]
pub enum FreezeKey<'a> {
    /// The identity key of this home.
    Identity,
    /// The kit: also from a home whose identity key counts no more.
    Kit(&'a RecoveryKit),
}

impl Client {
    /// Stops everything that the identity key alone can do, for seven days. What is left to the
    /// owner meanwhile is the kit: [`crate::Recovery`] and [`Client::change_kit`], which end it.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Unfinished`] where it is stored and not certified yet.
    pub async fn freeze(&mut self, by: FreezeKey<'_>) -> Result<(), ClientError> {
        let on = self.records_to_change().await?;
        let (role, key) = match by {
            FreezeKey::Identity => (Role::Identity, self.counting_identity(&on)?),
            FreezeKey::Kit(kit) => (Role::Recovery, right_kit(&on, kit)?),
        };
        let proposal = Proposal::new(&on, OwnChange::Freeze, RecordKind::Freeze)?;
        self.make(proposal.sign(&[(role, &key)])?).await
    }

    /// Takes a fresh identity key: whoever copied the one before can do nothing more with it.
    /// Contacts see that the key changed. It voids a delete that does not count yet.
    ///
    /// # Errors
    /// As [`Client::freeze`].
    pub async fn rotate(&mut self, owner: Reauthenticated) -> Result<(), ClientError> {
        self.check_owner(owner)?;
        let on = self.records_to_change().await?;
        let key = self.counting_identity(&on)?;
        let proposal = Proposal::new(&on, OwnChange::Rotate, RecordKind::Rotate)?;
        let change = proposal
            .identity(Seed::random()?)
            .sign(&[(Role::Identity, &key)])?;
        self.make(change).await
    }

    /// Takes other devices of this account out, with a fresh identity key: at once in the record,
    /// then in each group that this device is in.
    ///
    /// # Errors
    /// As [`Client::freeze`]; [`ClientError::NoSuchDevice`]; [`ClientError::Oneself`] for this
    /// device.
    pub async fn remove_devices(
        &mut self,
        devices: &[DeviceId],
        owner: Reauthenticated,
    ) -> Result<(), ClientError> {
        self.check_owner(owner)?;
        if devices.contains(&self.account.device_id()) {
            return Err(ClientError::Oneself);
        }
        let on = self.records_to_change().await?;
        let key = self.counting_identity(&on)?;
        check_devices(&on, devices)?;
        let proposal = Proposal::new(&on, OwnChange::RemoveDevices, RecordKind::DeviceRemove)?;
        let change = proposal
            .only(|device| !devices.contains(device))
            .identity(Seed::random()?)
            .sign(&[(Role::Identity, &key)])?;
        self.make(change).await
    }

    /// A recovery kit from fresh randomness, to be shown before [`Client::change_kit`] makes it
    /// count; it is kept nowhere.
    ///
    /// # Errors
    /// Without randomness.
    pub fn new_kit() -> Result<RecoveryKit, ClientError> {
        Ok(RecoveryKit::new(random()?))
    }

    /// Makes another kit count, at once: whoever has the old one has nothing. It ends a freeze and
    /// voids a recover and a delete that do not count yet.
    ///
    /// # Errors
    /// As [`Client::freeze`]; [`ClientError::WrongKit`].
    pub async fn change_kit(
        &mut self,
        old: &RecoveryKit,
        new: &RecoveryKit,
    ) -> Result<(), ClientError> {
        let on = self.records_to_change().await?;
        let key = self.counting_identity(&on)?;
        let kit = right_kit(&on, old)?;
        let hash = recovery_key_hash(&new.key().verifying_key().to_bytes());
        let proposal = Proposal::new(&on, OwnChange::ChangeKit, RecordKind::RecoveryChange)?;
        let change = proposal
            .recovery_key_hash(hash)
            .sign(&[(Role::Identity, &key), (Role::Recovery, &kit)])?;
        self.make(change).await
    }

    /// Ends the account in 72 hours, for good; any other change until then voids it.
    ///
    /// # Errors
    /// As [`Client::freeze`].
    pub async fn delete_account(&mut self, owner: Reauthenticated) -> Result<(), ClientError> {
        self.check_owner(owner)?;
        let on = self.records_to_change().await?;
        let key = self.counting_identity(&on)?;
        let proposal = Proposal::new(&on, OwnChange::Delete, RecordKind::Delete)?;
        self.make(proposal.sign(&[(Role::Identity, &key)])?).await
    }

    /// Voids a delete that does not count yet, by a [`Client::rotate`]: if it was a thief who began
    /// it, the thief's copy of the identity key is worth nothing from then on.
    ///
    /// # Errors
    /// As [`Client::freeze`]; [`ClientError::NothingToUndo`].
    pub async fn undo_delete(&mut self, owner: Reauthenticated) -> Result<(), ClientError> {
        let on = self.records_to_change().await?;
        if on.state.deleted_at().is_none_or(|at| at <= on.now_ns) {
            return Err(ClientError::NothingToUndo);
        }
        self.rotate(owner).await
    }

    /// The own account as it is now, with nothing on its way.
    async fn records_to_change(&mut self) -> Result<OwnRecords, ClientError> {
        self.sync_account().await?;
        match ChangeOnItsWay::load(&self.store.begin())? {
            Some(change) => Err(ClientError::ChangePending(change.what)),
            None => self.own_records().await,
        }
    }

    /// The identity key of this home, if it is the one that counts.
    pub(super) fn counting_identity(&self, on: &OwnRecords) -> Result<SigningKey, ClientError> {
        if on.state.at(on.now_ns).identity_key == self.account.identity_key() {
            Ok(self.account.identity_seed().signing_key())
        } else {
            Err(ClientError::NotTheIdentity)
        }
    }

    /// Stores a change and sees it through.
    pub(super) async fn make(&mut self, change: ChangeOnItsWay) -> Result<(), ClientError> {
        let set = self.store.begin();
        change.begin(&set)?;
        self.commit(set)?;
        self.settle_change().await
    }
}

/// The key of a kit, if it is the account's.
///
/// # Errors
/// [`ClientError::WrongKit`].
pub(super) fn right_kit(on: &OwnRecords, kit: &RecoveryKit) -> Result<SigningKey, ClientError> {
    let key = kit.key();
    let hash = recovery_key_hash(&key.verifying_key().to_bytes());
    if hash == on.state.at(on.now_ns).recovery_key_hash {
        Ok(key)
    } else {
        Err(ClientError::WrongKit)
    }
}

/// # Errors
/// [`ClientError::NoSuchDevice`].
pub(super) fn check_devices(on: &OwnRecords, devices: &[DeviceId]) -> Result<(), ClientError> {
    let has = |device: &&DeviceId| on.state.device_at(device, on.now_ns).is_some();
    match devices.iter().find(|device| !has(device)) {
        Some(unknown) => Err(ClientError::NoSuchDevice(*unknown)),
        None => Ok(()),
    }
}
