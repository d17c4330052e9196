//! The relay's beacons, and what tickets cost here (`spec/protocol.md` §6.4).

use ic_stable_structures::Memory;
use paigham_wire::codec::encode;
use paigham_wire::hash::Hash;
use paigham_wire::leaf::{Leaf, ShardLeaf};
use paigham_wire::relay::{Credential, Position, RelayError, ShardReply};
use paigham_wire::ticket::desk::{Checked, Receipt};
use paigham_wire::ticket::{Beacon, Difficulties, Paid, TicketRefusal};

use crate::relay::Relay;

impl<M: Memory> Relay<M> {
    /// Whether a beacon is to be issued: twice an hour.
    #[must_use]
    pub fn beacon_is_due(&self, now: u64) -> bool {
        self.tickets.is_due(now)
    }

    /// Issues a beacon of 32 random bytes that nobody knew before, if one is due.
    pub fn issue_beacon(&mut self, random: Hash, now: u64) {
        if self.tickets.issue(random, now) {
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
        let needed = self.difficulties();
        Ok(self.tickets.check(request, offered, &needed, now)?)
    }

    /// Whether a ticket may count: over a beacon that is known here it has the work that is set.
    pub(crate) fn may_count<R: Paid>(&self, request: &R, offered: &Credential) -> bool {
        let set = self.administration.settings().difficulties;
        self.tickets.may_count(request, offered, &set)
    }

    /// As [`Relay::check_ticket`], of a call that makes what is not there: a ticket that made it
    /// once made what is gone.
    pub(crate) fn check_new<R: Paid>(
        &self,
        request: &R,
        offered: &Credential,
        now: u64,
    ) -> Result<Receipt, RelayError> {
        let needed = self.difficulties();
        Ok(self.tickets.check_new(request, offered, &needed, now)?)
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
        if self.tickets.spend(receipt, made) {
            self.certify_shard();
        }
    }
}
