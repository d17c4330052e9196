//! The shard map, set by the administrators' threshold, and the log of what they did.

use ic_stable_structures::memory_manager::VirtualMemory;
use ic_stable_structures::{Memory, StableBTreeMap, StableCell};
use paigham_wire::admin::{
    ADMIN_LOG_PAGE, Action, AdminEntry, AdminLogReply, AdminLogRequest, AdminRefusal,
    Administration, ApprovalReply, ApproveRequest, Proposal,
};
use paigham_wire::codec::{decode, encode};
use paigham_wire::directory::{DirectoryArgument, DirectoryError};
use paigham_wire::hash::blake3;
use paigham_wire::ids::{CanisterId, PrincipalId};
use paigham_wire::leaf::{Leaf, ShardsLeaf};
use paigham_wire::shards::ShardsReply;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use crate::directory::Directory;

#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct State {
    machine: Administration,
    /// The encoded map; empty while none is set.
    map: VLBytes,
}

impl Default for State {
    fn default() -> Self {
        Self {
            machine: Administration::default(),
            map: Vec::new().into(),
        }
    }
}

/// Administrators, shard map and log.
pub(crate) struct Shards<M: Memory> {
    cell: StableCell<Vec<u8>, VirtualMemory<M>>,
    log: StableBTreeMap<u32, Vec<u8>, VirtualMemory<M>>,
    state: State,
}

impl<M: Memory> Shards<M> {
    /// Opens them in the memories of the cell and the log.
    pub(crate) fn open(cell: VirtualMemory<M>, log: VirtualMemory<M>) -> Self {
        let cell = StableCell::init(cell, encode(&State::default()));
        let state = decode(cell.get()).unwrap_or_default();
        Self {
            cell,
            log: StableBTreeMap::init(log),
            state,
        }
    }

    fn save(&mut self) {
        self.cell.set(encode(&self.state));
    }

    fn leaf(&self) -> ShardsLeaf {
        ShardsLeaf {
            map_hash: blake3(self.state.map.as_slice()),
            admin_entries: self.state.machine.entries(),
            admin_head: *self.state.machine.head(),
        }
    }

    fn page(&self, from: u32) -> Vec<AdminEntry> {
        self.log
            .range(from..)
            .take(ADMIN_LOG_PAGE)
            .map_while(|entry| decode(&entry.value()).ok())
            .collect()
    }
}

/// The directory has administrators, a shard map and tickets; the rest is the relays'.
const fn is_ours(action: &Action) -> bool {
    matches!(
        action,
        Action::SetAdmins(_) | Action::SetShards(_) | Action::SetDifficulties(_)
    )
}

impl<M: Memory> Directory<M> {
    /// Begins with the argument of an install.
    ///
    /// # Errors
    /// [`AdminRefusal::OutOfBounds`].
    pub fn install(&mut self, argument: &DirectoryArgument) -> Result<(), AdminRefusal> {
        if !argument.common.is_allowed() {
            return Err(AdminRefusal::OutOfBounds);
        }
        if let Some(key) = &argument.release_key {
            self.set_release_key(key);
        }
        if let Some(admins) = &argument.common.admins {
            self.shards.state.machine = Administration::new(admins.clone());
            self.shards.save();
        }
        if let Some(difficulties) = &argument.common.difficulties {
            self.set_difficulties(difficulties);
        }
        Ok(())
    }

    /// `admin_propose`.
    ///
    /// # Errors
    /// [`AdminRefusal`]; nothing is changed.
    pub fn admin_propose(
        &mut self,
        request: &[u8],
        canister: &CanisterId,
        caller: &PrincipalId,
        now: u64,
    ) -> Result<ApprovalReply, AdminRefusal> {
        let proposal: Proposal = decode(request).map_err(|_| AdminRefusal::Malformed)?;
        if !is_ours(&proposal.action) {
            return Err(AdminRefusal::WrongCanister);
        }
        let machine = &mut self.shards.state.machine;
        let outcome = machine.propose(caller, &proposal, canister, now)?;
        Ok(self.execute(outcome))
    }

    /// `admin_approve`.
    ///
    /// # Errors
    /// [`AdminRefusal`]; nothing is changed.
    pub fn admin_approve(
        &mut self,
        request: &[u8],
        caller: &PrincipalId,
        now: u64,
    ) -> Result<ApprovalReply, AdminRefusal> {
        let request: ApproveRequest = decode(request).map_err(|_| AdminRefusal::Malformed)?;
        let machine = &mut self.shards.state.machine;
        let outcome = machine.approve(caller, &request.proposal, now)?;
        Ok(self.execute(outcome))
    }

    /// # Panics
    /// When stable memory cannot grow: half of the call is stored by then, and the trap undoes it.
    fn execute(&mut self, outcome: (ApprovalReply, Option<AdminEntry>)) -> ApprovalReply {
        let (reply, executed) = outcome;
        if let Some(AdminEntry { proposal, .. }) = &executed
            && let Action::SetDifficulties(difficulties) = &proposal.action
        {
            self.set_difficulties(difficulties);
        }
        let shards = &mut self.shards;
        if let Some(entry) = executed {
            shards.log.insert(entry.proposal.number, encode(&entry));
            if let Action::SetShards(map) = &entry.proposal.action {
                shards.state.map = encode(map).into();
            }
            self.map
                .insert(
                    &ShardsLeaf::key(),
                    &encode(&Leaf::Shards(shards.leaf())),
                    &[],
                )
                .expect("no stable memory left; the whole call is undone");
        }
        shards.save();
        reply
    }

    /// `admin_log`; anybody may ask.
    ///
    /// # Errors
    /// [`AdminRefusal::Malformed`].
    pub fn admin_log(
        &self,
        request: &[u8],
        certificate: &[u8],
    ) -> Result<AdminLogReply, AdminRefusal> {
        let request: AdminLogRequest = decode(request).map_err(|_| AdminRefusal::Malformed)?;
        let machine = &self.shards.state.machine;
        Ok(AdminLogReply {
            certificate: self
                .map_certificate(certificate)
                .map_err(|_| AdminRefusal::NoCertificate)?
                .into(),
            witness: self.map.witness(&[ShardsLeaf::key()]).encode().into(),
            admins: machine.admins().clone(),
            open: machine.open().to_vec(),
            entries: self.shards.page(request.from),
        })
    }

    /// The shard map, with a witness; anybody may ask.
    ///
    /// # Errors
    /// [`DirectoryError::Damaged`], never.
    pub fn shards(&self, certificate: &[u8]) -> Result<ShardsReply, DirectoryError> {
        Ok(ShardsReply {
            certificate: self.map_certificate(certificate)?.into(),
            witness: self.map.witness(&[ShardsLeaf::key()]).encode().into(),
            map: self.shards.state.map.clone(),
        })
    }

    /// Whether a principal is one of the administrators.
    #[must_use]
    pub fn is_administrator(&self, principal: &PrincipalId) -> bool {
        self.shards
            .state
            .machine
            .admins()
            .admins
            .contains(principal)
    }
}
