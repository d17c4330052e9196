//! The file of a subnet's secret keys, `keys.cbor` in its data folder.

use std::io;
use std::path::Path;

use crate::OpenError;
use crate::keys::{Seeds, to_cbor};

/// File of the subnet's and the node's secret keys, in the data folder.
const KEYS_FILE: &str = "keys.cbor";

/// The secret keys of a subnet that is not running, to put others in their place.
///
/// # Security
/// Whoever has them signs as the subnet.
#[derive(Debug, Clone)]
pub struct KeyFile(Seeds);

impl KeyFile {
    /// Name of the file in the subnet's data folder.
    pub const NAME: &'static str = KEYS_FILE;

    /// Reads a file of keys.
    ///
    /// # Errors
    /// [`OpenError::Disk`], [`OpenError::State`] if it is damaged.
    pub fn read(path: &Path) -> Result<Self, OpenError> {
        let bytes = std::fs::read(path)?;
        serde_cbor::from_slice(&bytes).map(Self).map_err(damaged)
    }

    /// The subnet key's DER form; in a subnet that is its own root, the root key.
    ///
    /// # Errors
    /// [`OpenError::State`] if the file is damaged.
    pub fn subnet_key_der(&self) -> Result<Vec<u8>, OpenError> {
        self.0.der().ok_or_else(|| damaged(()))
    }

    /// A new key for a subnet that is its own root, which becomes another subnet by it.
    ///
    /// # Errors
    /// [`OpenError::Start`] without randomness.
    pub fn with_new_root(&self) -> Result<Self, OpenError> {
        let node = self.0.node.clone();
        Ok(Self(Seeds {
            node,
            id: None,
            ..random()?
        }))
    }

    /// A new key for a subnet below a root key, which stays the same subnet.
    ///
    /// # Errors
    /// [`OpenError::Start`] without randomness, [`OpenError::State`] if the file is damaged.
    pub fn with_new_subnet_key(&self) -> Result<Self, OpenError> {
        let id = self.0.subnet_id().ok_or_else(|| damaged(()))?;
        Ok(Self(Seeds {
            node: self.0.node.clone(),
            id: Some(id.as_slice().to_vec().into()),
            ..random()?
        }))
    }

    /// The file's bytes; only their owner may read them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        to_cbor(&self.0)
    }
}

fn damaged<E>(_: E) -> OpenError {
    OpenError::State("damaged keys.cbor".into())
}

fn random() -> Result<Seeds, OpenError> {
    Seeds::random().map_err(|error| OpenError::Start(error.to_string()))
}

/// Keys are made for a new folder only: others would make another subnet of the same state.
pub(crate) fn load_or_make(folder: &Path, new: bool) -> Result<Seeds, OpenError> {
    let path = folder.join(KEYS_FILE);
    match KeyFile::read(&path) {
        Err(OpenError::Disk(error)) if error.kind() == io::ErrorKind::NotFound && !new => {
            Err(OpenError::State("keys.cbor is missing".into()))
        }
        Err(OpenError::Disk(error)) if error.kind() == io::ErrorKind::NotFound => {
            let seeds = random()?;
            write_new(&path, &to_cbor(&seeds))?;
            Ok(seeds)
        }
        read => Ok(read?.0),
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let temporary = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}
