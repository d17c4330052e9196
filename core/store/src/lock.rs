//! One handle on a home at a time.

use std::fs::{File, OpenOptions};
use std::path::Path;

use crate::error::OpenError;

const LOCK_FILE: &str = "lock";

/// Held while a home is open.
#[derive(Debug)]
pub(crate) struct HomeLock(File);

impl Drop for HomeLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child that is being started holds a copy of it for
        // a moment. Where unlocking fails, closing still does it.
        let _closed_next = self.0.unlock();
    }
}

/// Takes the lock of a home or says who has it: somebody.
pub(crate) fn lock(folder: &Path) -> Result<HomeLock, OpenError> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join(LOCK_FILE))
        .map_err(OpenError::Disk)?;
    match file.try_lock() {
        Ok(()) => Ok(HomeLock(file)),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse),
        Err(std::fs::TryLockError::Error(error)) => Err(OpenError::Disk(error)),
    }
}
