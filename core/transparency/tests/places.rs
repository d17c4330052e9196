//! Which entry brought a version.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use paigham_transparency::Verdict;
use paigham_transparency::codec::Codec;
use paigham_transparency::hash::{HashValue, Label};
use paigham_transparency::prover::Prover;
use paigham_transparency::store::{
    LogEntry, MemoryStore, PrefixParent, Store, StoredVersion, VersionPlace,
};
use paigham_transparency::structs::PrefixLeaf;
use paigham_transparency::verifier::{Place, VerifyError};

/// Amina publishes now and then. Whoever asks, early or late, with a view or without, is shown the
/// entry that brought each version and its time, whatever the log has grown to since. A search for
/// the version is not that: it ends at another entry when the log has grown.
#[test]
fn the_entry_that_brought_a_version_stays_that() {
    let mut log = Log::new(WINDOW);
    let mut returning = Person::new(&log.config);
    let mut brought = Vec::new();
    let mut searches_moved = false;
    for round in 0..9u8 {
        let position = log.publish(7 * MINUTE, &[("amina", &[round])]);
        brought.push(Place {
            position,
            timestamp: log.now,
        });
        log.heartbeats(usize::from(round % 4) * 3, 4 * MINUTE);
        for (version, place) in (0..).zip(&brought) {
            let value = [u8::try_from(version).unwrap()];
            let mut new = Person::new(&log.config);
            assert_eq!(
                new.place(&log, "amina", version, &value).as_ref(),
                Ok(place)
            );
            let again = returning.place(&log, "amina", version, &value);
            assert_eq!(again.as_ref(), Ok(place));
            let found = new.search_version(&log, "amina", Some(version)).unwrap();
            searches_moved |= found.terminal != place.position;
        }
    }
    assert!(searches_moved);
}

/// Another entry, another value, another version, or a version that does not exist yet.
#[test]
fn another_place_is_refused() {
    let mut log = Log::new(WINDOW);
    log.heartbeats(3, MINUTE);
    for round in 0..3u8 {
        log.publish(20 * MINUTE, &[("amina", &[round])]);
        log.heartbeats(5, 3 * MINUTE);
    }
    let mut person = Person::new(&log.config);
    let request = person.request("amina", Some(1));
    let honest = log.ask(|prover| prover.place(&request)).unwrap();
    let size = log.store.tree_size();
    let mut check = |response: &paigham_transparency::structs::PlaceResponse, value: &[u8]| {
        let bytes = response.encode().unwrap();
        person.check(|verifier, view| verifier.place(view, &request, value, &bytes, log.now))
    };
    for position in (0..size + 2).chain([u64::MAX]) {
        if position != honest.position {
            let mut moved = honest.clone();
            moved.position = position;
            let refused = check(&moved, &[1]).unwrap_err();
            if position >= size {
                assert_eq!(refused, Verdict::VersionAbsent.into());
            }
        }
    }
    assert_eq!(check(&honest, &[2]), Err(VerifyError::Signature));
    assert!(check(&honest, &[1]).is_ok());

    let mut person = Person::new(&log.config);
    let other = person.request("amina", Some(2));
    let bytes = honest.encode().unwrap();
    let checked =
        person.check(|verifier, view| verifier.place(view, &other, &[1], &bytes, log.now));
    assert!(checked.is_err());
    let absent = person.request("amina", Some(3));
    let refused = log.ask(|prover| prover.place(&absent));
    assert_eq!(refused.unwrap_err(), Verdict::VersionAbsent.into());
}

/// A store that says of each version that a later entry brought it, or an earlier one.
struct Elsewhere<'a> {
    store: &'a MemoryStore,
    by: i64,
}

impl Store for Elsewhere<'_> {
    fn tree_size(&self) -> u64 {
        self.store.tree_size()
    }
    fn leaf_count(&self) -> u64 {
        self.store.leaf_count()
    }
    fn entry(&self, position: u64) -> Option<LogEntry> {
        self.store.entry(position)
    }
    fn log_node(&self, index: u64) -> Option<HashValue> {
        self.store.log_node(index)
    }
    fn leaf(&self, index: u64) -> Option<PrefixLeaf> {
        self.store.leaf(index)
    }
    fn parent(&self, index: u64) -> Option<PrefixParent> {
        self.store.parent(index)
    }
    fn version_count(&self, label: &Label) -> u32 {
        self.store.version_count(label)
    }
    fn version(&self, label: &Label, version: u32) -> Option<StoredVersion> {
        let mut stored = self.store.version(label, version)?;
        stored.place.position = stored.place.position.checked_add_signed(self.by)?;
        Some(stored)
    }
    fn version_place(&self, label: &Label, version: u32) -> Option<VersionPlace> {
        Some(self.version(label, version)?.place)
    }
    fn vrf(&self, label: &Label, version: u32) -> Option<(HashValue, [u8; 80])> {
        self.store.vrf(label, version)
    }
}

/// The log itself makes the proof for a later entry than the one that brought the version, so that
/// a recover would count later, or for an earlier one, so that it would count at once.
#[test]
fn a_log_cannot_move_a_version() {
    let mut log = Log::new(WINDOW);
    log.heartbeats(3, MINUTE);
    let brought = log.publish(20 * MINUTE, &[("amina", b"recover")]);
    log.heartbeats(5, 3 * MINUTE);
    let signature = log.signature();
    for (by, verdict) in [
        (1, Verdict::EarlierEntry { position: brought }),
        (
            -1,
            Verdict::MissingVersion {
                position: brought - 1,
            },
        ),
    ] {
        let store = Elsewhere {
            store: &log.store,
            by,
        };
        let prover = Prover {
            store: &store,
            config: &log.config,
            vrf: &log.vrf,
            head_signature: &signature,
        };
        let mut person = Person::new(&log.config);
        let request = person.request("amina", Some(0));
        let bytes = prover.place(&request).unwrap().encode().unwrap();
        let refused = person
            .check(|verifier, view| verifier.place(view, &request, b"recover", &bytes, log.now));
        assert_eq!(refused, Err(verdict.into()));
    }
}
