//! Requests to the transparency log in the directory, and its replies (`spec/directory.md`).
//!
//! The bytes of the draft's own structures (`spec/transparency.md`) travel in here as they are; this
//! module knows neither tree nor proof.
//!
//! One request may ask several things. Its first answer continues from the head that the asker
//! names (`last`); every later proof of the same reply is made for the newest head, so that its own
//! head is `same` and the whole reply is under **one** head.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use crate::hash::{Hash, blake3_labelled, label, sha256};
use crate::relay::Credential;
use crate::ticket::{Paid, Purpose};

/// Prefix of the label of an account; its 16 bytes follow.
pub const ACCOUNT_PREFIX: &[u8; 2] = b"a:";
/// Prefix of the label of a handle; its skeleton follows.
pub const HANDLE_PREFIX: &[u8; 2] = b"u:";
/// Prefix of the label of a network; its 16 bytes follow.
pub const NETWORK_PREFIX: &[u8; 2] = b"n:";
/// Most labels of one look-up.
pub const LOOKUP_MAX_LABELS: usize = 32;
/// Most requests of one [`MonitorRequest`].
pub const MONITOR_MAX_REQUESTS: usize = 32;
/// Bytes of one reply; a query reply may have 3 MiB.
pub const REPLY_MAX_BYTES: usize = 2 * 1024 * 1024;

/// What is to be logged.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum Submission {
    /// An encoded identity record (`spec/identity.md`).
    #[tls_codec(discriminant = 1)]
    Identity(VLBytes),
    /// An encoded handle record.
    #[tls_codec(discriminant = 2)]
    Handle(VLBytes),
    /// A published network file.
    #[tls_codec(discriminant = 3)]
    Network(VLBytes),
}

/// `submit`: the next version of a label. The same bytes again get the reply of the first time.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Submit {
    /// What.
    pub submission: Submission,
    /// A ticket, for what costs one: see [`Submission::always_costs`]; of the rest each version of a
    /// label beyond [`FREE_VERSIONS`] of a day.
    pub credential: Credential,
}

impl Submission {
    /// The bytes that the log is to keep.
    #[must_use]
    pub const fn value(&self) -> &VLBytes {
        match self {
            Self::Identity(bytes) | Self::Handle(bytes) | Self::Network(bytes) => bytes,
        }
    }

    /// Whether it costs a ticket whatever is logged: the first version of an account does, and every
    /// record of a handle, as an unpaid one would tell those who guess handles which exist. A
    /// network's files are signed by its release keys.
    #[must_use]
    pub const fn always_costs(&self, version: u32) -> bool {
        match self {
            Self::Identity(_) => version == 0,
            Self::Handle(_) => true,
            Self::Network(_) => false,
        }
    }

    /// What [`Status`] calls it.
    #[must_use]
    pub fn value_hash(&self) -> Hash {
        sha256(self.value().as_slice())
    }
}

impl Paid for Submit {
    const PURPOSE: Purpose = Purpose::Register;

    fn credential_mut(&mut self) -> &mut Credential {
        &mut self.credential
    }
}

/// Versions of one label that cost nothing within [`FREE_SPAN_MS`].
pub const FREE_VERSIONS: u32 = 8;
/// A day in milliseconds: in it, by the times of entries, the free versions of a label are counted.
pub const FREE_SPAN_MS: u64 = 24 * 3_600 * 1_000;

/// `status`: how far a version of a label has come. A query, not certified. It is answered to who
/// has what was submitted; to others nothing is there, since asking costs no ticket.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Status {
    /// The label.
    pub label: VLBytes,
    /// The version.
    pub version: u32,
    /// SHA-256 of the record or file.
    pub value_hash: Hash,
}

/// How far a submission has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum Submitted {
    /// Accepted; it waits for the next entry.
    #[tls_codec(discriminant = 1)]
    Queued,
    /// It is in the log.
    #[tls_codec(discriminant = 2)]
    Published {
        /// The entry.
        position: u64,
        /// Its timestamp, milliseconds since 1970.
        timestamp: u64,
    },
}

/// Reply of `submit` and of `status`. A hint: what counts is what a look-up proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SubmitState {
    /// Version of the label.
    pub version: u32,
    /// How far it is.
    pub state: Submitted,
}

/// One label of a look-up.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Wanted {
    /// The label.
    pub label: VLBytes,
    /// Versions below this one are known to the asker and left out of the history.
    pub from: u32,
    /// A ticket of purpose [`Purpose::LookUp`].
    pub credential: Credential,
}

impl Paid for Wanted {
    const PURPOSE: Purpose = Purpose::LookUp;

    fn credential_mut(&mut self) -> &mut Credential {
        &mut self.credential
    }

    /// H("paigham/1 call"; label): whoever splits a look-up or asks again pays no more.
    fn call_hash(&self) -> Hash {
        blake3_labelled(label::CALL, &[self.label.as_slice()])
    }
}

/// `lookup`: the greatest version of some labels, each with the history that explains it.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Lookup {
    /// Size of the newest head that the asker knows.
    pub last: Option<u64>,
    /// At most [`LOOKUP_MAX_LABELS`]. More than one only together with a first answer that the
    /// asker takes into its view.
    pub wanted: Vec<Wanted>,
}

/// A version whose place in the log decides when it counts, with the proof of that place. No
/// fixed-version search: it ends at any entry where the version is the greatest, not at the one
/// that brought it (`spec/transparency.md` §9).
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct TimedVersion {
    /// Which.
    pub version: u32,
    /// Our `PlaceResponse` for this version.
    pub place: VLBytes,
}

/// A label that has a version.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct FoundLabel {
    /// The draft's `SearchResponse` for the greatest version.
    pub search: VLBytes,
    /// The values of all versions from `Wanted::from` up to the one before the greatest, ascending.
    pub earlier: Vec<VLBytes>,
    /// Proofs of place, ascending by version: of every version, from `Wanted::from` on, whose kind
    /// counts by time, and of the one that follows each (`spec/directory.md` §4).
    pub times: Vec<TimedVersion>,
}

/// What the log says of a label.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum LabelAnswer {
    /// It has no version: our `AbsentResponse`.
    #[tls_codec(discriminant = 1)]
    Absent(VLBytes),
    /// It has.
    #[tls_codec(discriminant = 2)]
    Found(FoundLabel),
}

/// Reply of `lookup`: one answer for each label, in the order asked for.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct LookupAnswers {
    /// The answers.
    pub answers: Vec<LabelAnswer>,
    /// Signature over the newest head, made now; empty where the first answer holds it.
    pub head: VLBytes,
}

/// One of the draft's requests about labels that are known already.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum Monitor {
    /// `ContactMonitorRequest`.
    #[tls_codec(discriminant = 1)]
    Contact(VLBytes),
    /// `OwnerInitRequest`.
    #[tls_codec(discriminant = 2)]
    OwnerInit(VLBytes),
    /// `OwnerMonitorRequest`.
    #[tls_codec(discriminant = 3)]
    Owner(VLBytes),
    /// `DistinguishedRequest`.
    #[tls_codec(discriminant = 4)]
    Distinguished(VLBytes),
    /// `UpdateRequest`: the proof of versions that were published.
    #[tls_codec(discriminant = 5)]
    Update(VLBytes),
}

/// `monitor`: some of the draft's requests. `last` of all but the first counts as the newest size,
/// whatever it says.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct MonitorRequest {
    /// At most [`MONITOR_MAX_REQUESTS`].
    pub requests: Vec<Monitor>,
}

/// Reply of `monitor`: the draft's responses, in the order asked for.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct MonitorAnswers {
    /// The responses.
    pub answers: Vec<VLBytes>,
    /// As in [`LookupAnswers`].
    pub head: VLBytes,
}

/// `audit`: what each entry added, from one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct AuditRequest {
    /// The first entry.
    pub from: u64,
    /// At most so many; the reply also ends where it is full.
    pub limit: u32,
}

/// Reply of `audit`.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct AuditReply {
    /// The draft's `AuditorUpdate` of each entry.
    pub updates: Vec<VLBytes>,
    /// Size of the newest head.
    pub size: u64,
    /// Root of the log at that size.
    pub root: [u8; 32],
    /// Signature over that head.
    pub head: VLBytes,
}

/// Reply of `config`: what the network file pins. A hint for whoever makes that file.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ConfigReply {
    /// The draft's `Configuration`.
    pub config: VLBytes,
}

/// `cosign`: an auditor's statement.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Cosign {
    /// Its Ed25519 key; one of those that the network file names.
    pub key: [u8; 32],
    /// The draft's `AuditorTreeHead`.
    pub head: VLBytes,
}

/// `cosignatures`: the newest statement of each auditor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct CosignaturesRequest {
    /// Number of entries of the head that the asker holds the statements against.
    pub size: u64,
}

/// An auditor's statement, and what connects it with a head.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Vouched {
    /// The statement.
    pub statement: Cosign,
    /// The log's proof (`spec/transparency.md` §9) that of the two sizes, the statement's and the
    /// one asked about, the log of the larger began with that of the smaller.
    pub consistency: VLBytes,
}

/// Reply of `cosignatures`.
#[derive(Debug, Clone, Default, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Cosignatures {
    /// Ascending by key.
    pub statements: Vec<Vouched>,
}
