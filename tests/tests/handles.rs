//! Handles over the real canisters: people find each other by name, nobody takes a name that looks
//! like another's, and a handle that is given up can be taken back.

use paigham_client::{ClientError, HandleStanding};
use paigham_tests::person::Person;
use paigham_tests::story::story;
use paigham_tests::world::World;

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
