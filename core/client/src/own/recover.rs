//! The account in a new home, from the kit.

use std::path::Path;
use std::sync::Arc;

use paigham_store::Store;
use paigham_wire::hash::Hash;
use paigham_wire::identity::{RecordKind, Role};
use paigham_wire::ids::{AccountId, DeviceId};
use paigham_wire::network::VerifiedNetwork;
use paigham_wire::recovery_kit::RecoveryKit;

use super::change::{check_devices, right_kit};
use super::propose::Proposal;
use super::records::OwnRecords;
use super::{ChangeOnItsWay, OwnChange};
use crate::account::{Account, Environment, Seed, make_home};
use crate::client::Client;
use crate::clock::NetworkTime;
use crate::connection::Connection;
use crate::error::{ClientError, NotVerified};
use crate::log::{look_up_once, note_made};
use crate::trust;

/// Which account is to come back, and as what.
#[derive(Debug)]
pub struct RecoverTarget<'a> {
    /// The account.
    pub account: AccountId,
    /// Its kit.
    pub kit: &'a RecoveryKit,
    /// Devices that remain, because the owner still has them; all others are out once the recover
    /// counts.
    pub remain: &'a [DeviceId],
    /// What the owner calls themself in the new home.
    pub name: &'a str,
}

/// An account that comes back, in memory only.
#[derive(Debug)]
pub struct Recovery {
    account: Account,
    change: ChangeOnItsWay,
    /// Hashes of the records so far. The new home takes them as they are: what it is to be warned of
    /// is what comes after.
    known: Vec<Hash>,
    network: VerifiedNetwork,
}

impl Recovery {
    /// Looks the account up and signs a recover with a fresh identity key. Nothing is sent before
    /// it lies in the home that [`Recovery::create`] makes.
    ///
    /// # Errors
    /// [`ClientError::WrongKit`], [`ClientError::NoSuchDevice`]; [`ClientError::RecordRefused`]
    /// where another recover waits or the account is deleted.
    pub async fn prepare(
        network: VerifiedNetwork,
        target: &RecoverTarget<'_>,
        environment: &Environment,
    ) -> Result<Self, ClientError> {
        let connection = Connection::new(
            network.clone(),
            environment.transport.clone(),
            Arc::clone(&environment.clock),
            NetworkTime::default(),
        )?;
        connection.ensure_code(connection.directory()).await?;
        let open = connection.open_relays().await?;
        let trust = trust::log_of(&network)?;
        let (history, now_ns) = look_up_once(&connection, &trust, target.account).await?;
        let on = OwnRecords::new(history, now_ns);
        let account = Account::for_recovery(target.account, target.name, &open, on.now_ns)?;
        let change = recover_record(&on, target.kit, target.remain, account.identity_seed())?;
        Ok(Self {
            account,
            change,
            known: on.hashes().copied().collect(),
            network,
        })
    }

    /// Makes the home. [`Client::sync`] publishes the recover, waits the 72 hours
    /// ([`ClientError::Recovering`] from everything else meanwhile), then adds this device.
    ///
    /// # Errors
    /// As [`crate::NewAccount::create`].
    pub fn create(
        self,
        home: &Path,
        passphrase: &str,
        environment: Environment,
    ) -> Result<Client, ClientError> {
        let store = make_home(home, passphrase, &environment)?;
        let client = self.create_on(store, environment)?;
        Ok(client.in_folder(home))
    }

    /// As [`Recovery::create`], in an open and empty store.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn create_on(self, store: Store, environment: Environment) -> Result<Client, ClientError> {
        let set = store.begin();
        trust::pin(&set, &self.network)?;
        self.account.save(&set)?;
        for hash in &self.known {
            note_made(&set, hash)?;
        }
        self.change.begin(&set)?;
        set.commit()?;
        Client::open_on(store, None, environment)
    }
}

fn recover_record(
    on: &OwnRecords,
    kit: &RecoveryKit,
    remain: &[DeviceId],
    identity: &Seed,
) -> Result<ChangeOnItsWay, ClientError> {
    let key = right_kit(on, kit)?;
    check_devices(on, remain)?;
    Proposal::new(on, OwnChange::Recover, RecordKind::Recover)?
        .only(|device| remain.contains(device))
        .identity(identity.clone())
        .sign(&[(Role::Recovery, &key)])
}

impl Client {
    /// Begins the recover of this home anew, after another record came first or voided it.
    ///
    /// # Errors
    /// As [`Recovery::prepare`]; [`ClientError::Name`] never.
    pub async fn recover_again(
        &mut self,
        kit: &RecoveryKit,
        remain: &[DeviceId],
    ) -> Result<(), ClientError> {
        match self.sync_account().await {
            Err(ClientError::RecoverVoided) => {}
            Err(other) => return Err(other),
            Ok(()) => return Err(ClientError::NothingToUndo),
        }
        let on = self.own_records().await?;
        let change = recover_record(&on, kit, remain, self.account.identity_seed())?;
        self.make(change).await
    }

    /// Brings a recovered account on: its recover is published, waited for, and this device added.
    ///
    /// # Errors
    /// [`ClientError::Recovering`] until the recover counts; [`ClientError::RecoverVoided`].
    pub(crate) async fn sync_recovery(&mut self) -> Result<(), ClientError> {
        match self.settle_change().await {
            Err(ClientError::ChangeLost(OwnChange::Recover)) => {
                return Err(ClientError::RecoverVoided);
            }
            outcome => outcome?,
        }
        if self.account.registered {
            return Ok(());
        }
        let recovered = self.account.recovered.ok_or(ClientError::RecoverVoided)?;
        let account = self.account.id();
        let on = self.own_records().await?;
        if on.hash_of(recovered.version) != Some(&recovered.hash) {
            return Err(NotVerified::RecordsChanged(account).into());
        }
        let mine = self.account.identity_key();
        if on.state.at(on.now_ns).identity_key == mine {
            return self.add_this_device(&on).await;
        }
        match on.state.recover_at(on.now_ns) {
            Some((counts_at_ns, standing)) if standing.identity_key == mine => {
                Err(ClientError::Recovering { counts_at_ns })
            }
            _ => Err(ClientError::RecoverVoided),
        }
    }

    async fn add_this_device(&mut self, on: &OwnRecords) -> Result<(), ClientError> {
        let device = self.account.entry()?;
        let key = self.counting_identity(on)?;
        let change = Proposal::new(on, OwnChange::AddDevice, RecordKind::DeviceAdd)?
            .with_device(device)
            .sign(&[(Role::Identity, &key)])?;
        self.make(change).await
    }
}
