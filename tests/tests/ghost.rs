//! A device that somebody else puts into an account.

#![expect(clippy::unwrap_used, reason = "tests")]

use ed25519_dalek::SigningKey;
use paigham_client::{Answer, Body, ClientError, Notice, ProblemKind};
use paigham_tests::bare::BareAgent;
use paigham_tests::person::{Person, all_hear, meet};
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
