//! Executors in lockstep: the first one answers, the others do the same and are compared with it.

use candid::Principal;

use crate::canister::Part;
use crate::state::State;

/// Two replicas that ran the same rounds are not in the same state: a fault of the machine, or a
/// message whose execution is not deterministic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("replica {replica} differs from the first in {what}{}", of(.canister.as_ref()))]
pub struct Divergence {
    /// Which replica; the first one has number 1.
    pub replica: u16,
    /// In which canister, if it is one.
    pub canister: Option<Principal>,
    /// In what.
    pub what: &'static str,
}

fn of(canister: Option<&Principal>) -> String {
    canister.map_or_else(String::new, |id| format!(" of canister {id}"))
}

/// All replicas but the first.
#[derive(Debug, Default)]
pub(crate) struct Followers(Vec<State>);

impl Followers {
    pub const fn new(states: Vec<State>) -> Self {
        Self(states)
    }

    /// Does what was done to the first.
    pub fn each(&mut self, step: impl FnMut(&mut State)) {
        self.0.iter_mut().for_each(step);
    }

    #[cfg(feature = "testkit")]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut State> {
        self.0.get_mut(index)
    }

    /// Compares state roots, and behind them every byte of every canister: a fault in a page that
    /// nothing certifies yet is noticed before it spreads. The work grows with all memory.
    ///
    /// # Errors
    /// The first difference found.
    pub fn compare(&self, first: &State) -> Result<(), Divergence> {
        for (number, other) in (2u16..).zip(&self.0) {
            let diverged = |canister, what| Divergence {
                replica: number,
                canister,
                what,
            };
            for (id, canister) in first.canisters() {
                let part = match other.canisters().get(id) {
                    Some(theirs) => canister.difference(theirs).map(Part::name),
                    None => Some("being there"),
                };
                if let Some(what) = part {
                    return Err(diverged(Some(*id), what));
                }
            }
            if first.root() != other.root() {
                return Err(diverged(None, "the state root"));
            }
        }
        Ok(())
    }
}
