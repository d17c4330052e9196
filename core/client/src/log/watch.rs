//! What contacts were shown to be, held against the log once in each monitoring window, until the
//! owner of each label has had to see it (`spec/client.md` §9.4).

use paigham_lookup::account::account_label;
use paigham_lookup::{LookedUp, LookupError, Reading};
use paigham_store::WriteSet;
use paigham_transparency::hash::Label;
use paigham_transparency::verifier::{ContactMap, TreeView, VerifyError};
use paigham_wire::ids::AccountId;
use paigham_wire::log::{MONITOR_MAX_REQUESTS, Monitor, MonitorAnswers};

use super::KeptLabel;
use super::ask::{WATCH_TRIES, bytes_of};
use super::evidence::watched;
use super::kept::{all_labels, encoded, keep_view, kept_view};
use crate::client::Client;
use crate::error::ClientError;

const NS_PER_MS: u64 = 1_000_000;

impl Client {
    /// Holds everything under watch that is due against the log, many labels under one head.
    ///
    /// # Errors
    /// What does not verify; the labels of the batches before are kept.
    pub(crate) async fn watch_contacts(&mut self) -> Result<(), ClientError> {
        let due = self.due_labels()?;
        for some in due.chunks(MONITOR_MAX_REQUESTS) {
            self.watch_some(some).await?;
        }
        Ok(())
    }

    /// Labels under watch that were not looked at for half a window, so that none waits for longer
    /// than a whole one.
    fn due_labels(&self) -> Result<Vec<(AccountId, KeptLabel)>, ClientError> {
        let now_ms = self.connection.now_ns() / NS_PER_MS;
        let wait_ms = self.trust.config().reasonable_monitoring_window / 2;
        let set = self.store.begin();
        let mut due = Vec::new();
        for account in all_labels(&set)? {
            if let Some(kept) = KeptLabel::load(&set, account)?
                && !kept.watch.is_empty()
                && kept.watched_at.saturating_add(wait_ms) <= now_ms
            {
                due.push((account, kept));
            }
        }
        Ok(due)
    }

    pub(super) async fn watch_some(
        &mut self,
        some: &[(AccountId, KeptLabel)],
    ) -> Result<(), ClientError> {
        let mut asked = Vec::with_capacity(some.len());
        for (account, kept) in some {
            asked.push((account_label(*account)?, &kept.watch));
        }
        let accounts: Vec<_> = some.iter().map(|(account, _)| *account).collect();
        let (set, left) = self.hold_against_log(&accounts, &asked).await?;
        for ((account, kept), watch) in some.iter().zip(left) {
            let kept = KeptLabel {
                watch,
                watched_at: self.connection.now_ns() / NS_PER_MS,
                ..kept.clone()
            };
            kept.save(&set, *account)?;
        }
        self.commit(set)
    }

    /// Asks for what is under watch of some labels, at most [`MONITOR_MAX_REQUESTS`], and checks
    /// the answers under one head. Gives what is still to be watched of each, with a write-set that
    /// holds the new view. An answer that does not hold is asked for again, and kept if that one
    /// does not hold either, together with what others are shown of `accounts`.
    pub(crate) async fn hold_against_log(
        &mut self,
        accounts: &[AccountId],
        some: &[(Label, &ContactMap)],
    ) -> Result<(WriteSet, Vec<ContactMap>), ClientError> {
        let view = kept_view(&self.store.begin())?;
        let view = view.ok_or(ClientError::Bug("labels without a view"))?;
        let asked = some
            .iter()
            .map(|(label, watch)| {
                let request = watch.request(label.clone(), &view);
                Ok(Monitor::Contact(bytes_of(&request)?))
            })
            .collect::<Result<Vec<_>, ClientError>>()?;
        let mut refused = None;
        for _ in 0..WATCH_TRIES {
            let reply = self.monitor_in_step(asked.clone()).await?;
            match self.read_watched(&view, some, &reply) {
                Ok((whole, left)) => {
                    let time = whole.certificate_time_ns;
                    self.connection.check_time(time).await?;
                    let set = self.store.begin();
                    keep_view(&set, &whole.view, &whole.head)?;
                    return Ok((set, left));
                }
                Err(failed) => refused = Some((failed, reply)),
            }
        }
        let ((at, error), reply) = refused.ok_or(ClientError::Bug("nothing was asked"))?;
        if let (Some(request), Some((_, watch))) = (asked.get(at), some.get(at)) {
            let shown = watched(&self.store.begin(), request, encoded(*watch)?, &reply, at)?;
            if let Some(shown) = shown {
                let about = accounts.get(at).copied();
                let about: Vec<_> = about.into_iter().collect();
                self.keep_refused(&about, &error, shown).await?;
            }
        }
        Err(error)
    }

    /// Checks all answers under one head; an error comes with the number of the answer.
    fn read_watched(
        &self,
        view: &TreeView,
        some: &[(Label, &ContactMap)],
        reply: &MonitorAnswers,
    ) -> Result<(LookedUp<()>, Vec<ContactMap>), (usize, ClientError)> {
        let first = |error: LookupError| (0, error.into());
        let reading = Reading::open(&self.trust, Some(view), reply.head.as_slice());
        let mut reading = reading.map_err(first)?;
        let mut left = Vec::with_capacity(some.len());
        for (at, ((label, watch), answer)) in some.iter().zip(&reply.answers).enumerate() {
            let answer = answer.as_slice();
            let still = reading.check(answer, |verifier, known: Option<&TreeView>, now| {
                let known = known.ok_or(VerifyError::State)?;
                let request = watch.request(label.clone(), known);
                verifier.contact_monitor(known, watch, &request, answer, now)
            });
            left.push(still.map_err(|error| (at, error.into()))?);
        }
        let whole = reading.finish((), None).map_err(first)?;
        Ok((whole, left))
    }
}
