//! One change of the store.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::codec;
use crate::error::StoreError;
use crate::mls::MlsStorage;
use crate::seal::NAME_BYTES;
use crate::store::Store;
use crate::table::Table;

type Value = Option<Zeroizing<Vec<u8>>>;
type Overlay = BTreeMap<Vec<u8>, Value>;

/// Most records of one scan.
const SCAN_MAX: usize = 100_000;

/// An overlay over the store: reads see what was written to it, the store sees nothing until
/// [`WriteSet::commit`], and then everything at once. Dropping it forgets it.
#[derive(Debug)]
pub struct WriteSet {
    store: Store,
    began: u64,
    overlay: Mutex<Overlay>,
}

impl WriteSet {
    pub(crate) fn new(store: Store, began: u64) -> Self {
        Self { store, began, overlay: Mutex::default() }
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
    pub fn get<T: DeserializeOwned>(&self, table: Table, id: &[u8]) -> Result<Option<T>, StoreError> {
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
            None => self.store.read(&name)?,
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
        let keys = self.store.keys();
        self.merged(&keys.name(table, id, from), &keys.name(table, id, to))
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
        Ok(self.merged(&from, &to)?.into_iter().map(|(_, value)| value).collect())
    }

    fn merged<T: DeserializeOwned>(
        &self,
        from: &[u8; NAME_BYTES],
        to: &[u8; NAME_BYTES],
    ) -> Result<Vec<(u64, T)>, StoreError> {
        let stored = self.store.scan(from, to, SCAN_MAX)?;
        let mut merged: Overlay =
            stored.into_iter().map(|(name, value)| (name, Some(value))).collect();
        let overlay = self.overlay();
        let written = overlay.range(from.to_vec()..=to.to_vec());
        merged.extend(written.map(|(name, value)| (name.clone(), value.clone())));
        merged
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| (name, value)))
            .map(|(name, value)| {
                let number = name.last_chunk().map_or(0, |number| u64::from_be_bytes(*number));
                Ok((number, codec::decode(&value)?))
            })
            .collect()
    }

    /// Applies everything at once; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed then, or, where the disk failed at the very end,
    /// everything was: who reopens the store sees one or the other.
    pub fn commit(self) -> Result<(), StoreError> {
        let overlay = self.overlay.into_inner().unwrap_or_else(PoisonError::into_inner);
        if overlay.is_empty() {
            return Ok(());
        }
        self.store.apply(self.began, overlay.into_iter())
    }
}
