//! What a reviewer's check may end with.

use std::io;
use std::path::PathBuf;

use paigham_lookup::{Finding, LookupError};
use paigham_transparency::auditor::AuditError;
use paigham_transparency::codec::{DecodeError, TooLong};
use paigham_wire::directory::DirectoryError;
use paigham_wire::network::NetworkError;

use crate::error::{ClientError, ErrorKind};

/// Why a file or a log was not accepted, or why the work could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is of another kind.
    #[error("this is no {0}")]
    OtherKind(&'static str),
    /// The file ends within a record: its writer was interrupted. Fetching goes on before it.
    #[error("the file ends within the record at byte {at}")]
    Torn {
        /// Where the record begins.
        at: u64,
    },
    /// The bytes are no such structure.
    #[error("the record at byte {at} is malformed: {source}")]
    Malformed {
        /// Where it begins.
        at: u64,
        /// Why.
        source: DecodeError,
    },
    /// The file is that of another log than was named.
    #[error("the file is an audit of another log than this network's")]
    OtherLog,
    /// An entry breaks the rules of the log.
    #[error("entry {position}: {source}")]
    Entry {
        /// Which.
        position: u64,
        /// Why.
        source: AuditError,
    },
    /// A checkpoint names another size than that of the entries before it.
    #[error("a checkpoint says {said} entries where there are {entries}")]
    CheckpointSize {
        /// What it says.
        said: u64,
        /// What there are.
        entries: u64,
    },
    /// A head was signed over another root than the entries lead to: the log shows auditors
    /// something else than readers.
    #[error("the signed head of {size} entries has another root than the entries lead to")]
    OtherRoot {
        /// Number of entries.
        size: u64,
    },
    /// A head's signature does not hold.
    #[error("the signature over the head of {size} entries does not hold")]
    HeadSignature {
        /// Number of entries.
        size: u64,
    },
    /// The log has fewer entries than were audited.
    #[error("the log shows {shown} entries after it showed {known}")]
    Fewer {
        /// Before.
        known: u64,
        /// Now.
        shown: u64,
    },
    /// The auditor has signed another root for this size: the log was forked.
    #[error("this auditor has signed another root for {size} entries: the log was forked")]
    SignedOtherwise {
        /// Number of entries.
        size: u64,
    },
    /// The auditor has signed more than this file holds, so nothing can be said of what is between.
    #[error("this auditor has signed {signed} entries, and the file holds {entries}")]
    BehindSigned {
        /// Newest size signed.
        signed: u64,
        /// Entries in the file.
        entries: u64,
    },
    /// There is no entry to sign.
    #[error("the file holds no entry")]
    Empty,
    /// The auditor's key or list of statements cannot be used.
    #[error("the auditor's {0} cannot be used")]
    AuditorFile(&'static str),
    /// What a saved look-up shows does not hold.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The network file within it does not hold.
    #[error(transparent)]
    NetworkFile(#[from] NetworkError),
    /// The saved file was made under another network file than the one named.
    #[error("the file was saved under another network file than the one named")]
    OtherNetwork,
    /// Fewer auditors vouch for the head than the network asks for.
    #[error("{vouching} of the {required} auditors that the network asks for vouch for this log")]
    NotAudited {
        /// So many do.
        vouching: usize,
        /// So many are asked for.
        required: usize,
    },
    /// An evidence file does not prove what it says.
    #[error("the file does not prove what it says: {0}")]
    NothingProved(Finding),
    /// The network file names no auditors.
    #[error("the network file names no auditors")]
    NoAuditors,
    /// The directory does not take an auditor's statement.
    #[error("the directory did not take the statement: {0}")]
    NotTaken(DirectoryError),
    /// The network file names no log.
    #[error("the network file names no transparency log")]
    NoLog,
    /// Asking the network failed.
    #[error(transparent)]
    Network(#[from] ClientError),
    /// Something is too long to be written.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

impl ReviewError {
    /// Whose turn it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::File { .. } | Self::Torn { .. } => ErrorKind::Storage,
            Self::OtherKind(_)
            | Self::OtherLog
            | Self::OtherNetwork
            | Self::BehindSigned { .. }
            | Self::Empty
            | Self::NoLog
            | Self::NoAuditors
            | Self::NotTaken(_)
            | Self::AuditorFile(_) => ErrorKind::User,
            Self::Malformed { .. }
            | Self::Entry { .. }
            | Self::CheckpointSize { .. }
            | Self::OtherRoot { .. }
            | Self::HeadSignature { .. }
            | Self::Fewer { .. }
            | Self::SignedOtherwise { .. }
            | Self::NotAudited { .. }
            | Self::NothingProved(_)
            | Self::Lookup(_)
            | Self::NetworkFile(_) => ErrorKind::NotVerified,
            Self::Network(error) => error.kind(),
            Self::TooLong(_) => ErrorKind::Internal,
        }
    }

    /// What helps.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Torn { .. } => "`paigham audit resume` goes on where the file ends",
            Self::Entry { .. } | Self::OtherRoot { .. } | Self::SignedOtherwise { .. } => {
                "keep the file: it shows what the log's operator did"
            }
            Self::HeadSignature { .. } => "whoever gave the file may have changed it",
            Self::BehindSigned { .. } => "fetch the rest of the log first",
            Self::NoLog => "use the file of a network that has one",
            Self::NotAudited { .. } => "ask the auditors, or go on without --require-auditors",
            Self::NothingProved(_) => "what it does prove, and what not, stands above",
            Self::NoAuditors => "there is nobody to require; go on without --require-auditors",
            Self::NotTaken(DirectoryError::NotAllowed) => {
                "the newest network file in the log must name this auditor's key, and the file must \
                 be an audit of this log"
            }
            Self::NotTaken(DirectoryError::DoesNotFit) => {
                "the directory has a newer statement of this auditor, or a shorter log"
            }
            _ => "",
        }
    }
}
