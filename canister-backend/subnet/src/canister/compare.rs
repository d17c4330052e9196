//! Two replicas of one canister, byte by byte.

use super::Canister;

/// A part of a canister in which two replicas may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Module,
    Heap,
    Globals,
    StableMemory,
    CertifiedData,
    Settings,
    Calls,
}

impl Part {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Module => "the module",
            Self::Heap => "the heap",
            Self::Globals => "the globals",
            Self::StableMemory => "stable memory",
            Self::CertifiedData => "certified data",
            Self::Settings => "settings, status, timer or chunks",
            Self::Calls => "the calls under way",
        }
    }
}

impl Canister {
    /// The first part in which the committed state of another replica differs.
    pub fn difference(&self, other: &Self) -> Option<Part> {
        let settings = |it: &Self| {
            (
                it.controllers.clone(),
                it.status.clone(),
                it.version,
                it.timer,
            )
        };
        let parts = [
            (
                Part::CertifiedData,
                self.certified_data == other.certified_data,
            ),
            (
                Part::Settings,
                settings(self) == settings(other) && self.chunks == other.chunks,
            ),
            (Part::Calls, self.calls == other.calls),
        ];
        let differs = parts.into_iter().find(|(_, same)| !same);
        let code = match (&self.code, &other.code) {
            (Some(code), Some(theirs)) => code.difference(theirs),
            (None, None) => None,
            _ => Some(Part::Module),
        };
        code.or_else(|| differs.map(|(part, _)| part))
    }
}
