//! A backend that dies on purpose.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::memory::Records;
use super::{Backend, Change, MemoryBackend, Order, Record};
use crate::error::StoreError;

/// A disk in memory whose machine dies at a chosen point of a chosen batch.
///
/// Each batch has [`FaultBackend::POINTS`] points, in this order:
///
/// | point | the machine dies | after [`FaultBackend::restart`] the batch is |
/// |---|---|---|
/// | 0 | before the batch is applied | absent |
/// | 1 | after it, before the sync; what was not synced is lost | absent |
/// | 2 | after it, before the sync; it happened to reach the disk | there |
/// | 3 | after the sync, before anybody is told | there |
///
/// A dead machine answers nothing until it is restarted. Clones share the disk: give one to a
/// store, keep the other, and open the next store on a clone again.
#[derive(Debug, Clone, Default)]
pub struct FaultBackend {
    volatile: Arc<MemoryBackend>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What a power failure leaves.
    durable: Records,
    /// Batches whose sync began.
    batches: u64,
    crash_at: Option<u64>,
    dead: bool,
}

impl FaultBackend {
    /// Points of one batch at which the machine can die.
    pub const POINTS: u64 = 4;

    /// Dies at the n-th point from now, counted from 0.
    pub fn crash_at(&self, point: u64) {
        let mut state = self.state();
        state.crash_at = Some(state.batches * Self::POINTS + point);
    }

    /// Lives again, with what the disk kept.
    pub fn restart(&self) {
        let mut state = self.state();
        state.crash_at = None;
        state.dead = false;
        self.volatile.records().clone_from(&state.durable);
    }

    /// Batches so far that survived.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.state().batches
    }

    /// Whether the chosen point was reached.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state();
        if state.dead {
            Err(crashed())
        } else {
            Ok(state)
        }
    }
}

impl State {
    /// Dies if this is the chosen point of the batch under way.
    fn pass(&mut self, point: u64) -> Result<(), StoreError> {
        if self.crash_at == Some(self.batches * FaultBackend::POINTS + point) {
            self.dead = true;
            return Err(crashed());
        }
        Ok(())
    }
}

impl Backend for FaultBackend {
    fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let _alive = self.alive()?;
        self.volatile.get(name)
    }

    fn scan(
        &self,
        range: RangeInclusive<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let _alive = self.alive()?;
        self.volatile.scan(range, order, limit)
    }

    fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.alive()?.pass(0)?;
        self.volatile.apply(changes)
    }

    fn sync(&self) -> Result<(), StoreError> {
        let mut state = self.alive()?;
        state.pass(1)?;
        state.durable.clone_from(&self.volatile.records());
        state.pass(2)?;
        let last = state.pass(3);
        state.batches += 1;
        last
    }
}

fn crashed() -> StoreError {
    StoreError::Database("crashed on purpose".into())
}
