//! What a client has worked for and may use again.

use std::collections::BTreeMap;

use paigham_wire::hash::Hash;
use paigham_wire::leaf::{BeaconLeaf, ShardLeaf};
use paigham_wire::ticket::{
    BEACON_LIFETIME_NS, Beacon, Challenge, Difficulties, Ticket, leading_zeros,
};

/// Tickets kept; more are made within an hour only by who looks up thousands of labels.
const KEPT_MAX: usize = 4_096;
/// A beacon this close to its end is not used any more: the call is still on its way.
const SPARE_NS: u64 = 5 * 60 * 1_000_000_000;

/// What a canister asks for, as it has certified it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Price {
    pub beacon: Beacon,
    pub difficulties: Difficulties,
}

impl Price {
    /// Whether a ticket over its beacon counts at a time, and for a while longer.
    pub(super) const fn lasts(&self, now_ns: u64) -> bool {
        let spare = BEACON_LIFETIME_NS - SPARE_NS;
        now_ns < self.beacon.issued_at.saturating_add(spare)
    }
}

impl From<ShardLeaf> for Price {
    fn from(leaf: ShardLeaf) -> Self {
        Self {
            beacon: leaf.beacon,
            difficulties: leaf.difficulties,
        }
    }
}

impl From<BeaconLeaf> for Price {
    fn from(leaf: BeaconLeaf) -> Self {
        Self {
            beacon: leaf.beacon,
            difficulties: leaf.difficulties,
        }
    }
}

/// Tickets that were found, and what the directory asked for last. In memory only.
#[derive(Debug, Default)]
pub(crate) struct Purse {
    /// By the hash of the challenge with the one nonce that no search tries.
    tickets: BTreeMap<Hash, Ticket>,
    pub(super) directory: Option<Price>,
}

impl Purse {
    /// A ticket that was found before and has the work that is needed now.
    pub(super) fn ticket(&self, challenge: &Challenge<'_>, bits: u8) -> Option<Ticket> {
        let ticket = self.tickets.get(&challenge.hash(u64::MAX))?;
        let work = leading_zeros(&challenge.hash(ticket.nonce));
        (work >= u32::from(bits)).then_some(*ticket)
    }

    pub(super) fn keep(&mut self, challenge: &Challenge<'_>, ticket: Ticket) {
        if self.tickets.len() >= KEPT_MAX {
            self.tickets.clear();
        }
        self.tickets.insert(challenge.hash(u64::MAX), ticket);
    }
}

#[cfg(test)]
mod tests {
    use paigham_wire::ids::CanisterId;
    use paigham_wire::ticket::Purpose;

    use super::*;

    /// Amina looks the same label up again: the work of the first time counts, until more of it is
    /// asked for, another beacon, or another label.
    #[test]
    fn work_is_used_again() {
        let here = CanisterId::new(&[1]).unwrap();
        let challenge = Challenge {
            canister: &here,
            purpose: Purpose::LookUp,
            call: [2; 32],
            beacon: Beacon {
                issued_at: 3,
                value: [4; 32],
            },
        };
        let mut purse = Purse::default();
        assert_eq!(purse.ticket(&challenge, 4), None);
        let ticket = challenge.solve(4).unwrap();
        purse.keep(&challenge, ticket);
        assert_eq!(purse.ticket(&challenge, 4), Some(ticket));
        assert_eq!(purse.ticket(&challenge, 200), None);
        let other_label = Challenge {
            call: [5; 32],
            ..challenge.clone()
        };
        assert_eq!(purse.ticket(&other_label, 0), None);
        let later = Challenge {
            beacon: Beacon {
                issued_at: 4,
                value: [6; 32],
            },
            ..challenge
        };
        assert_eq!(purse.ticket(&later, 0), None);
    }

    /// What is kept does not grow without end.
    #[test]
    fn a_purse_is_bounded() {
        let here = CanisterId::new(&[1]).unwrap();
        let mut purse = Purse::default();
        for number in 0..=KEPT_MAX {
            let mut call = [0; 32];
            call[..8].copy_from_slice(&number.to_be_bytes());
            let challenge = Challenge {
                canister: &here,
                purpose: Purpose::LookUp,
                call,
                beacon: Beacon::NONE,
            };
            purse.keep(&challenge, challenge.solve(0).unwrap());
        }
        assert!(purse.tickets.len() <= KEPT_MAX);
    }
}
