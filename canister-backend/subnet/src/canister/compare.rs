//! Two replicas of one canister, byte by byte.

use super::{Canister, from_val};

/// A part of a canister in which two replicas may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Module,
    Heap,
    Globals,
    StableMemory,
    CertifiedData,
}

impl Part {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Module => "the module",
            Self::Heap => "the heap",
            Self::Globals => "the globals",
            Self::StableMemory => "stable memory",
            Self::CertifiedData => "certified data",
        }
    }
}

impl Canister {
    /// The first part in which the committed state of another replica differs.
    pub fn difference(&self, other: &Self) -> Option<Part> {
        let globals = |it: &Self| it.globals.iter().map(from_val).collect::<Vec<_>>();
        let (stable, theirs) = (&self.store.data().stable, &other.store.data().stable);
        let parts = [
            (Part::Module, self.module_hash == other.module_hash),
            (
                Part::CertifiedData,
                self.certified_data == other.certified_data,
            ),
            (Part::Heap, self.heap == other.heap),
            (Part::Globals, globals(self) == globals(other)),
            (Part::StableMemory, stable.is_committed_as(theirs)),
        ];
        let differs = parts.into_iter().find(|(_, same)| !same);
        differs.map(|(part, _)| part)
    }

    /// Turns over one bit of the committed heap.
    #[cfg(feature = "testkit")]
    pub fn flip_heap_bit(&mut self, byte: usize) {
        if let Some(byte) = self.heap.get_mut(byte) {
            *byte ^= 1;
        }
        self.clean = false;
    }
}
