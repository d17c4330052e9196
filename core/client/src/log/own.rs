//! The own label: whoever puts a version there that this device did not make is found out, at every
//! start and at least once in each monitoring window (`spec/client.md` §9.4).

use paigham_lookup::LookedUp;
use paigham_lookup::account::account_label;
use paigham_lookup::evidence::Evidence;
use paigham_lookup::finding::Finding;
use paigham_store::{Table, WriteSet};
use paigham_transparency::Recent;
use paigham_transparency::codec::Codec;
use paigham_transparency::structs::{DistinguishedRequest, OwnerInitRequest};
use paigham_transparency::verifier::{DistinguishedEntry, MonitorProgress, OwnerState, TreeView};
use paigham_wire::identity::{IdentityRecord, RecordKind};
use paigham_wire::ids::DeviceId;
use paigham_wire::log::Monitor;
use serde_bytes::ByteBuf;

use super::KeptLabel;
use super::ask::bytes_of;
use super::evidence::evidence_of;
use super::kept::{damaged, encoded, keep_view, kept_view};
use super::problem::{Problem, ProblemKind};
use super::publish::made;
use crate::client::Client;
use crate::error::ClientError;

const OWNER: &[u8] = b"owner";
/// Rounds of one watch; each brings the versions of one entry, or some of the distinguished ones.
const ROUNDS: u32 = 64;

fn load(set: &WriteSet) -> Result<Option<OwnerState>, ClientError> {
    let bytes: Option<ByteBuf> = set.get(Table::Log, OWNER)?;
    bytes
        .map(|bytes| OwnerState::decode(&bytes).map_err(|_| damaged()))
        .transpose()
}

fn keep<T>(set: &WriteSet, whole: &LookedUp<T>, state: &OwnerState) -> Result<(), ClientError> {
    keep_view(set, &whole.view, &whole.head)?;
    Ok(set.put(Table::Log, OWNER, &ByteBuf::from(encoded(state)?))?)
}

impl Client {
    /// Watches the own label: learns of versions, holds the distinguished entries since the last
    /// time against what is known, and raises the alarm over what this device did not make.
    ///
    /// # Errors
    /// What does not verify; an unknown version is no error but a [`crate::Notice::Problem`].
    pub(crate) async fn watch_own(&mut self) -> Result<(), ClientError> {
        self.begin_watch().await?;
        for _ in 0..ROUNDS {
            let learned = self.learn_version().await?;
            if !learned && self.monitor_own().await? == MonitorProgress::Complete {
                return self.raise_alarms().await;
            }
        }
        Err(ClientError::Unfinished(
            "the own label has many versions to watch",
        ))
    }

    /// Begins at the newest distinguished entry, if the watch has not begun.
    async fn begin_watch(&mut self) -> Result<(), ClientError> {
        let own = self.account.id();
        if load(&self.store.begin())?.is_some() {
            return Ok(());
        }
        let start = self.distinguished().await?;
        let start = start.last().map_or(0, |newest| newest.position);
        let view = self.known_view()?;
        let label = account_label(own)?;
        let request = OwnerInitRequest {
            last: Some(view.size()),
            label,
            start,
        };
        let whole = self
            .ask_one(
                &view,
                (Monitor::OwnerInit(bytes_of(&request)?), Vec::new()),
                |verifier, view, now, bytes| verifier.owner_init(Some(view), &request, bytes, now),
            )
            .await?;
        let set = self.store.begin();
        keep(&set, &whole, &whole.outcome)?;
        self.commit(set)
    }

    /// Takes the versions of the next entry that brought some; `false` if there is none.
    async fn learn_version(&mut self) -> Result<bool, ClientError> {
        let label = account_label(self.account.id())?;
        let (view, state) = self.watched()?;
        let request = state.update_request(label, &view, Vec::new());
        let asked = Monitor::Update(bytes_of(&request)?);
        let whole = self
            .ask_unless_empty(
                &view,
                (asked, encoded(&state)?),
                |verifier, view, now, bytes| verifier.update(view, &state, &request, bytes, now),
            )
            .await?;
        // None yet; that it is so the distinguished entries show.
        let Some(whole) = whole else {
            return Ok(false);
        };
        let set = self.store.begin();
        keep(&set, &whole, &whole.outcome.state)?;
        self.commit(set)?;
        Ok(true)
    }

    /// Holds the distinguished entries since the last time against what is known.
    async fn monitor_own(&mut self) -> Result<MonitorProgress, ClientError> {
        let label = account_label(self.account.id())?;
        let (view, state) = self.watched()?;
        let request = state.monitor_request(label, &view);
        let asked = Monitor::Owner(bytes_of(&request)?);
        let whole = self
            .ask_one(
                &view,
                (asked, encoded(&state)?),
                |verifier, view, now, bytes| {
                    verifier.owner_monitor(view, &state, &request, bytes, now)
                },
            )
            .await?;
        let set = self.store.begin();
        keep(&set, &whole, &whole.outcome.0)?;
        self.commit(set)?;
        Ok(whole.outcome.1)
    }

    fn watched(&self) -> Result<(TreeView, OwnerState), ClientError> {
        let set = self.store.begin();
        let state = load(&set)?.ok_or(ClientError::Bug("a watch that has not begun"))?;
        let view = kept_view(&set)?.ok_or(ClientError::Bug("a watch without a view"))?;
        Ok((view, state))
    }

    fn known_view(&self) -> Result<TreeView, ClientError> {
        kept_view(&self.store.begin())?.ok_or(ClientError::Bug("no view of the log yet"))
    }

    /// The newest distinguished entries, left to right.
    pub(super) async fn distinguished(&mut self) -> Result<Vec<DistinguishedEntry>, ClientError> {
        let view = self.known_view()?;
        let request = DistinguishedRequest {
            last: Some(view.size()),
            stop: None,
        };
        let asked = Monitor::Distinguished(bytes_of(&request)?);
        let whole = self
            .ask_one(&view, (asked, Vec::new()), |verifier, view, now, bytes| {
                verifier.distinguished(Some(view), &request, RECENT, bytes, now)
            })
            .await?;
        let set = self.store.begin();
        keep_view(&set, &whole.view, &whole.head)?;
        self.commit(set)?;
        Ok(whole.outcome)
    }

    /// Compares the own label with what this device made.
    async fn raise_alarms(&mut self) -> Result<(), ClientError> {
        let own = self.account.id();
        let (_, state) = self.watched()?;
        let known = {
            let kept = KeptLabel::load(&self.store.begin(), own)?;
            kept.map(|kept| kept.history.state().version())
        };
        if known != state.greatest_version() {
            self.look_up(&[own]).await?;
        }
        let unknown = self.unknown_versions()?;
        if unknown.is_empty() {
            return Ok(());
        }
        let evidence = self.own_evidence().await?;
        let set = self.store.begin();
        for kind in unknown {
            let now = self.connection.now_ns();
            Problem::new(kind, Some(own), now, &evidence).keep(&set)?;
        }
        self.commit(set)?;
        self.write_evidence()
    }

    /// What shows the own label to anybody.
    async fn own_evidence(&self) -> Result<Evidence, ClientError> {
        let own = self.account.id();
        let shown = self.ask_alone(own).await?;
        evidence_of(&self.store.begin(), Finding::UnknownVersion, vec![shown])
    }

    /// The versions of the own label that this device did not make.
    fn unknown_versions(&self) -> Result<Vec<ProblemKind>, ClientError> {
        let set = self.store.begin();
        let made = made(&set)?;
        let Some(kept) = KeptLabel::load(&set, self.account.id())? else {
            return Ok(Vec::new());
        };
        let mut unknown = Vec::new();
        let mut before: Vec<DeviceId> = Vec::new();
        for version in 0..kept.history.next_version() {
            let record = kept.history.record(version).map(IdentityRecord::decode);
            let Some(Ok(record)) = record else {
                return Err(damaged());
            };
            let devices: Vec<_> = record
                .content
                .devices
                .iter()
                .map(|one| one.device)
                .collect();
            if !made.contains(&record.hash()) {
                unknown.push(ProblemKind::UnknownVersion {
                    version,
                    kind: name_of(&record.content.kind).to_owned(),
                    devices: devices
                        .iter()
                        .copied()
                        .filter(|device| !before.contains(device))
                        .collect(),
                    at_ms: kept.history.logged_at(version).unwrap_or(0) / 1_000_000,
                });
            }
            before = devices;
        }
        Ok(unknown)
    }
}

/// What a record does, in the words of `spec/identity.md`.
const fn name_of(kind: &RecordKind) -> &'static str {
    match kind {
        RecordKind::Create { .. } => "create",
        RecordKind::DeviceAdd => "device_add",
        RecordKind::DeviceRekey => "device_rekey",
        RecordKind::DeviceRemove => "device_remove",
        RecordKind::Rotate => "rotate",
        RecordKind::RecoveryChange => "recovery_change",
        RecordKind::Recover => "recover",
        RecordKind::Freeze => "freeze",
        RecordKind::Delete => "delete",
    }
}

/// How many distinguished entries the log shows.
pub(super) const RECENT: Recent = Recent::Newest(2);
