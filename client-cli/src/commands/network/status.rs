//! `paigham network status`.

use std::time::Duration;

use paigham_client::VerifiedNetwork;
use paigham_subnet::{CanisterStatus, MethodUse, SubnetStatus};
use serde_json::{Value, json};

use super::url_of;
use crate::args::Common;
use crate::failure::{Failure, Kind};
use crate::output::{Output, Show, Style, time};
use crate::{session, text};

/// Where a subnet tells of itself.
const STATUS_PATH: &str = "/paigham/subnet/status";
/// How long a node may take to tell.
const STATUS_PATIENCE: Duration = Duration::from_secs(10);
/// Most that is read of what it tells.
const STATUS_MAX_BYTES: usize = 1024 * 1024;
/// Shows what a node tells of its subnets.
pub async fn status(common: &Common, out: &Output) -> Result<(), Failure> {
    let network = session::network(common).await?;
    let url = url_of(&network)?;
    let subnets = fetch(url).await?;
    let root_key = hex::encode(&network.file().root_key[..]);
    if subnets.is_empty() || subnets.iter().any(|subnet| subnet.root_key != root_key) {
        return Err(Failure::new(
            Kind::Verification,
            format!("{url} is the node of another network than the network file names"),
            "trust nothing that it answers; tell the network's operator",
        ));
    }
    out.show(&Status {
        network: &network,
        url,
        subnets: &subnets,
    });
    Ok(())
}

async fn fetch(url: &str) -> Result<Vec<SubnetStatus>, Failure> {
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

/// What a node tells of its subnets, beside what the network file says.
struct Status<'a> {
    network: &'a VerifiedNetwork,
    url: &'a str,
    subnets: &'a [SubnetStatus],
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

impl Status<'_> {
    fn subnet_json(&self, subnet: &SubnetStatus) -> Value {
        let canisters = subnet.canisters.iter();
        let canisters: Vec<_> = canisters.map(|it| self.canister_json(it)).collect();
        json!({
            "subnet": subnet.subnet,
            "rounds": subnet.rounds,
            "time_ms": time::milliseconds(subnet.time_ns),
            "state_root": subnet.state_root,
            "canisters": canisters,
        })
    }

    fn subnet_text(&self, subnet: &SubnetStatus, style: Style) -> String {
        let mut parts = vec![
            format!("  subnet      {}", text::clean(&subnet.subnet)),
            format!(
                "  rounds      {}, the last at {}",
                subnet.rounds,
                time::utc(subnet.time_ns)
            ),
            format!("  state root  {}", text::clean(&subnet.state_root)),
        ];
        let canisters = subnet.canisters.iter();
        parts.extend(canisters.map(|it| self.canister_text(it, style)));
        parts.join("\n")
    }
}

impl Show for Status<'_> {
    fn json(&self) -> Value {
        let subnets = self.subnets.iter();
        let subnets: Vec<_> = subnets.map(|subnet| self.subnet_json(subnet)).collect();
        json!({
            "type": "network_status",
            "network": self.network.file().name,
            "network_hash": hex::encode(self.network.hash()),
            "development": self.network.file().development,
            "url": self.url,
            "root_key": hex::encode(&self.network.file().root_key[..]),
            "subnets": subnets,
        })
    }

    fn text(&self, style: Style) -> String {
        let mut parts = vec![
            format!(
                "{}, as {} tells; clients believe certificates only",
                style.bold(&text::isolate(&self.network.file().name)),
                text::clean(self.url)
            ),
            format!(
                "  root key    {}, as in the network file",
                short(&hex::encode(&self.network.file().root_key[..]))
            ),
        ];
        let subnets = self.subnets.iter();
        parts.extend(subnets.map(|subnet| self.subnet_text(subnet, style)));
        parts.join("\n")
    }
}

/// The end of a key, which differs; the beginning of a DER key never does.
fn short(hex: &str) -> String {
    let tail = hex.len().saturating_sub(32);
    format!("…{}", hex.get(tail..).unwrap_or(hex))
}
