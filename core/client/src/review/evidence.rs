//! Evidence files, checked by somebody who has nothing else (`spec/evidence.md`).

use paigham_lookup::LogTrust;
use paigham_lookup::evidence::{Evidence, Report};
use paigham_wire::network::VerifiedNetwork;

use super::error::ReviewError;

/// What evidence files prove, one or several together.
#[derive(Debug)]
pub struct EvidenceFacts {
    /// The network file that they were judged under here.
    pub network: VerifiedNetwork,
    /// Whether the reader named it; else it is the one in the first file, which is only whole.
    pub is_network_named: bool,
    /// What is proved, and what is not.
    pub report: Report,
}

/// Checks evidence files from their raw bytes. Several are read as one: two people's halves of one
/// proof.
///
/// # Errors
/// [`ReviewError::OtherKind`], [`ReviewError::OtherNetwork`] for files of different networks or of
/// another one than is named.
pub fn check_evidence(
    files: &[Vec<u8>],
    named: Option<&VerifiedNetwork>,
) -> Result<EvidenceFacts, ReviewError> {
    let kind = || ReviewError::OtherKind("evidence file");
    let mut read = files.iter().map(|bytes| Evidence::from_bytes(bytes));
    let first = read.next().ok_or_else(kind)?;
    let mut all = first.map_err(|_| kind())?;
    let within = VerifiedNetwork::pinned(all.network.as_slice())?;
    for other in read {
        let other = other.map_err(|_| kind())?;
        let network = VerifiedNetwork::pinned(other.network.as_slice())?;
        is_of_network(&network, &within)?;
        all.items.extend(other.items);
    }
    let network = match named {
        Some(named) => named.clone(),
        None => within.clone(),
    };
    is_of_network(&within, &network)?;
    let trust = LogTrust::of_network(&network)?;
    Ok(EvidenceFacts {
        report: all.check_under(&trust, &network),
        network,
        is_network_named: named.is_some(),
    })
}

/// The same network, perhaps under another of its files.
fn is_of_network(one: &VerifiedNetwork, other: &VerifiedNetwork) -> Result<(), ReviewError> {
    if one.file().network == other.file().network {
        Ok(())
    } else {
        Err(ReviewError::OtherNetwork)
    }
}

impl EvidenceFacts {
    /// Whether the file is good for what it says.
    ///
    /// # Errors
    /// [`ReviewError::NothingProved`].
    pub fn require_claim(&self) -> Result<(), ReviewError> {
        match self.report.is_as_claimed() {
            true => Ok(()),
            false => Err(ReviewError::NothingProved(self.report.claimed)),
        }
    }
}
