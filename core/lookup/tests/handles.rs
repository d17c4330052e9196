//! People look each other's handles up, and the log says whose they are.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use paigham_lookup::handle::{HandleTimes, handle_label};
use paigham_lookup::{AccountHistory, JudgedHandle, LookupError, Reading};
use paigham_wire::codec::encode;
use paigham_wire::identity::handle::{
    Handle, HandleContent, HandleKind, HandleRecord, HandleRejected, Holding, RELEASE_DELAY_NS,
    REST_NS,
};
use paigham_wire::log::LabelAnswer;

const RELEASE: u64 = RELEASE_DELAY_NS / NS;
const REST: u64 = REST_NS / NS;

/// The next record of a handle by an account, signed by a key.
fn record(
    handle: &Handle,
    before: Option<&HandleRecord>,
    owner: &Owner,
    kind: HandleKind,
    signer: u8,
    now: u64,
) -> HandleRecord {
    let key_change = owner.state.at(now * NS).key_change;
    let content = HandleContent {
        version: 1,
        handle: handle.clone(),
        account: owner.account(),
        record_version: before.map_or(0, |before| before.content.record_version + 1),
        previous: before.map_or([0; 32], HandleRecord::hash),
        key_change_version: key_change.0,
        key_change_hash: key_change.1,
        kind,
    };
    HandleRecord::sign(content, &key(signer))
}

/// Logs a record as a directory without rules would.
fn log(directory: &mut Directory, after: u64, record: &HandleRecord) {
    let label = handle_label(&record.content.handle.skeleton()).unwrap();
    directory.publish(after, &[(label, encode(record))]);
}

fn answer(directory: &Directory, handle: &Handle) -> (LabelAnswer, Vec<u8>) {
    let label = handle_label(&handle.skeleton()).unwrap();
    directory.answer(&label, None, 0, &HandleTimes)
}

/// What somebody sees who asks for the first time.
fn look_up(
    directory: &Directory,
    typed: &str,
    owners: &[&Owner],
) -> Result<Option<JudgedHandle>, LookupError> {
    let handle = Handle::typed(typed).unwrap();
    judge(directory, &handle, owners, &answer(directory, &handle))
}

fn judge(
    directory: &Directory,
    handle: &Handle,
    owners: &[&Owner],
    (answer, head): &(LabelAnswer, Vec<u8>),
) -> Result<Option<JudgedHandle>, LookupError> {
    let trust = directory.trust();
    let mut reading = Reading::open(&trust, None, head)?;
    let Some((versions, _)) = reading.handle(&handle.skeleton(), answer)? else {
        return Ok(None);
    };
    let now = reading.now_ns();
    let histories: Vec<AccountHistory> = owners
        .iter()
        .filter(|owner| versions.accounts().contains(&owner.account()))
        .map(|owner| {
            let mut reader = Reader::default();
            let found = reader.look_up(directory, owner.account()).unwrap();
            found.outcome.unwrap()
        })
        .collect();
    versions.judge(&histories, now).map(Some)
}

/// Two people find each other under Urdu handles, however they type them; nobody has another one.
#[test]
fn people_find_each_other() {
    let mut directory = Directory::new();
    let fatima = Owner::create(&mut directory, 7);
    let malik = Owner::create(&mut directory, 8);
    let (first, second) = (Handle::new("فاطمہ").unwrap(), Handle::new("ملک_5").unwrap());
    let claim = |handle, owner, now| record(handle, None, owner, HandleKind::Claim, 1, now);
    let one = claim(&first, &fatima, directory.now);
    log(&mut directory, MINUTE, &one);
    let other = claim(&second, &malik, directory.now);
    log(&mut directory, MINUTE, &other);
    let owners = [&fatima, &malik];
    for typed in ["فاطمہ", "فاطمة", "@فاطمه"] {
        let found = look_up(&directory, typed, &owners).unwrap().unwrap();
        assert_eq!(found.holder(), Some(fatima.account()), "{typed}");
        assert_eq!(found.handle(), &first);
    }
    let found = look_up(&directory, "ملك_۵", &owners).unwrap().unwrap();
    assert_eq!(found.holder(), Some(malik.account()));
    assert_eq!(look_up(&directory, "زینب", &owners).unwrap(), None);
}

/// A handle passes on after 72 hours and 180 days, by a release or by the end of its account; who
/// reads it later sees when.
#[test]
fn a_handle_passes_on() {
    for by_delete in [false, true] {
        let mut directory = Directory::new();
        let mut amina = Owner::create(&mut directory, 7);
        let bilal = Owner::create(&mut directory, 8);
        let handle = Handle::new("nargis").unwrap();
        let claim = record(&handle, None, &amina, HandleKind::Claim, 1, directory.now);
        log(&mut directory, MINUTE, &claim);
        let newest = if by_delete {
            let delete = amina.delete(directory.now * NS, 1);
            amina.log(&mut directory, MINUTE, &delete).unwrap();
            claim
        } else {
            let release = record(
                &handle,
                Some(&claim),
                &amina,
                HandleKind::Release,
                1,
                directory.now,
            );
            log(&mut directory, MINUTE, &release);
            release
        };
        let released = directory.now;
        directory.wait(RELEASE - 1);
        let owners = [&amina, &bilal];
        let see = |directory: &Directory| look_up(directory, "nargis", &owners).unwrap().unwrap();
        assert_eq!(see(&directory).holder(), Some(amina.account()));
        directory.wait(2);
        let resting = Holding::Resting {
            after: amina.account(),
            until: (released + RELEASE + REST) * NS,
        };
        assert_eq!(see(&directory).holding, resting);
        let taken = record(
            &handle,
            Some(&newest),
            &bilal,
            HandleKind::Claim,
            1,
            directory.now,
        );
        let early = {
            let mut lying = directory.clone();
            log(&mut lying, REST - 2, &taken);
            look_up(&lying, "nargis", &owners)
        };
        let version = taken.content.record_version;
        let reason = HandleRejected::Resting;
        assert_eq!(early, Err(LookupError::HandleRule { version, reason }));
        log(&mut directory, REST, &taken);
        assert_eq!(see(&directory).holder(), Some(bilal.account()));
    }
}

/// A directory that logs what must not be there is found out by everybody who looks: a claim over
/// another's, a record that its account never signed, one while the account is frozen, one whose
/// account does not exist.
#[test]
fn what_breaks_the_rules_is_found_out() {
    let mut directory = Directory::new();
    let mut amina = Owner::create(&mut directory, 7);
    let bilal = Owner::create(&mut directory, 8);
    let handle = Handle::new("nargis").unwrap();
    let claim = record(&handle, None, &amina, HandleKind::Claim, 1, directory.now);
    let refused =
        |directory: &Directory, owners: &[&Owner]| match look_up(directory, "nargis", owners)
            .unwrap_err()
        {
            LookupError::HandleRule { reason, .. } => reason,
            other => panic!("{other}"),
        };
    {
        let mut lying = directory.clone();
        let forged = record(&handle, None, &amina, HandleKind::Claim, 9, directory.now);
        log(&mut lying, MINUTE, &forged);
        assert_eq!(refused(&lying, &[&amina]), HandleRejected::NotAuthorised);
    }
    log(&mut directory, MINUTE, &claim);
    assert_eq!(refused(&directory, &[]), HandleRejected::NoAccount);
    let taken = record(
        &handle,
        Some(&claim),
        &bilal,
        HandleKind::Claim,
        1,
        directory.now,
    );
    {
        let mut lying = directory.clone();
        log(&mut lying, MINUTE, &taken);
        assert_eq!(refused(&lying, &[&amina, &bilal]), HandleRejected::Taken);
    }
    let freeze = amina.freeze(directory.now * NS, 1);
    amina.log(&mut directory, MINUTE, &freeze).unwrap();
    let release = record(
        &handle,
        Some(&claim),
        &amina,
        HandleKind::Release,
        1,
        directory.now,
    );
    log(&mut directory, MINUTE, &release);
    assert_eq!(
        refused(&directory, &[&amina]),
        HandleRejected::AccountFrozen
    );
}

/// An answer that leaves out when a record was logged, or one of the records, is none.
#[test]
fn an_answer_shows_every_record_and_its_time() {
    let mut directory = Directory::new();
    let amina = Owner::create(&mut directory, 7);
    let handle = Handle::new("nargis").unwrap();
    let claim = record(&handle, None, &amina, HandleKind::Claim, 1, directory.now);
    log(&mut directory, MINUTE, &claim);
    let release = record(
        &handle,
        Some(&claim),
        &amina,
        HandleKind::Release,
        1,
        directory.now,
    );
    log(&mut directory, MINUTE, &release);
    let whole = answer(&directory, &handle);
    assert!(judge(&directory, &handle, &[&amina], &whole).is_ok());
    let LabelAnswer::Found(found) = &whole.0 else {
        panic!("it was logged");
    };
    let mut without_time = found.clone();
    without_time.times.remove(0);
    let cut = (LabelAnswer::Found(without_time), whole.1.clone());
    assert_eq!(
        judge(&directory, &handle, &[&amina], &cut),
        Err(LookupError::Places { version: 0 })
    );
    let mut without_record = found.clone();
    without_record.earlier.clear();
    without_record.times.remove(0);
    let cut = (LabelAnswer::Found(without_record), whole.1);
    assert!(judge(&directory, &handle, &[&amina], &cut).is_err());
}
