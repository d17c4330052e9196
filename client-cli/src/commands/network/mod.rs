//! `paigham network`: one file for each command.

mod action;
mod administration;
mod deploy;
mod rekey;
mod status;
mod up;

use paigham_client::VerifiedNetwork;
use paigham_network::deploy::Principal;
use paigham_network::link_to;

use crate::failure::{Failure, Kind};

pub use administration::{administration, approve, propose};
pub use deploy::{deploy, upgrade};
pub use rekey::rekey;
pub use status::status;
pub use up::up;

/// Where `network up` keeps the file that clients are given, in its data folder.
const FILE_NAME: &str = "network.cbor";

fn url_of(network: &VerifiedNetwork) -> Result<&str, Failure> {
    let url = network.file().urls.first().map(String::as_str);
    url.ok_or_else(|| Failure::new(Kind::Network, "the network file names no address", ""))
}

/// The link of a network file, at the address that it names.
fn link_of(network: &VerifiedNetwork) -> Result<String, Failure> {
    Ok(link_to(network, url_of(network)?).to_string())
}

/// A principal that the user gave.
fn id(text: &str) -> Result<Principal, Failure> {
    Principal::from_text(text).map_err(|_| {
        let hint = "a principal looks like rrkah-fqaaa-aaaaa-aaaaq-cai";
        Failure::user(format!("{text} is no principal"), hint)
    })
}
