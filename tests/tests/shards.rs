//! A network of two subnets with two relays on each: queues and inboxes are spread over them, chats
//! span them, and a relay that is down stops only what lies on it.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use paigham_client::{CanisterId, ClientError, Notice, QueueId};
use paigham_tests::bare::BareAgent;
use paigham_tests::node::Down;
use paigham_tests::person::{Person, all_hear, assert_agree, meet};
use paigham_tests::story::story;
use paigham_tests::world::World;
use paigham_wire::shards::place;

/// Tries for a placement that a story needs; each fails with a chance of at most 3 in 4.
const TRIES: usize = 64;
/// A sync over a silent relay waits for it once.
const SILENT_MAX: Duration = Duration::from_secs(90);

/// The relay of somebody's inbox, as the directory certifies it: the one of the placement rule.
async fn inbox_relay(world: &World, person: &Person) -> CanisterId {
    let agent = BareAgent::in_process(world);
    let record = agent.record(person.account()).await.unwrap();
    let device = record.content.devices[0].clone();
    assert_eq!(place(&device.inbox.0, &world.relays()), Some(&device.shard));
    device.shard
}

/// The one relay that has been asked for a queue.
fn queue_relay(world: &World, queue: QueueId) -> CanisterId {
    let names = |request: &[u8]| request.windows(32).any(|part| part == queue.0);
    let asked: BTreeSet<_> = world
        .node()
        .earlier()
        .into_iter()
        .filter(|exchange| exchange.method == "fetch" && names(&exchange.request))
        .map(|exchange| CanisterId::new(exchange.canister.as_slice()).unwrap())
        .collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
    asked.into_iter().next().unwrap()
}

/// Somebody whose inbox is on none of some relays.
async fn with_inbox_off(world: &World, name: &str, taken: &[&CanisterId]) -> (Person, CanisterId) {
    for _ in 0..TRIES {
        let person = Person::registered(world, name).await;
        let relay = inbox_relay(world, &person).await;
        if !taken.contains(&&relay) {
            return (person, relay);
        }
    }
    panic!("all inboxes are on the same relays");
}

/// A group with others whose queue is on none of some relays.
async fn group_off(
    world: &World,
    name: &str,
    maker: &mut Person,
    others: &[&Person],
    taken: &[&CanisterId],
) -> (QueueId, CanisterId) {
    let others: Vec<_> = others.iter().map(|person| person.account()).collect();
    for _ in 0..TRIES {
        let group = maker.create_group(name, &others).await.unwrap();
        let relay = queue_relay(world, group);
        if !taken.contains(&&relay) {
            return (group, relay);
        }
    }
    panic!("all queues are on the same relays");
}

/// Alice's inbox is on one relay, Bob's on another, and they talk over a queue on a third, before
/// and after both subnets restart. Eight queues are not all on one relay, and each stays where it
/// was made.
#[test]
fn chats_span_shards() {
    story(async || {
        let mut world = World::of_shards().await;
        assert_eq!(world.relays().len(), 4);
        assert_eq!(world.network().subnets().count(), 2);
        let mut alice = Person::registered(&world, "Alice").await;
        let hers = inbox_relay(&world, &alice).await;
        let (mut bob, his) = with_inbox_off(&world, "Bob", &[&hers]).await;
        meet(&mut [&mut alice, &mut bob]).await;
        let mut used = BTreeSet::new();
        for number in 0..8 {
            let name = format!("group {number}");
            let group = alice.create_group(&name, &[bob.account()]).await.unwrap();
            used.insert(queue_relay(&world, group));
        }
        assert!(used.len() >= 2, "{used:?}");
        let (group, relay) = group_off(&world, "tea", &mut alice, &[&bob], &[&hers, &his]).await;
        alice.says(group, "Hello Bob").await;
        all_hear(&mut [&mut alice, &mut bob]).await;
        world.stop();
        world.start().await;
        bob.says(group, "السلام علیکم").await;
        all_hear(&mut [&mut alice, &mut bob]).await;
        for person in [&alice, &bob] {
            assert_eq!(person.texts(group), ["Hello Bob", "السلام علیکم"]);
        }
        assert_agree(group, &[&alice, &bob]);
        assert_eq!(queue_relay(&world, group), relay);
    });
}

/// The relay of one chat is down. What Alice says there waits and is kept, both are told of that
/// chat alone, and in a chat on another relay, as between their inboxes, everything goes on. When
/// the relay is back, what waited is delivered.
#[test]
fn a_relay_that_is_down_stops_only_its_chats() {
    story(async || {
        let world = World::of_shards().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        meet(&mut [&mut alice, &mut bob]).await;
        let inboxes = [
            inbox_relay(&world, &alice).await,
            inbox_relay(&world, &bob).await,
        ];
        let taken: Vec<_> = inboxes.iter().collect();
        let (tea, down) = group_off(&world, "tea", &mut alice, &[&bob], &taken).await;
        let (other, _) = group_off(&world, "other", &mut alice, &[&bob], &[&down]).await;
        all_hear(&mut [&mut alice, &mut bob]).await;

        world.node().takes_down(&down, Down::Refused);
        let waits = alice.send(tea, "are you there?").await.unwrap();
        assert_eq!(waits.verified, None);
        alice.says(other, "the other one works").await;
        for person in [&mut alice, &mut bob] {
            let report = person.sync().await.unwrap();
            let names: Vec<_> = report
                .notices
                .iter()
                .map(|notice| match notice {
                    Notice::ConversationFailed(name, why) if why.contains("the relay") => name,
                    other => panic!("{}: {other:?}", person.name),
                })
                .collect();
            assert!(names.contains(&&"tea".to_owned()), "{names:?}");
        }
        assert_eq!(bob.texts(other), ["the other one works"]);
        bob.says(other, "so it does").await;
        let chat = loop {
            // A new chat may be placed on the relay that is down; it waits there, like any other.
            match alice.create_group("new", &[bob.account()]).await {
                Ok(chat) => break chat,
                Err(error) => assert!(
                    matches!(&error, ClientError::RelayUnreachable { relay, .. } if *relay == down),
                    "{error}"
                ),
            }
        };
        let joined = bob.sync().await.unwrap().joined;
        assert!(joined.contains(&chat), "{joined:?}");
        assert!(bob.texts(tea).is_empty());

        world.node().brings_back();
        all_hear(&mut [&mut alice, &mut bob]).await;
        for person in [&alice, &bob] {
            assert_eq!(person.texts(tea), ["are you there?"]);
            assert_eq!(person.texts(other), ["the other one works", "so it does"]);
        }
        assert_agree(tea, &[&alice, &bob]);
    });
}

/// The relay of Bob's inbox is down. Bob is told so and goes on in his chat on another relay; Alice
/// cannot bring him into a second group yet, but what is said in it goes on. When the relay is
/// back, he is brought in.
#[test]
fn an_inbox_that_is_down_stops_only_its_invitations() {
    story(async || {
        let world = World::of_shards().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let hers = inbox_relay(&world, &alice).await;
        let (mut bob, down) = with_inbox_off(&world, "Bob", &[&hers]).await;
        let (mut carol, _) = with_inbox_off(&world, "Carol", &[&down]).await;
        meet(&mut [&mut alice, &mut bob, &mut carol]).await;
        let (chat, _) = group_off(&world, "chat", &mut alice, &[&bob], &[&down]).await;
        let (tea, _) = group_off(&world, "tea", &mut alice, &[&carol], &[&down]).await;
        all_hear(&mut [&mut alice, &mut bob, &mut carol]).await;

        world.node().takes_down(&down, Down::Refused);
        alice.says(chat, "are you there?").await;
        let report = bob.sync().await.unwrap();
        let missing = Notice::RelayUnreachable(down.clone());
        assert!(report.notices.contains(&missing), "{:?}", report.notices);
        assert_eq!(bob.texts(chat), ["are you there?"]);
        bob.says(chat, "I am").await;

        let refused = alice.add_members(tea, &[bob.account()]).await.unwrap_err();
        assert!(
            matches!(&refused, ClientError::RelayUnreachable { relay, .. } if *relay == down),
            "{refused}"
        );
        alice.says(tea, "Bob comes later").await;
        let report = alice.sync().await.unwrap();
        let names_tea = |notice: &Notice| matches!(notice, Notice::ConversationFailed(name, _) if name == "tea");
        assert!(report.notices.iter().any(names_tea), "{:?}", report.notices);
        carol.sync().await.unwrap();
        assert_eq!(carol.texts(tea), ["Bob comes later"]);

        world.node().brings_back();
        all_hear(&mut [&mut alice, &mut bob, &mut carol]).await;
        alice.says(tea, "here he is").await;
        all_hear(&mut [&mut alice, &mut bob, &mut carol]).await;
        assert_eq!(bob.texts(tea), ["here he is"]);
        assert_agree(tea, &[&alice, &bob, &carol]);
    });
}

/// A relay takes requests and never answers. One sync waits for it once, not for each of its chats,
/// and reads the chat on another relay all the same.
#[test]
fn a_silent_relay_is_waited_for_once() {
    story(async || {
        let world = World::of_shards().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        meet(&mut [&mut alice, &mut bob]).await;
        let his = inbox_relay(&world, &bob).await;
        let (_, down) = group_off(&world, "tea", &mut alice, &[&bob], &[&his]).await;
        let (other, _) = group_off(&world, "other", &mut alice, &[&bob], &[&down]).await;
        bob.hears().await;
        alice.says(other, "hello").await;
        bob.reopens(&world.file());

        world.node().takes_down(&down, Down::Silent);
        let began = Instant::now();
        let report = bob.sync().await.unwrap();
        assert!(began.elapsed() < SILENT_MAX, "{:?}", began.elapsed());
        let waits = |notice: &Notice| {
            matches!(notice, Notice::ConversationFailed(name, why)
                if name == "tea" && why.contains("in time"))
        };
        assert!(report.notices.iter().any(waits), "{:?}", report.notices);
        assert_eq!(bob.texts(other), ["hello"]);

        world.node().brings_back();
        bob.hears().await;
    });
}
