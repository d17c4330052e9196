//! One change of the store.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::backend::Order;
use crate::codec;
use crate::error::StoreError;
use crate::mls::MlsStorage;
use crate::seal::NAME_BYTES;
use crate::store::{OpenRecord, Store};
use crate::table::Table;

type Value = Option<Zeroizing<Vec<u8>>>;
type Overlay = BTreeMap<Vec<u8>, Value>;

/// An overlay over the store: reads see what was written to it, the store sees nothing until
/// [`WriteSet::commit`], and then everything at once. Dropping it forgets it.
///
/// Reads of the store are of the moment at which the write-set began: once another write-set has
/// been committed, they and [`WriteSet::commit`] say [`StoreError::Conflict`], and the caller
/// begins again. It holds no lock, so it may live in async code.
pub struct WriteSet {
    store: Store,
    began: u64,
    overlay: Mutex<Overlay>,
}

impl std::fmt::Debug for WriteSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Its values are plain text.
        f.debug_struct("WriteSet")
            .field("began", &self.began)
            .finish_non_exhaustive()
    }
}

impl WriteSet {
    pub(crate) fn new(store: Store, began: u64) -> Self {
        Self {
            store,
            began,
            overlay: Mutex::default(),
        }
    }

    fn overlay(&self) -> MutexGuard<'_, Overlay> {
        self.overlay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records of OpenMLS in this write-set.
    #[must_use]
    pub const fn mls(&self) -> MlsStorage<'_> {
        MlsStorage::new(self)
    }

    /// Sets a record.
    ///
    /// # Errors
    /// [`StoreError::Format`].
    pub fn put(&self, table: Table, id: &[u8], value: &impl Serialize) -> Result<(), StoreError> {
        self.put_at(table, id, 0, value)
    }

    /// Sets the record of a number.
    ///
    /// # Errors
    /// [`StoreError::Format`].
    pub fn put_at(
        &self,
        table: Table,
        id: &[u8],
        number: u64,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        let name = self.store.keys().name(table, id, number);
        let bytes = Zeroizing::new(codec::encode(value)?);
        self.overlay().insert(name.to_vec(), Some(bytes));
        Ok(())
    }

    /// A record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn get<T: DeserializeOwned>(
        &self,
        table: Table,
        id: &[u8],
    ) -> Result<Option<T>, StoreError> {
        self.get_at(table, id, 0)
    }

    /// The record of a number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn get_at<T: DeserializeOwned>(
        &self,
        table: Table,
        id: &[u8],
        number: u64,
    ) -> Result<Option<T>, StoreError> {
        let name = self.store.keys().name(table, id, number);
        let written = self.overlay().get(name.as_slice()).cloned();
        let value = match written {
            Some(value) => value,
            None => self.store.read(self.began, &name)?,
        };
        value.map(|bytes| codec::decode(&bytes)).transpose()
    }

    /// Removes a record.
    pub fn delete(&self, table: Table, id: &[u8]) {
        self.delete_at(table, id, 0);
    }

    /// Removes the record of a number.
    pub fn delete_at(&self, table: Table, id: &[u8], number: u64) {
        let name = self.store.keys().name(table, id, number);
        self.overlay().insert(name.to_vec(), None);
    }

    /// The records of an id with their numbers, in order, from one number to another inclusive.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn scan<T: DeserializeOwned>(
        &self,
        table: Table,
        id: &[u8],
        from: u64,
        to: u64,
    ) -> Result<Vec<(u64, T)>, StoreError> {
        self.page(table, id, from..=to, Order::Ascending, usize::MAX)
    }

    /// At most `limit` records of an id within a range of numbers, from the end that `order` says:
    /// a page of a history.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn page<T: DeserializeOwned>(
        &self,
        table: Table,
        id: &[u8],
        numbers: RangeInclusive<u64>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(u64, T)>, StoreError> {
        let keys = self.store.keys();
        let from = keys.name(table, id, *numbers.start());
        let to = keys.name(table, id, *numbers.end());
        self.merged(&from, &to, order, limit)?
            .into_iter()
            .map(|(name, value)| {
                let number = name.last_chunk().ok_or(StoreError::Corrupt)?;
                Ok((u64::from_be_bytes(*number), codec::decode(&value)?))
            })
            .collect()
    }

    /// All records of a table, in no order that means anything.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn all<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<T>, StoreError> {
        let mut from = [0; NAME_BYTES];
        let mut to = [0xff; NAME_BYTES];
        from[0] = table as u8;
        to[0] = table as u8;
        let records = self.merged(&from, &to, Order::Ascending, usize::MAX)?;
        records
            .iter()
            .map(|(_, value)| codec::decode(value))
            .collect()
    }

    /// What the store has in a range under what was written over it.
    fn merged(
        &self,
        from: &[u8; NAME_BYTES],
        to: &[u8; NAME_BYTES],
        order: Order,
        limit: usize,
    ) -> Result<Vec<OpenRecord>, StoreError> {
        if from > to {
            return Ok(Vec::new());
        }
        let written: Overlay = self
            .overlay()
            .range(from.to_vec()..=to.to_vec())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        // Each record written over the range hides at most one of the store's.
        let enough = limit.saturating_add(written.len());
        let stored = self
            .store
            .scan(self.began, &from[..]..=&to[..], order, enough)?;
        let mut merged: Overlay = stored
            .into_iter()
            .map(|(name, value)| (name, Some(value)))
            .collect();
        merged.extend(written);
        let there = merged
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        Ok(match order {
            Order::Ascending => there.take(limit).collect(),
            Order::Descending => there.rev().take(limit).collect(),
        })
    }

    /// Applies everything at once; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if something else was committed meanwhile: nothing was changed.
    /// [`StoreError::Database`] if the disk failed: everything was changed or nothing, and the
    /// store says [`StoreError::Stopped`] until it is opened again and shows which.
    pub fn commit(self) -> Result<(), StoreError> {
        let overlay = self
            .overlay
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if overlay.is_empty() {
            return Ok(());
        }
        self.store.apply(self.began, overlay.into_iter())
    }
}
