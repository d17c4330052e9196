//! Statements of auditors, kept for whoever wants them. A look-up never depends on one.

use ic_stable_structures::Memory;
use paigham_transparency::auditor::is_signed_by;
use paigham_transparency::codec::Codec;
use paigham_transparency::consistency::Consistency;
use paigham_transparency::log_tree;
use paigham_transparency::store::Store;
use paigham_transparency::structs::{AuditorTreeHead, AuditorTreeHeadTbs};
use paigham_wire::codec::{decode, encode};
use paigham_wire::directory::DirectoryError;
use paigham_wire::hash::Hash;
use paigham_wire::log::{Cosign, Cosignatures, CosignaturesRequest, Vouched};
use paigham_wire::network::{KeySet, VerifiedNetwork};

use crate::directory::Directory;

/// Largest statement in bytes: two numbers and a signature, with room.
const STATEMENT_MAX_BYTES: usize = 256;
/// Most statements of one reply: with proofs of at most 4 KiB each, far below what a query may have.
const STATEMENTS_MAX: usize = 256;

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
        if !is_signed_by(&cosign.key, &message, &head) {
            return Err(DirectoryError::NotAllowed);
        }
        self.cosignatures.insert(cosign.key, encode(&cosign));
        Ok(())
    }

    /// The newest statement of each auditor that the newest network file names, each with what
    /// connects it with the log at the size that is asked about; of the first `STATEMENTS_MAX`.
    ///
    /// # Errors
    /// [`DirectoryError::DoesNotFit`] for a size that the log does not have.
    pub fn cosignatures(&self, request: &[u8]) -> Result<Cosignatures, DirectoryError> {
        let CosignaturesRequest { size } =
            decode(request).map_err(|_| DirectoryError::Malformed)?;
        if size == 0 || size > self.log.tree_size() {
            return Err(DirectoryError::DoesNotFit);
        }
        let named = self.auditors()?;
        let keys = named.iter().flat_map(|set| &set.keys).take(STATEMENTS_MAX);
        let stored = keys.filter_map(|key| self.cosignatures.get(&**key));
        let statements = stored.map(|bytes| self.vouched(&bytes, size));
        Ok(Cosignatures {
            statements: statements.collect::<Result<_, _>>()?,
        })
    }

    fn vouched(&self, stored: &[u8], size: u64) -> Result<Vouched, DirectoryError> {
        let damaged = || DirectoryError::Damaged;
        let statement: Cosign = decode(stored).map_err(|_| damaged())?;
        let signed = head_of(&statement).ok_or_else(damaged)?.tree_size;
        let proof = Consistency::prove(&self.log, signed.min(size), signed.max(size));
        let proof = proof.ok_or_else(damaged)?.encode();
        Ok(Vouched {
            statement,
            consistency: proof.map_err(|_| damaged())?.into(),
        })
    }

    fn statement_of(&self, key: &Hash) -> Option<Cosign> {
        decode(&self.cosignatures.get(key)?).ok()
    }

    fn is_auditor(&self, key: &Hash) -> Result<bool, DirectoryError> {
        let auditors = self.auditors()?;
        Ok(auditors.is_some_and(|set| set.keys.iter().any(|named| **named == *key)))
    }

    /// The auditors that the newest network file in the log names.
    fn auditors(&self) -> Result<Option<KeySet>, DirectoryError> {
        let label = self.log.first_label().ok_or(DirectoryError::NotReady)?;
        let newest = self.log.version_count(&label).saturating_sub(1);
        let file = self.log.value(&label, newest);
        let file = file.ok_or(DirectoryError::Damaged)?;
        let network = VerifiedNetwork::pinned(&file).map_err(|_| DirectoryError::Damaged)?;
        Ok(network.file().auditors.clone())
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
