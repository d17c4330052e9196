//! Handles that were looked up, held against the log once in each monitoring window, as accounts
//! are (`spec/client.md` §9.4).

use paigham_lookup::handle::handle_label;
use paigham_wire::identity::handle::Skeleton;
use paigham_wire::log::MONITOR_MAX_REQUESTS;

use super::kept::{HandleWatch, all_handles};
use crate::client::Client;
use crate::error::ClientError;

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
        let mut asked = Vec::with_capacity(some.len());
        for (skeleton, kept) in some {
            asked.push((handle_label(skeleton)?, &kept.watch));
        }
        let (set, left) = self.hold_against_log(&[], &asked).await?;
        for ((skeleton, kept), watch) in some.iter().zip(left) {
            let kept = HandleWatch {
                watch,
                watched_at: self.connection.now_ns() / NS_PER_MS,
                ..kept.clone()
            };
            kept.save(&set, skeleton)?;
        }
        self.commit(set)
    }
}
