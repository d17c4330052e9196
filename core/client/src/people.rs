//! Who is who: what the home remembers of accounts, and which of four words stands for each.

use paigham_store::{Order, Table, WriteSet};
use paigham_wire::ids::AccountId;
use serde::{Deserialize, Serialize};

use crate::account::checked_name;
use crate::client::Client;
use crate::error::ClientError;
use crate::handle::shown_handle;
use crate::log::{LookedUp, has_problem};
use crate::safety::SafetyNumber;
use crate::view::{ContactView, Notice, Trust};

/// Names of contacts by their order of adding.
const ALL: &[u8] = b"all";

/// An account as last seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Known {
    account: [u8; 16],
    /// What the owner calls it; `None` for one that is only met in a group.
    name: Option<String>,
    version: u32,
    hash: [u8; 32],
    identity_key: [u8; 32],
    devices: usize,
    seen_at: u64,
    /// The identity key for which safety numbers were compared.
    #[serde(default)]
    verified: Option<[u8; 32]>,
    /// The identity key changed, and the user has not said since that it is well.
    #[serde(default)]
    changed: bool,
}

impl Known {
    /// What is kept of an account.
    pub fn load(set: &WriteSet, account: AccountId) -> Result<Option<Self>, ClientError> {
        Ok(set.get(Table::Contact, &account.0)?)
    }

    fn save(&self, set: &WriteSet) -> Result<(), ClientError> {
        Ok(set.put(Table::Contact, &self.account, self)?)
    }

    /// How its keys stand, but for problems.
    fn word(&self) -> Trust {
        match self.verified {
            Some(key) if key == self.identity_key => Trust::Verified,
            Some(_) => Trust::Changed,
            None if self.changed => Trust::Changed,
            None => Trust::Logged,
        }
    }

    /// Takes over what a look-up showed; returns whether the identity key is another one.
    fn take(&mut self, seen: &LookedUp) -> bool {
        let standing = seen.state.at(seen.now_ns);
        let is_other = self.identity_key != standing.identity_key;
        self.version = seen.state.version();
        self.hash = *seen.state.newest_hash();
        self.identity_key = standing.identity_key;
        self.devices = match seen.state.is_deleted(seen.now_ns) {
            true => 0,
            false => standing.devices.len(),
        };
        self.seen_at = seen.now_ns;
        is_other
    }
}

/// Keeps what was looked up, beside what the owner calls the account.
pub(crate) fn remember(set: &WriteSet, seen: &LookedUp) -> Result<Option<Notice>, ClientError> {
    let account = seen.state.account();
    let before = Known::load(set, account)?;
    let is_new = before.is_none();
    let mut known = before.unwrap_or(Known {
        account: account.0,
        name: None,
        version: 0,
        hash: [0; 32],
        identity_key: [0; 32],
        devices: 0,
        seen_at: 0,
        verified: None,
        changed: false,
    });
    let is_other = known.take(seen) && !is_new;
    known.changed |= is_other;
    known.save(set)?;
    Ok(is_other.then_some(Notice::IdentityChanged(account)))
}

fn view(set: &WriteSet, known: &Known) -> Result<Option<ContactView>, ClientError> {
    let Some(name) = known.name.clone() else {
        return Ok(None);
    };
    let account = AccountId(known.account);
    Ok(Some(ContactView {
        name,
        account,
        record_version: known.version,
        identity_key: known.identity_key,
        devices: known.devices,
        seen_at: known.seen_at,
        trust: trust(set, account)?,
        handle: shown_handle(set, account)?,
    }))
}

/// Whether safety numbers were compared with an account, for whatever key.
pub(crate) fn was_verified(set: &WriteSet, account: AccountId) -> Result<bool, ClientError> {
    let known = Known::load(set, account)?;
    Ok(known.is_some_and(|known| known.verified.is_some()))
}

/// The word for an account.
pub(crate) fn trust(set: &WriteSet, account: AccountId) -> Result<Trust, ClientError> {
    if has_problem(set, account)? {
        return Ok(Trust::Problem);
    }
    let known = Known::load(set, account)?;
    Ok(known.map_or(Trust::Unknown, |known| known.word()))
}

fn contacts(set: &WriteSet) -> Result<Vec<ContactView>, ClientError> {
    let listed: Vec<(u64, [u8; 16])> = set.scan(Table::Contact, ALL, 0, u64::MAX)?;
    let mut found = Vec::with_capacity(listed.len());
    for (_, account) in listed {
        if let Some(known) = Known::load(set, AccountId(account))? {
            found.extend(view(set, &known)?);
        }
    }
    Ok(found)
}

impl Client {
    /// Looks an account up, verifies its records and keeps it under a name. One that is a contact
    /// already is renamed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn add_contact(
        &mut self,
        name: &str,
        account: AccountId,
    ) -> Result<ContactView, ClientError> {
        let name = checked_name(name)?;
        if account == self.account.id() {
            return Err(ClientError::Oneself);
        }
        self.sync_account().await?;
        let taken = contacts(&self.store.begin())?
            .into_iter()
            .any(|contact| contact.name == name && contact.account != account);
        if taken {
            return Err(ClientError::Name(name, "another contact has it"));
        }
        self.look_up(&[account]).await?;
        let set = self.store.begin();
        let mut known = known(&set, account)?;
        if known.name.is_none() {
            let number = next_number(&set, Table::Contact, ALL)?;
            set.put_at(Table::Contact, ALL, number, &account.0)?;
        }
        known.name = Some(name);
        known.save(&set)?;
        let shown = view(&set, &known)?;
        self.commit(set)?;
        shown.ok_or(ClientError::Bug("a contact without a name"))
    }

    /// Whether the owner has given an account a name.
    pub(crate) fn is_contact(&self, account: AccountId) -> Result<bool, ClientError> {
        let known = Known::load(&self.store.begin(), account)?;
        Ok(known.is_some_and(|known| known.name.is_some()))
    }

    /// As [`Client::add_contact`], of the account that holds a handle, as it is typed.
    ///
    /// # Errors
    /// [`ClientError::NoSuchHandle`] if nobody holds it; as [`Client::find_handle`].
    pub async fn add_contact_by_handle(
        &mut self,
        name: &str,
        typed: &str,
    ) -> Result<ContactView, ClientError> {
        self.sync_account().await?;
        let found = self.find_handle(typed).await?;
        let account = found
            .account
            .ok_or(ClientError::NoSuchHandle(found.handle))?;
        self.add_contact(name, account).await
    }

    /// All contacts, in the order in which they were added.
    ///
    /// # Errors
    /// [`ClientError::Store`].
    pub fn contacts(&self) -> Result<Vec<ContactView>, ClientError> {
        contacts(&self.store.begin())
    }

    /// The account of a contact's name, or of an id in hexadecimal.
    ///
    /// # Errors
    /// [`ClientError::NoSuchName`].
    pub fn find_account(&self, name: &str) -> Result<AccountId, ClientError> {
        let named = self
            .contacts()?
            .into_iter()
            .find(|contact| contact.name == name);
        named
            .map(|contact| contact.account)
            .or_else(|| AccountId::from_hex(name))
            .ok_or_else(|| ClientError::NoSuchName(name.to_owned()))
    }

    /// What the owner calls an account: a contact's name, or the first digits of its id.
    #[must_use]
    pub fn name_of(&self, account: AccountId) -> String {
        if account == self.account.id() {
            return "you".to_owned();
        }
        let known = Known::load(&self.store.begin(), account).ok().flatten();
        known
            .and_then(|known| known.name)
            .unwrap_or_else(|| account.to_string()[..8].to_owned())
    }

    /// The number that the owner and an account compare, for the keys that count now.
    ///
    /// # Errors
    /// [`ClientError::NoSuchAccount`] for one that was never looked up.
    pub fn safety_number(&self, account: AccountId) -> Result<SafetyNumber, ClientError> {
        let known = known(&self.store.begin(), account)?;
        let own = (self.account.id(), self.account.identity_key());
        Ok(SafetyNumber::of(own, (account, known.identity_key)))
    }

    /// Keeps that the owner compared safety numbers with an account, if the number is theirs.
    ///
    /// # Errors
    /// [`ClientError::OtherSafetyNumber`]; as [`Client::safety_number`].
    pub fn verify_contact(
        &mut self,
        account: AccountId,
        compared: SafetyNumber,
    ) -> Result<(), ClientError> {
        if self.safety_number(account)? != compared {
            return Err(ClientError::OtherSafetyNumber(account));
        }
        self.change_known(account, |known| {
            known.verified = Some(known.identity_key);
            known.changed = false;
        })
    }

    /// Keeps that the owner has seen the change of an account's identity key and goes on with it,
    /// without comparing numbers.
    ///
    /// # Errors
    /// As [`Client::safety_number`].
    pub fn accept_change(&mut self, account: AccountId) -> Result<(), ClientError> {
        self.change_known(account, |known| {
            known.verified = known.verified.filter(|key| *key == known.identity_key);
            known.changed = false;
        })
    }

    fn change_known(
        &self,
        account: AccountId,
        change: impl FnOnce(&mut Known),
    ) -> Result<(), ClientError> {
        let set = self.store.begin();
        let mut known = known(&set, account)?;
        change(&mut known);
        known.save(&set)?;
        self.commit(set)
    }
}

fn known(set: &WriteSet, account: AccountId) -> Result<Known, ClientError> {
    Known::load(set, account)?.ok_or(ClientError::NoSuchAccount(account))
}

/// The number behind the last one of a list.
pub(crate) fn next_number(set: &WriteSet, table: Table, id: &[u8]) -> Result<u64, ClientError> {
    let last: Vec<(u64, serde::de::IgnoredAny)> =
        set.page(table, id, 0..=u64::MAX, Order::Descending, 1)?;
    Ok(last.first().map_or(0, |(number, _)| number + 1))
}
