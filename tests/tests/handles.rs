//! Handles over the real canisters: people find each other by name, nobody takes a name that looks
//! like another's, and a handle that is given up can be taken back, and passes on in the end.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use ed25519_dalek::SigningKey;
use paigham_client::{ClientError, Handle, HandleRejected, HandleStanding, Notice};
use paigham_tests::bare::BareAgent;
use paigham_tests::logged::LogReader;
use paigham_tests::person::Person;
use paigham_tests::story::story;
use paigham_tests::thief::{of_handle, stolen_key};
use paigham_tests::world::World;
use paigham_transparency::hash::Label;
use paigham_transparency::structs::{SearchRequest, SearchResponse};
use paigham_wire::codec::{decode_result, encode};
use paigham_wire::directory::DirectoryError;
use paigham_wire::identity::handle::{HandleKind, HandleRecord};
use paigham_wire::log::{LabelAnswer, Status, Submission, Submit, SubmitState, Submitted};
use paigham_wire::relay::Credential;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// A release counts so much later.
const DELAY: Duration = Duration::from_secs(72 * 3_600);
/// A released handle rests.
const REST: Duration = Duration::from_secs(180 * 24 * 3_600);
const HANDLE: &str = "ملک_5";

/// Time passes, and the log shows that it did.
async fn later(world: &World, time: Duration) {
    for part in [time, Duration::from_secs(1)] {
        world.pass(part).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The newest record of the handle. Nothing is verified.
async fn newest_record(world: &World) -> HandleRecord {
    let label = Handle::typed(HANDLE).unwrap().skeleton().label();
    let reply = LogReader::of(world)
        .raw(None, std::slice::from_ref(&label))
        .await;
    let LabelAnswer::Found(found) = &reply.answers[0] else {
        panic!("nobody has claimed it");
    };
    let request = SearchRequest {
        last: None,
        label: Label::new(label).unwrap(),
        version: None,
    };
    let found = SearchResponse::decode_for(&request, found.search.as_slice()).unwrap();
    HandleRecord::decode(&found.value).unwrap()
}

/// A thief with a copy of the identity key hands the next record of the handle in, and waits until
/// it is in the log.
async fn thief_hands_in(
    world: &World,
    kind: HandleKind,
    key: &SigningKey,
) -> Result<(), DirectoryError> {
    let record = of_handle(&newest_record(world).await, kind, key);
    let agent = BareAgent::in_process(world);
    let directory = world.file().directory().unwrap();
    let request = Submit {
        submission: Submission::Handle(encode(&record).into()),
        credential: Credential::none(),
    };
    let status = Status {
        label: record.content.handle.skeleton().label().into(),
        version: record.content.record_version,
        value_hash: request.submission.value_hash(),
    };
    let request = agent.paid(&directory, request).await;
    let answer = agent.update(&directory, "submit", &request).await;
    decode_result::<SubmitState, DirectoryError>(&answer.unwrap()).unwrap()?;
    loop {
        let answer = agent.query(&directory, "status", &encode(&status)).await;
        let state = decode_result::<SubmitState, DirectoryError>(&answer.unwrap()).unwrap();
        if matches!(state.unwrap().state, Submitted::Published { .. }) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn until_when_it_rests(person: &mut Person) -> u64 {
    match person.claim_handle(HANDLE).await {
        Err(ClientError::HandleResting(until)) => until,
        other => panic!("{}: {other:?}", person.name),
    }
}

async fn cannot_have_it(person: &mut Person) {
    let refused = person.claim_handle(HANDLE).await;
    assert!(
        matches!(refused, Err(ClientError::HandleTaken)),
        "{}: {refused:?}",
        person.name
    );
}

/// A thief who has copied Malik's identity key from his open phone gives his handle up. At his next
/// start Malik is told, and until when he can undo it. He claims it an hour before that: it stays
/// his for good, and the thief's friend never gets it.
#[test]
fn who_holds_an_open_phone_cannot_give_the_handle_away() {
    story(async || {
        let world = World::long_ago(30 * DAY).await;
        let mut malik = Person::registered(&world, "Malik").await;
        let mut friend = Person::registered(&world, "the thief's friend").await;
        malik.claim_handle(HANDLE).await.unwrap();
        malik.closes();
        let stolen = stolen_key(&malik);
        thief_hands_in(&world, HandleKind::Release, &stolen)
            .await
            .unwrap();
        cannot_have_it(&mut friend).await;
        later(&world, DELAY - HOUR).await;
        cannot_have_it(&mut friend).await;

        malik.reopens(&world.file());
        let notices = malik.sync().await.unwrap().notices;
        let Some(Notice::HandleChanged { handle, ends_at }) = notices.first() else {
            panic!("{notices:?}");
        };
        assert_eq!(handle, HANDLE);
        let now = u64::try_from(BareAgent::in_process(&world).now().as_nanos()).unwrap();
        let left = Duration::from_nanos(ends_at.unwrap() - now);
        assert!(left <= HOUR && left > HOUR / 2, "{left:?}");
        let back = malik.claim_handle(HANDLE).await.unwrap();
        assert_eq!(back.standing, HandleStanding::Held);

        later(&world, 2 * HOUR).await;
        cannot_have_it(&mut friend).await;
        let held = malik.own_handle().await.unwrap().unwrap();
        assert_eq!(held.standing, HandleStanding::Held);
        assert_eq!(held.account, Some(malik.account()));
        assert!(malik.take_notices().is_empty(), "told once");
    });
}

/// Malik is away until the thief's release counts. The handle rests: nobody else gets it. He rotates
/// his identity key, so that the thief can sign nothing any more, and claims the handle back.
#[test]
fn a_handle_that_a_thief_gave_up_comes_back_within_its_rest() {
    story(async || {
        let world = World::long_ago(60 * DAY).await;
        let mut malik = Person::registered(&world, "Malik").await;
        let mut friend = Person::registered(&world, "the thief's friend").await;
        malik.claim_handle(HANDLE).await.unwrap();
        malik.closes();
        let stolen = stolen_key(&malik);
        thief_hands_in(&world, HandleKind::Release, &stolen)
            .await
            .unwrap();
        later(&world, DELAY).await;
        until_when_it_rests(&mut friend).await;

        malik.reopens(&world.file());
        let notices = malik.sync().await.unwrap().notices;
        let told = Notice::HandleChanged {
            handle: HANDLE.to_owned(),
            ends_at: None,
        };
        assert!(notices.contains(&told), "{notices:?}");
        let owner = malik.confirms();
        malik.rotate(owner).await.unwrap();
        let refused = thief_hands_in(&world, HandleKind::Claim, &stolen).await;
        let expected = DirectoryError::Handle(HandleRejected::NotAuthorised);
        assert_eq!(refused, Err(expected));
        later(&world, 30 * DAY).await;
        until_when_it_rests(&mut friend).await;
        let back = malik.claim_handle(HANDLE).await.unwrap();
        assert_eq!(back.standing, HandleStanding::Held);
        assert_eq!(back.account, Some(malik.account()));
        let again = thief_hands_in(&world, HandleKind::Release, &stolen).await;
        assert_eq!(again, Err(expected), "the thief has nothing any more");
    });
}

/// Malik gives his handle up. For 72 hours it is still his, for 180 days more it is nobody's, and
/// everybody is told until when. Then Sana takes it, whoever looks it up finds her, and Malik has
/// lost it.
#[test]
fn a_handle_passes_on_after_72_hours_and_180_days() {
    story(async || {
        let world = World::long_ago(200 * DAY).await;
        let mut malik = Person::registered(&world, "Malik").await;
        let mut sana = Person::registered(&world, "Sana").await;
        malik.claim_handle(HANDLE).await.unwrap();
        let released = malik.release_handle().await.unwrap();
        let HandleStanding::Releasing { ends_at } = released.standing else {
            panic!("{released:?}");
        };
        later(&world, DELAY - HOUR).await;
        let found = sana.add_contact_by_handle("Malik", HANDLE).await.unwrap();
        assert_eq!(found.account, malik.account());
        cannot_have_it(&mut sana).await;

        later(&world, HOUR).await;
        let until = until_when_it_rests(&mut sana).await;
        assert_eq!(u128::from(until - ends_at), REST.as_nanos());
        let nobody = sana.add_contact_by_handle("Malik again", HANDLE).await;
        assert!(
            matches!(nobody, Err(ClientError::NoSuchHandle(_))),
            "{nobody:?}"
        );
        world.pass_at_once(REST - HOUR).await;
        assert_eq!(until_when_it_rests(&mut sana).await, until);

        later(&world, HOUR).await;
        let taken = sana.claim_handle(HANDLE).await.unwrap();
        assert_eq!(taken.standing, HandleStanding::Held);
        assert_eq!(taken.account, Some(sana.account()));
        cannot_have_it(&mut malik).await;
        let found = malik.add_contact_by_handle("Sana", HANDLE).await.unwrap();
        assert_eq!(found.account, sana.account());
    });
}

/// Fatima and Malik take Urdu handles and find each other by them, on whatever keyboard; a handle
/// that looks like hers is taken, and nobody has another one.
#[test]
fn people_find_each_other_by_urdu_handles() {
    story(async || {
        let world = World::in_memory().await;
        let mut fatima = Person::registered(&world, "Fatima").await;
        let mut malik = Person::registered(&world, "Malik").await;
        let taken = fatima.claim_handle("فاطمہ").await.unwrap();
        assert_eq!(taken.standing, HandleStanding::Held);
        assert_eq!(taken.account, Some(fatima.account()));
        malik.claim_handle("ملک_5").await.unwrap();
        // Again is no change.
        malik.claim_handle("ملک_5").await.unwrap();

        let found = malik
            .add_contact_by_handle("Fatima", "@فاطمة")
            .await
            .unwrap();
        assert_eq!(found.account, fatima.account());
        assert_eq!(found.handle.as_deref(), Some("فاطمہ"));
        let found = fatima
            .add_contact_by_handle("Malik", "ملك_٥")
            .await
            .unwrap();
        assert_eq!(found.account, malik.account());
        assert_eq!(
            fatima.contacts().unwrap()[0].handle.as_deref(),
            Some("ملک_5")
        );

        let mut other = Person::registered(&world, "Other").await;
        assert!(matches!(
            other.claim_handle("فاطمۃ").await,
            Err(ClientError::HandleTaken)
        ));
        assert!(matches!(
            other.add_contact_by_handle("Zainab", "زینب").await,
            Err(ClientError::NoSuchHandle(_))
        ));
        assert!(matches!(
            other.claim_handle("abcاحمد").await,
            Err(ClientError::Handle(_))
        ));
        // One handle an account.
        assert!(matches!(
            malik.claim_handle("malik").await,
            Err(ClientError::HandleRefused(_))
        ));
        assert_eq!(other.own_handle().await.unwrap(), None);
        assert_eq!(malik.own_handle().await.unwrap().unwrap().handle, "ملک_5");
        // Whoever has Malik's open phone gives the handle up; he takes it back.
        let released = malik.release_handle().await.unwrap();
        assert!(matches!(
            released.standing,
            HandleStanding::Releasing { .. }
        ));
        assert_eq!(released.account, Some(malik.account()));
        assert!(matches!(
            other.claim_handle("ملک_5").await,
            Err(ClientError::HandleTaken)
        ));
        let back = malik.claim_handle("ملک_5").await.unwrap();
        assert_eq!(back.standing, HandleStanding::Held);
    });
}
