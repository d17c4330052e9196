//! The data folder of a network.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use candid::Principal;
use ed25519_dalek::SigningKey;
use paigham_subnet::{FileJournal, KeyFile, RootKey, Subnet};
use paigham_wire::network::VerifiedNetwork;
use zeroize::Zeroizing;

use crate::error::NetworkUpError;
use crate::layout::{Layout, NetworkTopology, SUBNETS_MAX};

const SUBNET: &str = "subnet";
const ROOT_KEY: &str = "root.key";
const RELEASE_KEY: &str = "release.key";
const NETWORK_FILE: &str = "network.cbor";
const CANISTERS: &str = "canisters";
/// Hash of a network file that was signed while no log could take it.
const UNLOGGED: &str = "network.unlogged";
/// Ending of a key that takes another one's place once the network file names it.
const NEXT: &str = ".next";

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

    /// Where the subnet with this index is, counted from 0.
    pub(crate) fn subnet(&self, index: u16) -> PathBuf {
        self.path.join(subnet_name(index))
    }

    /// Opens the subnets, making those that are missing. Those that were opened are in `subnets`
    /// also when it fails.
    pub(crate) fn open_subnets(
        &self,
        layout: &Layout,
        subnets: &mut Vec<Subnet>,
    ) -> Result<(), NetworkUpError> {
        let (count, topology) = layout.settle(self.subnets(), self.topology())?;
        if let Some(file) = self.network_file()? {
            self.settle_root(&file)?;
        }
        let root = match topology {
            NetworkTopology::SelfRoot => None,
            NetworkTopology::Delegated => Some(self.root_key_or_new()?),
        };
        for index in 0..count {
            let config = layout.config(root.as_ref(), index);
            subnets.push(Subnet::open_as(&self.subnet(index), &config)?);
        }
        Ok(())
    }

    /// Keeps the subnets from being opened while the locks are held.
    pub(crate) fn lock(&self) -> Result<Vec<FileJournal>, NetworkUpError> {
        (0..self.subnets())
            .map(|index| FileJournal::open(&self.subnet(index)))
            .collect::<Result<_, _>>()
            .map_err(|error| NetworkUpError::Subnet(error.into()))
    }

    /// How many subnets there are.
    pub(crate) fn subnets(&self) -> u16 {
        (0..SUBNETS_MAX)
            .take_while(|index| self.subnet(*index).is_dir())
            .fold(0, |count, _| count + 1)
    }

    /// Who signs for the subnets, if that is settled.
    pub(crate) fn topology(&self) -> Option<NetworkTopology> {
        if self.path.join(ROOT_KEY).exists() {
            Some(NetworkTopology::Delegated)
        } else {
            (self.subnets() > 0).then_some(NetworkTopology::SelfRoot)
        }
    }

    /// The root key of a network whose subnets are delegated; made if there is none.
    pub(crate) fn root_key_or_new(&self) -> Result<RootKey, NetworkUpError> {
        if self.read(ROOT_KEY)?.is_none() {
            self.replace(ROOT_KEY, &*random_seed()?, 0o600)?;
        }
        let seed = self.read(ROOT_KEY)?.ok_or(NetworkUpError::RootKey)?;
        root_key(&seed)
    }

    /// Puts a new root key beside the one in use; returns what clients pin of it.
    pub(crate) fn prepare_root(
        &self,
        topology: NetworkTopology,
    ) -> Result<Vec<u8>, NetworkUpError> {
        let name = self.root_file(topology);
        let (bytes, der) = match topology {
            NetworkTopology::Delegated => {
                let seed = random_seed()?;
                let der = root_key(&*seed)?.der();
                (Zeroizing::new(seed.to_vec()), der)
            }
            NetworkTopology::SelfRoot => {
                let keys = KeyFile::read(&self.path.join(&name))?.with_new_root()?;
                (Zeroizing::new(keys.to_bytes()), keys.subnet_key_der()?)
            }
        };
        self.replace(&format!("{name}{NEXT}"), &bytes, 0o600)?;
        Ok(der)
    }

    /// Finishes a change of the root key, or forgets it, by what the network file says.
    pub(crate) fn settle_root(&self, file: &VerifiedNetwork) -> Result<(), NetworkUpError> {
        let Some(topology) = self.topology() else {
            return Ok(());
        };
        let name = self.root_file(topology);
        let next = format!("{name}{NEXT}");
        let Some(bytes) = self.read(&next)? else {
            return Ok(());
        };
        let der = match topology {
            NetworkTopology::Delegated => root_key(&bytes)?.der(),
            NetworkTopology::SelfRoot => KeyFile::read(&self.path.join(&next))?.subnet_key_der()?,
        };
        let (from, to) = (self.path.join(&next), self.path.join(&name));
        let settled = if file.file().root_key.as_slice() == der {
            std::fs::rename(from, &to)
        } else {
            std::fs::remove_file(from)
        };
        settled
            .and_then(|()| File::open(to.parent().unwrap_or(&self.path))?.sync_all())
            .map_err(|error| self.disk(&next, error))
    }

    /// Gives a subnet below a root key another key.
    pub(crate) fn renew_subnet_key(&self, index: u16) -> Result<(), NetworkUpError> {
        let name = format!("{}/{}", subnet_name(index), KeyFile::NAME);
        let keys = KeyFile::read(&self.path.join(&name))?.with_new_subnet_key()?;
        self.replace(&name, &Zeroizing::new(keys.to_bytes()), 0o600)
    }

    /// The file that holds the root key.
    fn root_file(&self, topology: NetworkTopology) -> String {
        match topology {
            NetworkTopology::Delegated => ROOT_KEY.to_owned(),
            NetworkTopology::SelfRoot => format!("{}/{}", subnet_name(0), KeyFile::NAME),
        }
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

    /// Canisters that a deployment has created, in order.
    pub(crate) fn created(&self) -> Result<Vec<Principal>, NetworkUpError> {
        let bytes = self.read(CANISTERS)?.unwrap_or_default();
        let damaged = || NetworkUpError::Layout("the list of canisters is damaged");
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
        text.lines()
            .map(|line| Principal::from_text(line).map_err(|_| damaged()))
            .collect()
    }

    /// Keeps which canisters a deployment has created.
    pub(crate) fn keep_created(&self, canisters: &[Principal]) -> Result<(), NetworkUpError> {
        let lines = canisters.iter().map(|id| format!("{id}\n"));
        self.replace(CANISTERS, lines.collect::<String>().as_bytes(), 0o644)
    }

    /// Replaces the network file.
    pub(crate) fn publish(&self, bytes: &[u8]) -> Result<(), NetworkUpError> {
        self.replace(NETWORK_FILE, bytes, 0o644)
    }

    /// Notes that a file is about to be published which the log does not have.
    pub(crate) fn note_unlogged(&self, file: &VerifiedNetwork) -> Result<(), NetworkUpError> {
        self.replace(UNLOGGED, &file.hash(), 0o644)
    }

    /// Whether the log lacks the published file. A note about a file that was never published says
    /// nothing.
    pub(crate) fn is_unlogged(&self, published: &VerifiedNetwork) -> Result<bool, NetworkUpError> {
        let noted = self.read(UNLOGGED)?;
        Ok(noted.is_some_and(|hash| hash.as_slice() == published.hash()))
    }

    /// Notes that the log has every file.
    pub(crate) fn all_logged(&self) -> Result<(), NetworkUpError> {
        match std::fs::remove_file(self.path.join(UNLOGGED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.disk(UNLOGGED, error))
            }
            _ => Ok(()),
        }
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
            self.replace(RELEASE_KEY, &*random_seed()?, 0o600)?;
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
            let target = self.path.join(name);
            std::fs::rename(&temporary, &target)?;
            File::open(target.parent().unwrap_or(&self.path))?.sync_all()
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

/// The first subnet's folder has its name from the time when there was one only.
fn subnet_name(index: u16) -> String {
    match index {
        0 => SUBNET.to_owned(),
        _ => format!("{SUBNET}-{}", index + 1),
    }
}

fn root_key(seed: &[u8]) -> Result<RootKey, NetworkUpError> {
    let seed = seed.try_into().map_err(|_| NetworkUpError::RootKey)?;
    Ok(RootKey::from_seed(seed))
}

fn random_seed() -> Result<Zeroizing<[u8; 32]>, NetworkUpError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|error| NetworkUpError::Random(error.to_string()))?;
    Ok(seed)
}
