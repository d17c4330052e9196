//! People look each other's accounts up, and the log says when things count.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use paigham_lookup::account::now_ns;
use paigham_wire::ids::DeviceId;

/// Bilal looks Amina up, again when nothing has happened, and again when she has a second device.
#[test]
fn an_account_is_read_and_read_on() {
    let mut directory = Directory::new();
    directory.wait(MINUTE);
    directory.wait(MINUTE);
    let mut amina = Owner::create(&mut directory, 7);
    let mut bilal = Reader::default();
    let found = bilal.look_up(&directory, amina.account()).unwrap();
    assert_eq!(found.certificate_time_ns, directory.certificate_time());
    assert_eq!(now_ns(&found.view), directory.now * NS);
    assert!(found.watch.is_some());
    let history = found.outcome.unwrap();
    assert_eq!(history.state().at(0), amina.state.at(0));

    let same = bilal.look_up(&directory, amina.account()).unwrap();
    assert_eq!(same.outcome, Some(history));
    assert_eq!(same.view, found.view);

    let add = amina.add(directory.now * NS, 2, 1);
    amina.log(&mut directory, 5 * MINUTE, &add).unwrap();
    let found = bilal.look_up(&directory, amina.account()).unwrap();
    let history = found.outcome.unwrap();
    assert_eq!(history.next_version(), 2);
    let now = directory.now * NS;
    assert!(history.state().device_at(&DeviceId([2; 16]), now).is_some());
    assert_eq!(history.hash(1), Some(amina.state.newest_hash()));
}

/// Nobody has the account, and the log shows it.
#[test]
fn an_account_that_is_not_there_is_shown_not_to_be() {
    let mut directory = Directory::new();
    let amina = Owner::create(&mut directory, 7);
    let stranger = paigham_wire::ids::AccountId([9; 16]);
    let mut bilal = Reader::default();
    let found = bilal.look_up(&directory, stranger).unwrap();
    assert_eq!(found.outcome, None);
    assert_eq!(found.watch, None);
    let found = bilal.look_up(&directory, amina.account()).unwrap();
    assert!(found.outcome.is_some());
}
