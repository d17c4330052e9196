//! Network files in the log. The first one begins the log: it is version 0 of its label in entry 0,
//! so that whoever reads the log knows which network's it is.

use ic_stable_structures::Memory;
use paigham_transparency::codec::Codec;
use paigham_transparency::hash::Label;
use paigham_transparency::store::Store;
use paigham_wire::directory::DirectoryError;
use paigham_wire::ids::CanisterId;
use paigham_wire::log::NETWORK_PREFIX;
use paigham_wire::network::VerifiedNetwork;

use crate::MAX_RECORDS;
use crate::directory::Directory;
use crate::judge::Named;
use crate::pending::Class;

/// Who brings a network file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// An administrator or a controller of the canister.
    Operator,
    /// Somebody else.
    Anybody,
}

/// Label and version of a network file.
pub(crate) fn name_network(
    network: &VerifiedNetwork,
    version: u32,
) -> Result<Named, DirectoryError> {
    let id = &network.file().network;
    let label = Label::new([&NETWORK_PREFIX[..], &id[..]].concat());
    Ok(Named {
        label: label.map_err(|_| DirectoryError::Malformed)?,
        version,
        class: Class::Urgent,
    })
}

impl<M: Memory> Directory<M> {
    /// The version that a file has under its label: numbers in the log are not skipped, so it
    /// follows from the number of the first one.
    ///
    /// # Errors
    /// [`DirectoryError::NotAllowed`] for a number below that of the first.
    pub(crate) fn network_version(&self, network: &VerifiedNetwork) -> Result<u32, DirectoryError> {
        let label = name_network(network, 0)?.label;
        if self.log.version_count(&label) == 0 {
            return Ok(0);
        }
        let first = self.logged_network(&label, 0)?.file().sequence;
        let version = network.file().sequence.checked_sub(first);
        version
            .and_then(|version| u32::try_from(version).ok())
            .ok_or(DirectoryError::NotAllowed)
    }

    /// Whether a file follows the newest one by TUF's rules of a root (`spec/network.md` §2.1), for
    /// whoever brings it.
    ///
    /// # Errors
    /// [`DirectoryError::NotAllowed`].
    pub(crate) fn judge_next_network(
        &self,
        bytes: &[u8],
        now_seconds: u64,
    ) -> Result<(), DirectoryError> {
        let network = VerifiedNetwork::pinned(bytes).map_err(|_| DirectoryError::NotAllowed)?;
        let label = name_network(&network, 0)?.label;
        let newest = self.log.version_count(&label).checked_sub(1);
        let newest = newest.ok_or(DirectoryError::NotAllowed)?;
        if newest >= MAX_RECORDS - 1 {
            return Err(DirectoryError::Full);
        }
        self.logged_network(&label, newest)?
            .logged_successor(bytes, now_seconds)
            .map_err(|_| DirectoryError::NotAllowed)?;
        Ok(())
    }

    fn logged_network(
        &self,
        label: &Label,
        version: u32,
    ) -> Result<VerifiedNetwork, DirectoryError> {
        let value = self.log.value(label, version);
        VerifiedNetwork::pinned(&value.ok_or(DirectoryError::Damaged)?)
            .map_err(|_| DirectoryError::Damaged)
    }

    /// Whether a file may be the first one: its signatures hold, it names this directory and the
    /// configuration of this log, and it comes from an operator or has the release key that the
    /// canister was installed with.
    ///
    /// # Errors
    /// [`DirectoryError::NotReady`], [`DirectoryError::NotAllowed`].
    pub(crate) fn judge_first_network(
        &self,
        network: &VerifiedNetwork,
        canister: &CanisterId,
        caller: Caller,
    ) -> Result<(), DirectoryError> {
        let config = self.configuration().ok_or(DirectoryError::NotReady)?;
        let config = config.encode().map_err(|_| DirectoryError::Damaged)?;
        let file = network.file();
        let known = self.release_key();
        let named = file.release.keys.iter().any(|key| Some(**key) == known);
        let allowed = self.log.tree_size() == 0
            && (caller == Caller::Operator || named)
            && network.directory().as_ref() == Ok(canister)
            && file.transparency.as_deref() == Some(&config);
        if allowed {
            Ok(())
        } else {
            Err(DirectoryError::NotAllowed)
        }
    }
}
