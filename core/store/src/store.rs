//! The store of a home.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::backend::{Backend, Change, SledBackend};
use crate::codec;
use crate::error::{OpenError, StoreError};
use crate::key_file::{self, KdfCost};
use crate::seal::Keys;
use crate::table::Table;
use crate::write_set::WriteSet;

const KEY_FILE: &str = "key";
const LOCK_FILE: &str = "lock";
const DATABASE: &str = "records";
/// Name of the counter of commits, in [`Table::Meta`].
const GENERATION: &[u8] = b"generation";

/// A sealed store. Clones are handles on the same one.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    backend: Box<dyn Backend>,
    keys: Keys,
    /// Commits so far; a write-set that began at another number is in conflict.
    generation: Mutex<u64>,
    /// Held while the store is open.
    _lock: Option<File>,
}

impl Store {
    /// Makes a store in a folder.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn create(folder: &Path, passphrase: &str, cost: KdfCost) -> Result<Self, OpenError> {
        std::fs::create_dir_all(folder).map_err(OpenError::Disk)?;
        let lock = lock(folder)?;
        let path = folder.join(KEY_FILE);
        if path.exists() {
            return Err(OpenError::Exists);
        }
        let key = key_file::create(&path, passphrase, cost)?;
        Self::with_lock(folder, &key, lock)
    }

    /// Opens the store of a folder.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(folder: &Path, passphrase: &str) -> Result<Self, OpenError> {
        let path = folder.join(KEY_FILE);
        if !path.exists() {
            return Err(OpenError::Missing);
        }
        let lock = lock(folder)?;
        let key = key_file::open(&path, passphrase)?;
        Self::with_lock(folder, &key, lock)
    }

    fn with_lock(folder: &Path, key: &[u8; 32], lock: File) -> Result<Self, OpenError> {
        let backend = SledBackend::open(&folder.join(DATABASE))?;
        Self::on(Box::new(backend), key, Some(lock))
            .map_err(|error| OpenError::Database(error.to_string()))
    }

    /// A store on another backend, under a key that the caller keeps.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn on_backend(backend: Box<dyn Backend>, key: &[u8; 32]) -> Result<Self, StoreError> {
        Self::on(backend, key, None)
    }

    fn on(backend: Box<dyn Backend>, key: &[u8; 32], lock: Option<File>) -> Result<Self, StoreError> {
        let keys = Keys::derive(key);
        let name = keys.name(Table::Meta, GENERATION, 0);
        let generation = match backend.get(&name)? {
            Some(record) => codec::decode(&keys.open(&name, &record)?)?,
            None => 0,
        };
        let generation = Mutex::new(generation);
        Ok(Self { inner: Arc::new(Inner { backend, keys, generation, _lock: lock }) })
    }

    /// Wraps the store key by another passphrase, in one step.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn change_passphrase(
        folder: &Path,
        old: &str,
        new: &str,
        cost: KdfCost,
    ) -> Result<(), OpenError> {
        let path: PathBuf = folder.join(KEY_FILE);
        let _lock = lock(folder)?;
        let key: Zeroizing<[u8; 32]> = key_file::open(&path, old)?;
        key_file::write(&path, new, cost, &key)
    }

    /// Begins a change.
    #[must_use]
    pub fn begin(&self) -> WriteSet {
        WriteSet::new(self.clone(), self.generation())
    }

    /// Commits so far; never falls, so that a store put back from a copy is noticed by who knows a
    /// higher number.
    #[must_use]
    pub fn generation(&self) -> u64 {
        *self.inner.generation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    pub(crate) fn read(&self, name: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        match self.inner.backend.get(name)? {
            Some(record) => Ok(Some(Zeroizing::new(self.keys().open(name, &record)?))),
            None => Ok(None),
        }
    }

    pub(crate) fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Zeroizing<Vec<u8>>)>, StoreError> {
        self.inner
            .backend
            .scan(from, to, limit)?
            .into_iter()
            .map(|(name, record)| {
                let value = self.keys().open(&name, &record)?;
                Ok((name, Zeroizing::new(value)))
            })
            .collect()
    }

    /// Seals and applies a write-set that began at `began`.
    pub(crate) fn apply(
        &self,
        began: u64,
        changes: impl Iterator<Item = (Vec<u8>, Option<Zeroizing<Vec<u8>>>)>,
    ) -> Result<(), StoreError> {
        let mut generation =
            self.inner.generation.lock().unwrap_or_else(PoisonError::into_inner);
        if *generation != began {
            return Err(StoreError::Conflict);
        }
        let keys = self.keys();
        let mut sealed = changes
            .map(|(name, value)| {
                let record = value.map(|value| keys.seal(&name, &value)).transpose()?;
                Ok((name, record))
            })
            .collect::<Result<Vec<Change>, StoreError>>()?;
        let name = keys.name(Table::Meta, GENERATION, 0);
        sealed.push((name.to_vec(), Some(keys.seal(&name, &codec::encode(&(began + 1))?)?)));
        self.inner.backend.apply(&sealed)?;
        *generation = began + 1;
        Ok(())
    }
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join(LOCK_FILE))
        .map_err(OpenError::Disk)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse),
        Err(std::fs::TryLockError::Error(error)) => Err(OpenError::Disk(error)),
    }
}
