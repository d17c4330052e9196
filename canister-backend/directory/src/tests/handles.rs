//! Stories of handles and of network files in the log.

use paigham_wire::identity::handle::{
    Handle, HandleContent, HandleKind, HandleRecord, HandleRejected, RELEASE_DELAY_NS, REST_NS,
};

use paigham_transparency::store::Store;
use paigham_wire::log::{LabelAnswer, Submission, SubmitState, Submitted};
use paigham_wire::network::NetworkFile;
use paigham_wire::ticket::{BEACON_INTERVAL_NS, TicketRefusal};

use super::log::{Log, SECOND};
use super::*;
use crate::{Caller, ENTRY_INTERVAL_NS};

/// Somebody with an account: identity key `seed`, its only record the create.
struct Person {
    seed: u8,
    create: IdentityRecord,
}

impl Person {
    fn joins(log: &mut Log, seed: u8) -> Self {
        let create = create(seed);
        log.record(&create).unwrap();
        log.publish_next();
        Self { seed, create }
    }

    /// A record of a handle after another.
    fn writes(&self, typed: &str, before: Option<&HandleRecord>, kind: HandleKind) -> HandleRecord {
        let content = HandleContent {
            version: 1,
            handle: Handle::new(typed).unwrap(),
            account: self.create.content.account,
            record_version: before.map_or(0, |before| before.content.record_version + 1),
            previous: before.map_or([0; 32], HandleRecord::hash),
            key_change_version: 0,
            key_change_hash: self.create.hash(),
            kind,
        };
        HandleRecord::sign(content, &key(self.seed))
    }
}

fn submit(log: &mut Log, record: &HandleRecord) -> Result<SubmitState, DirectoryError> {
    log.call(Submission::Handle(encode(record).into()), Caller::Anybody)
}

fn status(log: &Log, record: &HandleRecord) -> Result<SubmitState, DirectoryError> {
    let submission = Submission::Handle(encode(record).into());
    let version = record.content.record_version;
    log.status_of(&label_of_handle(record), version, &submission)
}

/// Submits and publishes.
fn logs(log: &mut Log, record: &HandleRecord) {
    submit(log, record).unwrap();
    log.publish_next();
}

fn refused(why: HandleRejected) -> Result<SubmitState, DirectoryError> {
    Err(DirectoryError::Handle(why))
}

fn label_of_handle(record: &HandleRecord) -> Vec<u8> {
    record.content.handle.skeleton().label()
}

/// Amina claims a handle; Bilal is refused one that looks like it. She gives it up, thinks better of
/// it, and gives it up for good: it rests for her alone, then it is anybody's.
#[test]
fn a_handle_is_held_by_one() {
    let mut log = Log::begun();
    let (amina, bilal) = (Person::joins(&mut log, 1), Person::joins(&mut log, 5));
    let claim = amina.writes("paigham", None, HandleKind::Claim);
    logs(&mut log, &claim);
    assert!(matches!(
        submit(&mut log, &claim).unwrap().state,
        Submitted::Published { .. }
    ));
    let alike = bilal.writes("paigharn", Some(&claim), HandleKind::Claim);
    assert_eq!(submit(&mut log, &alike), refused(HandleRejected::Taken));
    let release = amina.writes("paigham", Some(&claim), HandleKind::Release);
    logs(&mut log, &release);
    let again = amina.writes("paigham", Some(&release), HandleKind::Claim);
    log.now += RELEASE_DELAY_NS - SECOND;
    logs(&mut log, &again);
    let release = amina.writes("paigham", Some(&again), HandleKind::Release);
    logs(&mut log, &release);
    let released = log.now;
    let taken = bilal.writes("paigharn", Some(&release), HandleKind::Claim);
    log.now = released + RELEASE_DELAY_NS + REST_NS - SECOND;
    assert_eq!(submit(&mut log, &taken), refused(HandleRejected::Resting));
    log.now = released + RELEASE_DELAY_NS + REST_NS;
    logs(&mut log, &taken);
    assert_eq!(status(&log, &taken).unwrap().version, 4);
}

/// HND-11: a record that the account's key did not sign, or of an account that is not there, is not
/// logged, and nothing waits because of it.
#[test]
fn only_the_account_itself_claims() {
    let mut log = Log::begun();
    let amina = Person::joins(&mut log, 1);
    let mut forged = amina.writes("amina", None, HandleKind::Claim);
    forged.signature = HandleRecord::sign(forged.content.clone(), &key(5)).signature;
    assert_eq!(
        submit(&mut log, &forged),
        refused(HandleRejected::NotAuthorised)
    );
    let nobody = Person {
        seed: 9,
        create: create(9),
    };
    let claim = nobody.writes("nobody", None, HandleKind::Claim);
    assert_eq!(submit(&mut log, &claim), refused(HandleRejected::NoAccount));
    assert!(log.directory.pending.is_empty());
    let garbage = Submission::Handle(vec![1, 2, 3].into());
    assert_eq!(
        log.call(garbage, Caller::Operator),
        Err(DirectoryError::Malformed)
    );
}

/// HND-14: an account has one handle at a time; the next one comes when the release counts, not
/// before.
#[test]
fn an_account_has_one_handle() {
    let mut log = Log::begun();
    let amina = Person::joins(&mut log, 1);
    let first = amina.writes("amina", None, HandleKind::Claim);
    logs(&mut log, &first);
    let second = amina.writes("zahra", None, HandleKind::Claim);
    assert_eq!(
        submit(&mut log, &second),
        refused(HandleRejected::HoldsAnother)
    );
    let release = amina.writes("amina", Some(&first), HandleKind::Release);
    logs(&mut log, &release);
    assert_eq!(
        submit(&mut log, &second),
        refused(HandleRejected::HoldsAnother)
    );
    log.now += RELEASE_DELAY_NS;
    logs(&mut log, &second);
    // Back to the first is a change too.
    let back = amina.writes("amina", Some(&release), HandleKind::Claim);
    assert_eq!(
        submit(&mut log, &back),
        refused(HandleRejected::HoldsAnother)
    );
}

/// HND-14: two claims that wait at once do not come through together.
#[test]
fn two_claims_at_once_give_one_handle() {
    let mut log = Log::begun();
    let amina = Person::joins(&mut log, 1);
    let first = amina.writes("amina", None, HandleKind::Claim);
    let second = amina.writes("zahra", None, HandleKind::Claim);
    submit(&mut log, &first).unwrap();
    submit(&mut log, &second).unwrap();
    log.publish_next();
    log.now += ENTRY_INTERVAL_NS;
    assert_eq!(log.publish(), None, "the second does not follow any more");
    assert!(status(&log, &first).is_ok());
    assert_eq!(status(&log, &second), Err(DirectoryError::NotWaiting));
}

/// HND-15: a handle's record is never in one entry with a record of its account. Who comes after a
/// freeze is refused; what waited when the freeze came is judged after it.
#[test]
fn a_handle_waits_for_its_account() {
    let mut log = Log::begun();
    let amina = Person::joins(&mut log, 1);
    let claim = amina.writes("amina", None, HandleKind::Claim);
    logs(&mut log, &claim);
    let release = amina.writes("amina", Some(&claim), HandleKind::Release);
    submit(&mut log, &release).unwrap();
    log.record(&freeze(&amina.create, &key(1))).unwrap();
    let position = log.publish_next();
    assert_eq!(status(&log, &release).unwrap().state, Submitted::Queued);
    log.now += ENTRY_INTERVAL_NS;
    assert_eq!(log.publish(), None);
    assert_eq!(status(&log, &release), Err(DirectoryError::NotWaiting));
    assert_eq!(log.directory.log.tree_size(), position + 1);
    // The ticket has paid for it once; with another it is told what is wrong.
    let spent = TicketRefusal::Spent;
    assert_eq!(submit(&mut log, &release), Err(spent.into()));
    log.now += BEACON_INTERVAL_NS;
    assert_eq!(
        submit(&mut log, &release),
        refused(HandleRejected::AccountFrozen)
    );
    // And the other way round: what waits for the account goes first.
    let mut log = Log::begun();
    let amina = Person::joins(&mut log, 1);
    log.record(&freeze(&amina.create, &key(1))).unwrap();
    let claim = amina.writes("amina", None, HandleKind::Claim);
    assert_eq!(submit(&mut log, &claim), Err(DirectoryError::Pending));
}

/// Every record of a handle is shown with its place in the log, and an upgrade forgets nothing.
#[test]
fn an_answer_has_the_times_of_all_records() {
    let memory = VectorMemory::default();
    let mut log = Log::begun_on(memory.clone());
    let amina = Person::joins(&mut log, 1);
    let claim = amina.writes("amina", None, HandleKind::Claim);
    logs(&mut log, &claim);
    let again = amina.writes("amina", Some(&claim), HandleKind::Claim);
    logs(&mut log, &again);
    log.directory = Directory::open(memory, myself(), 1).unwrap();
    log.directory.certify();
    let reply = log.ask(&label_of_handle(&claim), None, 0);
    let LabelAnswer::Found(found) = &reply.answers[0] else {
        panic!("absent")
    };
    let versions: Vec<_> = found.times.iter().map(|time| time.version).collect();
    assert_eq!(versions, [0, 1]);
    let other = amina.writes("zahra", None, HandleKind::Claim);
    assert_eq!(
        submit(&mut log, &other),
        refused(HandleRejected::HoldsAnother)
    );
}

/// NET-11: the next network file is logged for whoever brings it, if it follows; a skipped number,
/// other keys or one that has expired by the time of its entry do not come in.
#[test]
fn network_files_follow_one_another() {
    let mut log = Log::begun();
    let signed = |log: &Log, number, keys: &[u8], change: &dyn Fn(&mut NetworkFile)| {
        let mut file = log.network_file(number);
        change(&mut file);
        let keys: Vec<_> = keys.iter().map(|seed| key(*seed)).collect();
        file.sign(&keys.iter().collect::<Vec<_>>()).unwrap()
    };
    let nothing = |_: &mut NetworkFile| {};
    let new_key = |file: &mut NetworkFile| {
        file.release.keys = vec![key(60).verifying_key().to_bytes().into()];
    };
    let wrong = [
        signed(&log, 1, &[50], &|file| file.name = "other".into()),
        signed(&log, 3, &[50], &nothing),
        signed(&log, 0, &[50], &nothing),
        signed(&log, 2, &[60], &new_key),
        signed(&log, 2, &[50], &|file| file.expires_at = 1),
    ];
    for file in wrong {
        assert_eq!(
            log.network(&file, Caller::Operator),
            Err(DirectoryError::NotAllowed)
        );
    }
    let second = signed(&log, 2, &[50, 60], &new_key);
    log.network(&second, Caller::Anybody).unwrap();
    log.publish_next();
    let published = log.network(&second, Caller::Anybody).unwrap();
    assert_eq!(published.version, 1);
    assert!(matches!(published.state, Submitted::Published { .. }));
    let by_old = signed(&log, 3, &[50], &nothing);
    assert_eq!(
        log.network(&by_old, Caller::Operator),
        Err(DirectoryError::NotAllowed)
    );
    let short = signed(&log, 3, &[60], &|file| {
        new_key(file);
        file.expires_at = NOW / SECOND + 3_600;
    });
    log.network(&short, Caller::Anybody).unwrap();
    log.now = NOW + 3_700 * SECOND;
    log.publish();
    let label = [b"n:", &[9; 16][..]].concat();
    let submission = Submission::Network(short.into());
    assert_eq!(
        log.status_of(&label, 2, &submission),
        Err(DirectoryError::NotWaiting)
    );
}
