//! The records of an account and the rules that they follow (`spec/identity.md`).
//!
//! Directory and clients share [`AccountState`]: a record counts if it follows from the records
//! before it, for everybody alike.

pub mod handle;
mod record;
mod state;

pub use record::{
    Authorisation, DeviceEntry, IdentityRecord, MAX_DEVICES, RECORD_MAX_BYTES, RecordContent,
    RecordKind, Role, Signatures, recovery_key_hash,
};
pub use state::{AccountState, DELETE_DELAY_NS, FREEZE_NS, RECOVER_DELAY_NS, Rejected, Standing};

#[cfg(test)]
mod tests;
