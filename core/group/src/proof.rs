//! Which account a leaf belongs to: the proofs that a commit carries.

use paigham_lookup::account::now_ns;
use paigham_lookup::{AccountHistory, LogTrust, LookedUp, LookupError, verify_account};
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
    /// It does not decode, or is of a type that does not count here.
    #[error("malformed proof")]
    Malformed,
    /// The certificate does not hold, or is not of the commit's time.
    #[error("the proof's certificate does not hold at the commit's time")]
    Certificate,
    /// The log does not show what the proof says.
    #[error("the log does not show the account's records: {0}")]
    Log(LookupError),
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

/// An account as a proof showed it. Whoever accepts a leaf by it keeps the history and watches the
/// version, and compares the view with its own.
pub type ShownAccount = LookedUp<AccountHistory>;

/// Judges whether a proof shows that leaves are devices of its account at a time.
pub trait ProofJudge {
    /// Judges the proof about one account of which leaves are added. What it shows is given back
    /// where it comes from the transparency log.
    ///
    /// # Errors
    /// [`ProofError`].
    fn authorises(
        &self,
        claims: &[LeafClaim],
        proof: &Proof,
        accepted_at: u64,
    ) -> Result<Option<ShownAccount>, ProofError>;
}

/// The judge of a network with a transparency log (proof type 2).
///
/// # Security
/// What it says depends on the proof and on `accepted_at` alone: the account is judged at the time
/// of the newest entry of the head in the proof, and that head's certificate lies close to the
/// commit. So all members say the same, whenever they read it.
#[derive(Debug, Clone)]
pub struct LogJudge {
    /// Whose log.
    pub trust: LogTrust,
}

impl ProofJudge for LogJudge {
    fn authorises(
        &self,
        claims: &[LeafClaim],
        proof: &Proof,
        accepted_at: u64,
    ) -> Result<Option<ShownAccount>, ProofError> {
        let proof = log_proof(proof)?;
        let answer = LabelAnswer::Found(proof.answer);
        let shown = verify_account(&self.trust, None, None, proof.account, &answer, &[])
            .map_err(ProofError::Log)?;
        check_time(shown.certificate_time_ns, accepted_at)?;
        let history = shown.outcome.ok_or(ProofError::Device)?;
        let now = now_ns(&shown.view);
        for claim in claims {
            check_device(history.state(), claim, now)?;
        }
        Ok(Some(LookedUp {
            view: shown.view,
            outcome: history,
            certificate_time_ns: shown.certificate_time_ns,
            head: shown.head,
            watch: shown.watch,
        }))
    }
}

/// Whether a certificate is of a commit's time.
const fn check_time(time: u64, accepted_at: u64) -> Result<(), ProofError> {
    if accepted_at.saturating_sub(time) > PROOF_MAX_AGE_NS
        || time.saturating_sub(accepted_at) > PROOF_MAX_AHEAD_NS
    {
        return Err(ProofError::Certificate);
    }
    Ok(())
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
        claims: &[LeafClaim],
        proof: &Proof,
        accepted_at: u64,
    ) -> Result<Option<ShownAccount>, ProofError> {
        let proof = directory_map(proof)?;
        let certificate = VerifiedCertificate::verify(
            proof.certificate.as_slice(),
            &self.root_key,
            &self.directory,
        )
        .map_err(|_| ProofError::Certificate)?;
        check_time(certificate.time_ns(), accepted_at)?;
        let root = certificate
            .certified_data(&self.directory)
            .map_err(|_| ProofError::Certificate)?;
        let witness = Witness::decode(proof.witness.as_slice()).map_err(|_| ProofError::Records)?;
        let state = verify_records(&witness, &root, &proof.account, &proof.records)?
            .ok_or(ProofError::Device)?;
        for claim in claims {
            check_device(&state, claim, accepted_at)?;
        }
        Ok(None)
    }
}

/// The account that a proof is about; whether it holds is the judge's.
///
/// # Errors
/// [`ProofError::Malformed`].
pub(crate) fn proved_account(proof: &Proof) -> Result<AccountId, ProofError> {
    match proof.proof_type {
        PROOF_LOG => Ok(log_proof(proof)?.account),
        _ => Ok(directory_map(proof)?.account),
    }
}

fn log_proof(proof: &Proof) -> Result<LogProof, ProofError> {
    if proof.proof_type != PROOF_LOG {
        return Err(ProofError::Malformed);
    }
    decode(proof.data.as_slice()).map_err(|_| ProofError::Malformed)
}

fn directory_map(proof: &Proof) -> Result<DirectoryMapProof, ProofError> {
    if proof.proof_type != PROOF_DIRECTORY_MAP {
        return Err(ProofError::Malformed);
    }
    decode(proof.data.as_slice()).map_err(|_| ProofError::Malformed)
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
