//! Handles that were looked up, held against the log once in each monitoring window, as accounts
//! are (`spec/client.md` §9.4).

use paigham_lookup::Reading;
use paigham_lookup::handle::handle_label;
use paigham_transparency::verifier::{TreeView, VerifyError};
use paigham_wire::identity::handle::Skeleton;
use paigham_wire::log::{MONITOR_MAX_REQUESTS, Monitor};

use super::kept::{HandleWatch, all_handles};
use crate::client::Client;
use crate::error::ClientError;
use crate::log::{bytes_of, keep_view, kept_view};

const NS_PER_MS: u64 = 1_000_000;

impl Client {
    /// Takes up a record of the own handle that is on its way, looks at the own handle, and holds
    /// every one under watch that is due against the log.
    ///
    /// # Errors
    /// What does not verify; the handles of the batches before are kept. What became of a record
    /// that cannot come into the log, once: it is forgotten then.
    pub(crate) async fn watch_handles(&mut self) -> Result<(), ClientError> {
        match self.publish_handle().await {
            Ok(()) | Err(ClientError::Unfinished(_)) => {}
            Err(other) => return Err(other),
        }
        self.watch_handle().await?;
        let due = self.due_handles()?;
        for some in due.chunks(MONITOR_MAX_REQUESTS) {
            self.watch_some_handles(some).await?;
        }
        Ok(())
    }

    /// Handles under watch that were not looked at for half a window, so that none waits for longer
    /// than a whole one.
    fn due_handles(&self) -> Result<Vec<(Skeleton, HandleWatch)>, ClientError> {
        let now_ms = self.connection.now_ns() / NS_PER_MS;
        let wait_ms = self.trust.config().reasonable_monitoring_window / 2;
        let set = self.store.begin();
        let mut due = Vec::new();
        for skeleton in all_handles(&set)? {
            if let Some(kept) = HandleWatch::load(&set, &skeleton)?
                && !kept.watch.is_empty()
                && kept.watched_at.saturating_add(wait_ms) <= now_ms
            {
                due.push((skeleton, kept));
            }
        }
        Ok(due)
    }

    async fn watch_some_handles(
        &mut self,
        some: &[(Skeleton, HandleWatch)],
    ) -> Result<(), ClientError> {
        let view = kept_view(&self.store.begin())?;
        let view = view.ok_or(ClientError::Bug("handles without a view"))?;
        let asked = some
            .iter()
            .map(|(skeleton, kept)| {
                let request = kept.watch.request(handle_label(skeleton)?, &view);
                Ok(Monitor::Contact(bytes_of(&request)?))
            })
            .collect::<Result<Vec<_>, ClientError>>()?;
        let connection = &self.connection;
        let reply = connection
            .in_step(async || connection.ask_monitor(asked.clone()).await)
            .await?;
        let mut reading = Reading::open(&self.trust, Some(&view), reply.head.as_slice())?;
        let mut left = Vec::with_capacity(some.len());
        for ((skeleton, kept), answer) in some.iter().zip(&reply.answers) {
            let (label, answer) = (handle_label(skeleton)?, answer.as_slice());
            let watch = reading.check(answer, |verifier, known: Option<&TreeView>, now| {
                let known = known.ok_or(VerifyError::State)?;
                let request = kept.watch.request(label, known);
                verifier.contact_monitor(known, &kept.watch, &request, answer, now)
            })?;
            left.push(watch);
        }
        let whole = reading.finish((), None)?;
        connection.check_time(whole.certificate_time_ns).await?;
        let set = self.store.begin();
        keep_view(&set, &whole.view, &whole.head)?;
        for ((skeleton, kept), watch) in some.iter().zip(left) {
            let kept = HandleWatch {
                watch,
                watched_at: connection.now_ns() / NS_PER_MS,
                ..kept.clone()
            };
            kept.save(&set, skeleton)?;
        }
        self.commit(set)
    }
}
