//! Looking a handle up, and the accounts that its records name.

use paigham_lookup::account::now_ns;
use paigham_lookup::handle::{HandleVersions, JudgedHandle};
use paigham_lookup::{LookupError, Reading};
use paigham_store::WriteSet;
use paigham_transparency::verifier::{ContactMap, MonitoredVersion, TreeView};
use paigham_wire::identity::handle::{Handle, Holding, Skeleton};
use paigham_wire::log::Wanted;
use paigham_wire::relay::Credential;

use super::kept::HandleWatch;
use crate::client::Client;
use crate::error::{ClientError, NotVerified};
use crate::log::{KeptLabel, keep_view, kept_view};
use crate::view::{HandleStanding, HandleView};

impl Client {
    /// Looks up who holds a handle, as it is typed. What is shown follows from proofs: all records
    /// of the handle, and those of every account that they name.
    ///
    /// # Errors
    /// [`ClientError::Handle`] for what is no handle; what does not verify.
    pub async fn find_handle(&mut self, typed: &str) -> Result<HandleView, ClientError> {
        let handle = Handle::typed(typed)?;
        let judged = self.look_up_handle(&handle.skeleton()).await?;
        Ok(view(&handle, judged.as_ref()))
    }

    /// As [`Client::find_handle`]; `None` if nobody ever had it.
    pub(super) async fn look_up_handle(
        &mut self,
        skeleton: &Skeleton,
    ) -> Result<Option<JudgedHandle>, ClientError> {
        let Some(versions) = self.read_handle(skeleton).await? else {
            return Ok(None);
        };
        self.look_up(versions.accounts()).await?;
        let set = self.store.begin();
        let mut histories = Vec::with_capacity(versions.accounts().len());
        for account in versions.accounts() {
            let kept = KeptLabel::load(&set, *account)?;
            histories.push(kept.ok_or(ClientError::NoSuchAccount(*account))?.history);
        }
        let view = kept_view(&set)?.ok_or(ClientError::Bug("a look-up without a view"))?;
        let judged = versions.judge(&histories, now_ns(&view))?;
        HandleWatch::note_holder(&set, skeleton, &judged)?;
        self.commit(set)?;
        Ok(Some(judged))
    }

    /// All records of a handle. What was seen before must be among them.
    async fn read_handle(
        &mut self,
        skeleton: &Skeleton,
    ) -> Result<Option<HandleVersions>, ClientError> {
        let (view, known) = {
            let set = self.store.begin();
            (kept_view(&set)?, HandleWatch::load(&set, skeleton)?)
        };
        let last = view.as_ref().map(TreeView::size);
        let connection = &self.connection;
        let reply = connection
            .in_step(async || connection.ask_wanted(last, vec![wanted(skeleton)]).await)
            .await?;
        let answer = reply.answers.first();
        let answer = answer.ok_or(NotVerified::Malformed("lookup"))?;
        let mut reading = Reading::open(&self.trust, view.as_ref(), reply.head.as_slice())?;
        let shown = reading.handle(skeleton, answer)?;
        let whole = reading.finish((), None)?;
        connection.check_time(whole.certificate_time_ns).await?;
        let set = self.store.begin();
        keep_view(&set, &whole.view, &whole.head)?;
        let versions = match (shown, known) {
            (None, None) => None,
            (None, Some(known)) => {
                let known = known.version.saturating_add(1);
                return Err(LookupError::Fewer { known, shown: 0 }.into());
            }
            (Some((versions, watch)), known) => {
                let looked_at = whole.view.newest_timestamp();
                keep(&set, skeleton, &versions, watch, known, looked_at)?;
                Some(versions)
            }
        };
        self.commit(set)?;
        Ok(versions)
    }
}

fn wanted(skeleton: &Skeleton) -> Wanted {
    Wanted {
        label: skeleton.label().into(),
        from: 0,
        credential: Credential::none(),
    }
}

/// Keeps what was seen of a handle; refuses what does not continue what was seen before.
fn keep(
    set: &WriteSet,
    skeleton: &Skeleton,
    versions: &HandleVersions,
    watch: Option<MonitoredVersion>,
    known: Option<HandleWatch>,
    looked_at: u64,
) -> Result<(), ClientError> {
    let records = versions.records();
    if let Some(known) = &known {
        let version = known.version;
        let then = usize::try_from(version).ok();
        match then.and_then(|version| records.get(version)) {
            Some((_, record)) if record.hash() == known.hash => {}
            Some(_) => return Err(LookupError::Changed { version }.into()),
            None => {
                let shown = u32::try_from(records.len()).unwrap_or(u32::MAX);
                let known = version.saturating_add(1);
                return Err(LookupError::Fewer { known, shown }.into());
            }
        }
    }
    let newest = records.last().ok_or(NotVerified::Malformed("lookup"))?;
    let mut kept = HandleWatch {
        version: newest.1.content.record_version,
        hash: newest.1.hash(),
        watched_at: known.as_ref().map_or(looked_at, |known| known.watched_at),
        holder: known.as_ref().and_then(|known| known.holder.clone()),
        watch: known.map_or_else(ContactMap::default, |known| known.watch),
    };
    kept.watch_too(watch)?;
    kept.save(set, skeleton)
}

/// What apps show: the spelling of the holder, or of who asked where there is none.
pub(super) fn view(asked: &Handle, judged: Option<&JudgedHandle>) -> HandleView {
    let Some(judged) = judged else {
        return HandleView {
            handle: asked.to_string(),
            account: None,
            standing: HandleStanding::Free,
        };
    };
    let (handle, standing) = match judged.holding {
        Holding::Held { ends_at: None, .. } => (judged.handle(), HandleStanding::Held),
        Holding::Held {
            ends_at: Some(at), ..
        } => (judged.handle(), HandleStanding::Releasing { ends_at: at }),
        Holding::Resting { until, .. } => (asked, HandleStanding::Resting { until }),
        Holding::Free => (asked, HandleStanding::Free),
    };
    HandleView {
        handle: handle.to_string(),
        account: judged.holder(),
        standing,
    }
}
