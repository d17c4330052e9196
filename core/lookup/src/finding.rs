//! What is wrong, in the words that people and tools tell each other.

use paigham_transparency::Verdict;
use paigham_transparency::verifier::VerifyError;
use paigham_wire::canister_signature::SignatureError;
use paigham_wire::certificate::CertificateError;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::error::LookupError;

/// A verdict on what the log showed.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    TlsSize,
    TlsSerialize,
    TlsDeserializeBytes,
    thiserror::Error,
)]
#[repr(u8)]
pub enum Finding {
    /// Two heads that cannot be of one log.
    #[error("the log shows different people different histories")]
    Fork = 1,
    /// A head with fewer entries than one certified before.
    #[error("the log was rolled back")]
    Rollback = 2,
    /// The subnet certifies a log that has stood still.
    #[error("the log has stood still for too long")]
    StaleHead = 3,
    /// The newest entry lies in the future.
    #[error("the log's newest entry lies in the future")]
    FutureHead = 4,
    /// The reply is an old one.
    #[error("the reply is an old one")]
    StaleCertificate = 5,
    /// An entry holds a version that is not shown.
    #[error("the log hides a version")]
    HiddenVersion = 6,
    /// A version that must be there is not.
    #[error("a version is missing")]
    MissingVersion = 7,
    /// The log holds a record that must not be in it.
    #[error("the log holds a record that breaks the rules")]
    WrongAuthorisation = 8,
    /// One version with two values.
    #[error("one version was shown with two values")]
    TwoValues = 9,
    /// Signed by the subnet for another canister.
    #[error("the reply is that of another canister")]
    OtherCanister = 10,
    /// The signature over the head does not hold.
    #[error("the signature over the log's head does not hold")]
    BadSignature = 11,
    /// The times of entries go back.
    #[error("the log's time goes back")]
    TimeRegression = 12,
    /// The proof does not show what it should.
    #[error("the proof does not hold")]
    BadProof = 13,
    /// A device in the own record that its owner does not know.
    #[error("a device unknown to the owner is in its account")]
    UnknownDevice = 14,
    /// A version of the own label that its owner did not make.
    #[error("a version unknown to the owner is in the log")]
    UnknownVersion = 15,
    /// The release keys signed two files of one number.
    #[error("there are two network files of one number")]
    TwoNetworkFiles = 16,
    /// The network file that a client was given is not in its log.
    #[error("the network file is not in its log")]
    NetworkNotLogged = 17,
}

impl Finding {
    /// The finding behind an error; `None` where the own network file is at fault.
    #[must_use]
    pub const fn of(error: &LookupError) -> Option<Self> {
        Some(match error {
            LookupError::Trust(_) => return None,
            LookupError::Head(error) => of_signature(error),
            LookupError::OtherHead => Self::BadSignature,
            LookupError::Log(error) => return of_proof(error),
            LookupError::Fewer { .. } => Self::MissingVersion,
            LookupError::Changed { .. } => Self::TwoValues,
            LookupError::NoRecord { .. }
            | LookupError::Rule { .. }
            | LookupError::HandleRule { .. }
            | LookupError::OtherAccount => Self::WrongAuthorisation,
            LookupError::Form(_)
            | LookupError::Places { .. }
            | LookupError::TooMany(_)
            | LookupError::NetworkRule
            | LookupError::Unlinked { .. } => Self::BadProof,
        })
    }
}

const fn of_signature(error: &SignatureError) -> Finding {
    match error {
        SignatureError::Certificate(
            CertificateError::OtherCanister | CertificateError::OutOfRange,
        ) => Finding::OtherCanister,
        SignatureError::Malformed
        | SignatureError::NotCanonical
        | SignatureError::Certificate(_)
        | SignatureError::Tree => Finding::BadSignature,
    }
}

const fn of_proof(error: &VerifyError) -> Option<Finding> {
    Some(match error {
        VerifyError::Configuration(_) | VerifyError::State => return None,
        VerifyError::Fork | VerifyError::TwoRoots { .. } => Finding::Fork,
        VerifyError::Rollback { .. } => Finding::Rollback,
        VerifyError::Signature => Finding::BadSignature,
        VerifyError::Stale { .. } => Finding::StaleHead,
        VerifyError::Future { .. } => Finding::FutureHead,
        VerifyError::TimeRegression { .. } => Finding::TimeRegression,
        VerifyError::TwoValues { .. } => Finding::TwoValues,
        VerifyError::OwnerVersions => Finding::UnknownVersion,
        VerifyError::Verdict(verdict) => match verdict {
            Verdict::GreaterVersion { .. } | Verdict::LabelPresent { .. } => Finding::HiddenVersion,
            Verdict::MissingVersion { .. } | Verdict::VersionAbsent => Finding::MissingVersion,
            Verdict::EarlierEntry { .. }
            | Verdict::NotDistinguished { .. }
            | Verdict::VersionOutOfRange
            | Verdict::MapOrder => Finding::BadProof,
        },
        VerifyError::Malformed(_)
        | VerifyError::NoKnownHead
        | VerifyError::Size
        | VerifyError::PrefixProof { .. }
        | VerifyError::Count(_)
        | VerifyError::Commitment
        | VerifyError::Vrf { .. } => Finding::BadProof,
    })
}
