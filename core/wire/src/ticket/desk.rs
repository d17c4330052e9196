//! Where tickets are taken: the beacons of a canister, and the tickets that were spent over them.
//!
//! Spent tickets are remembered as long as their beacon counts: in two tables, one for each beacon
//! that can count, of which the older is emptied at once when a beacon is issued.
//!
//! A call goes [`TicketDesk::check`] → its own work → [`TicketDesk::spend`], so that a refused call
//! costs the caller nothing. A query keeps no state and uses [`TicketDesk::check_query`].

use ic_stable_structures::{Memory, StableBTreeMap, StableCell};
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use super::{
    BEACON_INTERVAL_NS, Beacon, Challenge, Difficulties, Paid, Ticket, TicketRefusal, leading_zeros,
};
use crate::codec::{decode, encode};
use crate::hash::Hash;
use crate::ids::CanisterId;
use crate::relay::{Credential, Position, credential};

/// Spent tickets remembered of one beacon; beyond, tickets over it are refused as `Busy`. At the
/// difficulty that applies then, filling a table costs 2^45 hashes.
pub const SPENT_MAX: u64 = 1_000_000;
/// Bits of work that are added as the second half of a table of spent tickets fills.
pub const SPENT_RAISES_BITS: u8 = 8;

/// Bytes of a ticket's hash that tell it from others: the last ones, as the first are zeros.
const SPENT_KEY_BYTES: usize = 16;
/// What the call made: two numbers, zeros where it is known by its own id.
const SPENT_BYTES: usize = 12;

type Spent<M> = StableBTreeMap<[u8; SPENT_KEY_BYTES], [u8; SPENT_BYTES], M>;

/// The beacons that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct Beacons {
    /// How many have been issued.
    issued: u32,
    newest: Beacon,
    previous: Beacon,
}

/// Beacons and spent tickets of one canister.
pub struct TicketDesk<M: Memory> {
    canister: CanisterId,
    cell: StableCell<Vec<u8>, M>,
    beacons: Beacons,
    /// Of beacons with an even and an odd number.
    spent: [Spent<M>; 2],
}

impl<M: Memory> std::fmt::Debug for TicketDesk<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TicketDesk")
            .field("beacons", &self.beacons)
            .finish_non_exhaustive()
    }
}

/// A ticket that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// Not spent yet.
    Fresh(Receipt),
    /// Spent on this very call; what it made is to be told again.
    Repeat(Position),
}

/// What to remember of a ticket once its call has succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    table: usize,
    key: [u8; SPENT_KEY_BYTES],
}

/// Why a credential does not pay for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unpaid {
    /// Its ticket does not count, or there is none.
    #[error(transparent)]
    Ticket(#[from] TicketRefusal),
    /// It is of an unknown type or does not decode.
    #[error("the credential is none")]
    Credential,
}

/// A ticket over a beacon that counts.
struct Weighed {
    table: usize,
    hash: Hash,
}

impl Weighed {
    fn has(&self, bits: u8) -> Result<(), TicketRefusal> {
        if leading_zeros(&self.hash) < u32::from(bits) {
            return Err(TicketRefusal::TooLittleWork);
        }
        Ok(())
    }

    fn receipt(&self) -> Receipt {
        let mut key = [0; SPENT_KEY_BYTES];
        key.copy_from_slice(&self.hash[self.hash.len() - SPENT_KEY_BYTES..]);
        Receipt {
            table: self.table,
            key,
        }
    }
}

impl<M: Memory> TicketDesk<M> {
    /// Opens it for a canister, in the memories of the cell and the two tables.
    pub fn open(canister: CanisterId, cell: M, even: M, odd: M) -> Self {
        let none = Beacons {
            issued: 0,
            newest: Beacon::NONE,
            previous: Beacon::NONE,
        };
        let cell = StableCell::init(cell, encode(&none));
        let beacons = decode(cell.get()).unwrap_or(none);
        Self {
            canister,
            cell,
            beacons,
            spent: [StableBTreeMap::init(even), StableBTreeMap::init(odd)],
        }
    }

    /// The newest beacon and the one before.
    pub const fn beacons(&self) -> (Beacon, Beacon) {
        (self.beacons.newest, self.beacons.previous)
    }

    /// Whether a beacon is to be issued: twice an hour.
    pub fn is_due(&self, now: u64) -> bool {
        let newest = self.beacons.newest.issued_at;
        newest == 0 || now >= newest.saturating_add(BEACON_INTERVAL_NS)
    }

    /// Issues a beacon of 32 random bytes that nobody knew before, if one is due; says whether.
    pub fn issue(&mut self, random: Hash, now: u64) -> bool {
        if !self.is_due(now) {
            return false;
        }
        self.beacons = Beacons {
            issued: self.beacons.issued.wrapping_add(1),
            newest: Beacon {
                issued_at: now,
                value: random,
            },
            previous: self.beacons.newest,
        };
        self.cell.set(encode(&self.beacons));
        let table = self.newest_table();
        self.spent[table].clear_new();
        true
    }

    const fn newest_table(&self) -> usize {
        (self.beacons.issued % 2) as usize
    }

    /// Bits of work beyond what is set, by how full the tables are.
    pub fn raise(&self) -> u8 {
        raise(self.spent[0].len().max(self.spent[1].len()))
    }

    /// Whether the ticket of a request pays for it. It is spent by [`Self::spend`] once the call
    /// has succeeded.
    ///
    /// # Errors
    /// [`Unpaid`].
    pub fn check<R: Paid>(
        &self,
        request: &R,
        offered: &Credential,
        needed: &Difficulties,
        now: u64,
    ) -> Result<Checked, Unpaid> {
        let weighed = self.weigh(request, offered, now)?;
        let receipt = weighed.receipt();
        if let Some(made) = self.spent[receipt.table].get(&receipt.key) {
            return Ok(Checked::Repeat(position(&made)));
        }
        weighed.has(needed.of(R::PURPOSE))?;
        if self.spent[receipt.table].len() >= SPENT_MAX {
            return Err(TicketRefusal::Busy.into());
        }
        Ok(Checked::Fresh(receipt))
    }

    /// As [`Self::check`], of a call that makes what is not there: a ticket that made it once made
    /// what is gone.
    ///
    /// # Errors
    /// [`Unpaid`].
    pub fn check_new<R: Paid>(
        &self,
        request: &R,
        offered: &Credential,
        needed: &Difficulties,
        now: u64,
    ) -> Result<Receipt, Unpaid> {
        match self.check(request, offered, needed, now)? {
            Checked::Fresh(receipt) => Ok(receipt),
            Checked::Repeat(_) => Err(TicketRefusal::Spent.into()),
        }
    }

    /// Whether the ticket of a query pays for it: as often as it is asked while its beacon counts,
    /// since a query can remember nothing.
    ///
    /// # Errors
    /// [`Unpaid`].
    pub fn check_query<R: Paid>(
        &self,
        request: &R,
        offered: &Credential,
        needed: &Difficulties,
        now: u64,
    ) -> Result<(), Unpaid> {
        let weighed = self.weigh(request, offered, now)?;
        Ok(weighed.has(needed.of(R::PURPOSE))?)
    }

    fn weigh<R: Paid>(
        &self,
        request: &R,
        offered: &Credential,
        now: u64,
    ) -> Result<Weighed, Unpaid> {
        let ticket: Ticket = match offered.credential_type {
            credential::TICKET => {
                decode(offered.data.as_slice()).map_err(|_| Unpaid::Credential)?
            }
            credential::NONE => return Err(TicketRefusal::Missing.into()),
            _ => return Err(Unpaid::Credential),
        };
        let (newest, previous) = self.beacons();
        if newest == Beacon::NONE {
            return Err(TicketRefusal::NotReady.into());
        }
        let (beacon, table) = match ticket.issued_at {
            at if at == newest.issued_at => (newest, self.newest_table()),
            at if at == previous.issued_at => (previous, 1 - self.newest_table()),
            _ => return Err(TicketRefusal::BeaconExpired.into()),
        };
        if !beacon.counts(now) {
            return Err(TicketRefusal::BeaconExpired.into());
        }
        Ok(Weighed {
            table,
            hash: self.hash(request, beacon, ticket.nonce),
        })
    }

    fn hash<R: Paid>(&self, request: &R, beacon: Beacon, nonce: u64) -> Hash {
        let challenge = Challenge {
            canister: &self.canister,
            purpose: R::PURPOSE,
            call: request.call_hash(),
            beacon,
        };
        challenge.hash(nonce)
    }

    /// Whether a ticket may count on a node that is a little behind or ahead: over a beacon that is
    /// known here it has the work that is set. For the inspection of calls before they cost a place
    /// in a block.
    pub fn may_count<R: Paid>(
        &self,
        request: &R,
        offered: &Credential,
        set: &Difficulties,
    ) -> bool {
        let Ok(ticket) = decode::<Ticket>(offered.data.as_slice()) else {
            return false;
        };
        let (newest, previous) = self.beacons();
        let known = [newest, previous]
            .into_iter()
            .find(|beacon| *beacon != Beacon::NONE && beacon.issued_at == ticket.issued_at);
        // One that is not known here may be so elsewhere, and an expired one is told so.
        known.is_none_or(|beacon| {
            let hash = self.hash(request, beacon, ticket.nonce);
            leading_zeros(&hash) >= u32::from(set.of(R::PURPOSE))
        })
    }

    /// Remembers a ticket, and what its call made; says whether tickets need other work from now
    /// on.
    pub fn spend(&mut self, receipt: &Receipt, made: &Position) -> bool {
        let before = self.raise();
        let mut bytes = [0; SPENT_BYTES];
        bytes[..4].copy_from_slice(&made.seq.to_be_bytes());
        bytes[4..].copy_from_slice(&made.accepted_at.to_be_bytes());
        self.spent[receipt.table].insert(receipt.key, bytes);
        self.raise() != before
    }
}

/// The fuller a table of spent tickets, the more: whoever wants to fill it pays twice as much for
/// each further sixteenth of the room.
fn raise(spent: u64) -> u8 {
    let half = SPENT_MAX / 2;
    let over = spent.saturating_sub(half).min(half);
    // At most SPENT_RAISES_BITS.
    u8::try_from(over * u64::from(SPENT_RAISES_BITS) / half).unwrap_or(SPENT_RAISES_BITS)
}

fn position(made: &[u8; SPENT_BYTES]) -> Position {
    let [s0, s1, s2, s3, at @ ..] = *made;
    Position {
        seq: u32::from_be_bytes([s0, s1, s2, s3]),
        accepted_at: u64::from_be_bytes(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fuller the memory of spent tickets, the more work the next one needs: up to half of the
    /// room as much as is set, at the end 256 times as much.
    #[test]
    fn a_flood_of_tickets_pays_ever_more() {
        assert_eq!(raise(0), 0);
        assert_eq!(raise(SPENT_MAX / 2), 0);
        assert_eq!(raise(SPENT_MAX * 9 / 16), 1);
        assert_eq!(raise(SPENT_MAX - 1), 7);
        assert_eq!(raise(SPENT_MAX), 8);
        assert_eq!(raise(u64::MAX), 8);
    }
}
