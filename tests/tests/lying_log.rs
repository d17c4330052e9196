//! Logs that lie, each found out by the person whom it lies to: the directory's controller writes
//! its memory anew, the operator announces code that stands still, nodes show one person another
//! log or old answers. Where the log's own signature proves the lie, the home has a file about it
//! which convinces whoever has that and the network file.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use candid::Principal;
use ed25519_dalek::SigningKey;
use paigham_client::{Answer, ClientError, NotVerified, Notice, ProblemKind};
use paigham_lookup::LogTrust;
use paigham_lookup::account::account_label;
use paigham_lookup::evidence::{Evidence, Proved};
use paigham_lookup::finding::Finding;
use paigham_modules::{DIRECTORY, module_hash};
use paigham_tests::bare::BareAgent;
use paigham_tests::controller::{Controller, Memory, directory_of};
use paigham_tests::logged::Logged;
use paigham_tests::node::{Freshness, Instead};
use paigham_tests::person::{Person, all_hear, meet};
use paigham_tests::story::story;
use paigham_tests::thief::with_ghost;
use paigham_tests::world::World;
use paigham_transparency::hash::Label;
use paigham_transparency::structs::PrefixLeaf;
use paigham_wire::codec::encode;
use paigham_wire::identity::IdentityRecord;
use paigham_wire::ids::AccountId;
use paigham_wire::network::CanisterRole;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Alice has a home in a folder, where evidence is kept.
async fn alice_at_home(world: &World) -> Person {
    Person::at_home(world, "Alice", "her passphrase").await.0
}

/// Alice looks an account up.
async fn looks_up(alice: &mut Person, name: &str, account: AccountId) -> Option<Finding> {
    found(alice.add_contact(name, account).await)
}

/// The verdict that an operation ended with; `None` if all was well.
fn found<T>(outcome: Result<T, ClientError>) -> Option<Finding> {
    match outcome {
        Ok(_) => None,
        Err(ClientError::NotVerified(NotVerified::Log(error))) => {
            Some(Finding::of(&error).unwrap())
        }
        Err(other) => panic!("no verdict on the log: {other:?}"),
    }
}

/// What is shown contradicts itself, or makes a root that is not signed: which of the two comes first
/// depends on how much of the log the person knows already.
fn does_not_lead_to_the_root(verdict: Option<Finding>) {
    assert!(
        matches!(verdict, Some(Finding::BadProof | Finding::BadSignature)),
        "{verdict:?}"
    );
}

/// What the files in a home prove to whoever has them and the network file.
fn proved(world: &World, person: &Person) -> Vec<Finding> {
    let trust = LogTrust::of_network(&world.file()).unwrap();
    let problems = person.problems().unwrap().into_iter();
    let reports = problems.map(|problem| {
        let file = std::fs::read(problem.evidence.unwrap()).unwrap();
        Evidence::from_bytes(&file).unwrap().check(&trust)
    });
    reports
        .filter_map(|report| report.proved.iter().find_map(Proved::finding))
        .collect()
}

fn label(account: AccountId) -> Label {
    account_label(account).unwrap()
}

fn now_ms(world: &World) -> u64 {
    let now = BareAgent::in_process(world).now();
    u64::try_from(now.as_millis()).unwrap()
}

async fn newest_record(world: &World, person: &Person) -> IdentityRecord {
    let agent = BareAgent::in_process(world);
    agent.record(person.account()).await.unwrap()
}

/// Logs something without asking anybody, as the controller can.
fn logs(memory: &mut Memory, world: &World, account: AccountId, record: &IdentityRecord) {
    memory.logs(now_ms(world), vec![(label(account), encode(record))]);
}

/// The controller puts a device of its own into Bob's account, without his key. Alice, who talks
/// with him, refuses the record, has the proof, and sends him nothing; Bob's own device refuses it
/// as well.
#[test]
fn a_record_without_authority_is_refused_and_proved() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = alice_at_home(&world).await;
        let mut bob = Person::registered(&world, "Bob").await;
        meet(&mut [&mut alice, &mut bob]).await;
        let chat = alice.start_chat(bob.account()).await.unwrap();
        bob.hears().await;
        let ghost = with_ghost(
            &newest_record(&world, &bob).await,
            &SigningKey::from_bytes(&[9; 32]),
        );
        let controller = Controller::of(&world);
        controller
            .rewrites(|memory| logs(memory, &world, bob.account(), &ghost))
            .await;

        let verdict = looks_up(&mut alice, "Bob", bob.account()).await;
        assert_eq!(verdict, Some(Finding::WrongAuthorisation));
        assert_eq!(proved(&world, &alice), [Finding::WrongAuthorisation]);
        let problems = alice.problems().unwrap();
        assert!(
            problems
                .iter()
                .all(|one| one.account == Some(bob.account()))
        );
        let sent = alice.send(chat, "to whom?").await;
        assert!(
            matches!(sent, Err(ClientError::MemberProblem(who)) if who == bob.account()),
            "{sent:?}"
        );
        bob.reopens(&world.file());
        assert_eq!(found(bob.sync().await), Some(Finding::WrongAuthorisation));
    });
}

/// Bob has given Alice his account id before it is in the log, and the controller makes an account
/// of its own under it. The id is a hash of the keys of the first record: Alice is not taken in,
/// and has the proof.
#[test]
fn another_first_record_is_refused_and_proved() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = alice_at_home(&world).await;
        let bob = Person::in_memory(&world, "Bob");
        let (_, stranger) = Logged::create(7);
        let controller = Controller::of(&world);
        controller
            .rewrites(|memory| logs(memory, &world, bob.account(), &stranger))
            .await;
        let verdict = looks_up(&mut alice, "Bob", bob.account()).await;
        assert_eq!(verdict, Some(Finding::WrongAuthorisation));
        assert_eq!(proved(&world, &alice), [Finding::WrongAuthorisation]);
    });
}

/// Bob rotates his key, and the directory goes on answering with his first record, whose key
/// somebody may have. It cannot show that there is no second one: the proof leads to a leaf of the
/// tree, whatever the answer says. An unsigned answer proves nothing to others.
#[test]
fn a_hidden_version_is_noticed() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = alice_at_home(&world).await;
        let mut carol = Person::registered(&world, "Carol").await;
        let mut bob = Person::registered(&world, "Bob").await;
        assert_eq!(looks_up(&mut alice, "Bob", bob.account()).await, None);
        let owner = bob.confirms();
        bob.rotate(owner).await.unwrap();
        let controller = Controller::of(&world);
        controller
            .rewrites(|memory| memory.hides_newest(&label(bob.account())))
            .await;
        for person in [&mut alice, &mut carol] {
            let verdict = looks_up(person, "Bob", bob.account()).await;
            does_not_lead_to_the_root(verdict);
        }
        assert_eq!(proved(&world, &alice), []);
    });
}

/// The controller changes Bob's record where it is stored: the tree commits to another one. Then it
/// puts the commitment to the changed record into the tree's leaf, too. Either way what Alice is
/// shown does not lead to the root that is signed. An unsigned answer proves nothing to others.
#[test]
fn a_swapped_record_and_a_swapped_commitment_are_refused() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = alice_at_home(&world).await;
        let bob = Person::registered(&world, "Bob").await;
        let record = newest_record(&world, &bob).await;
        let mut other = record.clone();
        other.content.devices[0].leaf_key = [0xee; 32];
        let controller = Controller::of(&world);
        let honest = controller.memory().await;
        let mut swapped = honest.clone();
        // Where it waited until it was published its bytes still lie, too.
        assert!(swapped.replaces(&encode(&record), &encode(&other)) >= 1);
        controller.writes(&swapped).await;
        let verdict = looks_up(&mut alice, "Bob", bob.account()).await;
        does_not_lead_to_the_root(verdict);

        let leaf = swapped.leaf_of(&label(bob.account()));
        let committed = swapped.commits_to(&label(bob.account()), &encode(&other));
        assert_ne!(leaf.commitment, committed);
        let new_leaf = PrefixLeaf {
            commitment: committed,
            ..leaf
        };
        let bytes = |leaf: &PrefixLeaf| [leaf.vrf_output, leaf.commitment].concat();
        assert_eq!(swapped.replaces(&bytes(&leaf), &bytes(&new_leaf)), 1);
        controller.writes(&swapped).await;
        let verdict = looks_up(&mut alice, "Bob", bob.account()).await;
        does_not_lead_to_the_root(verdict);
        assert_eq!(proved(&world, &alice), []);

        controller.writes(&honest).await;
        assert_eq!(looks_up(&mut alice, "Bob", bob.account()).await, None);
    });
}

/// An upgrade writes the history anew: Bob's rotation, which Alice has seen, never was, and the log
/// is longer than before. It cannot be continued from the head that she knows, and the two heads
/// prove it. Nothing is sent before she has seen that.
#[test]
fn a_history_that_an_upgrade_wrote_anew_is_refused_and_proved() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = alice_at_home(&world).await;
        let mut bob = Person::registered(&world, "Bob").await;
        meet(&mut [&mut alice, &mut bob]).await;
        let chat = alice.start_chat(bob.account()).await.unwrap();
        let controller = Controller::of(&world);
        let before = controller.memory().await;
        let owner = bob.confirms();
        bob.rotate(owner).await.unwrap();
        assert_eq!(looks_up(&mut alice, "Bob", bob.account()).await, None);
        controller
            .rewrites(|memory| {
                let entries = memory.entries();
                memory.becomes(&before);
                while memory.entries() <= entries {
                    memory.logs(now_ms(&world), Vec::new());
                }
            })
            .await;
        let verdict = looks_up(&mut alice, "Bob", bob.account()).await;
        assert_eq!(verdict, Some(Finding::Fork));
        assert_eq!(proved(&world, &alice), [Finding::Fork]);
        let sent = alice.send(chat, "which log?").await;
        assert!(matches!(sent, Err(ClientError::LogProblem)), "{sent:?}");
    });
}

/// The directory is set back to an earlier state. It does not know the head that Alice has seen;
/// her client asks as somebody new, and her head and the one that it is shown prove that the log was
/// rolled back: nothing is sent any more. The same at her next start.
#[test]
fn a_rollback_is_refused_and_proved() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = alice_at_home(&world).await;
        let bob = Person::registered(&world, "Bob").await;
        let controller = Controller::of(&world);
        let before = controller.memory().await;
        let carol = Person::registered(&world, "Carol").await;
        assert_eq!(looks_up(&mut alice, "Carol", carol.account()).await, None);
        controller.rewrites(|memory| memory.becomes(&before)).await;
        let refused = alice.add_contact("Bob", bob.account()).await;
        assert!(
            matches!(refused, Err(ClientError::LogProblem)),
            "{refused:?}"
        );
        assert_eq!(proved(&world, &alice), [Finding::Rollback]);
        // At a start the own label is watched first.
        alice.reopens(&world.file());
        let refused = alice.sync().await;
        assert!(
            matches!(refused, Err(ClientError::LogProblem)),
            "{refused:?}"
        );
    });
}

/// A directory that was set back and answers as if Alice had seen nothing before shows her a smaller
/// log than she knows.
#[test]
fn a_smaller_log_is_refused_and_proved() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = alice_at_home(&world).await;
        let bob = Person::registered(&world, "Bob").await;
        let controller = Controller::of(&world);
        let before = controller.memory().await;
        let carol = Person::registered(&world, "Carol").await;
        assert_eq!(looks_up(&mut alice, "Carol", carol.account()).await, None);
        controller.rewrites(|memory| memory.becomes(&before)).await;
        world.node().asks(Instead::HeadForgotten);
        let verdict = looks_up(&mut alice, "Bob", bob.account()).await;
        assert_eq!(verdict, Some(Finding::Rollback));
        assert_eq!(proved(&world, &alice), [Finding::Rollback]);
    });
}

/// The newest entry lies an hour ahead: whatever depends on time would come early. Alice refuses
/// the head, and it is signed.
#[test]
fn an_entry_from_the_future_is_refused_and_proved() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = alice_at_home(&world).await;
        let bob = Person::registered(&world, "Bob").await;
        let ahead = now_ms(&world) + u64::try_from(HOUR.as_millis()).unwrap();
        let controller = Controller::of(&world);
        controller
            .rewrites(|memory| memory.logs(ahead, Vec::new()))
            .await;
        let verdict = looks_up(&mut alice, "Bob", bob.account()).await;
        assert_eq!(verdict, Some(Finding::FutureHead));
        assert_eq!(proved(&world, &alice), [Finding::FutureHead]);
    });
}

/// The directory's module without its timer: nothing is published any more.
fn frozen() -> Vec<u8> {
    let name = b"canister_global_timer";
    let mut module = DIRECTORY.to_vec();
    let place = module.windows(name.len()).position(|part| part == name);
    module[place.unwrap()] = b'C';
    module
}

/// The operator announces a directory that publishes nothing. The subnet goes on certifying its
/// head, each answer is as fresh as can be and says `same`; after a quarter of an hour Alice takes
/// it no more, and the log's own signature proves that it stands still.
#[test]
fn a_frozen_log_is_refused_and_proved() {
    story(async || {
        let mut world = World::with_manual_clock().await;
        let mut alice = alice_at_home(&world).await;
        let bob = Person::registered(&world, "Bob").await;
        let frozen = frozen();
        world.announces(|file| {
            let entries = file.canisters.iter_mut();
            for directory in entries.filter(|entry| entry.role == CanisterRole::Directory) {
                directory.module_hashes.push(module_hash(&frozen).into());
            }
        });
        let directory = directory_of(&world);
        let upgraded = world.network().subnet();
        let upgraded = upgraded.upgrade(directory, &frozen, Vec::new()).await;
        upgraded.unwrap();
        alice.reopens(&world.file());
        assert_eq!(looks_up(&mut alice, "Bob", bob.account()).await, None);
        world.pass_whatever_the_log_does(10 * MINUTE).await;
        assert_eq!(looks_up(&mut alice, "Bob", bob.account()).await, None);
        world.pass_whatever_the_log_does(6 * MINUTE).await;
        let verdict = looks_up(&mut alice, "Bob", bob.account()).await;
        assert_eq!(verdict, Some(Finding::StaleHead));
        assert_eq!(proved(&world, &alice), [Finding::StaleHead]);
    });
}

/// A node answers Alice from a state of six minutes ago: Bob's rotation is not in it. All of it is
/// genuine, and older than five minutes: Alice refuses it. It proves nothing to others, since
/// nobody certifies when an answer arrives.
#[test]
fn a_certificate_older_than_five_minutes_is_refused() {
    story(async || {
        let mut world = World::with_manual_clock().await;
        let mut alice = alice_at_home(&world).await;
        let mut bob = Person::registered(&world, "Bob").await;
        assert_eq!(looks_up(&mut alice, "Bob", bob.account()).await, None);
        world.falls_behind();
        let owner = bob.confirms();
        bob.rotate(owner).await.unwrap();
        world.pass(6 * MINUTE).await;
        world.node().answers_from(Freshness::Behind);
        match alice.add_contact("Bob", bob.account()).await {
            Err(ClientError::NotVerified(NotVerified::StaleCertificate(seconds))) => {
                assert!((300..600).contains(&seconds), "{seconds}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(proved(&world, &alice), []);
        world.node().behaves();
        let notices = async |alice: &mut Person| {
            assert_eq!(looks_up(alice, "Bob", bob.account()).await, None);
            alice.take_notices()
        };
        let changed = Notice::IdentityChanged(bob.account());
        assert!(notices(&mut alice).await.contains(&changed));
    });
}

/// Somebody installs a second directory, puts all of the first one's memory into it, keys included,
/// and has a node answer from it: all the same but whose certificate it is, and that it takes
/// tickets which are not its own.
#[test]
fn the_certificate_of_another_canister_is_refused() {
    story(async || {
        let world = World::in_memory().await;
        let mut alice = alice_at_home(&world).await;
        let bob = Person::registered(&world, "Bob").await;
        let subnet = world.network().subnet();
        let nobody = candid::encode_one(None::<serde_bytes::ByteBuf>).unwrap();
        let twin: Principal = subnet.install(DIRECTORY, nobody, &[]).await.unwrap();
        let memory = Controller::of(&world).memory().await;
        let twins = Controller::on(subnet, twin);
        twins
            .rewrites(|twin| {
                twin.becomes(&memory);
                twin.asks_for_no_work();
            })
            .await;
        world.node().asks(Instead::OtherCanister(twin));
        let told = world.node().counts().lies;
        let verdict = looks_up(&mut alice, "Bob", bob.account()).await;
        assert_eq!(verdict, Some(Finding::OtherCanister));
        assert!(world.node().counts().lies > told);
        assert_eq!(proved(&world, &alice), []);
        world.node().behaves();
        assert_eq!(looks_up(&mut alice, "Bob", bob.account()).await, None);
    });
}

/// Colluding nodes show Bob a log of his own, with a device in Carol's account that nobody else
/// sees. It is well signed and goes on like the true one, so he cannot know. But he and Alice are
/// in a group: what he has seen comes with his words, and her client finds that they were shown two
/// logs. So does his. Both stop sending until they have been told; and when Bob meets an honest
/// node again, the log that it shows does not continue his.
#[test]
fn a_fork_shown_to_one_user_is_found_in_a_group() {
    story(async || {
        let mut world = World::long_ago(30 * DAY).await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        let carol = Person::registered(&world, "Carol").await;
        meet(&mut [&mut alice, &mut bob]).await;
        let group = alice
            .create_group("friends", &[bob.account()])
            .await
            .unwrap();
        all_hear(&mut [&mut alice, &mut bob]).await;

        let ghost = with_ghost(
            &newest_record(&world, &carol).await,
            &SigningKey::from_bytes(&[9; 32]),
        );
        let node = world.forks();
        bob.meets(&node);
        bob.reopens(&world.file());
        let controller = Controller::on(world.fork(), directory_of(&world));
        controller
            .rewrites(|memory| logs(memory, &world, carol.account(), &ghost))
            .await;
        // The entries at which logs are compared lie hours apart.
        for _ in 0..5 {
            world.pass(7 * HOUR).await;
            all_hear(&mut [&mut alice, &mut bob]).await;
        }
        bob.says(group, "all is well here").await;
        alice.says(group, "and here").await;
        for person in [&mut alice, &mut bob] {
            let report = person.sync().await.unwrap();
            let problems = person.problems().unwrap();
            let other_roots = problems
                .iter()
                .find(|one| one.kind == ProblemKind::OtherRoots);
            let number = other_roots.unwrap().number;
            assert!(report.notices.contains(&Notice::Problem(number)));
            let sent = person.send(group, "which log?").await;
            assert!(matches!(sent, Err(ClientError::LogProblem)), "{sent:?}");
            person.answer_problem(number, Answer::NotMe).unwrap();
        }
        // The true log becomes longer than the other one.
        let forked = controller.memory().await.entries();
        Controller::of(&world)
            .rewrites(|memory| {
                while memory.entries() <= forked {
                    memory.logs(now_ms(&world), Vec::new());
                }
            })
            .await;
        bob.meets(world.node());
        bob.reopens(&world.file());
        // A subtree that he knows differs, or his log's root is not the one that is signed: the
        // sizes decide which of the two he comes to first.
        let verdict = found(bob.add_contact("Alice", alice.account()).await);
        assert!(
            matches!(verdict, Some(Finding::Fork | Finding::BadSignature)),
            "{verdict:?}"
        );
    });
}
