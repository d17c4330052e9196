//! The shard map, set by the administrators' threshold, and the log of what they did.

use ic_stable_structures::Memory;
use paigham_wire::admin::{
    Action, AdminLogReply, AdminRefusal, AdministrationStore, ApprovalReply, Settings,
};
use paigham_wire::codec::encode;
use paigham_wire::directory::{DirectoryArgument, DirectoryError};
use paigham_wire::hash::blake3;
use paigham_wire::ids::{CanisterId, PrincipalId};
use paigham_wire::leaf::{Leaf, ShardsLeaf};
use paigham_wire::shards::ShardsReply;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use crate::directory::Directory;

/// What administrators set: the shard map.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Map {
    /// Encoded; empty while none is set.
    encoded: VLBytes,
}

impl Default for Map {
    fn default() -> Self {
        Self {
            encoded: Vec::new().into(),
        }
    }
}

impl Settings for Map {
    /// The rest is the relays'.
    fn has(action: &Action) -> bool {
        matches!(action, Action::SetAdmins(_) | Action::SetShards(_))
    }

    fn apply(&mut self, action: &Action) {
        if let Action::SetShards(map) = action {
            self.encoded = encode(map).into();
        }
    }
}

/// Administrators, shard map and log.
pub(crate) type Shards<M> = AdministrationStore<Map, M>;

fn leaf<M: Memory>(shards: &Shards<M>) -> ShardsLeaf {
    ShardsLeaf {
        map_hash: blake3(shards.settings().encoded.as_slice()),
        admin_entries: shards.entries(),
        admin_head: *shards.head(),
    }
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
        self.shards.install(argument.common.admins.as_ref(), |_| {});
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
        let reply = self.shards.propose(request, canister, caller, now)?;
        Ok(self.take(reply))
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
        let reply = self.shards.approve(request, caller, now)?;
        Ok(self.take(reply))
    }

    /// What was executed is certified.
    ///
    /// # Panics
    /// When stable memory cannot grow: half of the call is stored by then, and the trap undoes it.
    fn take(&mut self, reply: ApprovalReply) -> ApprovalReply {
        if reply.executed == 1 {
            let leaf = encode(&Leaf::Shards(leaf(&self.shards)));
            self.map
                .insert(&ShardsLeaf::key(), &leaf, &[])
                .expect("no stable memory left; the whole call is undone");
        }
        reply
    }

    /// `admin_log`; anybody may ask.
    ///
    /// # Errors
    /// [`AdminRefusal::Malformed`], [`AdminRefusal::NoCertificate`].
    pub fn admin_log(
        &self,
        request: &[u8],
        certificate: &[u8],
    ) -> Result<AdminLogReply, AdminRefusal> {
        let certificate = self
            .map_certificate(certificate)
            .map_err(|_| AdminRefusal::NoCertificate)?;
        let witness = self.map.witness(&[ShardsLeaf::key()]).encode();
        self.shards
            .page(request, certificate.into(), witness.into())
    }

    /// The shard map, with a witness; anybody may ask.
    ///
    /// # Errors
    /// [`DirectoryError::Damaged`], never.
    pub fn shards(&self, certificate: &[u8]) -> Result<ShardsReply, DirectoryError> {
        Ok(ShardsReply {
            certificate: self.map_certificate(certificate)?.into(),
            witness: self.map.witness(&[ShardsLeaf::key()]).encode().into(),
            map: self.shards.settings().encoded.clone(),
        })
    }

    /// Whether a principal is one of the administrators.
    #[must_use]
    pub fn is_administrator(&self, principal: &PrincipalId) -> bool {
        self.shards.is_admin(principal)
    }
}
