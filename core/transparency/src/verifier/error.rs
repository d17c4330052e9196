//! What is wrong with an answer.

use crate::algorithm::Verdict;
use crate::codec::DecodeError;
use crate::prefix_proof::PrefixProofError;
use crate::vrf::VrfError;

/// Why an answer does not count. The state from before stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The bytes are not the structure.
    #[error("malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// The configuration names what this verifier refuses: its own field, by name.
    #[error("the configuration's {0} is not supported")]
    Configuration(&'static str),
    /// The log answers for the head that it was asked about, and it was asked about none.
    #[error("the answer is about a head that was not named")]
    NoKnownHead,
    /// The head is not newer than the one that was seen: the log was rolled back.
    #[error("the log shows {shown} entries after it showed {known}")]
    Rollback {
        /// Entries seen before.
        known: u64,
        /// Entries shown now.
        shown: u64,
    },
    /// No log is that large, or it is empty.
    #[error("the log cannot have this size")]
    Size,
    /// What was seen before is not in this log: it was rewritten, or this is a fork.
    #[error("this log is not a continuation of the one seen before")]
    Fork,
    /// The signature does not hold over the head that the proof leads to.
    #[error("the head's signature does not hold")]
    Signature,
    /// The newest entry is too old: the log is frozen, or the answer is an old one.
    #[error("the newest entry is {behind} ms old")]
    Stale {
        /// Milliseconds before now.
        behind: u64,
    },
    /// The newest entry lies too far in the future.
    #[error("the newest entry lies {ahead} ms in the future")]
    Future {
        /// Milliseconds after now.
        ahead: u64,
    },
    /// An entry is older than one to its left.
    #[error("entry {position} is older than one before it")]
    TimeRegression {
        /// The entry.
        position: u64,
    },
    /// Two proofs show different prefix trees for one entry.
    #[error("entry {position} is shown with two prefix trees")]
    TwoRoots {
        /// The entry.
        position: u64,
    },
    /// Two answers showed one version of the label with two values.
    #[error("version {version} was shown with two values")]
    TwoValues {
        /// The version.
        version: u32,
    },
    /// A proof from a prefix tree is wrong in itself.
    #[error("the prefix proof of entry {position} is wrong: {reason}")]
    PrefixProof {
        /// The entry.
        position: u64,
        /// What is wrong.
        reason: PrefixProofError,
    },
    /// A list is shorter or longer than the algorithms ask for.
    #[error("{0}: fewer or more than expected")]
    Count(&'static str),
    /// A commitment is given where it must be computed, or lacks where one is needed.
    #[error("a commitment is given or missing against the rules")]
    Commitment,
    /// A VRF proof does not hold.
    #[error("version {version}: {reason}")]
    Vrf {
        /// The version whose place it should show.
        version: u32,
        /// What is wrong.
        reason: VrfError,
    },
    /// The algorithms find the log at fault.
    #[error(transparent)]
    Verdict(#[from] Verdict),
    /// The versions that an owner is shown contradict each other or what it knows.
    #[error("the versions shown to the owner contradict each other")]
    OwnerVersions,
    /// The state and the request do not belong together: the caller's mistake.
    #[error("the state does not belong to this request")]
    State,
}
