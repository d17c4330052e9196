//! Requests, replies and errors of the directory (`spec/protocol.md` §7); those to its log are in
//! [`crate::log`].

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use crate::admin::InitArgument;
use crate::hash::Hash;
use crate::identity::handle::HandleRejected;
use crate::ticket::TicketRefusal;
#[cfg(feature = "stable")]
use crate::ticket::desk::Unpaid;

/// The directory's argument at install: blob in Candid, this inside.
#[derive(Debug, Clone, PartialEq, Eq, Default, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct DirectoryArgument {
    /// What every canister is told.
    pub common: InitArgument,
    /// A release key of the network. Whoever has a first network file that names it as one may log
    /// that file; without one, only administrators and controllers may.
    pub release_key: Option<Hash>,
}

/// Reply of `beacon`: what a ticket of the directory needs.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct BeaconReply {
    /// The canister's certificate.
    pub certificate: VLBytes,
    /// Witness over [`crate::leaf::BeaconLeaf::key`].
    pub witness: VLBytes,
}

/// `ping`: comes back as it is. A certificate over the reply proves the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Ping {
    /// Random.
    pub nonce: [u8; 32],
}

/// Why the directory refused a call.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes, thiserror::Error,
)]
#[repr(u8)]
pub enum DirectoryError {
    /// The blob is not the method's request, or the record does not decode.
    #[error("malformed request")]
    #[tls_codec(discriminant = 1)]
    Malformed,
    /// More accounts or bytes than one reply holds.
    #[error("beyond a limit of the directory")]
    #[tls_codec(discriminant = 2)]
    TooLarge,
    /// The record does not follow from those before (`spec/identity.md`).
    #[error("the record does not follow from those before")]
    #[tls_codec(discriminant = 3)]
    Rejected,
    /// The account has no records, and this one is no create.
    #[error("no such account")]
    #[tls_codec(discriminant = 4)]
    NoSuchAccount,
    /// The account has as many records as the directory keeps, or as many without its kit's
    /// signature; or a new one has no room.
    #[error("the account has too many records")]
    #[tls_codec(discriminant = 5)]
    Full,
    /// The canister has no certificate at hand: the call was not a plain query.
    #[error("no certificate at hand")]
    #[tls_codec(discriminant = 6)]
    NoCertificate,
    /// There is no log yet: its keys have not been drawn, or the network file that begins it has
    /// not been logged. Ask again.
    #[error("the log is not ready yet")]
    #[tls_codec(discriminant = 7)]
    NotReady,
    /// Another version of the label waits to be published. Ask again after the next entry.
    #[error("another version of this label is waiting")]
    #[tls_codec(discriminant = 8)]
    Pending,
    /// As many versions wait as the directory holds. Ask again later.
    #[error("too many versions are waiting")]
    #[tls_codec(discriminant = 9)]
    Busy,
    /// The version neither waits nor is it in the log: it never came, or no longer followed when
    /// its turn came.
    #[error("no such version waits or is logged")]
    #[tls_codec(discriminant = 10)]
    NotWaiting,
    /// The request contradicts the log: a size, entry or version that it does not have.
    #[error("the request does not fit the log")]
    #[tls_codec(discriminant = 11)]
    DoesNotFit,
    /// A network file that this caller may not log, or that is not this directory's.
    #[error("not a network file that may be logged")]
    #[tls_codec(discriminant = 12)]
    NotAllowed,
    /// The call needs a ticket that counts.
    #[error("ticket: {0}")]
    #[tls_codec(discriminant = 13)]
    Ticket(TicketRefusal),
    /// The credential is of an unknown type or does not decode.
    #[error("the credential is none")]
    #[tls_codec(discriminant = 14)]
    Credential,
    /// The directory's own store lacks what it should have: a fault of the directory.
    #[error("the directory's store is damaged")]
    #[tls_codec(discriminant = 15)]
    Damaged,
    /// The handle's record does not follow (`spec/handles.md` §4).
    #[error("the handle's record does not follow: {0}")]
    #[tls_codec(discriminant = 16)]
    Handle(HandleRejected),
}

#[cfg(feature = "stable")]
impl From<Unpaid> for DirectoryError {
    fn from(unpaid: Unpaid) -> Self {
        match unpaid {
            Unpaid::Ticket(refusal) => Self::Ticket(refusal),
            Unpaid::Credential => Self::Credential,
        }
    }
}

impl From<TicketRefusal> for DirectoryError {
    fn from(refusal: TicketRefusal) -> Self {
        Self::Ticket(refusal)
    }
}
