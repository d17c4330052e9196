//! Beacons, and the tickets that were spent over them.
//!
//! Spent tickets are remembered as long as their beacon counts: in two tables, one for each beacon
//! that can count, of which the older is emptied at once when a beacon is issued.

use ic_stable_structures::memory_manager::VirtualMemory;
use ic_stable_structures::{Memory, StableBTreeMap, StableCell};
use paigham_wire::codec::{decode, encode};
use paigham_wire::hash::Hash;
use paigham_wire::ids::CanisterId;
use paigham_wire::leaf::{Leaf, ShardLeaf};
use paigham_wire::relay::{Credential, Position, RelayError, ShardReply, credential};
use paigham_wire::ticket::{
    BEACON_INTERVAL_NS, Beacon, Challenge, Difficulties, Paid, Purpose, Ticket, TicketRefusal,
    leading_zeros,
};
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::limits::{SPENT_MAX, SPENT_RAISES_BITS};
use crate::relay::Relay;

/// Bytes of a ticket's hash that tell it from others: the last ones, as the first are zeros.
const SPENT_KEY_BYTES: usize = 16;
/// What the call made: seq and accepted_at of a deposit, zeros of others.
const SPENT_BYTES: usize = 12;

type Spent<M> = StableBTreeMap<[u8; SPENT_KEY_BYTES], [u8; SPENT_BYTES], VirtualMemory<M>>;

/// The beacons that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct Beacons {
    /// How many have been issued.
    issued: u32,
    newest: Beacon,
    previous: Beacon,
}

/// Beacons and spent tickets.
pub(crate) struct Tickets<M: Memory> {
    cell: StableCell<Vec<u8>, VirtualMemory<M>>,
    beacons: Beacons,
    /// Of beacons with an even and an odd number.
    spent: [Spent<M>; 2],
}

/// A ticket that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// Not spent yet.
    Fresh(Receipt),
    /// Spent on this very call; what it made is to be told again.
    Repeat(Position),
}

/// What to remember of a ticket once its call has succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    table: usize,
    key: [u8; SPENT_KEY_BYTES],
}

impl<M: Memory> Tickets<M> {
    /// Opens them in the memories of the cell and the two tables.
    pub(crate) fn open(
        cell: VirtualMemory<M>,
        even: VirtualMemory<M>,
        odd: VirtualMemory<M>,
    ) -> Self {
        let none = Beacons {
            issued: 0,
            newest: Beacon::NONE,
            previous: Beacon::NONE,
        };
        let cell = StableCell::init(cell, encode(&none));
        let beacons = decode(cell.get()).unwrap_or(none);
        Self {
            cell,
            beacons,
            spent: [StableBTreeMap::init(even), StableBTreeMap::init(odd)],
        }
    }

    /// The newest beacon and the one before.
    pub(crate) const fn beacons(&self) -> (Beacon, Beacon) {
        (self.beacons.newest, self.beacons.previous)
    }

    fn is_due(&self, now: u64) -> bool {
        let newest = self.beacons.newest.issued_at;
        newest == 0 || now >= newest.saturating_add(BEACON_INTERVAL_NS)
    }

    fn renew(&mut self, value: Hash, now: u64) {
        self.beacons = Beacons {
            issued: self.beacons.issued.wrapping_add(1),
            newest: Beacon {
                issued_at: now,
                value,
            },
            previous: self.beacons.newest,
        };
        self.cell.set(encode(&self.beacons));
        let table = self.newest_table();
        self.spent[table].clear_new();
    }

    const fn newest_table(&self) -> usize {
        (self.beacons.issued % 2) as usize
    }

    /// Bits of work beyond what is set.
    pub(crate) fn raise(&self) -> u8 {
        raise(self.spent[0].len().max(self.spent[1].len()))
    }

    fn check(
        &self,
        canister: &CanisterId,
        purpose: Purpose,
        call: Hash,
        ticket: &Ticket,
        bits: u8,
        now: u64,
    ) -> Result<Checked, TicketRefusal> {
        let Beacons {
            newest, previous, ..
        } = self.beacons;
        if newest == Beacon::NONE {
            return Err(TicketRefusal::NotReady);
        }
        let (beacon, table) = match ticket.issued_at {
            at if at == newest.issued_at => (newest, self.newest_table()),
            at if at == previous.issued_at => (previous, 1 - self.newest_table()),
            _ => return Err(TicketRefusal::BeaconExpired),
        };
        if !beacon.counts(now) {
            return Err(TicketRefusal::BeaconExpired);
        }
        let challenge = Challenge {
            canister,
            purpose,
            call,
            beacon,
        };
        let hash = challenge.hash(ticket.nonce);
        let mut key = [0; SPENT_KEY_BYTES];
        key.copy_from_slice(&hash[hash.len() - SPENT_KEY_BYTES..]);
        if let Some(made) = self.spent[table].get(&key) {
            return Ok(Checked::Repeat(position(&made)));
        }
        if leading_zeros(&hash) < u32::from(bits) {
            return Err(TicketRefusal::TooLittleWork);
        }
        if self.spent[table].len() >= SPENT_MAX {
            return Err(TicketRefusal::Busy);
        }
        Ok(Checked::Fresh(Receipt { table, key }))
    }

    fn spend(&mut self, receipt: &Receipt, made: &Position) {
        let mut bytes = [0; SPENT_BYTES];
        bytes[..4].copy_from_slice(&made.seq.to_be_bytes());
        bytes[4..].copy_from_slice(&made.accepted_at.to_be_bytes());
        self.spent[receipt.table].insert(receipt.key, bytes);
    }
}

/// The fuller a table of spent tickets, the more: whoever wants to fill it pays twice as much for
/// each further sixteenth of the room.
pub(crate) fn raise(spent: u64) -> u8 {
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

impl<M: Memory> Relay<M> {
    /// Whether a beacon is to be issued: twice an hour.
    #[must_use]
    pub fn beacon_is_due(&self, now: u64) -> bool {
        self.tickets.is_due(now)
    }

    /// Issues a beacon of 32 random bytes that nobody knew before, if one is due.
    pub fn issue_beacon(&mut self, random: Hash, now: u64) {
        if self.tickets.is_due(now) {
            self.tickets.renew(random, now);
            self.certify_shard();
        }
    }

    /// Work that tickets need now.
    pub(crate) fn difficulties(&self) -> Difficulties {
        let set = self.administration.settings().difficulties;
        set.raised(self.tickets.raise())
    }

    /// Brings up to date what the relay certifies of itself.
    ///
    /// # Panics
    /// Never: its leaf was made while the map was empty, and keeps its length.
    pub fn certify_shard(&mut self) {
        let (beacon, previous) = self.tickets.beacons();
        let horizons = self.horizons();
        let leaf = ShardLeaf {
            beacon,
            previous,
            difficulties: self.difficulties(),
            posts_since: horizons.posts,
            commits_since: horizons.commits,
            fill: self.fill(),
            admin_entries: self.administration.entries(),
            admin_head: *self.administration.head(),
        };
        self.map
            .insert(&ShardLeaf::key(), &encode(&Leaf::Shard(leaf)), &[])
            .expect("the leaf is there and keeps its length");
    }

    /// Thousandths of their room that posts and commits take.
    fn fill(&self) -> u16 {
        let used = self.posts.log.bytes_in_use() + self.commits.log.bytes_in_use();
        let room = u128::from(self.retention.bytes.max(1));
        u16::try_from(u128::from(used) * 1_000 / room).unwrap_or(u16::MAX)
    }

    /// What the relay certifies of itself, with a witness; anybody may ask.
    pub(crate) fn shard(&self, certificate: Vec<u8>) -> Result<ShardReply, RelayError> {
        if self.tickets.beacons().0 == Beacon::NONE {
            return Err(TicketRefusal::NotReady.into());
        }
        Ok(ShardReply {
            certificate: certificate.into(),
            witness: self.witness(&[ShardLeaf::key()]).into(),
        })
    }

    /// Whether the ticket of a request pays for it. It is spent by [`Relay::spend`] once the call
    /// has succeeded: a refused call costs the caller nothing.
    pub(crate) fn check_ticket<R: Paid>(
        &self,
        request: &R,
        offered: &Credential,
        now: u64,
    ) -> Result<Checked, RelayError> {
        match offered.credential_type {
            credential::TICKET => {
                let ticket = decode(offered.data.as_slice()).map_err(|_| RelayError::Credential)?;
                let bits = self.difficulties().of(R::PURPOSE);
                let call = request.call_hash();
                self.tickets
                    .check(&self.canister, R::PURPOSE, call, &ticket, bits, now)
                    .map_err(Into::into)
            }
            credential::NONE => Err(TicketRefusal::Missing.into()),
            _ => Err(RelayError::Credential),
        }
    }

    /// Whether a ticket may count: over a beacon that is known here it has the work that is set.
    pub(crate) fn may_count<R: Paid>(&self, request: &R, offered: &Credential) -> bool {
        let Ok(ticket) = decode::<Ticket>(offered.data.as_slice()) else {
            return false;
        };
        let (newest, previous) = self.tickets.beacons();
        let known = [newest, previous]
            .into_iter()
            .find(|beacon| *beacon != Beacon::NONE && beacon.issued_at == ticket.issued_at);
        // One that is not known here may be so elsewhere, and an expired one is told so.
        known.is_none_or(|beacon| {
            let challenge = Challenge {
                canister: &self.canister,
                purpose: R::PURPOSE,
                call: request.call_hash(),
                beacon,
            };
            let bits = self.administration.settings().difficulties.of(R::PURPOSE);
            leading_zeros(&challenge.hash(ticket.nonce)) >= u32::from(bits)
        })
    }

    /// As [`Relay::check_ticket`], of a call that makes what is not there: a ticket that made it
    /// once made what is gone.
    pub(crate) fn check_new<R: Paid>(
        &self,
        request: &R,
        offered: &Credential,
        now: u64,
    ) -> Result<Receipt, RelayError> {
        match self.check_ticket(request, offered, now)? {
            Checked::Fresh(receipt) => Ok(receipt),
            Checked::Repeat(_) => Err(TicketRefusal::Spent.into()),
        }
    }

    /// Remembers a ticket whose call made what is known by its own id.
    pub(crate) fn spend_new(&mut self, receipt: &Receipt, now: u64) {
        let nothing = Position {
            seq: 0,
            accepted_at: now,
        };
        self.spend(receipt, &nothing);
    }

    /// Remembers a ticket, and what its call made.
    pub(crate) fn spend(&mut self, receipt: &Receipt, made: &Position) {
        let before = self.tickets.raise();
        self.tickets.spend(receipt, made);
        if self.tickets.raise() != before {
            self.certify_shard();
        }
    }
}
