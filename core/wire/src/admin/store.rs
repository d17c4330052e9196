//! The administration of a canister in its stable memory: who administers, what they have set, and
//! the log of what they did.

use std::fmt;

use ic_stable_structures::memory_manager::VirtualMemory;
use ic_stable_structures::{Memory, StableBTreeMap, StableCell};
use tls_codec::{DeserializeBytes, Serialize, VLBytes};

use super::{
    ADMIN_LOG_PAGE, Action, AdminEntry, AdminLogReply, AdminLogRequest, AdminRefusal, AdminSet,
    Administration, ApprovalReply, ApproveRequest, Proposal,
};
use crate::codec::{decode, encode};
use crate::hash::Hash;
use crate::ids::{CanisterId, PrincipalId};

/// What the administrators of a canister set, beside who they are.
pub trait Settings: Default + Serialize + DeserializeBytes {
    /// Whether an action is one of this canister's.
    fn has(action: &Action) -> bool;

    /// Takes over what an executed action sets.
    fn apply(&mut self, action: &Action);
}

/// Administrators, settings and log, in two memories.
///
/// ```text
/// cell   Administration ‖ settings
/// log    number → AdminEntry
/// ```
pub struct AdministrationStore<S, M: Memory> {
    cell: StableCell<Vec<u8>, VirtualMemory<M>>,
    log: StableBTreeMap<u32, Vec<u8>, VirtualMemory<M>>,
    machine: Administration,
    settings: S,
}

impl<S, M: Memory> fmt::Debug for AdministrationStore<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdministrationStore")
            .field("machine", &self.machine)
            .finish_non_exhaustive()
    }
}

impl<S: Settings, M: Memory> AdministrationStore<S, M> {
    /// Opens it in the memories of the cell and the log.
    pub fn open(cell: VirtualMemory<M>, log: VirtualMemory<M>) -> Self {
        let cell = StableCell::init(cell, Vec::new());
        let (machine, settings) = read(cell.get()).unwrap_or_default();
        Self {
            cell,
            log: StableBTreeMap::init(log),
            machine,
            settings,
        }
    }

    /// Begins with what an install says; without administrators those that there are stay.
    pub fn install(&mut self, admins: Option<&AdminSet>, change: impl FnOnce(&mut S)) {
        if let Some(admins) = admins {
            self.machine = Administration::new(admins.clone());
        }
        change(&mut self.settings);
        self.save();
    }

    /// What is set.
    pub const fn settings(&self) -> &S {
        &self.settings
    }

    /// Number of executed proposals.
    pub const fn entries(&self) -> u32 {
        self.machine.entries()
    }

    /// Head of the log; zeros before the first entry.
    pub const fn head(&self) -> &Hash {
        self.machine.head()
    }

    /// Whether a principal is one of the administrators.
    pub fn is_admin(&self, principal: &PrincipalId) -> bool {
        self.machine.admins().admins.contains(principal)
    }

    /// `admin_propose`, at canister time `now` in nanoseconds since 1970. Where the reply says that
    /// it was executed, the settings have changed.
    ///
    /// # Errors
    /// [`AdminRefusal`]; nothing is changed.
    pub fn propose(
        &mut self,
        request: &[u8],
        canister: &CanisterId,
        caller: &PrincipalId,
        now: u64,
    ) -> Result<ApprovalReply, AdminRefusal> {
        let proposal: Proposal = decode(request).map_err(|_| AdminRefusal::Malformed)?;
        if !S::has(&proposal.action) {
            return Err(AdminRefusal::WrongCanister);
        }
        let outcome = self.machine.propose(caller, &proposal, canister, now)?;
        Ok(self.take(outcome))
    }

    /// `admin_approve`, as [`AdministrationStore::propose`].
    ///
    /// # Errors
    /// [`AdminRefusal`]; nothing is changed.
    pub fn approve(
        &mut self,
        request: &[u8],
        caller: &PrincipalId,
        now: u64,
    ) -> Result<ApprovalReply, AdminRefusal> {
        let request: ApproveRequest = decode(request).map_err(|_| AdminRefusal::Malformed)?;
        let outcome = self.machine.approve(caller, &request.proposal, now)?;
        Ok(self.take(outcome))
    }

    /// `admin_log`; anybody may ask. Certificate and witness are those of the leaf that has the
    /// head.
    ///
    /// # Errors
    /// [`AdminRefusal::Malformed`].
    pub fn page(
        &self,
        request: &[u8],
        certificate: VLBytes,
        witness: VLBytes,
    ) -> Result<AdminLogReply, AdminRefusal> {
        let request: AdminLogRequest = decode(request).map_err(|_| AdminRefusal::Malformed)?;
        let entries = self.log.range(request.from..).take(ADMIN_LOG_PAGE);
        Ok(AdminLogReply {
            certificate,
            witness,
            admins: self.machine.admins().clone(),
            open: self.machine.open().to_vec(),
            entries: entries
                .map_while(|entry| decode(&entry.value()).ok())
                .collect(),
        })
    }

    fn take(&mut self, outcome: (ApprovalReply, Option<AdminEntry>)) -> ApprovalReply {
        let (reply, executed) = outcome;
        if let Some(entry) = executed {
            self.log.insert(entry.proposal.number, encode(&entry));
            self.settings.apply(&entry.proposal.action);
        }
        self.save();
        reply
    }

    fn save(&mut self) {
        let mut bytes = encode(&self.machine);
        bytes.extend(encode(&self.settings));
        self.cell.set(bytes);
    }
}

fn read<S: Settings>(bytes: &[u8]) -> Option<(Administration, S)> {
    let (machine, rest) = Administration::tls_deserialize_bytes(bytes).ok()?;
    let (settings, rest) = S::tls_deserialize_bytes(rest).ok()?;
    rest.is_empty().then_some((machine, settings))
}
