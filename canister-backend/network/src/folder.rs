//! The data folder of a network.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use paigham_wire::network::VerifiedNetwork;
use zeroize::Zeroizing;

use crate::error::NetworkUpError;

const SUBNET: &str = "subnet";
const RELEASE_KEY: &str = "release.key";
const NETWORK_FILE: &str = "network.cbor";

/// The folder; whoever opened the subnet in it is its only writer.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder if need be, closed to others: it holds keys.
    pub(crate) fn open(path: &Path) -> Result<Self, NetworkUpError> {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| NetworkUpError::Disk {
                path: path.to_owned(),
                error,
            })?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Where the subnet is.
    pub(crate) fn subnet(&self) -> PathBuf {
        self.path.join(SUBNET)
    }

    /// The published network file, if there is one.
    pub(crate) fn network_file(&self) -> Result<Option<VerifiedNetwork>, NetworkUpError> {
        match self.read(NETWORK_FILE)? {
            Some(bytes) => VerifiedNetwork::pinned(&bytes)
                .map(Some)
                .map_err(NetworkUpError::File),
            None => Ok(None),
        }
    }

    /// Replaces the network file.
    pub(crate) fn publish(&self, bytes: &[u8]) -> Result<(), NetworkUpError> {
        self.replace(NETWORK_FILE, bytes, 0o644)
    }

    /// The release key of a network that has been published.
    pub(crate) fn release_key(&self) -> Result<SigningKey, NetworkUpError> {
        let seed = self
            .read(RELEASE_KEY)?
            .ok_or(NetworkUpError::OtherReleaseKey)?;
        let seed = seed
            .as_slice()
            .try_into()
            .map_err(|_| NetworkUpError::ReleaseKey)?;
        Ok(SigningKey::from_bytes(seed))
    }

    /// The release key of a network that is to be published. A start that was interrupted may
    /// have left one.
    pub(crate) fn release_key_or_new(&self) -> Result<SigningKey, NetworkUpError> {
        if self.read(RELEASE_KEY)?.is_none() {
            let mut seed = Zeroizing::new([0; 32]);
            getrandom::fill(&mut *seed)
                .map_err(|error| NetworkUpError::Random(error.to_string()))?;
            self.replace(RELEASE_KEY, &*seed, 0o600)?;
        }
        self.release_key()
    }

    fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, NetworkUpError> {
        match std::fs::read(self.path.join(name)) {
            Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.disk(name, error)),
        }
    }

    /// The old file or the new one, whenever the power fails; and the new one once this returns.
    fn replace(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), NetworkUpError> {
        let write = || -> io::Result<()> {
            let temporary = self.path.join(format!("{name}.new"));
            // A temporary file that was left over keeps its old mode if it is written again.
            match std::fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut options = OpenOptions::new();
            let mut file = options
                .create_new(true)
                .write(true)
                .mode(mode)
                .open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&temporary, self.path.join(name))?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|error| self.disk(name, error))
    }

    fn disk(&self, name: &str, error: io::Error) -> NetworkUpError {
        NetworkUpError::Disk {
            path: self.path.join(name),
            error,
        }
    }
}
