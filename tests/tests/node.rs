//! The kit itself, told without clients: the malicious node can say anything and certify nothing,
//! and what is not changed arrives as it was.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use ic_agent::AgentError;
use paigham_tests::bare::{BareAgent, BareQueue};
use paigham_tests::flaky::{FlakyTransport, Moment};
use paigham_tests::node::{Lie, Signing, Updates};
use paigham_tests::story::{number, story};
use paigham_tests::world::World;
use paigham_wire::relay::PostOutcome;

const TEXTS: [&str; 4] = ["one", "two", "تین", "four"];

/// A queue with a commit and four posts; the node has seen an older state of it, and the directory.
async fn told_queue(world: &World) -> BareQueue {
    let agent = BareAgent::over_http(world);
    let queue = agent.make_queue().await;
    agent.shards().await.unwrap();
    for (after, text) in TEXTS.iter().enumerate() {
        let post = queue.sealed(text, u32::try_from(after).unwrap() + 1);
        let outcome = queue.append(&post).await.unwrap();
        assert!(matches!(outcome, PostOutcome::Accepted(_)), "{outcome:?}");
        queue.check(&queue.fetch(1).await.unwrap()).unwrap();
    }
    queue
}

fn texts(queue: &BareQueue, answer: &[u8]) -> Vec<String> {
    let entries = queue.check(answer).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    entries[1..]
        .iter()
        .map(|entry| text(entry.envelope.as_slice()))
        .collect()
}

/// An honest node: an unmodified agent verifies its signature, and certificate, witness and chain
/// hold, over HTTP and in process alike. Each request passes once.
#[test]
fn an_honest_node_passes_everything_on() {
    story(async || {
        let world = World::in_memory().await;
        let queue = told_queue(&world).await;
        assert_eq!(texts(&queue, &queue.fetch(1).await.unwrap()), TEXTS);
        let counts = world.node().counts();
        // The beacon is asked for until there is one.
        assert!(counts.queries >= 7, "{counts:?}");
        assert_eq!((counts.updates, counts.lies), (6, 0), "{counts:?}");
        BareAgent::in_process(&world).ping().await;
        assert_eq!(world.node().counts().updates, 7);
    });
}

/// The node changes an answer and signs it: the agent accepts it, as it must, and the protocol's
/// own checks refuse it. Whole older replies alone hold: they were true once, and are
/// short.
#[test]
fn a_signed_lie_passes_the_agent_and_fails_the_protocol() {
    story(async || {
        let world = World::in_memory().await;
        let queue = told_queue(&world).await;
        let honest = queue.fetch(1).await.unwrap();
        let expected = [
            (Lie::OlderProof, Err("chain")),
            (Lie::OlderReply, Ok(2)),
            (Lie::LaggingReply, Ok(TEXTS.len())),
            (Lie::ForeignCertificate, Err("certificate")),
            (Lie::EntryExpired, Err("order")),
            (Lie::EntryDropped, Err("order")),
            (Lie::EntriesSwapped, Err("order")),
            (Lie::EntryReplayed, Err("order")),
            (Lie::EntriesRenumbered, Err("chain")),
            (Lie::HeadWithheld, Err("chain")),
            (Lie::AllWithheld, Err("chain")),
            (Lie::Refused, Err("items")),
            (Lie::Truncated, Err("reply")),
        ];
        assert_eq!(expected.clone().map(|(lie, _)| lie), Lie::ALL);
        for (lie, outcome) in expected {
            world.node().tells(lie.clone());
            let told = queue.fetch(1).await.unwrap();
            assert_ne!(told, honest, "{lie:?}");
            let checked = queue.check(&told).map(|entries| entries.len());
            assert_eq!(checked, outcome, "{lie:?}");
        }
        assert_eq!(world.node().counts().lies, Lie::ALL.len() as u64);
        world.node().behaves();
        assert_eq!(texts(&queue, &queue.fetch(1).await.unwrap()), TEXTS);
    });
}

/// Any byte of an answer is changed, one at a time: the signed answer never holds. All bytes with
/// `PAIGHAM_BYTES=100000`, each fifth or so without.
#[test]
fn no_byte_of_a_signed_answer_is_free() {
    story(async || {
        let world = World::in_memory().await;
        let queue = told_queue(&world).await;
        let honest = texts(&queue, &queue.fetch(1).await.unwrap());
        let bytes = queue.fetch(1).await.unwrap().len();
        let of = bytes.min(number("PAIGHAM_BYTES", 300));
        for part in 0..of {
            world.node().tells(Lie::FlippedByte {
                method: "fetch",
                part,
                of,
            });
            let told = queue.fetch(1).await.unwrap();
            assert!(queue.check(&told).is_err(), "byte {part} of {of} is free");
        }
        assert_eq!(world.node().counts().lies, of as u64);
        world.node().behaves();
        assert_eq!(texts(&queue, &queue.fetch(1).await.unwrap()), honest);
    });
}

/// Somebody between client and node changes answers and cannot sign: the agent itself refuses.
#[test]
fn without_the_nodes_key_the_agent_refuses() {
    story(async || {
        let world = World::in_memory().await;
        let queue = told_queue(&world).await;
        world.node().signs(Signing::LeftAsItWas);
        for lie in Lie::ALL {
            world.node().tells(lie.clone());
            let refused = queue.fetch(1).await.unwrap_err();
            assert!(
                matches!(refused, AgentError::QuerySignatureVerificationFailed),
                "{lie:?}: {refused}"
            );
        }
    });
}

/// The certificate over an update's answer is changed anywhere: the agent refuses it, or what it
/// says is still the truth (CBOR has more than one spelling of some things, and the agent reads
/// them all: a label as text where it was bytes, say). What was asked is done all the same, which
/// is why everything may be repeated.
#[test]
fn a_changed_certificate_of_an_update_says_nothing_untrue() {
    story(async || {
        let world = World::in_memory().await;
        let queue = told_queue(&world).await;
        let post = queue.sealed("five", 5);
        let PostOutcome::Accepted(truth) = queue.append(&post).await.unwrap() else {
            panic!("the first of its kind is accepted");
        };
        let mut refused = 0;
        for part in 0..32 {
            world.node().tells(Lie::FlippedByte {
                method: "append_batch",
                part,
                of: 32,
            });
            match queue.append(&post).await {
                Ok(told) => assert_eq!(told, PostOutcome::Repeat(truth), "part {part}"),
                Err(_) => refused += 1,
            }
        }
        assert!(refused >= 24, "a certificate is mostly hashes: {refused}");
        world.node().behaves();
        let outcome = queue.append(&post).await.unwrap();
        assert_eq!(outcome, PostOutcome::Repeat(truth));
        let entries = queue.check(&queue.fetch(1).await.unwrap()).unwrap();
        assert_eq!(entries.len(), 6);
    });
}

/// The node passes each call on twice, as the same and as another one: the relay stores once.
#[test]
fn repeated_updates_are_stored_once() {
    story(async || {
        let world = World::in_memory().await;
        let queue = told_queue(&world).await;
        for (updates, after) in [(Updates::Twice, 5), (Updates::TwiceAnew, 6)] {
            world.node().passes_updates(updates);
            let outcome = queue.append(&queue.sealed("once", after)).await.unwrap();
            let entries = queue.check(&queue.fetch(1).await.unwrap()).unwrap();
            assert_eq!(entries.len(), after as usize + 1, "{updates:?}");
            match (updates, outcome) {
                (Updates::TwiceAnew, PostOutcome::Repeat(_)) => {}
                (Updates::Twice, PostOutcome::Accepted(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    });
}

/// An answer is lost and the call repeated; the node is slow; the network dies and comes back. The
/// same agent goes on over the same address.
#[test]
fn losses_and_restarts_are_survived() {
    story(async || {
        let mut world = World::in_memory().await;
        let queue = told_queue(&world).await;
        let post = queue.sealed("lost", 5);
        world.node().loses_replies(1);
        queue.append(&post).await.unwrap_err();
        world.node().waits(Duration::from_millis(50));
        let started = Instant::now();
        let outcome = queue.append(&post).await.unwrap();
        assert!(started.elapsed() >= Duration::from_millis(50));
        assert!(matches!(outcome, PostOutcome::Repeat(_)), "{outcome:?}");
        world.node().behaves();
        world.kill();
        queue.fetch(1).await.unwrap_err();
        world.start().await;
        let entries = queue.check(&queue.fetch(1).await.unwrap()).unwrap();
        assert_eq!(entries.len(), 6);
    });
}

/// A transport dies before a request: the subnet knows nothing of it. After one: it was done.
#[test]
fn a_flaky_transport_dies_where_it_was_told() {
    story(async || {
        let world = World::in_memory().await;
        let flaky = FlakyTransport::new(world.in_process());
        let transport = std::sync::Arc::new(flaky.clone());
        let queue = BareAgent::new(&world, Some(transport)).make_queue().await;
        for (moment, stored) in [(Moment::Before, 1), (Moment::After, 2)] {
            let before = flaky.requests();
            let post = queue.sealed("around a death", 1);
            flaky.dies(moment, 0);
            queue.append(&post).await.unwrap_err();
            assert!(flaky.is_dead());
            assert_eq!(flaky.requests(), before + 1);
            queue.fetch(1).await.unwrap_err();
            flaky.restart();
            let entries = queue.check(&queue.fetch(1).await.unwrap()).unwrap();
            assert_eq!(entries.len(), stored, "{moment:?}");
        }
    });
}

/// Time passes as a test says, and the subnet certifies it at once.
#[test]
fn time_passes_under_a_manual_clock() {
    story(async || {
        let world = World::with_manual_clock().await;
        let agent = BareAgent::in_process(&world);
        let queue = agent.make_queue().await;
        for hour in 1..=3 {
            world.pass(Duration::from_secs(3_600)).await;
            let outcome = queue.append(&queue.sealed("later", hour)).await.unwrap();
            assert!(matches!(outcome, PostOutcome::Accepted(_)), "{outcome:?}");
        }
        let entries = queue.check(&queue.fetch(1).await.unwrap()).unwrap();
        // The clock also runs as the one outside does.
        let passed = Duration::from_nanos(entries[3].accepted_at - entries[0].accepted_at);
        let three_hours = Duration::from_secs(3 * 3_600);
        assert!((three_hours..three_hours + Duration::from_secs(600)).contains(&passed));
    });
}
