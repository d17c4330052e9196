//! What strangers, invitees and wrong clocks do to an honest device: nothing that lasts.
#![expect(clippy::unwrap_used, reason = "tests")]

use paigham_client::{ClientError, Notice, Standing};
use paigham_group::crypto::Crypto;
use paigham_group::pointer::seal_pointer;
use paigham_tests::bare::BareAgent;
use paigham_tests::person::{Person, all_hear, assert_agree, meet};
use paigham_tests::story::story;
use paigham_tests::world::World;
use paigham_wire::codec::{decode_result, encode};
use paigham_wire::envelope::{PointerContent, WelcomePointer};
use paigham_wire::ids::{CanisterId, WelcomeId};
use paigham_wire::keys::WrapperKey;
use paigham_wire::relay::{Credential, Deposit, PoolReply, PoolRequest, Position, RelayError};

/// Deposits a pointer in somebody's inbox, as anybody can who looks them up.
async fn deposit(world: &World, victim: &Person, pointer: &WelcomePointer) {
    let agent = BareAgent::in_process(world);
    let record = agent.record(victim.account()).await.unwrap();
    let device = record.content.devices[0].clone();
    let request = PoolRequest {
        inbox: device.inbox,
    };
    let pool = agent
        .query(&device.shard, "pool", &encode(&request))
        .await
        .unwrap();
    let pool = decode_result::<PoolReply, RelayError>(&pool).unwrap();
    let crypto = Crypto::new().unwrap();
    let key = pool.unwrap().xwing_key;
    let content = PointerContent {
        pointer: pointer.clone(),
        capability: None,
    };
    let sealed = seal_pointer(&crypto, &device.inbox, key.as_slice(), &content).unwrap();
    let request = Deposit {
        inbox: device.inbox,
        credential: Credential::none(),
        sealed: sealed.into(),
    };
    let stored = agent
        .update(
            &device.shard,
            "deposit",
            &agent.paid(&device.shard, request).await,
        )
        .await
        .unwrap();
    let stored = decode_result::<Position, RelayError>(&stored).unwrap();
    assert!(stored.is_ok(), "{stored:?}");
}

/// Mallory knows a conversation that Bob is in and invites him there once more, to a canister that
/// does not exist, to the directory, and with a Welcome that is not there. Bob goes on hearing and
/// saying everything, and the conversation stays what it was.
#[test]
fn a_strangers_pointers_stop_nobody() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        meet(&mut [&mut alice, &mut bob]).await;
        let chat = alice.start_chat(bob.account()).await.unwrap();
        bob.hears().await;
        let nowhere = CanisterId::new(&[9; 10]).unwrap();
        let directory = world.file().directory().unwrap();
        let relay = world.file().relay().unwrap();
        for (number, canister) in (1..).zip([nowhere, directory, relay]) {
            let pointer = WelcomePointer {
                version: 1,
                canister,
                queue: chat,
                welcome_id: WelcomeId([number; 32]),
                wrapper_key: WrapperKey::new([number; 32]),
            };
            deposit(&world, &bob, &pointer).await;
        }
        alice.says(chat, "are you there?").await;
        for round in 0..10 {
            let report = bob.sync().await.unwrap();
            assert_eq!(report.arrived.len(), usize::from(round == 0), "{report:?}");
        }
        assert_eq!(bob.texts(chat), ["are you there?"]);
        bob.says(chat, "yes").await;
        alice.hears().await;
        assert_agree(chat, &[&alice, &bob]);
    });
}

/// Carol is taken out and brought back while she is away. When she looks again she reads that she
/// was out, joins anew by the Welcome that waits for her, and reads what is said from then on.
#[test]
fn who_was_brought_back_while_away_comes_back() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut carol = Person::registered(&world, "Carol").await;
        meet(&mut [&mut alice, &mut carol]).await;
        let group = alice.create_group("tea", &[carol.account()]).await.unwrap();
        carol.hears().await;
        alice.says(group, "before").await;
        alice
            .remove_members(group, &[carol.account()])
            .await
            .unwrap();
        alice.says(group, "without Carol").await;
        alice.add_members(group, &[carol.account()]).await.unwrap();
        alice.says(group, "after").await;
        let report = carol.hears().await;
        assert_eq!(report.joined, [group]);
        let told: Vec<_> = report
            .arrived
            .iter()
            .filter_map(|line| paigham_tests::person::text_of(&line.message))
            .collect();
        assert_eq!(told, ["before", "after"], "each told once, in order");
        assert_eq!(carol.texts(group), ["before", "after"]);
        all_hear(&mut [&mut alice, &mut carol]).await;
        assert_agree(group, &[&alice, &carol]);
    });
}

/// Bob's machine thinks it is an hour later than it is. He is told so, once; everything works, by
/// the network's time.
#[test]
fn a_clock_that_is_an_hour_wrong_is_named_and_worked_around() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::with_wrong_clock(&world, "Bob", 3_600);
        let notices = bob.sync().await.unwrap().notices;
        assert!(
            matches!(notices[..], [Notice::ClockWrong(seconds)] if seconds.abs_diff(3_600) < 60),
            "{notices:?}"
        );
        meet(&mut [&mut alice, &mut bob]).await;
        let chat = bob.start_chat(alice.account()).await.unwrap();
        bob.says(chat, "what time is it?").await;
        alice.hears().await;
        alice.says(chat, "an hour earlier").await;
        all_hear(&mut [&mut alice, &mut bob]).await;
        assert_eq!(bob.texts(chat), ["what time is it?", "an hour earlier"]);
        assert_agree(chat, &[&alice, &bob]);
    });
}

/// Bob's machine is forty days behind. Texts come and go; a change of the group, which cannot be
/// judged with such a clock, is left where it is, and taken as soon as the clock is right. The
/// conversation does not stop.
#[test]
fn a_clock_that_is_forty_days_wrong_stops_no_conversation() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut carol = Person::registered(&world, "Carol").await;
        let (mut bob, _) = Person::at_home(&world, "Bob", "a passphrase of Bob").await;
        meet(&mut [&mut alice, &mut bob, &mut carol]).await;
        let group = alice.create_group("tea", &[bob.account()]).await.unwrap();
        bob.hears().await;
        bob.sets_clock_wrong(-40 * 24 * 3_600);
        bob.reopens(&world.file());
        alice.says(group, "one").await;
        bob.sync().await.unwrap();
        assert_eq!(bob.texts(group), ["one"]);
        alice.add_members(group, &[carol.account()]).await.unwrap();
        let notices = bob.sync().await.unwrap().notices;
        let is_named = |notice: &Notice| match notice {
            Notice::ConversationFailed(name, why) => name == "tea" && why.contains("clock"),
            _ => false,
        };
        assert!(notices.iter().any(is_named), "{notices:?}");
        assert_eq!(bob.conversation(group).unwrap().standing, Standing::Open);
        bob.sets_clock_right();
        bob.reopens(&world.file());
        all_hear(&mut [&mut alice, &mut bob, &mut carol]).await;
        assert_agree(group, &[&alice, &bob, &carol]);
    });
}

/// Mallory, whom Bob does not know, opens a chat with him and writes. Bob is told once who asks;
/// he is in no chat, and nobody there hears of him. He accepts, reads what was written, and from
/// then on Mallory may bring him into a group without asking.
#[test]
fn a_strangers_invitation_waits_until_it_is_accepted() {
    story(async || {
        let world = World::in_memory().await;
        let mut mallory = Person::registered(&world, "Mallory").await;
        let mut bob = Person::registered(&world, "Bob").await;
        let chat = mallory.start_chat(bob.account()).await.unwrap();
        mallory.says(chat, "do you know me?").await;

        let report = bob.sync().await.unwrap();
        assert_eq!(report.notices, [Notice::Requested(mallory.account())]);
        assert_eq!(report.joined, []);
        bob.hears().await;
        assert!(bob.conversations().unwrap().is_empty());
        let requests = bob.requests().unwrap();
        let [request] = &requests[..] else {
            panic!("{requests:?}");
        };
        assert_eq!(request.from, mallory.account());
        assert_eq!((&request.group, request.members), (&None, 2));
        bob.reopens(&world.file());
        assert_eq!(bob.requests().unwrap(), requests);

        let report = bob.accept_request(request.number).await.unwrap();
        assert_eq!(report.joined, [chat]);
        assert_eq!(bob.texts(chat), ["do you know me?"]);
        assert!(bob.requests().unwrap().is_empty());
        bob.says(chat, "not yet").await;
        mallory.hears().await;
        let bobs = [bob.account()];
        let group = mallory.create_group("tea", &bobs).await.unwrap();
        assert_eq!(bob.hears().await.joined, [group]);
        assert_agree(group, &[&mallory, &bob]);
    });
}

/// Bob declines. The invitation does not come up again, however often he looks; another one of the
/// same stranger does, with the name of the group. A request that is answered or was never there
/// cannot be answered.
#[test]
fn a_declined_invitation_does_not_come_up_again() {
    story(async || {
        let world = World::in_memory().await;
        let mut mallory = Person::registered(&world, "Mallory").await;
        let mut bob = Person::registered(&world, "Bob").await;
        mallory.start_chat(bob.account()).await.unwrap();
        bob.sync().await.unwrap();
        let number = bob.requests().unwrap()[0].number;
        bob.decline_request(number).unwrap();
        for refused in [
            bob.decline_request(number),
            bob.decline_request(number + 7),
            bob.accept_request(number).await.map(drop),
        ] {
            assert!(
                matches!(refused, Err(ClientError::NoSuchName(_))),
                "{refused:?}"
            );
        }
        bob.reopens(&world.file());
        bob.hears().await;
        assert!(bob.requests().unwrap().is_empty());
        assert!(bob.conversations().unwrap().is_empty());

        let bobs = [bob.account()];
        mallory.create_group("come in", &bobs).await.unwrap();
        let report = bob.sync().await.unwrap();
        assert_eq!(report.notices, [Notice::Requested(mallory.account())]);
        let requests = bob.requests().unwrap();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].group.as_deref(), Some("come in"));
    });
}

/// Bob and Carol have not met; both are in a group of Alice. As long as Bob has said nothing there,
/// Carol's invitation is a stranger's. What he says brings her his inbox's capability: from then on
/// she brings him in without asking, and her device does no work for it.
#[test]
fn who_shares_a_group_brings_in_without_asking() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        let mut carol = Person::registered(&world, "Carol").await;
        meet(&mut [&mut alice, &mut bob]).await;
        meet(&mut [&mut alice, &mut carol]).await;
        let others = [bob.account(), carol.account()];
        let tea = alice.create_group("tea", &others).await.unwrap();
        all_hear(&mut [&mut alice, &mut bob, &mut carol]).await;

        let bobs = [bob.account()];
        carol.create_group("too early", &bobs).await.unwrap();
        let report = bob.sync().await.unwrap();
        assert_eq!(report.notices, [Notice::Requested(carol.account())]);

        bob.says(tea, "hello").await;
        carol.hears().await;
        let group = carol.create_group("coffee", &bobs).await.unwrap();
        assert_eq!(bob.hears().await.joined, [group]);
        assert_eq!(bob.requests().unwrap().len(), 1);
        assert_agree(group, &[&carol, &bob]);
    });
}
