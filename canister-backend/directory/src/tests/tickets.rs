//! Scrapers, hoarders and squatters: what a look-up and a registration cost, and that honest people
//! hardly notice.

use paigham_wire::identity::handle::{Handle, HandleContent, HandleKind, HandleRecord};
use paigham_wire::leaf::BeaconLeaf;
use paigham_wire::log::{FREE_SPAN_MS, FREE_VERSIONS, LabelAnswer, Submission};
use paigham_wire::relay::Credential;
use paigham_wire::ticket::{
    BEACON_INTERVAL_NS, BEACON_LIFETIME_NS, Challenge, Paid, Purpose, TicketRefusal, leading_zeros,
};

use paigham_transparency::hash::Label;
use paigham_transparency::publish::{NewVersion, publish};

use super::log::{BITS, Log, SECOND, beacon_leaf, label_of, unpaid, wanted};
use super::*;
use crate::{Caller, ENTRY_INTERVAL_NS, MAX_RECORDS, RECORDS_KEPT_FOR_KIT};

const MS: u64 = 1_000_000;

fn refused<T>(refusal: TicketRefusal) -> Result<T, DirectoryError> {
    Err(DirectoryError::Ticket(refusal))
}

fn identity(record: &IdentityRecord) -> Submission {
    Submission::Identity(encode(record).into())
}

/// A log with Amina's account, and the labels of hers and of nobody's.
fn log_with_amina() -> (Log, Vec<u8>, Vec<u8>) {
    let mut log = Log::begun();
    let amina = create(1);
    log.record(&amina).unwrap();
    log.publish_next();
    let nobody = label_of(&AccountId([3; 16]));
    (log, label_of(&amina.content.account), nobody)
}

/// Amina's claim of a handle.
fn claim(typed: &str, record_version: u32, previous: [u8; 32]) -> HandleRecord {
    let create = create(1);
    let content = HandleContent {
        version: 1,
        handle: Handle::new(typed).unwrap(),
        account: create.content.account,
        record_version,
        previous,
        key_change_version: 0,
        key_change_hash: create.hash(),
        kind: HandleKind::Claim,
    };
    HandleRecord::sign(content, &key(1))
}

/// A scraper asks without work, with too little, with the work for another label, or with a token
/// that nobody knows: for a label that is there it hears the same as for one that is not, byte for
/// byte. With work it gets an answer for each.
#[test]
fn a_scraper_learns_nothing_for_nothing() {
    let (mut log, there, nowhere) = log_with_amina();
    let answers = |log: &Log, make: &dyn Fn(&[u8]) -> Credential| {
        [&there, &nowhere].map(|label| {
            let mut wanted = wanted(label, 0);
            wanted.credential = make(label);
            log.look_as(None, vec![wanted])
        })
    };
    let mut other = wanted(b"a:another label", 0);
    log.pay(&mut other);
    let beacon = log.beacon();
    let little = |label: &[u8]| {
        let mut wanted = wanted(label, 0);
        wanted.pay(&myself(), beacon, 1).unwrap();
        wanted.credential
    };
    let missing = refused(TicketRefusal::Missing);
    assert_eq!(
        answers(&log, &|_| Credential::none()),
        [missing.clone(), missing]
    );
    let too_little = refused(TicketRefusal::TooLittleWork);
    assert_eq!(
        answers(&log, &|_| other.credential.clone()),
        [too_little.clone(), too_little]
    );
    let unknown = Credential {
        credential_type: 3,
        data: Vec::new().into(),
    };
    assert_eq!(
        answers(&log, &|_| unknown.clone()),
        [
            Err(DirectoryError::Credential),
            Err(DirectoryError::Credential)
        ]
    );
    let [there_said, nowhere_said] = answers(&log, &little);
    assert_eq!(
        (&there_said, &nowhere_said),
        (&refused(TicketRefusal::TooLittleWork), &there_said)
    );
    let found = log.ask(&there, None, 0);
    assert!(matches!(found.answers[0], LabelAnswer::Found(_)));
    let absent = log.ask(&nowhere, None, 0);
    assert!(matches!(absent.answers[0], LabelAnswer::Absent(_)));
}

/// One label without its ticket among others that have theirs: the whole call is refused, before
/// any answer is made. In one call or in many, each label costs the same.
#[test]
fn every_label_has_its_ticket() {
    let (mut log, there, nowhere) = log_with_amina();
    let (mut first, mut second) = (wanted(&there, 0), wanted(&nowhere, 0));
    log.pay(&mut first);
    let both = log.look_as(None, vec![first.clone(), second.clone()]);
    assert_eq!(both, refused(TicketRefusal::Missing));
    log.pay(&mut second);
    let both = log.look_as(None, vec![first.clone(), second]).unwrap();
    assert_eq!(both.answers.len(), 2);
    // Who comes back for what is new since needs no other ticket while the beacon counts.
    first.from = 1;
    log.look_as(None, vec![first]).unwrap();
}

/// A hoarder worked all hour; an hour after the beacon it is worth nothing. Another directory does
/// not take it either, and it registers nobody.
#[test]
fn look_ups_are_no_stock() {
    let (mut log, there, _) = log_with_amina();
    let mut paid = wanted(&there, 0);
    log.pay(&mut paid);
    let beacon = log.beacon();
    let elsewhere = CanisterId::new(&[9]).unwrap();
    let mut neighbour = Directory::open(VectorMemory::default(), elsewhere, 1).unwrap();
    ask_for_work(&mut neighbour, BITS);
    // Even if both had drawn the same beacon.
    neighbour.issue_beacon(beacon.value, beacon.issued_at);
    let lookup = encode(&paigham_wire::log::Lookup {
        last: None,
        wanted: vec![paid.clone()],
    });
    assert_eq!(
        neighbour.lookup(&lookup, b"certificate", log.now),
        refused(TicketRefusal::TooLittleWork)
    );
    let mut bilal = unpaid(identity(&create(5)));
    bilal.credential = paid.credential.clone();
    assert_eq!(
        log.submit(&bilal, Caller::Anybody),
        refused(TicketRefusal::TooLittleWork)
    );

    let issued = beacon.issued_at;
    log.now = issued + BEACON_INTERVAL_NS;
    log.beacon();
    log.look_as(None, vec![paid.clone()]).unwrap();
    log.now = issued + BEACON_LIFETIME_NS;
    let expired = refused(TicketRefusal::BeaconExpired);
    assert_eq!(log.look_as(None, vec![paid]), expired);
}

/// Somebody with as many principals as they like registers nobody without work. One ticket brings
/// in one account; the same bytes again are told where it is and need no other.
#[test]
fn each_account_has_its_ticket() {
    let mut log = Log::begun();
    let amina = create(1);
    let missing = refused(TicketRefusal::Missing);
    for caller in [Caller::Anybody, Caller::Operator] {
        assert_eq!(log.submit(&unpaid(identity(&amina)), caller), missing);
    }
    let mut paid = unpaid(identity(&amina));
    log.pay(&mut paid);
    let mut bilal = unpaid(identity(&create(5)));
    bilal.credential = paid.credential.clone();
    assert_eq!(
        log.submit(&bilal, Caller::Anybody),
        refused(TicketRefusal::TooLittleWork)
    );
    log.submit(&paid, Caller::Anybody).unwrap();
    log.submit(&paid, Caller::Anybody).unwrap();
    log.publish_next();
    log.submit(&paid, Caller::Anybody).unwrap();
    log.submit(&unpaid(identity(&amina)), Caller::Anybody)
        .unwrap();
}

/// A submission that is refused has spent nothing: once there is room, the same ticket counts.
#[test]
fn a_refused_submission_spends_nothing() {
    let mut log = Log::begun();
    for number in 0..crate::PENDING_MAX {
        let waiting = crate::pending::Waiting {
            label: number.to_be_bytes().to_vec().into(),
            version: 0,
            submission: Submission::Handle(Vec::new().into()),
        };
        log.directory
            .pending
            .add(crate::pending::Class::Usual, &waiting);
    }
    let mut amina = unpaid(identity(&create(1)));
    log.pay(&mut amina);
    assert_eq!(
        log.submit(&amina, Caller::Anybody),
        Err(DirectoryError::Busy)
    );
    log.now += ENTRY_INTERVAL_NS;
    log.publish();
    log.submit(&amina, Caller::Anybody).unwrap();
}

/// Who guesses handles by trying to write them hears the same for one that is held and one that is
/// not, whatever version is tried; with a ticket for each try it is judged.
#[test]
fn handles_cannot_be_probed_by_writing() {
    let (mut log, ..) = log_with_amina();
    let held = claim("amina", 0, [0; 32]);
    log.call(Submission::Handle(encode(&held).into()), Caller::Anybody)
        .unwrap();
    log.publish_next();
    for version in [0, 1, 7] {
        for typed in ["amina", "nobody"] {
            let guess = claim(typed, version, [7; 32]);
            let guess = unpaid(Submission::Handle(encode(&guess).into()));
            assert_eq!(
                log.submit(&guess, Caller::Anybody),
                refused(TicketRefusal::Missing)
            );
        }
    }
    let again = claim("amina", 1, held.hash());
    log.call(Submission::Handle(encode(&again).into()), Caller::Anybody)
        .unwrap();
}

/// How far a record is, is told to who has it. Somebody with the label alone hears that nothing is
/// there, of one that is and of one that is not.
#[test]
fn a_status_is_for_who_has_the_record() {
    let (log, there, nowhere) = log_with_amina();
    let amina = identity(&create(1));
    log.status_of(&there, 0, &amina).unwrap();
    let guess = identity(&create(5));
    let nothing = Err(DirectoryError::NotWaiting);
    assert_eq!(log.status_of(&there, 0, &guess), nothing);
    assert_eq!(log.status_of(&nowhere, 0, &guess), nothing);
}

/// The next record of an account, signed by the identity key, and by the kit where its kind wants
/// that.
fn next(
    state: &AccountState,
    now: u64,
    kind: RecordKind,
    change: impl FnOnce(&mut RecordContent),
    keys: &[(Role, &SigningKey)],
) -> IdentityRecord {
    let standing = state.at(now);
    let mut content = RecordContent {
        version: 1,
        account: state.account(),
        record_version: state.version() + 1,
        identity_key: standing.identity_key,
        recovery_key_hash: standing.recovery_key_hash,
        devices: standing.devices,
        previous: *state.newest_hash(),
        key_change_version: standing.key_change.0,
        key_change_hash: standing.key_change.1,
        kind,
    };
    change(&mut content);
    IdentityRecord::sign(content, keys)
}

/// A device that changes its place: the cheapest record there is.
fn rekey(state: &AccountState, now: u64) -> IdentityRecord {
    let version = state.version();
    let change = |content: &mut RecordContent| {
        content.devices[0].xwing_key_hash[..4].copy_from_slice(&version.to_be_bytes());
        content.devices[0].xwing_key_hash[4] = 9;
    };
    next(
        state,
        now,
        RecordKind::DeviceRekey,
        change,
        &[(Role::Identity, &key(1))],
    )
}

/// Publishes a record and follows it.
fn logs(log: &mut Log, state: &AccountState, record: &IdentityRecord) -> AccountState {
    log.record(record).unwrap();
    log.publish_next();
    state.apply(record, log.now / MS * MS).unwrap()
}

/// As [`logs`], for records that are known to follow: many of them take long to judge.
fn logged_at_once(log: &mut Log, state: &AccountState, record: &IdentityRecord) -> AccountState {
    log.now += ENTRY_INTERVAL_NS;
    let directory = &mut log.directory;
    let keys = directory.keys.keys().unwrap();
    let label = Label::new(label_of(&state.account())).unwrap();
    let version = NewVersion {
        opening: keys.opening(&label, record.content.record_version),
        value: encode(record),
        label,
    };
    publish(&mut directory.log, &keys.vrf, log.now / MS, &[version]).unwrap();
    state.apply(record, log.now / MS * MS).unwrap()
}

/// Eight versions of a label are free within a day, the ninth costs a ticket; a day after the first
/// of the eight the next one is free again.
#[test]
fn the_ninth_version_of_a_day_costs() {
    let mut log = Log::begun();
    let create = create(1);
    log.record(&create).unwrap();
    log.publish_next();
    let first = log.now;
    let mut state = AccountState::create(&create, log.now).unwrap();
    for _ in 1..FREE_VERSIONS {
        let record = rekey(&state, log.now);
        log.submit(&unpaid(identity(&record)), Caller::Anybody)
            .unwrap();
        log.publish_next();
        state = state.apply(&record, log.now / MS * MS).unwrap();
    }
    let ninth = rekey(&state, log.now);
    let unpaid_ninth = unpaid(identity(&ninth));
    assert_eq!(
        log.submit(&unpaid_ninth, Caller::Anybody),
        refused(TicketRefusal::Missing)
    );
    state = logs(&mut log, &state, &ninth);
    let tenth = unpaid(identity(&rekey(&state, log.now)));
    let day = FREE_SPAN_MS * MS;
    // The second of the last eight leaves the day a moment after the first did.
    log.now = first + day;
    assert_eq!(
        log.submit(&tenth, Caller::Anybody),
        refused(TicketRefusal::Missing)
    );
    log.now = first + day + 3 * SECOND;
    log.submit(&tenth, Caller::Anybody).unwrap();
}

/// A thief of the identity key pays for record after record, until nothing else is taken in that
/// the kit has not signed. The owner still freezes the account and takes it back with the kit.
#[test]
fn a_thief_cannot_fill_an_account() {
    let mut log = Log::begun();
    let create = create(1);
    log.record(&create).unwrap();
    log.publish_next();
    let mut state = AccountState::create(&create, log.now).unwrap();
    while state.version() < MAX_RECORDS - RECORDS_KEPT_FOR_KIT - 1 {
        let record = rekey(&state, log.now);
        state = logged_at_once(&mut log, &state, &record);
    }
    let full = rekey(&state, log.now);
    assert_eq!(log.record(&full), Err(DirectoryError::Full));
    let by_thief = next(
        &state,
        log.now,
        RecordKind::Freeze,
        |_| {},
        &[(Role::Identity, &key(1))],
    );
    assert_eq!(log.record(&by_thief), Err(DirectoryError::Full));
    // To say that the kit has signed is not enough.
    let forged = next(
        &state,
        log.now,
        RecordKind::Freeze,
        |_| {},
        &[(Role::Recovery, &key(1))],
    );
    assert_eq!(log.record(&forged), Err(DirectoryError::Rejected));
    let kit = key(2);
    let freeze = next(
        &state,
        log.now,
        RecordKind::Freeze,
        |_| {},
        &[(Role::Recovery, &kit)],
    );
    state = logs(&mut log, &state, &freeze);
    let recover = next(
        &state,
        log.now,
        RecordKind::Recover,
        |content| content.identity_key = key(3).verifying_key().to_bytes(),
        &[(Role::Recovery, &kit)],
    );
    state = logs(&mut log, &state, &recover);
    assert_eq!(state.version(), MAX_RECORDS - RECORDS_KEPT_FOR_KIT + 1);
}

/// Two of three administrators raise what a ticket costs; from then on the certified leaf says so,
/// and the work of before is too little.
#[test]
fn administrators_set_the_price() {
    let (mut log, there, _) = log_with_amina();
    let admin = |id| PrincipalId::new(&[9, id]).unwrap();
    let common = InitArgument {
        admins: Some(AdminSet {
            admins: vec![admin(0)],
            threshold: 1,
        }),
        difficulties: Some(Difficulties::all(BITS)),
    };
    let argument = DirectoryArgument {
        common,
        release_key: None,
    };
    log.directory.install(&argument).unwrap();
    let mut paid = wanted(&there, 0);
    log.pay(&mut paid);
    let raised = Difficulties::all(BITS + 12);
    let proposal = encode(&Proposal {
        canister: myself(),
        number: 0,
        action: Action::SetDifficulties(raised),
    });
    log.directory
        .admin_propose(&proposal, &myself(), &admin(0), NOW)
        .unwrap();
    log.directory.certify();
    assert_eq!(beacon_leaf(&log.directory).difficulties, raised);
    assert_eq!(
        log.look_as(None, vec![paid]),
        refused(TicketRefusal::TooLittleWork)
    );
}

/// Beacon, price and spent tickets outlive an upgrade, and the certified leaf keeps its place.
#[test]
fn an_upgrade_forgets_no_ticket() {
    let memory = VectorMemory::default();
    let mut log = Log::begun_on(memory.clone());
    let first = create(1);
    let mut paid = unpaid(identity(&first));
    log.pay(&mut paid);
    log.submit(&paid, Caller::Anybody).unwrap();
    let leaf: BeaconLeaf = beacon_leaf(&log.directory);
    // What waited is gone: only the memory of the ticket says that it was there.
    let waiting = log.directory.pending.first(1);
    log.directory.pending.remove(&waiting[0].0);
    let root = log.directory.certify();
    log.directory = Directory::open(memory, myself(), 1).unwrap();
    assert_eq!(log.directory.certify(), root);
    assert_eq!(beacon_leaf(&log.directory), leaf);
    assert_eq!(leaf.difficulties, Difficulties::all(BITS));
    assert_eq!(
        log.submit(&paid, Caller::Anybody),
        refused(TicketRefusal::Spent)
    );
}

/// Before they cost a place in a block, registrations without work are shed; the others are let in,
/// also over a beacon that this node does not know yet.
#[test]
fn hopeless_registrations_are_shed() {
    let mut log = Log::begun();
    let mut paid = unpaid(identity(&create(1)));
    log.pay(&mut paid);
    let admits = |log: &Log, submit: &paigham_wire::log::Submit| {
        log.directory.admits_submit(&encode(submit))
    };
    assert!(admits(&log, &paid));
    assert!(!admits(&log, &unpaid(identity(&create(1)))));
    let mut other = unpaid(identity(&create(5)));
    other.credential = paid.credential.clone();
    assert!(!admits(&log, &other));
    let unknown = Challenge {
        canister: &myself(),
        purpose: Purpose::Register,
        call: other.call_hash(),
        beacon: paigham_wire::ticket::Beacon {
            issued_at: NOW + 1,
            value: [9; 32],
        },
    };
    let ticket = unknown.solve(BITS).unwrap();
    assert!(leading_zeros(&unknown.hash(ticket.nonce)) >= u32::from(BITS));
    other.credential = Credential::ticket(&ticket);
    assert!(admits(&log, &other));
    let handle = Submission::Handle(encode(&claim("amina", 3, [0; 32])).into());
    assert!(!admits(&log, &unpaid(handle)));
    assert!(admits(
        &log,
        &unpaid(identity(&freeze(&create(1), &key(1))))
    ));
    let garbage = Submission::Identity(vec![1].into());
    assert!(!admits(&log, &unpaid(garbage)));
    assert!(!log.directory.admits_submit(b"garbage"));
}
