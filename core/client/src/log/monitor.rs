//! One look at everything that this device watches, label by label, with a verdict for each: what
//! `paigham monitor` prints (`spec/review.md` §5).

use paigham_lookup::finding::Finding;
use paigham_wire::ids::AccountId;

use super::AuditorsView;
use super::KeptLabel;
use super::kept::kept_view;
use super::problem::all;
use crate::client::Client;
use crate::error::{ClientError, ErrorKind, NotVerified};
use crate::people::was_verified;
use crate::view::{ContactView, Trust};

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// The own account.
    Own(AccountId),
    /// A contact, and what the owner calls it.
    Contact(AccountId, String),
    /// The handles that were ever looked up, the own one among them.
    Handles,
    /// The network's files: number of the pinned one.
    Network(u64),
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MonitorVerdict {
    /// Nothing has changed that matters.
    AsBefore,
    /// The account has records that it did not have, by the same identity key. Its newest version.
    NewRecords(u32),
    /// The account has another identity key than before.
    IdentityChanged {
        /// Whether safety numbers had been compared.
        was_verified: bool,
    },
    /// There are problems that nobody has answered: their numbers.
    Problems(Vec<u64>),
    /// The log's answer does not hold, and says what is wrong with it.
    Refused(Finding),
    /// Something else does not verify.
    NotVerified(String),
}

impl MonitorVerdict {
    /// Whether somebody must look at it.
    #[must_use]
    pub const fn is_alarm(&self) -> bool {
        match self {
            Self::AsBefore | Self::NewRecords(_) => false,
            Self::IdentityChanged { was_verified } => *was_verified,
            Self::Problems(_) | Self::Refused(_) | Self::NotVerified(_) => true,
        }
    }
}

/// A look at everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorReport {
    /// What was looked at, and what was found.
    pub labels: Vec<(Watched, MonitorVerdict)>,
    /// Entries of the newest head that was verified.
    pub size: u64,
    /// Root of the log there.
    pub root: [u8; 32],
    /// Timestamp of its newest entry, milliseconds since 1970.
    pub newest_ms: u64,
    /// What the network's auditors say; `None` if it names none.
    pub auditors: Option<AuditorsView>,
    /// Numbers of all problems that nobody has answered.
    pub open: Vec<u64>,
}

impl MonitorReport {
    /// Whether somebody must look at something. Auditors that are late are no alarm, one that
    /// disagrees is.
    #[must_use]
    pub fn is_alarm(&self) -> bool {
        let disagrees = self
            .auditors
            .as_ref()
            .is_some_and(|view| view.report.disagreeing().next().is_some());
        let alarm = |(_, verdict): &(Watched, MonitorVerdict)| verdict.is_alarm();
        disagrees || !self.open.is_empty() || self.labels.iter().any(alarm)
    }
}

impl Client {
    /// Looks at the own label, every contact's, the handles and the network's now, whenever they
    /// were looked at last. What is found wrong is kept as in every watch.
    ///
    /// # Errors
    /// [`ClientError`] where the log cannot be asked; what it answers is in the report.
    pub async fn monitor(&mut self) -> Result<MonitorReport, ClientError> {
        self.ready_to_watch().await?;
        let mut labels = Vec::new();
        let own = self.account.id();
        let outcome = self.watch_own().await;
        labels.push((Watched::Own(own), self.verdict(outcome, Some(own))?));
        for contact in self.contacts()? {
            let found = self.monitor_contact(&contact).await?;
            labels.push((Watched::Contact(contact.account, contact.name), found));
        }
        let outcome = self.watch_handles().await;
        labels.push((Watched::Handles, self.verdict(outcome, None)?));
        let outcome = self.look_at_networks().await;
        let network = self.verdict(outcome, None)?;
        let number = self.connection.network().file().sequence;
        labels.push((Watched::Network(number), network));
        // The roots that others are told of; an answer that does not hold shows in the problems.
        let outcome = self.refresh_roots().await;
        self.verdict(outcome, None)?;
        self.complete_evidence().await?;
        self.report(labels).await
    }

    async fn report(
        &mut self,
        labels: Vec<(Watched, MonitorVerdict)>,
    ) -> Result<MonitorReport, ClientError> {
        let auditors = self.auditors().await?;
        let set = self.store.begin();
        let view = kept_view(&set)?.ok_or(ClientError::Bug("a watch without a view"))?;
        let open = all(&set)?.into_iter();
        let open = open.filter(|(_, problem)| problem.answer.is_none());
        Ok(MonitorReport {
            labels,
            size: view.size(),
            root: view.root(),
            newest_ms: view.newest_timestamp(),
            auditors,
            open: open.map(|(number, _)| number).collect(),
        })
    }

    async fn monitor_contact(
        &mut self,
        contact: &ContactView,
    ) -> Result<MonitorVerdict, ClientError> {
        let account = contact.account;
        let outcome = self.look_and_watch(account).await;
        let verdict = self.verdict(outcome, Some(account))?;
        if verdict != MonitorVerdict::AsBefore {
            return Ok(verdict);
        }
        let set = self.store.begin();
        let was_verified = was_verified(&set, account)?;
        let kept = KeptLabel::load(&set, account)?;
        let version = kept.map_or(contact.record_version, |kept| {
            kept.history.state().version()
        });
        let is_changed = crate::people::trust(&set, account)? == Trust::Changed;
        Ok(if is_changed {
            MonitorVerdict::IdentityChanged { was_verified }
        } else if version > contact.record_version {
            MonitorVerdict::NewRecords(version)
        } else {
            MonitorVerdict::AsBefore
        })
    }

    async fn look_and_watch(&mut self, account: AccountId) -> Result<(), ClientError> {
        self.look_up(&[account]).await?;
        let kept = KeptLabel::load(&self.store.begin(), account)?;
        match kept.filter(|kept| !kept.watch.is_empty()) {
            Some(kept) => self.watch_some(&[(account, kept)]).await,
            None => Ok(()),
        }
    }

    /// What came of a look: a failure of the way is an error, one of the log a verdict.
    fn verdict(
        &self,
        outcome: Result<(), ClientError>,
        about: Option<AccountId>,
    ) -> Result<MonitorVerdict, ClientError> {
        let error = match outcome {
            Ok(()) => return self.problems_of(about),
            Err(error) if error.kind() != ErrorKind::NotVerified => return Err(error),
            Err(error) => error,
        };
        let finding = match &error {
            ClientError::NotVerified(NotVerified::Log(reason)) => Finding::of(reason),
            ClientError::NotVerified(NotVerified::LogFork) => Some(Finding::Fork),
            _ => None,
        };
        Ok(match finding {
            Some(finding) => MonitorVerdict::Refused(finding),
            None => MonitorVerdict::NotVerified(error.to_string()),
        })
    }

    fn problems_of(&self, about: Option<AccountId>) -> Result<MonitorVerdict, ClientError> {
        let Some(account) = about else {
            return Ok(MonitorVerdict::AsBefore);
        };
        let kept = all(&self.store.begin())?.into_iter();
        let open = kept.filter(|(_, one)| one.account == Some(account.0) && one.answer.is_none());
        let open: Vec<_> = open.map(|(number, _)| number).collect();
        Ok(match open.is_empty() {
            true => MonitorVerdict::AsBefore,
            false => MonitorVerdict::Problems(open),
        })
    }
}
