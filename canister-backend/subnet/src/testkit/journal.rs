//! Disks that die.

use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::journal::{Journal, Stored};

/// What outlives a crash, and when the crash comes.
#[derive(Debug, Default)]
struct Disk {
    durable: Stored,
    written: Vec<Vec<u8>>,
    operations: u64,
    crash_at: Option<u64>,
}

/// A journal that dies before its n-th operation takes effect (even n) or after it did (odd n),
/// losing what was not synced. Clones share the disk: open a subnet on a clone to restart it.
#[derive(Debug, Clone, Default)]
pub struct FaultJournal {
    disk: Arc<Mutex<Disk>>,
}

impl FaultJournal {
    /// Sets the next crash: operation `point / 2`, before it if `point` is even, else after.
    pub fn crash_at(&self, point: u64) {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        disk.crash_at = Some(disk.operations * 2 + point);
    }

    /// Restarts the machine: what was not synced is gone, no crash is set.
    pub fn restart(&self) {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        disk.written.clear();
        disk.crash_at = None;
    }

    /// A copy of what would outlive a crash now: the disk of a replica that stays behind.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let copy = Disk {
            durable: disk.durable.clone(),
            ..Disk::default()
        };
        Self {
            disk: Arc::new(Mutex::new(copy)),
        }
    }

    /// Operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.disk
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .operations
    }

    fn step(&self, effect: impl FnOnce(&mut Disk)) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let point = disk.operations * 2;
        if disk.crash_at.is_some_and(|crash| crash <= point) {
            return Err(io::Error::other("crashed before an operation"));
        }
        disk.operations += 1;
        effect(&mut disk);
        if disk.crash_at == Some(point + 1) {
            return Err(io::Error::other("crashed after an operation"));
        }
        Ok(())
    }
}

impl Journal for FaultJournal {
    fn load(&mut self) -> io::Result<Stored> {
        Ok(self
            .disk
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .durable
            .clone())
    }

    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        self.step(|disk| disk.written.push(record.to_vec()))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.step(|disk| {
            let written = std::mem::take(&mut disk.written);
            disk.durable.records.extend(written);
        })
    }

    fn checkpoint(&mut self, state: &[u8]) -> io::Result<()> {
        self.step(|disk| {
            disk.written.clear();
            disk.durable = Stored {
                checkpoint: Some(state.to_vec()),
                records: Vec::new(),
            };
        })
    }
}

/// Kills a [`FileJournal`](crate::FileJournal) before one of its operations on files: writing,
/// syncing, renaming, removing. Clones are the same.
#[derive(Debug, Clone)]
pub struct FileCrash {
    left: Arc<AtomicI64>,
}

impl FileCrash {
    /// Before the n-th operation from now, counted from 0; every later one fails as well.
    #[must_use]
    pub fn before(operation: u32) -> Self {
        Self {
            left: Arc::new(AtomicI64::new(operation.into())),
        }
    }

    /// Whether it came.
    #[must_use]
    pub fn came(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }

    pub(crate) fn step(&self) -> io::Result<()> {
        if self.left.fetch_sub(1, Ordering::SeqCst) > 0 {
            Ok(())
        } else {
            Err(io::Error::other("crashed before an operation on a file"))
        }
    }
}
