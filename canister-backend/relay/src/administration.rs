//! What administrators have set, and the log of what they did (`paigham_wire::admin`).

use ic_stable_structures::memory_manager::VirtualMemory;
use ic_stable_structures::{Memory, StableBTreeMap, StableCell};
use paigham_wire::admin::{
    ADMIN_LOG_PAGE, Action, AdminEntry, AdminLogReply, AdminLogRequest, AdminRefusal, AdminSet,
    Administration, ApprovalReply, ApproveRequest, InitArgument, OpenProposal, Proposal, Quotas,
    RetentionBounds,
};
use paigham_wire::codec::{decode, encode};
use paigham_wire::hash::Hash;
use paigham_wire::ids::PrincipalId;
use paigham_wire::leaf::ShardLeaf;
use paigham_wire::ticket::Difficulties;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::expiry::Retention;
use crate::relay::Relay;

/// What administrators set.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Settings {
    pub quotas: Quotas,
    pub difficulties: Difficulties,
    /// Ascending.
    pub gateways: Vec<PrincipalId>,
    pub retention: RetentionBounds,
}

impl Default for Settings {
    fn default() -> Self {
        let Retention {
            posts,
            commits,
            bytes,
        } = Retention::default();
        Self {
            quotas: Quotas::default(),
            difficulties: Difficulties::default(),
            gateways: Vec::new(),
            retention: RetentionBounds {
                posts,
                commits,
                bytes,
            },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct State {
    machine: Administration,
    settings: Settings,
}

/// Administrators, settings and log.
pub(crate) struct AdministrationStore<M: Memory> {
    cell: StableCell<Vec<u8>, VirtualMemory<M>>,
    log: StableBTreeMap<u32, Vec<u8>, VirtualMemory<M>>,
    state: State,
}

impl<M: Memory> AdministrationStore<M> {
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

    pub(crate) const fn settings(&self) -> &Settings {
        &self.state.settings
    }

    pub(crate) const fn entries(&self) -> u32 {
        self.state.machine.entries()
    }

    pub(crate) const fn head(&self) -> &Hash {
        self.state.machine.head()
    }

    fn save(&mut self) {
        self.cell.set(encode(&self.state));
    }

    fn admins(&self) -> &AdminSet {
        self.state.machine.admins()
    }

    fn open_proposals(&self) -> &[OpenProposal] {
        self.state.machine.open()
    }

    fn page(&self, from: u32) -> Vec<AdminEntry> {
        self.log
            .range(from..)
            .take(ADMIN_LOG_PAGE)
            .map_while(|entry| decode(&entry.value()).ok())
            .collect()
    }
}

impl Settings {
    fn apply(&mut self, action: &Action) {
        match action {
            Action::SetQuotas(quotas) => self.quotas = *quotas,
            Action::SetGateways(gateways) => self.gateways.clone_from(gateways),
            Action::SetDifficulties(difficulties) => self.difficulties = *difficulties,
            Action::SetRetention(bounds) => self.retention = *bounds,
            // The machine itself sets administrators; the directory has the shard map.
            Action::SetAdmins(_) | Action::SetShards(_) => {}
        }
    }
}

impl<M: Memory> Relay<M> {
    /// Begins with the argument of an install.
    ///
    /// # Errors
    /// [`AdminRefusal::OutOfBounds`].
    pub fn install(&mut self, argument: &InitArgument) -> Result<(), AdminRefusal> {
        if !argument.is_allowed() {
            return Err(AdminRefusal::OutOfBounds);
        }
        let state = &mut self.administration.state;
        if let Some(admins) = &argument.admins {
            state.machine = Administration::new(admins.clone());
        }
        if let Some(difficulties) = argument.difficulties {
            state.settings.difficulties = difficulties;
        }
        self.administration.save();
        self.certify_shard();
        Ok(())
    }

    /// Makes what is set count; after opening as well.
    pub(crate) fn use_settings(&mut self) {
        let RetentionBounds {
            posts,
            commits,
            bytes,
        } = self.administration.settings().retention;
        self.retention = Retention {
            posts,
            commits,
            bytes,
        };
    }

    pub(crate) fn is_admin(&self, caller: &PrincipalId) -> bool {
        self.administration.admins().admins.contains(caller)
    }

    /// `admin_propose`.
    pub(crate) fn admin_propose(
        &mut self,
        request: &[u8],
        caller: &PrincipalId,
        now: u64,
    ) -> Result<ApprovalReply, AdminRefusal> {
        let proposal: Proposal = decode(request).map_err(|_| AdminRefusal::Malformed)?;
        if matches!(proposal.action, Action::SetShards(_)) {
            return Err(AdminRefusal::WrongCanister);
        }
        let machine = &mut self.administration.state.machine;
        let outcome = machine.propose(caller, &proposal, &self.canister, now)?;
        Ok(self.execute(outcome))
    }

    /// `admin_approve`.
    pub(crate) fn admin_approve(
        &mut self,
        request: &[u8],
        caller: &PrincipalId,
        now: u64,
    ) -> Result<ApprovalReply, AdminRefusal> {
        let request: ApproveRequest = decode(request).map_err(|_| AdminRefusal::Malformed)?;
        let machine = &mut self.administration.state.machine;
        let outcome = machine.approve(caller, &request.proposal, now)?;
        Ok(self.execute(outcome))
    }

    fn execute(&mut self, outcome: (ApprovalReply, Option<AdminEntry>)) -> ApprovalReply {
        let (reply, executed) = outcome;
        if let Some(entry) = executed {
            let store = &mut self.administration;
            store.log.insert(entry.proposal.number, encode(&entry));
            store.state.settings.apply(&entry.proposal.action);
            self.use_settings();
            self.certify_shard();
        }
        self.administration.save();
        reply
    }

    /// `admin_log`; anybody may ask.
    pub(crate) fn admin_log(
        &self,
        request: &[u8],
        certificate: Vec<u8>,
    ) -> Result<AdminLogReply, AdminRefusal> {
        let request: AdminLogRequest = decode(request).map_err(|_| AdminRefusal::Malformed)?;
        Ok(AdminLogReply {
            certificate: certificate.into(),
            witness: self.witness(&[ShardLeaf::key()]).into(),
            admins: self.administration.admins().clone(),
            open: self.administration.open_proposals().to_vec(),
            entries: self.administration.page(request.from),
        })
    }
}
