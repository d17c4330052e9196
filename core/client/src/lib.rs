//! The façade of every app: accounts, conversations, sync; everything that is read is verified.
//!
//! ```text
//! app ──▶ Client ──▶ conversation ──▶ core/group   MLS, envelopes, verdicts
//!            │            └────────▶ core/store   one write-set for each step
//!            └──▶ connection ──▶ ic-agent          certificate, time, witness; then the chain
//! ```
//!
//! What a client verifies of every answer, and when it gives something up, stands in
//! `spec/client.md`.

#![forbid(unsafe_code)]
#![expect(
    clippy::needless_pass_by_ref_mut,
    reason = "what changes the home takes the client for itself, so that no two changes meet"
)]

mod account;
mod capability;
mod client;
mod clock;
mod connection;
mod conversation;
mod error;
mod handle;
mod inbox;
mod log;
mod own;
mod paid;
mod people;
mod requests;
pub mod review;
mod safety;
mod shards;
#[cfg(feature = "testkit")]
pub mod testkit;
mod trust;
mod verify;
mod view;

pub use account::{Environment, NewAccount};
pub use client::Client;
pub use clock::{Clock, SystemClock};
pub use error::{ClientError, ErrorKind, NotVerified};
pub use log::{
    Answer, AuditorsView, MonitorReport, MonitorVerdict, ProblemKind, ProblemView, Watched,
};
pub use own::{
    AccountStatus, DeviceStatus, FreezeKey, OwnChange, PendingRecover, Reauthenticated,
    RecoverTarget, Recovery,
};
pub use paigham_lookup::{AuditorReport, AuditorSays, AuditorWord};
pub use paigham_store::{KdfCost, OpenError, Store, StoreError};
pub use paigham_wire::hash::Hash;
pub use paigham_wire::identity::Rejected;
pub use paigham_wire::identity::handle::{Handle, HandleError, HandleRejected};
pub use paigham_wire::ids::{AccountId, CanisterId, DeviceId, QueueId};
pub use paigham_wire::network::{NetworkLink, VerifiedNetwork};
pub use paigham_wire::recovery_kit::{NoKit, RecoveryKit};
pub use safety::{NoSafetyNumber, SafetyNumber};
pub use shards::OpenRelays;
pub use trust::load_network;
pub use view::{
    Arrived, Body, ContactView, ConversationView, HandleStanding, HandleView, Me, MemberView,
    MessageView, Notice, RequestView, Standing, SyncReport, Trust, Verified,
};
