//! `paigham network`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use paigham_client::VerifiedNetwork;
use paigham_network::Network;
use paigham_subnet::{CanisterStatus, MethodUse, SubnetStatus};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::args::Common;
use crate::failure::{Failure, Kind};
use crate::output::{Output, Show, Style, time};
use crate::progress::Progress;
use crate::{session, signal, text};

/// Where `network up` keeps the file that clients are given, in its data folder.
const FILE_NAME: &str = "network.cbor";
/// Where a subnet tells of itself.
const STATUS_PATH: &str = "/paigham/subnet/status";
/// How long a node may take to tell.
const STATUS_PATIENCE: Duration = Duration::from_secs(10);
/// Most that is read of what it tells.
const STATUS_MAX_BYTES: usize = 1024 * 1024;
/// How long open requests may take to end when the network stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Runs a network until Ctrl-C or SIGTERM.
pub async fn up(data: &Path, listen: SocketAddr, out: &Output) -> Result<(), Failure> {
    // The address first: the network file names it, and a port that is taken is told at once.
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| cannot_listen(listen, &error))?;
    let address = listener
        .local_addr()
        .map_err(|error| cannot_listen(listen, &error))?;
    let progress = Progress::start("starting the subnet and compiling the canisters", out);
    let started = Network::up(data, address).await;
    drop(progress);
    let network = started?;
    out.show(&Up::of(&network, data)?);
    let served = tokio::select! {
        served = network.serve(listener, signal::stop()) => served,
        () = stopped_long_ago() => Ok(()),
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
            link: network.link(&url).to_string(),
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

/// Shows what a node tells of its subnet.
pub async fn status(common: &Common, out: &Output) -> Result<(), Failure> {
    let network = session::network(common).await?;
    let url = url_of(&network)?;
    let status = fetch(url).await?;
    if status.root_key != hex::encode(&network.file().root_key[..]) {
        return Err(Failure::new(
            Kind::Verification,
            format!("{url} is the node of another subnet than the network file names"),
            "trust nothing that it answers; tell the network's operator",
        ));
    }
    out.show(&Status {
        network: &network,
        url,
        status: &status,
    });
    Ok(())
}

fn url_of(network: &VerifiedNetwork) -> Result<&str, Failure> {
    let url = network.file().urls.first().map(String::as_str);
    url.ok_or_else(|| Failure::new(Kind::Network, "the network file names no address", ""))
}

async fn fetch(url: &str) -> Result<SubnetStatus, Failure> {
    let unreachable = |error: reqwest::Error| {
        Failure::new(
            Kind::Network,
            format!("{url} does not tell its status: {error}"),
            "check that the network runs: `paigham network up`",
        )
    };
    let strange = || Failure::new(Kind::Network, format!("{url} tells no status"), "");
    let client = reqwest::Client::builder()
        .timeout(STATUS_PATIENCE)
        .build()
        .map_err(unreachable)?;
    let address = format!("{}{STATUS_PATH}", url.trim_end_matches('/'));
    let answer = client
        .get(address)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    let mut answer = answer.map_err(unreachable)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&chunk);
        if body.len() > STATUS_MAX_BYTES {
            return Err(strange());
        }
    }
    serde_json::from_slice(&body).map_err(|_| strange())
}

/// What a node tells of its subnet, beside what the network file says.
struct Status<'a> {
    network: &'a VerifiedNetwork,
    url: &'a str,
    status: &'a SubnetStatus,
}

impl Status<'_> {
    /// What the network file has a module for; `None` if it allows no such module.
    fn role(&self, canister: &CanisterStatus) -> Option<String> {
        let file = self.network.file();
        let entry = file.canisters.iter().find(|entry| {
            entry
                .module_hashes
                .iter()
                .any(|hash| hex::encode(&hash[..]) == canister.module_hash)
        })?;
        Some(format!("{:?}", entry.role).to_lowercase())
    }

    fn canister_json(&self, canister: &CanisterStatus) -> Value {
        json!({
            "id": canister.id,
            "role": self.role(canister),
            "module_hash": canister.module_hash,
            "controllers": canister.controllers,
            "heap_bytes": canister.heap_bytes,
            "stable_bytes": canister.stable_bytes,
            "methods": canister.methods,
        })
    }

    fn canister_text(&self, canister: &CanisterStatus, style: Style) -> String {
        let (role, allowed) = match self.role(canister) {
            Some(role) => (role, "as the network file allows".to_owned()),
            None => ("canister".to_owned(), style.bad("NOT in the network file")),
        };
        let mut lines = vec![
            format!("{} {}", style.bold(&role), text::clean(&canister.id)),
            format!(
                "  module   {}, {allowed}",
                text::clean(&canister.module_hash)
            ),
            format!(
                "  memory   {} KiB heap, {} KiB stable",
                canister.heap_bytes / 1024,
                canister.stable_bytes / 1024
            ),
        ];
        lines.extend(methods(canister));
        lines.join("\n")
    }
}

fn methods(canister: &CanisterStatus) -> Vec<String> {
    if canister.methods.is_empty() {
        return Vec::new();
    }
    let head = format!(
        "  {:<24}{:>8}{:>8}{:>20}{:>14}",
        "method since start", "calls", "failed", "instructions/call", "pages/call"
    );
    let row = |(name, used): (&String, &MethodUse)| {
        let calls = used.calls.max(1);
        format!(
            "  {:<24}{:>8}{:>8}{:>20}{:>14}",
            text::clean(name),
            used.calls,
            used.failed,
            used.instructions / calls,
            used.dirty_pages / calls
        )
    };
    std::iter::once(head)
        .chain(canister.methods.iter().map(row))
        .collect()
}

impl Show for Status<'_> {
    fn json(&self) -> Value {
        let canisters: Vec<_> = self
            .status
            .canisters
            .iter()
            .map(|canister| self.canister_json(canister))
            .collect();
        json!({
            "type": "network_status",
            "network": self.network.file().name,
            "network_hash": hex::encode(self.network.hash()),
            "development": self.network.file().development,
            "url": self.url,
            "subnet": self.status.subnet,
            "root_key": self.status.root_key,
            "rounds": self.status.rounds,
            "time_ms": time::milliseconds(self.status.time_ns),
            "state_root": self.status.state_root,
            "canisters": canisters,
        })
    }

    fn text(&self, style: Style) -> String {
        let mut parts = vec![
            format!(
                "{}, as {} tells; clients believe certificates only",
                style.bold(&text::isolate(&self.network.file().name)),
                text::clean(self.url)
            ),
            format!("  subnet      {}", text::clean(&self.status.subnet)),
            format!(
                "  root key    {}, as in the network file",
                short(&self.status.root_key)
            ),
            format!(
                "  rounds      {}, the last at {}",
                self.status.rounds,
                time::utc(self.status.time_ns)
            ),
            format!("  state root  {}", text::clean(&self.status.state_root)),
        ];
        let canisters = &self.status.canisters;
        parts.extend(
            canisters
                .iter()
                .map(|canister| self.canister_text(canister, style)),
        );
        parts.join("\n")
    }
}

/// The end of a key, which differs; the beginning of a DER key never does.
fn short(hex: &str) -> String {
    let tail = hex.len().saturating_sub(32);
    format!("…{}", hex.get(tail..).unwrap_or(hex))
}
