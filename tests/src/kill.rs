//! Deaths: of a person's disk, around a person's request, of the network's journal.

use crate::flaky::Moment;
use crate::person::Person;
use crate::world::World;

/// What dies, and at what kind of point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// The person's machine, at a point of a batch of the store.
    Disk,
    /// The person's machine, before or after a request.
    Request(Moment),
    /// The network, before or after an operation of its journal.
    Network,
}

impl Death {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Disk,
        Self::Request(Moment::Before),
        Self::Request(Moment::After),
        Self::Network,
    ];

    /// Comes at the n-th point from now.
    pub fn comes_at(self, world: &World, person: &Person, point: u64) {
        match self {
            Self::Disk => person.disk().crash_at(point),
            Self::Request(moment) => person.transport().dies(moment, point),
            Self::Network => world.journal().crash_at(point),
        }
    }

    /// Whether it came.
    pub async fn came(self, world: &World, person: &Person) -> bool {
        match self {
            Self::Disk => person.disk().is_dead(),
            Self::Request(_) => person.transport().is_dead(),
            Self::Network => world.is_dead().await,
        }
    }

    /// What died lives again on what its disk kept. A person's device is switched on anew in any
    /// case: what it held in memory is gone.
    pub async fn is_over(self, world: &mut World, person: &mut Person) {
        if self == Self::Network {
            if world.is_dead().await {
                world.kill();
                world.start().await;
            }
            world.journal().restart();
        }
        person.reopens(&world.file());
    }
}
