//! Where sealed records lie.
//!
//! A backend is an ordered map of bytes that changes in whole batches. It knows neither names nor
//! values: [`crate::Store`] seals before and opens after. Its siblings are [`SledBackend`] on a
//! disk and [`MemoryBackend`]; `testkit::FaultBackend` fails on purpose. All of them pass
//! [`crate::store_conformance!`].

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::error::StoreError;

#[cfg(any(test, feature = "testkit"))]
pub(crate) mod conformance;
#[cfg(any(test, feature = "testkit"))]
pub(crate) mod fault;
mod memory;
mod sled;

pub use self::memory::MemoryBackend;
pub use self::sled::SledBackend;

/// One record set (`Some`) or removed (`None`).
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// A record: its name and its bytes.
pub type Record = (Vec<u8>, Vec<u8>);

/// From which end a scan begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The lowest name first.
    Ascending,
    /// The highest name first.
    Descending,
}

/// An ordered map of bytes on a disk.
pub trait Backend: Send + Sync + std::fmt::Debug {
    /// Returns a record as the last batch left it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Returns the records of a range of names, at most `limit`, from the end that `order` says.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    fn scan(
        &self,
        range: RangeInclusive<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// Applies all changes or none. They are visible when it returns, and durable, again all or
    /// none, once [`Backend::sync`] has returned.
    ///
    /// # Errors
    /// [`StoreError::Database`]; only opening the backend again tells whether they were applied.
    fn apply(&self, changes: &[Change]) -> Result<(), StoreError>;

    /// Brings what was applied to the disk itself, not only to the operating system.
    ///
    /// # Errors
    /// [`StoreError::Database`]; only opening the backend again tells what is durable.
    fn sync(&self) -> Result<(), StoreError>;
}

impl<B: Backend + ?Sized> Backend for Arc<B> {
    fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).get(name)
    }

    fn scan(
        &self,
        range: RangeInclusive<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        (**self).scan(range, order, limit)
    }

    fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        (**self).apply(changes)
    }

    fn sync(&self) -> Result<(), StoreError> {
        (**self).sync()
    }
}
