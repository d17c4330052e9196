//! Requests, replies and errors of the directory (`spec/protocol.md` §7).

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use crate::ids::AccountId;

/// `submit`: the next record of an account.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SubmitRequest {
    /// The encoded identity record (`spec/identity.md`).
    pub record: VLBytes,
}

/// The record is stored; a repeat of the newest one gets the same reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SubmitReply {
    /// Its version, 0 for the create.
    pub version: u32,
    /// Canister time at which it was accepted, in nanoseconds since 1970.
    pub accepted_at: u64,
}

/// `lookup`: the records of some accounts, at most [`LOOKUP_MAX_ACCOUNTS`].
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct LookupRequest {
    /// Whose.
    pub accounts: Vec<AccountId>,
}

/// Most accounts of one lookup.
pub const LOOKUP_MAX_ACCOUNTS: usize = 256;

/// One record with the time at which the directory accepted it.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct DatedRecord {
    /// Nanoseconds since 1970.
    pub accepted_at: u64,
    /// The encoded identity record.
    pub record: VLBytes,
}

/// All records of one account, oldest first; empty if there is none.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct AccountRecords {
    /// Whose.
    pub account: AccountId,
    /// Oldest first.
    pub records: Vec<DatedRecord>,
}

/// Reply of `lookup`: accounts in the order asked for.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct LookupReply {
    /// The canister's certificate.
    pub certificate: VLBytes,
    /// Witness over every account asked for.
    pub witness: VLBytes,
    /// The records.
    pub accounts: Vec<AccountRecords>,
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
    Malformed = 1,
    /// More accounts or bytes than one reply holds.
    #[error("beyond a limit of the directory")]
    TooLarge = 2,
    /// The record does not follow from those before (`spec/identity.md`).
    #[error("the record does not follow from those before")]
    Rejected = 3,
    /// The account has no records, and this one is no create.
    #[error("no such account")]
    NoSuchAccount = 4,
    /// The account has as many records as the directory keeps, or a new one has no room.
    #[error("the account has too many records")]
    Full = 5,
    /// The canister has no certificate at hand: the call was not a plain query.
    #[error("no certificate at hand")]
    NoCertificate = 6,
}
