//! The trust root: where a network file comes from, and that a home stays with it
//! (`spec/network.md`).

use paigham_lookup::LogTrust;
use paigham_store::{Table, WriteSet};
use paigham_transparency::codec::Codec;
use paigham_transparency::structs::Configuration;
use paigham_wire::network::{NETWORK_MAX_BYTES, NetworkError, NetworkLink, VerifiedNetwork};
use serde_bytes::ByteBuf;

use crate::clock::Clock;
use crate::error::ClientError;

const PINNED: &[u8] = b"pinned";

/// Reads a network file from a path or from a link, and checks that it is whole.
///
/// # Errors
/// [`ClientError`].
///
/// # Security
/// A link names the file by its hash. A path is trusted at its first use; afterwards the home
/// holds what it said ([`crate::Client::open`]).
pub async fn load_network(source: &str, clock: &dyn Clock) -> Result<VerifiedNetwork, ClientError> {
    let bytes = match NetworkLink::parse(source) {
        Some(link) => {
            let bytes = download(&link.at).await?;
            if !link.matches(&bytes) {
                return Err(ClientError::OtherNetworkFile);
            }
            bytes
        }
        None => read_file(source)?,
    };
    match VerifiedNetwork::first(&bytes, clock.wall_ns() / 1_000_000_000) {
        // By this machine's clock, which may be wrong: certified time decides later.
        Err(NetworkError::Expired) => Ok(VerifiedNetwork::pinned(&bytes)?),
        checked => Ok(checked?),
    }
}

fn read_file(path: &str) -> Result<Vec<u8>, ClientError> {
    use std::io::Read;
    let failed = |error: std::io::Error| ClientError::NoNetworkFile {
        from: path.to_owned(),
        why: error.to_string(),
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .map_err(failed)?
        .take(NETWORK_MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

async fn download(url: &str) -> Result<Vec<u8>, ClientError> {
    let failed = |error: reqwest::Error| ClientError::NoNetworkFile {
        from: url.to_owned(),
        why: error.without_url().to_string(),
    };
    let too_long = || ClientError::NoNetworkFile {
        from: url.to_owned(),
        why: "it is too long for a network file".to_owned(),
    };
    let client = reqwest::Client::builder()
        .timeout(std::time::Duration::from_secs(30))
        .build()
        .map_err(failed)?;
    let mut response = client
        .get(url)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(failed)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if bytes.len() + chunk.len() > NETWORK_MAX_BYTES {
            return Err(too_long());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The log that a network file names.
///
/// # Errors
/// [`ClientError::NoLog`]; [`ClientError::NotVerified`] for one that cannot be checked here.
pub(crate) fn log_of(network: &VerifiedNetwork) -> Result<LogTrust, ClientError> {
    let file = network.file();
    let config = file.transparency.as_ref().ok_or(ClientError::NoLog)?;
    let config = Configuration::decode(config).map_err(|_| ClientError::NoLog)?;
    let root_key = file.root_key.to_vec();
    Ok(LogTrust::new(root_key, network.directory()?, config)?)
}

/// Makes a network the one of this home.
pub(crate) fn pin(set: &WriteSet, network: &VerifiedNetwork) -> Result<(), ClientError> {
    let bytes = ByteBuf::from(network.bytes());
    Ok(set.put(Table::Network, PINNED, &bytes)?)
}

/// The published file of the home's network.
pub(crate) fn pinned_bytes(set: &WriteSet) -> Result<Vec<u8>, ClientError> {
    let bytes: Option<ByteBuf> = set.get(Table::Network, PINNED)?;
    let bytes = bytes.ok_or(ClientError::Bug("a home without a network"))?;
    Ok(bytes.into_vec())
}

/// The home's network, or the signed successor of it that the user gives; that one is pinned then.
///
/// # Errors
/// [`ClientError::OtherNetwork`], [`ClientError::NetworkFile`].
pub(crate) fn pinned(
    set: &WriteSet,
    given: Option<VerifiedNetwork>,
    now_seconds: u64,
) -> Result<VerifiedNetwork, ClientError> {
    let known = VerifiedNetwork::pinned(&pinned_bytes(set)?)?;
    let Some(given) = given.filter(|given| given.hash() != known.hash()) else {
        return Ok(known);
    };
    if given.file().network != known.file().network {
        return Err(ClientError::OtherNetwork);
    }
    // An older file of the same network changes nothing.
    if given.file().sequence < known.file().sequence {
        return Ok(known);
    }
    let next = known.successor(given.bytes(), now_seconds)?;
    pin(set, &next)?;
    Ok(next)
}
