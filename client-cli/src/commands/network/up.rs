//! `paigham network up`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use paigham_network::Network;
use paigham_subnet::StopReason;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{FILE_NAME, link_of, url_of};
use crate::args::UpOptions;
use crate::failure::{Failure, Kind};
use crate::output::{Output, Show, Style};
use crate::progress::Progress;
use crate::signal;

/// How long open requests may take to end when the network stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Runs a network until Ctrl-C or SIGTERM, or until one of its subnets stops by itself.
pub async fn up(data: &Path, options: &UpOptions, out: &Output) -> Result<(), Failure> {
    let layout = options.layout()?;
    let listen = options.listen;
    // The address first: the network file names it, and a port that is taken is told at once.
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| cannot_listen(listen, &error))?;
    let address = listener
        .local_addr()
        .map_err(|error| cannot_listen(listen, &error))?;
    let progress = Progress::start("starting the subnet and compiling the canisters", out);
    let started = Network::up_as(data, address, &layout).await;
    drop(progress);
    let network = started?;
    if let Err(failure) = set_creators(&network, &options.creators).await {
        network.shutdown();
        return Err(failure);
    }
    out.show(&Up::of(&network, data)?);
    let served = tokio::select! {
        served = network.serve(listener, signal::stop()) => served,
        () = stopped_long_ago() => Ok(()),
        reason = network.stops_by_itself() => return Err(stopped_by_itself(&network, &reason)),
    };
    network.shutdown();
    served.map_err(|error| cannot_listen(address, &error))?;
    out.show(&Down);
    Ok(())
}

/// A client that never ends its request does not keep the network from stopping.
async fn stopped_long_ago() {
    signal::stop().await;
    tokio::time::sleep(STOP_PATIENCE).await;
}

async fn set_creators(network: &Network, creators: &[String]) -> Result<(), Failure> {
    let creators = creators.iter().map(|text| super::id(text));
    let creators: Vec<_> = creators.collect::<Result<_, _>>()?;
    if creators.is_empty() {
        return Ok(());
    }
    for subnet in network.subnets() {
        let set = subnet.set_creators(creators.clone()).await;
        let set = set.map_err(|error| Failure::new(Kind::Internal, error.to_string(), ""))?;
        if !set {
            return Err(Failure::user(
                "too many may create canisters",
                "at most 100",
            ));
        }
    }
    Ok(())
}

/// The other subnets stop in order; of this one nothing more is certified.
fn stopped_by_itself(network: &Network, reason: &StopReason) -> Failure {
    network.shutdown();
    match reason {
        StopReason::Journal(_) => Failure::new(
            Kind::Storage,
            reason.to_string(),
            "free the disk or replace it, then start again: nothing that was answered is lost",
        ),
        StopReason::Diverged(_) => Failure::new(
            Kind::Internal,
            reason.to_string(),
            "this machine's memory may be faulty; nothing that differed was certified",
        ),
    }
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::user(
        format!("cannot listen on {address}: {error}"),
        "choose another address with --listen, for example 127.0.0.1:0 for any free port",
    )
}

/// A network that runs.
struct Up {
    url: String,
    link: String,
    file: PathBuf,
}

impl Up {
    fn of(network: &Network, data: &Path) -> Result<Self, Failure> {
        let url = url_of(network.file())?.to_owned();
        let file = data.join(FILE_NAME);
        let file = std::path::absolute(&file).unwrap_or(file);
        Ok(Self {
            link: link_of(network.file())?,
            url,
            file,
        })
    }
}

impl Show for Up {
    fn json(&self) -> Value {
        json!({ "type": "network_up", "url": self.url, "link": self.link, "file": self.file })
    }

    fn text(&self, style: Style) -> String {
        [
            style.bold(&format!("The network is up at {}", self.url)),
            "  It is for development: all its keys lie in its data folder.".into(),
            format!("  network file  {}", self.file.display()),
            format!("  link          {}", self.link),
            style.dim("Ctrl-C stops it."),
        ]
        .join("\n")
    }
}

/// A network that has stopped, with everything on the disk.
struct Down;

impl Show for Down {
    fn json(&self) -> Value {
        json!({ "type": "network_down" })
    }

    fn text(&self, _: Style) -> String {
        "The network has stopped; its state is in the data folder.".into()
    }
}
