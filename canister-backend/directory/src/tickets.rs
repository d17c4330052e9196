//! What costs a ticket here, and how much (`spec/directory.md` §6).
//!
//! Each label of a look-up costs one, and so does whatever brings a new label into the log. A
//! ticket is looked at before anything that depends on what the log holds, so that nobody learns by
//! a refusal whether a label is there.

use ic_stable_structures::Memory;
use paigham_transparency::hash::Label;
use paigham_transparency::store::Store;
use paigham_wire::codec::{decode, encode};
use paigham_wire::directory::{BeaconReply, DirectoryError};
use paigham_wire::hash::Hash;
use paigham_wire::identity::IdentityRecord;
use paigham_wire::leaf::{BeaconLeaf, Leaf};
use paigham_wire::log::{FREE_SPAN_MS, FREE_VERSIONS, Submission, Submit, Wanted};
use paigham_wire::relay::{Position, credential};
use paigham_wire::ticket::desk::Receipt;
use paigham_wire::ticket::{Beacon, Difficulties, TicketRefusal};

use crate::directory::Directory;
use crate::judge::Named;

impl<M: Memory> Directory<M> {
    /// What the administrators have set.
    const fn difficulties_set(&self) -> Difficulties {
        self.shards.settings().difficulties
    }

    /// Work that tickets need now. Look-ups leave nothing behind and stay at what is set, however
    /// many register.
    fn needed(&self) -> Difficulties {
        let set = self.difficulties_set();
        Difficulties {
            create_inbox: set.raised(self.tickets.raise()).create_inbox,
            ..set
        }
    }

    /// Whether a beacon is to be issued: twice an hour.
    #[must_use]
    pub fn beacon_is_due(&self, now: u64) -> bool {
        self.tickets.is_due(now)
    }

    /// Issues a beacon of 32 random bytes that nobody knew before, if one is due.
    pub fn issue_beacon(&mut self, random: Hash, now: u64) {
        if self.tickets.issue(random, now) {
            self.certify_beacon();
        }
    }

    /// Brings up to date what the directory certifies of its tickets.
    ///
    /// # Panics
    /// At the first beacon, when stable memory cannot grow: the trap undoes the whole call. From
    /// then on the leaf is there and keeps its length.
    pub(crate) fn certify_beacon(&mut self) {
        let (beacon, previous) = self.tickets.beacons();
        if beacon == Beacon::NONE {
            return;
        }
        let leaf = BeaconLeaf {
            beacon,
            previous,
            difficulties: self.needed(),
        };
        self.map
            .insert(&BeaconLeaf::key(), &encode(&Leaf::Beacon(leaf)), &[])
            .expect("no stable memory left; the whole call is undone");
    }

    /// What a ticket needs, with a witness; anybody may ask.
    ///
    /// # Errors
    /// [`TicketRefusal::NotReady`] before the first beacon.
    pub fn beacon(&self, certificate: &[u8]) -> Result<BeaconReply, DirectoryError> {
        if self.tickets.beacons().0 == Beacon::NONE {
            return Err(TicketRefusal::NotReady.into());
        }
        Ok(BeaconReply {
            certificate: self.map_certificate(certificate)?.into(),
            witness: self.map.witness(&[BeaconLeaf::key()]).encode().into(),
        })
    }

    /// Whether each label of a look-up is paid for.
    ///
    /// # Errors
    /// [`DirectoryError::Ticket`], [`DirectoryError::Credential`].
    pub(crate) fn check_wanted(&self, wanted: &[Wanted], now: u64) -> Result<(), DirectoryError> {
        let needed = self.needed();
        wanted.iter().try_for_each(|wanted| {
            let desk = &self.tickets;
            Ok(desk.check_query(wanted, &wanted.credential, &needed, now)?)
        })
    }

    /// Whether a submission is paid for; nothing is to be remembered of one that costs nothing.
    ///
    /// # Errors
    /// [`DirectoryError::Ticket`], [`DirectoryError::Credential`].
    pub(crate) fn check_submit(
        &self,
        named: &Named,
        submit: &Submit,
        now: u64,
    ) -> Result<Option<Receipt>, DirectoryError> {
        let always = submit.submission.always_costs(named.version);
        if !always && !self.is_beyond_free(&named.label, now)? {
            return Ok(None);
        }
        let needed = self.needed();
        let desk = &self.tickets;
        Ok(Some(desk.check_new(
            submit,
            &submit.credential,
            &needed,
            now,
        )?))
    }

    /// Whether a label has had its free versions within a day.
    fn is_beyond_free(&self, label: &Label, now_ns: u64) -> Result<bool, DirectoryError> {
        let count = self.log.version_count(label);
        let Some(first) = count.checked_sub(FREE_VERSIONS) else {
            return Ok(false);
        };
        let damaged = DirectoryError::Damaged;
        let place = self.log.version_place(label, first).ok_or(damaged)?;
        let entry = self.log.entry(place.position).ok_or(damaged)?;
        Ok(entry.timestamp.saturating_add(FREE_SPAN_MS) > self.entry_time_ms(now_ns))
    }

    /// Remembers the ticket of a submission that was taken in.
    pub(crate) fn spend(&mut self, receipt: &Receipt, named: &Named, now: u64) {
        let made = Position {
            seq: named.version,
            accepted_at: now,
        };
        if self.tickets.spend(receipt, &made) {
            self.certify_beacon();
        }
    }

    /// Whether a submission may be worth running: one that begins a label has a ticket that may
    /// count. One node decides, perhaps a little behind the others, so only that is refused here
    /// which no honest client sends; [`Directory::submit`] checks everything again.
    #[must_use]
    pub fn admits_submit(&self, request: &[u8]) -> bool {
        let Ok(submit) = decode::<Submit>(request) else {
            return false;
        };
        let version = match &submit.submission {
            Submission::Identity(bytes) => match IdentityRecord::decode(bytes.as_slice()) {
                Ok(record) => record.content.record_version,
                Err(_) => return false,
            },
            Submission::Handle(_) | Submission::Network(_) => 0,
        };
        let costs = submit.submission.always_costs(version);
        let offered = &submit.credential;
        let set = self.difficulties_set();
        !costs
            || (offered.credential_type == credential::TICKET
                && self.tickets.may_count(&submit, offered, &set))
    }
}
