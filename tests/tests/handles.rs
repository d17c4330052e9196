//! Handles over the real canisters: people find each other by name, nobody takes a name that looks
//! like another's, and a thief of an open phone gains nothing by giving one up.

use std::time::Duration;

use paigham_client::{ClientError, HandleStanding};
use paigham_tests::person::Person;
use paigham_tests::story::story;
use paigham_tests::world::World;

const HOUR: Duration = Duration::from_secs(3_600);

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
    });
}

/// Whoever has the open phone gives the handle up. The owner sees it within 72 hours and takes it
/// back; and even after that nobody else gets it, for 180 days.
#[test]
fn a_thief_cannot_give_a_handle_away() {
    story(async || {
        let world = World::long_ago(HOUR * 24 * 400).await;
        let mut ayesha = Person::registered(&world, "Ayesha").await;
        let mut thief = Person::registered(&world, "Thief").await;
        ayesha.claim_handle("ayesha").await.unwrap();
        let released = ayesha.release_handle().await.unwrap();
        assert!(matches!(
            released.standing,
            HandleStanding::Releasing { .. }
        ));
        assert_eq!(released.account, Some(ayesha.account()));
        world.pass(HOUR * 71).await;
        assert!(matches!(
            thief.claim_handle("ayesha").await,
            Err(ClientError::HandleTaken)
        ));
        let back = ayesha.claim_handle("ayesha").await.unwrap();
        assert_eq!(back.standing, HandleStanding::Held);

        ayesha.release_handle().await.unwrap();
        world.pass(HOUR * 73).await;
        assert!(matches!(
            thief.claim_handle("ayesha").await,
            Err(ClientError::HandleResting(_))
        ));
        world.pass(HOUR * 24 * 179).await;
        assert!(matches!(
            thief.claim_handle("ayesha").await,
            Err(ClientError::HandleResting(_))
        ));
        let back = ayesha.claim_handle("ayesha").await.unwrap();
        assert_eq!(back.standing, HandleStanding::Held);
        assert_eq!(back.account, Some(ayesha.account()));
    });
}

/// A handle that was given up and rested is anybody's.
#[test]
fn a_rested_handle_is_free() {
    story(async || {
        let world = World::long_ago(HOUR * 24 * 200).await;
        let mut ayesha = Person::registered(&world, "Ayesha").await;
        let mut bilal = Person::registered(&world, "Bilal").await;
        ayesha.claim_handle("nargis").await.unwrap();
        ayesha.release_handle().await.unwrap();
        world.pass(HOUR * (72 + 24 * 180) + HOUR).await;
        let free = bilal.find_handle("nargis").await.unwrap();
        assert_eq!(free.standing, HandleStanding::Free);
        assert_eq!(free.account, None);
        let taken = bilal.claim_handle("nargis").await.unwrap();
        assert_eq!(taken.account, Some(bilal.account()));
        assert!(matches!(
            ayesha.claim_handle("nargis").await,
            Err(ClientError::HandleTaken)
        ));
        assert_eq!(ayesha.own_handle().await.unwrap(), None);
    });
}
