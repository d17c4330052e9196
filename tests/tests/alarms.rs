//! What a device keeps in a file when something is wrong with what it watches.

#![expect(clippy::unwrap_used, reason = "tests")]

use ed25519_dalek::SigningKey;
use paigham_client::review::{Checked, check_evidence};
use paigham_client::{Answer, FreezeKey, MonitorVerdict, Notice, ProblemKind, Watched};
use paigham_lookup::Finding;
use paigham_store::{Store, Table};
use paigham_tests::bare::BareAgent;
use paigham_tests::node::Lie;
use paigham_tests::person::{Person, STORE_KEY, all_hear, meet};
use paigham_tests::story::story;
use paigham_tests::world::World;
use paigham_wire::codec::{decode, decode_result, encode};
use paigham_wire::directory::DirectoryError;
use paigham_wire::identity::handle::{Handle, HandleContent, HandleKind, HandleRecord};
use paigham_wire::identity::{IdentityRecord, RecordContent, RecordKind, Role};
use paigham_wire::ids::DeviceId;
use paigham_wire::log::{Status, Submission, Submit, SubmitState, Submitted};
use paigham_wire::relay::Credential;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

/// What is kept of a problem.
#[derive(serde::Deserialize)]
struct Kept {
    #[serde(with = "serde_bytes")]
    evidence: Vec<u8>,
}

fn store_of(person: &Person) -> Store {
    Store::on_backend(Box::new(person.disk().clone()), &STORE_KEY).unwrap()
}

fn evidence_of(person: &Person) -> Vec<Vec<u8>> {
    let set = store_of(person).begin();
    let kept: Vec<(u64, Kept)> = set.scan(Table::Evidence, b"all", 0, u64::MAX).unwrap();
    kept.into_iter().map(|(_, kept)| kept.evidence).collect()
}

/// The part of the stored account that a thief is after.
#[derive(serde::Deserialize)]
struct Stolen {
    identity: [u8; 32],
}

/// Somebody who opened the home once gives Malik's handle up with his identity key.
async fn thief_releases(world: &World, malik: &Person, handle: &Handle) {
    let stolen: Option<Stolen> = store_of(malik)
        .begin()
        .get(Table::Account, b"self")
        .unwrap();
    let key = SigningKey::from_bytes(&stolen.unwrap().identity);
    let agent = BareAgent::in_process(world);
    let newest = agent.record(malik.account()).await.unwrap();
    let content = HandleContent {
        version: 1,
        handle: handle.clone(),
        account: malik.account(),
        record_version: 0,
        previous: [0; 32],
        key_change_version: 0,
        key_change_hash: newest.hash(),
        kind: HandleKind::Claim,
    };
    let claimed = HandleRecord::sign(content.clone(), &key);
    let content = HandleContent {
        record_version: 1,
        previous: claimed.hash(),
        kind: HandleKind::Release,
        ..content
    };
    let released = HandleRecord::sign(content, &key);
    let submission = Submission::Handle(encode(&released).into());
    let value_hash = submission.value_hash();
    let request = Submit {
        submission,
        credential: Credential::none(),
    };
    let directory = world.file().directory().unwrap();
    let request = agent.paid(&directory, request).await;
    let answer = agent.update(&directory, "submit", &request).await;
    let state: Result<SubmitState, DirectoryError> = decode_result(&answer.unwrap()).unwrap();
    state.unwrap();
    let status = Status {
        label: handle.skeleton().label().into(),
        version: 1,
        value_hash,
    };
    loop {
        let answer = agent.query(&directory, "status", &encode(&status)).await;
        let state: Result<SubmitState, DirectoryError> = decode_result(&answer.unwrap()).unwrap();
        if matches!(state.unwrap().state, Submitted::Published { .. }) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// A record as a home keeps it (`spec/evidence.md` §4).
#[derive(Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct KeptRecord {
    record: VLBytes,
    logged_at: Option<u64>,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct KeptHistory {
    format: u8,
    records: Vec<KeptRecord>,
}

/// What a home keeps of an account.
#[derive(serde::Serialize, serde::Deserialize)]
struct KeptLabel {
    #[serde(with = "serde_bytes")]
    history: Vec<u8>,
    #[serde(with = "serde_bytes")]
    watch: Vec<u8>,
    looked_at: u64,
    watched_at: u64,
}

/// Somebody's device was once shown that Carol has one more device, by a record that her key signed.
async fn was_shown_another_record(world: &World, somebody: &Person, carol: &Person) {
    let stolen: Option<Stolen> = store_of(carol)
        .begin()
        .get(Table::Account, b"self")
        .unwrap();
    let key = SigningKey::from_bytes(&stolen.unwrap().identity);
    let agent = BareAgent::in_process(world);
    let newest = agent.record(carol.account()).await.unwrap();
    let mut device = newest.content.devices[0].clone();
    device.device = DeviceId([0xff; 16]);
    device.leaf_key = [0xee; 32];
    let mut devices = newest.content.devices.clone();
    devices.push(device);
    devices.sort_by_key(|device| device.device);
    let content = RecordContent {
        record_version: 1,
        devices,
        previous: newest.hash(),
        key_change_version: 0,
        key_change_hash: newest.hash(),
        kind: RecordKind::DeviceAdd,
        ..newest.content
    };
    let record = IdentityRecord::sign(content, &[(Role::Identity, &key)]);
    let set = store_of(somebody).begin();
    let kept: Option<KeptLabel> = set.get(Table::Log, &carol.account().0).unwrap();
    let mut kept = kept.unwrap();
    let mut history: KeptHistory = decode(&kept.history).unwrap();
    history.records.push(KeptRecord {
        record: encode(&record).into(),
        logged_at: None,
    });
    kept.history = encode(&history);
    set.put(Table::Log, &carol.account().0, &kept).unwrap();
    set.commit().unwrap();
}

/// Alice was shown another second record of Carol than everybody. When Bob lets Carol into their
/// group, his commit carries what the log shows: Alice's device takes the commit as all members do,
/// keeps what was carried beside what it is shown itself, and sends nothing to Carol before Alice has
/// seen it.
#[test]
fn a_commit_that_contradicts_leaves_a_file() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        let mut carol = Person::registered(&world, "Carol").await;
        meet(&mut [&mut alice, &mut bob, &mut carol]).await;
        let group = bob.create_group("three", &[alice.account()]).await.unwrap();
        all_hear(&mut [&mut alice, &mut bob]).await;
        alice.closes();
        was_shown_another_record(&world, &alice, &carol).await;
        alice.reopens(&world.file());
        carol.freeze(FreezeKey::Identity).await.unwrap();
        bob.add_members(group, &[carol.account()]).await.unwrap();
        bob.hears().await;

        let report = alice.sync().await.unwrap();
        let problems = alice.problems().unwrap();
        let [problem] = &problems[..] else {
            panic!("{report:?} {problems:?}");
        };
        assert_eq!(problem.kind, ProblemKind::TwoHistories);
        assert_eq!(problem.account, Some(carol.account()));
        assert!(report.notices.contains(&Notice::Problem(problem.number)));
        let facts = check_evidence(&evidence_of(&alice), Some(&world.file())).unwrap();
        assert_eq!(facts.report.claimed, Finding::TwoValues);
        let holds = |item: &Checked| matches!(item, Checked::Holds { .. });
        assert_eq!(facts.report.items.len(), 3, "own head, carried, own look");
        assert!(facts.report.items.iter().all(holds), "{:?}", facts.report);
        // This log shows one thing to both: what Alice was shown before was unsigned.
        facts.require_claim().unwrap_err();
        let stopped = alice.send(group, "to Carol too").await;
        assert!(stopped.is_err(), "{stopped:?}");
        assert_eq!(alice.roster(group).unwrap().len(), 3);
    });
}

/// A thief gives Malik's handle up. Malik is alarmed at his next start, with a file that shows the
/// record to anybody and says that only he knows whether he made it. Messages go on; he takes the
/// handle back, and the alarm is his to answer.
#[test]
fn a_handle_that_somebody_else_gives_up_is_an_alarm() {
    story(async || {
        let world = World::in_memory().await;
        let mut malik = Person::registered(&world, "Malik").await;
        let mut bob = Person::registered(&world, "Bob").await;
        meet(&mut [&mut malik, &mut bob]).await;
        malik.claim_handle("malik").await.unwrap();
        malik.closes();
        let handle = Handle::typed("malik").unwrap();
        thief_releases(&world, &malik, &handle).await;

        malik.reopens(&world.file());
        let report = malik.sync().await.unwrap();
        let changed = |one: &Notice| {
            matches!(
                one,
                Notice::HandleChanged {
                    ends_at: Some(_),
                    ..
                }
            )
        };
        assert!(report.notices.iter().any(changed), "{report:?}");
        let problems = malik.problems().unwrap();
        let [alarm] = &problems[..] else {
            panic!("{problems:?}");
        };
        let kind = ProblemKind::HandleChanged {
            handle: "malik".to_owned(),
            version: 1,
        };
        assert_eq!(alarm.kind, kind);
        let facts = check_evidence(&evidence_of(&malik), Some(&world.file())).unwrap();
        assert_eq!(facts.report.claimed, Finding::UnknownVersion);
        facts.require_claim().unwrap();
        assert_eq!(facts.report.limits.len(), 1, "only the owner's word");

        let chat = malik.start_chat(bob.account()).await.unwrap();
        malik.says(chat, "not stopped").await;
        malik.claim_handle("malik").await.unwrap();
        malik.answer_problem(alarm.number, Answer::NotMe).unwrap();
        malik.reopens(&world.file());
        malik.hears().await;
        let open = malik.problems().unwrap().into_iter();
        assert_eq!(open.filter(|one| one.answer.is_none()).count(), 0);
    });
}

/// A node changes every answer to what Alice watches. Nothing of it is taken; after two in a row her
/// device keeps the answer in a file, which checks it again, finds it refused and accuses nobody.
/// Nothing stops, and with an honest node everything is as before.
#[test]
fn a_watch_that_does_not_hold_leaves_a_file() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        meet(&mut [&mut alice, &mut bob]).await;
        world.node().tells(Lie::FlippedByte {
            method: "monitor",
            part: 1,
            of: 2,
        });
        let report = alice.monitor().await.unwrap();
        assert!(report.is_alarm());
        let own = report
            .labels
            .iter()
            .find(|(what, _)| matches!(what, Watched::Own(_)));
        let (_, verdict) = own.unwrap();
        let is_refused = matches!(
            verdict,
            MonitorVerdict::Refused(_) | MonitorVerdict::NotVerified(_)
        );
        assert!(is_refused, "{report:?}");
        let problems = alice.problems().unwrap();
        assert!(!problems.is_empty(), "{report:?}");
        for problem in &problems {
            assert!(
                matches!(problem.kind, ProblemKind::Refused(_)),
                "{problem:?}"
            );
        }
        for file in evidence_of(&alice) {
            let facts = check_evidence(&[file], Some(&world.file())).unwrap();
            assert!(facts.report.proved.is_empty(), "{:?}", facts.report);
            facts.require_claim().unwrap_err();
        }
        world.node().behaves();
        let chat = alice.start_chat(bob.account()).await.unwrap();
        alice.says(chat, "nothing stops").await;
        for problem in problems {
            alice.answer_problem(problem.number, Answer::NotMe).unwrap();
        }
        let report = alice.monitor().await.unwrap();
        assert!(!report.is_alarm(), "{report:?}");
    });
}
