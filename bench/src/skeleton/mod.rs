//! One message from end to end.

mod clients;
mod instructions;
mod people;
mod throughput;
mod transport;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use paigham_network::Network;
use paigham_subnet::{MemoryJournal, SystemClock};
use tokio::net::TcpListener;

use crate::report::Report;
use crate::{Failure, Options};

/// Measures and prints everything.
pub(crate) async fn measure(options: &Options, report: &Report) -> Result<(), Failure> {
    instructions::measure(options, report).await?;
    wire::measure(report).await?;
    throughput::measure(options, report).await?;
    clients::measure(options, report).await
}

/// A network in memory, for figures that time and disk do not enter.
pub(crate) async fn network_in_memory() -> Result<Network, Failure> {
    let journal = Box::new(MemoryJournal::default());
    Ok(Network::in_memory(Arc::new(SystemClock), journal, [1; 32]).await?)
}

/// Serves a network with its journal in a temporary folder on loopback while `body` runs.
async fn on_loopback(
    body: impl AsyncFnOnce(&Network) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let network = Network::up(folder.path(), listener.local_addr()?).await?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = network.serve(listener, async {
        drop(stopped.await);
    });
    let ran = async {
        let outcome = body(&network).await;
        drop(stop);
        outcome
    };
    let (served, ran) = tokio::join!(served, ran);
    network.shutdown();
    served.map_err(Failure::from)?;
    ran
}
