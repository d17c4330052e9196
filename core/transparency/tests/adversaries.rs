//! Logs that lie, and who notices. The forger signs whatever it likes: it holds the log's key.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod common;
mod forger;

use std::collections::BTreeSet;

use common::*;
use forger::visits::*;
use forger::*;
use paigham_transparency::auditor::AuditError;
use paigham_transparency::codec::Codec;
use paigham_transparency::prover::audit_update;
use paigham_transparency::structs::{
    ContactMonitorRequest, MonitorMapEntry, OwnerMonitorRequest, PrefixSearchResult,
    SearchResponse, UpdateInfo, UpdateResponse,
};
use paigham_transparency::verifier::{MonitorProgress, VerifyError};
use paigham_transparency::{PrefixProofError, Verdict};
use proptest::prelude::*;

/// The proof leads to another root than the signed one, or already contradicts itself.
fn disagrees(error: VerifyError) -> bool {
    let reason = PrefixProofError::Contradiction;
    matches!(error, VerifyError::Signature)
        || matches!(error, VerifyError::PrefixProof { reason: found, .. } if found == reason)
}

/// Amina rotated; the log drops her new version and shows Bilal the old one again. Bilal, who saw
/// the new one and watches it, notices at the next look; so does an auditor.
#[test]
fn a_dropped_version_is_missed() {
    let mut forger = Forger::new(WINDOW);
    forger.publish(hour(0), "amina", 0, b"old");
    heartbeats(&mut forger, 3);
    forger.publish(forger.newest() + MINUTE, "amina", 1, b"new");
    let mut bilal = Person::new(&forger.config);
    let found = ask(&mut bilal, &forger, "amina", (1, b"new")).unwrap();
    assert_eq!((found.version, found.terminal), (1, 4));
    let key = forger.key("amina", 1);
    forger.add(forger.newest() + MINUTE, |tree| {
        tree.remove(&key);
    });
    heartbeats(&mut forger, 3);
    let before = bilal.view.clone();
    let refused = monitor(&mut bilal, &forger, "amina").unwrap_err();
    assert_eq!(refused, Verdict::MissingVersion { position: 5 }.into());
    assert_eq!(bilal.view, before);
    let auditor = auditor_until(&forger, 5);
    assert_eq!(auditor.apply(&forger.audit(5)), Err(AuditError::Removal));
}

/// The log goes back to a head that it had before.
#[test]
fn a_rollback_is_refused() {
    let mut forger = Forger::new(WINDOW);
    forger.publish(hour(0), "amina", 0, b"old");
    let earlier = forger.clone();
    forger.publish(hour(0) + MINUTE, "amina", 1, b"new");
    let mut bilal = Person::new(&forger.config);
    ask(&mut bilal, &forger, "amina", (1, b"new")).unwrap();
    let request = bilal.request("amina", None);
    let mut fresh = request.clone();
    fresh.last = None;
    let response = earlier.greatest(&fresh, "amina", (0, b"old", NO_OPENING));
    let refused = bilal.accept(&request, &response.encode().unwrap(), earlier.newest());
    assert_eq!(
        refused.unwrap_err(),
        VerifyError::Rollback { known: 2, shown: 1 }
    );
}

/// The log shows Bilal another history than the one he has seen, entry for entry. It cannot prove
/// that the one continues the other, whichever place it rewrote.
#[test]
fn a_fork_is_refused() {
    for rewritten in 0..6u64 {
        let mut forger = Forger::new(WINDOW);
        forger.publish(hour(0), "amina", 0, b"one");
        heartbeats(&mut forger, 5);
        let mut bilal = Person::new(&forger.config);
        ask(&mut bilal, &forger, "amina", (0, b"one")).unwrap();
        forger.entries[rewritten as usize]
            .tree
            .insert([7; 32], [7; 32]);
        heartbeats(&mut forger, 4);
        let refused = ask(&mut bilal, &forger, "amina", (0, b"one")).unwrap_err();
        // Either a retained value contradicts, or the root is not the one that was signed.
        assert!(
            matches!(refused, VerifyError::Fork | VerifyError::Signature),
            "{refused:?}"
        );
    }
}

/// Asked about the very head that Bilal knows, the log shows an entry otherwise than before.
#[test]
fn another_tree_under_the_same_head_is_a_fork() {
    let mut forger = Forger::new(WINDOW);
    forger.publish(hour(0), "amina", 0, b"one");
    heartbeats(&mut forger, 6);
    let mut bilal = Person::new(&forger.config);
    ask(&mut bilal, &forger, "amina", (0, b"one")).unwrap();
    for entry in &mut forger.entries {
        entry.tree.insert([1; 32], [9; 32]);
    }
    let refused = ask(&mut bilal, &forger, "amina", (0, b"one")).unwrap_err();
    assert_eq!(refused, VerifyError::Fork);
}

/// To hide that version 1 exists, the log shows a leaf that is in the tree but not where version 1
/// would lie.
#[test]
fn a_leaf_off_the_path_is_refused() {
    let mut forger = Forger::new(WINDOW);
    forger.publish(hour(0), "amina", 0, b"old");
    forger.publish(hour(0) + MINUTE, "amina", 1, b"new");
    let mut bilal = Person::new(&forger.config);
    let request = bilal.request("amina", None);
    let mut response = forger.greatest(&request, "amina", (0, b"old", NO_OPENING));
    let hidden = forger.key("amina", 1);
    let tree = &forger.entries[1].tree;
    let elsewhere = prefix_proof(tree, &[forger.key("amina", 0), forger.key("nobody", 3)]);
    let leaf = paigham_transparency::structs::PrefixLeaf {
        vrf_output: forger.key("amina", 0),
        commitment: tree[&forger.key("amina", 0)],
    };
    let last = response.search.prefix_proofs.last_mut().unwrap();
    let depth = prefix_proof(tree, &[hidden]).results[0].depth();
    for result in &mut last.results {
        if result.is_inclusion() && elsewhere.results[0] != *result {
            *result = PrefixSearchResult::NonInclusionLeaf { leaf, depth };
        }
    }
    *last.results.last_mut().unwrap() = PrefixSearchResult::NonInclusionLeaf { leaf, depth };
    let refused = bilal.accept(&request, &response.encode().unwrap(), forger.newest());
    let reason = PrefixProofError::Contradiction;
    assert_eq!(
        refused.unwrap_err(),
        VerifyError::PrefixProof {
            position: 1,
            reason
        }
    );
}

/// The log changes the value behind a version that Bilal saw. It can show a new reader the new
/// value, but not Bilal, and not an auditor; and it can show nobody a value that is not committed
/// to.
#[test]
fn a_swapped_commitment_is_noticed() {
    let mut forger = Forger::new(WINDOW);
    forger.publish(hour(0), "other", 0, b"x");
    heartbeats(&mut forger, 3);
    forger.publish(forger.newest() + MINUTE, "amina", 0, b"honest");
    let mut bilal = Person::new(&forger.config);
    let wrong = ask(&mut bilal, &forger, "amina", (0, b"swapped")).unwrap_err();
    assert!(disagrees(wrong), "{wrong:?}");
    ask(&mut bilal, &forger, "amina", (0, b"honest")).unwrap();
    let key = forger.key("amina", 0);
    let swapped = forger.commit("amina", 0, b"swapped", NO_OPENING);
    forger.add(forger.newest() + MINUTE, |tree| {
        tree.insert(key, swapped);
    });
    let mut newcomer = Person::new(&forger.config);
    let found = ask(&mut newcomer, &forger, "amina", (0, b"swapped")).unwrap();
    assert!(found.monitor.is_some(), "no owner has seen this yet");
    let mut again = bilal.clone();
    let refused = ask(&mut again, &forger, "amina", (0, b"swapped")).unwrap_err();
    assert_eq!(refused, VerifyError::TwoValues { version: 0 });
    let refused = monitor(&mut bilal, &forger, "amina").unwrap_err();
    assert!(disagrees(refused), "{refused:?}");
    let auditor = auditor_until(&forger, 5);
    assert_eq!(auditor.apply(&forger.audit(5)), Err(AuditError::Removal));
    let mut update = forger.audit(5);
    update.removed.clear();
    update.proof = prefix_proof(&forger.entries[4].tree, &[key]);
    assert_eq!(auditor.apply(&update), Err(AuditError::Present));
}

/// Between two distinguished entries the log shows Bilal a ghost version and takes it back before
/// Amina looks. Bilal's watch ends at the next distinguished entry, where the ghost is missing.
#[test]
fn a_version_hidden_between_distinguished_entries_is_noticed_by_its_reader() {
    let mut forger = Forger::new(WINDOW);
    forger.publish(hour(0), "amina", 0, b"one");
    heartbeats(&mut forger, 4);
    let now = forger.newest() + MINUTE;
    forger.publish(now, "amina", 1, b"ghost");
    let mut bilal = Person::new(&forger.config);
    assert_eq!(
        ask(&mut bilal, &forger, "amina", (1, b"ghost"))
            .unwrap()
            .value,
        b"ghost"
    );
    let key = forger.key("amina", 1);
    forger.add(now + MINUTE, |tree| {
        tree.remove(&key);
    });
    heartbeats(&mut forger, 130);
    let refused = monitor(&mut bilal, &forger, "amina").unwrap_err();
    assert!(matches!(
        refused,
        VerifyError::Verdict(Verdict::MissingVersion { .. })
    ));
}

/// The same ghost, and Amina rotates meanwhile: the log gives her version 1 as if the ghost had
/// never been. The search in the tree before her version shows it to her.
#[test]
fn a_version_hidden_between_distinguished_entries_is_noticed_by_its_owner() {
    let mut forger = Forger::new(WINDOW);
    forger.publish(hour(0), "amina", 0, b"one");
    heartbeats(&mut forger, 64);
    let mut amina = Person::new(&forger.config);
    own(&mut amina, &forger, "amina");
    forger.publish(forger.newest() + MINUTE, "amina", 1, b"ghost");
    let (key, mine) = (
        forger.key("amina", 1),
        forger.commit("amina", 1, b"mine", NO_OPENING),
    );
    forger.add(forger.newest() + MINUTE, |tree| {
        tree.insert(key, mine);
    });
    let position = forger.size() - 1;

    let state = amina.owned[&label("amina")].clone();
    let request = state.update_request(
        label("amina"),
        amina.view.as_ref().unwrap(),
        vec![b"mine".to_vec()],
    );
    let mut answer = Answer::new(&forger, request.last.unwrap());
    answer.view();
    let distinguished = forger.distinguished();
    let path = |position: u64| {
        let mut path = all_ancestors(forger.size())[&position].clone();
        path.push(position);
        path
    };
    for at in [position - 1, position] {
        path(at)
            .iter()
            .filter(|node| distinguished.contains(node) && **node != at)
            .for_each(|node| answer.time(*node));
    }
    let frontier = path(position - 1)
        .into_iter()
        .filter(|node| *node < position);
    let mut shown = BTreeSet::from([0]);
    for node in frontier.filter(|node| !distinguished.contains(node)) {
        let ladder = answer.ladder(node, "amina", 0, &shown, &BTreeSet::new());
        shown.extend(
            ladder
                .into_iter()
                .filter(|(_, there)| *there)
                .map(|(step, _)| step),
        );
    }
    answer.ladder(position, "amina", 1, &BTreeSet::from([0]), &BTreeSet::new());
    let step = |version: u32| paigham_transparency::structs::BinaryLadderStep {
        proof: forger
            .vrf
            .prove(&label("amina").vrf_input(version))
            .unwrap()
            .1,
        commitment: None,
    };
    let response = UpdateResponse {
        full_tree_head: forger.head(answer.last),
        position,
        values: Vec::new(),
        info: vec![UpdateInfo {
            opening: NO_OPENING,
        }],
        binary_ladder: vec![step(2), step(3)],
        update: answer.finish(),
    };
    let bytes = response.encode().unwrap();
    let now = forger.newest();
    let refused =
        amina.check(|verifier, view| verifier.update(view.unwrap(), &state, &request, &bytes, now));
    let expected = Verdict::GreaterVersion {
        position: position - 1,
    };
    assert_eq!(refused.unwrap_err(), expected.into());
}

/// A ghost version that stays: Amina's own monitoring comes to it in the next distinguished entry.
/// The log cannot show that entry as if nothing had happened, whether it shows the ghost openly or
/// denies it.
#[test]
fn a_ghost_version_is_noticed_by_its_owner() {
    let mut forger = Forger::new(WINDOW);
    forger.publish(hour(0), "amina", 0, b"one");
    heartbeats(&mut forger, 64);
    let mut amina = Person::new(&forger.config);
    own(&mut amina, &forger, "amina");
    heartbeats(&mut forger, 130);
    let complete = owner_monitor(&mut amina, &forger, "amina", |_| {});
    assert_eq!(complete, Ok(MonitorProgress::Complete));
    forger.publish(forger.newest() + MINUTE, "amina", 1, b"ghost");
    heartbeats(&mut forger, 130);
    let before = amina.owned.clone();
    let open = owner_monitor(&mut amina, &forger, "amina", |_| {}).unwrap_err();
    let unknown = PrefixProofError::Commitment;
    assert!(
        matches!(open, VerifyError::PrefixProof { reason, .. } if reason == unknown),
        "{open:?}"
    );
    let denied = owner_monitor(&mut amina, &forger, "amina", |proof| {
        for result in proof.results.iter_mut().skip(1) {
            *result = PrefixSearchResult::NonInclusionParent {
                depth: result.depth(),
            };
        }
    });
    assert_eq!(denied.unwrap_err(), VerifyError::Signature);
    assert_eq!(amina.owned, before);
}

/// A version that Amina has seen in a distinguished entry is gone from the next one.
#[test]
fn a_dropped_version_is_noticed_by_its_owner() {
    let mut forger = Forger::new(WINDOW);
    forger.publish(hour(0), "amina", 0, b"one");
    heartbeats(&mut forger, 64);
    let mut amina = Person::new(&forger.config);
    own(&mut amina, &forger, "amina");
    let key = forger.key("amina", 0);
    forger.add(forger.newest() + MINUTE, |tree| {
        tree.remove(&key);
    });
    heartbeats(&mut forger, 130);
    let refused = owner_monitor(&mut amina, &forger, "amina", |_| {}).unwrap_err();
    assert!(matches!(
        refused,
        VerifyError::Verdict(Verdict::MissingVersion { .. })
    ));
}

/// An entry older than the one before it is refused by readers who pass it, and by every auditor.
#[test]
fn a_time_regression_is_refused() {
    let mut forger = Forger::new(WINDOW);
    forger.publish(hour(1), "amina", 0, b"one");
    forger.add(hour(1) + 1, |_| {});
    let mut bilal = Person::new(&forger.config);
    ask(&mut bilal, &forger, "amina", (0, b"one")).unwrap();
    forger.add(hour(1), |_| {});
    let refused = ask(&mut bilal, &forger, "amina", (0, b"one")).unwrap_err();
    assert_eq!(refused, VerifyError::TimeRegression { position: 2 });
    let auditor = auditor_until(&forger, 2);
    assert_eq!(
        auditor.apply(&forger.audit(2)),
        Err(AuditError::TimeRegression)
    );
    let mut newcomer = Person::new(&forger.config);
    let refused = ask(&mut newcomer, &forger, "amina", (0, b"one")).unwrap_err();
    assert_eq!(refused, VerifyError::TimeRegression { position: 2 });
}

/// Claimed absent, and yet in the tree: the claim cannot be written down without contradicting
/// itself.
#[test]
fn a_label_in_the_log_cannot_be_claimed_absent() {
    let mut forger = Forger::new(WINDOW);
    forger.publish(hour(0), "amina", 0, b"one");
    let mut bilal = Person::new(&forger.config);
    let request = bilal.request("amina", None);
    let mut answer = Answer::new(&forger, 0);
    answer.view();
    answer.lookups(0, &[forger.key("amina", 0)]);
    let response = paigham_transparency::structs::AbsentResponse {
        full_tree_head: forger.head(0),
        proof: forger.vrf.prove(&label("amina").vrf_input(0)).unwrap().1,
        search: answer.finish(),
    };
    let bytes = response.encode().unwrap();
    let now = forger.newest();
    let refused = bilal.check(|verifier, view| verifier.absent(view, &request, &bytes, now));
    // Without a commitment the inclusion cannot even be evaluated.
    let reason = PrefixProofError::Commitment;
    assert_eq!(
        refused.unwrap_err(),
        VerifyError::PrefixProof {
            position: 0,
            reason
        }
    );
}

/// Log and forger with the same contents.
fn twins(window: u64, schedule: &[(u64, Vec<u8>)]) -> (Log, Forger) {
    let mut log = Log::new(window);
    let mut forger = Forger::new(window);
    let mut versions = [0u32; 4];
    for (after, labels) in schedule {
        let names: Vec<String> = labels.iter().map(|label| format!("l{label}")).collect();
        let values: Vec<(&str, &[u8])> = names
            .iter()
            .map(|name| (name.as_str(), &b"v"[..]))
            .collect();
        log.publish(*after, &values);
        let mut leaves = Vec::new();
        for (name, label) in names.iter().zip(labels) {
            let version = &mut versions[usize::from(*label)];
            let request = common::label(name);
            let stored =
                paigham_transparency::store::Store::version(&log.store, &request, *version);
            let opening = stored.unwrap().opening;
            leaves.push((
                forger.key(name, *version),
                forger.commit(name, *version, b"v", opening),
            ));
            *version += 1;
        }
        forger.add(log.now, |tree| tree.extend(leaves));
    }
    (log, forger)
}

proptest! {
    #![proptest_config(cases(40))]

    /// Where it does not lie, the forger's answers are the prover's, byte for byte: searches for
    /// the greatest and for one version from every earlier view, monitoring by contacts and owners,
    /// and the audit stream.
    #[test]
    fn two_provers_write_the_same_bytes(
        window in prop_oneof![Just(0), Just(HOUR), Just(u64::MAX)],
        schedule in proptest::collection::vec(
            (0..HOUR, proptest::collection::vec(0u8..4, 0..4)), 1..24),
        last in 0u64..24,
    ) {
        let (log, forger) = twins(window, &schedule);
        let size = forger.size();
        let last = Some(last.min(size)).filter(|last| *last > 0);
        for position in 0..size {
            prop_assert_eq!(audit_update(&log.store, position).unwrap(), forger.audit(position));
        }
        for name in ["l0", "l1", "l2", "l3"] {
            let greatest = forger.greatest_at(name, size - 1);
            let versions = greatest.map_or(0, |greatest| greatest + 1);
            for version in (0..versions).map(Some).chain(greatest.map(|_| None)) {
                let mut request = Person::new(&log.config).request(name, version);
                request.last = last;
                let ours: SearchResponse = log.ask(|prover| prover.search(&request)).unwrap();
                let target = version.or(greatest).unwrap();
                let claim = (target, &b"v"[..], ours.opening);
                let theirs = match version {
                    None => forger.greatest(&request, name, claim),
                    Some(_) => forger.fixed(&request, name, claim),
                };
                prop_assert_eq!(ours.encode().unwrap(), theirs.encode().unwrap());
            }
            let Some(greatest) = greatest else {
                continue;
            };
            // Each entry that brought a new greatest version, as somebody would watch it.
            let mut entries = Vec::new();
            for position in 0..size {
                let version = forger.greatest_at(name, position);
                let before = position.checked_sub(1).and_then(|at| forger.greatest_at(name, at));
                if version != before {
                    entries.push(MonitorMapEntry { position, version: version.unwrap() });
                }
            }
            let request = ContactMonitorRequest { last, label: label(name), entries: entries.clone() };
            let ours = log.ask(|prover| prover.contact_monitor(&request)).unwrap();
            prop_assert_eq!(ours, contact_answer(&forger, &request, name));
            for start in forger.distinguished() {
                let request = OwnerMonitorRequest {
                    last,
                    label: label(name),
                    entries: entries.clone(),
                    start,
                    greatest_version: Some(greatest),
                };
                let ours = log.ask(|prover| prover.owner_monitor(&request)).unwrap();
                prop_assert_eq!(ours, owner_answer(&forger, &request, name));
            }
        }
    }
}
