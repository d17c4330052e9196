//! Signatures over heads.

use paigham_transparency::structs::{Configuration, TreeHeadTbs};
use paigham_transparency::verifier::{TreeView, VerifyHead};
use paigham_wire::canister_signature::{CanisterSignature, HEAD_SEED, SignatureError};

use crate::error::LookupError;
use crate::trust::LogTrust;

/// Checks signatures of the network's directory over heads, whatever their age.
///
/// For tools that look at old heads, such as auditors. Whoever reads an answer uses
/// [`crate::Reading`], which gives the certified time too.
#[derive(Debug, Clone, Copy)]
pub struct CanisterHeads<'a> {
    /// Whose signatures.
    pub trust: &'a LogTrust,
}

impl VerifyHead for CanisterHeads<'_> {
    fn verify_head(&self, config: &Configuration, message: &[u8], signature: &[u8]) -> bool {
        HeadSignature::verify(self.trust, signature)
            .is_ok_and(|head| head.verify_head(config, message, signature))
    }
}

/// A signature whose certificate holds, and which signs some head.
#[derive(Debug, Clone)]
pub(crate) struct HeadSignature<'a> {
    trust: &'a LogTrust,
    bytes: Vec<u8>,
    signature: CanisterSignature,
}

impl<'a> HeadSignature<'a> {
    pub(crate) fn verify(trust: &'a LogTrust, bytes: &[u8]) -> Result<Self, SignatureError> {
        let signature = CanisterSignature::verify(bytes, trust.root_key(), trust.directory())?;
        Ok(Self {
            trust,
            bytes: bytes.to_vec(),
            signature,
        })
    }

    pub(crate) const fn time_ns(&self) -> u64 {
        self.signature.time_ns()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Whether it signs the head of a view.
    pub(crate) fn signs(&self, view: &TreeView) -> Result<bool, LookupError> {
        let head = TreeHeadTbs {
            config: self.trust.config().clone(),
            tree_size: view.size(),
            root: view.root(),
        };
        let message = head
            .signed_message()
            .map_err(|_| LookupError::Trust("the configuration cannot be signed"))?;
        Ok(self.signature.signs(HEAD_SEED, &message))
    }
}

impl VerifyHead for HeadSignature<'_> {
    fn verify_head(&self, config: &Configuration, message: &[u8], signature: &[u8]) -> bool {
        config == self.trust.config()
            && signature == self.bytes
            && self.signature.signs(HEAD_SEED, message)
    }
}
