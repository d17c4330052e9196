//! Handles: names that people choose, one look for one account (`spec/handles.md`).
//!
//! A handle is what people type and see; its [`Skeleton`] is what it looks like, and the label of
//! its records in the log. So two handles that look alike cannot both be held. Directory and clients
//! share [`HandleState`]: a record counts if it follows from those before it and from the accounts
//! that they name, for everybody alike.
//!
//! | module | what it holds |
//! |---|---|
//! | `alphabet` | which letters there are, and which count as one |
//! | `name` | display form and skeleton |
//! | `typed` | from what is typed to a display form (feature `client`) |
//! | `record` | claim and release, signed |
//! | `state` | whose the handle is, and which record may come next |

mod alphabet;
mod name;
mod record;
mod state;
#[cfg(feature = "client")]
mod typed;

pub use name::{
    HANDLE_MAX_BYTES, HANDLE_MAX_CHARS, HANDLE_MIN_CHARS, Handle, HandleError, Script, Skeleton,
};
pub use record::{HANDLE_RECORD_MAX_BYTES, HandleContent, HandleKind, HandleRecord};
pub use state::{
    Accounts, HandleRejected, HandleState, Holding, KeyRule, RELEASE_DELAY_NS, REST_NS,
};

#[cfg(test)]
mod tests;
