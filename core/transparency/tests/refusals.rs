//! What publisher, prover and verifier refuse before they look any further.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use paigham_transparency::Verdict;
use paigham_transparency::codec::{Codec, DecodeError};
use paigham_transparency::prover::{ProveError, Prover};
use paigham_transparency::publish::{MAX_CHANGES, NewVersion, PublishError, publish};
use paigham_transparency::store::{MemoryStore, Store};
use paigham_transparency::structs::{
    CipherSuite, Configuration, ContactMonitorRequest, MonitorMapEntry, OwnerInitRequest,
    OwnerMonitorRequest, SearchRequest, UpdateRequest,
};
use paigham_transparency::verifier::{
    ContactMap, Ed25519Heads, OwnerState, TreeView, Verifier, VerifyError,
};

fn version(name: &str) -> NewVersion {
    NewVersion {
        label: label(name),
        value: vec![1],
        opening: [0; 16],
    }
}

/// An entry that cannot be is not begun: the log is as it was.
#[test]
fn the_publisher_refuses() {
    let mut log = Log::new(WINDOW);
    log.publish(0, &[("amina", b"one")]);
    let (size, leaves) = (log.store.tree_size(), log.store.leaf_count());
    let many: Vec<NewVersion> = (0..=MAX_CHANGES).map(|n| version(&n.to_string())).collect();
    let refused = publish(&mut log.store, &log.vrf, log.now, &many);
    assert_eq!(refused, Err(PublishError::TooMany));
    let refused = publish(&mut log.store, &log.vrf, log.now - 1, &[version("x")]);
    assert_eq!(refused, Err(PublishError::TimeRegression));
    assert_eq!(
        (log.store.tree_size(), log.store.leaf_count()),
        (size, leaves)
    );
    let full = publish(&mut log.store, &log.vrf, log.now, &many[..MAX_CHANGES]);
    assert_eq!(full, Ok(1));
    // A full entry can be written down for auditors.
    let update = paigham_transparency::prover::audit_update(&log.store, 1).unwrap();
    assert_eq!(update.added.len(), MAX_CHANGES);
    update.encode().unwrap();
}

fn request(name: &str, last: Option<u64>) -> SearchRequest {
    SearchRequest {
        last,
        label: label(name),
        version: None,
    }
}

/// Requests that no honest user of this log can make.
#[test]
fn the_prover_refuses() {
    let mut log = Log::new(WINDOW);
    let empty = Prover {
        store: &MemoryStore::default(),
        config: &log.config,
        vrf: &log.vrf,
        head_signature: &[],
    };
    assert_eq!(
        empty.absent(&request("amina", None)),
        Err(ProveError::Empty)
    );

    log.publish(0, &[("amina", b"one")]);
    log.heartbeats(9, MINUTE);
    log.publish(MINUTE, &[("amina", b"two")]);
    for last in [0, 12, u64::MAX] {
        let refused = log.ask(|prover| prover.search(&request("amina", Some(last))));
        assert!(matches!(refused, Err(ProveError::Request(_))), "{last}");
    }
    let absent = log.ask(|prover| prover.search(&request("nobody", None)));
    assert_eq!(absent, Err(ProveError::LabelAbsent));

    let entry = |position, version| MonitorMapEntry { position, version };
    for (why, entries) in [
        ("before the version was there", vec![entry(7, 1)]),
        ("off the direct path", vec![entry(4, 0)]),
        ("no such version", vec![entry(10, 2)]),
        ("beyond the log", vec![entry(11, 1)]),
        ("not ascending", vec![entry(10, 1), entry(7, 0)]),
        ("one position twice", vec![entry(7, 0), entry(7, 0)]),
        ("one version twice", vec![entry(3, 0), entry(7, 0)]),
    ] {
        let request = ContactMonitorRequest {
            last: Some(11),
            label: label("amina"),
            entries: entries.clone(),
        };
        let refused = log.ask(|prover| prover.contact_monitor(&request));
        assert!(matches!(refused, Err(ProveError::Request(_))), "{why}");
    }

    let init = |start| OwnerInitRequest {
        last: None,
        label: label("amina"),
        start,
    };
    let refused = log.ask(|prover| prover.owner_init(&init(11)));
    assert!(matches!(refused, Err(ProveError::Request(_))));
    let refused = log.ask(|prover| prover.owner_init(&init(10)));
    assert_eq!(
        refused,
        Err(Verdict::NotDistinguished { position: 10 }.into())
    );

    let owner = |start, greatest_version| OwnerMonitorRequest {
        last: None,
        label: label("amina"),
        entries: Vec::new(),
        start,
        greatest_version,
    };
    for (start, greatest) in [(11, Some(1)), (7, Some(2)), (7, None)] {
        let refused = log.ask(|prover| prover.owner_monitor(&owner(start, greatest)));
        assert!(
            matches!(refused, Err(ProveError::Request(_))),
            "{start} {greatest:?}"
        );
    }
    for greatest_version in [None, Some(2), Some(u32::MAX)] {
        let request = UpdateRequest {
            last: None,
            label: label("amina"),
            greatest_version,
            values: Vec::new(),
        };
        // Without a known version the first one lies in the first entry, before any owner.
        let refused = log.ask(|prover| prover.update(&request));
        assert!(
            matches!(refused, Err(ProveError::Request(_))),
            "{greatest_version:?}"
        );
    }
}

/// Configurations that this code does not know how to keep.
#[test]
fn configurations_are_refused() {
    let mut log = Log::new(WINDOW);
    log.publish(0, &[("amina", b"one")]);
    log.config.maximum_lifetime = Some(1000 * HOUR);
    let refused = log.ask(|prover| prover.search(&request("amina", None)));
    assert_eq!(refused, Err(ProveError::MaximumLifetime));
    fn verifier(config: &Configuration) -> VerifyError {
        Verifier::new(config, &Ed25519Heads)
            .map(|_| ())
            .unwrap_err()
    }
    assert_eq!(
        verifier(&log.config),
        VerifyError::Configuration("maximum_lifetime")
    );
    log.config.maximum_lifetime = None;
    log.config.vrf_public_key = vec![0; 32];
    assert_eq!(
        verifier(&log.config),
        VerifyError::Configuration("vrf_public_key")
    );
}

/// A head counts only under the key and the suite of the configuration.
#[test]
fn heads_of_others_are_refused() {
    let mut log = Log::new(WINDOW);
    log.publish(0, &[("amina", b"one")]);
    let request = request("amina", None);
    let response = log
        .ask(|prover| prover.search(&request))
        .unwrap()
        .encode()
        .unwrap();
    let honest = Person::new(&log.config).accept(&request, &response, log.now);
    assert!(honest.is_ok());
    let change: [fn(&mut Configuration); 4] = [
        |config| config.signature_public_key[0] ^= 1,
        |config| config.signature_public_key.clear(),
        |config| config.ciphersuite = CipherSuite::Canister,
        // The configuration is part of what is signed.
        |config| config.max_behind += 1,
    ];
    for change in change {
        let mut config = log.config.clone();
        change(&mut config);
        let refused = Person::new(&config).accept(&request, &response, log.now);
        assert_eq!(refused.unwrap_err(), VerifyError::Signature);
    }
}

/// A caller that mixes up views, states and requests is told so; an answer about "the same head"
/// needs one.
#[test]
fn states_and_requests_belong_together() {
    let mut log = Log::new(WINDOW);
    log.publish(0, &[("other", b"x")]);
    log.heartbeats(4, MINUTE);
    log.publish(MINUTE, &[("amina", b"one")]);
    let mut person = Person::new(&log.config);
    person.search(&log, "amina").unwrap();
    let named = person.request("amina", None);
    let same = log
        .ask(|prover| prover.search(&named))
        .unwrap()
        .encode()
        .unwrap();
    let mut stranger = Person::new(&log.config);
    assert_eq!(
        stranger.accept(&named, &same, log.now),
        Err(VerifyError::State)
    );
    let unnamed = request("amina", None);
    assert_eq!(
        stranger.accept(&unnamed, &same, log.now),
        Err(VerifyError::NoKnownHead)
    );
    let contacts = person.contacts[&label("amina")].clone();
    let mut request = contacts.request(label("amina"), person.view.as_ref().unwrap());
    request.entries.clear();
    let refused = person.check(|verifier, view| {
        verifier.contact_monitor(view.unwrap(), &contacts, &request, &[], log.now)
    });
    assert_eq!(refused, Err(VerifyError::State));
}

/// What was kept is read back only if its parts fit together.
#[test]
fn kept_states_are_checked() {
    let mut log = Log::new(WINDOW);
    log.publish(0, &[("other", b"x")]);
    log.heartbeats(4, MINUTE);
    log.publish(MINUTE, &[("amina", b"one")]);
    let mut person = Person::new(&log.config);
    person.search(&log, "amina").unwrap();
    let mut view = person.view.as_ref().unwrap().encode().unwrap();
    view[7] += 1;
    assert_eq!(
        TreeView::decode(&view),
        Err(DecodeError::Value("tree view"))
    );
    view[..8].fill(0);
    assert_eq!(
        TreeView::decode(&view),
        Err(DecodeError::Value("tree size"))
    );
    view[0] = 0xff;
    assert_eq!(
        TreeView::decode(&view),
        Err(DecodeError::Value("tree size"))
    );
    let contacts = person.contacts[&label("amina")].encode().unwrap();
    let mut other_version = contacts.clone();
    other_version[12] = 9;
    let refused = Err(DecodeError::Value("monitored version"));
    assert_eq!(ContactMap::decode(&other_version), refused);
    let mut twice = contacts;
    twice[0] = 2;
    twice.extend_from_within(1..);
    assert_eq!(
        ContactMap::decode(&twice),
        Err(DecodeError::Value("monitoring map"))
    );
    person.own(&log, "other").unwrap();
    let state = person.owned[&label("other")].encode().unwrap();
    for cut in 0..state.len() {
        assert!(OwnerState::decode(&state[..cut]).is_err());
    }
}
