//! Why a network does not start.

use std::io;
use std::path::PathBuf;

use paigham_subnet::{InstallError, OpenError, Stopped};
use paigham_wire::network::NetworkError;

use crate::log::LogError;

/// Why a network does not start.
#[derive(Debug, thiserror::Error)]
pub enum NetworkUpError {
    /// The subnet does not open.
    #[error(transparent)]
    Subnet(#[from] OpenError),
    /// The subnet stopped in the middle.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// A canister is not installed or upgraded.
    #[error("the {canister} canister: {error}")]
    Install {
        /// Which.
        canister: &'static str,
        /// Why.
        #[source]
        error: InstallError,
    },
    /// A file of the data folder.
    #[error("{}: {error}", path.display())]
    Disk {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The stored network file, or the one just made, is none.
    #[error("the stored network file: {0}")]
    File(#[source] NetworkError),
    /// The network file speaks of another subnet than the one in the folder.
    #[error("the network file belongs to another subnet than the one in the data folder")]
    OtherSubnet,
    /// The network file names other release keys than the stored one.
    #[error("the release key in the data folder is not the network file's")]
    OtherReleaseKey,
    /// What the network was to be made of cannot be, or not any more.
    #[error("{0}")]
    Layout(&'static str),
    /// The root key is not 32 bytes.
    #[error("the root key in the data folder is damaged")]
    RootKey,
    /// There is no network in the folder yet.
    #[error("there is no network in the data folder")]
    NoNetwork,
    /// There is no subnet of this number.
    #[error("the network has no subnet {0}")]
    NoSubnet(u16),
    /// The release key is not 32 bytes.
    #[error("the release key in the data folder is damaged")]
    ReleaseKey,
    /// The directory's log does not begin.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log has a network file that does not follow the one on this machine.
    #[error("the network file in the log: {0}")]
    Logged(#[source] paigham_wire::network::LoggedError),
    /// The root key was changed since the last start: the log has to take that file first, since it
    /// skips no number.
    #[error(
        "the log does not have the network file of the last change yet: start the network once"
    )]
    NotLogged,
    /// There is no randomness.
    #[error("no randomness from the operating system: {0}")]
    Random(String),
}
