//! A development network on one machine: embedded subnets, the canisters on them, and the signed
//! network file that clients pin.
//!
//! ```text
//! data/
//!   subnet/        journal, checkpoints and keys of the subnet (`spec/subnet.md`)
//!   subnet-2/ …    those of further subnets, below a root key
//!   root.key       seed of the root key where it delegates to subnets, 32 bytes
//!   release.key    seed of the one release key, 32 bytes, readable by its owner only
//!   network.cbor   the network file, replaced as a whole
//!   network.unlogged  its hash, between a change of the root key and the next start
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
pub mod deploy;
mod error;
mod folder;
mod layout;
mod log;
mod rekey;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use paigham_subnet::{Clock, Journal, StopReason, Subnet, router_of};
use paigham_wire::ids::CanisterId;
use paigham_wire::network::{NETWORK_PATH, NetworkLink, VerifiedNetwork};

pub use error::NetworkUpError;
pub use layout::{Contents, Layout, NetworkTopology, RELAYS_MAX, SUBNETS_MAX, auditors};
pub use log::LogError;
pub use paigham_wire::network::KeySet;
pub use rekey::{Rekey, rekey};

use assemble::{Signer, assemble};
use folder::Folder;

/// Where a network without a socket says it is; nobody can be reached there.
const NOWHERE: &str = "http://subnet.invalid";

/// A running development network.
#[derive(Debug)]
pub struct Network {
    first: Subnet,
    others: Vec<Subnet>,
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
        Self::up_as(data, address, &Layout::default()).await
    }

    /// As [`Network::up`], made of what `layout` says.
    ///
    /// # Errors
    /// [`NetworkUpError`].
    pub async fn up_as(
        data: &Path,
        address: SocketAddr,
        layout: &Layout,
    ) -> Result<Self, NetworkUpError> {
        let folder = Folder::open(data)?;
        let mut subnets = Vec::new();
        match Self::up_on(&folder, &mut subnets, address, layout).await {
            Ok(file) => Self::new(subnets, file),
            Err(error) => {
                subnets.iter().for_each(Subnet::shutdown);
                Err(error)
            }
        }
    }

    /// Opens the subnets of a folder into `subnets` and puts the network on them.
    async fn up_on(
        folder: &Folder,
        subnets: &mut Vec<Subnet>,
        address: SocketAddr,
        layout: &Layout,
    ) -> Result<VerifiedNetwork, NetworkUpError> {
        folder.open_subnets(layout, subnets)?;
        let previous = folder.network_file()?;
        let signer = match previous {
            Some(_) => Signer::of_release_key(folder.release_key()?),
            None => Signer::of_release_key(folder.release_key_or_new()?),
        };
        let contents = Contents {
            urls: vec![url_of(address)],
            relays: layout.relays,
            auditors: layout.auditors.clone(),
        };
        let file = assemble(subnets, &contents, &signer, previous.as_ref()).await?;
        if previous.as_ref() != Some(&file) {
            folder.publish(file.bytes())?;
        }
        folder.all_logged()?;
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
        Self::on_all(vec![subnet], &at(urls), seed, None).await
    }

    /// Like [`Network::on`], on several subnets of one root key. `file` is what [`file_bytes`](Self::file_bytes) gave before, if they were restarted.
    ///
    /// # Errors
    /// [`NetworkUpError`].
    pub async fn on_all(
        subnets: Vec<Subnet>,
        contents: &Contents,
        seed: [u8; 32],
        file: Option<&[u8]>,
    ) -> Result<Self, NetworkUpError> {
        let previous = file
            .map(VerifiedNetwork::pinned)
            .transpose()
            .map_err(NetworkUpError::File)?;
        let signer = Signer::from_seed(seed);
        let file = assemble(&subnets, contents, &signer, previous.as_ref()).await?;
        Self::new(subnets, file)
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
        Self::on_all(vec![subnet], &at(urls), seed, Some(file)).await
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

    fn new(mut subnets: Vec<Subnet>, file: VerifiedNetwork) -> Result<Self, NetworkUpError> {
        let directory = file.directory().map_err(NetworkUpError::File)?;
        let relay = file.relay().map_err(NetworkUpError::File)?;
        if subnets.is_empty() {
            return Err(NetworkUpError::NoNetwork);
        }
        let others = subnets.split_off(1);
        let first = subnets.pop().ok_or(NetworkUpError::NoNetwork)?;
        Ok(Self {
            first,
            others,
            file,
            directory,
            relay,
        })
    }

    /// The first subnet, which holds the directory.
    #[must_use]
    pub const fn subnet(&self) -> &Subnet {
        &self.first
    }

    /// All subnets.
    pub fn subnets(&self) -> impl Iterator<Item = &Subnet> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Waits until a subnet stops by itself, and tells why.
    pub async fn stops_by_itself(&self) -> StopReason {
        let mut waiting: Vec<_> = self
            .subnets()
            .map(|subnet| Box::pin(subnet.stops_by_itself()))
            .collect();
        std::future::poll_fn(|context| {
            waiting
                .iter_mut()
                .map(|subnet| subnet.as_mut().poll(context))
                .find(std::task::Poll::is_ready)
                .unwrap_or(std::task::Poll::Pending)
        })
        .await
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

    /// The first of all relay canisters.
    #[must_use]
    pub const fn relay(&self) -> &CanisterId {
        &self.relay
    }

    /// The link to give to people, as [`link_to`].
    #[must_use]
    pub fn link(&self, url: &str) -> NetworkLink {
        link_to(&self.file, url)
    }

    /// The subnets' HTTP interface and the network file beside it.
    pub fn router(&self) -> Router {
        router_of(self.subnets()).merge(self.file_route())
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
        axum::serve(listener, self.router())
            .with_graceful_shutdown(stop)
            .await
    }

    /// Stops the subnets, each after a checkpoint.
    pub fn shutdown(&self) {
        self.subnets().for_each(Subnet::shutdown);
    }
}

/// The link to a network file: its hash, and that it is served under `url` (without a path).
#[must_use]
pub fn link_to(file: &VerifiedNetwork, url: &str) -> NetworkLink {
    NetworkLink {
        hash: file.hash(),
        at: format!("{}{NETWORK_PATH}", url.trim_end_matches('/')),
    }
}

/// Addresses, and the rest as it is.
fn at(urls: Vec<String>) -> Contents {
    Contents {
        urls,
        ..Contents::default()
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
