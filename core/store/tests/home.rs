//! Making, opening and locking a home; killing whoever has it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it is"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use paigham_store::{KdfCost, MemoryBackend, OpenError, Passphrase, Store, StoreError, Table};
use tempfile::TempDir;

const CHEAP: KdfCost = KdfCost::WEAK_FOR_TESTS;
/// Set for the child process of the kill test: the home that it writes to.
const CHILD_HOME: &str = "PAIGHAM_STORE_TEST_CHILD_HOME";

fn home_with(passphrase: &str) -> TempDir {
    let home = TempDir::new().unwrap();
    let store = Store::create(home.path(), passphrase, CHEAP).unwrap();
    let set = store.begin();
    set.put(Table::Meta, b"hello", &"سلام").unwrap();
    set.commit().unwrap();
    home
}

fn hello(store: &Store) -> Option<String> {
    store.begin().get(Table::Meta, b"hello").unwrap()
}

/// A home is made, closed and opened with its passphrase; a wrong one is named as such.
#[test]
fn opens_with_its_passphrase_only() {
    let home = home_with("کھل جا سم سم");
    for wrong in ["", "open sesame", "کھل جا سم سم "] {
        assert!(matches!(
            Store::open(home.path(), wrong),
            Err(OpenError::WrongPassphrase)
        ));
    }
    let right = Passphrase::from("کھل جا سم سم".to_owned());
    assert_eq!(format!("{right:?}"), "Passphrase(***)");
    let store = Store::open(home.path(), &right).unwrap();
    assert_eq!(hello(&store).as_deref(), Some("سلام"));
}

/// The owner of an open home is asked again: the passphrase is that of this home or it is not, and
/// stays so after it was changed. A store whose key somebody else keeps has none.
#[test]
fn an_open_home_knows_its_passphrase() {
    let home = home_with("right");
    let store = Store::open(home.path(), "right").unwrap();
    assert!(store.check_passphrase("right").is_ok());
    assert!(matches!(
        store.check_passphrase("wrong"),
        Err(OpenError::WrongPassphrase)
    ));
    // The key file of another home, put in its place, makes its passphrase nobody's.
    let other = home_with("other");
    fs::copy(other.path().join("key"), home.path().join("key")).unwrap();
    assert!(matches!(
        store.check_passphrase("other"),
        Err(OpenError::WrongPassphrase)
    ));
    let kept = Store::on_backend(Box::new(MemoryBackend::default()), &[7; 32]).unwrap();
    assert!(matches!(
        kept.check_passphrase("x"),
        Err(OpenError::Missing)
    ));
    assert!(kept.check_key(&[7; 32]).is_ok());
    assert!(matches!(
        kept.check_key(&[8; 32]),
        Err(OpenError::WrongPassphrase)
    ));
}

/// A second handle on an open home is refused, also to change the passphrase, and welcome once
/// the first is closed. A clone is the same handle and keeps it open.
#[test]
fn a_second_handle_is_refused() {
    let home = home_with("p");
    let store = Store::open(home.path(), "p").unwrap();
    let clone = store.clone();
    drop(store);
    assert!(matches!(
        Store::open(home.path(), "p"),
        Err(OpenError::InUse)
    ));
    assert!(matches!(
        Store::create(home.path(), "p", CHEAP),
        Err(OpenError::InUse)
    ));
    let change = Store::change_passphrase(home.path(), "p", "q", CHEAP);
    assert!(matches!(change, Err(OpenError::InUse)));
    drop(clone);
    assert_eq!(
        hello(&Store::open(home.path(), "p").unwrap()).as_deref(),
        Some("سلام")
    );
}

/// A home is made only where none is, and opened only where one is. Records whose key file is
/// lost are not mixed with a new store.
#[test]
fn neither_made_twice_nor_opened_before() {
    let empty = TempDir::new().unwrap();
    assert!(matches!(
        Store::open(empty.path(), "p"),
        Err(OpenError::Missing)
    ));
    let change = Store::change_passphrase(empty.path(), "p", "q", CHEAP);
    assert!(matches!(change, Err(OpenError::Missing)));

    let home = home_with("p");
    assert!(matches!(
        Store::create(home.path(), "p", CHEAP),
        Err(OpenError::Exists)
    ));
    fs::remove_file(home.path().join("key")).unwrap();
    assert!(matches!(
        Store::create(home.path(), "p", CHEAP),
        Err(OpenError::Exists)
    ));
}

/// The passphrase is changed: the new one opens the same records, the old one no longer does.
/// With a wrong old one nothing changes. A crash that left a half-written new file harms nothing.
#[test]
fn changes_its_passphrase() {
    let home = home_with("old");
    let wrong = Store::change_passphrase(home.path(), "wrong", "new", CHEAP);
    assert!(matches!(wrong, Err(OpenError::WrongPassphrase)));
    fs::write(home.path().join("key.new"), b"half of a fi").unwrap();
    assert!(Store::open(home.path(), "old").is_ok());

    Store::change_passphrase(home.path(), "old", "new", CHEAP).unwrap();
    assert!(matches!(
        Store::open(home.path(), "old"),
        Err(OpenError::WrongPassphrase)
    ));
    let store = Store::open(home.path(), "new").unwrap();
    assert_eq!(hello(&store).as_deref(), Some("سلام"));
}

/// Each byte of the key file is changed in turn, and the file cut at each length: each is named
/// as damage, none as a wrong passphrase, and none makes us spend memory on a made-up cost.
#[test]
fn a_damaged_key_file_is_named() {
    let home = home_with("p");
    let path = home.path().join("key");
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x40;
        for bytes in [&changed[..], &whole[..at]] {
            fs::write(&path, bytes).unwrap();
            assert!(
                matches!(Store::open(home.path(), "p"), Err(OpenError::KeyFile)),
                "{at}"
            );
        }
    }
    fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
    assert!(matches!(
        Store::open(home.path(), "p"),
        Err(OpenError::KeyFile)
    ));
    fs::write(&path, &whole).unwrap();
    assert!(Store::open(home.path(), "p").is_ok());
}

/// Nobody else on the machine may read the key file.
#[cfg(unix)]
#[test]
fn the_key_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = home_with("p");
    let mode = fs::metadata(home.path().join("key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0);
}

/// Rows that one round of the kill test writes.
const ROWS: u64 = 20;

/// A part of the kill test: commits many records per round, and says each round when done.
#[test]
#[ignore = "the child process of a_killed_process_loses_nothing_it_acknowledged"]
fn child_that_writes_until_killed() {
    let Ok(home) = std::env::var(CHILD_HOME) else {
        return;
    };
    let store = Store::open(Path::new(&home), "p").unwrap();
    for _ in 0..100_000 {
        let set = store.begin();
        let round = set
            .get::<u64>(Table::Meta, b"round")
            .unwrap()
            .unwrap_or_default()
            + 1;
        set.put(Table::Meta, b"round", &round).unwrap();
        for row in 0..ROWS {
            set.put_at(Table::Message, b"chat", round * ROWS + row, &round)
                .unwrap();
        }
        // Large, and written over each time, so that sled moves it about.
        set.put(Table::Outbox, b"large", &vec![round; 20_000])
            .unwrap();
        set.commit().unwrap();
        eprintln!("done {round}");
    }
}

fn child(home: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "child_that_writes_until_killed",
        ])
        .env(CHILD_HOME, home)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Another process writes to a home; meanwhile we are refused. It is killed at some moment, eight
/// times: the home then opens at once, holds every round that was acknowledged and at most one
/// more, and each round is whole.
#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    let home = home_with("p");
    for kills in 1..=8_usize {
        let mut child = child(home.path());
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let done = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("done ")?.parse::<u64>().ok())
            .nth(kills % 5 * 2);
        assert!(matches!(
            Store::open(home.path(), "p"),
            Err(OpenError::InUse)
        ));
        std::thread::sleep(Duration::from_micros(
            u64::try_from(kills).unwrap() * 1_234 % 9_000,
        ));
        child.kill().unwrap();
        child.wait().unwrap();

        let acknowledged = done.expect("the child said so");
        let store = Store::open(home.path(), "p").unwrap();
        let set = store.begin();
        let round = set.get::<u64>(Table::Meta, b"round").unwrap().unwrap();
        assert!(round >= acknowledged);
        let rows: Vec<(u64, u64)> = set.scan(Table::Message, b"chat", 0, u64::MAX).unwrap();
        let expected: Vec<_> = (ROWS..(round + 1) * ROWS)
            .map(|row| (row, row / ROWS))
            .collect();
        assert_eq!(rows, expected);
        let large: Vec<u64> = set.get(Table::Outbox, b"large").unwrap().unwrap();
        assert_eq!(large, vec![round; 20_000]);
        assert_eq!(store.generation(), round + 1);
    }
}

/// A record of a type that it is not is an error of its own, not damage.
#[test]
fn another_type_is_another_format() {
    let home = home_with("p");
    let store = Store::open(home.path(), "p").unwrap();
    assert_eq!(
        store.begin().get::<u64>(Table::Meta, b"hello"),
        Err(StoreError::Format)
    );
}
