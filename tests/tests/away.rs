//! Devices that were away for longer than the relay keeps posts: they read on, and say what is
//! lost; for longer than it keeps commits: they say that they cannot follow.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use paigham_client::{Body, ClientError, MessageView, Notice, QueueId, Standing};
use paigham_tests::flaky::Moment;
use paigham_tests::node::{Lie, MaliciousNode};
use paigham_tests::person::{Person, all_hear, assert_agree, meet};
use paigham_tests::story::story;
use paigham_tests::world::World;

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// When the stories begin: the longest ends before this machine's present.
const AGO: Duration = Duration::from_secs(100 * 24 * 3_600);
/// Requests of one operation, more than there are.
const REQUESTS_MAX: u64 = 40;

/// Four people; three are in a group, the fourth is not yet.
struct Circle {
    world: World,
    alice: Person,
    bob: Person,
    carol: Person,
    dan: Person,
    group: QueueId,
}

impl Circle {
    async fn begun() -> Self {
        let world = World::long_ago(AGO).await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        let mut carol = Person::registered(&world, "Carol").await;
        let mut dan = Person::registered(&world, "Dan").await;
        meet(&mut [&mut alice, &mut bob, &mut carol, &mut dan]).await;
        let others = [bob.account(), carol.account()];
        let group = alice.create_group("tea", &others).await.unwrap();
        all_hear(&mut [&mut alice, &mut bob, &mut carol]).await;
        Self {
            world,
            alice,
            bob,
            carol,
            dan,
            group,
        }
    }

    /// Every day of a month and more Alice or Bob writes, and sometimes one of them changes the
    /// group. Returns what was written.
    async fn a_month_passes(&mut self) -> Vec<String> {
        let dan = [self.dan.account()];
        let mut said = Vec::new();
        for day in 1..=40 {
            self.world.pass(DAY).await;
            match day {
                // Two removals: the commits come in three parts, each under a read token of its own.
                3 | 7 => self.alice.add_members(self.group, &dan).await.unwrap(),
                5 => self.bob.renew_keys(self.group).await.unwrap(),
                6 | 8 => self.alice.remove_members(self.group, &dan).await.unwrap(),
                20 => {
                    let bob = self.bob.account();
                    self.alice.make_admin(self.group, bob).await.unwrap();
                }
                35 => self.bob.renew_keys(self.group).await.unwrap(),
                _ => {}
            }
            let text = format!("day {day}");
            let writer = if day % 2 == 0 {
                &mut self.bob
            } else {
                &mut self.alice
            };
            writer.says(self.group, &text).await;
            said.push(text);
            self.alice.hears().await;
            self.bob.hears().await;
        }
        self.expiry_has_run().await;
        said
    }

    /// The relay gives back what has had its time, in the rounds of half a day.
    async fn expiry_has_run(&self) {
        for _ in 0..12 {
            self.world.pass(DAY / 24).await;
        }
    }
}

fn expired(lines: &[MessageView]) -> Vec<(u32, u64, u64)> {
    lines
        .iter()
        .filter_map(|line| match line.body {
            Body::Expired {
                count,
                after_ns,
                before_ns,
            } => Some((count, after_ns, before_ns)),
            _ => None,
        })
        .collect()
}

fn accepted_at(line: &MessageView) -> u64 {
    line.verified.unwrap().accepted_at
}

/// All changes of the group, without what was said in between.
fn changes(person: &Person, group: QueueId) -> Vec<(Option<paigham_client::AccountId>, Body)> {
    person
        .lines(group)
        .into_iter()
        .filter(|line| {
            matches!(
                line.body,
                Body::Members { .. } | Body::KeysRenewed | Body::PolicyChanged
            )
        })
        .map(|line| (line.from, line.body))
        .collect()
}

/// Carol is away for forty days, in which others write and change the group. What was written in
/// the first days has expired: one line says so, and from when to when. Every change of the group is
/// there, what is retained is there in order, and she writes on.
#[test]
fn who_was_away_for_a_month_reads_on() {
    story(async || {
        let mut circle = Circle::begun().await;
        circle.alice.says(circle.group, "before").await;
        circle.carol.hears().await;
        let said = circle.a_month_passes().await;

        let report = circle.carol.hears().await;
        circle.alice.hears().await;
        let (carol, group) = (&circle.carol, circle.group);
        let lines = carol.lines(group);
        let lost = expired(&lines);
        let [(count, after_ns, before_ns)] = lost[..] else {
            panic!("{lost:?}");
        };
        let texts = carol.texts(group);
        assert_eq!(texts[0], "before");
        assert!(said.ends_with(&texts[1..]), "{texts:?}");
        // Not a day more than had to go is lost, and each of them is counted.
        assert!((28..=31).contains(&(texts.len() - 1)), "{texts:?}");
        assert_eq!(count as usize, said.len() - (texts.len() - 1));
        assert_eq!(changes(carol, group), changes(&circle.alice, group));
        // Her keys were as old as her absence.
        let renewal = (Some(carol.account()), Body::KeysRenewed);
        assert_eq!(changes(carol, group).last(), Some(&renewal));
        // The line stands where the loss began; its dates embrace what is lost and nothing else.
        let at = |body: &dyn Fn(&Body) -> bool| lines.iter().position(|line| body(&line.body));
        let loss = at(&|body| matches!(body, Body::Expired { .. })).unwrap();
        let before = at(&|body| *body == Body::Text("before".into())).unwrap();
        assert_eq!(loss, before + 1);
        assert_eq!(after_ns, accepted_at(&lines[before]));
        let first = at(&|body| *body == Body::Text(texts[1].clone())).unwrap();
        assert!(before_ns <= accepted_at(&lines[first]));
        let alices = circle.alice.lines(group);
        let missed = said.len() - (texts.len() - 1);
        for text in &said[..missed] {
            let line = alices
                .iter()
                .find(|line| line.body == Body::Text(text.clone()))
                .unwrap();
            assert!((after_ns..=before_ns).contains(&accepted_at(line)));
        }
        // She was told of each line that is new to her, once.
        let told: Vec<_> = report
            .arrived
            .iter()
            .map(|arrived| arrived.message.clone())
            .collect();
        assert_eq!(told, lines[before + 1..]);

        circle.carol.says(group, "what did I miss?").await;
        all_hear(&mut [&mut circle.alice, &mut circle.bob, &mut circle.carol]).await;
        assert_agree(group, &[&circle.alice, &circle.bob, &circle.carol]);
        for person in [&circle.alice, &circle.bob, &circle.carol] {
            assert_eq!(person.texts(group).last().unwrap(), "what did I miss?");
        }
        // Nothing of it was for this start only.
        let lines = circle.carol.lines(group);
        circle.carol.reopens(&circle.world.file());
        circle.carol.hears().await;
        assert_eq!(circle.carol.lines(group), lines);
    });
}

/// Carol's machine dies at each point of each batch that it writes while she crosses what expired.
/// Wherever it was, she has the same in the end, and nothing twice.
#[test]
fn who_dies_on_the_way_across_goes_on() {
    story(async || {
        let mut circle = Circle::begun().await;
        circle.alice.says(circle.group, "before").await;
        circle.carol.hears().await;
        circle.a_month_passes().await;
        let file = circle.world.file();
        let mut deaths = 0;
        // Each start dies a little later than the one before, until one comes through.
        loop {
            circle.carol.disk().crash_at(deaths);
            let outcome = circle.carol.sync().await;
            let died = circle.carol.disk().is_dead();
            circle.carol.reopens(&file);
            if !died {
                outcome.unwrap();
                break;
            }
            deaths += 1;
        }
        assert!(deaths > 3, "{deaths}");
        all_hear(&mut [&mut circle.carol, &mut circle.alice]).await;
        let lines = circle.carol.lines(circle.group);
        assert_eq!(expired(&lines).len(), 1);
        assert_eq!(
            changes(&circle.carol, circle.group),
            changes(&circle.alice, circle.group)
        );
        let texts = circle.carol.texts(circle.group);
        assert!(circle.alice.texts(circle.group).ends_with(&texts[1..]));
        assert_agree(circle.group, &[&circle.alice, &circle.carol]);
    });
}

/// What a node answers in place of commits to Carol, who needs them: each lie is refused with its
/// reason and nothing false is taken. Afterwards an honest node leads her across.
#[test]
fn each_lie_about_commits_is_refused() {
    story(async || {
        let mut circle = Circle::begun().await;
        // The node knows commits of another queue.
        let chat = circle.alice.start_chat(circle.bob.account()).await.unwrap();
        circle.bob.hears().await;
        circle.alice.renew_keys(chat).await.unwrap();
        circle.bob.hears().await;
        circle.a_month_passes().await;
        for lie in Lie::ABOUT_COMMITS {
            let before = circle.carol.lines(circle.group);
            let lies = circle.world.node().counts().lies;
            circle.world.node().tells(lie.clone());
            let report = circle.carol.sync().await.unwrap();
            assert!(
                circle.world.node().counts().lies > lies,
                "{lie:?} was not told"
            );
            let why = report.notices.iter().find_map(|notice| match notice {
                Notice::ConversationFailed(_, why) => Some(why.as_str()),
                _ => None,
            });
            let why = why.unwrap_or_else(|| panic!("{lie:?} was believed"));
            assert!(why.contains(expected(&lie)), "{lie:?}: {why}");
            // What was taken is true.
            assert!(circle.carol.lines(circle.group).starts_with(&before));
            let believed = changes(&circle.carol, circle.group);
            assert!(
                changes(&circle.alice, circle.group).starts_with(&believed),
                "{lie:?}: {believed:?}"
            );
            circle.world.node().behaves();
        }
        all_hear(&mut [&mut circle.carol, &mut circle.alice]).await;
        assert_eq!(
            changes(&circle.carol, circle.group),
            changes(&circle.alice, circle.group)
        );
        assert_agree(circle.group, &[&circle.alice, &circle.carol]);
    });
}

/// The words of the `NotVerified` variant in the comment.
fn expected(lie: &Lie) -> &'static str {
    match lie {
        // CommitOrder.
        Lie::CommitExpired | Lie::CommitDropped | Lie::CommitsSwapped | Lie::CommitReplayed => {
            "the commit that starts epoch"
        }
        // CommitChain.
        Lie::CommitRedated => "do not lead to the certified commit head",
        Lie::ForeignCommit => "an entry of another queue",
        // Malformed: what is certified to be there was not given.
        Lie::CommitsWithheld | Lie::NewestCommitWithheld | Lie::EntriesForCommits => {
            "malformed answer to fetch"
        }
        other => panic!("{other:?} is told elsewhere"),
    }
}

/// Which request of a send carries the text.
async fn carrying_request(person: &mut Person, queue: QueueId, node: &MaliciousNode) -> u64 {
    let before = person.transport().requests();
    person.says(queue, "arrives").await;
    let requests = person.transport().requests() - before;
    for at in (0..requests).rev() {
        let before = node.calls_of("append_batch");
        person.transport().dies(Moment::Before, at);
        person.send(queue, "arrives as well").await.unwrap();
        person.transport().restart();
        let arrived = node.calls_of("append_batch") > before;
        person.hears().await;
        if !arrived {
            return at;
        }
    }
    panic!("nothing was sent");
}

/// Bob's text was taken by the relay, Dan's commit too, and neither heard of it; Carol's text never
/// arrived. After a month nobody can tell whether Bob's text was delivered: it is sent again, as
/// the table of `spec/client.md` says. The commit is found among the commits, and not made again.
#[test]
fn what_was_on_its_way_keeps_to_the_table() {
    story(async || {
        let mut circle = Circle::begun().await;
        let (group, dan) = (circle.group, [circle.dan.account()]);
        circle.alice.add_members(group, &dan).await.unwrap();
        circle.dan.hears().await;
        let chat = circle
            .carol
            .start_chat(circle.alice.account())
            .await
            .unwrap();
        all_hear(&mut [
            &mut circle.alice,
            &mut circle.bob,
            &mut circle.carol,
            &mut circle.dan,
        ])
        .await;
        let node = circle.world.node().clone();
        // Bob's answer is lost.
        let before = node.calls_of("append_batch");
        let mut at = 0;
        while node.calls_of("append_batch") == before {
            assert!(at < REQUESTS_MAX, "nothing was sent");
            circle.bob.transport().dies(Moment::After, at);
            if circle.bob.has_text(group, "Bob's") {
                drop(circle.bob.sync().await);
            } else {
                drop(circle.bob.send(group, "Bob's").await);
            }
            circle.bob.reopens(&circle.world.file());
            at += 1;
        }
        // Dan's answer is lost.
        let before = node.calls_of("submit_commit");
        let mut at = 0;
        while node.calls_of("submit_commit") == before {
            assert!(at < REQUESTS_MAX, "nothing was sent");
            circle.dan.transport().dies(Moment::After, at);
            if at == 0 {
                drop(circle.dan.renew_keys(group).await);
            } else {
                drop(circle.dan.sync().await);
            }
            circle.dan.reopens(&circle.world.file());
            at += 1;
        }
        // Carol's texts are sealed and do not arrive, in the group and in a chat.
        let at = carrying_request(&mut circle.carol, chat, &node).await;
        let before = node.calls_of("append_batch");
        for queue in [group, chat] {
            circle.carol.transport().dies(Moment::Before, at);
            let line = circle.carol.send(queue, "Carol's").await.unwrap();
            assert_eq!(line.verified, None);
            circle.carol.transport().restart();
        }
        assert_eq!(node.calls_of("append_batch"), before);
        circle.alice.hears().await;
        assert!(circle.alice.has_text(group, "Bob's"));
        assert!(!circle.alice.has_text(group, "Carol's"));
        for day in 1..=35 {
            circle.world.pass(DAY).await;
            if day == 10 {
                circle.alice.renew_keys(group).await.unwrap();
            }
            circle.alice.says(group, &format!("day {day}")).await;
            circle.alice.says(chat, &format!("day {day}")).await;
        }
        circle.expiry_has_run().await;
        let epoch = circle.alice.conversation(group).unwrap().epoch;
        for person in [&mut circle.bob, &mut circle.carol, &mut circle.dan] {
            person.hears().await;
        }
        all_hear(&mut [
            &mut circle.alice,
            &mut circle.bob,
            &mut circle.carol,
            &mut circle.dan,
        ])
        .await;
        let people = [&circle.alice, &circle.bob, &circle.carol, &circle.dan];
        assert_agree(group, &people);
        // Each of the three renewed its keys on its return, and that is all.
        assert_eq!(circle.alice.conversation(group).unwrap().epoch, epoch + 3);
        let count = |person: &Person, queue, wanted: &str| {
            let texts = person.texts(queue);
            texts.iter().filter(|text| *text == wanted).count()
        };
        assert_eq!(count(&circle.alice, group, "Bob's"), 2);
        assert_eq!(count(&circle.bob, group, "Bob's"), 1);
        for queue in [group, chat] {
            assert_eq!(count(&circle.alice, queue, "Carol's"), 1);
            assert_eq!(count(&circle.carol, queue, "Carol's"), 1);
        }
        let renewals = changes(&circle.dan, group);
        let own = (Some(circle.dan.account()), Body::KeysRenewed);
        assert_eq!(renewals.iter().filter(|change| **change == own).count(), 2);
    });
}

/// Dan is added while he is away, and comes after more than a month: the commit that he joined by
/// has expired as an entry and not as a commit.
#[test]
fn an_invitation_is_taken_up_after_a_month() {
    story(async || {
        let mut circle = Circle::begun().await;
        let dan = [circle.dan.account()];
        circle.alice.add_members(circle.group, &dan).await.unwrap();
        for day in 1..=35 {
            circle.world.pass(DAY).await;
            if day == 4 {
                circle.alice.renew_keys(circle.group).await.unwrap();
            }
            circle.alice.says(circle.group, &format!("day {day}")).await;
        }
        circle.expiry_has_run().await;
        circle.dan.hears().await;
        let lines = circle.dan.lines(circle.group);
        assert_eq!(lines[0].body, Body::Joined);
        assert!(matches!(lines[1].body, Body::Expired { .. }), "{lines:?}");
        assert_eq!(expired(&lines).len(), 1);
        let texts = circle.dan.texts(circle.group);
        assert!(circle.alice.texts(circle.group).ends_with(&texts));
        assert!(texts.len() >= 28, "{texts:?}");
        circle.dan.says(circle.group, "late").await;
        all_hear(&mut [&mut circle.alice, &mut circle.dan]).await;
        assert_agree(circle.group, &[&circle.alice, &circle.dan]);
    });
}

/// Carol is away for so long that the commits have expired as well. She is told, loses nothing of
/// what she had, and is back once a member has added her again.
#[test]
fn who_was_away_for_too_long_is_told() {
    story(async || {
        let mut circle = Circle::begun().await;
        let group = circle.group;
        circle.alice.says(group, "before").await;
        circle.carol.hears().await;
        let before = circle.carol.lines(group);
        for _ in 0..19 {
            circle.world.pass(5 * DAY).await;
            circle.alice.renew_keys(group).await.unwrap();
            circle.alice.says(group, "every few days").await;
            circle.bob.hears().await;
        }
        circle.expiry_has_run().await;
        circle.carol.hears().await;
        let view = circle.carol.conversation(group).unwrap();
        assert_eq!(view.standing, Standing::Lapsed);
        let lines = circle.carol.lines(group);
        assert!(lines.starts_with(&before));
        let added: Vec<_> = lines[before.len()..]
            .iter()
            .map(|line| &line.body)
            .collect();
        assert_eq!(added, [&Body::Lapsed]);
        let refused = circle.carol.send(group, "am I here?").await;
        assert!(matches!(refused, Err(ClientError::Away)), "{refused:?}");
        assert!(circle.carol.hears().await.arrived.is_empty(), "told once");

        let carol = [circle.carol.account()];
        circle.alice.remove_members(group, &carol).await.unwrap();
        circle.alice.add_members(group, &carol).await.unwrap();
        circle.alice.says(group, "welcome back").await;
        circle.carol.hears().await;
        let view = circle.carol.conversation(group).unwrap();
        assert_eq!(view.standing, Standing::Open);
        assert_eq!(circle.carol.texts(group), ["before", "welcome back"]);
        circle.carol.says(group, "here I am").await;
        all_hear(&mut [&mut circle.alice, &mut circle.bob, &mut circle.carol]).await;
        assert_agree(group, &[&circle.alice, &circle.bob, &circle.carol]);
    });
}

/// The group falls silent, and everything in it has expired when Bob and Carol look again: one
/// learns what is lost, the other, who has read it all, has lost nothing.
#[test]
fn nothing_may_be_left() {
    story(async || {
        let mut circle = Circle::begun().await;
        let group = circle.group;
        for text in ["one", "two"] {
            circle.alice.says(group, text).await;
        }
        circle.bob.hears().await;
        circle.world.pass(35 * DAY).await;
        circle.expiry_has_run().await;
        let arrived = circle.bob.hears().await.arrived;
        let bodies: Vec<_> = arrived.iter().map(|one| &one.message.body).collect();
        assert_eq!(bodies, [&Body::KeysRenewed], "due since he joined");
        circle.carol.hears().await;
        let lines = circle.carol.lines(group);
        let lost = expired(&lines);
        let [(2, after_ns, before_ns)] = lost[..] else {
            panic!("{lost:?}");
        };
        for line in circle.alice.lines(group) {
            if let Body::Text(_) = line.body {
                assert!((after_ns..=before_ns).contains(&accepted_at(&line)));
            }
        }
        assert!(circle.carol.texts(group).is_empty());
        for person in [&mut circle.carol, &mut circle.bob] {
            let text = format!("{} is here", person.name);
            person.says(group, &text).await;
        }
        all_hear(&mut [&mut circle.alice, &mut circle.bob, &mut circle.carol]).await;
        assert_agree(group, &[&circle.alice, &circle.bob, &circle.carol]);
        assert_eq!(
            circle.alice.texts(group),
            ["one", "two", "Carol is here", "Bob is here"]
        );
    });
}

/// Carol is taken out of the group while she is away, and the removal has expired as an entry. She
/// learns of it from the commits, and of what she could have read before; of nothing behind it.
#[test]
fn who_was_taken_out_meanwhile_is_told() {
    story(async || {
        let mut circle = Circle::begun().await;
        let (group, carol) = (circle.group, [circle.carol.account()]);
        circle.alice.says(group, "for Carol as well").await;
        circle.alice.remove_members(group, &carol).await.unwrap();
        circle.alice.says(group, "not for Carol").await;
        circle.bob.hears().await;
        circle.world.pass(35 * DAY).await;
        circle.expiry_has_run().await;
        let before = circle.carol.lines(group);
        let report = circle.carol.hears().await;
        let view = circle.carol.conversation(group).unwrap();
        assert_eq!(view.standing, Standing::Out);
        let lines = circle.carol.lines(group).split_off(before.len());
        let bodies: Vec<_> = lines.iter().map(|line| &line.body).collect();
        assert!(
            matches!(bodies[..], [Body::Expired { count: 1, .. }, Body::Out]),
            "{bodies:?}"
        );
        let told: Vec<_> = report.arrived.into_iter().map(|one| one.message).collect();
        assert_eq!(told, lines);
        assert!(circle.carol.hears().await.arrived.is_empty(), "told once");
    });
}
