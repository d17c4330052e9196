//! One device of one account.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use paigham_group::crypto::Crypto;
use paigham_group::device::DeviceKeys;
use paigham_group::proof::LogJudge;
use paigham_lookup::LogTrust;
use paigham_store::{Store, Table, WriteSet};
use paigham_wire::network::VerifiedNetwork;

use crate::account::{Account, Environment};
use crate::clock::NetworkTime;
use crate::connection::Connection;
use crate::error::ClientError;
use crate::trust;
use crate::view::{Me, Notice, SyncReport};

const TIME: &[u8] = b"network time";

/// One device of one account, and everything it can do.
///
/// Every operation that changes something is stored before anything leaves the machine, and can be
/// interrupted anywhere: [`Client::sync`] takes up what is left.
///
/// # Cancel safety
/// A future that is dropped in the middle is the same as a process that dies there.
#[derive(Debug)]
pub struct Client {
    pub(crate) store: Store,
    pub(crate) crypto: Crypto,
    pub(crate) account: Account,
    pub(crate) device: DeviceKeys,
    pub(crate) connection: Connection,
    /// Whose log it is.
    pub(crate) trust: LogTrust,
    pub(crate) judge: LogJudge,
    /// The folder of the home, if it is one.
    pub(crate) home: Option<PathBuf>,
    /// The network's time when the log was last watched in this run, nanoseconds since 1970.
    pub(crate) watched_at: Option<u64>,
    /// Problems that this run has told of.
    pub(crate) told_problems: BTreeSet<u64>,
    pub(crate) notices: Vec<Notice>,
    /// What the client stands on.
    pub(crate) environment: Environment,
    /// Whether this run has told that the log does not show its network files.
    pub(crate) silence_told: bool,
    clock_named: bool,
}

impl Client {
    /// Opens a home. `network` is what the user names; the home stays with the network that it was
    /// made with.
    ///
    /// # Errors
    /// [`ClientError::Home`], [`ClientError::OtherNetwork`].
    pub fn open(
        home: &Path,
        passphrase: &str,
        network: Option<VerifiedNetwork>,
        environment: Environment,
    ) -> Result<Self, ClientError> {
        let store = Store::open(home, passphrase)?;
        let client = Self::open_on(store, network, environment)?;
        Ok(client.in_folder(home))
    }

    /// The home is a folder: evidence is written there.
    pub(crate) fn in_folder(mut self, home: &Path) -> Self {
        self.home = Some(home.to_owned());
        self
    }

    /// As [`Client::open`], on an open store.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn open_on(
        store: Store,
        network: Option<VerifiedNetwork>,
        environment: Environment,
    ) -> Result<Self, ClientError> {
        let set = store.begin();
        let account = Account::load(&set)?.ok_or(paigham_store::OpenError::Missing)?;
        let time: NetworkTime = set.get(Table::Meta, TIME)?.unwrap_or_default();
        let now_seconds = time.now_ns(environment.clock.wall_ns()) / 1_000_000_000;
        let network = trust::pinned(&set, network, now_seconds)?;
        set.commit()?;
        let trust = trust::log_of(&network)?;
        let judge = LogJudge {
            trust: trust.clone(),
        };
        let Environment {
            transport, clock, ..
        } = environment.clone();
        let connection = Connection::new(network, transport, clock, time)?;
        Ok(Self {
            store,
            crypto: Crypto::new()?,
            device: account.device_keys(),
            account,
            connection,
            trust,
            judge,
            home: None,
            watched_at: None,
            told_problems: BTreeSet::new(),
            notices: Vec::new(),
            environment,
            silence_told: false,
            clock_named: false,
        })
    }

    /// This device's account.
    #[must_use]
    pub fn me(&self) -> Me {
        let network = self.connection.network();
        Me {
            account: self.account.id(),
            device: self.account.device_id(),
            name: self.account.name.clone(),
            identity_key: self.account.identity_key(),
            registered: self.account.registered,
            network: network.file().name.clone(),
            network_hash: network.hash(),
            development: network.file().development,
        }
    }

    /// Finishes what was interrupted, fetches and verifies everything new, joins where this device
    /// was added, and delivers what waits.
    ///
    /// # Errors
    /// [`ClientError`] if nothing more can be done; a conversation that alone fails is a
    /// [`Notice::ConversationFailed`], and a relay that alone does not answer is a
    /// [`Notice::RelayUnreachable`] where something of the inbox waits for it.
    pub async fn sync(&mut self) -> Result<SyncReport, ClientError> {
        let mut report = SyncReport::default();
        match self.sync_account().await {
            // Nothing can be read or written before the recover counts.
            Err(ClientError::Recovering { counts_at_ns }) => {
                self.notices.push(Notice::Recovering { counts_at_ns });
                report.notices = self.take_notices();
                return Ok(report);
            }
            outcome => outcome?,
        }
        // Before the inbox: a removal must be read before the Welcome that brings back.
        self.catch_up_all(&mut report).await?;
        let inbox = self.sync_inbox().await;
        self.unless_relay_missing(inbox)?;
        self.send_deposits().await?;
        let joined = self.join_all(&mut report).await;
        self.ask_all().await?;
        self.reset_all().await?;
        self.settle_all(&mut report).await?;
        joined?;
        self.complete_evidence().await?;
        self.tell_new(&mut report)?;
        report.notices = self.take_notices();
        report.waiting = self.waiting()?;
        Ok(report)
    }

    /// What the user should know since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        if let Some(seconds) = self.connection.time().wrong_by_seconds()
            && !self.clock_named
        {
            self.clock_named = true;
            self.notices.push(Notice::ClockWrong(seconds));
        }
        self.tell_silent_network();
        let untold = self.untold_problems();
        self.notices.extend(untold);
        std::mem::take(&mut self.notices)
    }

    /// Commits a change together with what was learned of the network's time.
    pub(crate) fn commit(&self, set: WriteSet) -> Result<(), ClientError> {
        set.put(Table::Meta, TIME, &self.connection.time())?;
        Ok(set.commit()?)
    }

    pub(crate) fn fresh_signing_key() -> Result<SigningKey, ClientError> {
        Ok(SigningKey::from_bytes(&crate::account::random()?))
    }
}
