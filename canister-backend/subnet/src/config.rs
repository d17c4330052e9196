//! How a subnet is run.

use crate::topology::Topology;

/// Most replicas of one process: each holds the whole state.
pub const REPLICAS_MAX: u16 = 13;

/// How a subnet is run, beside its journal and its clock. The default is one executor whose key is
/// the root key.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) topology: Topology,
    pub(crate) replicas: u16,
    #[cfg(feature = "testkit")]
    pub(crate) traps: Option<crate::testkit::Traps>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            topology: Topology::SelfRoot,
            replicas: 1,
            #[cfg(feature = "testkit")]
            traps: None,
        }
    }
}

impl Config {
    /// Who signs for the subnet. A subnet keeps its topology for good.
    #[must_use]
    pub fn topology(mut self, topology: Topology) -> Self {
        self.topology = topology;
        self
    }

    /// How many executors run the same rounds, 1 to [`REPLICAS_MAX`]. They are compared after each
    /// round, and the subnet stops before it certifies anything if they differ.
    #[must_use]
    pub fn replicas(mut self, replicas: u16) -> Self {
        self.replicas = replicas;
        self
    }

    /// What the thread that executes must know.
    #[cfg(feature = "testkit")]
    pub(crate) fn enter_thread(&self) {
        crate::testkit::Traps::set(self.traps);
    }

    /// What the thread that executes must know: nothing outside of tests.
    #[cfg(not(feature = "testkit"))]
    #[expect(clippy::unused_self, reason = "for tests")]
    pub(crate) const fn enter_thread(&self) {}

    /// Makes some messages trap.
    #[cfg(feature = "testkit")]
    #[must_use]
    pub const fn traps(mut self, traps: crate::testkit::Traps) -> Self {
        self.traps = Some(traps);
        self
    }
}
