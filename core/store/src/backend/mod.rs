//! Where sealed records lie.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{OpenError, StoreError};

/// One record set (`Some`) or removed (`None`).
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// An ordered map of bytes on a disk.
pub trait Backend: Send + Sync + std::fmt::Debug {
    /// A record.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// All records from `from` to `to` inclusive, in order, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError>;
    /// Applies all changes or none; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    fn apply(&self, changes: &[Change]) -> Result<(), StoreError>;
}

fn database(error: impl std::fmt::Display) -> StoreError {
    StoreError::Database(error.to_string())
}

/// sled in a folder.
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
        let database = sled::Config::new()
            .path(folder)
            .cache_capacity(32 * 1024 * 1024)
            .flush_every_ms(None)
            .open()
            .map_err(|error| OpenError::Database(error.to_string()))?;
        Ok(Self { folder: folder.to_owned(), database })
    }

    /// sled's own flush hands the data to the operating system; only this reaches the disk.
    fn sync(&self) -> std::io::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.is_file() {
                sync_if_there(&path)?;
            } else if path.is_dir() {
                for inner in std::fs::read_dir(&path)? {
                    sync_if_there(&inner?.path())?;
                }
                File::open(&path)?.sync_all()?;
            }
        }
        File::open(&self.folder)?.sync_all()
    }
}

/// sled replaces its snapshot file while we look.
fn sync_if_there(path: &Path) -> std::io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

impl Backend for SledBackend {
    fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.database.get(name).map_err(database)?.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        self.database
            .range(from..=to)
            .take(limit)
            .map(|entry| {
                let (name, value) = entry.map_err(database)?;
                Ok((name.to_vec(), value.to_vec()))
            })
            .collect()
    }

    fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (name, value) in changes {
            match value {
                Some(value) => batch.insert(name.as_slice(), value.as_slice()),
                None => batch.remove(name.as_slice()),
            }
        }
        self.database.apply_batch(batch).map_err(database)?;
        self.database.flush().map_err(database)?;
        self.sync().map_err(database)
    }
}

/// Records in memory; nothing outlives the process.
#[derive(Debug, Default)]
pub struct MemoryBackend {
    records: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Backend for MemoryBackend {
    fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(records.get(name).cloned())
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let range = records.range(from.to_vec()..=to.to_vec()).take(limit);
        Ok(range.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, value) in changes {
            match value {
                Some(value) => records.insert(name.clone(), value.clone()),
                None => records.remove(name),
            };
        }
        Ok(())
    }
}

/// Backends that fail on purpose.
#[cfg(feature = "testkit")]
pub(crate) mod fault {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{Backend, Change, MemoryBackend, StoreError};

    /// A backend that dies before (even points) or after (odd points) its n-th batch. Clones share
    /// the disk: open a store on a clone to restart it.
    #[derive(Debug, Clone)]
    pub struct FaultBackend {
        disk: Arc<MemoryBackend>,
        batches: Arc<AtomicU64>,
        crash_at: Arc<AtomicU64>,
    }

    impl Default for FaultBackend {
        fn default() -> Self {
            Self {
                disk: Arc::default(),
                batches: Arc::default(),
                crash_at: Arc::new(AtomicU64::new(u64::MAX)),
            }
        }
    }

    impl FaultBackend {
        /// Dies at the n-th point from now.
        pub fn crash_at(&self, point: u64) {
            let at = self.batches.load(Ordering::SeqCst) * 2 + point;
            self.crash_at.store(at, Ordering::SeqCst);
        }

        /// Lives again.
        pub fn restart(&self) {
            self.crash_at.store(u64::MAX, Ordering::SeqCst);
        }

        /// Batches so far.
        #[must_use]
        pub fn batches(&self) -> u64 {
            self.batches.load(Ordering::SeqCst)
        }
    }

    fn crashed() -> StoreError {
        StoreError::Database("crashed on purpose".into())
    }

    impl Backend for FaultBackend {
        fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            self.disk.get(name)
        }

        fn scan(
            &self,
            from: &[u8],
            to: &[u8],
            limit: usize,
        ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
            self.disk.scan(from, to, limit)
        }

        fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
            let crash_at = self.crash_at.load(Ordering::SeqCst);
            let point = self.batches.load(Ordering::SeqCst) * 2;
            if crash_at <= point {
                return Err(crashed());
            }
            self.disk.apply(changes)?;
            self.batches.fetch_add(1, Ordering::SeqCst);
            if crash_at == point + 1 {
                return Err(crashed());
            }
            Ok(())
        }
    }
}
