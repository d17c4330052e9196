//! A handle's records, and whose it is.

use paigham_transparency::hash::Label;
use paigham_transparency::verifier::MonitoredVersion;
use paigham_wire::identity::AccountState;
use paigham_wire::identity::handle::{
    Accounts, Handle, HandleRecord, HandleState, Holding, KeyRule, Skeleton,
};
use paigham_wire::ids::AccountId;
use paigham_wire::log::LabelAnswer;

use crate::account::AccountHistory;
use crate::error::LookupError;
use crate::label::{LabelVersion, TimeRule};
use crate::reading::Reading;

/// Most accounts that the records of one handle name. Each held it for half a year and more.
pub const HANDLE_MAX_ACCOUNTS: usize = 32;

/// Every record of a handle counts by time: when a claim lies after the end of the account that
/// held the handle before, nothing but its own time says so.
#[derive(Debug, Clone, Copy, Default)]
pub struct HandleTimes;

impl TimeRule for HandleTimes {
    fn counts_by_time(&self, _value: &[u8]) -> bool {
        true
    }
}

/// All records of a handle with their times, as the log shows them. Whose the handle is follows
/// from these and from the accounts that they name ([`HandleVersions::judge`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandleVersions {
    skeleton: Skeleton,
    records: Vec<(u64, HandleRecord)>,
    accounts: Vec<AccountId>,
}

/// What is shown of a handle at the time of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedHandle {
    /// What follows from its records.
    pub state: HandleState,
    /// Whose it is.
    pub holding: Holding,
}

impl JudgedHandle {
    /// The account that holds the handle.
    #[must_use]
    pub const fn holder(&self) -> Option<AccountId> {
        match self.holding {
            Holding::Held { by, .. } => Some(by),
            Holding::Resting { .. } | Holding::Free => None,
        }
    }

    /// As its holder spells it.
    #[must_use]
    pub const fn handle(&self) -> &Handle {
        self.state.handle()
    }
}

impl HandleVersions {
    /// The accounts that the records name, each once: to be looked up before the records are judged.
    #[must_use]
    pub fn accounts(&self) -> &[AccountId] {
        &self.accounts
    }

    /// The records with the times of their entries in nanoseconds since 1970, oldest first.
    #[must_use]
    pub fn records(&self) -> &[(u64, HandleRecord)] {
        &self.records
    }

    /// Applies `spec/handles.md` §4 to the whole chain. `histories` are those of
    /// [`HandleVersions::accounts`], `now_ns` is the time of the newest head under which all of it
    /// was read.
    ///
    /// # Errors
    /// [`LookupError::HandleRule`]: the log has a record that must not be there.
    pub fn judge(
        &self,
        histories: &[AccountHistory],
        now_ns: u64,
    ) -> Result<JudgedHandle, LookupError> {
        let accounts = Histories(histories);
        let mut state: Option<HandleState> = None;
        for (version, (time, record)) in (0u32..).zip(&self.records) {
            let next = HandleState::next(
                state.as_ref(),
                &self.skeleton,
                record,
                *time,
                &accounts,
                KeyRule::EverCounted,
            );
            state = Some(next.map_err(|reason| LookupError::HandleRule { version, reason })?);
        }
        let state = state.ok_or(LookupError::Form("no version"))?;
        let holding = state.at(now_ns, &accounts);
        Ok(JudgedHandle { state, holding })
    }
}

/// Accounts that were looked up.
struct Histories<'a>(&'a [AccountHistory]);

impl Accounts for Histories<'_> {
    fn at(&self, account: &AccountId, time: u64) -> Option<AccountState> {
        let history = self.0.iter().find(|one| one.account() == *account)?;
        history.at(time)
    }
}

impl Reading<'_> {
    /// Reads the answer about one handle, asked for from version 0 on. `None`: nobody ever had it.
    ///
    /// # Errors
    /// [`LookupError`].
    pub fn handle(
        &mut self,
        skeleton: &Skeleton,
        answer: &LabelAnswer,
    ) -> Result<Option<(HandleVersions, Option<MonitoredVersion>)>, LookupError> {
        let label = handle_label(skeleton)?;
        let Some(versions) = self.label(&label, None, answer, &HandleTimes)? else {
            return Ok(None);
        };
        let records = (0u32..)
            .zip(&versions.new)
            .map(dated)
            .collect::<Result<Vec<_>, _>>()?;
        let mut accounts: Vec<_> = records
            .iter()
            .map(|(_, record)| record.content.account)
            .collect();
        accounts.sort_unstable();
        accounts.dedup();
        if accounts.len() > HANDLE_MAX_ACCOUNTS {
            return Err(LookupError::TooMany(HANDLE_MAX_ACCOUNTS));
        }
        let shown = HandleVersions {
            skeleton: skeleton.clone(),
            records,
            accounts,
        };
        Ok(Some((shown, versions.watch)))
    }
}

fn dated((version, shown): (u32, &LabelVersion)) -> Result<(u64, HandleRecord), LookupError> {
    let time = shown.time_ns().ok_or(LookupError::Places { version })?;
    let record =
        HandleRecord::decode(&shown.value).map_err(|_| LookupError::NoRecord { version })?;
    Ok((time, record))
}

/// The log's label of a handle.
///
/// # Errors
/// None that can happen: the label has at most 66 bytes.
pub fn handle_label(skeleton: &Skeleton) -> Result<Label, LookupError> {
    Label::new(skeleton.label()).map_err(|_| LookupError::Form("label"))
}
