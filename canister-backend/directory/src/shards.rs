//! The shard map and the price of tickets, set by the administrators' threshold, and the log of what
//! they did.

use ic_stable_structures::Memory;
use paigham_wire::admin::{
    Action, AdminLogReply, AdminRefusal, AdministrationStore, ApprovalReply, InitArgument,
    Settings as AdminSettings,
};
use paigham_wire::codec::encode;
use paigham_wire::directory::{DirectoryArgument, DirectoryError};
use paigham_wire::hash::blake3;
use paigham_wire::ids::{CanisterId, PrincipalId};
use paigham_wire::leaf::{Leaf, ShardsLeaf};
use paigham_wire::shards::ShardsReply;
use paigham_wire::ticket::Difficulties;
use tls_codec::{DeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use crate::directory::Directory;

/// What administrators set.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize)]
pub(crate) struct Settings {
    /// The encoded shard map; empty while none is set.
    map: VLBytes,
    pub(crate) difficulties: Difficulties,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            map: Vec::new().into(),
            difficulties: Difficulties::default(),
        }
    }
}

impl DeserializeBytes for Settings {
    /// Of a directory from before there were tickets nothing follows the map.
    fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(Self, &[u8]), tls_codec::Error> {
        let (map, rest) = VLBytes::tls_deserialize_bytes(bytes)?;
        let (difficulties, rest) = if rest.is_empty() {
            (Difficulties::default(), rest)
        } else {
            Difficulties::tls_deserialize_bytes(rest)?
        };
        Ok((Self { map, difficulties }, rest))
    }
}

impl AdminSettings for Settings {
    /// The rest is the relays'.
    fn has(action: &Action) -> bool {
        matches!(
            action,
            Action::SetAdmins(_) | Action::SetShards(_) | Action::SetDifficulties(_)
        )
    }

    fn apply(&mut self, action: &Action) {
        match action {
            Action::SetShards(map) => self.map = encode(map).into(),
            Action::SetDifficulties(difficulties) => self.difficulties = *difficulties,
            // The machine itself sets administrators.
            Action::SetAdmins(_)
            | Action::SetQuotas(_)
            | Action::SetGateways(_)
            | Action::SetRetention(_) => {}
        }
    }
}

/// Administrators, shard map and log.
pub(crate) type Shards<M> = AdministrationStore<Settings, M>;

fn leaf<M: Memory>(shards: &Shards<M>) -> ShardsLeaf {
    ShardsLeaf {
        map_hash: blake3(shards.settings().map.as_slice()),
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
        let InitArgument {
            admins,
            difficulties,
        } = &argument.common;
        self.shards.install(admins.as_ref(), |settings| {
            if let Some(difficulties) = difficulties {
                settings.difficulties = *difficulties;
            }
        });
        self.certify_beacon();
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
            self.certify_beacon();
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
            map: self.shards.settings().map.clone(),
        })
    }

    /// Whether a principal is one of the administrators.
    #[must_use]
    pub fn is_administrator(&self, principal: &PrincipalId) -> bool {
        self.shards.is_admin(principal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory from before there were tickets keeps its shard map through the upgrade, and asks
    /// for the usual work; what is stored from then on comes back as it was.
    #[test]
    fn a_map_from_before_tickets_is_read() {
        let map: VLBytes = vec![7; 9].into();
        let before = encode(&map);
        let (settings, rest) = Settings::tls_deserialize_bytes(&before).unwrap();
        assert_eq!((&settings.map, rest), (&map, &[][..]));
        assert_eq!(settings.difficulties, Difficulties::default());
        let set = Settings {
            map,
            difficulties: Difficulties::all(9),
        };
        let bytes = encode(&set);
        let (again, rest) = Settings::tls_deserialize_bytes(&bytes).unwrap();
        assert_eq!((again, rest), (set, &[][..]));
        let cut = bytes.split_last().unwrap().1;
        assert!(Settings::tls_deserialize_bytes(cut).is_err());
    }
}
