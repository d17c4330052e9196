//! A development network on one machine: the embedded subnet, the two canisters on it, and the
//! signed network file that clients pin.
//!
//! ```text
//! data/
//!   subnet/        journal, checkpoints and keys of the subnet (`spec/subnet.md`)
//!   release.key    seed of the one release key, 32 bytes, readable by its owner only
//!   network.cbor   the network file, replaced as a whole
//! ```
//! The steps of a start can be interrupted anywhere: canisters are installed in a fixed order, so
//! that what a subnet already holds tells how far the last start came, and the file is published
//! last.
//!
//! # Security
//! Whoever reads the data folder holds the subnet's key and the release key: everything that this
//! network certifies is as trustworthy as this one machine. The file says so (`development`).

#![forbid(unsafe_code)]

mod assemble;
mod error;
mod folder;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use paigham_subnet::{Clock, Journal, Subnet};
use paigham_wire::ids::CanisterId;
use paigham_wire::network::{NETWORK_PATH, NetworkLink, VerifiedNetwork};

pub use error::NetworkUpError;

use assemble::{Signer, assemble};
use folder::Folder;

/// Where a network without a socket says it is; nobody can be reached there.
const NOWHERE: &str = "http://subnet.invalid";

/// A running development network.
#[derive(Debug)]
pub struct Network {
    subnet: Subnet,
    file: VerifiedNetwork,
    directory: CanisterId,
    relay: CanisterId,
}

impl Network {
    /// Starts the network of a data folder, making one if there is none.
    ///
    /// Canisters are installed at the first start and upgraded when this program embeds other
    /// modules. The network file is replaced by a successor when what it says has changed.
    /// `address` is where the caller will [`serve`](Self::serve).
    ///
    /// # Errors
    /// [`NetworkUpError`].
    pub async fn up(data: &Path, address: SocketAddr) -> Result<Self, NetworkUpError> {
        let folder = Folder::open(data)?;
        let subnet = Subnet::open(&folder.subnet())?;
        let outcome = Self::up_on(&folder, &subnet, address).await;
        match outcome {
            Ok(file) => Self::new(subnet, file),
            Err(error) => {
                subnet.shutdown();
                Err(error)
            }
        }
    }

    async fn up_on(
        folder: &Folder,
        subnet: &Subnet,
        address: SocketAddr,
    ) -> Result<VerifiedNetwork, NetworkUpError> {
        let previous = folder.network_file()?;
        let signer = match previous {
            Some(_) => Signer::random_network(folder.release_key()?)?,
            None => Signer::random_network(folder.release_key_or_new()?)?,
        };
        let urls = vec![url_of(address)];
        let file = assemble(subnet, urls, &signer, previous.as_ref()).await?;
        if previous.as_ref() != Some(&file) {
            folder.publish(file.bytes())?;
        }
        Ok(file)
    }

    /// A network on any subnet, without files: for tests and measurements. The release key and
    /// the network's id come from `seed`.
    ///
    /// # Errors
    /// [`NetworkUpError`].
    pub async fn on(
        subnet: Subnet,
        urls: Vec<String>,
        seed: [u8; 32],
    ) -> Result<Self, NetworkUpError> {
        let file = assemble(&subnet, urls, &Signer::from_seed(seed), None).await?;
        Self::new(subnet, file)
    }

    /// Like [`Network::on`], for a subnet that was restarted: `file` is what
    /// [`file_bytes`](Self::file_bytes) gave before, and stays as it is unless something changed.
    ///
    /// # Errors
    /// [`NetworkUpError`].
    pub async fn again_on(
        subnet: Subnet,
        urls: Vec<String>,
        seed: [u8; 32],
        file: &[u8],
    ) -> Result<Self, NetworkUpError> {
        let previous = VerifiedNetwork::pinned(file).map_err(NetworkUpError::File)?;
        let signer = Signer::from_seed(seed);
        let file = assemble(&subnet, urls, &signer, Some(&previous)).await?;
        Self::new(subnet, file)
    }

    /// A network on a journal and a clock of the caller's, reached in the same process only.
    ///
    /// # Errors
    /// [`NetworkUpError`].
    pub async fn in_memory(
        clock: Arc<dyn Clock>,
        journal: Box<dyn Journal>,
        seed: [u8; 32],
    ) -> Result<Self, NetworkUpError> {
        let subnet = Subnet::open_with(journal, clock, seed)?;
        Self::on(subnet, vec![NOWHERE.to_owned()], seed).await
    }

    fn new(subnet: Subnet, file: VerifiedNetwork) -> Result<Self, NetworkUpError> {
        let directory = file.directory().map_err(NetworkUpError::File)?;
        let relay = file.relay().map_err(NetworkUpError::File)?;
        Ok(Self {
            subnet,
            file,
            directory,
            relay,
        })
    }

    /// The subnet, for transports in the same process and for its status.
    #[must_use]
    pub const fn subnet(&self) -> &Subnet {
        &self.subnet
    }

    /// The network file as it is published.
    #[must_use]
    pub fn file_bytes(&self) -> &[u8] {
        self.file.bytes()
    }

    /// What the network file says.
    #[must_use]
    pub const fn file(&self) -> &VerifiedNetwork {
        &self.file
    }

    /// The directory canister.
    #[must_use]
    pub const fn directory(&self) -> &CanisterId {
        &self.directory
    }

    /// The relay canister.
    #[must_use]
    pub const fn relay(&self) -> &CanisterId {
        &self.relay
    }

    /// The link to give to people: the hash of this file, served under `url` (without a path).
    #[must_use]
    pub fn link(&self, url: &str) -> NetworkLink {
        let at = format!("{}{NETWORK_PATH}", url.trim_end_matches('/'));
        NetworkLink {
            hash: self.file.hash(),
            at,
        }
    }

    /// The subnet's HTTP interface and the network file beside it.
    pub fn router(&self) -> Router {
        self.subnet.router().merge(self.file_route())
    }

    fn file_route(&self) -> Router {
        let bytes = axum::body::Bytes::copy_from_slice(self.file.bytes());
        let answer = move || async move { ([(CONTENT_TYPE, "application/cbor")], bytes) };
        Router::new().route(NETWORK_PATH, get(answer))
    }

    /// Serves HTTP until `stop` resolves; [`shutdown`](Self::shutdown) is for afterwards.
    ///
    /// # Errors
    /// Of the listener.
    pub async fn serve(
        &self,
        listener: tokio::net::TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        self.subnet.serve(listener, self.file_route(), stop).await
    }

    /// Stops the subnet after a checkpoint.
    pub fn shutdown(&self) {
        self.subnet.shutdown();
    }
}

/// Where clients on this machine reach a listener: nobody can call a wildcard address.
fn url_of(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}")
}
