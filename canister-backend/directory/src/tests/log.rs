//! Stories of the log: what is submitted, published and proved.

use ed25519_dalek::Signer;
use ic_certification::{HashTree, LookupResult};
use paigham_transparency::auditor::AuditorState;
use paigham_transparency::codec::Codec;
use paigham_transparency::consistency::Consistency;
use paigham_transparency::hash::Label;
use paigham_transparency::log_tree;
use paigham_transparency::publish::PublishError;
use paigham_transparency::store::Store;
use paigham_transparency::structs::{
    AuditorTreeHead, AuditorTreeHeadTbs, AuditorUpdate, Configuration, SearchRequest,
    SearchResponse,
};
use paigham_transparency::verifier::{TreeView, Verifier, VerifyHead};
use paigham_wire::hash::{Hash, sha256};
use paigham_wire::leaf::BeaconLeaf;
use paigham_wire::log::{
    AuditReply, AuditRequest, Cosign, CosignaturesRequest, LabelAnswer, Lookup, LookupAnswers,
    Status, Submission, Submit, SubmitState, Submitted, Wanted,
};
use paigham_wire::network::{CanisterRole, KeySet, NetworkCanister, NetworkFile};
use paigham_wire::relay::Credential;
use paigham_wire::ticket::{Beacon, Paid, TicketRefusal};
use tls_codec::VLBytes;

use super::*;
use crate::{Call, Caller, ENTRY_INTERVAL_NS, HEARTBEAT_NS};

pub(super) const SECOND: u64 = 1_000_000_000;
const CERTIFICATE: &[u8] = b"a certificate";
/// Little enough for tests, and enough that no nonce is right by chance.
pub(super) const BITS: u8 = 12;

/// Believes a canister signature if its tree is the certified one.
struct CertifiedHeads(Hash);

#[derive(serde::Deserialize)]
struct Signature {
    #[serde(with = "serde_bytes")]
    certificate: Vec<u8>,
    tree: HashTree,
}

impl VerifyHead for CertifiedHeads {
    fn verify_head(&self, config: &Configuration, message: &[u8], signature: &[u8]) -> bool {
        assert_eq!(&config.signature_public_key[19..], b"\x01\x01kt1");
        let Ok(signature) = serde_cbor::from_slice::<Signature>(signature) else {
            return false;
        };
        let path: [&[u8]; 3] = [b"sig", &sha256(b"kt1"), &sha256(message)];
        signature.certificate == CERTIFICATE
            && signature.tree.digest() == self.0
            && matches!(signature.tree.lookup_path(path), LookupResult::Found(leaf) if leaf.is_empty())
    }
}

/// A directory with its keys drawn.
pub(super) struct Log {
    pub(super) directory: Directory<VectorMemory>,
    pub(super) now: u64,
}

impl Log {
    fn new() -> Self {
        Self::on(VectorMemory::default())
    }

    fn on(memory: VectorMemory) -> Self {
        let mut directory = Directory::open(memory, myself(), 1).unwrap();
        directory.draw_keys(&[7; 32]);
        ask_for_work(&mut directory, BITS);
        directory.issue_beacon([1; 32], NOW);
        directory.certify();
        Self {
            directory,
            now: NOW,
        }
    }

    /// A log that has begun with a network file, which names an auditor.
    pub(super) fn begun() -> Self {
        Self::new().begin()
    }

    /// As [`Log::begun`], on a memory.
    pub(super) fn begun_on(memory: VectorMemory) -> Self {
        Self::on(memory).begin()
    }

    fn begin(mut self) -> Self {
        let file = NetworkFile {
            auditors: Some(KeySet {
                keys: vec![key(60).verifying_key().to_bytes().into()],
                threshold: 1,
            }),
            ..self.network_file(1)
        };
        let file = file.sign(&[&key(50)]).unwrap();
        self.network(&file, Caller::Operator).unwrap();
        assert_eq!(self.publish(), Some(0));
        self
    }

    pub(super) fn network_file(&self, sequence: u64) -> NetworkFile {
        let canister = |id: u8, role| NetworkCanister {
            role,
            id: vec![id].into(),
            module_hashes: Vec::new(),
            controllers: Vec::new(),
        };
        let config = self.directory.configuration().unwrap();
        NetworkFile {
            version: 1,
            network: [9; 16].into(),
            name: "test".into(),
            sequence,
            issued_at: NOW / SECOND,
            expires_at: NOW / SECOND + 1_000_000,
            root_key: vec![1].into(),
            canisters: vec![
                canister(1, CanisterRole::Directory),
                canister(2, CanisterRole::Relay),
            ],
            authority: KeySet {
                keys: Vec::new(),
                threshold: 0,
            },
            proof_types: vec![2],
            urls: Vec::new(),
            gateways: Vec::new(),
            release: KeySet {
                keys: vec![key(50).verifying_key().to_bytes().into()],
                threshold: 1,
            },
            development: true,
            transparency: Some(config.encode().unwrap().into()),
            auditors: None,
        }
    }

    /// Submits, with a ticket.
    pub(super) fn call(
        &mut self,
        submission: Submission,
        caller: Caller,
    ) -> Result<SubmitState, DirectoryError> {
        let mut submit = unpaid(submission);
        self.pay(&mut submit);
        self.submit(&submit, caller)
    }

    /// Submits as it is.
    pub(super) fn submit(
        &mut self,
        submit: &Submit,
        caller: Caller,
    ) -> Result<SubmitState, DirectoryError> {
        let canister = myself();
        let call = Call {
            canister: &canister,
            caller,
            now_ns: self.now,
        };
        self.directory.submit(&encode(submit), &call)
    }

    /// Works for a request, over the beacon of now.
    pub(super) fn pay<R: Paid>(&mut self, request: &mut R) {
        let beacon = self.beacon();
        request.pay(&myself(), beacon, BITS).unwrap();
    }

    /// The certified beacon; a new one if one is due.
    pub(super) fn beacon(&mut self) -> Beacon {
        self.directory
            .issue_beacon(sha256(&self.now.to_be_bytes()), self.now);
        self.directory.certify();
        beacon_leaf(&self.directory).beacon
    }

    pub(super) fn network(
        &mut self,
        file: &[u8],
        caller: Caller,
    ) -> Result<SubmitState, DirectoryError> {
        self.call(Submission::Network(file.to_vec().into()), caller)
    }

    pub(super) fn record(
        &mut self,
        record: &IdentityRecord,
    ) -> Result<SubmitState, DirectoryError> {
        self.call(Submission::Identity(encode(record).into()), Caller::Anybody)
    }

    pub(super) fn publish(&mut self) -> Option<u64> {
        let published = self.directory.publish_due(self.now).unwrap();
        self.directory.certify();
        published
    }

    /// Publishes as soon as it is due.
    pub(super) fn publish_next(&mut self) -> u64 {
        self.now = self.now.max(self.directory.next_entry_ns().unwrap());
        self.publish().unwrap()
    }

    /// What is said of a record to who has it.
    pub(super) fn status(&self, record: &IdentityRecord) -> Result<SubmitState, DirectoryError> {
        let submission = Submission::Identity(encode(record).into());
        let label = label_of(&record.content.account);
        self.status_of(&label, record.content.record_version, &submission)
    }

    pub(super) fn status_of(
        &self,
        label: &[u8],
        version: u32,
        submission: &Submission,
    ) -> Result<SubmitState, DirectoryError> {
        self.directory.status(&encode(&Status {
            label: label.to_vec().into(),
            version,
            value_hash: submission.value_hash(),
        }))
    }

    /// A look-up with its ticket.
    pub(super) fn ask(&mut self, label: &[u8], last: Option<u64>, from: u32) -> LookupAnswers {
        self.look(label, last, from).unwrap()
    }

    pub(super) fn look(
        &mut self,
        label: &[u8],
        last: Option<u64>,
        from: u32,
    ) -> Result<LookupAnswers, DirectoryError> {
        let mut wanted = wanted(label, from);
        self.pay(&mut wanted);
        self.look_as(last, vec![wanted])
    }

    /// A look-up as it is.
    pub(super) fn look_as(
        &self,
        last: Option<u64>,
        wanted: Vec<Wanted>,
    ) -> Result<LookupAnswers, DirectoryError> {
        let lookup = encode(&Lookup { last, wanted });
        self.directory.lookup(&lookup, CERTIFICATE, self.now)
    }

    /// Runs a check of a new client.
    fn verify<T>(&mut self, check: impl FnOnce(&Verifier<'_>, u64) -> T) -> T {
        let config = self.directory.configuration().unwrap();
        let heads = CertifiedHeads(self.directory.certify());
        let verifier = Verifier::new(&config, &heads).unwrap();
        check(&verifier, self.now / 1_000_000)
    }

    /// What a new client learns of an account: its newest record and the view.
    fn look_up(&mut self, account: &AccountId) -> (Vec<u8>, TreeView) {
        let label = label_of(account);
        let reply = self.ask(&label, None, 0);
        assert!(reply.head.as_slice().is_empty());
        let LabelAnswer::Found(found) = &reply.answers[0] else {
            panic!("absent")
        };
        let request = request(&label);
        let search = SearchResponse::decode_for(&request, found.search.as_slice()).unwrap();
        let verified = self
            .verify(|verifier, now| verifier.search(None, &request, found.search.as_slice(), now));
        (search.value, verified.unwrap().view)
    }
}

/// What the directory certifies of its tickets.
pub(super) fn beacon_leaf(directory: &Directory<VectorMemory>) -> BeaconLeaf {
    let reply = directory.beacon(CERTIFICATE).unwrap();
    let witness = Witness::decode(reply.witness.as_slice()).unwrap();
    assert_eq!(map_root(reply.certificate.as_slice()), witness.root());
    let Ok(Found::Present(leaf)) = witness.get(&BeaconLeaf::key()) else {
        panic!("absent")
    };
    match decode(leaf).unwrap() {
        Leaf::Beacon(leaf) => leaf,
        other => panic!("{other:?}"),
    }
}

/// The root of the certified map, as a certificate with a tree shows it.
fn map_root(certified: &[u8]) -> Hash {
    let certified: Signature = serde_cbor::from_slice(certified).unwrap();
    match certified.tree.lookup_path([b"map"]) {
        LookupResult::Found(root) => root.try_into().unwrap(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn unpaid(submission: Submission) -> Submit {
    Submit {
        submission,
        credential: Credential::none(),
    }
}

pub(super) fn wanted(label: &[u8], from: u32) -> Wanted {
    Wanted {
        label: label.to_vec().into(),
        from,
        credential: Credential::none(),
    }
}

pub(super) fn label_of(account: &AccountId) -> Vec<u8> {
    [b"a:", &account.0[..]].concat()
}

fn request(label: &[u8]) -> SearchRequest {
    SearchRequest {
        last: None,
        label: Label::new(label.to_vec()).unwrap(),
        version: None,
    }
}

/// Amina registers: her record waits, is published after two seconds, and a stranger's search for
/// it verifies under the certified head. The same bytes again tell where it is.
#[test]
fn a_record_is_published_and_proved() {
    let mut log = Log::begun();
    let record = create(1);
    let account = record.content.account;
    let label = label_of(&account);
    assert_eq!(log.record(&record).unwrap().state, Submitted::Queued);
    assert_eq!(log.record(&record).unwrap().state, Submitted::Queued);
    assert_eq!(log.status(&record).unwrap().state, Submitted::Queued);
    assert_eq!(log.publish(), None, "entries lie two seconds apart");
    log.now += ENTRY_INTERVAL_NS;
    assert_eq!(log.publish(), Some(1));
    let published = Submitted::Published {
        position: 1,
        timestamp: log.now / 1_000_000,
    };
    assert_eq!(log.status(&record).unwrap().state, published);
    assert_eq!(log.record(&record).unwrap().state, published);
    let (value, view) = log.look_up(&account);
    assert_eq!(value, encode(&record));
    assert_eq!(view.size(), 2);
    // With all proofs kept the answers are the same.
    let before = log.ask(&label, None, 0);
    while log.directory.prove_some(3).unwrap() {}
    assert_eq!(log.ask(&label, None, 0), before);
}

/// Somebody who is not there is shown not to be there; who has the newest head gets its signature
/// beside the answer.
#[test]
fn an_absence_is_proved() {
    let mut log = Log::begun();
    let label = label_of(&AccountId([3; 16]));
    let reply = log.ask(&label, None, 0);
    let LabelAnswer::Absent(absent) = &reply.answers[0] else {
        panic!("there")
    };
    let request = request(&label);
    let verified =
        log.verify(|verifier, now| verifier.absent(None, &request, absent.as_slice(), now));
    assert_eq!(verified.unwrap().view.size(), 1);
    let same = log.ask(&label, Some(1), 0);
    assert!(!same.head.as_slice().is_empty());
    assert_eq!(
        log.look(&label, Some(2), 0),
        Err(DirectoryError::DoesNotFit)
    );
}

/// A freeze counts by its time: the answer shows which entry brought it, and all that was before.
#[test]
fn timed_versions_have_their_place() {
    let mut log = Log::begun();
    let first = create(1);
    let account = first.content.account;
    let label = label_of(&account);
    log.record(&first).unwrap();
    log.publish_next();
    log.record(&create(5)).unwrap();
    log.publish_next();
    let second = freeze(&first, &key(1));
    log.record(&second).unwrap();
    let position = log.publish_next();
    let reply = log.ask(&label, None, 0);
    let LabelAnswer::Found(found) = &reply.answers[0] else {
        panic!("absent")
    };
    assert_eq!(found.earlier, [VLBytes::from(encode(&first))]);
    assert_eq!(found.times.len(), 1);
    assert_eq!(found.times[0].version, 1);
    let (_, view) = log.look_up(&account);
    let request = SearchRequest {
        last: Some(view.size()),
        version: Some(1),
        ..request(&label)
    };
    let place = found.times[0].place.as_slice();
    let value = encode(&second);
    let placed =
        log.verify(|verifier, now| verifier.place(Some(&view), &request, &value, place, now));
    let placed = placed.unwrap();
    assert_eq!(placed.outcome.position, position);
    // Who knows the first version is not told it again, only what is new.
    let reply = log.ask(&label, None, 1);
    let LabelAnswer::Found(found) = &reply.answers[0] else {
        panic!("absent")
    };
    assert!(found.earlier.is_empty());
    assert_eq!(found.times.len(), 1);
}

/// Without keys, and before the network file, nothing is taken in.
#[test]
fn a_log_begins_with_its_network() {
    let mut log = Log {
        directory: directory(),
        now: NOW,
    };
    assert!(log.directory.needs_keys());
    assert_eq!(log.directory.config(), Err(DirectoryError::NotReady));
    assert_eq!(
        log.directory.beacon(CERTIFICATE),
        Err(TicketRefusal::NotReady.into())
    );
    ask_for_work(&mut log.directory, BITS);
    assert_eq!(log.look(b"a:", None, 0), Err(DirectoryError::NotReady));
    assert_eq!(log.record(&create(1)), Err(DirectoryError::NotReady));
    let mut log = Log::new();
    assert_eq!(log.record(&create(1)), Err(DirectoryError::NotReady));
    assert_eq!(log.publish(), None);

    let refused = |log: &mut Log, change: &dyn Fn(&mut NetworkFile), caller| {
        let mut file = log.network_file(1);
        change(&mut file);
        let file = file.sign(&[&key(50)]).unwrap();
        assert_eq!(log.network(&file, caller), Err(DirectoryError::NotAllowed));
    };
    refused(&mut log, &|_| {}, Caller::Anybody);
    let operator = Caller::Operator;
    refused(&mut log, &|file| file.transparency = None, operator);
    refused(
        &mut log,
        &|file| file.canisters[0].id = vec![3].into(),
        operator,
    );
    refused(&mut log, &|file| file.expires_at = 0, operator);
    let unsigned = log.network_file(1).sign(&[&key(51)]).unwrap();
    assert_eq!(
        log.network(&unsigned, operator),
        Err(DirectoryError::NotAllowed)
    );

    // Whoever has the release key needs no other leave.
    let argument = DirectoryArgument {
        common: InitArgument::default(),
        release_key: Some(key(50).verifying_key().to_bytes()),
    };
    log.directory.install(&argument).unwrap();
    let file = log.network_file(1).sign(&[&key(50)]).unwrap();
    log.network(&file, Caller::Anybody).unwrap();
    assert_eq!(log.publish(), Some(0), "an idle log publishes at once");
    let other = log.network_file(9).sign(&[&key(50)]).unwrap();
    assert_eq!(
        log.network(&other, operator),
        Err(DirectoryError::NotAllowed)
    );
    let label = [b"n:", &[9; 16][..]].concat();
    let reply = log.ask(&label, None, 0);
    let LabelAnswer::Found(found) = &reply.answers[0] else {
        panic!("absent")
    };
    let search = SearchResponse::decode_for(&request(&label), found.search.as_slice()).unwrap();
    assert_eq!(search.value, file);
}

/// A freeze that comes last is published before the others; one version of a label waits at a time.
#[test]
fn urgent_versions_go_first() {
    let mut log = Log::begun();
    let first = create(1);
    log.record(&first).unwrap();
    log.publish_next();
    for seed in (10..80).step_by(2) {
        log.record(&create(seed)).unwrap();
    }
    let freeze = freeze(&first, &key(1));
    log.record(&freeze).unwrap();
    let order = log.directory.pending.first(1);
    assert_eq!(order[0].1.as_ref().unwrap().version, 1);
    let mut other = freeze.content.clone();
    other.kind = RecordKind::Delete;
    let other = IdentityRecord::sign(other, &[(Role::Identity, &key(1))]);
    assert_eq!(log.record(&other), Err(DirectoryError::Pending));
    log.publish_next();
    assert_eq!(log.record(&other), Err(DirectoryError::Rejected));
}

/// Records that do not follow are refused and change nothing.
#[test]
fn what_does_not_follow_is_not_logged() {
    let mut log = Log::begun();
    let first = create(1);
    let second = freeze(&first, &key(1));
    assert_eq!(log.record(&second), Err(DirectoryError::NoSuchAccount));
    log.record(&first).unwrap();
    log.publish_next();
    let stranger = freeze(&first, &key(7));
    assert_eq!(log.record(&stranger), Err(DirectoryError::Rejected));
    let garbage = Submission::Identity(vec![1, 2, 3].into());
    assert_eq!(
        log.call(garbage, Caller::Operator),
        Err(DirectoryError::Malformed)
    );
    assert_eq!(log.status(&stranger), Err(DirectoryError::NotWaiting));
    log.now += ENTRY_INTERVAL_NS;
    assert_eq!(log.publish(), None);
}

/// A record is judged again by the time of its entry. A freeze is over by then: what waited for it
/// to be over still follows; what a thief submitted while a recover was about to count does not.
#[test]
fn records_are_judged_twice() {
    let mut log = Log::begun();
    let first = create(1);
    log.record(&first).unwrap();
    log.publish_next();
    let recover = next(&log, &first, RecordKind::Recover, |content| {
        content.identity_key = key(3).verifying_key().to_bytes();
    });
    let recover = IdentityRecord::sign(recover, &[(Role::Recovery, &key(2))]);
    log.record(&recover).unwrap();
    log.publish_next();
    // A second before the recover counts, a freeze by the old identity key is still right.
    let recovered = log.now / 1_000_000 * 1_000_000;
    log.now = recovered + paigham_wire::identity::RECOVER_DELAY_NS - SECOND;
    log.publish_next();
    let freeze = next(&log, &recover, RecordKind::Freeze, |content| {
        content.identity_key = first.content.identity_key;
        content.devices = first.content.devices.clone();
    });
    let freeze = IdentityRecord::sign(freeze, &[(Role::Identity, &key(1))]);
    log.record(&freeze).unwrap();
    log.now += ENTRY_INTERVAL_NS;
    assert_eq!(
        log.publish(),
        None,
        "it no longer follows, and no entry is made for nothing"
    );
    assert_eq!(log.status(&freeze), Err(DirectoryError::NotWaiting));
    assert!(log.directory.pending.is_empty());
}

/// The content of the record after another, as things stand now.
fn next(
    log: &Log,
    before: &IdentityRecord,
    kind: RecordKind,
    change: impl FnOnce(&mut RecordContent),
) -> RecordContent {
    let account = before.content.account;
    let label = Label::new(label_of(&account)).unwrap();
    let count = log.directory.log.version_count(&label);
    let records: Vec<_> = (0..count)
        .map(|version| {
            let stored = log.directory.log.version(&label, version).unwrap();
            let entry = log.directory.log.entry(stored.place.position).unwrap();
            let record = IdentityRecord::decode(&stored.value).unwrap();
            (entry.timestamp * 1_000_000, record)
        })
        .collect();
    let state = AccountState::from_records(&records).unwrap();
    let (version, hash) = state.at(log.now).key_change;
    let mut content = RecordContent {
        record_version: before.content.record_version + 1,
        previous: before.hash(),
        key_change_version: version,
        key_change_hash: hash,
        kind,
        ..before.content.clone()
    };
    change(&mut content);
    content
}

/// An idle log gets an entry every ten minutes, so that it is never old.
#[test]
fn an_idle_log_beats() {
    let mut log = Log::begun();
    log.now += HEARTBEAT_NS - SECOND;
    assert_eq!(log.publish(), None);
    log.now += SECOND;
    assert_eq!(log.publish(), Some(1));
    assert_eq!(log.publish(), None);
}

/// When the canister's clock goes back, entries do not.
#[test]
fn time_never_goes_back() {
    let mut log = Log::begun();
    log.record(&create(1)).unwrap();
    log.publish_next();
    let newest = log.directory.log.newest().unwrap().timestamp;
    let now = log.now;
    log.now -= 3_600 * SECOND;
    log.record(&create(5)).unwrap();
    assert_eq!(log.publish(), None);
    log.now = now + ENTRY_INTERVAL_NS;
    log.publish().unwrap();
    assert!(log.directory.log.newest().unwrap().timestamp > newest);
    let early = paigham_transparency::publish::publish(
        &mut log.directory.log,
        &log.directory.keys.keys().unwrap().vrf,
        newest,
        &[],
    );
    assert_eq!(early, Err(PublishError::TimeRegression));
}

/// Everything outlives the code: the log, its head, what waits and what was proved.
#[test]
fn a_log_outlives_its_code() {
    let memory = VectorMemory::default();
    let mut log = Log::begun();
    log.directory = Directory::open(memory.clone(), myself(), 1).unwrap();
    log.directory.draw_keys(&[8; 32]);
    ask_for_work(&mut log.directory, BITS);
    log.directory.issue_beacon([2; 32], NOW);
    let file = log.network_file(1).sign(&[&key(50)]).unwrap();
    log.network(&file, Caller::Operator).unwrap();
    log.publish().unwrap();
    let first = create(1);
    log.record(&first).unwrap();
    log.publish_next();
    log.directory.prove_some(1).unwrap();
    log.record(&create(5)).unwrap();
    let head = log.directory.certify();
    let answer = log.ask(&label_of(&first.content.account), None, 0);
    log.directory = Directory::open(memory, myself(), 1).unwrap();
    assert_eq!(log.directory.certify(), head);
    assert_eq!(log.ask(&label_of(&first.content.account), None, 0), answer);
    assert_eq!(log.publish_next(), 2);
    assert_eq!(
        log.look_up(&create(5).content.account).0,
        encode(&create(5))
    );
}

/// An auditor follows every entry; the reply ends at its limit.
#[test]
fn auditors_follow_every_entry() {
    let mut log = Log::begun();
    for seed in [1, 5, 9] {
        log.record(&create(seed)).unwrap();
        log.publish_next();
    }
    let audit = |from, limit| -> Result<AuditReply, DirectoryError> {
        let request = encode(&AuditRequest { from, limit });
        log.directory.audit(&request, CERTIFICATE)
    };
    let reply = audit(0, 100).unwrap();
    assert_eq!((reply.size, reply.updates.len()), (4, 4));
    let mut auditor = AuditorState::default();
    for update in &reply.updates {
        let update = AuditorUpdate::decode(update.as_slice()).unwrap();
        auditor = auditor.apply(&update).unwrap();
    }
    assert_eq!(auditor.root(), Some(reply.root));
    assert_eq!(audit(1, 2).unwrap().updates, reply.updates[1..3]);
    assert!(audit(4, 2).unwrap().updates.is_empty());
    assert_eq!(audit(5, 2), Err(DirectoryError::DoesNotFit));
}

/// A full queue says so and takes in again when there is room.
#[test]
fn a_full_queue_says_so() {
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
    assert_eq!(log.record(&create(1)), Err(DirectoryError::Busy));
    // None of these is a record any more: they make room without an entry.
    log.now += ENTRY_INTERVAL_NS;
    assert_eq!(log.publish(), None);
    log.record(&create(1)).unwrap();
}

/// The auditor whom the network names signs what it has followed; the directory keeps the newest
/// statement. It keeps none of a stranger, over another root, or older than the last.
#[test]
fn statements_of_auditors_are_kept() {
    let mut log = Log::begun();
    log.record(&create(1)).unwrap();
    log.publish_next();
    let audit = AuditRequest { from: 0, limit: 9 };
    let reply = log.directory.audit(&encode(&audit), CERTIFICATE).unwrap();
    let config = log.directory.configuration().unwrap();
    let mut auditor = AuditorState::default();
    let mut signed = Vec::new();
    for update in &reply.updates {
        let update = AuditorUpdate::decode(update.as_slice()).unwrap();
        auditor = auditor.apply(&update).unwrap();
        signed.push(auditor.to_be_signed(&config).unwrap());
    }
    let cosign = |seed, said: &AuditorTreeHeadTbs| {
        let signature = key(seed).sign(&said.encode().unwrap()).to_bytes();
        let head = AuditorTreeHead {
            timestamp: said.timestamp,
            tree_size: said.tree_size,
            signature: signature.to_vec(),
        };
        Cosign {
            key: key(seed).verifying_key().to_bytes(),
            head: head.encode().unwrap().into(),
        }
    };
    let mut say = |statement: &Cosign| log.directory.cosign(&encode(statement));
    assert_eq!(
        say(&cosign(61, &signed[1])),
        Err(DirectoryError::NotAllowed)
    );
    let lie = AuditorTreeHeadTbs {
        root: [9; 32],
        ..signed[1].clone()
    };
    assert_eq!(say(&cosign(60, &lie)), Err(DirectoryError::NotAllowed));
    let future = AuditorTreeHeadTbs {
        tree_size: 3,
        ..signed[1].clone()
    };
    assert_eq!(say(&cosign(60, &future)), Err(DirectoryError::DoesNotFit));
    say(&cosign(60, &signed[0])).unwrap();
    say(&cosign(60, &signed[1])).unwrap();
    assert_eq!(
        say(&cosign(60, &signed[0])),
        Err(DirectoryError::DoesNotFit)
    );
    log.record(&create(5)).unwrap();
    log.publish_next();
    let ask = |size| {
        let request = encode(&CosignaturesRequest { size });
        log.directory.cosignatures(&request)
    };
    // Whatever head somebody holds, older or newer than the statement: both roots are connected.
    for size in [1, 2, 3] {
        let statements = ask(size).unwrap().statements;
        let [vouched] = &statements[..] else {
            panic!("{statements:?}");
        };
        assert_eq!(vouched.statement, cosign(60, &signed[1]));
        let proof = Consistency::decode(vouched.consistency.as_slice()).unwrap();
        let roots = proof.roots(size.min(2), size.max(2)).unwrap();
        let own = log_tree::root(&log.directory.log, size).unwrap();
        assert!([roots.smaller, roots.larger].contains(&own));
        assert!([roots.smaller, roots.larger].contains(&signed[1].root));
    }
    assert_eq!(ask(0), Err(DirectoryError::DoesNotFit));
    assert_eq!(ask(4), Err(DirectoryError::DoesNotFit));
}
