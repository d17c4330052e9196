//! What deposits and inbox keys can make an inbox do.

use std::cell::Cell;
use std::rc::Rc;

use super::*;
use crate::limits::COUNTER_MAX_STEP;

/// Counts the bytes that are read.
#[derive(Clone, Default)]
struct Counted {
    memory: VectorMemory,
    read: Rc<Cell<usize>>,
}

impl Memory for Counted {
    fn size(&self) -> u64 {
        self.memory.size()
    }

    fn grow(&self, pages: u64) -> i64 {
        self.memory.grow(pages)
    }

    fn read(&self, offset: u64, dst: &mut [u8]) {
        self.read.set(self.read.get() + dst.len());
        self.memory.read(offset, dst);
    }

    fn write(&self, offset: u64, src: &[u8]) {
        self.memory.write(offset, src);
    }
}

/// A contact deposits: with no ticket, by which a repeat would be known too.
fn contact_deposits<M: Memory>(
    relay: &mut Relay<M>,
    owner: &Owner,
    sealed: &[u8],
) -> Result<u32, RelayError> {
    let not_after = SOON;
    let signature = owner.sign(InboxOperation::Capability { not_after });
    let capability = Capability {
        not_after,
        signature,
    };
    let request = Deposit {
        inbox: owner.inbox,
        credential: Credential {
            credential_type: credential::CAPABILITY,
            data: encode(&capability).into(),
        },
        sealed: sealed.to_vec().into(),
    };
    let stored = relay.deposit(&encode(&request), NOW);
    stored.map(|position| position.seq)
}

/// Strangers fill their part of an inbox with the largest deposits there may be, and go on. What
/// they get then costs look-ups and not a reading of the inbox, and so does a contact's repeat,
/// which keeps its place. Bytes that were drained are a new deposit.
#[test]
fn a_full_inbox_is_not_read_for_each_deposit() {
    const STRANGERS: u32 = 500;
    const LOOK_UPS: usize = 8 * DEPOSIT_MAX_BYTES;
    let memory = Counted::default();
    let mut relay = opened(memory.clone());
    let owner = Owner::create(&mut relay);
    let sealed = |number: u32| {
        let mut sealed = vec![7; DEPOSIT_MAX_BYTES];
        sealed[..4].copy_from_slice(&number.to_be_bytes());
        sealed
    };
    for number in 1..=STRANGERS {
        let stored = deposit(&mut relay, owner.inbox, &sealed(number));
        assert_eq!(stored, Ok(number));
    }
    memory.read.set(0);
    let more = deposit(&mut relay, owner.inbox, &sealed(STRANGERS + 1));
    assert_eq!(more, Err(RelayError::Full));
    assert!(memory.read.take() < LOOK_UPS);
    let repeat = contact_deposits(&mut relay, &owner, &sealed(STRANGERS));
    assert_eq!(repeat, Ok(STRANGERS));
    assert!(memory.read.take() < LOOK_UPS);

    relay.drain(&owner.drain(1, 1)).unwrap();
    let again = contact_deposits(&mut relay, &owner, &sealed(1));
    assert_eq!(again, Ok(STRANGERS + 1));
    relay.drain(&owner.drain(2, u32::MAX)).unwrap();
    assert!(relay.deposit_places.is_empty());
}

/// An owner's device errs, or is made to: a counter beyond what any device reaches would leave no
/// higher one. It is refused with the last that counted, and the inbox goes on from there.
#[test]
fn no_counter_ends_an_inbox() {
    let mut relay = relay();
    let owner = Owner::create(&mut relay);
    assert_eq!(deposit(&mut relay, owner.inbox, b"a"), Ok(1));
    let first = 1 + COUNTER_MAX_STEP;
    for counter in [first, u64::MAX] {
        let last = Err(RelayError::StaleCounter(0));
        assert_eq!(relay.drain(&owner.drain(counter, 1)), last);
        assert_eq!(relay.refill(&owner.refill(counter, &[b"x"], None)), last);
    }
    let drained = relay.drain(&owner.drain(COUNTER_MAX_STEP, 1)).unwrap();
    assert_eq!(drained.first_seq, 2);
    let stale = relay.drain(&owner.drain(u64::MAX, 1));
    assert_eq!(stale, Err(RelayError::StaleCounter(COUNTER_MAX_STEP)));
    let refilled = relay.refill(&owner.refill(first, &[b"x"], None)).unwrap();
    assert_eq!(refilled.one_time_left, 1);
}
