//! People in several homes over the real `.wasm`: what they say arrives once, in order, whatever is
//! restarted meanwhile; who is out reads nothing new.
#![expect(clippy::unwrap_used, reason = "tests")]

use paigham_client::{ClientError, Standing};
use paigham_tests::person::{Person, all_hear, assert_agree, meet};
use paigham_tests::story::story;
use paigham_tests::world::World;

/// Alice and Bob register in two homes on disk, over HTTP, and talk in English and Urdu. In the
/// middle the network and both devices are switched off and on. Each text is there once, in the
/// order of the relay, with what was verified of it, on both sides.
#[test]
fn two_people_talk_and_everything_restarts() {
    story(async || {
        let mut world = World::in_folder().await;
        let (mut alice, _) = Person::at_home(&world, "Alice", "a passphrase of Alice").await;
        let (mut bob, _) = Person::at_home(&world, "Bob", "ایک خفیہ جملہ").await;
        meet(&mut [&mut alice, &mut bob]).await;
        let chat = alice.start_chat(bob.account()).await.unwrap();
        alice.says(chat, "Hello Bob").await;
        assert_eq!(bob.hears().await.joined, [chat]);
        bob.says(chat, "السلام علیکم، آپ کیسے ہیں؟").await;
        let heard = alice.hears().await.arrived;
        let others: Vec<_> = heard.iter().filter(|line| !line.message.mine).collect();
        assert_eq!(others.len(), 1, "{others:?}");
        assert_eq!(others[0].message.from_name, "Bob");
        assert_eq!(others[0].conversation, "Bob");

        alice.closes();
        bob.closes();
        world.stop();
        world.start().await;
        alice.reopens(&world.file());
        bob.reopens(&world.file());

        alice.says(chat, "میں ٹھیک ہوں 🌸").await;
        bob.says(chat, "good").await;
        all_hear(&mut [&mut alice, &mut bob]).await;
        let expected = [
            (alice.account(), "Hello Bob".to_owned()),
            (bob.account(), "السلام علیکم، آپ کیسے ہیں؟".to_owned()),
            (alice.account(), "میں ٹھیک ہوں 🌸".to_owned()),
            (bob.account(), "good".to_owned()),
        ];
        assert_eq!(alice.said(chat), expected);
        assert_eq!(bob.said(chat), expected);
        assert_agree(chat, &[&alice, &bob]);
        let lines = bob.lines(chat);
        let numbers: Vec<_> = lines
            .iter()
            .map(|line| line.verified.unwrap().seq)
            .collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        assert!(lines.iter().all(|line| {
            let verified = line.verified.unwrap();
            verified.accepted_at <= verified.certificate_time
                && verified.certificate_age_ms < 300_000
        }));
        // Who asks again gets the chat that there is.
        assert_eq!(bob.start_chat(alice.account()).await.unwrap(), chat);
        // Nothing arrives a second time.
        assert!(alice.hears().await.arrived.is_empty());
        assert!(bob.hears().await.arrived.is_empty());
    });
}

/// Both open a chat with the other before either has heard of it: both end up in the same one, and
/// nothing that was said in either is lost.
async fn two_chats(world: World) {
    let mut alice = Person::registered(&world, "Alice").await;
    let mut bob = Person::registered(&world, "Bob").await;
    meet(&mut [&mut alice, &mut bob]).await;
    let hers = alice.start_chat(bob.account()).await.unwrap();
    let his = bob.start_chat(alice.account()).await.unwrap();
    assert_ne!(hers, his);
    alice.says(hers, "from Alice").await;
    bob.says(his, "from Bob").await;
    all_hear(&mut [&mut alice, &mut bob]).await;
    assert_eq!(
        alice.find_conversation("Bob").unwrap(),
        bob.find_conversation("Alice").unwrap()
    );
    for person in [&alice, &bob] {
        assert_eq!(person.texts(hers), ["from Alice"]);
        assert_eq!(person.texts(his), ["from Bob"]);
    }
}

#[test]
fn two_chats_at_once_become_one() {
    story(async || two_chats(World::in_memory().await).await);
}

/// The same over several relays on two subnets.
#[test]
fn two_chats_at_once_become_one_over_shards() {
    story(async || two_chats(World::of_shards().await).await);
}

/// Alice makes a group with Bob and Carol. Carol is removed and reads nothing that comes later,
/// then she is added again and reads what comes after that. Bob leaves: the next who writes takes
/// him out.
async fn group_of_three(world: World) {
    let mut alice = Person::registered(&world, "Alice").await;
    let mut bob = Person::registered(&world, "Bob").await;
    let mut carol = Person::registered(&world, "Carol").await;
    meet(&mut [&mut alice, &mut bob, &mut carol]).await;
    let others = [bob.account(), carol.account()];
    let group = alice.create_group("چائے", &others).await.unwrap();
    alice.says(group, "welcome").await;
    all_hear(&mut [&mut bob, &mut carol]).await;
    bob.says(group, "thank you").await;
    carol.says(group, "شکریہ").await;
    all_hear(&mut [&mut alice, &mut bob, &mut carol]).await;
    let said = ["welcome", "thank you", "شکریہ"];
    for person in [&alice, &bob, &carol] {
        assert_eq!(person.texts(group), said, "{}", person.name);
        assert_eq!(person.conversation(group).unwrap().name, "چائے");
    }
    assert_agree(group, &[&alice, &bob, &carol]);
    let refused = bob.remove_members(group, &[carol.account()]).await;
    assert!(matches!(refused, Err(ClientError::Group(_))), "{refused:?}");

    alice
        .remove_members(group, &[carol.account()])
        .await
        .unwrap();
    alice.says(group, "without Carol").await;
    all_hear(&mut [&mut bob, &mut carol]).await;
    assert_eq!(carol.texts(group), said);
    assert_eq!(carol.conversation(group).unwrap().standing, Standing::Out);
    let refused = carol.send(group, "anybody?").await.unwrap_err();
    assert!(matches!(refused, ClientError::Ended(_)), "{refused}");
    bob.says(group, "indeed").await;
    alice.hears().await;
    assert_agree(group, &[&alice, &bob]);

    alice.add_members(group, &[carol.account()]).await.unwrap();
    alice.says(group, "with Carol again").await;
    all_hear(&mut [&mut alice, &mut bob, &mut carol]).await;
    assert_agree(group, &[&alice, &bob, &carol]);
    let missed = ["without Carol", "indeed"];
    let hers = carol.texts(group);
    assert!(
        hers.iter().all(|text| !missed.contains(&&text[..])),
        "{hers:?}"
    );
    assert_eq!(hers.last().unwrap(), "with Carol again");

    bob.leave(group).await.unwrap();
    let refused = bob.send(group, "one more").await.unwrap_err();
    assert!(matches!(refused, ClientError::Ended(_)), "{refused}");
    alice.hears().await;
    alice.says(group, "without Bob").await;
    all_hear(&mut [&mut alice, &mut bob, &mut carol]).await;
    assert_eq!(bob.conversation(group).unwrap().standing, Standing::Out);
    assert!(!bob.texts(group).contains(&"without Bob".to_owned()));
    assert_agree(group, &[&alice, &carol]);
    let members = carol.conversation(group).unwrap().members;
    assert!(!members.contains(&bob.account()) && members.len() == 2);
    assert_eq!(
        alice.texts(group),
        [&said[..], &missed, &["with Carol again", "without Bob"]].concat()
    );
}

#[test]
fn a_group_of_three_with_removal_return_and_leaving() {
    story(async || group_of_three(World::in_memory().await).await);
}

/// The same over several relays on two subnets.
#[test]
fn a_group_of_three_with_removal_return_and_leaving_over_shards() {
    story(async || group_of_three(World::of_shards().await).await);
}

/// The only admin leaves: the group goes on under another one.
#[test]
fn the_only_admin_hands_over_and_leaves() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        let mut carol = Person::registered(&world, "Carol").await;
        meet(&mut [&mut alice, &mut bob, &mut carol]).await;
        let others = [bob.account(), carol.account()];
        let group = alice.create_group("tea", &others).await.unwrap();
        all_hear(&mut [&mut bob, &mut carol]).await;
        alice.leave(group).await.unwrap();
        all_hear(&mut [&mut bob, &mut carol]).await;
        bob.says(group, "she is gone").await;
        all_hear(&mut [&mut alice, &mut bob, &mut carol]).await;
        assert_eq!(alice.conversation(group).unwrap().standing, Standing::Out);
        let view = carol.conversation(group).unwrap();
        assert_eq!(view.members.len(), 2);
        assert!(!view.admins.is_empty());
        assert!(view.admins.iter().all(|admin| view.members.contains(admin)));
        assert_eq!(carol.texts(group), ["she is gone"]);
        assert_agree(group, &[&bob, &carol]);
    });
}

/// Texts are written while the network is away: they are kept, over a restart of the device too,
/// and delivered once and in order when it is back.
async fn offline(mut world: World) {
    let mut alice = Person::registered(&world, "Alice").await;
    let mut bob = Person::registered(&world, "Bob").await;
    meet(&mut [&mut alice, &mut bob]).await;
    let chat = alice.start_chat(bob.account()).await.unwrap();
    world.stop();
    for text in ["one", "دو", "three"] {
        match alice.send(chat, text).await {
            Ok(line) => assert!(line.verified.is_none()),
            Err(error) => assert!(matches!(error, ClientError::Unreachable(_)), "{error}"),
        }
    }
    assert_eq!(alice.conversation(chat).unwrap().waiting, 3);
    alice.reopens(&world.file());
    assert_eq!(alice.conversation(chat).unwrap().waiting, 3);
    world.start().await;
    all_hear(&mut [&mut alice, &mut bob]).await;
    for person in [&alice, &bob] {
        assert_eq!(person.texts(chat), ["one", "دو", "three"]);
    }
    assert_eq!(alice.conversation(chat).unwrap().waiting, 0);
}

#[test]
fn what_is_said_offline_is_delivered_later() {
    story(async || offline(World::in_memory().await).await);
}

/// The same over several relays on two subnets.
#[test]
fn what_is_said_offline_is_delivered_later_over_shards() {
    story(async || offline(World::of_shards().await).await);
}
