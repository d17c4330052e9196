//! Every backend passes the same suite; sled passes what only a disk can show.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it is"
)]

use std::fs;
use std::path::{Path, PathBuf};

use paigham_store::testkit::FaultBackend;
use paigham_store::{
    Backend, Change, MemoryBackend, Order, Record, SledBackend, StoreError, store_conformance,
};
use tempfile::TempDir;

mod memory {
    paigham_store::store_conformance!((super::MemoryBackend::default(), ()));
}

mod fault {
    paigham_store::store_conformance!((super::FaultBackend::default(), ()));
}

mod sled {
    paigham_store::store_conformance!({
        let folder = super::TempDir::new().unwrap();
        (super::SledBackend::open(folder.path()).unwrap(), folder)
    });
}

mod shared {
    super::store_conformance!((std::sync::Arc::new(super::MemoryBackend::default()), ()));
}

fn everything(backend: &dyn Backend) -> Result<Vec<Record>, StoreError> {
    backend.scan(&[][..]..=&[0xff; 8][..], Order::Ascending, usize::MAX)
}

/// A database with three batches is closed and opened again, ten times in a row: all of it is
/// there each time, and the threads of the one before never keep the next from opening.
#[test]
fn sled_keeps_records_over_restarts() {
    let folder = TempDir::new().unwrap();
    for round in 0..10_u8 {
        let backend = SledBackend::open(folder.path()).unwrap();
        assert_eq!(everything(&backend).unwrap().len(), usize::from(round));
        let change: Change = (vec![round], Some(vec![round; 2000]));
        backend.apply(&[change]).unwrap();
        backend.sync().unwrap();
    }
}

/// Somebody changes bytes of the database's files, at 120 places, one at a time. Opening and
/// reading then gives an error, or records that were written; never a panic.
///
/// A changed value is not sled's to notice: sealing does that, one layer up. Here a record of
/// another length, or a name that was never written, would be the harm.
#[test]
fn sled_answers_damage_with_an_error() {
    let master = TempDir::new().unwrap();
    let backend = SledBackend::open(master.path()).unwrap();
    for round in 0..40_u8 {
        backend
            .apply(&[(vec![round], Some(vec![round; 300]))])
            .unwrap();
        backend.sync().unwrap();
    }
    drop(backend);

    let mut refused = 0;
    for step in 0..120_usize {
        let copy = TempDir::new().unwrap();
        copy_folder(master.path(), copy.path());
        damage(copy.path(), step);
        let outcome = SledBackend::open(copy.path())
            .map_err(|_| ())
            .and_then(|backend| everything(&backend).map_err(|_| ()));
        match outcome {
            Err(()) => refused += 1,
            Ok(records) => {
                for (name, value) in records {
                    assert!(name.len() == 1 && name[0] < 40 && value.len() == 300);
                }
            }
        }
    }
    assert!(
        refused > 0,
        "no damage was noticed: the test damages nothing"
    );
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    found.retain(|path| path.is_file() && fs::metadata(path).unwrap().len() > 0);
    found.sort();
    found
}

fn copy_folder(from: &Path, to: &Path) {
    for path in files(from) {
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Flips the bits of one byte; the steps walk over all files and, in each, over what is not zero.
fn damage(folder: &Path, step: usize) {
    let files = files(folder);
    let path = &files[step % files.len()];
    let mut bytes = fs::read(path).unwrap();
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let at = used[(step * 7919) % used.len()];
    bytes[at] ^= 0xff;
    fs::write(path, bytes).unwrap();
}

/// A process was killed while sled wrote a snapshot of its own: what was committed before is there
/// when the database is opened again.
#[test]
fn an_unfinished_snapshot_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("records");
    let backend = SledBackend::open(&database).unwrap();
    backend
        .apply(&[(b"name".to_vec(), Some(b"value".to_vec()))])
        .unwrap();
    backend.sync().unwrap();
    drop(backend);
    fs::write(database.join("snap.FFFFFFFFFFFFFFFF.generating"), b"half").unwrap();
    let backend = SledBackend::open(&database).unwrap();
    assert_eq!(backend.get(b"name").unwrap(), Some(b"value".to_vec()));
}
