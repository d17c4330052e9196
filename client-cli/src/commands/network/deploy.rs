//! `paigham network deploy` and `paigham network upgrade`.

use std::path::{Path, PathBuf};

use paigham_client::VerifiedNetwork;
use paigham_client::review::{AdminSet, PrincipalId};
use paigham_network::deploy as network;
use paigham_network::deploy::{Agent, DeployError, Deployment, Place, Trust, announce, connect};
use serde_json::{Value, json};

use super::{FILE_NAME, id, link_of};
use crate::args::{DeployOptions, EndpointOptions};
use crate::failure::{Failure, Kind};
use crate::output::{Output, Show, Style};
use crate::progress::Progress;

/// Installs the canisters on an endpoint, and signs the network file.
pub async fn deploy(data: &Path, options: &DeployOptions, out: &Output) -> Result<(), Failure> {
    let place = match (&options.subnet, &options.at) {
        (Some(subnet), _) => Place::Subnet(id(subnet)?),
        (None, at) => Place::Anywhere(id(at)?),
    };
    let controllers = options.controllers.iter().map(|text| id(text));
    let plan = Deployment {
        url: options.endpoint.url.clone(),
        name: options.name.clone(),
        place,
        relays: options.relays,
        controllers: controllers.collect::<Result<_, _>>()?,
        admins: admins(options)?,
        development: options.endpoint.development,
        auditors: options.auditors.key_set()?,
    };
    let progress = Progress::start("installing the canisters", out);
    let agent = agent(&options.endpoint).await?;
    let deployed = network::deploy(data, &agent, &plan).await;
    drop(progress);
    show(data, &deployed?, "The network is deployed.", out)
}

/// Announces the modules of this program, or upgrades the canisters to them.
pub async fn upgrade(
    data: &Path,
    endpoint: &EndpointOptions,
    only_announce: bool,
    out: &Output,
) -> Result<(), Failure> {
    if only_announce {
        let agent = agent(endpoint).await?;
        let says = "The new modules are announced. Publish this file before you upgrade.";
        return show(data, &announce(data, &agent).await?, says, out);
    }
    let progress = Progress::start("upgrading the canisters", out);
    let agent = agent(endpoint).await?;
    let upgraded = network::upgrade(data, &agent).await;
    drop(progress);
    show(data, &upgraded?, "The canisters run the new modules.", out)
}

/// Who administers from the start on.
fn admins(options: &DeployOptions) -> Result<Option<AdminSet>, Failure> {
    if options.admins.is_empty() {
        return Ok(None);
    }
    let mut admins = Vec::new();
    for text in &options.admins {
        let admin = PrincipalId::new(id(text)?.as_slice());
        admins.push(admin.ok_or_else(|| Failure::user(format!("{text} is no principal"), ""))?);
    }
    admins.sort();
    admins.dedup();
    let most = u16::try_from(admins.len()).unwrap_or(u16::MAX);
    Ok(Some(AdminSet {
        admins,
        threshold: options.admins_required.unwrap_or(most / 2 + 1),
    }))
}

pub(super) async fn agent(endpoint: &EndpointOptions) -> Result<Agent, Failure> {
    let trust = match (&endpoint.root_key, endpoint.development) {
        (Some(hex), _) => Trust::RootKey(hex::decode(hex).map_err(|_| {
            Failure::user("the root key is no hexadecimal number", "give its DER form")
        })?),
        (None, true) => Trust::Endpoint,
        (None, false) => Trust::InternetComputer,
    };
    Ok(connect(&endpoint.url, &endpoint.identity, trust).await?)
}

fn show(
    data: &Path,
    file: &VerifiedNetwork,
    says: &'static str,
    out: &Output,
) -> Result<(), Failure> {
    let path = data.join(FILE_NAME);
    out.show(&Deployed {
        says,
        sequence: file.file().sequence,
        link: link_of(file)?,
        file: std::path::absolute(&path).unwrap_or(path),
    });
    Ok(())
}

/// A network file that was signed.
struct Deployed {
    says: &'static str,
    sequence: u64,
    link: String,
    file: PathBuf,
}

impl Show for Deployed {
    fn json(&self) -> Value {
        json!({
            "type": "network_deployed",
            "sequence": self.sequence,
            "link": self.link,
            "file": self.file,
        })
    }

    fn text(&self, style: Style) -> String {
        [
            style.bold(self.says),
            format!(
                "  network file  {}, number {}",
                self.file.display(),
                self.sequence
            ),
            format!("  link          {}", self.link),
        ]
        .join("\n")
    }
}

impl From<DeployError> for Failure {
    fn from(error: DeployError) -> Self {
        let (kind, hint) = match error {
            DeployError::Network(error) => return error.into(),
            DeployError::Agent { .. } | DeployError::Reply(_) => (
                Kind::Network,
                "begin again with the same folder: what is done is not repeated",
            ),
            DeployError::Administration(_) => (
                Kind::User,
                "`paigham network administration` shows who administers and what waits",
            ),
            DeployError::Identity(_) => {
                (Kind::User, "`openssl genpkey -algorithm ed25519` makes one")
            }
            DeployError::NotAnnounced(_) => (
                Kind::User,
                "`network upgrade --announce` signs the file that clients must have first",
            ),
        };
        Self::new(kind, error.to_string(), hint)
    }
}
