//! A machine that dies at any point of any batch leaves the old state or the new one.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it is"
)]

use std::collections::BTreeMap;

use paigham_store::testkit::FaultBackend;
use paigham_store::{Store, StoreError, Table};
use proptest::prelude::*;

const KEY: [u8; 32] = [7; 32];
const IDS: u8 = 6;

/// One write of a change: an id, and a new value or none.
type Write = (u8, Option<u32>);
type Model = BTreeMap<u8, u32>;

fn open(disk: &FaultBackend) -> Store {
    Store::on_backend(Box::new(disk.clone()), &KEY).unwrap()
}

fn change(store: &Store, writes: &[Write]) -> Result<(), StoreError> {
    let set = store.begin();
    for (id, value) in writes {
        match value {
            Some(value) => set.put(Table::Contact, &[*id], value)?,
            None => set.delete(Table::Contact, &[*id]),
        }
    }
    set.commit()
}

fn changed(model: &Model, writes: &[Write]) -> Model {
    let mut model = model.clone();
    for (id, value) in writes {
        match value {
            Some(value) => model.insert(*id, *value),
            None => model.remove(id),
        };
    }
    model
}

fn contents(store: &Store) -> Model {
    let set = store.begin();
    let get = |id| {
        set.get::<u32>(Table::Contact, &[id])
            .unwrap()
            .map(|value| (id, value))
    };
    (0..IDS).filter_map(get).collect()
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    prop::collection::vec((0..IDS, prop::option::of(any::<u32>())), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any changes are committed, one after the other; the machine dies at every point of every
    /// one of them in turn. Opened again, the store is exactly as before the change or as after
    /// it, its generation says which, and it goes on from there.
    #[test]
    fn dies_anywhere_and_is_whole(changes in prop::collection::vec(writes(), 1..6)) {
        let batches = u64::try_from(changes.len()).unwrap();
        for point in 0..batches * FaultBackend::POINTS {
            let disk = FaultBackend::default();
            let mut store = open(&disk);
            disk.crash_at(point);
            let mut model = Model::new();
            let mut deaths = 0;
            for writes in &changes {
                let began = store.generation();
                let after = changed(&model, writes);
                if change(&store, writes).is_ok() {
                    model = after;
                    continue;
                }
                deaths += 1;
                prop_assert!(disk.is_dead());
                disk.restart();
                store = open(&disk);
                let applied = store.generation() == began + 1;
                prop_assert!(applied || store.generation() == began);
                model = if applied { after } else { model };
                prop_assert_eq!(contents(&store), model.clone());
            }
            prop_assert_eq!(deaths, 1);
            prop_assert_eq!(contents(&store), model);
        }
    }
}

/// A commit fails on the disk. Whether it was applied is not known, so the store neither reads
/// nor writes until it is opened again; then it works.
#[test]
fn a_failed_commit_stops_the_store() {
    for point in 0..FaultBackend::POINTS {
        let disk = FaultBackend::default();
        let store = open(&disk);
        change(&store, &[(1, Some(1))]).unwrap();
        disk.crash_at(point);
        assert!(matches!(
            change(&store, &[(1, Some(2))]),
            Err(StoreError::Database(_))
        ));
        disk.restart();
        let read = store.begin().get::<u32>(Table::Contact, &[1]);
        assert_eq!(read, Err(StoreError::Stopped));
        assert_eq!(change(&store, &[(1, Some(3))]), Err(StoreError::Stopped));

        let again = open(&disk);
        let expected = if point < 2 { 1 } else { 2 };
        assert_eq!(contents(&again), Model::from([(1, expected)]));
        change(&again, &[(1, Some(4))]).unwrap();
    }
}
