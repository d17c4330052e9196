//! Who is who: certified look-ups, and what the home remembers of accounts.

use paigham_group::proof::verify_records;
use paigham_store::{Order, Table, WriteSet};
use paigham_wire::codec::encode;
use paigham_wire::directory::{
    AccountRecords, DirectoryError, LOOKUP_MAX_ACCOUNTS, LookupReply, LookupRequest,
};
use paigham_wire::envelope::{DirectoryMapProof, PROOF_DIRECTORY_MAP, Proof};
use paigham_wire::hash::Hash;
use paigham_wire::identity::{AccountState, IdentityRecord};
use paigham_wire::ids::{AccountId, DirectoryKey};
use serde::{Deserialize, Serialize};
use tls_codec::VLBytes;

use crate::account::checked_name;
use crate::client::Client;
use crate::connection::{Certified, Connection};
use crate::error::{ClientError, NotVerified};
use crate::view::{ContactView, Notice};

/// Names of contacts by their order of adding.
const ALL: &[u8] = b"all";

/// What the directory certifies of an account.
#[derive(Debug, Clone)]
pub(crate) struct LookedUp {
    /// Its records, followed from the first.
    pub state: AccountState,
    /// Hash of each record, oldest first.
    pub hashes: Vec<Hash>,
    /// What a commit carries to prove it to others.
    pub proof: Proof,
    /// Certified time in nanoseconds since 1970.
    pub time_ns: u64,
}

/// An account as last seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Known {
    account: [u8; 16],
    /// What the owner calls it; `None` for one that is only met in a group.
    name: Option<String>,
    version: u32,
    hash: [u8; 32],
    identity_key: [u8; 32],
    devices: usize,
    seen_at: u64,
}

impl Connection {
    /// Looks accounts up; all of them exist.
    ///
    /// # Errors
    /// [`ClientError::NoSuchAccount`], or what does not verify.
    pub async fn look_up(&self, accounts: &[AccountId]) -> Result<Vec<LookedUp>, ClientError> {
        let mut found = Vec::with_capacity(accounts.len());
        let mut left: Vec<&[AccountId]> = accounts.chunks(LOOKUP_MAX_ACCOUNTS).rev().collect();
        while let Some(some) = left.pop() {
            match self.look_up_some(some, &mut found).await {
                // Accounts with long histories do not fit one answer.
                Err(ClientError::Directory(DirectoryError::TooLarge)) if some.len() > 1 => {
                    let (first, rest) = some.split_at(some.len() / 2);
                    left.extend([rest, first]);
                }
                outcome => outcome?,
            }
        }
        Ok(found)
    }

    async fn look_up_some(
        &self,
        some: &[AccountId],
        found: &mut Vec<LookedUp>,
    ) -> Result<(), ClientError> {
        let request = LookupRequest {
            accounts: some.to_vec(),
        };
        let (reply, certified) = self
            .read::<LookupReply, DirectoryError>(self.directory(), "lookup", &request)
            .await?;
        let asked = reply.accounts.iter().map(|records| &records.account);
        if !asked.eq(some) {
            return Err(NotVerified::Differs("other accounts than asked for").into());
        }
        for answered in reply.accounts {
            found.push(looked_up(answered, &reply.certificate, &certified)?);
        }
        Ok(())
    }
}

/// What a certified answer says of one account.
fn looked_up(
    answered: AccountRecords,
    certificate: &VLBytes,
    certified: &Certified,
) -> Result<LookedUp, ClientError> {
    let AccountRecords { account, records } = answered;
    let root = certified.witness.root();
    let state = verify_records(&certified.witness, &root, &account, &records)?
        .ok_or(ClientError::NoSuchAccount(account))?;
    let hashes = records
        .iter()
        .filter_map(|dated| IdentityRecord::decode(dated.record.as_slice()).ok())
        .map(|record| record.hash())
        .collect();
    let key = DirectoryKey::of_label(&account.directory_label());
    let proof = DirectoryMapProof {
        account,
        records,
        certificate: certificate.clone(),
        witness: certified.witness.cut(&[key.0]).encode().into(),
    };
    Ok(LookedUp {
        state,
        hashes,
        proof: Proof {
            proof_type: PROOF_DIRECTORY_MAP,
            data: encode(&proof).into(),
        },
        time_ns: certified.time_ns,
    })
}

fn known(set: &WriteSet, account: AccountId) -> Result<Option<Known>, ClientError> {
    Ok(set.get(Table::Contact, &account.0)?)
}

/// Keeps what was looked up; refuses what does not continue what was seen before.
fn remember(
    set: &WriteSet,
    seen: &LookedUp,
    name: Option<String>,
) -> Result<(Known, Option<Notice>), ClientError> {
    let account = seen.state.account();
    let before = known(set, account)?;
    let mut notice = None;
    let standing = seen.state.at(seen.time_ns);
    if let Some(before) = &before {
        let then = usize::try_from(before.version)
            .ok()
            .and_then(|version| seen.hashes.get(version));
        if then != Some(&before.hash) {
            return Err(NotVerified::RecordsChanged(account).into());
        }
        if before.identity_key != standing.identity_key {
            notice = Some(Notice::IdentityChanged(account));
        }
    }
    let now = Known {
        account: account.0,
        name: name.or_else(|| before.and_then(|before| before.name)),
        version: seen.state.version(),
        hash: *seen.state.newest_hash(),
        identity_key: standing.identity_key,
        devices: standing.devices.len(),
        seen_at: seen.time_ns,
    };
    set.put(Table::Contact, &account.0, &now)?;
    Ok((now, notice))
}

fn view(known: &Known) -> Option<ContactView> {
    Some(ContactView {
        name: known.name.clone()?,
        account: AccountId(known.account),
        record_version: known.version,
        identity_key: known.identity_key,
        devices: known.devices,
        seen_at: known.seen_at,
    })
}

fn contacts(set: &WriteSet) -> Result<Vec<ContactView>, ClientError> {
    let listed: Vec<(u64, [u8; 16])> = set.scan(Table::Contact, ALL, 0, u64::MAX)?;
    let mut found = Vec::with_capacity(listed.len());
    for (_, account) in listed {
        found.extend(known(set, AccountId(account))?.as_ref().and_then(view));
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
        let seen = self.connection.look_up(&[account]).await?;
        let seen = seen
            .first()
            .ok_or(ClientError::Bug("a look-up without answer"))?;
        let set = self.store.begin();
        let is_new = known(&set, account)?.is_none_or(|known| known.name.is_none());
        let (known, notice) = remember(&set, seen, Some(name))?;
        if is_new {
            let number = next_number(&set, Table::Contact, ALL)?;
            set.put_at(Table::Contact, ALL, number, &account.0)?;
        }
        self.commit(set)?;
        self.notices.extend(notice);
        view(&known).ok_or(ClientError::Bug("a contact without a name"))
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
        let known = known(&self.store.begin(), account).ok().flatten();
        known
            .and_then(|known| known.name)
            .unwrap_or_else(|| account.to_string()[..8].to_owned())
    }

    /// Looks accounts up and keeps what was seen.
    pub(crate) async fn look_up(
        &mut self,
        accounts: &[AccountId],
    ) -> Result<Vec<LookedUp>, ClientError> {
        let seen = self.connection.look_up(accounts).await?;
        let set = self.store.begin();
        let mut notices = Vec::new();
        for one in &seen {
            notices.extend(remember(&set, one, None)?.1);
        }
        self.commit(set)?;
        self.notices.extend(notices);
        Ok(seen)
    }
}

/// The number behind the last one of a list.
pub(crate) fn next_number(set: &WriteSet, table: Table, id: &[u8]) -> Result<u64, ClientError> {
    let last: Vec<(u64, serde::de::IgnoredAny)> =
        set.page(table, id, 0..=u64::MAX, Order::Descending, 1)?;
    Ok(last.first().map_or(0, |(number, _)| number + 1))
}
