//! What a change sees and what others see of it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it is"
)]

use std::sync::Arc;

use paigham_store::{Backend, MemoryBackend, Order, Store, StoreError, Table};

const KEY: [u8; 32] = [7; 32];

fn store() -> Store {
    Store::on_backend(Box::new(MemoryBackend::default()), &KEY).unwrap()
}

fn numbers(page: Vec<(u64, u64)>) -> Vec<u64> {
    page.into_iter().map(|(number, _)| number).collect()
}

/// A change reads its own writes; another sees them only after the commit, and all at once.
#[test]
fn is_seen_by_others_only_once_committed() {
    let store = store();
    let set = store.begin();
    set.put(Table::Contact, b"amna", &"Amna").unwrap();
    set.put(Table::Meta, b"contacts", &1).unwrap();
    assert_eq!(
        set.get(Table::Contact, b"amna"),
        Ok(Some("Amna".to_owned()))
    );
    assert_eq!(
        store.begin().get::<String>(Table::Contact, b"amna"),
        Ok(None)
    );
    set.commit().unwrap();
    let later = store.begin();
    assert_eq!(
        later.get(Table::Contact, b"amna"),
        Ok(Some("Amna".to_owned()))
    );
    assert_eq!(later.get(Table::Meta, b"contacts"), Ok(Some(1)));
}

/// A change that is dropped leaves nothing and counts for nothing.
#[test]
fn dropped_it_never_was() {
    let store = store();
    store.begin().put(Table::Contact, b"amna", &1).unwrap();
    assert_eq!(store.begin().get::<u8>(Table::Contact, b"amna"), Ok(None));
    assert_eq!(store.generation(), 0);
}

/// The same id in two tables, and an id that is the beginning of another, are different records.
#[test]
fn ids_are_apart() {
    let store = store();
    let set = store.begin();
    set.put(Table::Contact, b"a", &1).unwrap();
    set.put(Table::Device, b"a", &2).unwrap();
    set.put(Table::Contact, b"ab", &3).unwrap();
    set.commit().unwrap();
    let set = store.begin();
    set.delete(Table::Contact, b"a");
    set.commit().unwrap();
    let set = store.begin();
    assert_eq!(set.get::<u8>(Table::Contact, b"a"), Ok(None));
    assert_eq!(set.get(Table::Device, b"a"), Ok(Some(2)));
    assert_eq!(set.get(Table::Contact, b"ab"), Ok(Some(3)));
}

/// A conversation of ten messages is stored; a change over it adds two, replaces one and removes
/// three. Its pages, from either end and of any size, are those of the merged conversation.
#[test]
fn pages_merge_what_is_stored_and_what_is_written() {
    let store = store();
    let set = store.begin();
    for number in 0..10_u64 {
        set.put_at(Table::Message, b"chat", number, &number)
            .unwrap();
        set.put_at(Table::Message, b"other", number, &99).unwrap();
    }
    set.commit().unwrap();
    let set = store.begin();
    for number in [0, 1, 8] {
        set.delete_at(Table::Message, b"chat", number);
    }
    for number in [5, 10, u64::MAX] {
        set.put_at(Table::Message, b"chat", number, &(number / 2))
            .unwrap();
    }
    let expected = [2, 3, 4, 5, 6, 7, 9, 10, u64::MAX];
    for limit in 0..=10 {
        let page = |order| {
            numbers(
                set.page(Table::Message, b"chat", 0..=u64::MAX, order, limit)
                    .unwrap(),
            )
        };
        let ascending: Vec<_> = expected.into_iter().take(limit).collect();
        let descending: Vec<_> = expected.into_iter().rev().take(limit).collect();
        assert_eq!(page(Order::Ascending), ascending);
        assert_eq!(page(Order::Descending), descending);
    }
    let all: Vec<(u64, u64)> = set.scan(Table::Message, b"chat", 5, 6).unwrap();
    assert_eq!(all, [(5, 2), (6, 6)]);
    assert!(
        set.scan::<u64>(Table::Message, b"chat", 6, 5)
            .unwrap()
            .is_empty()
    );
    assert_eq!(set.all::<u64>(Table::Message).unwrap().len(), 9 + 10);
}

/// Two changes begin at the same state. The second to commit is refused, as is every later read
/// of it: what it saw is no longer what there is.
#[test]
fn the_second_of_two_is_in_conflict() {
    let store = store();
    let (first, second) = (store.begin(), store.begin());
    first.put(Table::Contact, b"a", &1).unwrap();
    second.put(Table::Contact, b"a", &2).unwrap();
    first.commit().unwrap();
    assert_eq!(
        second.get::<u8>(Table::Contact, b"b"),
        Err(StoreError::Conflict)
    );
    assert_eq!(second.commit(), Err(StoreError::Conflict));
    assert_eq!(store.begin().get(Table::Contact, b"a"), Ok(Some(1)));
}

/// Each commit that changes something counts one, also over a restart; an empty one counts none.
/// A copy of the records put back later shows its age by a lower number.
#[test]
fn the_generation_counts_commits() {
    let disk = Arc::new(MemoryBackend::default());
    let open = || Store::on_backend(Box::new(disk.clone()), &KEY).unwrap();
    for round in 0..3_u64 {
        let store = open();
        assert_eq!(store.generation(), round);
        let set = store.begin();
        set.put(Table::Meta, b"round", &round).unwrap();
        set.commit().unwrap();
        assert_eq!(store.generation(), round + 1);
        store.begin().commit().unwrap();
        assert_eq!(store.generation(), round + 1);
    }
    let names = disk
        .scan(&[][..]..=&[0xff; 64][..], Order::Ascending, 9)
        .unwrap();
    assert_eq!(names.len(), 2, "the counter and the record");
}

/// Neither a change nor a store shows a value when it is printed for a log.
#[test]
fn debug_shows_no_value() {
    let store = store();
    let set = store.begin();
    set.put(Table::Contact, b"id-of-amna", &"Amna Bibi")
        .unwrap();
    let plain: Vec<u8> = b"Amna Bibi".to_vec();
    for text in [
        format!("{set:?}"),
        format!("{store:?}"),
        format!("{:?}", set.mls()),
    ] {
        assert!(!text.contains("Amna") && !text.contains(&format!("{plain:?}")));
        assert!(!text.contains("7, 7, 7"), "the store key");
    }
}
