//! Files that show to anybody what a log did, and say what they do not show.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use paigham_lookup::account::RecordTimes;
use paigham_lookup::evidence::{
    Checked, EVIDENCE_MAX_BYTES, EVIDENCE_MAX_ITEMS, Evidence, Item, Limit, Proved, RECENT_HEADS,
    Report, ShownAnswer, ShownHead,
};
use paigham_lookup::{AccountHistory, Finding, LookupError, Reading};
use paigham_transparency::codec::Codec;
use paigham_transparency::hash::Label;
use paigham_transparency::structs::DistinguishedRequest;
use paigham_wire::codec::CodecError;
use paigham_wire::identity::Rejected;
use paigham_wire::log::LabelAnswer;
use proptest::prelude::*;

fn file(finding: Finding, items: Vec<Item>) -> Evidence {
    Evidence {
        finding,
        network: b"network file".to_vec().into(),
        items,
    }
}

/// Written, read back, and checked by somebody who has the file only.
fn check(directory: &Directory, evidence: &Evidence) -> Report {
    let read = Evidence::from_bytes(&evidence.to_bytes()).unwrap();
    assert_eq!(read, *evidence);
    read.check(&directory.trust())
}

/// What a directory answers about an account to a reader, as evidence.
fn answer(directory: &Directory, reader: &Reader, owner: &Owner) -> Item {
    let (answer, head) = reader.ask(directory, owner.account());
    let known = reader.history.as_ref().map(AccountHistory::to_bytes);
    let view = reader.view.as_ref().map(|view| view.encode().unwrap());
    Item::Account(ShownAnswer {
        before: view.map(|view| ShownHead {
            view: view.into(),
            signature: directory.head().into(),
        }),
        known: known.unwrap_or_default().into(),
        account: owner.account(),
        answer,
        head: head.into(),
    })
}

fn head(directory: &Directory, owner: &Owner) -> Item {
    let found = Reader::default().look_up(directory, owner.account());
    let found = found.unwrap();
    Item::Head(ShownHead {
        view: found.view.encode().unwrap().into(),
        signature: found.head.into(),
    })
}

fn distinguished(directory: &Directory) -> Item {
    let request = DistinguishedRequest {
        last: None,
        stop: None,
    };
    let head = directory.head();
    let response = directory
        .prove(&head, |prover| prover.distinguished(&request, RECENT_HEADS))
        .unwrap();
    Item::Distinguished(response.encode().unwrap().into())
}

/// Amina's directory logs a device by a key that is not hers. Whoever has the answer can show it,
/// and somebody who changed an honest answer on its way shows nothing against the directory.
#[test]
fn a_record_without_authority_is_proved() {
    let mut directory = Directory::new();
    let amina = Owner::create(&mut directory, 7);
    let honest = directory.clone();
    let ghost = amina.add(directory.now * NS, 66, 9);
    directory.log(HOUR, &ghost);
    let evidence = file(
        Finding::WrongAuthorisation,
        vec![answer(&directory, &Reader::default(), &amina)],
    );
    let report = check(&directory, &evidence);
    assert!(report.holds());
    let reason = Rejected::NotAuthorised;
    let error = LookupError::Rule { version: 1, reason };
    assert_eq!(report.items, [Checked::Refused(error)]);
    assert_eq!(report.proved, [Proved::WrongAuthorisation(error)]);
    assert_eq!(report.limits, []);
    // By another root key it proves nothing.
    let mut other = directory.clone();
    other.signer.subnet = 2;
    let forged = file(
        Finding::WrongAuthorisation,
        vec![answer(&other, &Reader::default(), &amina)],
    );
    let report = check(&directory, &forged);
    assert!(!report.holds() && report.proved.is_empty());

    let mut longer = (honest, amina);
    let add = longer.1.add(longer.0.now * NS, 2, 1);
    longer.1.log(&mut longer.0, HOUR, &add).unwrap();
    let (directory, amina) = longer;
    let Item::Account(mut framed) = answer(&directory, &Reader::default(), &amina) else {
        unreachable!()
    };
    if let LabelAnswer::Found(found) = &mut framed.answer {
        found.earlier[0] = paigham_wire::codec::encode(&ghost).into();
    }
    let framed = file(Finding::WrongAuthorisation, vec![Item::Account(framed)]);
    let report = check(&directory, &framed);
    assert!(!report.holds());
    assert_eq!(report.proved, []);
    assert_eq!(report.limits, [Limit::AnswerUnsigned]);
}

/// Two people are shown two histories of Amina's account: two heads, or two answers, are enough.
#[test]
fn a_fork_is_proved() {
    let mut one = Directory::new();
    let mut amina = Owner::create(&mut one, 7);
    one.wait(HOUR);
    let (mut two, mut twin) = (one.clone(), amina.clone());
    let add = amina.add(one.now * NS, 2, 1);
    amina.log(&mut one, HOUR, &add).unwrap();
    let add = twin.add(two.now * NS, 3, 1);
    twin.log(&mut two, HOUR, &add).unwrap();
    one.wait(HOUR);
    two.wait(12 * HOUR);
    for items in [
        vec![head(&one, &amina), head(&two, &twin)],
        vec![distinguished(&one), distinguished(&two)],
        vec![
            answer(&one, &Reader::default(), &amina),
            answer(&two, &Reader::default(), &twin),
        ],
    ] {
        let report = check(&one, &file(Finding::Fork, items));
        assert!(report.holds(), "{report:?}");
    }
    let answers = vec![
        answer(&one, &Reader::default(), &amina),
        answer(&two, &Reader::default(), &twin),
    ];
    let report = check(&one, &file(Finding::TwoValues, answers));
    assert!(report.proved.contains(&Proved::TwoValues { version: 1 }));
    // One log at two times is none.
    let early = head(&one, &amina);
    one.wait(HOUR);
    let late = head(&one, &amina);
    let report = check(&one, &file(Finding::Fork, vec![early, late]));
    assert!(!report.holds());
    assert_eq!(report.proved, []);
}

/// One reader alone is shown a network file: in a log of its own, in which the file is the next
/// version of the network's label. The file is well proved there. But the log that everybody else
/// sees cannot continue from that reader's head, and the two heads prove it, as soon as somebody
/// lays them side by side.
#[test]
fn a_network_file_for_one_reader_is_a_fork() {
    let mut truth = Directory::new();
    let amina = Owner::create(&mut truth, 7);
    truth.wait(HOUR);
    let network = Label::new(*b"n:").unwrap();
    let trust = truth.trust();
    let mut shown = truth.clone();
    shown.publish(MINUTE, &[(network.clone(), b"for one alone".to_vec())]);
    shown.publish(MINUTE, &[]);
    truth.wait(2 * MINUTE);
    truth.publish(MINUTE, &[]);
    let (answer, head) = shown.answer(&network, None, 0, &RecordTimes);
    let mut reading = Reading::open(&trust, None, &head).unwrap();
    let found = reading.label(&network, None, &answer, &RecordTimes);
    assert_eq!(found.unwrap().unwrap().newest, b"for one alone");
    let seen = reading.finish((), None).unwrap();

    let (answer, head) = truth.answer(&network, Some(seen.view.size()), 0, &RecordTimes);
    let mut reading = Reading::open(&trust, Some(&seen.view), &head).unwrap();
    let refused = reading
        .label(&network, None, &answer, &RecordTimes)
        .unwrap_err();
    let finding = Finding::of(&refused);
    assert!(
        matches!(finding, Some(Finding::Fork | Finding::BadSignature)),
        "{refused:?}"
    );
    let own = Item::Head(ShownHead {
        view: seen.view.encode().unwrap().into(),
        signature: seen.head.into(),
    });
    let theirs = self::head(&truth, &amina);
    let report = check(&truth, &file(Finding::Fork, vec![own, theirs]));
    assert!(report.holds(), "{report:?}");
}

/// A log that is rolled back: a smaller head that was certified later.
#[test]
fn a_rollback_is_proved() {
    let mut directory = Directory::new();
    let mut amina = Owner::create(&mut directory, 7);
    directory.wait(HOUR);
    let mut rolled = directory.clone();
    let add = amina.add(directory.now * NS, 2, 1);
    amina.log(&mut directory, MINUTE, &add).unwrap();
    let before = answer(&directory, &Reader::default(), &amina);
    let behind = answer(&rolled, &Reader::default(), &amina);
    let old = check(
        &directory,
        &file(Finding::Rollback, vec![before.clone(), behind]),
    );
    assert!(!old.holds(), "an old answer is no rollback");
    rolled.signer.later = 10 * MINUTE * NS;
    let after = answer(&rolled, &Reader::default(), &amina);
    let report = check(
        &directory,
        &file(Finding::Rollback, vec![before.clone(), after]),
    );
    assert!(report.holds(), "{report:?}");
    // The label alone goes back, in a log that grows.
    rolled.wait(MINUTE);
    rolled.wait(MINUTE);
    let after = answer(&rolled, &Reader::default(), &amina);
    let report = check(
        &directory,
        &file(Finding::MissingVersion, vec![before, after]),
    );
    assert!(report.holds(), "{report:?}");
}

/// A log that the subnet goes on certifying while nothing is added.
#[test]
fn a_frozen_log_is_proved() {
    let mut directory = Directory::new();
    let amina = Owner::create(&mut directory, 7);
    directory.signer.later = HOUR * NS;
    let item = answer(&directory, &Reader::default(), &amina);
    let report = check(&directory, &file(Finding::StaleHead, vec![item]));
    assert!(report.holds());
    assert_eq!(report.proved, [Proved::BadTime(Finding::StaleHead)]);
}

/// An owner finds a device that it does not know: the file proves that the log has it, and says
/// that only the owner knows the rest.
#[test]
fn an_unknown_device_is_shown_to_be_logged() {
    let mut directory = Directory::new();
    let mut amina = Owner::create(&mut directory, 7);
    let thief = amina.add(directory.now * NS, 66, 1);
    amina.log(&mut directory, HOUR, &thief).unwrap();
    let item = answer(&directory, &Reader::default(), &amina);
    let report = check(&directory, &file(Finding::UnknownDevice, vec![item]));
    assert!(!report.holds());
    let logged = Proved::Logged {
        version: 1,
        record: *amina.state.newest_hash(),
        devices: 2,
    };
    assert_eq!(report.proved, [logged]);
    assert_eq!(report.limits, [Limit::OwnersWord]);
}

/// What a reader says that it had known is not proved by its saying so.
#[test]
fn what_the_asker_knew_is_its_word() {
    let mut directory = Directory::new();
    let mut amina = Owner::create(&mut directory, 7);
    let (mut other, mut twin) = (directory.clone(), amina.clone());
    let add = amina.add(directory.now * NS, 2, 1);
    amina.log(&mut directory, HOUR, &add).unwrap();
    let mut bilal = Reader::default();
    bilal.look_up(&directory, amina.account()).unwrap();
    let same = file(Finding::Fork, vec![answer(&directory, &bilal, &amina)]);
    let report = check(&directory, &same);
    assert!(matches!(report.items[..], [Checked::Holds { size: 3, .. }]));
    assert_eq!(report.limits, [Limit::StateUnsigned]);
    let add = twin.add(other.now * NS, 3, 1);
    twin.log(&mut other, HOUR, &add).unwrap();
    bilal.view = None;
    let changed = file(Finding::TwoValues, vec![answer(&other, &bilal, &twin)]);
    let report = check(&directory, &changed);
    let error = LookupError::Changed { version: 1 };
    assert_eq!(report.items, [Checked::Refused(error)]);
    assert_eq!(report.proved, []);
    // With the answer that he had then, it is.
    let both = vec![
        answer(&directory, &Reader::default(), &amina),
        answer(&other, &Reader::default(), &twin),
    ];
    assert!(check(&directory, &file(Finding::TwoValues, both)).holds());
}

/// Every error has a finding but those that are the reader's own.
#[test]
fn errors_have_findings() {
    let finding = |error| Finding::of(&error);
    assert_eq!(finding(LookupError::Trust("x")), None);
    let stale = paigham_transparency::verifier::VerifyError::Stale { behind: 1 };
    assert_eq!(finding(LookupError::Log(stale)), Some(Finding::StaleHead));
    let fewer = LookupError::Fewer { known: 2, shown: 1 };
    assert_eq!(finding(fewer), Some(Finding::MissingVersion));
}

/// Files that are none, or too large.
#[test]
fn a_file_is_bounded() {
    let directory = Directory::new();
    let item = Item::Distinguished(Vec::new().into());
    let malformed = Err(CodecError::Malformed);
    let items = |count| file(Finding::Fork, vec![item.clone(); count]).to_bytes();
    assert!(Evidence::from_bytes(&items(EVIDENCE_MAX_ITEMS)).is_ok());
    assert_eq!(
        Evidence::from_bytes(&items(EVIDENCE_MAX_ITEMS + 1)),
        malformed
    );
    assert_eq!(Evidence::from_bytes(&items(0)), malformed);
    let good = items(1);
    for cut in 0..good.len() {
        assert_eq!(Evidence::from_bytes(&good[..cut]), malformed);
    }
    assert_eq!(Evidence::from_bytes(&[&good[..], &[0]].concat()), malformed);
    let mut other = good;
    other[4] = b'2';
    assert_eq!(Evidence::from_bytes(&other), malformed);
    let limit = EVIDENCE_MAX_BYTES;
    let long = vec![0; limit + 1];
    assert_eq!(
        Evidence::from_bytes(&long),
        Err(CodecError::TooLong { limit })
    );
    let report = file(Finding::Fork, vec![item]).check(&directory.trust());
    assert!(!report.holds());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    /// Whatever bytes a file has: reading and checking it ends, and what is read is written alike.
    #[test]
    fn any_bytes_are_read_or_refused(
        at in any::<prop::sample::Index>(),
        put in prop::collection::vec(any::<u8>(), 0..4),
        take in 0usize..4,
    ) {
        thread_local! {
            static GOOD: (Directory, Vec<u8>) = {
                let mut directory = Directory::new();
                let amina = Owner::create(&mut directory, 7);
                let item = answer(&directory, &Reader::default(), &amina);
                let bytes = file(Finding::Fork, vec![item]).to_bytes();
                (directory, bytes)
            };
        }
        GOOD.with(|(directory, good)| {
            let from = at.index(good.len());
            let to = good.len().min(from + take);
            let mut bytes = good.clone();
            bytes.splice(from..to, put);
            if let Ok(evidence) = Evidence::from_bytes(&bytes) {
                prop_assert_eq!(&evidence.to_bytes(), &bytes);
                let report = evidence.check(&directory.trust());
                prop_assert!(!report.holds());
            }
            Ok(())
        })?;
    }
}
