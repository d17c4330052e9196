//! What lies on the disk names nobody, shows nothing and cannot be changed unseen.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it is"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use paigham_store::{
    Backend, KdfCost, MemoryBackend, Order, Record, SledBackend, Store, StoreError, Table,
};
use tempfile::TempDir;

const KEY: [u8; 32] = [7; 32];

fn records(disk: &dyn Backend) -> Vec<Record> {
    disk.scan(&[][..]..=&[0xff; 64][..], Order::Ascending, usize::MAX)
        .unwrap()
}

fn on(disk: &Arc<MemoryBackend>) -> Store {
    Store::on_backend(Box::new(disk.clone()), &KEY).unwrap()
}

fn put(store: &Store, table: Table, id: &[u8], value: &str) {
    let set = store.begin();
    set.put(table, id, &value).unwrap();
    set.commit().unwrap();
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

/// The files below a folder that hold a text raw or in hex of either case.
fn leaks(folder: &Path, canary: &[u8]) -> Vec<PathBuf> {
    let hex: String = canary.iter().map(|byte| format!("{byte:02x}")).collect();
    let forms = [
        canary.to_vec(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
    ];
    let mut found = Vec::new();
    files(folder, &mut found);
    found.retain(|path| {
        let bytes = fs::read(path).unwrap();
        forms.iter().any(|form| contains(&bytes, form))
    });
    found
}

/// A home holds an id, a name, texts in two scripts, a large text and a key, all known to us; it
/// is written over, closed, opened and closed. None of its files holds any of them. To see that
/// the search finds what is there, the same texts are then put into the bare database.
#[test]
fn no_file_holds_a_plain_text() {
    let key_canary: [u8; 32] = std::array::from_fn(|at| 0xa0 ^ u8::try_from(at).unwrap());
    let large = "یہ خط بہت لمبا ہے ".repeat(20_000);
    let canaries: [&[u8]; 6] = [
        b"canary-account-id-0001",
        "کینری بی بی".as_bytes(),
        b"canary: meet me at the tea stall",
        "کینری: چائے کے ہوٹل پر ملیں".as_bytes(),
        "یہ خط بہت لمبا ہے ".as_bytes(),
        &key_canary,
    ];
    let home = TempDir::new().unwrap();
    let passphrase = "canary passphrase";
    let store = Store::create(home.path(), passphrase, KdfCost::WEAK_FOR_TESTS).unwrap();
    for round in 0..3_u64 {
        let set = store.begin();
        set.put(Table::Contact, canaries[0], &"کینری بی بی")
            .unwrap();
        set.put_at(Table::Message, canaries[0], round, &canaries[2])
            .unwrap();
        set.put_at(
            Table::Message,
            canaries[1],
            round,
            &"کینری: چائے کے ہوٹل پر ملیں",
        )
        .unwrap();
        set.put(Table::Outbox, b"x", &large).unwrap();
        set.put(Table::Account, b"key", &key_canary).unwrap();
        set.commit().unwrap();
    }
    drop(store);
    drop(Store::open(home.path(), passphrase).unwrap());
    for canary in canaries.into_iter().chain([passphrase.as_bytes()]) {
        assert_eq!(leaks(home.path(), canary), Vec::<PathBuf>::new());
    }

    let bare = TempDir::new().unwrap();
    let backend = SledBackend::open(bare.path()).unwrap();
    for canary in canaries {
        backend
            .apply(&[(canary.to_vec(), Some(canary.to_vec()))])
            .unwrap();
    }
    backend.sync().unwrap();
    drop(backend);
    for canary in canaries {
        assert!(
            !leaks(bare.path(), canary).is_empty(),
            "the search finds nothing"
        );
    }
}

/// Two stores hold the same ids under different keys: no record has the same name in both.
#[test]
fn names_differ_between_stores() {
    let disks = [[1; 32], [2; 32]].map(|key| {
        let disk = Arc::new(MemoryBackend::default());
        let store = Store::on_backend(Box::new(disk.clone()), &key).unwrap();
        put(&store, Table::Contact, b"amna", "Amna");
        records(&disk)
    });
    assert_eq!(disks[0].len(), disks[1].len());
    for (name, _) in &disks[0] {
        assert!(disks[1].iter().all(|(other, _)| other != name));
    }
}

/// Somebody with the disk exchanges two sealed records of one table, moves one to another number
/// and to another table. Each is refused at its new place.
#[test]
fn a_moved_record_is_refused() {
    let disk = Arc::new(MemoryBackend::default());
    let store = on(&disk);
    put(&store, Table::Contact, b"amna", "Amna");
    put(&store, Table::Contact, b"bilal", "Bilal");
    let found = records(&disk);
    let contacts: Vec<_> = found
        .into_iter()
        .filter(|(name, _)| name[0] == Table::Contact as u8)
        .collect();
    let [first, second] = contacts.try_into().unwrap();
    disk.apply(&[
        (first.0.clone(), Some(second.1.clone())),
        (second.0, Some(first.1.clone())),
    ])
    .unwrap();
    for id in [b"amna".as_slice(), b"bilal"] {
        assert_eq!(
            store.begin().get::<String>(Table::Contact, id),
            Err(StoreError::Corrupt)
        );
    }
    let mut next = first.0.clone();
    next[40] = 1;
    let mut other = first.0;
    other[0] = Table::Device as u8;
    disk.apply(&[(next, Some(first.1.clone())), (other, Some(first.1))])
        .unwrap();
    assert_eq!(
        store.begin().all::<String>(Table::Device),
        Err(StoreError::Corrupt)
    );
    assert_eq!(
        store.begin().all::<String>(Table::Contact),
        Err(StoreError::Corrupt)
    );
}

/// Each byte of a sealed record is changed in turn, then the record is cut at each length: never
/// does it open, and the error says that it is damaged.
#[test]
fn a_changed_or_cut_record_is_refused() {
    let disk = Arc::new(MemoryBackend::default());
    let store = on(&disk);
    put(&store, Table::Contact, b"amna", "Amna");
    let is_contact = |record: &Record| record.0[0] == Table::Contact as u8;
    let (name, record) = records(&disk).into_iter().find(is_contact).unwrap();
    let read = |bytes: &[u8]| {
        disk.apply(&[(name.clone(), Some(bytes.to_vec()))]).unwrap();
        store.begin().get::<String>(Table::Contact, b"amna")
    };
    for at in 0..record.len() {
        let mut changed = record.clone();
        changed[at] ^= 1;
        assert_eq!(read(&changed), Err(StoreError::Corrupt), "byte {at}");
        assert_eq!(read(&record[..at]), Err(StoreError::Corrupt), "cut at {at}");
    }
    assert_eq!(read(&record), Ok(Some("Amna".to_owned())));
}

/// A store is opened under a key that is not its own: no record is readable, none is found.
#[test]
fn another_key_finds_nothing() {
    let disk = Arc::new(MemoryBackend::default());
    put(&on(&disk), Table::Contact, b"amna", "Amna");
    let other = Store::on_backend(Box::new(disk), &[8; 32]).unwrap();
    assert_eq!(
        other.begin().get::<String>(Table::Contact, b"amna"),
        Ok(None)
    );
    assert_eq!(
        other.begin().all::<String>(Table::Contact),
        Err(StoreError::Corrupt)
    );
}
