//! Canisters that are down while the rest of the network goes on.

use axum::http::request::Parts;
use candid::Principal;
use paigham_wire::ids::CanisterId;

use super::{MaliciousNode, locked};

/// How a canister that is down shows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// Whatever is asked of it is refused at once.
    Refused,
    /// Whatever is asked of it is never answered.
    Silent,
}

impl MaliciousNode {
    /// From now on a canister is down, for all requests: queries, updates, reads of the state tree.
    ///
    /// # Panics
    /// If the id is none of a canister.
    pub fn takes_down(&self, canister: &CanisterId, how: Down) {
        let canister = Principal::try_from_slice(canister.as_slice()).unwrap();
        locked(&self.inner.down).insert(canister, how);
    }

    /// All canisters are there again.
    pub fn brings_back(&self) {
        locked(&self.inner.down).clear();
    }

    /// Whether what a request is for is down. Its path names it: `/api/v2/canister/ID/query`.
    pub(super) fn is_down(&self, parts: &Parts) -> Option<Down> {
        let named = parts.uri.path().split('/').nth(4)?;
        let canister = Principal::from_text(named).ok()?;
        locked(&self.inner.down).get(&canister).copied()
    }
}
