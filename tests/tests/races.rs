//! Two clients change one group at the same time, again and again.

use std::time::Duration;

use paigham_client::{ClientError, QueueId};
use paigham_tests::person::{Person, all_hear, assert_agree, meet};
use paigham_tests::story::{number, story};
use paigham_tests::world::World;

/// Time between two rounds: a leaf may make 12 commits an hour that add and remove nobody, and each
/// makes one or two of them a round.
const BETWEEN: Duration = Duration::from_secs(11 * 60);

/// What one of the two does in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Renews,
    AddsDave,
    RemovesDave,
}

/// Deeds of both, and by how many epochs the group is ahead afterwards: the loser builds upon the
/// winner, and what the winner did already is not done twice.
const ROUNDS: [(Deed, Deed, u32); 6] = [
    (Deed::Renews, Deed::Renews, 2),
    (Deed::AddsDave, Deed::AddsDave, 1),
    (Deed::Renews, Deed::RemovesDave, 2),
    (Deed::AddsDave, Deed::Renews, 2),
    (Deed::RemovesDave, Deed::RemovesDave, 1),
    (Deed::Renews, Deed::Renews, 2),
];

/// Does a deed, and says something right after it, while the other one does the same.
async fn act(
    person: &mut Person,
    group: QueueId,
    dave: &Person,
    deed: Deed,
    text: &str,
) -> Result<(), ClientError> {
    let dave = [dave.account()];
    match deed {
        Deed::Renews => person.renew_keys(group).await?,
        Deed::AddsDave => person.add_members(group, &dave).await?,
        Deed::RemovesDave => match person.remove_members(group, &dave).await {
            // The other one's removal was read first.
            Err(ClientError::NotAMember(_)) => {}
            outcome => outcome?,
        },
    }
    person.send(group, text).await?;
    Ok(())
}

/// Alice and Bob, both admins, renew their keys, add and remove Dave at the same time, and write
/// while they do; Carol only reads. Exactly one commit starts each epoch, the loser builds a new one
/// upon it, every text arrives once and in each writer's order, and all agree on the group.
#[test]
fn one_commit_wins_each_epoch_and_nothing_is_lost() {
    story(async || {
        let rounds = number("PAIGHAM_RACES", 50);
        let world = World::with_manual_clock().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        let mut carol = Person::registered(&world, "Carol").await;
        let mut dave = Person::registered(&world, "Dave").await;
        meet(&mut [&mut alice, &mut bob, &mut carol, &mut dave]).await;
        let others = [bob.account(), carol.account()];
        let group = alice.create_group("races", &others).await.unwrap();
        alice.make_admin(group, bob.account()).await.unwrap();
        all_hear(&mut [&mut alice, &mut bob, &mut carol]).await;
        // Those who joined renew their keys, which is nobody's race.
        world.pass(6 * BETWEEN).await;
        all_hear(&mut [&mut alice, &mut bob, &mut carol]).await;

        let commits_before = world.node().calls_of("submit_commit");
        let first_epoch = alice.conversation(group).unwrap().epoch;
        let mut epoch = first_epoch;
        for round in 0..rounds {
            world.pass(BETWEEN).await;
            let (hers, his, epochs) = ROUNDS[round % ROUNDS.len()];
            let (her_text, his_text) = (format!("a{round}"), format!("ب{round}"));
            let both = tokio::join!(
                act(&mut alice, group, &dave, hers, &her_text),
                act(&mut bob, group, &dave, his, &his_text),
            );
            // Whoever lost too often goes on with the next sync.
            for outcome in [both.0, both.1] {
                match outcome {
                    Ok(()) | Err(ClientError::Unfinished(_)) => {}
                    Err(error) => panic!("round {round}, {hers:?} and {his:?}: {error}"),
                }
            }
            all_hear(&mut [&mut alice, &mut bob, &mut carol, &mut dave]).await;
            assert_agree(group, &[&alice, &bob, &carol]);
            epoch += epochs;
            let view = alice.conversation(group).unwrap();
            assert_eq!(view.epoch, epoch, "round {round}, {hers:?} and {his:?}");
            if view.members.contains(&dave.account()) {
                assert_agree(group, &[&alice, &dave]);
            }
        }
        let submitted = world.node().calls_of("submit_commit") - commits_before;
        let won = u64::from(epoch - first_epoch);
        assert!(submitted > won, "nobody ever lost: {submitted} for {won}");

        let said = carol.texts(group);
        assert_eq!(said.len(), 2 * rounds);
        for writer in ["a", "ب"] {
            let of_one: Vec<_> = said
                .iter()
                .filter(|text| text.starts_with(writer))
                .collect();
            let expected: Vec<_> = (0..rounds)
                .map(|round| format!("{writer}{round}"))
                .collect();
            assert!(of_one.into_iter().eq(&expected), "{writer}: {said:?}");
        }
        assert_eq!(alice.texts(group), said);
        assert_eq!(bob.texts(group), said);
    });
}
