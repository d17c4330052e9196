//! The log as its auditors see it: whoever is shown a fork has no statement of theirs for it
//! (`spec/client.md` §9.7).

use paigham_lookup::{AuditorPolicy, AuditorReport};
use paigham_store::Table;
use paigham_wire::log::Cosignatures;

use super::kept::kept_view;
use crate::client::Client;
use crate::error::ClientError;
use crate::view::Notice;

/// When the log was last found audited as the network asks, nanoseconds since 1970.
const AUDITED: &[u8] = b"audited";
/// How often statements are asked for that do not fit: a node may lie, or be another one next time.
const TRIES: u32 = 3;

/// What the auditors that the network names say of the log, as this device sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditorsView {
    /// Each auditor, and how many are to vouch.
    pub report: AuditorReport,
    /// When enough of them last vouched, in the network's time, nanoseconds since 1970; `None` if
    /// they never did.
    pub met_at: Option<u64>,
}

impl Client {
    /// Holds the statements of the network's auditors against the newest head that this device has
    /// seen; `None` if the network names no auditors.
    ///
    /// Too few of them stop nothing: auditors may be late, and whoever carries the answer may leave
    /// statements out. The user is told, and the app shows it.
    ///
    /// # Errors
    /// [`ClientError::Store`]; [`ClientError::Unfinished`] before the first look at the log. A directory
    /// that cannot be asked shows no statements.
    pub async fn auditors(&mut self) -> Result<Option<AuditorsView>, ClientError> {
        let Some(policy) = AuditorPolicy::of_network(self.connection.network()) else {
            return Ok(None);
        };
        let view = kept_view(&self.store.begin())?;
        let view = view.ok_or(ClientError::Unfinished("the log was not looked at yet"))?;
        let mut report = None;
        for _ in 0..TRIES {
            let shown = match self.connection.ask_auditors(view.size()).await {
                Ok(shown) => shown,
                Err(error @ (ClientError::Store(_) | ClientError::Bug(_))) => return Err(error),
                Err(_) => Cosignatures::default(),
            };
            let judged = policy.judge(&self.trust, &view, &shown);
            let disagrees = judged.disagreeing().next().is_some();
            report = Some(judged);
            if !disagrees {
                break;
            }
        }
        let report = report.ok_or(ClientError::Bug("nobody was asked"))?;
        let met_at = self.keep_audited(report.is_met())?;
        Ok(Some(AuditorsView { report, met_at }))
    }

    /// Asks the auditors, and tells where too few vouch or one disagrees.
    pub(crate) async fn watch_auditors(&mut self) -> Result<(), ClientError> {
        let Some(AuditorsView { report, met_at }) = self.auditors().await? else {
            return Ok(());
        };
        let disagreeing: Vec<_> = report.disagreeing().copied().collect();
        let told = disagreeing.into_iter().map(Notice::AuditorDisagrees);
        self.notices.extend(told);
        if !report.is_met() {
            self.notices.push(Notice::NotAudited {
                vouching: report.vouching(),
                required: report.required,
                met_at_ns: met_at,
            });
        }
        Ok(())
    }

    /// When enough auditors last vouched; that is now, if they do.
    fn keep_audited(&self, is_met: bool) -> Result<Option<u64>, ClientError> {
        let set = self.store.begin();
        if !is_met {
            return Ok(set.get(Table::Log, AUDITED)?);
        }
        let now = self.connection.now_ns();
        set.put(Table::Log, AUDITED, &now)?;
        self.commit(set)?;
        Ok(Some(now))
    }
}
