//! When a record counts is decided by the entries that brought it, for whoever looks, whenever.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use paigham_lookup::{AccountHistory, LookupError};
use paigham_wire::identity::{RecordContent, RecordKind, Rejected, Role, recovery_key_hash};
use proptest::prelude::*;

const DAY: u64 = 24 * HOUR;

fn seen(reader: &mut Reader, directory: &Directory, owner: &Owner) -> AccountHistory {
    let found = reader.look_up(directory, owner.account()).unwrap();
    found.outcome.unwrap()
}

fn identity_key(directory: &Directory, history: &AccountHistory) -> [u8; 32] {
    history.state().at(directory.now * NS).identity_key
}

/// Amina recovers her account. For 72 hours her old key counts, then the new one, whether a reader
/// has followed all along or comes by for the first time, and however much the log grows meanwhile.
#[test]
fn a_recover_counts_after_72_hours() {
    let mut directory = Directory::new();
    let mut amina = Owner::create(&mut directory, 7);
    let mut bilal = Reader::default();
    seen(&mut bilal, &directory, &amina);
    let recover = amina.recover(directory.now * NS, 5);
    amina.log(&mut directory, HOUR, &recover).unwrap();
    for _ in 0..71 {
        directory.publish(HOUR, &[]);
        let history = seen(&mut Reader::default(), &directory, &amina);
        assert!(history.state().is_recovering(directory.now * NS));
    }
    directory.publish(HOUR - 1, &[]);
    for reader in [&mut bilal, &mut Reader::default()] {
        let history = seen(reader, &directory, &amina);
        assert_eq!(identity_key(&directory, &history), public(1));
    }
    directory.publish(1, &[]);
    for _ in 0..40 {
        for reader in [&mut bilal, &mut Reader::default()] {
            let history = seen(reader, &directory, &amina);
            assert_eq!(identity_key(&directory, &history), public(5));
        }
        directory.publish(20 * MINUTE, &[]);
    }
    // What follows is by the new key.
    let add = amina.add(directory.now * NS, 2, 5);
    amina.log(&mut directory, HOUR, &add).unwrap();
    for reader in [&mut bilal, &mut Reader::default()] {
        assert_eq!(seen(reader, &directory, &amina).next_version(), 3);
    }
}

/// A directory that gives way to the thief with the kit: it logs a record by the recovered key
/// before its 72 hours are over. Every reader refuses it.
#[test]
fn a_recover_that_is_used_too_early_is_refused() {
    let mut directory = Directory::new();
    let mut amina = Owner::create(&mut directory, 7);
    let recover = amina.recover(directory.now * NS, 5);
    amina.log(&mut directory, HOUR, &recover).unwrap();
    let mut bilal = Reader::default();
    seen(&mut bilal, &directory, &amina);
    let early = amina.add((directory.now + 72 * HOUR) * NS, 2, 5);
    directory.wait(70 * HOUR);
    directory.log(HOUR, &early);
    directory.wait(10 * DAY);
    for mut reader in [bilal, Reader::default()] {
        let refused = reader.look_up(&directory, amina.account()).unwrap_err();
        let reason = Rejected::DoesNotFollow;
        assert_eq!(refused, LookupError::Rule { version: 2, reason });
    }
}

/// A freeze holds for 7 days, then the account goes on. A record within it is refused.
#[test]
fn a_freeze_ends_after_7_days() {
    let mut directory = Directory::new();
    let mut amina = Owner::create(&mut directory, 7);
    let freeze = amina.freeze(directory.now * NS, 1);
    amina.log(&mut directory, HOUR, &freeze).unwrap();
    let mut cheating = directory.clone();
    let add = amina.add((directory.now + 7 * DAY) * NS, 2, 1);

    cheating.log(7 * DAY - 1, &add);
    let refused = Reader::default().look_up(&cheating, amina.account());
    let reason = Rejected::Frozen;
    assert_eq!(
        refused.unwrap_err(),
        LookupError::Rule { version: 2, reason }
    );

    directory.wait(7 * DAY - 1);
    let history = seen(&mut Reader::default(), &directory, &amina);
    assert!(history.state().is_frozen(directory.now * NS));
    amina.log(&mut directory, 1, &add).unwrap();
    let history = seen(&mut Reader::default(), &directory, &amina);
    assert!(!history.state().is_frozen(directory.now * NS));
    assert_eq!(history.state().at(directory.now * NS).devices.len(), 2);
}

/// A delete counts after 72 hours; then the account has no devices and takes no records.
#[test]
fn a_delete_counts_after_72_hours() {
    let mut directory = Directory::new();
    let mut amina = Owner::create(&mut directory, 7);
    let delete = amina.delete(directory.now * NS, 1);
    amina.log(&mut directory, HOUR, &delete).unwrap();
    directory.wait(72 * HOUR - 1);
    let mut voided = directory.clone();
    let mut bilal = Reader::default();
    let history = seen(&mut bilal, &directory, &amina);
    assert!(!history.state().is_deleted(directory.now * NS));
    directory.publish(1, &[]);
    let history = seen(&mut bilal, &directory, &amina);
    assert!(history.state().is_deleted(directory.now * NS));

    let add = amina.add(voided.now * NS, 2, 1);
    directory.log(MINUTE, &add);
    let refused = Reader::default().look_up(&directory, amina.account());
    let reason = Rejected::Deleted;
    assert_eq!(
        refused.unwrap_err(),
        LookupError::Rule { version: 2, reason }
    );

    voided.log(0, &add);
    let history = seen(&mut Reader::default(), &voided, &amina);
    assert!(!history.state().is_deleted((voided.now + 100 * HOUR) * NS));
}

/// What somebody may try with an account.
#[derive(Debug, Clone, Copy)]
enum Step {
    Add(u8),
    Rotate,
    Recover,
    RecoveryChange,
    Freeze { by_recovery: bool },
    Delete,
    Nothing,
    Look,
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let gap = prop_oneof![
        Just(5 * MINUTE),
        Just(HOUR),
        Just(71 * HOUR),
        Just(72 * HOUR),
        Just(8 * DAY)
    ];
    let step = prop_oneof![
        (2u8..6).prop_map(Step::Add),
        Just(Step::Rotate),
        Just(Step::Recover),
        Just(Step::RecoveryChange),
        any::<bool>().prop_map(|by_recovery| Step::Freeze { by_recovery }),
        Just(Step::Delete),
        Just(Step::Nothing),
        Just(Step::Look),
    ];
    (gap, step)
}

impl Owner {
    /// The seed of the identity key that counts.
    fn holder(&self, now: u64) -> u8 {
        let key = self.state.at(now).identity_key;
        (1..=u8::MAX).find(|seed| public(*seed) == key).unwrap()
    }

    fn try_step(&mut self, directory: &mut Directory, after: u64, step: Step, fresh: u8) {
        let now = (directory.now + after) * NS;
        let by = self.holder(now);
        let record = match step {
            Step::Nothing | Step::Look => return,
            Step::Add(number) => self.add(now, number, by),
            Step::Recover => self.recover(now, fresh),
            Step::Delete => self.delete(now, by),
            Step::Freeze { by_recovery: false } => self.freeze(now, by),
            Step::Freeze { by_recovery: true } => {
                let keys = [(Role::Recovery, self.recovery)];
                self.make(now, RecordKind::Freeze, |_| {}, &keys)
            }
            Step::Rotate => {
                let change = |content: &mut RecordContent| content.identity_key = public(fresh);
                let keys = [(Role::Identity, by), (Role::NewIdentity, fresh)];
                self.make(now, RecordKind::Rotate, change, &keys)
            }
            Step::RecoveryChange => {
                let hash = recovery_key_hash(&public(fresh));
                let change = |content: &mut RecordContent| content.recovery_key_hash = hash;
                let keys = [(Role::Identity, by), (Role::Recovery, self.recovery)];
                self.make(now, RecordKind::RecoveryChange, change, &keys)
            }
        };
        if self.log(directory, after, &record).is_ok() && matches!(step, Step::RecoveryChange) {
            self.recovery = fresh;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    /// Whatever is logged and whoever looks when: what a reader concludes from the proofs is what
    /// the records and the true times make of the account, now and at any later time.
    #[test]
    fn readers_and_rules_agree(steps in proptest::collection::vec(step(), 1..14)) {
        let mut directory = Directory::new();
        let mut owner = Owner::create(&mut directory, 7);
        let mut returning = Reader::default();
        for (fresh, (after, step)) in (10..).zip(steps) {
            let before = directory.now;
            owner.try_step(&mut directory, after, step, fresh);
            if directory.now == before {
                directory.wait(after);
            }
            let mut new = Reader::default();
            let mut readers = vec![seen(&mut new, &directory, &owner)];
            if matches!(step, Step::Look) {
                readers.push(seen(&mut returning, &directory, &owner));
            }
            for history in readers {
                prop_assert_eq!(history.next_version(), owner.state.version() + 1);
                for later in [0, 1, HOUR, 71 * HOUR, 72 * HOUR, 7 * DAY, 30 * DAY] {
                    let at = (directory.now + later) * NS;
                    let (seen, real) = (history.state(), &owner.state);
                    prop_assert_eq!(seen.at(at), real.at(at));
                    prop_assert_eq!(seen.is_frozen(at), real.is_frozen(at));
                    prop_assert_eq!(seen.is_recovering(at), real.is_recovering(at));
                    prop_assert_eq!(seen.is_deleted(at), real.is_deleted(at));
                }
            }
        }
    }
}
