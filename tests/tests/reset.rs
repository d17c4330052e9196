//! A commit that nobody may take, or that somebody cannot: everybody goes on, in one conversation,
//! without whoever broke the rules.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use paigham_client::testkit::Breach;
use paigham_client::{AccountId, Body, ClientError, QueueId, Standing};
use paigham_tests::kill::Death;
use paigham_tests::person::{Person, all_hear, assert_agree, meet};
use paigham_tests::story::{number, story};
use paigham_tests::world::World;

const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

/// Alice, the admin, with Bob, Carol and Mallory in a group, and Dave outside.
struct Stage {
    world: World,
    alice: Person,
    bob: Person,
    carol: Person,
    mallory: Person,
    dave: Person,
    group: QueueId,
}

impl Stage {
    async fn set() -> Self {
        // Long stories end before this machine's present.
        let world = World::with_manual_clock().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        let mut carol = Person::registered(&world, "Carol").await;
        let mut mallory = Person::registered(&world, "Mallory").await;
        let mut dave = Person::registered(&world, "Dave").await;
        meet(&mut [&mut alice, &mut bob, &mut carol, &mut mallory, &mut dave]).await;
        let members = [bob.account(), carol.account(), mallory.account()];
        let group = alice.create_group("tea", &members).await.unwrap();
        let mut stage = Self {
            world,
            alice,
            bob,
            carol,
            mallory,
            dave,
            group,
        };
        stage.all_hear().await;
        stage.alice.says(group, "before").await;
        stage.all_hear().await;
        stage.mallory.hears().await;
        stage
    }

    /// Those who stay.
    async fn all_hear(&mut self) {
        all_hear(&mut [&mut self.alice, &mut self.bob, &mut self.carol]).await;
        self.mallory.sync().await.unwrap();
    }

    fn honest(&self) -> [&Person; 3] {
        [&self.alice, &self.bob, &self.carol]
    }

    /// All honest members see one conversation, the same, with one line about what happened.
    fn is_one(&self, without: Option<AccountId>) -> QueueId {
        let new = self.alice.find_conversation("tea").unwrap();
        for person in self.honest() {
            let name = &person.name;
            let shown = person.conversations().unwrap();
            assert_eq!(shown.len(), 1, "{name}: {shown:?}");
            assert_eq!(shown[0].queue, new, "{name}");
            assert_eq!(shown[0].standing, Standing::Open, "{name}");
            assert_eq!(person.conversation(self.group).unwrap().queue, new);
            let lines = person.lines(self.group);
            let made_anew: Vec<_> = lines
                .iter()
                .filter(|line| matches!(line.body, Body::Reset { .. }))
                .collect();
            assert_eq!(made_anew.len(), 1, "{name}: {lines:?}");
            assert_eq!(made_anew[0].body, Body::Reset { without }, "{name}");
        }
        assert_agree(new, &self.honest());
        new
    }
}

/// Mallory, who is no admin, sends a commit that she has no role for, whichever: everybody else
/// stops at the last good epoch, also whom it would remove, and goes on without her by Alice's next
/// sync. What was said before and what is said after stand in one conversation; she reads nothing.
#[test]
fn a_group_goes_on_without_the_offender() {
    story(async || {
        for case in 0..3 {
            let mut stage = Stage::set().await;
            let breach = match case {
                0 => Breach::Add(stage.dave.account()),
                1 => Breach::Remove(stage.bob.account()),
                _ => Breach::Promote,
            };
            let (group, offender) = (stage.group, stage.mallory.account());
            let epoch = stage.bob.conversation(group).unwrap().epoch;
            stage
                .mallory
                .breaks_the_rules(group, &breach)
                .await
                .unwrap();
            stage.bob.hears().await;
            let view = stage.bob.conversation(group).unwrap();
            assert!(matches!(view.standing, Standing::Stopped(_)), "{view:?}");
            assert_eq!(view.stopped_by, Some(offender));
            assert_eq!(view.epoch, epoch, "the last good epoch");
            stage.all_hear().await;
            let new = stage.is_one(Some(offender));
            assert_ne!(new, group);
            let view = stage.carol.conversation(group).unwrap();
            let mut members: Vec<_> = stage.honest().map(Person::account).to_vec();
            members.sort_unstable();
            assert_eq!(view.members, members);
            assert_eq!(view.admins, [stage.alice.account()]);

            // Under the id that an app may still hold.
            stage.bob.says(group, "after").await;
            stage.all_hear().await;
            for person in stage.honest() {
                assert_eq!(person.texts(group), ["before", "after"], "{}", person.name);
            }
            assert!(!stage.mallory.has_text(group, "after"));
            assert!(stage.dave.conversations().unwrap().is_empty());
            let view = stage.mallory.conversation(group).unwrap();
            assert!(matches!(view.standing, Standing::Stopped(_)), "{view:?}");
        }
    });
}

/// Two admins make the group anew before they hear of each other: everybody ends in the one of the
/// lower leaf, and what was said in the other meanwhile is still there.
#[test]
fn two_resets_end_in_one() {
    story(async || {
        let mut stage = Stage::set().await;
        let (group, offender) = (stage.group, stage.mallory.account());
        let bob = stage.bob.account();
        stage.alice.make_admin(group, bob).await.unwrap();
        stage.all_hear().await;
        let breach = Breach::Promote;
        stage
            .mallory
            .breaks_the_rules(group, &breach)
            .await
            .unwrap();
        // It is not Bob's turn yet; he does not wait for it, and does not look into his inbox.
        stage.bob.hears().await;
        stage.alice.hears().await;
        let of_bob = stage.bob.reset(group).await.unwrap();
        let of_alice = stage.alice.find_conversation("tea").unwrap();
        assert_ne!(of_bob, of_alice);
        stage.bob.says(group, "in Bob's").await;
        stage.all_hear().await;
        let new = stage.is_one(Some(offender));
        assert_eq!(new, of_alice);
        for person in stage.honest() {
            assert_eq!(
                person.texts(group),
                ["before", "in Bob's"],
                "{}",
                person.name
            );
        }
        // It becomes final, and the other one is closed.
        stage.alice.says(group, "one").await;
        stage.carol.says(group, "two").await;
        stage.world.pass(MINUTE).await;
        stage.all_hear().await;
        stage.all_hear().await;
        stage.bob.says(group, "three").await;
        stage.all_hear().await;
        assert_eq!(stage.is_one(Some(offender)), of_alice);
        for person in stage.honest() {
            let said = person.texts(group);
            assert_eq!(said, ["before", "in Bob's", "one", "two", "three"]);
        }
    });
}

/// Somebody sends a commit that nobody can read; nobody can be named. Members may not make the
/// group anew before a day has passed; Alice, the admin, is away. After a day Bob's device does it,
/// and he has no more of a role than before; Alice comes later and takes it.
#[test]
fn without_an_answer_a_member_makes_it_anew_after_a_day() {
    story(async || {
        let mut stage = Stage::set().await;
        let group = stage.group;
        let breach = Breach::Garbage;
        stage
            .mallory
            .breaks_the_rules(group, &breach)
            .await
            .unwrap();
        stage.bob.hears().await;
        stage.carol.hears().await;
        let refused = stage.bob.reset(group).await;
        assert!(
            matches!(refused, Err(ClientError::NotYet(_))),
            "{refused:?}"
        );
        stage.world.pass(23 * HOUR).await;
        stage.bob.hears().await;
        let view = stage.bob.conversation(group).unwrap();
        assert!(matches!(view.standing, Standing::Stopped(_)), "{view:?}");
        assert_eq!(view.stopped_by, None);
        stage.world.pass(HOUR + 30 * MINUTE).await;
        stage.bob.hears().await;
        let new = stage.bob.conversation(group).unwrap();
        assert_eq!(new.standing, Standing::Open);
        assert_eq!(new.admins, [stage.alice.account()]);
        stage.all_hear().await;
        assert_eq!(stage.is_one(None), new.queue);
        stage.alice.says(group, "back").await;
        stage.all_hear().await;
        for person in [&stage.alice, &stage.bob, &stage.carol, &stage.mallory] {
            assert_eq!(person.texts(group), ["before", "back"], "{}", person.name);
        }
    });
}

/// A commit of Alice's does not open for Bob alone. His device asks for a new leaf, the others give
/// it one, and he goes on in the same conversation; what he could not read is told.
#[test]
fn a_device_that_cannot_follow_is_brought_back() {
    story(async || {
        let mut stage = Stage::set().await;
        let group = stage.group;
        stage.alice.renew_keys(group).await.unwrap();
        stage.alice.says(group, "unread by Bob").await;
        stage.bob.cannot_apply_the_next(group).await.unwrap();
        let view = stage.bob.conversation(group).unwrap();
        assert!(matches!(view.standing, Standing::Stopped(_)), "{view:?}");
        // He asks; Alice answers; he comes back.
        stage.bob.hears().await;
        stage.alice.hears().await;
        stage.bob.hears().await;
        stage.all_hear().await;
        assert_eq!(
            stage.bob.conversation(group).unwrap().standing,
            Standing::Open
        );
        assert_eq!(stage.bob.conversation(group).unwrap().queue, group);
        let bodies: Vec<_> = stage.bob.lines(group).into_iter().map(|l| l.body).collect();
        let missed = |body: &Body| matches!(body, Body::Missed { count: 2 });
        assert_eq!(
            bodies.iter().filter(|body| missed(body)).count(),
            1,
            "{bodies:?}"
        );
        let carols: Vec<_> = stage
            .carol
            .lines(group)
            .into_iter()
            .map(|l| l.body)
            .collect();
        let account = stage.bob.account();
        assert!(carols.contains(&Body::ReAdded { account }), "{carols:?}");
        stage.bob.says(group, "here again").await;
        stage.all_hear().await;
        assert_agree(group, &stage.honest());
        assert_eq!(stage.bob.texts(group), ["before", "here again"]);
        assert_eq!(
            stage.carol.texts(group),
            ["before", "unread by Bob", "here again"]
        );
    });
}

/// Another member submits Alice's commit with a Welcome that opens nothing: Dave would be a member
/// who can never join. Alice's device sees that before anybody is told, and adds him anew.
#[test]
fn a_spoiled_welcome_is_made_anew() {
    story(async || {
        let mut stage = Stage::set().await;
        let (group, dave) = (stage.group, stage.dave.account());
        let alice = &mut stage.alice;
        alice
            .adds_with_a_spoiled_welcome(group, dave)
            .await
            .unwrap();
        assert_eq!(alice.take_notices().len(), 1, "it is told");
        alice.says(group, "to Dave, too").await;
        stage.dave.hears().await;
        stage.all_hear().await;
        assert_eq!(stage.dave.texts(group), ["to Dave, too"]);
        stage.dave.hears().await;
        assert_agree(group, &[&stage.alice, &stage.bob, &stage.dave]);
    });
}

/// More points than a reset has.
const POINTS_MAX: u64 = 400;

/// Who dies while a group is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dies {
    /// Alice, who makes it.
    Maker,
    /// Bob, who stops and joins.
    Joiner,
}

/// A group of Alice, Bob and Mallory is made anew again and again, and Alice, or Bob, dies one point
/// later each time: at the disk, around a request, with the network. It is made once, everybody is
/// in it, and all texts are there once.
#[test]
fn a_death_while_a_group_is_made_anew() {
    story(async || {
        let mut world = World::with_manual_clock().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        let mut mallory = Person::registered(&world, "Mallory").await;
        meet(&mut [&mut alice, &mut bob, &mut mallory]).await;
        let members = [bob.account(), mallory.account()];
        let step = number("PAIGHAM_KILLS", 13);
        for (first, death) in (0..).zip(Death::ALL) {
            for dies in [Dies::Maker, Dies::Joiner] {
                let mut deaths = 0;
                for point in (first..POINTS_MAX).step_by(step) {
                    let name = format!("{dies:?} {death:?} {point}");
                    let group = alice.create_group(&name, &members).await.unwrap();
                    alice.says(group, "before").await;
                    all_hear(&mut [&mut bob, &mut mallory]).await;
                    let breach = Breach::Promote;
                    mallory.breaks_the_rules(group, &breach).await.unwrap();
                    if dies == Dies::Joiner {
                        alice.hears().await;
                    }
                    let dier = match dies {
                        Dies::Maker => &mut alice,
                        Dies::Joiner => &mut bob,
                    };
                    death.comes_at(&world, dier, point);
                    let outcome = dier.sync().await;
                    let came = death.came(&world, dier).await;
                    death.is_over(&mut world, dier).await;
                    if !came {
                        outcome.unwrap();
                    }
                    all_hear(&mut [&mut alice, &mut bob]).await;
                    alice.says(group, "one").await;
                    bob.hears().await;
                    bob.says(group, "two").await;
                    all_hear(&mut [&mut alice, &mut bob]).await;
                    for person in [&alice, &bob] {
                        assert_eq!(person.texts(group), ["before", "one", "two"], "{name}");
                        let lines = person.lines(group).into_iter();
                        let anew = lines.filter(|l| matches!(l.body, Body::Reset { .. }));
                        assert_eq!(anew.count(), 1, "{name}: {}", person.name);
                    }
                    let new = alice.conversation(group).unwrap().queue;
                    assert_ne!(new, group, "{name}");
                    assert_agree(new, &[&alice, &bob]);
                    mallory.sync().await.unwrap();
                    assert!(!mallory.has_text(group, "one"), "{name}");
                    world.pass(Duration::from_secs(10)).await;
                    if !came {
                        break;
                    }
                    deaths += 1;
                }
                assert!(deaths > 0, "{dies:?} {death:?} never came");
            }
        }
    });
}
