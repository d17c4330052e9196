//! `submit` and `status`: what is to be logged, and how far it is.

use ic_stable_structures::Memory;
use paigham_transparency::hash::Label;
use paigham_transparency::store::Store;
use paigham_wire::codec::decode;
use paigham_wire::directory::DirectoryError;
use paigham_wire::hash::{Hash, sha256};
use paigham_wire::identity::handle::HandleRecord;
use paigham_wire::identity::{IdentityRecord, Signatures};
use paigham_wire::ids::CanisterId;
use paigham_wire::log::{Status, Submission, Submit, SubmitState, Submitted};
use paigham_wire::network::VerifiedNetwork;

use crate::directory::Directory;
use crate::handles::name_handle;
use crate::judge::{NS_PER_MS, Named, name_record};
use crate::networks::{Caller, name_network};
use crate::pending::Waiting;

/// Nanoseconds in a second: network files count in these.
const NS_PER_SECOND: u64 = 1_000_000_000;

/// In whose name and when a call is made.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// This canister.
    pub canister: &'a CanisterId,
    /// Who calls.
    pub caller: Caller,
    /// Canister time in nanoseconds since 1970.
    pub now_ns: u64,
}

impl<M: Memory> Directory<M> {
    /// Takes in the next version of a label. The same bytes again get the reply that they have now.
    ///
    /// # Errors
    /// [`DirectoryError`]; nothing is changed.
    pub fn submit(
        &mut self,
        request: &[u8],
        call: &Call<'_>,
    ) -> Result<SubmitState, DirectoryError> {
        let submit: Submit = decode(request).map_err(|_| DirectoryError::Malformed)?;
        match &submit.submission {
            Submission::Identity(bytes) => {
                let record = IdentityRecord::decode(bytes.as_slice())
                    .map_err(|_| DirectoryError::Malformed)?;
                let named = name_record(&record)?;
                self.is_begun()?;
                self.take_in(named, &submit, call.now_ns, |directory, named| {
                    let now_ns = directory.entry_time_ms(call.now_ns) * NS_PER_MS;
                    let now_ns = now_ns.max(call.now_ns);
                    directory.judge_record(named, &record, now_ns, Signatures::Unverified)
                })
            }
            Submission::Network(bytes) => {
                let network = VerifiedNetwork::first(bytes.as_slice(), call.now_ns / NS_PER_SECOND)
                    .map_err(|_| DirectoryError::NotAllowed)?;
                let named = name_network(&network, self.network_version(&network)?)?;
                self.take_in(
                    named,
                    &submit,
                    call.now_ns,
                    |directory, named| match named.version {
                        0 => directory.judge_first_network(&network, call.canister, call.caller),
                        _ => directory
                            .judge_next_network(network.bytes(), call.now_ns / NS_PER_SECOND),
                    },
                )
            }
            Submission::Handle(bytes) => {
                let record = HandleRecord::decode(bytes.as_slice())
                    .map_err(|_| DirectoryError::Malformed)?;
                let named = name_handle(&record)?;
                self.is_begun()?;
                self.take_in(named, &submit, call.now_ns, |directory, named| {
                    if directory.account_waits(&record) {
                        return Err(DirectoryError::Pending);
                    }
                    let now_ns = directory.entry_time_ms(call.now_ns) * NS_PER_MS;
                    let now_ns = now_ns.max(call.now_ns);
                    directory.judge_handle(named, &record, now_ns)
                })
            }
        }
    }

    /// Queues a submission that is new, paid for, stands alone in its label and passes the judge.
    fn take_in(
        &mut self,
        named: Named,
        submit: &Submit,
        now_ns: u64,
        judge: impl FnOnce(&Self, &Named) -> Result<(), DirectoryError>,
    ) -> Result<SubmitState, DirectoryError> {
        let submission = &submit.submission;
        match self.state_of(&named.label, named.version, &submission.value_hash()) {
            Err(DirectoryError::NotWaiting) => {}
            known => return known,
        }
        let receipt = self.check_submit(&named, submit, now_ns)?;
        if self.pending.of(&named.label).is_some() {
            return Err(DirectoryError::Pending);
        }
        judge(self, &named)?;
        if self.pending.is_full() {
            return Err(DirectoryError::Busy);
        }
        let waiting = Waiting {
            label: named.label.as_bytes().to_vec().into(),
            version: named.version,
            submission: submission.clone(),
        };
        self.pending.add(named.class, &waiting);
        if let Some(receipt) = receipt {
            self.spend(&receipt, &named, now_ns);
        }
        Ok(SubmitState {
            version: named.version,
            state: Submitted::Queued,
        })
    }

    /// How far a version is, to who knows it. Not certified: what counts is what a look-up proves.
    ///
    /// # Errors
    /// [`DirectoryError::NotWaiting`]: it never came, or did not follow any more when its turn came.
    pub fn status(&self, request: &[u8]) -> Result<SubmitState, DirectoryError> {
        let request: Status = decode(request).map_err(|_| DirectoryError::Malformed)?;
        let label = Label::new(request.label.as_slice()).map_err(|_| DirectoryError::Malformed)?;
        self.state_of(&label, request.version, &request.value_hash)
    }

    fn state_of(
        &self,
        label: &Label,
        version: u32,
        value_hash: &Hash,
    ) -> Result<SubmitState, DirectoryError> {
        if let Some(stored) = self.log.version(label, version) {
            if sha256(&stored.value) != *value_hash {
                return Err(DirectoryError::NotWaiting);
            }
            let entry = self.log.entry(stored.place.position);
            let state = Submitted::Published {
                position: stored.place.position,
                timestamp: entry.ok_or(DirectoryError::Damaged)?.timestamp,
            };
            return Ok(SubmitState { version, state });
        }
        match self.pending.of(label) {
            Some(waiting)
                if waiting.version == version && waiting.submission.value_hash() == *value_hash =>
            {
                Ok(SubmitState {
                    version,
                    state: Submitted::Queued,
                })
            }
            _ => Err(DirectoryError::NotWaiting),
        }
    }

    /// The log begins with a network file; before, it takes nothing else.
    fn is_begun(&self) -> Result<(), DirectoryError> {
        if self.log.tree_size() == 0 {
            return Err(DirectoryError::NotReady);
        }
        Ok(())
    }
}
