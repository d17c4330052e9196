//! Other keys for a network that is not running.

use std::path::Path;

use paigham_subnet::{Clock, Subnet, SystemClock};
use paigham_wire::network::VerifiedNetwork;

use crate::assemble::{Signer, under_another_root};
use crate::error::NetworkUpError;
use crate::folder::Folder;
use crate::layout::{Layout, NetworkTopology};

/// Which key is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rekey {
    /// The root key. Clients need the network file that follows.
    Root,
    /// The key of a subnet below a root key, counted from 1. The root delegates to the new key at
    /// the next start, and clients notice nothing.
    Subnet(u16),
}

/// Replaces a key of the network in a data folder; returns the network file that holds from now on.
///
/// The subnets are opened and stopped first: that leaves checkpoints and no logs, which would have
/// to be replayed under the key that they were written under. A process that dies in between has
/// changed the key or not; the next start finishes it.
///
/// # Errors
/// [`NetworkUpError`].
pub fn rekey(data: &Path, what: Rekey) -> Result<VerifiedNetwork, NetworkUpError> {
    let folder = Folder::open(data)?;
    let previous = folder.network_file()?.ok_or(NetworkUpError::NoNetwork)?;
    let topology = folder.topology().ok_or(NetworkUpError::NoNetwork)?;
    let mut subnets = Vec::new();
    let opened = folder.open_subnets(&Layout::default(), &mut subnets);
    subnets.iter().for_each(Subnet::shutdown);
    drop(subnets);
    opened?;
    let _locks = folder.lock()?;
    match what {
        Rekey::Root => change_root(&folder, topology, &previous),
        Rekey::Subnet(number) => {
            if topology == NetworkTopology::SelfRoot {
                return Err(NetworkUpError::Layout(
                    "the subnet is its own root: change the root key",
                ));
            }
            let index = number
                .checked_sub(1)
                .filter(|index| *index < folder.subnets())
                .ok_or(NetworkUpError::NoSubnet(number))?;
            folder.renew_subnet_key(index)?;
            Ok(previous)
        }
    }
}

/// The new key lies beside the old one until the file that names it is published. Of a network that
/// does not run the log cannot take that file; the next start hands it in, and until then the key
/// does not change again.
fn change_root(
    folder: &Folder,
    topology: NetworkTopology,
    previous: &VerifiedNetwork,
) -> Result<VerifiedNetwork, NetworkUpError> {
    if folder.is_unlogged(previous)? {
        return Err(NetworkUpError::NotLogged);
    }
    let signer = Signer::of_release_key(folder.release_key()?);
    let root_key = folder.prepare_root(topology)?;
    let now_seconds = SystemClock.now_ns() / 1_000_000_000;
    let next = under_another_root(previous, root_key, &signer, now_seconds)?;
    folder.note_unlogged(&next)?;
    folder.publish(next.bytes())?;
    folder.settle_root(&next)?;
    Ok(next)
}
