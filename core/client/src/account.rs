//! This device's account: its keys, and how it comes to be.

use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use ic_agent::agent::HttpService;
use paigham_group::crypto::Crypto;
use paigham_group::device::DeviceKeys;
use paigham_group::pointer::InboxKeyPair;
use paigham_store::{KdfCost, OpenError, Store, Table, WriteSet};
use paigham_wire::codec::{decode, encode};
use paigham_wire::envelope::Credential;
use paigham_wire::hash::sha256;
use paigham_wire::identity::{
    DeviceEntry, IdentityRecord, RecordContent, RecordKind, Role, recovery_key_hash,
};
use paigham_wire::ids::{AccountId, CanisterId, DeviceId, InboxId};
use paigham_wire::network::VerifiedNetwork;
use paigham_wire::recovery_kit::RecoveryKit;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::client::Client;
use crate::clock::{Clock, SystemClock};
use crate::error::ClientError;
use crate::shards::OpenRelays;
use crate::trust;

const SELF: &[u8] = b"self";
/// Longest name of anything, in bytes.
pub(crate) const NAME_MAX_BYTES: usize = 256;

/// What a client stands on.
#[derive(Debug, Clone)]
pub struct Environment {
    /// How requests travel; HTTP to the network's first address if `None`.
    pub transport: Option<Arc<dyn HttpService>>,
    /// The clock of this machine.
    pub clock: Arc<dyn Clock>,
    /// What opening a new home will cost.
    pub kdf: KdfCost,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            transport: None,
            clock: Arc::new(SystemClock::default()),
            kdf: KdfCost::STRONG,
        }
    }
}

/// The seed of a private key: wiped when dropped, never printed, stored sealed only.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
pub(crate) struct Seed([u8; 32]);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(***)")
    }
}

impl Seed {
    pub fn random() -> Result<Self, ClientError> {
        Ok(Self(random()?))
    }

    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.0)
    }
}

/// Fresh bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], ClientError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| ClientError::Bug("no randomness"))?;
    Ok(bytes)
}

/// The account as the home keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    account: [u8; 16],
    device: [u8; 16],
    /// What the owner calls themself here.
    pub name: String,
    identity: Seed,
    leaf: Seed,
    inbox: Seed,
    xwing: Seed,
    /// The signed `create` record; empty in a home that recovered the account.
    #[serde(with = "serde_bytes")]
    pub record: Vec<u8>,
    /// Whether the directory has taken it, or this device into a recovered account.
    pub registered: bool,
    /// This device's entry, in a home that recovered the account.
    #[serde(default, with = "serde_bytes")]
    entry: Vec<u8>,
    /// The recover of this home, once it is certified.
    #[serde(default)]
    pub recovered: Option<Recovered>,
}

/// The record by which a home recovered its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recovered {
    /// Its version.
    pub version: u32,
    /// Its hash.
    pub hash: [u8; 32],
}

impl Account {
    /// `None` in a home whose making was interrupted.
    pub fn load(set: &WriteSet) -> Result<Option<Self>, ClientError> {
        Ok(set.get(Table::Account, SELF)?)
    }

    pub fn save(&self, set: &WriteSet) -> Result<(), ClientError> {
        Ok(set.put(Table::Account, SELF, self)?)
    }

    pub const fn id(&self) -> AccountId {
        AccountId(self.account)
    }

    pub const fn device_id(&self) -> DeviceId {
        DeviceId(self.device)
    }

    /// The key that signs the account's records.
    pub fn identity_signing_key(&self) -> SigningKey {
        self.identity.signing_key()
    }

    /// The key that contacts know the account by.
    pub fn identity_key(&self) -> [u8; 32] {
        self.identity.signing_key().verifying_key().to_bytes()
    }

    pub const fn identity_seed(&self) -> &Seed {
        &self.identity
    }

    /// Another identity key counts from now on.
    pub fn take_identity(&mut self, seed: Seed) {
        self.identity = seed;
    }

    /// Whether this home came to the account by its kit.
    pub const fn is_recovery(&self) -> bool {
        !self.entry.is_empty()
    }

    /// The keys of this device's leaves.
    pub fn device_keys(&self) -> DeviceKeys {
        let credential = Credential::new(self.id(), self.device_id(), 0);
        DeviceKeys::new(credential, self.leaf.bytes())
    }

    pub fn inbox_key(&self) -> SigningKey {
        self.inbox.signing_key()
    }

    pub fn inbox_id(&self) -> InboxId {
        InboxId::derive(&self.inbox_key().verifying_key().to_bytes())
    }

    /// The relay of this device's inbox: the one that its own device entry names, for good.
    pub fn shard(&self) -> Result<CanisterId, ClientError> {
        Ok(self.entry()?.shard)
    }

    /// This device's entry.
    pub fn entry(&self) -> Result<DeviceEntry, ClientError> {
        let bug = |_| ClientError::Bug("an own record that does not decode");
        if self.is_recovery() {
            return decode(&self.entry).map_err(bug);
        }
        let record = IdentityRecord::decode(&self.record).map_err(bug)?;
        let mut devices = record.content.devices.into_iter();
        devices
            .find(|entry| entry.device == self.device_id())
            .ok_or(ClientError::Bug("a device that its record does not name"))
    }

    pub fn xwing_keys(&self, crypto: &Crypto) -> Result<InboxKeyPair, ClientError> {
        Ok(InboxKeyPair::derive(crypto, self.xwing.bytes())?)
    }

    /// Fresh keys for a device of an account that has no record of it yet.
    fn fresh(account: AccountId, name: &str) -> Result<Self, ClientError> {
        Ok(Self {
            account: account.0,
            device: random()?,
            name: checked_name(name)?,
            identity: Seed::random()?,
            leaf: Seed::random()?,
            inbox: Seed::random()?,
            xwing: Seed::random()?,
            record: Vec::new(),
            registered: false,
            entry: Vec::new(),
            recovered: None,
        })
    }

    /// A new device, with a fresh identity key, for an account that its kit brings back.
    pub fn for_recovery(
        account: AccountId,
        name: &str,
        open: &OpenRelays,
        now_ns: u64,
    ) -> Result<Self, ClientError> {
        let mut made = Self::fresh(account, name)?;
        let shard = open.place(&made.inbox_id().0)?;
        made.entry = encode(&device_entry(&made, &Crypto::new()?, shard, now_ns)?);
        Ok(made)
    }
}

/// A new account, in memory only: nothing is on the disk before [`NewAccount::create`], so that
/// nobody owns an account whose recovery kit they never saw.
#[derive(Debug)]
pub struct NewAccount {
    account: Account,
    network: VerifiedNetwork,
}

impl NewAccount {
    /// Makes the keys of an account and of its first device, and the kit that recovers it. Show
    /// the kit; it is kept nowhere. The device's inbox goes to one of the `open` relays.
    ///
    /// # Errors
    /// [`ClientError::Name`]; without randomness.
    pub fn prepare(
        network: VerifiedNetwork,
        open: &OpenRelays,
        name: &str,
        environment: &Environment,
    ) -> Result<(Self, RecoveryKit), ClientError> {
        let mut account = Account::fresh(AccountId([0; 16]), name)?;
        let kit = RecoveryKit::new(random()?);
        let crypto = Crypto::new()?;
        let shard = open.place(&account.inbox_id().0)?;
        let entry = device_entry(&account, &crypto, shard, environment.clock.wall_ns())?;
        let record = create_record(&account, entry, &kit.key())?;
        account.account = record.content.account.0;
        account.record = encode(&record);
        Ok((Self { account, network }, kit))
    }

    /// Its id.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account.id()
    }

    /// Makes the home and keeps the account in it; [`Client::sync`] registers it.
    ///
    /// # Errors
    /// [`ClientError::Home`], among others if the home has an account.
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

    /// As [`NewAccount::create`], in an open and empty store.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn create_on(self, store: Store, environment: Environment) -> Result<Client, ClientError> {
        let set = store.begin();
        trust::pin(&set, &self.network)?;
        self.account.save(&set)?;
        set.commit()?;
        Client::open_on(store, None, environment)
    }
}

/// An empty store in a new home, or in one whose making was interrupted.
pub(crate) fn make_home(
    home: &Path,
    passphrase: &str,
    environment: &Environment,
) -> Result<Store, ClientError> {
    match Store::create(home, passphrase, environment.kdf) {
        Err(OpenError::Exists) => abandoned(home, passphrase),
        made => Ok(made?),
    }
}

/// The store of a home whose making was interrupted before there was an account in it.
fn abandoned(home: &Path, passphrase: &str) -> Result<Store, ClientError> {
    let store = Store::open(home, passphrase).map_err(|error| match error {
        OpenError::WrongPassphrase => OpenError::Exists,
        other => other,
    })?;
    match Account::load(&store.begin())? {
        Some(_) => Err(OpenError::Exists.into()),
        None => Ok(store),
    }
}

/// A name that can be shown on one line and typed again.
pub(crate) fn checked_name(name: &str) -> Result<String, ClientError> {
    let name = name.trim();
    let refuse = |why| Err(ClientError::Name(name.to_owned(), why));
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.len() > NAME_MAX_BYTES {
        return refuse("it is longer than 256 bytes");
    }
    if name.chars().any(char::is_control) {
        return refuse("it holds control characters");
    }
    Ok(name.to_owned())
}

fn device_entry(
    account: &Account,
    crypto: &Crypto,
    shard: CanisterId,
    added_at: u64,
) -> Result<DeviceEntry, ClientError> {
    Ok(DeviceEntry {
        device: account.device_id(),
        leaf_key: account.leaf.signing_key().verifying_key().to_bytes(),
        shard,
        inbox: account.inbox_id(),
        xwing_key_hash: sha256(&account.xwing_keys(crypto)?.public),
        added_at,
    })
}

fn create_record(
    account: &Account,
    device: DeviceEntry,
    recovery: &SigningKey,
) -> Result<IdentityRecord, ClientError> {
    let nonce = random()?;
    let identity_key = account.identity_key();
    let recovery_key_hash = recovery_key_hash(&recovery.verifying_key().to_bytes());
    let content = RecordContent {
        version: 1,
        account: AccountId::derive(&identity_key, &recovery_key_hash, &nonce),
        record_version: 0,
        identity_key,
        recovery_key_hash,
        devices: vec![device],
        previous: [0; 32],
        key_change_version: 0,
        key_change_hash: [0; 32],
        kind: RecordKind::Create { nonce },
    };
    let identity = account.identity.signing_key();
    let keys = [(Role::NewIdentity, &identity), (Role::Recovery, recovery)];
    Ok(IdentityRecord::sign(content, &keys))
}
