//! Honest logs and the people who use them: prover and verifier agree.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod common;

use common::*;
use paigham_transparency::audit_file::{AuditHeader, AuditRecord, Checkpoint, read_header};
use paigham_transparency::auditor::AuditorState;
use paigham_transparency::codec::{Codec, DecodeError, Reader};
use paigham_transparency::hash::HashValue;
use paigham_transparency::log_tree;
use paigham_transparency::prover::{ProveError, audit_update};
use paigham_transparency::store::Store;
use paigham_transparency::verifier::{
    MonitorProgress, RootsComparison, VerifyError, compare_roots,
};
use proptest::prelude::*;

/// Bilal looks Amina up, again after she rotated, and again when nothing happened: each time he
/// gets her newest value, and watches it until an entry between is distinguished.
#[test]
fn bilal_looks_amina_up() {
    let mut log = Log::new(WINDOW);
    log.publish(0, &[("amina", b"one"), ("bilal", b"b")]);
    let mut bilal = Person::new(&log.config);
    let found = bilal.search(&log, "amina").unwrap();
    assert_eq!((found.version, &found.value[..]), (0, &b"one"[..]));
    let again = bilal.search(&log, "amina").unwrap();
    assert_eq!(again, found);

    log.heartbeats(3, MINUTE);
    log.publish(MINUTE, &[("amina", b"two")]);
    let found = bilal.search(&log, "amina").unwrap();
    assert_eq!((found.version, &found.value[..]), (1, &b"two"[..]));
    assert_eq!(found.terminal_timestamp, log.now);
    assert!(!bilal.contacts[&label("amina")].is_empty());

    log.heartbeats(90, MINUTE);
    bilal.monitor(&log, "amina").unwrap();
    assert!(bilal.contacts[&label("amina")].is_empty());
    assert!(bilal.search(&log, "amina").unwrap().monitor.is_none());
}

/// A version that was replaced long ago is still found under its number, and one that does not
/// exist is not.
#[test]
fn old_versions_are_found_by_number() {
    let mut log = Log::new(WINDOW);
    let mut reader = Person::new(&log.config);
    for version in 0..20u8 {
        log.publish(7 * MINUTE, &[("amina", &[version]), ("other", &[version])]);
        log.publish(MINUTE, &[]);
    }
    for version in 0..20u8 {
        let found = reader
            .search_version(&log, "amina", Some(u32::from(version)))
            .unwrap();
        assert_eq!(found.value, [version]);
    }
    let request = reader.request("amina", Some(20));
    let missing = log.ask(|prover| prover.search(&request)).unwrap_err();
    assert!(matches!(missing, ProveError::Verdict(_)));
}

/// A label that nobody has registered is shown to be absent; one that exists cannot be.
#[test]
fn absence_is_proved() {
    let mut log = Log::new(WINDOW);
    log.publish(0, &[("amina", b"one")]);
    log.heartbeats(100, MINUTE);
    let mut bilal = Person::new(&log.config);
    bilal.absent(&log, "nobody").unwrap();
    log.publish(MINUTE, &[("nobody", b"now")]);
    assert_eq!(bilal.search(&log, "nobody").unwrap().value, b"now");
    let request = bilal.request("nobody", None);
    assert!(log.ask(|prover| prover.absent(&request)).is_err());
}

/// Amina watches her own label from before it exists: she learns of every version she makes, and
/// of the one that she did not make.
#[test]
fn amina_owns_her_label() {
    let mut log = Log::new(WINDOW);
    log.publish(0, &[("other", b"x")]);
    log.heartbeats(70, MINUTE);
    let mut amina = Person::new(&log.config);
    amina.own(&log, "amina").unwrap();
    assert_eq!(amina.learn(&log, "amina", &[]).unwrap(), None);

    log.publish(MINUTE, &[("amina", b"one")]);
    let new = amina.learn(&log, "amina", &[b"one"]).unwrap().unwrap();
    assert!(new.requested);
    assert_eq!(new.first, 0);
    log.heartbeats(200, MINUTE);
    assert_eq!(
        amina.owner_monitor(&log, "amina"),
        Ok(MonitorProgress::Complete)
    );

    log.publish(MINUTE, &[("amina", b"ghost"), ("amina", b"ghost 2")]);
    log.heartbeats(200, MINUTE);
    assert_eq!(
        amina.owner_monitor(&log, "amina"),
        Ok(MonitorProgress::Stopped)
    );
    let ghost = amina.learn(&log, "amina", &[b"mine"]).unwrap().unwrap();
    assert!(!ghost.requested);
    assert_eq!(ghost.values[0].0, b"ghost");
    assert_eq!(ghost.values[1].0, b"ghost 2");
    assert_eq!(
        amina.owner_monitor(&log, "amina"),
        Ok(MonitorProgress::Complete)
    );
    assert_eq!(amina.owned[&label("amina")].greatest_version(), Some(2));
}

/// Two people compare the newest distinguished heads: the same log agrees also when one has seen a
/// little more, and the roots are those the log had when these entries were its newest.
#[test]
fn distinguished_heads_agree() {
    let mut log = Log::new(WINDOW);
    log.publish(0, &[("amina", b"one")]);
    log.heartbeats(500, MINUTE);
    let mut amina = Person::new(&log.config);
    let earlier = amina.distinguished(&log).unwrap();
    for entry in &earlier {
        assert_eq!(
            log_tree::root(&log.store, entry.position + 1),
            Some(entry.root)
        );
    }
    assert_eq!(amina.distinguished(&log).unwrap(), earlier);
    log.heartbeats(50, MINUTE);
    let later = amina.distinguished(&log).unwrap();
    let mut bilal = Person::new(&log.config);
    assert_eq!(bilal.distinguished(&log).unwrap(), later);
    let roots = |entries: &[paigham_transparency::verifier::DistinguishedEntry]| {
        entries
            .iter()
            .map(|entry| entry.root)
            .collect::<Vec<HashValue>>()
    };
    let (a, b) = (roots(&earlier), roots(&later));
    assert_ne!(a, b);
    assert_eq!(compare_roots(&a, &b), RootsComparison::Agree);
    let mut forked = b.clone();
    for root in &mut forked {
        root[0] ^= 1;
    }
    assert_eq!(compare_roots(&a, &forked), RootsComparison::NoOverlap);
    assert_eq!(compare_roots(&a, &b[1..]), RootsComparison::Lengths);
    assert_eq!(compare_roots(&[], &[]), RootsComparison::NoOverlap);
}

/// A log that stands still is noticed, and so is one from the future.
#[test]
fn a_frozen_log_is_stale() {
    let mut log = Log::new(WINDOW);
    log.publish(0, &[("amina", b"one")]);
    let mut bilal = Person::new(&log.config);
    bilal.search(&log, "amina").unwrap();
    let before = bilal.view.clone();
    let newest = log.now;
    log.now = newest + 15 * MINUTE + 1;
    let stale = VerifyError::Stale {
        behind: 15 * MINUTE + 1,
    };
    assert_eq!(bilal.search(&log, "amina").unwrap_err(), stale);
    assert_eq!(bilal.view, before);
    log.now = newest - 2 * MINUTE - 1;
    let future = VerifyError::Future {
        ahead: 2 * MINUTE + 1,
    };
    assert_eq!(bilal.search(&log, "amina").unwrap_err(), future);
    log.now = newest - 2 * MINUTE;
    bilal.search(&log, "amina").unwrap();
}

#[derive(Clone, Debug)]
enum Event {
    Publish {
        after: u64,
        labels: Vec<u8>,
    },
    Search {
        person: usize,
        label: u8,
    },
    SearchVersion {
        person: usize,
        label: u8,
        version: u32,
    },
    Monitor {
        person: usize,
        label: u8,
    },
    Distinguished {
        person: usize,
    },
    Owner {
        person: usize,
        label: u8,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let (person, label) = (0usize..3, 0u8..4);
    prop_oneof![
        4 => (prop_oneof![0..5 * MINUTE, 0..HOUR], proptest::collection::vec(0u8..5, 0..4))
            .prop_map(|(after, labels)| Event::Publish { after, labels }),
        2 => (person.clone(), label.clone()).prop_map(|(person, label)| Event::Search { person, label }),
        1 => (person.clone(), label.clone(), 0u32..6)
            .prop_map(|(person, label, version)| Event::SearchVersion { person, label, version }),
        1 => (person.clone(), label.clone()).prop_map(|(person, label)| Event::Monitor { person, label }),
        1 => person.clone().prop_map(|person| Event::Distinguished { person }),
        2 => (person, label).prop_map(|(person, label)| Event::Owner { person, label }),
    ]
}

fn name(label: u8) -> String {
    format!("label {label}")
}

/// What a label has, as the test itself counts it.
type Model = Vec<Vec<Vec<u8>>>;

fn visit(log: &Log, person: &mut Person, event: &Event, model: &Model) {
    match event {
        Event::Publish { .. } => {}
        Event::Search { label, .. } => {
            let versions = &model[usize::from(*label)];
            match versions.last() {
                None => person.absent(log, &name(*label)).unwrap(),
                Some(value) => {
                    let found = person.search(log, &name(*label)).unwrap();
                    assert_eq!(found.version as usize, versions.len() - 1);
                    assert_eq!(&found.value, value);
                }
            }
        }
        Event::SearchVersion { label, version, .. } => {
            let value = model[usize::from(*label)].get(*version as usize);
            if let Some(value) = value {
                let found = person.search_version(log, &name(*label), Some(*version));
                assert_eq!(&found.unwrap().value, value);
            }
        }
        Event::Monitor { label, .. } => {
            let contacts = person.contacts.get(&common::label(&name(*label)));
            if contacts.is_some_and(|contacts| !contacts.is_empty()) {
                person.monitor(log, &name(*label)).unwrap();
            }
        }
        Event::Distinguished { .. } => {
            for entry in person.distinguished(log).unwrap() {
                assert_eq!(
                    log_tree::root(&log.store, entry.position + 1),
                    Some(entry.root)
                );
            }
        }
        Event::Owner { label, .. } => owner_visit(log, person, &name(*label), model, *label),
    }
}

fn owner_visit(log: &Log, person: &mut Person, name: &str, model: &Model, index: u8) {
    let versions = &model[usize::from(index)];
    if !person.owned.contains_key(&label(name)) {
        person.own(log, name).unwrap();
    }
    while let Some(new) = person.learn(log, name, &[]).unwrap() {
        for (version, (value, _)) in (new.first as usize..).zip(&new.values) {
            assert_eq!(value, &versions[version]);
        }
    }
    let known = person.owned[&label(name)].greatest_version();
    assert_eq!(known.map_or(0, |known| known as usize + 1), versions.len());
    assert_eq!(
        person.owner_monitor(log, name),
        Ok(MonitorProgress::Complete)
    );
}

proptest! {
    #![proptest_config(cases(48))]

    /// Whatever is published when, and whoever looks when, at what: every answer of the honest log
    /// verifies and shows what was published; an auditor comes to the same root from the audit
    /// stream alone.
    #[test]
    fn prover_and_verifier_agree(
        window in prop_oneof![Just(0), Just(HOUR), Just(10 * MINUTE), Just(u64::MAX)],
        events in proptest::collection::vec(event(), 1..120),
    ) {
        let mut log = Log::new(window);
        log.publish(0, &[]);
        let mut people = vec![Person::new(&log.config); 3];
        let mut model: Model = vec![Vec::new(); 5];
        let mut auditor = AuditorState::default();
        for event in &events {
            match event {
                Event::Publish { after, labels } => {
                    let mut values = Vec::new();
                    for label in labels {
                        let versions = &mut model[usize::from(*label)];
                        let value = vec![*label, versions.len() as u8];
                        versions.push(value.clone());
                        values.push((name(*label), value));
                    }
                    let values: Vec<(&str, &[u8])> =
                        values.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
                    log.publish(*after, &values);
                }
                Event::Search { person, .. }
                | Event::SearchVersion { person, .. }
                | Event::Monitor { person, .. } => visit(&log, &mut people[*person], event, &model),
                // Without a distinguished entry there is nothing to begin from.
                Event::Distinguished { person } | Event::Owner { person, .. } if window < u64::MAX => {
                    visit(&log, &mut people[*person], event, &model);
                }
                Event::Distinguished { .. } | Event::Owner { .. } => {}
            }
        }
        for position in 0..log.store.tree_size() {
            auditor = auditor.apply(&audit_update(&log.store, position).unwrap()).unwrap();
            prop_assert_eq!(auditor.root(), log_tree::root(&log.store, position + 1));
        }
    }
}

/// An auditor writes a file as it goes, another reads it and comes to the same root; a file that
/// ends in the middle of a record, or whose magic is another, is refused.
#[test]
fn an_audit_file_is_read_back() {
    let mut log = Log::new(WINDOW);
    for value in 0..9u8 {
        log.publish(MINUTE, &[("amina", &[value]), ("bilal", &[value])]);
    }
    let header = AuditHeader {
        config: log.config.clone(),
        canister_id: vec![1, 2, 3],
        root_key_hash: [4; 32],
        start: AuditorState::default(),
    };
    let mut file = header.to_file().unwrap();
    for position in 0..9 {
        let update = audit_update(&log.store, position).unwrap();
        AuditRecord::Update(update).write(&mut file).unwrap();
    }
    let checkpoint = Checkpoint {
        tree_size: 9,
        root: log_tree::root(&log.store, 9).unwrap(),
        signature: log.signature(),
        code_evidence: Vec::new(),
    };
    let record = AuditRecord::Checkpoint(checkpoint.clone());
    record.write(&mut file).unwrap();

    let mut input = Reader::new(&file);
    let read = read_header(&mut input).unwrap();
    assert_eq!(read, header);
    let mut state = read.start;
    for _ in 0..9 {
        match AuditRecord::read(&mut input).unwrap() {
            AuditRecord::Update(update) => state = state.apply(&update).unwrap(),
            AuditRecord::Checkpoint(_) => panic!("a checkpoint too early"),
        }
        let bytes = state.encode().unwrap();
        assert_eq!(AuditorState::decode(&bytes).unwrap(), state);
    }
    assert_eq!(AuditRecord::read(&mut input), Ok(record));
    assert_eq!(state.root(), Some(checkpoint.root));
    let signed = state.to_be_signed(&log.config).unwrap();
    assert_eq!((signed.tree_size, signed.root), (9, checkpoint.root));
    assert_eq!(signed.timestamp, log.now);
    assert_eq!(AuditorState::default().to_be_signed(&log.config), None);
    assert_eq!(AuditRecord::read(&mut input), Err(DecodeError::Truncated));
    file[0] ^= 1;
    assert_eq!(
        read_header(&mut Reader::new(&file)),
        Err(DecodeError::Value("magic"))
    );
}
