//! The sealed store of a client (`spec/store.md`).
//!
//! Every change is one [`WriteSet`]: an overlay that reads fall through and that is applied as one
//! atomic, synced batch. Records are sealed under a random store key and bound to their names; the
//! key itself is wrapped by the passphrase. OpenMLS keeps its state in the same write-set
//! ([`MlsStorage`]), so that a message's text, cursor and ratchet reach the disk together.
//!
//! ```text
//! put, get, page …      OpenMLS
//!        │                 │ MlsStorage
//!        ▼                 ▼
//!   WriteSet: an overlay, plain, in memory; dropped it never was
//!        │ commit
//!        ▼
//!   Store: names hashed, values sealed, one generation more
//!        │ apply, then sync
//!        ▼
//!   Backend: sled, memory, or one that dies on purpose
//! ```
//!
//! ```
//! use paigham_store::{MemoryBackend, Store, Table};
//!
//! # fn main() -> Result<(), paigham_store::StoreError> {
//! let store = Store::on_backend(Box::new(MemoryBackend::default()), &[7; 32])?;
//! let set = store.begin();
//! set.put_at(Table::Message, b"chat", 1, &"سلام")?;
//! set.put(Table::Cursor, b"chat", &1)?;
//! set.commit()?; // both are on the disk now, or neither
//!
//! let cursor: Option<u64> = store.begin().get(Table::Cursor, b"chat")?;
//! assert_eq!(cursor, Some(1));
//! # Ok(())
//! # }
//! ```

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
