//! What an owner does with the own account, from the clients' view: one story for each row of the
//! table of `spec/identity.md` §4, and what thieves of one key come to.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use paigham_client::{
    AccountId, Body, Client, ClientError, DeviceId, FreezeKey, Notice, OpenError, OwnChange,
    RecoverTarget, RecoveryKit, Rejected, Standing,
};
use paigham_tests::kill::Death;
use paigham_tests::person::{Person, all_hear, assert_agree, meet};
use paigham_tests::story::{number, story};
use paigham_tests::world::World;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// A recover and a delete count so much later; certified time is a little ahead of the clock.
const DELAY: Duration = Duration::from_secs(72 * 3_600);

/// A world whose clock a story moves.
async fn a_world() -> World {
    World::long_ago(30 * DAY).await
}

/// Time passes, and the log shows that it did.
async fn later(world: &World, time: Duration) {
    for part in [time, Duration::from_secs(1)] {
        world.pass(part).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn target<'a>(account: AccountId, kit: &'a RecoveryKit) -> RecoverTarget<'a> {
    RecoverTarget {
        account,
        kit,
        remain: &[],
        name: "again",
    }
}

fn refused(outcome: Result<(), ClientError>) -> Rejected {
    match outcome {
        Err(ClientError::RecordRefused(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

async fn identity_of(person: &mut Person) -> [u8; 32] {
    person.account_status().await.unwrap().identity_key
}

/// Alice rotates: her home holds the fresh key, over a restart too, her contact is told that it
/// changed, and the chat goes on. Without the passphrase nobody rotates.
#[test]
fn a_rotation_changes_the_key_and_nothing_else() {
    story(async || {
        let world = a_world().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        meet(&mut [&mut alice, &mut bob]).await;
        let chat = alice.start_chat(bob.account()).await.unwrap();
        let before = alice.me().identity_key;
        let wrong = alice.reauthenticate_by_key(&[0; 32]);
        assert!(matches!(
            wrong,
            Err(ClientError::Home(OpenError::WrongPassphrase))
        ));
        let owner = alice.confirms();
        alice.rotate(owner).await.unwrap();
        assert_ne!(alice.me().identity_key, before);
        assert_eq!(identity_of(&mut alice).await, alice.me().identity_key);
        alice.reopens(&world.file());
        let status = alice.account_status().await.unwrap();
        assert!(status.holds_identity && status.on_its_way.is_none());
        assert_eq!(status.record_version, 1);

        bob.add_contact("Alice", alice.account()).await.unwrap();
        let notices = bob.take_notices();
        assert!(
            notices.contains(&Notice::IdentityChanged(alice.account())),
            "{notices:?}"
        );
        alice.says(chat, "still me").await;
        all_hear(&mut [&mut alice, &mut bob]).await;
        assert_eq!(bob.texts(chat), ["still me"]);
    });
}

/// The token of another home is not the owner of this one.
#[test]
fn nobody_confirms_for_another_home() {
    story(async || {
        let world = a_world().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let bob = Person::registered(&world, "Bob").await;
        let refused = alice.rotate(bob.confirms()).await;
        assert!(matches!(
            refused,
            Err(ClientError::Home(OpenError::WrongPassphrase))
        ));
        assert_eq!(alice.account_status().await.unwrap().record_version, 0);
    });
}

/// Alice's second device is in the chat with Bob. She takes it out: its record first, then the
/// chat. What it writes from then on nobody reads, and it reads nothing new.
#[test]
fn a_removed_device_is_out_everywhere() {
    story(async || {
        let world = a_world().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        let mut tablet = alice.second_device(&world, "tablet");
        tablet.hears().await;
        let lost = tablet.me().device;
        assert_eq!(
            alice.owns_up(&world).await,
            1,
            "a device that is new to her"
        );
        assert_eq!(alice.account_status().await.unwrap().devices.len(), 2);
        meet(&mut [&mut alice, &mut bob]).await;
        let chat = bob.start_chat(alice.account()).await.unwrap();
        // Who is a contact on one device is not known to the others yet.
        tablet.sync().await.unwrap();
        let asked = tablet.requests().unwrap();
        tablet.accept_request(asked[0].number).await.unwrap();
        all_hear(&mut [&mut alice, &mut bob, &mut tablet]).await;
        tablet.says(chat, "from the tablet").await;
        all_hear(&mut [&mut alice, &mut bob]).await;
        assert_eq!(bob.texts(chat), ["from the tablet"]);

        let owner = alice.confirms();
        let unknown = alice.remove_devices(&[DeviceId([9; 16])], owner).await;
        assert!(matches!(unknown, Err(ClientError::NoSuchDevice(_))));
        let (owner, own) = (alice.confirms(), alice.me().device);
        let itself = alice.remove_devices(&[own], owner).await;
        assert!(matches!(itself, Err(ClientError::Oneself)));

        let owner = alice.confirms();
        alice.remove_devices(&[lost], owner).await.unwrap();
        let status = alice.account_status().await.unwrap();
        assert_eq!(status.devices.len(), 1);
        assert!(status.devices[0].is_this && status.holds_identity);
        all_hear(&mut [&mut alice, &mut bob]).await;
        alice.says(chat, "without the tablet").await;
        bob.hears().await;
        assert_agree(chat, &[&alice, &bob]);
        let members = bob.lines(chat).into_iter().map(|line| line.body);
        let out = members.filter(|body| matches!(body, Body::Members { .. }));
        assert_eq!(out.count(), 0, "Alice herself is still there");

        drop(tablet.send(chat, "let me in").await);
        drop(tablet.sync().await);
        assert_eq!(tablet.conversation(chat).unwrap().standing, Standing::Out);
        all_hear(&mut [&mut alice, &mut bob]).await;
        for person in [&alice, &bob] {
            assert_eq!(
                person.texts(chat),
                ["from the tablet", "without the tablet"],
                "{}",
                person.name
            );
        }
        assert!(!tablet.has_text(chat, "without the tablet"));
        let owner = tablet.confirms();
        assert!(matches!(
            tablet.rotate(owner).await,
            Err(ClientError::NotTheIdentity)
        ));
    });
}

/// Alice changes her kit: the old words do nothing any more, the new ones bring the account back.
/// It takes the old words and a device.
#[test]
fn another_kit_makes_the_old_one_worthless() {
    story(async || {
        let world = a_world().await;
        let (mut alice, old) = Person::with_kit(&world, "Alice").await;
        let new = Client::new_kit().unwrap();
        let wrong = alice.change_kit(&new, &new).await;
        assert!(matches!(wrong, Err(ClientError::WrongKit)));
        alice.change_kit(&old, &new).await.unwrap();
        let by_old = Person::recovers(&world, "old", &target(alice.account(), &old)).await;
        assert!(matches!(by_old, Err(ClientError::WrongKit)));
        let by_old = alice.freeze(FreezeKey::Kit(&old)).await;
        assert!(matches!(by_old, Err(ClientError::WrongKit)));
        let by_new = Person::recovers(&world, "new", &target(alice.account(), &new)).await;
        assert!(by_new.is_ok(), "{by_new:?}");
    });
}

/// Alice freezes her account, by her device and by her kit: for seven days nothing but the kit does
/// anything; texts go on. It ends by itself, or by another kit.
#[test]
fn a_freeze_holds_for_seven_days_or_until_another_kit() {
    story(async || {
        let world = a_world().await;
        let (mut alice, kit) = Person::with_kit(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        meet(&mut [&mut alice, &mut bob]).await;
        let chat = alice.start_chat(bob.account()).await.unwrap();
        alice.freeze(FreezeKey::Identity).await.unwrap();
        assert!(
            alice
                .account_status()
                .await
                .unwrap()
                .frozen_until_ns
                .is_some()
        );
        alice.says(chat, "frozen, and well").await;
        let owner = alice.confirms();
        assert_eq!(refused(alice.rotate(owner).await), Rejected::Frozen);
        assert_eq!(
            refused(alice.freeze(FreezeKey::Kit(&kit)).await),
            Rejected::Frozen
        );
        later(&world, 7 * DAY - HOUR).await;
        let owner = alice.confirms();
        assert_eq!(refused(alice.delete_account(owner).await), Rejected::Frozen);
        later(&world, HOUR + MINUTE).await;
        let owner = alice.confirms();
        alice.rotate(owner).await.unwrap();

        alice.freeze(FreezeKey::Kit(&kit)).await.unwrap();
        let new = Client::new_kit().unwrap();
        alice.change_kit(&kit, &new).await.unwrap();
        let status = alice.account_status().await.unwrap();
        assert_eq!(status.frozen_until_ns, None);
        let owner = alice.confirms();
        alice.rotate(owner).await.unwrap();
    });
}

/// Alice has lost her phone. By her kit she gets the account back in a new home: not before 72 hours
/// of certified time, then with a fresh identity key and the new device alone. Bob's next message
/// reaches her there. The old phone is nobody.
#[test]
fn a_recover_counts_after_72_hours() {
    story(async || {
        let world = a_world().await;
        let (mut phone, kit) = Person::with_kit(&world, "phone").await;
        let mut bob = Person::registered(&world, "Bob").await;
        meet(&mut [&mut bob, &mut phone]).await;
        let account = phone.account();
        let wrong = Client::new_kit().unwrap();
        let by_wrong = Person::recovers(&world, "nobody", &target(account, &wrong)).await;
        assert!(matches!(by_wrong, Err(ClientError::WrongKit)));

        let mut alice = Person::recovers(&world, "Alice", &target(account, &kit))
            .await
            .unwrap();
        let waits = |notices: &[Notice]| matches!(notices, [Notice::Recovering { .. }]);
        assert!(waits(&alice.sync().await.unwrap().notices));
        assert!(!alice.me().registered);
        let early = alice.start_chat(bob.account()).await;
        assert!(matches!(early, Err(ClientError::Recovering { .. })));
        let second = Person::recovers(&world, "second", &target(account, &kit)).await;
        assert!(matches!(
            second,
            Err(ClientError::RecordRefused(Rejected::RecoverPending))
        ));
        later(&world, DELAY - HOUR).await;
        alice.reopens(&world.file());
        assert!(waits(&alice.sync().await.unwrap().notices));
        let status = phone.account_status().await.unwrap();
        assert!(status.holds_identity, "the old key counts until then");
        assert!(!status.recover.unwrap().is_own);

        later(&world, HOUR + MINUTE).await;
        alice.hears().await;
        assert!(alice.me().registered);
        let status = alice.account_status().await.unwrap();
        assert!(status.holds_identity && status.recover.is_none());
        assert_eq!(status.devices.len(), 1);
        assert!(status.devices[0].is_this);
        assert!(!phone.account_status().await.unwrap().holds_identity);
        let owner = phone.confirms();
        assert!(matches!(
            phone.rotate(owner).await,
            Err(ClientError::NotTheIdentity)
        ));
        alice.add_contact("Bob", bob.account()).await.unwrap();
        let chat = bob.start_chat(account).await.unwrap();
        bob.says(chat, "is it you?").await;
        bob.take_notices();
        alice.hears().await;
        alice.says(chat, "it is").await;
        bob.hears().await;
        assert_eq!(bob.texts(chat), ["is it you?", "it is"]);
    });
}

/// A device that Alice still has remains, if she says so.
#[test]
fn a_recover_keeps_the_devices_it_names() {
    story(async || {
        let world = a_world().await;
        let (mut tablet, kit) = Person::with_kit(&world, "tablet").await;
        let mut phone = tablet.second_device(&world, "phone");
        phone.hears().await;
        let kept = [tablet.me().device];
        let target = RecoverTarget {
            remain: &kept,
            ..target(tablet.account(), &kit)
        };
        let mut alice = Person::recovers(&world, "Alice", &target).await.unwrap();
        alice.sync().await.unwrap();
        later(&world, DELAY + MINUTE).await;
        alice.hears().await;
        let mut devices: Vec<_> = alice.account_status().await.unwrap().devices;
        devices.retain(|device| !device.is_this);
        assert_eq!(devices.len(), 1);
        assert_eq!(devices[0].device, kept[0]);
        assert!(tablet.account_status().await.unwrap().devices.len() == 2);
    });
}

/// Alice ends her account and thinks better of it; then she ends it for good: from 72 hours on
/// nobody can write to her, and she can do nothing more.
#[test]
fn a_delete_counts_after_72_hours_unless_it_is_undone() {
    story(async || {
        let world = a_world().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        let owner = alice.confirms();
        assert!(matches!(
            alice.undo_delete(owner).await,
            Err(ClientError::NothingToUndo)
        ));
        let owner = alice.confirms();
        alice.delete_account(owner).await.unwrap();
        later(&world, DELAY - HOUR).await;
        let owner = alice.confirms();
        alice.undo_delete(owner).await.unwrap();
        later(&world, 2 * HOUR).await;
        assert_eq!(
            alice.account_status().await.unwrap().deleted_at_ns,
            None,
            "it is off"
        );
        let owner = alice.confirms();
        alice.delete_account(owner).await.unwrap();
        meet(&mut [&mut bob, &mut alice]).await;
        later(&world, DELAY + MINUTE).await;
        let gone = bob.start_chat(alice.account()).await;
        assert!(matches!(gone, Err(ClientError::NoDevice(_))), "{gone:?}");
        let owner = alice.confirms();
        assert_eq!(refused(alice.rotate(owner).await), Rejected::Deleted);
        assert!(alice.account_status().await.unwrap().devices.is_empty());
    });
}

/// A thief copies what Alice's open phone holds, adds a device of its own, and does what the
/// identity key can: changes the kit (it lacks the words), ends the account, turns her devices out,
/// rotates, freezes. Alice has her kit. Whatever the thief does, the account returns to her, and
/// the thief's homes are nobody.
#[test]
fn the_thief_of_an_open_phone_never_keeps_the_account() {
    story(async || {
        let world = a_world().await;
        let (mut alice, kit) = Person::with_kit(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        meet(&mut [&mut alice, &mut bob]).await;
        let account = alice.account();

        // In hand, without the passphrase: the app does none of it.
        assert!(alice.reauthenticate("a guess").is_err());
        // With everything that the memory holds: its own words make no kit.
        let mut thief = alice.second_device(&world, "thief");
        thief.hears().await;
        let words = Client::new_kit().unwrap();
        let no_kit = thief.change_kit(&words, &words).await;
        assert!(matches!(no_kit, Err(ClientError::WrongKit)));
        let no_kit = Person::recovers(&world, "thief 2", &target(account, &words)).await;
        assert!(matches!(no_kit, Err(ClientError::WrongKit)));
        assert!(matches!(
            thief.freeze(FreezeKey::Kit(&words)).await,
            Err(ClientError::WrongKit)
        ));

        // It begins to end the account. Alice's recover voids that.
        let owner = thief.confirms();
        thief.delete_account(owner).await.unwrap();
        let mut again = Person::recovers(&world, "again", &target(account, &kit))
            .await
            .unwrap();
        again.sync().await.unwrap();
        let status = alice.account_status().await.unwrap();
        assert_eq!(status.deleted_at_ns, None);
        assert!(status.recover.is_some());
        // It tries to outlast or disturb the recover.
        let disturb = |why| assert_eq!(why, Rejected::RecoverPending);
        let owner = thief.confirms();
        disturb(refused(thief.rotate(owner).await));
        let owner = thief.confirms();
        disturb(refused(thief.delete_account(owner).await));
        let (owner, phone) = (thief.confirms(), alice.me().device);
        disturb(refused(thief.remove_devices(&[phone], owner).await));
        thief.freeze(FreezeKey::Identity).await.unwrap();
        later(&world, DELAY + MINUTE).await;
        again.sync().await.unwrap();
        assert_eq!(again.owns_up(&world).await, 1, "somebody froze the account");
        let status = again.account_status().await.unwrap();
        assert!(status.holds_identity && status.frozen_until_ns.is_none());
        assert_eq!(status.devices.len(), 1, "the thief's device is gone");
        let owner = thief.confirms();
        assert!(matches!(
            thief.rotate(owner).await,
            Err(ClientError::NotTheIdentity)
        ));

        // A harder one: this time it turns her out and rotates before she notices.
        later(&world, DAY).await;
        let mut lasting = again.second_device(&world, "thief 3");
        lasting.hears().await;
        let (owner, hers) = (lasting.confirms(), again.me().device);
        lasting.remove_devices(&[hers], owner).await.unwrap();
        let owner = lasting.confirms();
        lasting.rotate(owner).await.unwrap();
        let owner = again.confirms();
        assert!(matches!(
            again.rotate(owner).await,
            Err(ClientError::NotTheIdentity)
        ));
        let mut home = Person::recovers(&world, "home", &target(account, &kit))
            .await
            .unwrap();
        home.sync().await.unwrap();
        lasting.freeze(FreezeKey::Identity).await.unwrap();
        later(&world, DELAY + MINUTE).await;
        home.sync().await.unwrap();
        assert_eq!(home.owns_up(&world).await, 1, "somebody froze the account");
        let status = home.account_status().await.unwrap();
        assert!(status.holds_identity && status.devices.len() == 1);
        // Nothing that waits is left, and another kit shuts the last door.
        let new = Client::new_kit().unwrap();
        home.change_kit(&kit, &new).await.unwrap();
        home.add_contact("Bob", bob.account()).await.unwrap();
        let chat = bob.start_chat(account).await.unwrap();
        bob.says(chat, "welcome back").await;
        home.hears().await;
        assert_eq!(home.texts(chat), ["welcome back"]);
    });
}

/// Somebody found the words and begins to recover. Alice, who has device and kit, makes other words
/// count: it is off at once, and the finder's home says so.
#[test]
fn who_finds_the_kit_loses_to_device_and_kit() {
    story(async || {
        let world = a_world().await;
        let (mut alice, kit) = Person::with_kit(&world, "Alice").await;
        let before = alice.me().identity_key;
        let mut finder = Person::recovers(&world, "finder", &target(alice.account(), &kit))
            .await
            .unwrap();
        finder.sync().await.unwrap();
        later(&world, DELAY - HOUR).await;
        let status = alice.account_status().await.unwrap();
        assert!(!status.recover.unwrap().is_own, "Alice sees it");
        let new = Client::new_kit().unwrap();
        alice.change_kit(&kit, &new).await.unwrap();
        later(&world, 2 * HOUR).await;
        assert!(matches!(
            finder.sync().await,
            Err(ClientError::RecoverVoided)
        ));
        assert!(matches!(
            finder.recover_again(&kit, &[]).await,
            Err(ClientError::WrongKit)
        ));
        assert_eq!(identity_of(&mut alice).await, before);
    });
}

/// Two devices of Alice rotate at once, from the same record: one is told that another record came
/// first, and keeps no key that does not count.
#[test]
fn of_two_changes_at_once_one_is_made() {
    story(async || {
        let world = a_world().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut tablet = alice.second_device(&world, "tablet");
        tablet.hears().await;
        alice.owns_up(&world).await;
        let (hers, its) = (alice.confirms(), tablet.confirms());
        let outcomes = tokio::join!(alice.rotate(hers), tablet.rotate(its));
        let (made, lost) = match outcomes {
            (Ok(()), Err(error)) => (&mut alice, error),
            (Err(error), Ok(())) => (&mut tablet, error),
            both => panic!("{both:?}"),
        };
        assert!(
            matches!(
                lost,
                ClientError::ChangeLost(OwnChange::Rotate)
                    | ClientError::RecordRefused(_)
                    | ClientError::NotTheIdentity
            ),
            "{lost}"
        );
        assert!(made.account_status().await.unwrap().holds_identity);
        assert_eq!(made.account_status().await.unwrap().record_version, 2);
    });
}

/// How many points lie between two deaths: `PAIGHAM_KILLS=1` meets each.
fn step() -> u64 {
    number("PAIGHAM_KILLS", 5) as u64
}

/// Alice's machine dies at each point of its disk and around each request while she rotates, and the
/// network at its journal: afterwards exactly one fresh key counts and her home holds it.
#[test]
fn a_death_while_rotating() {
    story(async || {
        let mut world = a_world().await;
        let mut alice = Person::registered(&world, "Alice").await;
        for death in Death::ALL {
            let (mut deaths, mut point) = (0, 0);
            loop {
                later(&world, DAY / 100).await;
                alice.hears().await;
                let before = alice.account_status().await.unwrap();
                death.comes_at(&world, &alice, point);
                let owner = alice.confirms();
                let outcome = alice.rotate(owner).await;
                let came = death.came(&world, &alice).await;
                death.is_over(&mut world, &mut alice).await;
                alice.hears().await;
                let after = alice.account_status().await.unwrap();
                assert!(after.holds_identity, "{death:?} {point}");
                assert_eq!(after.on_its_way, None, "{death:?} {point}");
                let made = after.record_version - before.record_version;
                assert!(made <= 1, "{death:?} {point}");
                let fresh = after.identity_key != before.identity_key;
                assert_eq!(fresh, made == 1, "{death:?} {point}");
                if !came {
                    outcome.unwrap();
                    assert_eq!(made, 1);
                    break;
                }
                deaths += 1;
                point += step();
            }
            assert!(deaths > 0, "{death:?} never came");
        }
    });
}

/// A new home dies at each point while it recovers the account, on both sides of the 72 hours: the
/// account comes back all the same, with this one device.
#[test]
#[ignore = "it takes more than eight minutes: `cargo test --workspace --test account -- --ignored`"]
fn a_death_while_recovering() {
    story(async || {
        let mut world = World::long_ago(200 * DAY).await;
        for death in Death::ALL {
            let (mut deaths, mut point) = (0, 0);
            loop {
                let name = format!("{death:?} {point}");
                let (old, kit) = Person::with_kit(&world, &name).await;
                let mut new = Person::recovers(&world, &name, &target(old.account(), &kit))
                    .await
                    .unwrap();
                death.comes_at(&world, &new, point);
                let outcome = new.sync().await.map(|_| ());
                let mut came = death.came(&world, &new).await;
                if !came {
                    outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
                    later(&world, DELAY + MINUTE).await;
                    drop(new.sync().await);
                    came = death.came(&world, &new).await;
                }
                death.is_over(&mut world, &mut new).await;
                new.sync().await.unwrap();
                later(&world, DELAY + MINUTE).await;
                new.hears().await;
                let status = new.account_status().await.unwrap();
                assert!(new.me().registered && status.holds_identity, "{name}");
                assert_eq!(status.devices.len(), 1, "{name}");
                assert!(status.devices[0].is_this, "{name}");
                if !came {
                    break;
                }
                deaths += 1;
                point += step();
            }
            assert!(deaths > 0, "{death:?} never came");
        }
    });
}
