//! Which account a leaf belongs to: the proofs that a commit carries.

use paigham_lookup::account::now_ns;
use paigham_lookup::{AccountHistory, LogTrust, LookedUp, LookupError, verify_account};
use paigham_wire::codec::decode;
use paigham_wire::envelope::{LogProof, PROOF_LOG, Proof};
use paigham_wire::identity::AccountState;
use paigham_wire::ids::{AccountId, DeviceId};
use paigham_wire::log::{FoundLabel, LabelAnswer};

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
    /// The certificate is not of the commit's time.
    #[error("the proof's certificate is not of the commit's time")]
    Certificate,
    /// The log does not show what the proof says.
    #[error("the log does not show the account's records: {0}")]
    Log(LookupError),
    /// The device is not among those that count.
    #[error("the device is not in the account's record")]
    Device,
}

/// An account as a proof showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownAccount {
    /// What follows from it. Whoever accepts a leaf by it keeps the history and watches the version,
    /// and compares the view with its own.
    pub found: LookedUp<AccountHistory>,
    /// The answer that the proof holds: it stands alone, and shows the same to anybody.
    pub answer: FoundLabel,
}

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
        let answer = LabelAnswer::Found(proof.answer.clone());
        let shown = verify_account(&self.trust, None, None, proof.account, &answer, &[])
            .map_err(ProofError::Log)?;
        check_time(shown.certificate_time_ns, accepted_at)?;
        let history = shown.outcome.ok_or(ProofError::Device)?;
        let now = now_ns(&shown.view);
        for claim in claims {
            check_device(history.state(), claim, now)?;
        }
        let found = LookedUp {
            view: shown.view,
            outcome: history,
            certificate_time_ns: shown.certificate_time_ns,
            head: shown.head,
            watch: shown.watch,
        };
        Ok(Some(ShownAccount {
            found,
            answer: proof.answer,
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

/// The account that a proof is about; whether it holds is the judge's.
///
/// # Errors
/// [`ProofError::Malformed`].
pub(crate) fn proved_account(proof: &Proof) -> Result<AccountId, ProofError> {
    Ok(log_proof(proof)?.account)
}

fn log_proof(proof: &Proof) -> Result<LogProof, ProofError> {
    if proof.proof_type != PROOF_LOG {
        return Err(ProofError::Malformed);
    }
    decode(proof.data.as_slice()).map_err(|_| ProofError::Malformed)
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
