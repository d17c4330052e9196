//! A client dies at every point of its store and around every request, and the network at every
//! operation of its journal. Whoever died is switched on again and goes on as an app would; each
//! text is there exactly once, at everybody, in order.
//!
//! Each act of the story is played again and again, with the death one point later each time, until
//! it is through without meeting it: so every point of every act is met, and none is listed by hand.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use paigham_client::{AccountId, ClientError, QueueId, Standing};
use paigham_tests::flaky::Moment;
use paigham_tests::kill::Death;
use paigham_tests::person::{Person, all_hear, assert_agree, meet};
use paigham_tests::story::{number, story};
use paigham_tests::world::World;

/// More points than any act has; a story that goes on for longer does not end.
const POINTS_MAX: u64 = 400;
/// How often a person tries again after a death, with nothing in the way.
const TRIES: usize = 3;
/// Time between two performances: a leaf may make 12 plain commits an hour, and one that a death
/// interrupted may be made twice.
const BETWEEN: Duration = Duration::from_secs(11 * 60);

/// Alice and Bob with a chat, and Carol, who comes and goes in a group of theirs.
struct Stage {
    world: World,
    alice: Person,
    bob: Person,
    carol: Person,
    chat: QueueId,
    group: QueueId,
    /// All texts of the chat, in order.
    said: Vec<String>,
    /// All texts of the group.
    group_said: Vec<String>,
}

/// What one of them does, so that it can be begun again after a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// Alice sends two texts to Bob.
    Send,
    /// Bob receives a text, and answers.
    Receive,
    /// Alice renews her keys in the chat.
    Renew,
    /// Alice makes a new group with Bob and writes into it.
    Create,
    /// Alice adds Carol to the group and greets her.
    Add,
    /// Carol, who was added, joins and answers.
    Join,
    /// Alice removes Carol.
    Remove,
    /// Bob leaves a group.
    Leave,
}

impl Act {
    const ALL: [Self; 8] = [
        Self::Send,
        Self::Receive,
        Self::Renew,
        Self::Create,
        Self::Add,
        Self::Join,
        Self::Remove,
        Self::Leave,
    ];
}

impl Stage {
    async fn set() -> Self {
        let world = World::with_manual_clock().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        let mut carol = Person::registered(&world, "Carol").await;
        meet(&mut [&mut alice, &mut bob, &mut carol]).await;
        let chat = alice.start_chat(bob.account()).await.unwrap();
        let group = alice.create_group("tea", &[bob.account()]).await.unwrap();
        all_hear(&mut [&mut alice, &mut bob]).await;
        Self {
            world,
            alice,
            bob,
            carol,
            chat,
            group,
            said: Vec::new(),
            group_said: Vec::new(),
        }
    }

    fn actor(&mut self, act: Act) -> (&mut World, &mut Person) {
        let person = match act {
            Act::Send | Act::Renew | Act::Create | Act::Add | Act::Remove => &mut self.alice,
            Act::Receive | Act::Leave => &mut self.bob,
            Act::Join => &mut self.carol,
        };
        (&mut self.world, person)
    }

    fn carol_is_in(&self) -> bool {
        is_member(&self.alice, self.group, self.carol.account())
    }

    /// What the act stands on, with nobody dying.
    async fn prepare(&mut self, act: Act, name: &str) {
        // Only renewals count against the rate rule. OpenMLS reads this machine's clock, which the
        // world's must not run away from by a day.
        let between = match act {
            Act::Renew => BETWEEN,
            _ => Duration::from_secs(10),
        };
        self.world.pass(between).await;
        let carol = [self.carol.account()];
        match act {
            Act::Send | Act::Renew | Act::Create => {}
            Act::Receive => {
                self.alice
                    .says(self.chat, &format!("{name} question"))
                    .await;
            }
            Act::Add => {
                if self.carol_is_in() {
                    self.alice.remove_members(self.group, &carol).await.unwrap();
                    self.carol.hears().await;
                }
            }
            Act::Join => {
                self.prepare_without_carol().await;
                self.alice.add_members(self.group, &carol).await.unwrap();
                self.alice
                    .says(self.group, &format!("{name} greeting"))
                    .await;
                self.group_said.push(format!("{name} greeting"));
            }
            Act::Remove => {
                if !self.carol_is_in() {
                    self.alice.add_members(self.group, &carol).await.unwrap();
                    self.carol.hears().await;
                }
            }
            Act::Leave => {
                let bob = [self.bob.account()];
                self.alice.create_group(name, &bob).await.unwrap();
                self.bob.hears().await;
            }
        }
    }

    async fn prepare_without_carol(&mut self) {
        if self.carol_is_in() {
            let carol = [self.carol.account()];
            self.alice.remove_members(self.group, &carol).await.unwrap();
            self.carol.hears().await;
        }
    }

    /// The act, or what a death left of it.
    async fn perform(&mut self, act: Act, name: &str) -> Result<(), ClientError> {
        let carol = [self.carol.account()];
        let (chat, group) = (self.chat, self.group);
        match act {
            Act::Send => {
                self.alice.says_once(chat, &format!("{name} first")).await?;
                self.alice.says_once(chat, &format!("{name} دوسرا")).await
            }
            Act::Receive => {
                self.bob.sync().await?;
                self.bob.says_once(chat, &format!("{name} answer")).await
            }
            Act::Renew => self.alice.renew_keys(chat).await,
            Act::Create => {
                let made = match self.alice.find_conversation(name) {
                    Ok(made) => {
                        self.alice.sync().await?;
                        made
                    }
                    Err(_) => self.alice.create_group(name, &[self.bob.account()]).await?,
                };
                self.alice.says_once(made, &format!("{name} text")).await
            }
            Act::Add => {
                self.alice.sync().await?;
                if !self.carol_is_in() {
                    self.alice.add_members(group, &carol).await?;
                }
                self.alice
                    .says_once(group, &format!("{name} welcome"))
                    .await
            }
            Act::Join => {
                self.carol.sync().await?;
                self.carol.says_once(group, &format!("{name} thanks")).await
            }
            Act::Remove => {
                self.alice.sync().await?;
                if self.carol_is_in() {
                    self.alice.remove_members(group, &carol).await?;
                }
                self.alice
                    .says_once(group, &format!("{name} goodbye"))
                    .await
            }
            Act::Leave => {
                let left = self.bob.find_conversation(name)?;
                self.bob.sync().await?;
                match self.bob.conversation(left)?.standing {
                    Standing::Leaving | Standing::Out => Ok(()),
                    _ => self.bob.leave(left).await,
                }
            }
        }
    }

    /// What must hold after the act, whatever died.
    async fn check(&mut self, act: Act, name: &str) {
        all_hear(&mut [&mut self.alice, &mut self.bob, &mut self.carol]).await;
        let mut add = |texts: &[&str]| {
            let texts = texts.iter().map(|text| format!("{name} {text}"));
            match act {
                Act::Send | Act::Receive | Act::Renew => self.said.extend(texts),
                _ => self.group_said.extend(texts),
            }
        };
        match act {
            Act::Send => add(&["first", "دوسرا"]),
            Act::Receive => add(&["question", "answer"]),
            Act::Renew | Act::Leave => {}
            Act::Add => add(&["welcome"]),
            Act::Join => add(&["thanks"]),
            Act::Remove => add(&["goodbye"]),
            Act::Create => {
                let made = self.alice.find_conversation(name).unwrap();
                for person in [&self.alice, &self.bob] {
                    assert_eq!(person.texts(made), [format!("{name} text")]);
                }
                assert_agree(made, &[&self.alice, &self.bob]);
            }
        }
        for person in [&self.alice, &self.bob] {
            assert_eq!(person.texts(self.chat), self.said, "{}", person.name);
            assert_eq!(person.texts(self.group), self.group_said, "{}", person.name);
        }
        assert_agree(self.chat, &[&self.alice, &self.bob]);
        assert_agree(self.group, &[&self.alice, &self.bob]);
        self.check_carol(act, name);
        if act == Act::Leave {
            self.check_leaver(name).await;
        }
    }

    fn check_carol(&self, act: Act, name: &str) {
        match act {
            Act::Add | Act::Join => {
                assert_agree(self.group, &[&self.alice, &self.carol]);
                let heard = self.carol.texts(self.group);
                let expected: &[&str] = match act {
                    Act::Add => &["welcome"],
                    _ => &["greeting", "thanks"],
                };
                let expected: Vec<_> = expected
                    .iter()
                    .map(|text| format!("{name} {text}"))
                    .collect();
                assert!(heard.ends_with(&expected), "{heard:?}");
            }
            Act::Remove => {
                let view = self.carol.conversation(self.group).unwrap();
                assert_eq!(view.standing, Standing::Out);
                assert!(!self.carol.has_text(self.group, &format!("{name} goodbye")));
            }
            Act::Send | Act::Receive | Act::Renew | Act::Create | Act::Leave => {}
        }
    }

    async fn check_leaver(&mut self, name: &str) {
        let left = self.alice.find_conversation(name).unwrap();
        self.alice.says(left, "without Bob").await;
        self.bob.hears().await;
        let view = self.bob.conversation(left).unwrap();
        assert_eq!(view.standing, Standing::Out);
        assert!(!self.bob.has_text(left, "without Bob"));
    }

    /// Plays an act with a death at one point later each time, from `first` in steps of `step`;
    /// returns how many deaths came.
    async fn play(&mut self, act: Act, death: Death, first: u64, step: u64) -> u64 {
        let points = (first..POINTS_MAX).step_by(usize::try_from(step).unwrap());
        for (deaths, point) in (0..).zip(points) {
            let name = format!("{act:?} {death:?} {point}");
            self.prepare(act, &name).await;
            let (world, person) = self.actor(act);
            death.comes_at(world, person, point);
            let outcome = self.perform(act, &name).await;
            let (world, person) = self.actor(act);
            if !death.came(world, person).await {
                death.is_over(world, person).await;
                outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
                self.check(act, &name).await;
                return deaths;
            }
            death.is_over(world, person).await;
            self.take_up(act, &name).await;
            self.check(act, &name).await;
        }
        panic!("{act:?} has more points than {POINTS_MAX}");
    }

    /// Goes on after a death. An attempt may still find out that something is to be read first.
    async fn take_up(&mut self, act: Act, name: &str) {
        let mut last = Ok(());
        for _ in 0..TRIES {
            last = self.perform(act, name).await;
            if last.is_ok() {
                return;
            }
        }
        panic!("{name} cannot be taken up: {last:?}");
    }
}

fn is_member(seen_by: &Person, group: QueueId, account: AccountId) -> bool {
    let view = seen_by.conversation(group).unwrap();
    view.members.contains(&account)
}

/// How many points lie between two deaths: `PAIGHAM_KILLS=1` meets each.
fn step(default: usize) -> u64 {
    number("PAIGHAM_KILLS", default) as u64
}

/// The machine dies at each point of each batch that it writes.
#[test]
fn a_client_dies_at_its_disk() {
    story(async || {
        let mut stage = Stage::set().await;
        for (number, act) in (0..).zip(Act::ALL) {
            // No multiple of the four points of a batch, and another beginning for each act: every
            // kind of point is met.
            let step = step(5);
            let deaths = stage.play(act, Death::Disk, number % step, step).await;
            assert!(deaths > 0, "{act:?} writes nothing");
        }
    });
}

/// The machine dies before and after each request that it makes.
#[test]
fn a_client_dies_around_its_requests() {
    story(async || {
        let mut stage = Stage::set().await;
        let step = step(2);
        for (first, moment) in [(0, Moment::Before), (1, Moment::After)] {
            for act in Act::ALL {
                let first = first % step;
                let deaths = stage.play(act, Death::Request(moment), first, step).await;
                assert!(deaths > 0, "{act:?} asks nothing");
            }
        }
    });
}

/// The network dies before and after each operation of its journal, and is started again.
#[test]
fn the_network_dies_at_its_journal() {
    story(async || {
        let mut stage = Stage::set().await;
        for (number, act) in (0..).zip(Act::ALL) {
            let step = step(5);
            stage.play(act, Death::Network, number % step, step).await;
        }
    });
}

/// A new person dies while registering, at each point of the disk, around each request, and with the
/// network: the account is registered once, and others can write to it.
#[test]
fn a_death_while_registering() {
    story(async || {
        let mut world = World::with_manual_clock().await;
        let mut alice = Person::registered(&world, "Alice").await;
        for death in Death::ALL {
            let step = step(5);
            let mut deaths = 0;
            for point in (0..POINTS_MAX).step_by(usize::try_from(step).unwrap()) {
                let name = format!("{death:?} {point}");
                let mut person = Person::in_memory(&world, &name);
                death.comes_at(&world, &person, point);
                let outcome = person.sync().await;
                let came = death.came(&world, &person).await;
                death.is_over(&mut world, &mut person).await;
                if !came {
                    outcome.unwrap();
                }
                person.hears().await;
                assert!(person.me().registered, "{name}");
                meet(&mut [&mut alice, &mut person]).await;
                let chat = alice.start_chat(person.account()).await.unwrap();
                alice.says(chat, &name).await;
                person.hears().await;
                assert_eq!(person.texts(chat), [name]);
                if !came {
                    break;
                }
                deaths += 1;
            }
            assert!(deaths > 0, "{death:?} never came");
        }
    });
}
