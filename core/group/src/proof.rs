//! Which account a leaf belongs to: the proofs that a commit carries.

use paigham_lookup::account::now_ns;
use paigham_lookup::{LogTrust, LookupError, verify_account};
use paigham_wire::certificate::VerifiedCertificate;
use paigham_wire::chain::{record_next, record_start};
use paigham_wire::codec::decode;
use paigham_wire::directory::DatedRecord;
use paigham_wire::envelope::{DirectoryMapProof, LogProof, PROOF_DIRECTORY_MAP, PROOF_LOG, Proof};
use paigham_wire::hash::Hash;
use paigham_wire::identity::{AccountState, IdentityRecord};
use paigham_wire::ids::{AccountId, CanisterId, DeviceId, DirectoryKey};
use paigham_wire::leaf::{Leaf, RecordsLeaf};
use paigham_wire::log::LabelAnswer;
use paigham_wire::map::{Found, Witness};
use tls_codec::DeserializeBytes;

/// How much older than its commit a carried certificate may be.
pub const PROOF_MAX_AGE_NS: u64 = 10 * 60 * 1_000_000_000;
/// How far ahead of its commit it may lie.
pub const PROOF_MAX_AHEAD_NS: u64 = 2 * 60 * 1_000_000_000;

/// What a leaf says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafClaim {
    /// Whose.
    pub account: AccountId,
    /// Which device.
    pub device: DeviceId,
    /// Its leaf key.
    pub leaf_key: [u8; 32],
}

/// No proof shows the claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// There is none for the account.
    #[error("no proof for the account")]
    Missing,
    /// It does not decode, or is of a type that does not count here.
    #[error("malformed proof")]
    Malformed,
    /// The certificate does not hold, or is not of the commit's time.
    #[error("the proof's certificate does not hold at the commit's time")]
    Certificate,
    /// The log's answer does not hold.
    #[error(transparent)]
    Log(#[from] LookupError),
    /// Witness or chain do not lead to what is certified.
    #[error("the records are not those that are certified")]
    Records,
    /// The records do not follow from one another.
    #[error("the records break the rules of identity records")]
    Identity,
    /// The device is not among those that count.
    #[error("the device is not in the account's record")]
    Device,
}

/// Judges whether proofs show that a leaf is a device of its account at a time.
pub trait ProofJudge {
    /// # Errors
    /// [`ProofError`].
    fn authorises(
        &self,
        claim: &LeafClaim,
        proofs: &[Proof],
        accepted_at: u64,
    ) -> Result<(), ProofError>;
}

/// The judge of a network whose directory certifies records by its map (proof type 1).
#[derive(Debug, Clone)]
pub struct DirectoryMapJudge {
    /// Root key of the subnet, DER.
    pub root_key: Vec<u8>,
    /// The directory.
    pub directory: CanisterId,
}

impl ProofJudge for DirectoryMapJudge {
    fn authorises(
        &self,
        claim: &LeafClaim,
        proofs: &[Proof],
        accepted_at: u64,
    ) -> Result<(), ProofError> {
        let proof = find(proofs, &claim.account, directory_map)?;
        let certificate = VerifiedCertificate::verify(
            proof.certificate.as_slice(),
            &self.root_key,
            &self.directory,
        )
        .map_err(|_| ProofError::Certificate)?;
        check_age(certificate.time_ns(), accepted_at)?;
        let root = certificate
            .certified_data(&self.directory)
            .map_err(|_| ProofError::Certificate)?;
        let witness = Witness::decode(proof.witness.as_slice()).map_err(|_| ProofError::Records)?;
        let state = verify_records(&witness, &root, &proof.account, &proof.records)?
            .ok_or(ProofError::Device)?;
        check_device(&state, claim, accepted_at)
    }
}

/// The judge of a network whose directory keeps a transparency log (proof type 2).
///
/// The proof holds the head that it is about, so that its time is that of the head's certificate,
/// and what counts of the account is what counted at the head's newest entry: all members judge the
/// same bytes alike.
#[derive(Debug, Clone)]
pub struct LogJudge {
    /// Whose log it is.
    pub trust: LogTrust,
}

impl ProofJudge for LogJudge {
    fn authorises(
        &self,
        claim: &LeafClaim,
        proofs: &[Proof],
        accepted_at: u64,
    ) -> Result<(), ProofError> {
        let proof = find(proofs, &claim.account, log_proof)?;
        let answer = LabelAnswer::Found(proof.answer);
        let shown = verify_account(&self.trust, None, None, proof.account, &answer, &[])?;
        check_age(shown.certificate_time_ns, accepted_at)?;
        let history = shown.outcome.ok_or(ProofError::Device)?;
        check_device(history.state(), claim, now_ns(&shown.view))
    }
}

/// The proof's certificate is of the commit's time.
fn check_age(certified_ns: u64, accepted_at: u64) -> Result<(), ProofError> {
    let is_old = accepted_at.saturating_sub(certified_ns) > PROOF_MAX_AGE_NS;
    let is_ahead = certified_ns.saturating_sub(accepted_at) > PROOF_MAX_AHEAD_NS;
    if is_old || is_ahead {
        Err(ProofError::Certificate)
    } else {
        Ok(())
    }
}

/// The accounts that proofs are about, in their order; whether they hold is the judge's.
///
/// # Errors
/// [`ProofError::Malformed`].
pub(crate) fn proved_accounts(proofs: &[Proof]) -> Result<Vec<AccountId>, ProofError> {
    let account = |proof: &Proof| match proof.proof_type {
        PROOF_LOG => Ok(log_proof(proof)?.0),
        _ => Ok(directory_map(proof)?.0),
    };
    proofs.iter().map(account).collect()
}

fn directory_map(proof: &Proof) -> Result<(AccountId, DirectoryMapProof), ProofError> {
    let proof: DirectoryMapProof = read(proof, PROOF_DIRECTORY_MAP)?;
    Ok((proof.account, proof))
}

fn log_proof(proof: &Proof) -> Result<(AccountId, LogProof), ProofError> {
    let proof: LogProof = read(proof, PROOF_LOG)?;
    Ok((proof.account, proof))
}

fn read<T: DeserializeBytes>(proof: &Proof, proof_type: u16) -> Result<T, ProofError> {
    if proof.proof_type != proof_type {
        return Err(ProofError::Malformed);
    }
    decode(proof.data.as_slice()).map_err(|_| ProofError::Malformed)
}

fn find<T>(
    proofs: &[Proof],
    account: &AccountId,
    read: impl Fn(&Proof) -> Result<(AccountId, T), ProofError>,
) -> Result<T, ProofError> {
    for proof in proofs {
        let (of, decoded) = read(proof)?;
        if of == *account {
            return Ok(decoded);
        }
    }
    Err(ProofError::Missing)
}

/// Checks that a witness under `root` certifies exactly these records, and that they follow from
/// one another. `None` for an account that is certified to have no records.
///
/// # Errors
/// [`ProofError::Records`], [`ProofError::Identity`].
pub fn verify_records(
    witness: &Witness,
    root: &Hash,
    account: &AccountId,
    records: &[DatedRecord],
) -> Result<Option<AccountState>, ProofError> {
    if witness.root() != *root {
        return Err(ProofError::Records);
    }
    let log_label = account.directory_label();
    let found = witness
        .get(&DirectoryKey::of_label(&log_label).0)
        .map_err(|_| ProofError::Records)?;
    let Found::Present(leaf) = found else {
        return if records.is_empty() {
            Ok(None)
        } else {
            Err(ProofError::Records)
        };
    };
    let Ok(Leaf::Records(leaf)) = decode(leaf) else {
        return Err(ProofError::Records);
    };
    let decoded = follow(&log_label, &leaf, records)?;
    let state = AccountState::from_records(&decoded).map_err(|_| ProofError::Identity)?;
    if state.account() == *account {
        Ok(Some(state))
    } else {
        Err(ProofError::Identity)
    }
}

fn follow(
    log_label: &[u8],
    leaf: &RecordsLeaf,
    records: &[DatedRecord],
) -> Result<Vec<(u64, IdentityRecord)>, ProofError> {
    let mut head = record_start(log_label);
    let mut decoded = Vec::with_capacity(records.len());
    for (version, dated) in (0u32..).zip(records) {
        let record =
            IdentityRecord::decode(dated.record.as_slice()).map_err(|_| ProofError::Identity)?;
        head = record_next(&head, version, dated.accepted_at, &record.hash());
        decoded.push((dated.accepted_at, record));
    }
    let complete = u32::try_from(records.len()).is_ok_and(|count| count == leaf.count);
    if complete && head == leaf.head {
        Ok(decoded)
    } else {
        Err(ProofError::Records)
    }
}

/// Whether a claim is that of a device that counts at a time.
///
/// # Errors
/// [`ProofError::Device`].
pub fn check_device(state: &AccountState, claim: &LeafClaim, at: u64) -> Result<(), ProofError> {
    let device = state
        .device_at(&claim.device, at)
        .filter(|_| !state.is_deleted(at));
    match device {
        Some(entry) if entry.leaf_key == claim.leaf_key && state.account() == claim.account => {
            Ok(())
        }
        _ => Err(ProofError::Device),
    }
}
