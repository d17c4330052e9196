//! The façade of every app: accounts, conversations, sync; everything that is read is verified.
//!
//! ```text
//! app ──▶ Client ──▶ conversation ──▶ core/group   MLS, envelopes, verdicts
//!            │            └────────▶ core/store   one write-set per step
//!            └──▶ connection ──▶ ic-agent          certificate, time, witness, chain: [`verify`]
//! ```

#![forbid(unsafe_code)]

mod clock;
mod error;
mod view;

pub use error::{ClientError, ErrorKind, NotVerified};
pub use view::{
    Arrived, Body, ContactView, ConversationView, Me, MessageView, Notice, Standing, SyncReport,
    Verified,
};
