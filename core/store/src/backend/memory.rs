//! Records in memory.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeInclusive};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Backend, Change, Order, Record};
use crate::error::StoreError;

pub(super) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Records in memory; nothing outlives the process.
#[derive(Debug, Default)]
pub struct MemoryBackend {
    records: Mutex<Records>,
}

impl MemoryBackend {
    pub(super) fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for MemoryBackend {
    fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.records().get(name).cloned())
    }

    fn scan(
        &self,
        range: RangeInclusive<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        if range.start() > range.end() {
            return Ok(Vec::new());
        }
        let records = self.records();
        let found = records
            .range::<[u8], _>((
                Bound::Included(*range.start()),
                Bound::Included(*range.end()),
            ))
            .map(|(name, value)| (name.clone(), value.clone()));
        Ok(match order {
            Order::Ascending => found.take(limit).collect(),
            Order::Descending => found.rev().take(limit).collect(),
        })
    }

    fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut records = self.records();
        for (name, value) in changes {
            match value {
                Some(value) => records.insert(name.clone(), value.clone()),
                None => records.remove(name),
            };
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
