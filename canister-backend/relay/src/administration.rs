//! What administrators have set, and the log of what they did (`paigham_wire::admin`).

use ic_stable_structures::Memory;
use paigham_wire::admin::{
    Action, AdminLogReply, AdminRefusal, ApprovalReply, InitArgument, Quotas, RetentionBounds,
    Settings as AdminSettings,
};
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

impl AdminSettings for Settings {
    /// The shard map is the directory's.
    fn has(action: &Action) -> bool {
        !matches!(action, Action::SetShards(_))
    }

    fn apply(&mut self, action: &Action) {
        match action {
            Action::SetQuotas(quotas) => self.quotas = *quotas,
            Action::SetGateways(gateways) => self.gateways.clone_from(gateways),
            Action::SetDifficulties(difficulties) => self.difficulties = *difficulties,
            Action::SetRetention(bounds) => self.retention = *bounds,
            // The machine itself sets administrators.
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
        self.administration
            .install(argument.admins.as_ref(), |settings| {
                if let Some(difficulties) = argument.difficulties {
                    settings.difficulties = difficulties;
                }
            });
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
        self.administration.is_admin(caller)
    }

    /// `admin_propose`.
    pub(crate) fn admin_propose(
        &mut self,
        request: &[u8],
        caller: &PrincipalId,
        now: u64,
    ) -> Result<ApprovalReply, AdminRefusal> {
        let reply = self
            .administration
            .propose(request, &self.canister, caller, now)?;
        Ok(self.take(reply))
    }

    /// `admin_approve`.
    pub(crate) fn admin_approve(
        &mut self,
        request: &[u8],
        caller: &PrincipalId,
        now: u64,
    ) -> Result<ApprovalReply, AdminRefusal> {
        let reply = self.administration.approve(request, caller, now)?;
        Ok(self.take(reply))
    }

    /// What was executed counts at once.
    fn take(&mut self, reply: ApprovalReply) -> ApprovalReply {
        if reply.executed == 1 {
            self.use_settings();
            self.certify_shard();
        }
        reply
    }

    /// `admin_log`; anybody may ask.
    pub(crate) fn admin_log(
        &self,
        request: &[u8],
        certificate: Vec<u8>,
    ) -> Result<AdminLogReply, AdminRefusal> {
        let witness = self.witness(&[ShardLeaf::key()]);
        self.administration
            .page(request, certificate.into(), witness.into())
    }
}
