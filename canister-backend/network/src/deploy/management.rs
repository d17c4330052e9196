//! What of the management canister a deployment calls (IC interface specification, "The IC
//! management canister").

use candid::{CandidType, Decode, Principal, encode_one};
use ic_agent::agent::{CallResponse, EffectiveId};
use ic_agent::{Agent, AgentError};
use paigham_modules::module_hash;
use serde::Deserialize;
use serde_bytes::ByteBuf;

use super::DeployError;

/// Largest module that goes in one call; a call has at most 2 MiB.
const WHOLE_MAX_BYTES: usize = 1_500_000;
/// Bytes of a chunk of a larger one: the most that a chunk may have.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Where canisters are created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On a subnet whose administrator the caller is.
    Subnet(Principal),
    /// Where a development endpoint creates canisters for anybody; the address, where the endpoint
    /// has several subnets, is that of any canister id of the one that is meant.
    Anywhere(Principal),
}

/// Whether code comes first or in place of other code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, CandidType, Deserialize)]
pub(super) enum Mode {
    #[serde(rename = "install")]
    Install,
    #[serde(rename = "upgrade")]
    Upgrade,
}

#[derive(CandidType, Deserialize)]
struct CanisterId {
    canister_id: Principal,
}

#[derive(CandidType)]
struct Nothing {}

#[derive(CandidType)]
struct Install<'a> {
    mode: Mode,
    canister_id: Principal,
    wasm_module: &'a serde_bytes::Bytes,
    arg: ByteBuf,
}

#[derive(CandidType)]
struct Upload<'a> {
    canister_id: Principal,
    chunk: &'a serde_bytes::Bytes,
}

#[derive(CandidType, Deserialize)]
struct ChunkHash {
    hash: ByteBuf,
}

#[derive(CandidType)]
struct InstallChunked {
    mode: Mode,
    target_canister: Principal,
    chunk_hashes_list: Vec<ChunkHash>,
    wasm_module_hash: ByteBuf,
    arg: ByteBuf,
}

#[derive(CandidType)]
struct Settings {
    controllers: Vec<Principal>,
}

#[derive(CandidType)]
struct UpdateSettings {
    canister_id: Principal,
    settings: Settings,
}

/// The management canister, through an agent.
pub(super) struct Management<'a>(pub &'a Agent);

impl Management<'_> {
    /// An empty canister that the caller controls.
    pub async fn create(&self, place: Place) -> Result<Principal, DeployError> {
        let doing = "creating a canister";
        let argument = encode(Nothing {})?;
        let reply = match place {
            Place::Subnet(subnet) => self.create_on(subnet, argument).await,
            Place::Anywhere(address) => {
                let method = "provisional_create_canister_with_cycles";
                self.0
                    .update(&Principal::management_canister(), method)
                    .with_effective_canister_id(address)
                    .with_arg(argument)
                    .call_and_wait()
                    .await
            }
        };
        let reply = reply.map_err(DeployError::agent(doing))?;
        let created = Decode!(&reply, CanisterId).map_err(|_| DeployError::Reply(doing))?;
        Ok(created.canister_id)
    }

    /// A call that is addressed to a subnet instead of a canister.
    async fn create_on(&self, subnet: Principal, argument: Vec<u8>) -> Result<Vec<u8>, AgentError> {
        let signed = self
            .0
            .update(&Principal::management_canister(), "create_canister")
            .with_arg(argument)
            .sign()?;
        let address = EffectiveId::Subnet(subnet);
        match self.0.update_signed(address, signed.signed_update).await? {
            CallResponse::Response(reply) => Ok(reply),
            CallResponse::Poll(id) => Ok(self.0.wait(&id, address).await?.0),
        }
    }

    /// Puts code into a canister; in chunks where it is larger than a call.
    pub async fn install(
        &self,
        canister_id: Principal,
        mode: Mode,
        module: &[u8],
        argument: &[u8],
    ) -> Result<(), DeployError> {
        if module.len() > WHOLE_MAX_BYTES {
            return self
                .install_chunked(canister_id, mode, module, argument)
                .await;
        }
        let install = Install {
            mode,
            canister_id,
            wasm_module: serde_bytes::Bytes::new(module),
            arg: ByteBuf::from(argument),
        };
        self.call(canister_id, "install_code", encode(install)?)
            .await?;
        Ok(())
    }

    async fn install_chunked(
        &self,
        canister_id: Principal,
        mode: Mode,
        module: &[u8],
        argument: &[u8],
    ) -> Result<(), DeployError> {
        // What an interrupted attempt left would count against the store's size.
        self.clear_chunks(canister_id).await?;
        let mut chunk_hashes_list = Vec::new();
        for chunk in module.chunks(CHUNK_BYTES) {
            let upload = Upload {
                canister_id,
                chunk: serde_bytes::Bytes::new(chunk),
            };
            let reply = self.call(canister_id, "upload_chunk", encode(upload)?);
            let stored = Decode!(&reply.await?, ChunkHash);
            let stored = stored.map_err(|_| DeployError::Reply("upload_chunk"))?;
            if stored.hash.as_slice() != module_hash(chunk) {
                return Err(DeployError::Reply("upload_chunk"));
            }
            chunk_hashes_list.push(stored);
        }
        let install = InstallChunked {
            mode,
            target_canister: canister_id,
            chunk_hashes_list,
            wasm_module_hash: ByteBuf::from(module_hash(module)),
            arg: ByteBuf::from(argument),
        };
        self.call(canister_id, "install_chunked_code", encode(install)?)
            .await?;
        self.clear_chunks(canister_id).await
    }

    async fn clear_chunks(&self, canister_id: Principal) -> Result<(), DeployError> {
        let argument = encode(CanisterId { canister_id })?;
        self.call(canister_id, "clear_chunk_store", argument)
            .await?;
        Ok(())
    }

    /// Sets who may change a canister.
    pub async fn set_controllers(
        &self,
        canister_id: Principal,
        controllers: &[Principal],
    ) -> Result<(), DeployError> {
        let update = UpdateSettings {
            canister_id,
            settings: Settings {
                controllers: controllers.to_vec(),
            },
        };
        self.call(canister_id, "update_settings", encode(update)?)
            .await?;
        Ok(())
    }

    async fn call(
        &self,
        about: Principal,
        method: &'static str,
        argument: Vec<u8>,
    ) -> Result<Vec<u8>, DeployError> {
        let call = self.0.update(&Principal::management_canister(), method);
        call.with_effective_canister_id(about)
            .with_arg(argument)
            .call_and_wait()
            .await
            .map_err(DeployError::agent(method))
    }
}

fn encode(argument: impl CandidType) -> Result<Vec<u8>, DeployError> {
    encode_one(argument).map_err(|_| DeployError::Reply("an argument that does not encode"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ic_agent::Identity;
    use ic_agent::identity::BasicIdentity;
    use paigham_modules::DIRECTORY;
    use paigham_subnet::{MemoryJournal, Subnet, SystemClock};

    use super::*;

    /// A module larger than a call goes in chunks, as a first one and as an upgrade.
    #[tokio::test]
    async fn a_large_module_goes_in_chunks() {
        let journal = Box::new(MemoryJournal::default());
        let subnet = Subnet::open_with(journal, Arc::new(SystemClock), [1; 32]).unwrap();
        let identity = BasicIdentity::from_raw_key(&[5; 32]);
        let creators = vec![identity.sender().unwrap()];
        assert!(subnet.set_creators(creators).await.unwrap());
        let agent = Agent::builder()
            .with_url("http://subnet.invalid")
            .with_arc_http_middleware(subnet.in_process())
            .with_identity(identity)
            .build()
            .unwrap();
        agent.set_root_key(subnet.root_key_der());
        let management = Management(&agent);
        let place = Place::Anywhere(Principal::management_canister());
        let canister = management.create(place).await.unwrap();
        // A custom section of 2 MiB: id, its length in LEB128, an empty name.
        let padding = [&[0, 0x81, 0x80, 0x80, 0x01, 0][..], &vec![7; 2 << 20]].concat();
        let module = [DIRECTORY, &padding].concat();
        for mode in [Mode::Install, Mode::Upgrade] {
            management
                .install(canister, mode, &module, &[])
                .await
                .unwrap();
            let runs = agent.read_state_canister_module_hash(canister).await;
            assert_eq!(runs.unwrap(), module_hash(&module));
        }
    }
}
