//! One changed bit in an answer is noticed, wherever it is.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod common;

use common::*;
use paigham_transparency::auditor::AuditorState;
use paigham_transparency::codec::Codec;
use paigham_transparency::prover::audit_update;
use paigham_transparency::store::Store;
use paigham_transparency::structs::{AuditorUpdate, DistinguishedRequest, OwnerInitRequest};

/// In CI every so many bits; all of them with `PAIGHAM_ALL_BITS=1`.
const SAMPLE: usize = 17;

/// Flips bit after bit and counts the answers that were still believed.
fn believed(name: &str, answer: &[u8], mut accept: impl FnMut(&[u8]) -> bool) {
    assert!(accept(answer), "{name}: the honest answer");
    let step = match std::env::var_os("PAIGHAM_ALL_BITS") {
        Some(_) => 1,
        None => SAMPLE,
    };
    let mut flipped = answer.to_vec();
    let mut count = 0;
    for bit in (0..answer.len() * 8).step_by(step) {
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(
            !accept(&flipped),
            "{name}: bit {bit} of {}",
            answer.len() * 8
        );
        flipped[bit / 8] ^= 1 << (bit % 8);
        count += 1;
    }
    println!("{name}: {count} of {} bits refused", answer.len() * 8);
    for cut in [0, answer.len() / 2, answer.len() - 1] {
        assert!(!accept(&answer[..cut]), "{name}: cut to {cut}");
    }
    flipped.push(0);
    assert!(!accept(&flipped), "{name}: a byte behind");
}

fn log() -> Log {
    let mut log = Log::new(WINDOW);
    for round in 0..12u8 {
        log.publish(
            11 * MINUTE,
            &[("amina", &[round]), (&format!("other {round}"), b"x")],
        );
        log.publish(MINUTE, &[]);
    }
    log.heartbeats(3, MINUTE);
    log
}

/// Searches by new and returning readers, and the answer that a label is absent.
#[test]
fn searches() {
    let mut log = log();
    let mut returning = Person::new(&log.config);
    returning.search(&log, "other 3").unwrap();
    log.publish(MINUTE, &[("amina", b"last")]);
    for (name, person) in [("new", Person::new(&log.config)), ("returning", returning)] {
        let request = person.request("amina", None);
        let response = log.ask(|prover| prover.search(&request)).unwrap();
        believed(
            &format!("search, {name}"),
            &response.encode().unwrap(),
            |bytes| person.clone().accept(&request, bytes, log.now).is_ok(),
        );
        let request = person.request("nobody", None);
        let response = log.ask(|prover| prover.absent(&request)).unwrap();
        believed(
            &format!("absent, {name}"),
            &response.encode().unwrap(),
            |bytes| {
                let check = |verifier: &paigham_transparency::verifier::Verifier<'_>,
                             view: Option<&_>| {
                    verifier.absent(view, &request, bytes, log.now)
                };
                person.clone().check(check).is_ok()
            },
        );
    }
}

/// Which entry brought a version.
#[test]
fn places() {
    let log = log();
    let mut person = Person::new(&log.config);
    for name in ["place, new", "place, same head"] {
        let request = person.request("amina", Some(4));
        let response = log.ask(|prover| prover.place(&request)).unwrap();
        believed(name, &response.encode().unwrap(), |bytes| {
            let mut person = person.clone();
            let checked =
                person.check(|verifier, view| verifier.place(view, &request, &[4], bytes, log.now));
            checked.is_ok()
        });
        person.search(&log, "amina").unwrap();
    }
}

/// A search for an old version. The draft has it carry the commitments of later versions in the
/// ladder that the search does not come to look up; they show nothing, and what is shown stays the
/// same whatever they are.
#[test]
fn searches_for_old_versions() {
    let log = log();
    let person = Person::new(&log.config);
    let request = person.request("amina", Some(4));
    let response = log.ask(|prover| prover.search(&request)).unwrap();
    let honest = person
        .clone()
        .accept(&request, &response.encode().unwrap(), log.now)
        .unwrap();
    believed(
        "search for version 4",
        &response.encode().unwrap(),
        |bytes| {
            let found = person.clone().accept(&request, bytes, log.now);
            let same = found.as_ref() == Ok(&honest);
            same && bytes == response.encode().unwrap() || found.is_ok() && !same
        },
    );
}

/// What watchers, owners and comparers are shown.
#[test]
fn monitoring() {
    let mut log = log();
    let mut person = Person::new(&log.config);
    log.publish(MINUTE, &[("bilal", b"b")]);
    person.search(&log, "bilal").unwrap();
    person.own(&log, "amina").unwrap();
    while person.learn(&log, "amina", &[]).unwrap().is_some() {}
    log.heartbeats(20, 4 * MINUTE);
    log.publish(MINUTE, &[("amina", b"new")]);
    let view = person.view.clone().unwrap();

    let contacts = person.contacts[&label("bilal")].clone();
    let request = contacts.request(label("bilal"), &view);
    let response = log.ask(|prover| prover.contact_monitor(&request)).unwrap();
    believed("contact monitoring", &response.encode().unwrap(), |bytes| {
        let mut person = person.clone();
        let checked = person.check(|verifier, view| {
            verifier.contact_monitor(view.unwrap(), &contacts, &request, bytes, log.now)
        });
        checked.is_ok()
    });

    let state = person.owned[&label("amina")].clone();
    let request = state.monitor_request(label("amina"), &view);
    let response = log.ask(|prover| prover.owner_monitor(&request)).unwrap();
    believed("owner monitoring", &response.encode().unwrap(), |bytes| {
        let mut person = person.clone();
        let checked = person.check(|verifier, view| {
            verifier.owner_monitor(view.unwrap(), &state, &request, bytes, log.now)
        });
        checked.is_ok()
    });

    let request = state.update_request(label("amina"), &view, Vec::new());
    let response = log.ask(|prover| prover.update(&request)).unwrap().unwrap();
    believed("update", &response.encode().unwrap(), |bytes| {
        let mut person = person.clone();
        let checked = person.check(|verifier, view| {
            verifier.update(view.unwrap(), &state, &request, bytes, log.now)
        });
        checked.is_ok()
    });

    let last = Some(view.size());
    let request = DistinguishedRequest { last, stop: None };
    let response = log
        .ask(|prover| prover.distinguished(&request, RECENT))
        .unwrap();
    believed(
        "distinguished heads",
        &response.encode().unwrap(),
        |bytes| {
            let mut person = person.clone();
            let checked = person.check(|verifier, view| {
                verifier.distinguished(view, &request, RECENT, bytes, log.now)
            });
            checked.is_ok()
        },
    );

    let start = person.owned[&label("amina")].start();
    let request = OwnerInitRequest {
        last,
        label: label("amina"),
        start,
    };
    let response = log.ask(|prover| prover.owner_init(&request)).unwrap();
    let honest = response.encode().unwrap();
    believed("owner initialization", &honest, |bytes| {
        let mut person = person.clone();
        let checked =
            person.check(|verifier, view| verifier.owner_init(view, &request, bytes, log.now));
        checked.is_ok()
    });
}

/// An auditor refuses the entry, or comes to a root that the log has not signed.
#[test]
fn audits() {
    let log = log();
    let size = log.store.tree_size();
    let mut state = AuditorState::default();
    for position in 0..size {
        let update = audit_update(&log.store, position).unwrap();
        let next = state.apply(&update).unwrap();
        if position % 8 == 4 {
            believed(
                &format!("entry {position}"),
                &update.encode().unwrap(),
                |bytes| {
                    let update = AuditorUpdate::decode(bytes);
                    update.is_ok_and(|update| state.apply(&update).is_ok_and(|after| after == next))
                },
            );
        }
        state = next;
    }
}
