//! The chunk store: modules that are larger than one message come in pieces.

use candid::Principal;
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};

use super::types::{CanisterArgument, ChunkHash, InstallChunkedArgument, UploadChunkArgument};
use super::{decode, encode};
use crate::execution::Reject;
use crate::prep::MODULE_MAX_BYTES;
use crate::state::State;

/// Largest chunk in bytes.
const CHUNK_MAX_BYTES: usize = 1024 * 1024;
/// Most chunks of a canister: a module of the largest size.
const CHUNKS_MAX: usize = 100;

type Reply = Result<Vec<u8>, Reject>;

impl State {
    pub(super) fn upload_chunk(&mut self, caller: &Principal, argument: &[u8]) -> Reply {
        let (argument,): (UploadChunkArgument,) = decode(argument)?;
        let canister = self.own(&argument.canister_id, caller)?;
        if argument.chunk.len() > CHUNK_MAX_BYTES {
            return Err(Reject::failed("IC0408", "a chunk over 1 MiB"));
        }
        let hash = <[u8; 32]>::from(Sha256::digest(&argument.chunk));
        if canister.chunks.len() >= CHUNKS_MAX && !canister.chunks.contains_key(&hash) {
            return Err(Reject::failed("IC0402", "the chunk store is full"));
        }
        canister.chunks.insert(hash, argument.chunk.into_vec());
        let hash = ByteBuf::from(hash);
        encode((ChunkHash { hash },))
    }

    pub(super) fn stored_chunks(&mut self, caller: &Principal, argument: &[u8]) -> Reply {
        let (argument,): (CanisterArgument,) = decode(argument)?;
        let canister = self.own(&argument.canister_id, caller)?;
        let hashes = canister.chunks.keys().map(|hash| ChunkHash {
            hash: ByteBuf::from(*hash),
        });
        encode((hashes.collect::<Vec<_>>(),))
    }

    pub(super) fn clear_chunk_store(&mut self, caller: &Principal, argument: &[u8]) -> Reply {
        let (argument,): (CanisterArgument,) = decode(argument)?;
        let canister = self.own(&argument.canister_id, caller)?;
        canister.chunks.clear();
        encode(())
    }

    pub(super) fn install_chunked_code(&mut self, caller: &Principal, argument: &[u8]) -> Reply {
        let (argument,): (InstallChunkedArgument,) = decode(argument)?;
        let target = argument.target_canister;
        self.controlled(&target, caller)?;
        let module = self.assemble(caller, &argument)?;
        self.change_code(
            &target,
            argument.mode,
            &module,
            argument.arg.into_vec(),
            caller,
        )?;
        encode(())
    }

    /// The module that chunks make, if it is the one that was announced.
    fn assemble(
        &mut self,
        caller: &Principal,
        argument: &InstallChunkedArgument,
    ) -> Result<Vec<u8>, Reject> {
        let store = argument.store_canister.unwrap_or(argument.target_canister);
        let store = self.own(&store, caller)?;
        let mut module = Vec::new();
        for ChunkHash { hash } in &argument.chunk_hashes_list {
            let hash = <[u8; 32]>::try_from(hash.as_slice()).ok();
            let Some(chunk) = hash.and_then(|hash| store.chunks.get(&hash)) else {
                return Err(Reject::failed("IC0408", "a chunk that is not in the store"));
            };
            if module.len() + chunk.len() > MODULE_MAX_BYTES {
                return Err(Reject::failed("IC0505", "chunks beyond 100 MiB"));
            }
            module.extend_from_slice(chunk);
        }
        if Sha256::digest(&module)[..] != argument.wasm_module_hash[..] {
            let text = "the chunks do not make the announced module";
            return Err(Reject::failed("IC0505", text));
        }
        Ok(module)
    }
}
