//! The store of a home.

use std::fs::File;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::backend::{Backend, Change, Order, Record, SledBackend};
use crate::codec;
use crate::error::{OpenError, StoreError};
use crate::key_file::{self, KdfCost};
use crate::lock::{HomeLock, lock};
use crate::seal::Keys;
use crate::table::Table;
use crate::write_set::WriteSet;

const KEY_FILE: &str = "key";
const DATABASE: &str = "records";
/// Name of the counter of commits, in [`Table::Meta`].
const GENERATION: &[u8] = b"generation";

/// A record's name and what was sealed in it.
pub(crate) type OpenRecord = (Vec<u8>, Zeroizing<Vec<u8>>);

/// A sealed store. Clones are handles on the same one.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    backend: Box<dyn Backend>,
    keys: Keys,
    state: Mutex<State>,
    /// Where the passphrase wraps the key; `None` where the caller keeps the key.
    key_file: Option<PathBuf>,
    /// Held while the store is open; dropped after the backend.
    _lock: Option<HomeLock>,
}

/// Guards every access to the backend, so that no read sees half of a batch.
#[derive(Debug)]
struct State {
    /// Commits so far; a write-set that began at another number is in conflict.
    generation: u64,
    /// A commit failed half-way; see [`StoreError::Stopped`].
    stopped: bool,
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
        // Records without a key file are a store that lost it: not to be mixed with a new one.
        if path.exists() || folder.join(DATABASE).exists() {
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

    fn with_lock(folder: &Path, key: &[u8; 32], lock: HomeLock) -> Result<Self, OpenError> {
        let backend = SledBackend::open(&folder.join(DATABASE))?;
        // The backend syncs its own folder; that it is in the home, and the home where it is, are
        // entries of the folders above.
        for above in [Some(folder), folder.parent()].into_iter().flatten() {
            sync_entries(above).map_err(OpenError::Disk)?;
        }
        let home = (folder.join(KEY_FILE), lock);
        Self::on(Box::new(backend), key, Some(home))
            .map_err(|error| OpenError::Database(error.to_string()))
    }

    /// A store on another backend, under a key that the caller keeps.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn on_backend(backend: Box<dyn Backend>, key: &[u8; 32]) -> Result<Self, StoreError> {
        Self::on(backend, key, None)
    }

    fn on(
        backend: Box<dyn Backend>,
        key: &[u8; 32],
        home: Option<(PathBuf, HomeLock)>,
    ) -> Result<Self, StoreError> {
        let (key_file, lock) = home.unzip();
        let keys = Keys::derive(key);
        let name = keys.name(Table::Meta, GENERATION, 0);
        let generation = match backend.get(&name)? {
            Some(record) => codec::decode(&keys.open(&name, &record)?)?,
            None => 0,
        };
        let state = Mutex::new(State {
            generation,
            stopped: false,
        });
        Ok(Self {
            inner: Arc::new(Inner {
                backend,
                keys,
                state,
                key_file,
                _lock: lock,
            }),
        })
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
        let path = folder.join(KEY_FILE);
        if !path.exists() {
            return Err(OpenError::Missing);
        }
        let _lock = lock(folder)?;
        let key = key_file::open(&path, old)?;
        key_file::write(&path, new, cost, &key)
    }

    /// Whether a passphrase is that of this store: the person who gives it now is the one who may
    /// open it. Costs as much as opening does.
    ///
    /// # Errors
    /// [`OpenError::WrongPassphrase`]; [`OpenError::Missing`] where no passphrase wraps the key.
    pub fn check_passphrase(&self, passphrase: &str) -> Result<(), OpenError> {
        let path = self.inner.key_file.as_deref().ok_or(OpenError::Missing)?;
        self.check_key(&*key_file::open(path, passphrase)?)
    }

    /// As [`Store::check_passphrase`], where the caller keeps the key: with that key.
    ///
    /// # Errors
    /// [`OpenError::WrongPassphrase`].
    pub fn check_key(&self, key: &[u8; 32]) -> Result<(), OpenError> {
        // Names are a keyed hash: whoever makes the same name has the same key.
        let name = |keys: &Keys| keys.name(Table::Meta, GENERATION, 0);
        if name(&Keys::derive(key)) == name(&self.inner.keys) {
            Ok(())
        } else {
            Err(OpenError::WrongPassphrase)
        }
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
        self.state().generation
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, if the store still is as it was when a write-set began.
    fn state_at(&self, began: u64) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state();
        if state.stopped {
            return Err(StoreError::Stopped);
        }
        if state.generation != began {
            return Err(StoreError::Conflict);
        }
        Ok(state)
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    /// A record as it was when the write-set that asks began.
    pub(crate) fn read(
        &self,
        began: u64,
        name: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let _state = self.state_at(began)?;
        match self.inner.backend.get(name)? {
            Some(record) => Ok(Some(Zeroizing::new(self.keys().open(name, &record)?))),
            None => Ok(None),
        }
    }

    /// Records as they were when the write-set that asks began.
    pub(crate) fn scan(
        &self,
        began: u64,
        range: RangeInclusive<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<OpenRecord>, StoreError> {
        let _state = self.state_at(began)?;
        let records = self.inner.backend.scan(range, order, limit)?;
        let open = |(name, record): Record| {
            let value = self.keys().open(&name, &record)?;
            Ok((name, Zeroizing::new(value)))
        };
        records.into_iter().map(open).collect()
    }

    /// Seals and applies a write-set that began at `began`; durable when it returns.
    pub(crate) fn apply(
        &self,
        began: u64,
        changes: impl Iterator<Item = (Vec<u8>, Option<Zeroizing<Vec<u8>>>)>,
    ) -> Result<(), StoreError> {
        let mut state = self.state_at(began)?;
        let generation = began.checked_add(1).ok_or(StoreError::Format)?;
        let mut sealed = changes
            .map(|(name, value)| self.sealed(name, value))
            .collect::<Result<Vec<Change>, StoreError>>()?;
        let name = self.keys().name(Table::Meta, GENERATION, 0).to_vec();
        let count = Zeroizing::new(codec::encode(&generation)?);
        sealed.push(self.sealed(name, Some(count))?);
        // From here on a failure leaves open whether the batch is on the disk. To go on would be
        // to build on a guess: nothing is read or written until the store is opened again.
        state.stopped = true;
        self.inner.backend.apply(&sealed)?;
        self.inner.backend.sync()?;
        *state = State {
            generation,
            stopped: false,
        };
        Ok(())
    }

    fn sealed(
        &self,
        name: Vec<u8>,
        value: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Change, StoreError> {
        let record = value
            .map(|value| self.keys().seal(&name, &value))
            .transpose()?;
        Ok((name, record))
    }
}

fn sync_entries(folder: &Path) -> std::io::Result<()> {
    // The parent of a relative path of one part is empty: the current folder.
    let named = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    match File::open(named) {
        // A folder above the home may be closed to us; it is then not ours to sync.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        opened => opened?.sync_all(),
    }
}
