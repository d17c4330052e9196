//! Statements of auditors, kept for whoever wants them. A look-up never depends on one.

use ed25519_dalek::{Signature, VerifyingKey};
use ic_stable_structures::Memory;
use paigham_transparency::codec::Codec;
use paigham_transparency::log_tree;
use paigham_transparency::store::Store;
use paigham_transparency::structs::{AuditorTreeHead, AuditorTreeHeadTbs};
use paigham_wire::codec::{decode, encode};
use paigham_wire::directory::DirectoryError;
use paigham_wire::hash::Hash;
use paigham_wire::log::{Cosign, Cosignatures};
use paigham_wire::network::VerifiedNetwork;

use crate::directory::Directory;

/// Largest statement in bytes: two numbers and a signature, with room.
const STATEMENT_MAX_BYTES: usize = 256;

impl<M: Memory> Directory<M> {
    /// Keeps the statement of an auditor in place of its earlier one.
    ///
    /// # Errors
    /// [`DirectoryError::NotAllowed`] for a key that the newest network file in the log does not
    /// name, or a signature that does not hold over this log; [`DirectoryError::DoesNotFit`] for a
    /// size that the log does not have, or one before that of the auditor's last statement.
    pub fn cosign(&mut self, request: &[u8]) -> Result<(), DirectoryError> {
        if request.len() > STATEMENT_MAX_BYTES {
            return Err(DirectoryError::TooLarge);
        }
        let cosign: Cosign = decode(request).map_err(|_| DirectoryError::Malformed)?;
        let head = head_of(&cosign).ok_or(DirectoryError::Malformed)?;
        let earlier = self.statement_of(&cosign.key);
        let earlier = earlier.and_then(|earlier| head_of(&earlier));
        if earlier.is_some_and(|earlier| earlier.tree_size > head.tree_size) {
            return Err(DirectoryError::DoesNotFit);
        }
        if !self.is_auditor(&cosign.key)? {
            return Err(DirectoryError::NotAllowed);
        }
        let message = self.what_auditors_sign(head.tree_size)?;
        if !is_signed(&cosign.key, &message, &head) {
            return Err(DirectoryError::NotAllowed);
        }
        self.cosignatures.insert(cosign.key, encode(&cosign));
        Ok(())
    }

    /// The newest statement of each auditor.
    #[must_use]
    pub fn cosignatures(&self) -> Cosignatures {
        let stored = self.cosignatures.values();
        Cosignatures {
            statements: stored.filter_map(|bytes| decode(&bytes).ok()).collect(),
        }
    }

    fn statement_of(&self, key: &Hash) -> Option<Cosign> {
        decode(&self.cosignatures.get(key)?).ok()
    }

    fn is_auditor(&self, key: &Hash) -> Result<bool, DirectoryError> {
        let label = self.log.first_label().ok_or(DirectoryError::NotReady)?;
        let newest = self.log.version_count(&label).saturating_sub(1);
        let file = self.log.value(&label, newest);
        let file = file.ok_or(DirectoryError::Damaged)?;
        let network = VerifiedNetwork::pinned(&file).map_err(|_| DirectoryError::Damaged)?;
        let auditors = network.file().auditors.as_ref();
        Ok(auditors.is_some_and(|set| set.keys.iter().any(|named| **named == *key)))
    }

    /// This log at a size, as an auditor that followed it sees it.
    fn what_auditors_sign(&self, tree_size: u64) -> Result<AuditorTreeHeadTbs, DirectoryError> {
        let newest = tree_size
            .checked_sub(1)
            .and_then(|position| self.log.entry(position))
            .ok_or(DirectoryError::DoesNotFit)?;
        Ok(AuditorTreeHeadTbs {
            config: self.configuration().ok_or(DirectoryError::NotReady)?,
            timestamp: newest.timestamp,
            tree_size,
            root: log_tree::root(&self.log, tree_size).ok_or(DirectoryError::Damaged)?,
        })
    }
}

fn head_of(cosign: &Cosign) -> Option<AuditorTreeHead> {
    AuditorTreeHead::decode(cosign.head.as_slice()).ok()
}

fn is_signed(key: &Hash, message: &AuditorTreeHeadTbs, head: &AuditorTreeHead) -> bool {
    let key = VerifyingKey::from_bytes(key).ok();
    let signature = Signature::from_slice(&head.signature).ok();
    let bytes = message.encode().ok();
    head.timestamp == message.timestamp
        && key
            .zip(signature)
            .zip(bytes)
            .is_some_and(|((key, signature), bytes)| key.verify_strict(&bytes, &signature).is_ok())
}
