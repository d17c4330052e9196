//! Records in sled.

use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Backend, Change, Order, Record};
use crate::error::{OpenError, StoreError};

/// Memory that sled keeps pages in.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// How long to wait for threads of a database that this process closed just now: they let go of
/// sled's own lock a moment after the last handle is dropped. Another process cannot be the
/// reason, since the home's lock file is ours.
const LINGERING: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

/// sled in a folder: one tree, one batch per change.
#[derive(Debug)]
pub struct SledBackend {
    folder: PathBuf,
    database: sled::Db,
}

impl SledBackend {
    /// Opens or makes the database.
    ///
    /// # Errors
    /// [`OpenError::Database`].
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        remove_unfinished(folder).map_err(OpenError::Disk)?;
        let database = open_patiently(folder).map_err(OpenError::Database)?;
        Ok(Self {
            folder: folder.to_owned(),
            database,
        })
    }
}

impl Backend for SledBackend {
    fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        guarded(|| Ok(self.database.get(name)?.map(|value| value.to_vec())))
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
        guarded(|| {
            let found = self
                .database
                .range(range)
                .map(|entry| entry.map(|(name, value)| (name.to_vec(), value.to_vec())));
            match order {
                Order::Ascending => found.take(limit).collect(),
                Order::Descending => found.rev().take(limit).collect(),
            }
        })
    }

    fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (name, value) in changes {
            match value {
                Some(value) => batch.insert(name.as_slice(), value.as_slice()),
                None => batch.remove(name.as_slice()),
            }
        }
        guarded(|| self.database.apply_batch(batch))
    }

    fn sync(&self) -> Result<(), StoreError> {
        guarded(|| {
            self.database.flush()?;
            sync_folder(&self.folder).map_err(sled::Error::Io)
        })
    }
}

/// Removes snapshots that a process died writing. sled 0.34 would take one for the newest snapshot
/// and find the database corrupted; until it is renamed, the one before and the log hold everything.
/// Nobody writes one now: the home's lock is ours.
fn remove_unfinished(folder: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "generating") {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn open_patiently(folder: &Path) -> Result<sled::Db, String> {
    let started = Instant::now();
    loop {
        match guarded(|| config(folder).open()) {
            Ok(database) => return Ok(database),
            Err(StoreError::Database(text)) if text.contains("could not acquire lock") => {
                if started.elapsed() > LINGERING {
                    return Err(text);
                }
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn config(folder: &Path) -> sled::Config {
    // No flush thread: nothing reaches the disk but what we commit.
    sled::Config::new()
        .path(folder)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None)
}

/// Turns what sled says, and what it panics with on a damaged file, into an error.
fn guarded<T>(operation: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(operation)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(StoreError::Database(error.to_string())),
        Err(_) => Err(StoreError::Database("the database file is damaged".into())),
    }
}

/// sled's own flush hands the data to the operating system; only this reaches the disk.
fn sync_folder(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            // `blobs`, one file for each value too large for a segment.
            sync_folder(&path)?;
        } else {
            sync_if_there(&path)?;
        }
    }
    File::open(folder)?.sync_all()
}

/// sled replaces its snapshot file while we look.
fn sync_if_there(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
