//! Faults on purpose, for tests: disks that die, messages that trap, replicas that lose a bit.
//! Everything that is left to chance comes from a seed.

mod dice;
mod journal;
mod traps;

pub use dice::Dice;
pub use journal::{FaultJournal, FileCrash};
pub use traps::Traps;

pub use crate::profile::{Part, spent};

pub(crate) use traps::Fuse;
