//! Whoever joins renews its keys within a bounded time, without being asked.

use std::time::Duration;

use paigham_client::{AccountId, Body, QueueId};
use paigham_tests::person::{Person, all_hear, assert_agree, meet};
use paigham_tests::story::story;
use paigham_tests::world::World;

/// So far apart the joiners of one commit renew their keys.
const STEP: Duration = Duration::from_secs(300);

/// Who renewed its keys, in order.
fn renewed(person: &Person, group: QueueId) -> Vec<AccountId> {
    person
        .lines(group)
        .into_iter()
        .filter(|line| line.body == Body::KeysRenewed)
        .filter_map(|line| line.from)
        .collect()
}

/// Bob and Carol come in with one commit. Each renews its keys at its own time, once, however often
/// it looks; who has made a commit of its own meanwhile, has renewed them with it.
#[test]
fn joiners_renew_their_keys_one_after_the_other() {
    story(async || {
        let world = World::long_ago(Duration::from_secs(3_600 * 48)).await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        let mut carol = Person::registered(&world, "Carol").await;
        meet(&mut [&mut alice, &mut bob, &mut carol]).await;
        let others = [bob.account(), carol.account()];
        let group = alice.create_group("tea", &others).await.unwrap();
        all_hear(&mut [&mut alice, &mut bob, &mut carol]).await;
        assert_eq!(renewed(&alice, group), [], "it is not time yet");

        let mut in_order = Vec::new();
        // Alice has leaf 0, the two have 1 and 2.
        for _ in 0..3 {
            // Certified time is a little ahead of a clock that stands still.
            world.pass(STEP + Duration::from_secs(1)).await;
            all_hear(&mut [&mut alice, &mut bob, &mut carol]).await;
            in_order.push(renewed(&alice, group).len());
        }
        assert_eq!(in_order, [0, 1, 2]);
        let mut who = renewed(&alice, group);
        who.sort_unstable();
        let mut expected = others.to_vec();
        expected.sort_unstable();
        assert_eq!(who, expected);

        world.pass(Duration::from_secs(24 * 3_600)).await;
        all_hear(&mut [&mut alice, &mut bob, &mut carol]).await;
        assert_eq!(renewed(&alice, group).len(), 2, "once is enough");
        assert_agree(group, &[&alice, &bob, &carol]);

        // Whoever was not there when it was due does it with its next sync.
        let chat = alice.start_chat(bob.account()).await.unwrap();
        bob.hears().await;
        bob.renew_keys(chat).await.unwrap();
        world.pass(4 * STEP).await;
        bob.hears().await;
        alice.hears().await;
        assert_eq!(
            renewed(&alice, chat),
            [bob.account()],
            "a commit of its own counts"
        );
        let chat = alice.start_chat(carol.account()).await.unwrap();
        world.pass(Duration::from_secs(12 * 3_600)).await;
        carol.hears().await;
        alice.hears().await;
        assert_eq!(renewed(&alice, chat), [carol.account()]);
        assert_agree(chat, &[&alice, &carol]);
    });
}
