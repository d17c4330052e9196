//! What code a canister runs, and under whom (`spec/client.md` CLI-012).

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use candid::Principal;
use ic_certification::{Certificate, Label, LookupResult};
use paigham_wire::certificate::certified_time_ns;
use paigham_wire::ids::CanisterId;
use paigham_wire::network::{CanisterRole, NetworkError};

use super::reach::READ_MAX;
use super::{Connection, principal};
use crate::error::{ClientError, NotVerified};

/// How long a look at a canister's code counts: a running client sends nothing to other code for
/// longer than that.
const CODE_COUNTS_NS: u64 = 5 * 60 * 1_000_000_000;

impl Connection {
    /// What the subnet certifies of a canister's code, and when.
    pub(super) async fn canister_state(
        &self,
        canister: &CanisterId,
    ) -> Result<CanisterState, ClientError> {
        let (module, controllers) = code_paths(canister);
        let certificate = self.code_certificate(canister).await?;
        let leaf = |path: &Vec<Label>| match certificate.tree.lookup_path(path) {
            LookupResult::Found(value) => Ok(value.to_vec()),
            _ => Err(ClientError::from(NotVerified::Malformed("read_state"))),
        };
        let controllers: Vec<Principal> = serde_cbor::from_slice(&leaf(&controllers)?)
            .map_err(|_| NotVerified::Malformed("read_state"))?;
        Ok(CanisterState {
            time_ns: certified_time_ns(&certificate)?,
            module_hash: leaf(&module)?,
            controllers: controllers
                .into_iter()
                .map(|id| id.as_slice().to_vec())
                .collect(),
        })
    }

    async fn code_certificate(&self, canister: &CanisterId) -> Result<Certificate, ClientError> {
        let (module, controllers) = code_paths(canister);
        let asked = self
            .agent
            .read_state_raw(vec![module, controllers], principal(canister)?);
        self.reach(canister, READ_MAX, asked).await
    }

    /// The subnet's certificate over a canister's module hash and controllers, in its canonical
    /// encoding: what shows to others which code ran.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn code_evidence(&self, canister: &CanisterId) -> Result<Vec<u8>, ClientError> {
        let certificate = self.code_certificate(canister).await?;
        let encoded = || {
            let mut serializer = serde_cbor::Serializer::new(Vec::new());
            serializer.self_describe()?;
            serde::Serialize::serialize(&certificate, &mut serializer)?;
            Ok::<_, serde_cbor::Error>(serializer.into_inner())
        };
        encoded().map_err(|_| ClientError::Bug("a certificate that does not encode"))
    }

    /// Makes sure, before a relay is asked and before anything is sent to a canister, that it runs
    /// code that the network file allows, under controllers that it names, and that the file has not expired. The subnet's
    /// certificate of that counts for [`CODE_COUNTS_NS`] by both clocks of this machine: one of
    /// them stands still while it sleeps, the other can be set.
    ///
    /// # Errors
    /// [`NotVerified::Code`], [`NetworkError::Expired`].
    pub async fn ensure_code(&self, canister: &CanisterId) -> Result<(), ClientError> {
        let (wall, monotonic) = (self.clock.wall_ns(), self.clock.monotonic_ns());
        let seen = self.locked_code().get(canister.as_slice()).copied();
        let counts = seen.is_some_and(|(then, monotonic_then)| {
            wall.abs_diff(then) < CODE_COUNTS_NS
                && monotonic.abs_diff(monotonic_then) < CODE_COUNTS_NS
        });
        if !counts {
            self.locked_code().remove(canister.as_slice());
            self.look_at_code(canister).await?;
            self.locked_code()
                .insert(canister.as_slice().to_vec(), (wall, monotonic));
        }
        // By certified time: this machine's clock neither ends a network nor prolongs it.
        if self.network.file().expires_at < self.now_seconds() {
            return Err(NetworkError::Expired.into());
        }
        Ok(())
    }

    fn locked_code(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, (u64, u64)>> {
        self.code_seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn look_at_code(&self, canister: &CanisterId) -> Result<(), ClientError> {
        // Whoever names a canister that the file does not name names strange code.
        let Some(allowed) = self.network.entry(canister) else {
            return Err(NotVerified::Code("unnamed").into());
        };
        let state = self.canister_state(canister).await?;
        self.check_time(state.time_ns).await?;
        let mut named: Vec<_> = allowed.controllers.iter().map(|id| id.to_vec()).collect();
        let mut found = state.controllers;
        named.sort_unstable();
        found.sort_unstable();
        let known_code = allowed
            .module_hashes
            .iter()
            .any(|hash| hash[..] == state.module_hash[..]);
        if known_code && named == found {
            return Ok(());
        }
        let name = match allowed.role {
            CanisterRole::Directory => "directory",
            CanisterRole::Relay => "relay",
            CanisterRole::Bulletin => "bulletin",
        };
        Err(NotVerified::Code(name).into())
    }
}

/// Where the state tree has a canister's module hash and its controllers.
fn code_paths(canister: &CanisterId) -> (Vec<Label>, Vec<Label>) {
    let path = |name: &str| {
        [b"canister", canister.as_slice(), name.as_bytes()]
            .map(|label: &[u8]| Label::from_bytes(label))
            .to_vec()
    };
    (path("module_hash"), path("controllers"))
}

pub(super) struct CanisterState {
    pub time_ns: u64,
    module_hash: Vec<u8>,
    controllers: Vec<Vec<u8>>,
}
