//! A device that somebody else puts into an account.

#![expect(clippy::unwrap_used, reason = "tests")]

use ed25519_dalek::SigningKey;
use paigham_client::{AccountId, Answer, Body, ClientError, Notice, ProblemKind};
use paigham_lookup::account::account_label;
use paigham_tests::bare::BareAgent;
use paigham_tests::controller::Controller;
use paigham_tests::person::{Person, all_hear, meet};
use paigham_tests::program::{Homes, objects, program};
use paigham_tests::story::story;
use paigham_tests::thief::{GHOST, stolen_key, with_ghost};
use paigham_tests::world::World;
use paigham_wire::codec::{decode_result, encode};
use paigham_wire::directory::DirectoryError;
use paigham_wire::identity::IdentityRecord;
use paigham_wire::log::{Status, Submission, Submit, SubmitState, Submitted};
use paigham_wire::relay::Credential;

async fn submit(
    agent: &BareAgent,
    world: &World,
    record: &IdentityRecord,
) -> Result<SubmitState, DirectoryError> {
    let directory = world.file().directory().unwrap();
    let request = Submit {
        submission: Submission::Identity(encode(record).into()),
        credential: Credential::none(),
    };
    let answer = agent.update(&directory, "submit", &encode(&request)).await;
    decode_result(&answer.unwrap()).unwrap()
}

async fn is_published(agent: &BareAgent, world: &World, record: &IdentityRecord) -> bool {
    let directory = world.file().directory().unwrap();
    let request = Status {
        label: record.content.account.directory_label()[..].into(),
        version: record.content.record_version,
        value_hash: Submission::Identity(encode(record).into()).value_hash(),
    };
    let answer = agent.query(&directory, "status", &encode(&request)).await;
    let state: Result<SubmitState, DirectoryError> = decode_result(&answer.unwrap()).unwrap();
    state.is_ok_and(|state| matches!(state.state, Submitted::Published { .. }))
}

/// Somebody puts a device of their own into Alice's account. Without her identity key the directory
/// does not even take the record. With the stolen key it comes into the log: nothing is encrypted to
/// the device in what goes on, and Alice is alarmed at her next start. She sends nothing before she
/// has said that it was not her.
#[test]
fn a_ghost_device_is_found_out() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        meet(&mut [&mut alice, &mut bob]).await;
        let chat = alice.start_chat(bob.account()).await.unwrap();
        alice.says(chat, "before").await;
        all_hear(&mut [&mut alice, &mut bob]).await;

        let agent = BareAgent::in_process(&world);
        let newest = agent.record(alice.account()).await.unwrap();
        let foreign = with_ghost(&newest, &SigningKey::from_bytes(&[9; 32]));
        let refused = submit(&agent, &world, &foreign).await;
        assert_eq!(refused, Err(DirectoryError::Rejected));

        alice.closes();
        let ghost = with_ghost(&newest, &stolen_key(&alice));
        submit(&agent, &world, &ghost).await.unwrap();
        while !is_published(&agent, &world, &ghost).await {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        alice.reopens(&world.file());
        let report = alice.sync().await.unwrap();
        let problems = alice.problems().unwrap();
        let ProblemKind::UnknownVersion {
            version,
            kind,
            devices,
            ..
        } = &problems[0].kind
        else {
            panic!("{problems:?}");
        };
        assert_eq!(
            (*version, &kind[..], &devices[..]),
            (1, "device_add", &[GHOST][..])
        );
        let number = problems[0].number;
        assert!(report.notices.contains(&Notice::Problem(number)));

        let stopped = alice.send(chat, "after").await;
        assert!(matches!(stopped, Err(ClientError::Alarm)), "{stopped:?}");
        bob.hears().await;
        assert!(!bob.has_text(chat, "after"), "it was sent nevertheless");
        alice.answer_problem(number, Answer::NotMe).unwrap();
        all_hear(&mut [&mut alice, &mut bob]).await;
        assert!(bob.has_text(chat, "after"), "it waits no longer");
        for person in [&alice, &bob] {
            let roster = person.roster(chat).unwrap();
            assert!(
                roster.iter().all(|member| member.devices == 1),
                "{roster:?}"
            );
        }
        let lines = bob.lines(chat);
        let changed = |body: &Body| matches!(body, Body::Members { .. });
        assert!(!lines.iter().any(|line| changed(&line.body)), "{lines:?}");
    });
}

/// The exit code of what does not verify.
const NOT_VERIFIED: Option<i32> = Some(5);

/// The same at the command line, and it is the directory's own controller who puts the device in, past
/// the directory's code, signed with a stolen key. Amina's next command says so and keeps evidence
/// that `paigham verify` proves; nothing of hers leaves before she has answered, and what she says
/// then reaches Bilal and no other device.
#[test]
fn a_controllers_ghost_is_found_out_at_the_command_line() {
    let Some(program) = program() else {
        eprintln!("SKIPPED: it needs the `paigham` program; `cargo test --workspace` builds it");
        return;
    };
    story(async move || {
        let world = World::in_memory().await;
        let homes = Homes::on(&world, program);
        let amina = homes.registers("amina").await;
        let bilal = homes.registers("bilal").await;
        homes
            .ok("amina", &["contacts", "add", "Bilal", &bilal])
            .await;
        homes
            .ok("bilal", &["contacts", "add", "Amina", &amina])
            .await;
        homes.ok("amina", &["send", "Bilal", "before"]).await;
        homes.ok("bilal", &["sync"]).await;

        let account = AccountId::from_hex(&amina).unwrap();
        let agent = BareAgent::in_process(&world);
        let newest = agent.record(account).await.unwrap();
        let ghost = with_ghost(&newest, &homes.stolen_key("amina"));
        let label = account_label(account).unwrap();
        let now_ms = u64::try_from(agent.now().as_millis()).unwrap();
        Controller::of(&world)
            .rewrites(|memory| memory.logs(now_ms, vec![(label, encode(&ghost))]))
            .await;

        let stopped = homes.run("amina", &["send", "Bilal", "after"]).await;
        assert_eq!(stopped.status.code(), NOT_VERIFIED, "{stopped:?}");
        let problems = homes.ok("amina", &["problems"]).await;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0]["kind"], "unknown_version");
        assert_eq!(problems[0]["devices"][0], GHOST.to_string());
        let evidence = problems[0]["evidence"].as_str().unwrap();
        homes.ok("amina", &["verify", evidence]).await;
        homes.ok("bilal", &["sync"]).await;
        assert_eq!(texts(&homes, "bilal", "Amina").await, ["before"]);

        let number = problems[0]["number"].to_string();
        homes.ok("amina", &["problems", "not-me", &number]).await;
        // What was said waited in the home.
        homes.ok("amina", &["sync"]).await;
        homes.ok("bilal", &["sync"]).await;
        assert_eq!(texts(&homes, "bilal", "Amina").await, ["before", "after"]);
        let lines = objects(&homes.run("bilal", &["history", "Amina"]).await);
        let members = |line: &serde_json::Value| line["body"]["kind"] == "members";
        assert!(!lines.iter().any(members), "{lines:?}");
    });
}

/// Texts of the chat with somebody, in order.
async fn texts(homes: &Homes, who: &str, with: &str) -> Vec<String> {
    let lines = homes.ok(who, &["history", with]).await;
    let texts = lines.iter().filter(|line| line["body"]["kind"] == "text");
    texts
        .map(|line| line["body"]["text"].as_str().unwrap().to_owned())
        .collect()
}
