//! `lookup`, `monitor`, `audit`, `config`: what the log proves to those who ask.

use ic_stable_structures::Memory;
use paigham_transparency::Recent;
use paigham_transparency::codec::Codec;
use paigham_transparency::hash::Label;
use paigham_transparency::log_tree;
use paigham_transparency::prover::{ProveError, Prover, audit_update};
use paigham_transparency::store::Store;
use paigham_transparency::structs::{
    Configuration, ContactMonitorRequest, DistinguishedRequest, OwnerInitRequest,
    OwnerMonitorRequest, SearchRequest, UpdateRequest,
};
use paigham_wire::codec::decode;
use paigham_wire::directory::DirectoryError;
use paigham_wire::identity::IdentityRecord;
use paigham_wire::log::{
    ACCOUNT_PREFIX, AuditReply, AuditRequest, ConfigReply, FoundLabel, HANDLE_PREFIX,
    LOOKUP_MAX_LABELS, LabelAnswer, Lookup, LookupAnswers, MONITOR_MAX_REQUESTS, Monitor,
    MonitorAnswers, MonitorRequest, REPLY_MAX_BYTES, TimedVersion, Wanted,
};
use tls_codec::VLBytes;

use crate::directory::Directory;
use crate::store::LogStore;

/// The distinguished heads that `Monitor::Distinguished` shows: the two newest.
const RECENT: Recent = Recent::Newest(2);

type LogProver<'a, M> =
    Prover<'a, LogStore<ic_stable_structures::memory_manager::VirtualMemory<M>>>;

const fn refusal(error: &ProveError) -> DirectoryError {
    match error {
        ProveError::Empty => DirectoryError::NotReady,
        ProveError::Request(_) | ProveError::LabelAbsent | ProveError::Verdict(_) => {
            DirectoryError::DoesNotFit
        }
        ProveError::TooLong(_) => DirectoryError::TooLarge,
        ProveError::MaximumLifetime | ProveError::Store | ProveError::Vrf(_) => {
            DirectoryError::Damaged
        }
    }
}

/// An answer that is there, encoded.
fn encoded<T: Codec>(answer: Result<T, ProveError>) -> Result<Vec<u8>, DirectoryError> {
    answer
        .and_then(|answer| Ok(answer.encode()?))
        .map_err(|error| refusal(&error))
}

/// Bytes left for a reply.
struct Room(usize);

impl Room {
    const fn new() -> Self {
        Self(REPLY_MAX_BYTES)
    }

    fn take(&mut self, bytes: Vec<u8>) -> Result<VLBytes, DirectoryError> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or(DirectoryError::TooLarge)?;
        Ok(bytes.into())
    }
}

impl<M: Memory> Directory<M> {
    /// The greatest version of some labels with the history that explains it, if each is paid for.
    /// Before that nothing is looked at that the log holds.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn lookup(
        &self,
        request: &[u8],
        certificate: &[u8],
        now: u64,
    ) -> Result<LookupAnswers, DirectoryError> {
        let request: Lookup = decode(request).map_err(|_| DirectoryError::Malformed)?;
        if request.wanted.is_empty() {
            return Err(DirectoryError::Malformed);
        }
        if request.wanted.len() > LOOKUP_MAX_LABELS {
            return Err(DirectoryError::TooLarge);
        }
        self.check_wanted(&request.wanted, now)?;
        let (config, signature) = self.to_prove(certificate)?;
        let prover = self.prover(&config, &signature)?;
        let mut room = Room::new();
        let mut answers = Vec::with_capacity(request.wanted.len());
        let mut last = request.last;
        for wanted in &request.wanted {
            answers.push(self.answer(&prover, wanted, last, &mut room)?);
            last = Some(self.log.tree_size());
        }
        Ok(LookupAnswers {
            answers,
            head: self.head_beside(request.last, signature),
        })
    }

    fn answer(
        &self,
        prover: &LogProver<'_, M>,
        wanted: &Wanted,
        last: Option<u64>,
        room: &mut Room,
    ) -> Result<LabelAnswer, DirectoryError> {
        let label = Label::new(wanted.label.as_slice()).map_err(|_| DirectoryError::Malformed)?;
        let request = SearchRequest {
            last,
            label,
            version: None,
        };
        let label = &request.label;
        let Some(greatest) = self.log.version_count(label).checked_sub(1) else {
            let absent = encoded(prover.absent(&request))?;
            return Ok(LabelAnswer::Absent(room.take(absent)?));
        };
        let search = prover
            .search(&request)
            .and_then(|search| Ok(search.encode()?));
        let search = room.take(search.map_err(|error| refusal(&error))?)?;
        let mut earlier = Vec::new();
        for version in wanted.from..greatest {
            let value = self.log.value(label, version);
            earlier.push(room.take(value.ok_or(DirectoryError::Damaged)?)?);
        }
        let times = self.times(prover, label, wanted.from..=greatest, room)?;
        Ok(LabelAnswer::Found(FoundLabel {
            search,
            earlier,
            times,
        }))
    }

    /// The places of those versions that count by time, and of the ones after them.
    fn times(
        &self,
        prover: &LogProver<'_, M>,
        label: &Label,
        versions: std::ops::RangeInclusive<u32>,
        room: &mut Room,
    ) -> Result<Vec<TimedVersion>, DirectoryError> {
        let mut times = Vec::new();
        let first = *versions.start();
        let mut before = first
            .checked_sub(1)
            .is_some_and(|before| self.counts_by_time(label, before));
        for version in versions {
            let counts = self.counts_by_time(label, version);
            if counts || before {
                let request = SearchRequest {
                    last: Some(self.log.tree_size()),
                    label: label.clone(),
                    version: Some(version),
                };
                times.push(TimedVersion {
                    version,
                    place: room.take(encoded(prover.place(&request))?)?,
                });
            }
            before = counts;
        }
        Ok(times)
    }

    fn counts_by_time(&self, label: &Label, version: u32) -> bool {
        // Of a handle every record's time is shown (`spec/handles.md` §5).
        if label.as_bytes().starts_with(HANDLE_PREFIX) {
            return true;
        }
        label.as_bytes().starts_with(ACCOUNT_PREFIX)
            && self
                .log
                .value(label, version)
                .and_then(|value| IdentityRecord::decode(&value).ok())
                .is_some_and(|record| record.content.kind.counts_by_time())
    }

    /// Answers to some of the draft's requests, all under one head.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn monitor(
        &self,
        request: &[u8],
        certificate: &[u8],
    ) -> Result<MonitorAnswers, DirectoryError> {
        let request: MonitorRequest = decode(request).map_err(|_| DirectoryError::Malformed)?;
        if request.requests.is_empty() {
            return Err(DirectoryError::Malformed);
        }
        if request.requests.len() > MONITOR_MAX_REQUESTS {
            return Err(DirectoryError::TooLarge);
        }
        let (config, signature) = self.to_prove(certificate)?;
        let prover = self.prover(&config, &signature)?;
        let mut room = Room::new();
        let mut answers = Vec::with_capacity(request.requests.len());
        let (mut first_last, mut next_last) = (None, None);
        for (index, monitor) in request.requests.iter().enumerate() {
            let (last, bytes) = monitored(&prover, monitor, next_last)?;
            if index == 0 {
                first_last = last;
            }
            next_last = Some(self.log.tree_size());
            answers.push(room.take(bytes)?);
        }
        Ok(MonitorAnswers {
            answers,
            head: self.head_beside(first_last, signature),
        })
    }

    /// What the entries from one on added.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn audit(&self, request: &[u8], certificate: &[u8]) -> Result<AuditReply, DirectoryError> {
        let request: AuditRequest = decode(request).map_err(|_| DirectoryError::Malformed)?;
        let size = self.log.tree_size();
        let head = self.head_signature(certificate)?;
        if request.from > size {
            return Err(DirectoryError::DoesNotFit);
        }
        let root = log_tree::root(&self.log, size).ok_or(DirectoryError::Damaged)?;
        let end = size.min(request.from.saturating_add(request.limit.into()));
        let mut room = Room::new();
        let mut updates = Vec::new();
        for position in request.from..end {
            match room.take(encoded(audit_update(&self.log, position))?) {
                Ok(bytes) => updates.push(bytes),
                Err(_) => break,
            }
        }
        Ok(AuditReply {
            updates,
            size,
            root,
            head: head.into(),
        })
    }

    /// What the network file pins.
    ///
    /// # Errors
    /// [`DirectoryError::NotReady`].
    pub fn config(&self) -> Result<ConfigReply, DirectoryError> {
        let config = self.configuration().ok_or(DirectoryError::NotReady)?;
        let config = config.encode().map_err(|_| DirectoryError::Damaged)?;
        Ok(ConfigReply {
            config: config.into(),
        })
    }

    fn to_prove(&self, certificate: &[u8]) -> Result<(Configuration, Vec<u8>), DirectoryError> {
        let config = self.configuration().ok_or(DirectoryError::NotReady)?;
        Ok((config, self.head_signature(certificate)?))
    }

    fn prover<'a>(
        &'a self,
        config: &'a Configuration,
        head_signature: &'a [u8],
    ) -> Result<LogProver<'a, M>, DirectoryError> {
        Ok(Prover {
            store: &self.log,
            config,
            vrf: &self.keys.keys().ok_or(DirectoryError::NotReady)?.vrf,
            head_signature,
        })
    }

    /// The signature, unless the first answer holds it because the asker's head is older.
    fn head_beside(&self, last: Option<u64>, signature: Vec<u8>) -> VLBytes {
        if last == Some(self.log.tree_size()) {
            signature.into()
        } else {
            Vec::new().into()
        }
    }
}

/// One answer, and the size that its request named. `next_last` takes the place of that size in all
/// but the first request.
fn monitored<S: Store>(
    prover: &Prover<'_, S>,
    monitor: &Monitor,
    next_last: Option<u64>,
) -> Result<(Option<u64>, Vec<u8>), DirectoryError> {
    fn read<T: Codec>(bytes: &VLBytes) -> Result<T, DirectoryError> {
        T::decode(bytes.as_slice()).map_err(|_| DirectoryError::Malformed)
    }
    let (last, answer) = match monitor {
        Monitor::Contact(bytes) => {
            let mut request: ContactMonitorRequest = read(bytes)?;
            request.last = next_last.or(request.last);
            (request.last, encoded(prover.contact_monitor(&request)))
        }
        Monitor::OwnerInit(bytes) => {
            let mut request: OwnerInitRequest = read(bytes)?;
            request.last = next_last.or(request.last);
            (request.last, encoded(prover.owner_init(&request)))
        }
        Monitor::Owner(bytes) => {
            let mut request: OwnerMonitorRequest = read(bytes)?;
            request.last = next_last.or(request.last);
            (request.last, encoded(prover.owner_monitor(&request)))
        }
        Monitor::Distinguished(bytes) => {
            let mut request: DistinguishedRequest = read(bytes)?;
            request.last = next_last.or(request.last);
            (
                request.last,
                encoded(prover.distinguished(&request, RECENT)),
            )
        }
        Monitor::Update(bytes) => {
            let mut request: UpdateRequest = read(bytes)?;
            request.last = next_last.or(request.last);
            let update = prover.update(&request).transpose();
            (request.last, update.map_or_else(|| Ok(Vec::new()), encoded))
        }
    };
    Ok((last, answer?))
}
