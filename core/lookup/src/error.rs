//! What is wrong with a reply.

use paigham_transparency::verifier::VerifyError;
use paigham_wire::canister_signature::SignatureError;
use paigham_wire::identity::Rejected;
use paigham_wire::identity::handle::HandleRejected;

/// Why a reply does not count. What the caller keeps stays as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The network file does not name a log that can be checked here.
    #[error("the network's log cannot be checked: {0}")]
    Trust(&'static str),
    /// The reply has not the form that was asked for.
    #[error("the reply is not what was asked for: {0}")]
    Form(&'static str),
    /// The signature over the head is none of the network's directory.
    #[error("the signature over the log's head does not hold: {0}")]
    Head(#[from] SignatureError),
    /// The signature is the directory's, but over another head than the one known.
    #[error("the log's newest head is another one than the reply says")]
    OtherHead,
    /// The proof does not hold.
    #[error("the log's proof does not hold: {0}")]
    Log(#[from] VerifyError),
    /// A version that counts by time came without the proof of its place, or another one with it.
    #[error("version {version}: the proof of its place is missing, or is not wanted")]
    Places {
        /// The version.
        version: u32,
    },
    /// More versions than a client keeps.
    #[error("the label has more than {0} versions")]
    TooMany(usize),
    /// The log has fewer versions than were seen before.
    #[error("the log shows {shown} versions of the label after it showed {known}")]
    Fewer {
        /// Versions seen before.
        known: u32,
        /// Versions shown now.
        shown: u32,
    },
    /// A version is another one than was seen before.
    #[error("version {version} is another one than was seen before")]
    Changed {
        /// The version.
        version: u32,
    },
    /// A version came with the answer, and the log does not show it: the one that follows names
    /// another. Whoever carried the answer may have changed it.
    #[error("version {version} is not the one that the next version names")]
    Unlinked {
        /// The version.
        version: u32,
    },
    /// A version is in the log and is no record.
    #[error("version {version} is no record of its label")]
    NoRecord {
        /// The version.
        version: u32,
    },
    /// A version is in the log and must not be: it breaks the rules of `spec/identity.md`.
    #[error("version {version} breaks the rules of identity records: {reason}")]
    Rule {
        /// The version.
        version: u32,
        /// Which.
        reason: Rejected,
    },
    /// A version of a handle is in the log and must not be: it breaks the rules of
    /// `spec/handles.md`.
    #[error("version {version} breaks the rules of handles: {reason}")]
    HandleRule {
        /// The version.
        version: u32,
        /// Which.
        reason: HandleRejected,
    },
    /// A network file that came with the answer does not follow the one before it.
    #[error("the network files in the log do not follow one another")]
    NetworkRule,
    /// The record that makes the label is that of another account.
    #[error("the records are those of another account")]
    OtherAccount,
}
