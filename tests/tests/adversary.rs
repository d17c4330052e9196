//! A malicious node of the subnet between a client and the truth, over HTTP: every lie is refused
//! with its own reason or changes nothing, and afterwards everything is delivered exactly once.
#![expect(clippy::unwrap_used, reason = "tests")]

use paigham_client::{ClientError, NotVerified, Notice, QueueId, SyncReport};
use paigham_tests::node::{Lie, Signing, Updates};
use paigham_tests::person::{Person, all_hear, assert_agree, meet};
use paigham_tests::story::{number, story};
use paigham_tests::world::World;

/// How an answer was refused; `None` where nothing was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refusal {
    /// The operation ended.
    Whole(NotVerified),
    /// One conversation could not be brought up to date.
    Conversation(String),
    /// The canister is said to have refused.
    Said(String),
}

fn refusal(outcome: Result<SyncReport, ClientError>) -> Option<Refusal> {
    match outcome {
        Ok(report) => report.notices.into_iter().find_map(|notice| match notice {
            Notice::ConversationFailed(_, why) => Some(Refusal::Conversation(why)),
            _ => None,
        }),
        Err(ClientError::NotVerified(why)) => Some(Refusal::Whole(why)),
        Err(error @ (ClientError::Relay(_) | ClientError::Directory(_))) => {
            Some(Refusal::Said(error.to_string()))
        }
        Err(other) => panic!("a lie led to {other:?}"),
    }
}

/// Two people over HTTP in a chat where both are up to date.
struct Chat {
    world: World,
    alice: Person,
    bob: Person,
    queue: QueueId,
    said: Vec<String>,
}

impl Chat {
    async fn begun() -> Self {
        let world = World::in_memory().await;
        let mut alice = Person::over_http(&world, "Alice").await;
        let mut bob = Person::over_http(&world, "Bob").await;
        meet(&mut [&mut alice, &mut bob]).await;
        let queue = alice.start_chat(bob.account()).await.unwrap();
        all_hear(&mut [&mut alice, &mut bob]).await;
        let mut chat = Self {
            world,
            alice,
            bob,
            queue,
            said: Vec::new(),
        };
        chat.alice_writes(3).await;
        all_hear(&mut [&mut chat.alice, &mut chat.bob]).await;
        chat
    }

    /// Through an honest node, in one batch.
    async fn alice_writes(&mut self, count: usize) {
        self.world.node().behaves();
        let texts: Vec<_> = (0..count)
            .map(|_| {
                self.said.push(format!("text {}", self.said.len()));
                self.said[self.said.len() - 1].clone()
            })
            .collect();
        self.alice.send_all(self.queue, &texts).await.unwrap();
    }

    /// Through an honest node, everything is there once and in order.
    async fn is_whole(&mut self) {
        self.world.node().behaves();
        // What went wrong before is told with the next report.
        self.alice.take_notices();
        self.bob.take_notices();
        all_hear(&mut [&mut self.bob, &mut self.alice]).await;
        assert_eq!(self.bob.texts(self.queue), self.said);
        assert_eq!(self.alice.texts(self.queue), self.said);
        assert_agree(self.queue, &[&self.alice, &self.bob]);
    }
}

/// What Bob must find in each lie about the queue; the words are those of the `NotVerified` variant
/// in the comment.
fn expected(lie: &Lie) -> &'static str {
    match lie {
        // Chain: the entries go beyond the older certified head.
        Lie::OlderProof => "do not lead to the certified head",
        // Older.
        Lie::OlderReply => "older than what was seen before",
        // True, certified a moment ago, and short: that is what a node that is behind says.
        Lie::LaggingReply => "",
        // Certificate.
        Lie::ForeignCertificate => "the certificate is that of another canister",
        // Order.
        Lie::EntryExpired | Lie::EntryDropped | Lie::EntriesSwapped | Lie::EntryReplayed => {
            " is due"
        }
        // Chain.
        Lie::EntriesRenumbered => "do not lead to the certified head",
        // Malformed: what is certified to be there was not given.
        Lie::HeadWithheld | Lie::AllWithheld | Lie::Refused | Lie::Truncated => {
            "malformed answer to fetch"
        }
        Lie::FlippedByte { .. } => panic!("changed bytes have a story of their own"),
        _ => panic!("lies about commits have a story of their own"),
    }
}

/// The node tells Bob each lie about new entries, well signed. He refuses it, shows nothing of it,
/// and has everything once the node is honest again.
#[test]
fn each_lie_of_a_node_is_refused() {
    story(async || {
        let mut chat = Chat::begun().await;
        for lie in Lie::ALL {
            let lies = chat.world.node().counts().lies;
            chat.alice_writes(3).await;
            let before = chat.bob.lines(chat.queue);
            chat.world.node().tells(lie.clone());
            let refused = refusal(chat.bob.sync().await);
            assert!(
                chat.world.node().counts().lies > lies,
                "{lie:?} was not told"
            );
            match refused {
                None => assert_eq!(lie, Lie::LaggingReply, "was believed"),
                Some(Refusal::Whole(why)) => {
                    let why = why.to_string();
                    assert!(why.contains(expected(&lie)), "{lie:?}: {why}");
                }
                Some(Refusal::Conversation(why)) => {
                    assert!(why.contains(expected(&lie)), "{lie:?}: {why}");
                }
                Some(Refusal::Said(why)) => panic!("{lie:?}: {why}"),
            }
            // What was shown is true: a prefix of what was said, and no line of before is gone.
            let shown = chat.bob.texts(chat.queue);
            assert!(chat.said.starts_with(&shown), "{lie:?}: {shown:?}");
            assert!(chat.bob.lines(chat.queue).starts_with(&before), "{lie:?}");
            chat.is_whole().await;
        }
    });
}

/// The same lies by somebody who has no key of a node: all of them fail at the node's signature.
#[test]
fn without_a_nodes_key_every_lie_fails_at_the_signature() {
    story(async || {
        let mut chat = Chat::begun().await;
        for lie in Lie::ALL {
            chat.alice_writes(3).await;
            let before = chat.bob.lines(chat.queue);
            chat.world.node().signs(Signing::LeftAsItWas);
            chat.world.node().tells(lie.clone());
            let refused = refusal(chat.bob.sync().await);
            let expected = Some(Refusal::Whole(NotVerified::NodeSignature));
            assert_eq!(refused, expected, "{lie:?}");
            assert_eq!(chat.bob.lines(chat.queue), before, "{lie:?}");
        }
        chat.is_whole().await;
    });
}

/// One byte of what the node answers is changed, at places all over each kind of answer that a
/// client reads in a chat: entries, inbox, look-up, and the certificates of updates. It is refused,
/// or changes nothing.
#[test]
fn no_changed_byte_is_believed() {
    story(async || {
        let mut chat = Chat::begun().await;
        let of = number("PAIGHAM_BYTES", 48);
        let mut refused = 0;
        for part in 0..of {
            chat.alice_writes(1).await;
            for method in ["read_inbox", "fetch"] {
                chat.world
                    .node()
                    .tells(Lie::FlippedByte { method, part, of });
                let outcome = refusal(chat.bob.sync().await);
                refused += usize::from(outcome.is_some());
                let shown = chat.bob.texts(chat.queue);
                assert!(chat.said.starts_with(&shown), "{method} {part}: {shown:?}");
            }
            let bob = chat.bob.account();
            chat.world.node().tells(Lie::FlippedByte {
                method: "lookup",
                part,
                of,
            });
            let outcome = chat.alice.add_contact("Bob", bob).await;
            let outcome = refusal(outcome.map(|_| SyncReport::default()));
            refused += usize::from(outcome.is_some());

            chat.world.node().tells(Lie::FlippedByte {
                method: "append_batch",
                part,
                of,
            });
            chat.said.push(format!("text {}", chat.said.len()));
            let text = chat.said[chat.said.len() - 1].clone();
            let outcome = chat.alice.send(chat.queue, &text).await;
            assert!(
                matches!(
                    outcome,
                    Err(ClientError::NotVerified(NotVerified::Agent(_)))
                ),
                "{part}: {outcome:?}"
            );
            chat.is_whole().await;
        }
        assert_eq!(refused, 3 * of, "a changed byte was overlooked");
    });
}

/// Carol is added to a group, and the node changes a byte of what she needs to join, at places all
/// over: her inbox, the Welcome, the first entries. She joins once, by the honest answer.
#[test]
fn a_forged_invitation_is_refused() {
    story(async || {
        let mut chat = Chat::begun().await;
        let mut carol = Person::over_http(&chat.world, "Carol").await;
        meet(&mut [&mut chat.alice, &mut carol]).await;
        let group = chat
            .alice
            .create_group("forged", &[carol.account()])
            .await
            .unwrap();
        chat.alice.says(group, "to Carol").await;
        let of = number("PAIGHAM_BYTES", 48);
        for method in ["read_inbox", "welcome", "fetch"] {
            for part in 0..of {
                chat.world
                    .node()
                    .tells(Lie::FlippedByte { method, part, of });
                match carol.sync().await {
                    Ok(report) => assert!(report.arrived.is_empty(), "{method} {part}"),
                    Err(ClientError::NotVerified(_) | ClientError::Relay(_)) => {}
                    Err(other) => panic!("{method} {part}: {other:?}"),
                }
                assert!(
                    carol.find_conversation("forged").is_err(),
                    "{method} {part}"
                );
            }
            // The next step of joining is reached through an honest answer to this one only.
            chat.world.node().behaves();
            if method == "fetch" {
                carol.hears().await;
            }
        }
        assert_eq!(carol.texts(group), ["to Carol"]);
        all_hear(&mut [&mut chat.alice, &mut carol]).await;
        assert_agree(group, &[&chat.alice, &carol]);
        chat.is_whole().await;
    });
}

/// The node passes every update on twice, the second time as a call of its own, and loses every
/// other answer: each text is there once, each commit counts once.
#[test]
fn repeated_and_lost_updates_change_nothing() {
    story(async || {
        let mut chat = Chat::begun().await;
        let epoch = chat.alice.conversation(chat.queue).unwrap().epoch;
        for (round, updates) in (0..).zip([Updates::Twice, Updates::TwiceAnew, Updates::TwiceAnew])
        {
            chat.world.node().passes_updates(updates);
            chat.said.push(format!("text {}", chat.said.len()));
            let text = chat.said[chat.said.len() - 1].clone();
            if round == 2 {
                chat.world.node().loses_replies(1);
                match chat.alice.send(chat.queue, &text).await {
                    Ok(line) => assert_eq!(line.verified, None),
                    Err(error) => assert!(matches!(error, ClientError::Unreachable(_)), "{error}"),
                }
            } else {
                chat.alice.says(chat.queue, &text).await;
            }
            chat.alice.sync().await.unwrap();
            chat.alice.renew_keys(chat.queue).await.unwrap();
            assert_eq!(
                chat.alice.conversation(chat.queue).unwrap().epoch,
                epoch + round + 1
            );
        }
        chat.is_whole().await;
    });
}
