//! What a network is made of.

use paigham_subnet::{CanisterRange, Config, RootKey, Topology};
use paigham_wire::network::KeySet;

use crate::error::NetworkUpError;

/// Most subnets of one process.
pub const SUBNETS_MAX: u16 = 16;
/// Most relays on one subnet. With [`SUBNETS_MAX`] subnets, all of them fit into a network file.
pub const RELAYS_MAX: u16 = 16;

/// Who signs for the subnets of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkTopology {
    /// One subnet, whose key is the root key.
    SelfRoot,
    /// A root key that delegates to each subnet's key.
    Delegated,
}

/// What a network is to be made of. `None` leaves a network as it is, and a new one small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Who signs for the subnets; for good. A new network's subnet is its own root.
    pub topology: Option<NetworkTopology>,
    /// Number of subnets; more may come, none goes. A new network has one.
    pub subnets: Option<u16>,
    /// Relays on each subnet; more may come, none goes. A new subnet has one.
    pub relays: Option<u16>,
    /// Executors of each subnet that run in lockstep.
    pub replicas: u16,
    /// Auditors of the log, and how many of them clients ask for ([`auditors`]).
    pub auditors: Option<KeySet>,
}

/// What a network file is to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Addresses of the subnet's HTTP interface.
    pub urls: Vec<String>,
    /// Relays on each subnet; `None` keeps those that are there.
    pub relays: Option<u16>,
    /// Auditors; `None` keeps those that the file before names.
    pub auditors: Option<KeySet>,
}

/// Auditors of a log, of whom clients ask for so many.
///
/// # Errors
/// [`NetworkUpError::Layout`]: at least one is asked for, and at most as many as there are.
pub fn auditors(mut keys: Vec<[u8; 32]>, required: u32) -> Result<KeySet, NetworkUpError> {
    keys.sort_unstable();
    keys.dedup();
    if required == 0 || usize::try_from(required).is_ok_and(|required| required > keys.len()) {
        let why = "at least one auditor is required, and at most as many as are named";
        return Err(NetworkUpError::Layout(why));
    }
    Ok(KeySet {
        keys: keys.into_iter().map(Into::into).collect(),
        threshold: required,
    })
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            topology: None,
            subnets: None,
            relays: None,
            replicas: 1,
            auditors: None,
        }
    }
}

impl Layout {
    /// The number of subnets and who signs for them, where `existing` are there already.
    pub(crate) fn settle(
        &self,
        existing: u16,
        topology: Option<NetworkTopology>,
    ) -> Result<(u16, NetworkTopology), NetworkUpError> {
        let refused = |why| Err(NetworkUpError::Layout(why));
        if self.topology.is_some() && topology.is_some() && self.topology != topology {
            return refused("a network keeps its topology for good");
        }
        let topology = topology
            .or(self.topology)
            .unwrap_or(NetworkTopology::SelfRoot);
        let subnets = self.subnets.unwrap_or_else(|| existing.max(1));
        if subnets < existing {
            return refused("a subnet cannot be taken out of a network");
        }
        if subnets == 0 || subnets > SUBNETS_MAX {
            return refused("a network has 1 to 16 subnets");
        }
        if topology == NetworkTopology::SelfRoot && subnets > 1 {
            return refused("a subnet that is its own root is alone");
        }
        if self
            .relays
            .is_some_and(|relays| relays == 0 || relays > RELAYS_MAX)
        {
            return refused("a subnet has 1 to 16 relays");
        }
        Ok((subnets, topology))
    }

    /// How the subnet with this index is run, counted from 0.
    pub(crate) fn config(&self, root: Option<&RootKey>, index: u16) -> Config {
        let topology = match root {
            None => Topology::SelfRoot,
            Some(root) => Topology::Delegated {
                root: root.clone(),
                range: CanisterRange::of_subnet(index),
            },
        };
        Config::default().topology(topology).replicas(self.replicas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(topology: Option<NetworkTopology>, subnets: u16) -> Layout {
        Layout {
            topology,
            subnets: Some(subnets),
            ..Layout::default()
        }
    }

    /// Nothing said: a small network, or the one that is there.
    #[test]
    fn a_network_stays_as_it_is() {
        use NetworkTopology::{Delegated, SelfRoot};
        let nothing = Layout::default();
        assert_eq!(nothing.settle(0, None).unwrap(), (1, SelfRoot));
        assert_eq!(nothing.settle(3, Some(Delegated)).unwrap(), (3, Delegated));
        let more = layout(None, 4).settle(3, Some(Delegated));
        assert_eq!(more.unwrap(), (4, Delegated));
    }

    /// Auditors are named in one order, each once, and never more asked for than there are.
    #[test]
    fn auditors_are_a_key_set() {
        let set = auditors(vec![[2; 32], [1; 32], [2; 32]], 2).unwrap();
        assert_eq!(set.keys, [[1; 32].into(), [2; 32].into()]);
        assert!(auditors(vec![[1; 32]], 0).is_err());
        assert!(auditors(vec![[1; 32], [1; 32]], 2).is_err());
    }

    /// What would break what clients have pinned, or has no sense, is refused.
    #[test]
    fn what_cannot_be_is_refused() {
        use NetworkTopology::{Delegated, SelfRoot};
        let no_relay = Layout {
            relays: Some(0),
            ..Layout::default()
        };
        for (layout, existing, topology) in [
            (layout(Some(Delegated), 1), 1, Some(SelfRoot)),
            (layout(Some(SelfRoot), 1), 1, Some(Delegated)),
            (layout(None, 1), 2, Some(Delegated)),
            (layout(Some(Delegated), 0), 0, None),
            (layout(Some(Delegated), SUBNETS_MAX + 1), 0, None),
            (layout(Some(SelfRoot), 2), 0, None),
            (layout(None, 2), 0, None),
            (no_relay, 0, None),
        ] {
            assert!(layout.settle(existing, topology).is_err(), "{layout:?}");
        }
    }
}
