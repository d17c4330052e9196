//! The sealed store of a client (`spec/store.md`).
//!
//! Every change is one [`WriteSet`]: an overlay that reads fall through and that is applied as one
//! atomic, synced batch. Records are sealed under a random store key and bound to their names; the
//! key itself is wrapped by the passphrase. OpenMLS keeps its state in the same write-set
//! ([`MlsStorage`]), so that a message's text, cursor and ratchet reach the disk together.

#![forbid(unsafe_code)]

mod backend;
mod codec;
mod error;
mod key_file;
mod lock;
mod mls;
mod passphrase;
mod seal;
mod store;
mod table;
mod write_set;

pub use backend::{Backend, Change, MemoryBackend, Order, Record, SledBackend};
pub use error::{OpenError, StoreError};
pub use key_file::KdfCost;
pub use mls::MlsStorage;
pub use passphrase::Passphrase;
pub use store::Store;
pub use table::Table;
pub use write_set::WriteSet;

/// Backends that fail on purpose; [`store_conformance!`] is beside them.
#[cfg(any(test, feature = "testkit"))]
pub mod testkit {
    pub use crate::backend::fault::FaultBackend;
}
