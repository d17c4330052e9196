//! Tickets: work that makes calls scarce, since principals are free (`spec/protocol.md` §6.4).
//!
//! A canister renews a random **beacon** every half hour and certifies it. A **ticket** is a nonce
//! that, hashed together with the canister, the purpose, the call and a beacon, gives a hash that
//! begins with enough zero bits. It cannot be made before its beacon exists and counts for an hour
//! from then on; it pays for one call of one canister, and the same call again gets the same
//! answer. The canister checks it with one hash.

#[cfg(feature = "stable")]
pub mod desk;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::encode;
use crate::hash::{Hash, blake3_labelled, label};
use crate::ids::CanisterId;
use crate::relay::Credential;

/// How long a beacon counts from its issue on.
pub const BEACON_LIFETIME_NS: u64 = 3_600 * 1_000_000_000;
/// How often a new one is issued: twice in a lifetime, so that a ticket has half an hour at least.
pub const BEACON_INTERVAL_NS: u64 = BEACON_LIFETIME_NS / 2;
/// Most bits of work that are ever asked for; a client refuses to look for more.
pub const DIFFICULTY_MAX: u8 = 28;

/// What a ticket pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum Purpose {
    /// `create_queue`.
    CreateQueue = 1,
    /// `create_inbox`.
    CreateInbox = 2,
    /// `deposit` by a stranger.
    Deposit = 3,
    /// `claim` by a stranger.
    Claim = 4,
    /// `create_blob` by who belongs to no queue.
    CreateBlob = 5,
    /// A label of `lookup`. The call is the label alone: [`crate::log::Wanted`].
    LookUp = 6,
    /// `submit` of the first version of an account, of a handle's record, and of what is beyond the
    /// free versions of a day.
    Register = 7,
}

/// Zero bits that a ticket needs, by purpose. A registration costs what its inbox costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Difficulties {
    /// Of [`Purpose::CreateQueue`].
    pub create_queue: u8,
    /// Of [`Purpose::CreateInbox`] and [`Purpose::Register`].
    pub create_inbox: u8,
    /// Of [`Purpose::Deposit`].
    pub deposit: u8,
    /// Of [`Purpose::Claim`].
    pub claim: u8,
    /// Of [`Purpose::CreateBlob`].
    pub create_blob: u8,
    /// Of [`Purpose::LookUp`].
    pub look_up: u8,
}

impl Default for Difficulties {
    /// A quarter of a million to a million hashes: a phone makes a few million in a second.
    fn default() -> Self {
        Self {
            create_queue: 18,
            create_inbox: 20,
            deposit: 20,
            claim: 18,
            create_blob: 20,
            look_up: 18,
        }
    }
}

impl Difficulties {
    /// The same for every purpose.
    #[must_use]
    pub const fn all(bits: u8) -> Self {
        Self {
            create_queue: bits,
            create_inbox: bits,
            deposit: bits,
            claim: bits,
            create_blob: bits,
            look_up: bits,
        }
    }

    /// Of one purpose.
    #[must_use]
    pub const fn of(&self, purpose: Purpose) -> u8 {
        match purpose {
            Purpose::CreateQueue => self.create_queue,
            Purpose::CreateInbox | Purpose::Register => self.create_inbox,
            Purpose::Deposit => self.deposit,
            Purpose::Claim => self.claim,
            Purpose::CreateBlob => self.create_blob,
            Purpose::LookUp => self.look_up,
        }
    }

    /// Each with `bits` more, up to [`DIFFICULTY_MAX`].
    #[must_use]
    pub fn raised(&self, bits: u8) -> Self {
        let raise = |own: u8| own.saturating_add(bits).min(DIFFICULTY_MAX);
        Self {
            create_queue: raise(self.create_queue),
            create_inbox: raise(self.create_inbox),
            deposit: raise(self.deposit),
            claim: raise(self.claim),
            create_blob: raise(self.create_blob),
            look_up: raise(self.look_up),
        }
    }

    /// Whether a client would look for all of them.
    #[must_use]
    pub fn are_allowed(&self) -> bool {
        *self == self.raised(0)
    }
}

/// 32 random bytes that nobody knew before they were issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Beacon {
    /// Canister time in nanoseconds since 1970.
    pub issued_at: u64,
    /// Random.
    pub value: Hash,
}

impl Beacon {
    /// Stands for none.
    pub const NONE: Self = Self {
        issued_at: 0,
        value: [0; 32],
    };

    /// Whether tickets over it count at `now`.
    #[must_use]
    pub const fn counts(&self, now: u64) -> bool {
        self.issued_at != 0 && now < self.issued_at.saturating_add(BEACON_LIFETIME_NS)
    }
}

/// The data of a credential of type [`crate::relay::credential::TICKET`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Ticket {
    /// Which beacon: when it was issued.
    pub issued_at: u64,
    /// What the solver found.
    pub nonce: u64,
}

/// Why a ticket does not count.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes, thiserror::Error,
)]
#[repr(u8)]
pub enum TicketRefusal {
    /// The call needs a ticket and has none.
    #[error("a ticket is needed")]
    Missing = 1,
    /// The canister has no beacon yet.
    #[error("no beacon yet")]
    NotReady = 2,
    /// Its beacon is none of the last hour's.
    #[error("the beacon is not of the last hour")]
    BeaconExpired = 3,
    /// Its hash begins with too few zeros: another call, canister or purpose, or less work than is
    /// asked for now.
    #[error("not enough work")]
    TooLittleWork = 4,
    /// It paid for this call once, and what that made is gone.
    #[error("spent")]
    Spent = 5,
    /// The canister remembers as many spent tickets as it can; the next beacon makes room.
    #[error("too many tickets; wait for the next beacon")]
    Busy = 6,
}

/// What a ticket has to be made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// Where it is spent.
    pub canister: &'a CanisterId,
    /// On what.
    pub purpose: Purpose,
    /// Hash of the call: [`Paid::call_hash`].
    pub call: Hash,
    /// A beacon of the last hour.
    pub beacon: Beacon,
}

impl Challenge<'_> {
    /// H("paigham/1 ticket"; canister ‖ purpose u8 ‖ call 32 ‖ beacon 32 ‖ nonce u64).
    #[must_use]
    pub fn hash(&self, nonce: u64) -> Hash {
        blake3_labelled(
            label::TICKET,
            &[
                &self.canister.hash_part(),
                &[self.purpose as u8],
                &self.call,
                &self.beacon.value,
                &nonce.to_be_bytes(),
            ],
        )
    }

    /// Looks for a nonce: 2^bits hashes in the mean, on the caller's thread. `None` if more than
    /// [`DIFFICULTY_MAX`] bits are asked for.
    #[must_use]
    pub fn solve(&self, bits: u8) -> Option<Ticket> {
        if bits > DIFFICULTY_MAX {
            return None;
        }
        (0..u64::MAX)
            .find(|nonce| leading_zeros(&self.hash(*nonce)) >= u32::from(bits))
            .map(|nonce| Ticket {
                issued_at: self.beacon.issued_at,
                nonce,
            })
    }
}

/// Zero bits at the start of a hash.
#[must_use]
pub fn leading_zeros(hash: &Hash) -> u32 {
    let (high, low) = hash.split_at(16);
    let word = |half: &[u8]| half.try_into().map_or(0, u128::from_be_bytes);
    match word(high) {
        0 => 128 + word(low).leading_zeros(),
        high => high.leading_zeros(),
    }
}

/// A request that a ticket may pay for.
pub trait Paid: tls_codec::Serialize + Clone {
    /// What its tickets are for.
    const PURPOSE: Purpose;

    /// Its credential.
    fn credential_mut(&mut self) -> &mut Credential;

    /// H("paigham/1 call"; the request with an empty credential): what its ticket is bound to. A
    /// request that is paid for by a part of it says so.
    #[must_use]
    fn call_hash(&self) -> Hash {
        let mut unpaid = self.clone();
        *unpaid.credential_mut() = Credential::none();
        blake3_labelled(label::CALL, &[&encode(&unpaid)])
    }

    /// Puts a ticket in as its credential; `None` if more bits are asked for than
    /// [`DIFFICULTY_MAX`].
    fn pay(&mut self, canister: &CanisterId, beacon: Beacon, bits: u8) -> Option<()> {
        let challenge = Challenge {
            canister,
            purpose: Self::PURPOSE,
            call: self.call_hash(),
            beacon,
        };
        *self.credential_mut() = Credential::ticket(&challenge.solve(bits)?);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canister(id: u8) -> CanisterId {
        CanisterId::new(&[id]).unwrap()
    }

    fn beacon(value: u8) -> Beacon {
        Beacon {
            issued_at: 7,
            value: [value; 32],
        }
    }

    /// Work that was done for one call, canister, purpose or beacon is no work for another.
    #[test]
    fn work_is_bound_to_everything() {
        let (here, there) = (canister(1), canister(2));
        let challenge = Challenge {
            canister: &here,
            purpose: Purpose::Deposit,
            call: [3; 32],
            beacon: beacon(4),
        };
        let ticket = challenge.solve(12).unwrap();
        assert!(leading_zeros(&challenge.hash(ticket.nonce)) >= 12);
        let others = [
            Challenge {
                canister: &there,
                ..challenge.clone()
            },
            Challenge {
                purpose: Purpose::Claim,
                ..challenge.clone()
            },
            Challenge {
                call: [5; 32],
                ..challenge.clone()
            },
            Challenge {
                beacon: beacon(6),
                ..challenge.clone()
            },
        ];
        for other in others {
            assert!(leading_zeros(&other.hash(ticket.nonce)) < 12, "{other:?}");
        }
    }

    /// A canister that asks for endless work gets none.
    #[test]
    fn endless_work_is_refused() {
        let here = canister(1);
        let challenge = Challenge {
            canister: &here,
            purpose: Purpose::Deposit,
            call: [3; 32],
            beacon: beacon(4),
        };
        assert_eq!(challenge.solve(DIFFICULTY_MAX + 1), None);
        assert!(!Difficulties::all(DIFFICULTY_MAX + 1).are_allowed());
        assert!(Difficulties::all(DIFFICULTY_MAX).are_allowed());
    }

    /// Zeros are counted over the whole hash.
    #[test]
    fn zeros_are_counted() {
        let mut hash = [0; 32];
        assert_eq!(leading_zeros(&hash), 256);
        hash[31] = 1;
        assert_eq!(leading_zeros(&hash), 255);
        hash[1] = 0x10;
        assert_eq!(leading_zeros(&hash), 11);
    }

    /// A beacon counts for an hour from its issue on, and none never.
    #[test]
    fn a_beacon_counts_for_an_hour() {
        let issued = beacon(1);
        assert!(issued.counts(7 + BEACON_LIFETIME_NS - 1));
        assert!(!issued.counts(7 + BEACON_LIFETIME_NS));
        assert!(!Beacon::NONE.counts(0));
    }
}
