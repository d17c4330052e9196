//! The network's own label: clients look there for themselves which network files everybody is shown.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use paigham_client::review::check_evidence;
use paigham_client::{ClientError, Notice, ProblemKind};
use paigham_lookup::evidence::{Archived, Evidence, Item};
use paigham_lookup::{Finding, LogTrust};
use paigham_store::{Store, Table};
use paigham_tests::person::{Person, STORE_KEY, all_hear, meet};
use paigham_tests::story::story;
use paigham_tests::world::World;
use paigham_wire::codec::decode;
use paigham_wire::network::VerifiedNetwork;

/// How often it is looked whether the log has its next entry, and how long between.
const ENTRY_TRIES: u32 = 100;
const ENTRY_WAIT: Duration = Duration::from_millis(200);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The evidence of a problem, as the home keeps it.
fn evidence_of(person: &Person) -> Vec<u8> {
    #[derive(serde::Deserialize)]
    struct Kept {
        #[serde(with = "serde_bytes")]
        evidence: Vec<u8>,
    }
    let store = Store::on_backend(Box::new(person.disk().clone()), &STORE_KEY).unwrap();
    let kept: Vec<(u64, Kept)> = store
        .begin()
        .scan(Table::Evidence, b"all", 0, u64::MAX)
        .unwrap();
    kept.into_iter().next().unwrap().1.evidence
}

/// The operator signs a new network file and logs it. Nobody gives it to Alice: her device finds it
/// with its daily look, goes to it, keeps the proof that it was logged, and she talks on.
#[test]
fn the_log_leads_to_the_newest_file() {
    story(async || {
        let mut world = World::long_ago(30 * DAY).await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        meet(&mut [&mut alice, &mut bob]).await;
        let old = world.file();
        world.stop();
        world.names_auditors(vec![[7; 32]], 1);
        world.start().await;
        assert_eq!(world.file().file().sequence, 2);

        let report = alice.sync().await.unwrap();
        assert!(
            !report.notices.contains(&Notice::NetworkFollowed(2)),
            "not today"
        );
        world.pass(DAY).await;
        let report = alice.sync().await.unwrap();
        assert!(
            report.notices.contains(&Notice::NetworkFollowed(2)),
            "{report:?}"
        );
        assert_eq!(alice.me().network_hash, world.file().hash());
        // The old file, given once more, changes nothing; the new one lasts.
        alice.reopens(&old);
        assert_eq!(alice.me().network_hash, world.file().hash());
        let chat = alice.start_chat(bob.account()).await.unwrap();
        alice.says(chat, "under the new file").await;
        let report = bob.sync().await.unwrap();
        assert!(
            report.notices.contains(&Notice::NetworkFollowed(2)),
            "{report:?}"
        );
        assert!(bob.has_text(chat, "under the new file"));

        let archived: Archived = decode(&alice.network_proof().unwrap().unwrap()).unwrap();
        assert_eq!(archived.network.as_slice(), world.file().bytes());
        let proof = Evidence {
            finding: Finding::NetworkNotLogged,
            network: archived.network,
            items: vec![Item::Label(archived.shown)],
        };
        let report = proof.check(&LogTrust::of_network(&world.file()).unwrap());
        assert_eq!(report.proved.len(), 1, "{report:?}");
        assert!(alice.problems().unwrap().is_empty());
    });
}

/// Somebody with the release key gives Alice a network file of a number that the log gives to
/// another one. When her device looks, it stops sending, and its file proves it against the release
/// key to anybody who has the true file.
#[test]
fn a_network_file_shown_to_one_user_is_found_out() {
    story(async || {
        let mut world = World::in_memory().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        meet(&mut [&mut alice, &mut bob]).await;
        let chat = alice.start_chat(bob.account()).await.unwrap();
        alice.says(chat, "before").await;
        all_hear(&mut [&mut alice, &mut bob]).await;
        let given = world.signs(|file| file.name = "for Alice alone".to_owned());
        alice.reopens(&given);
        alice.sync().await.unwrap();
        assert!(
            alice.problems().unwrap().is_empty(),
            "the log has none of its number yet"
        );

        let entries = alice.monitor().await.unwrap().size;
        world.stop();
        world.names_auditors(vec![[7; 32]], 1);
        world.start().await;
        // The network has handed its file to the log, which publishes it with the next entry.
        let mut report = alice.monitor().await.unwrap();
        for _ in 0..ENTRY_TRIES {
            if report.size > entries {
                break;
            }
            tokio::time::sleep(ENTRY_WAIT).await;
            report = alice.monitor().await.unwrap();
        }
        assert!(report.is_alarm(), "{report:?}");
        let problems = alice.problems().unwrap();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].kind, ProblemKind::TwoNetworkFiles { number: 2 });
        let stopped = alice.send(chat, "after").await;
        assert!(
            matches!(stopped, Err(ClientError::LogProblem)),
            "{stopped:?}"
        );

        let file = evidence_of(&alice);
        let true_file: VerifiedNetwork = world.file();
        let facts = check_evidence(&[file], Some(&true_file)).unwrap();
        assert_eq!(facts.report.claimed, Finding::TwoNetworkFiles);
        assert!(facts.report.holds(), "{:?}", facts.report);
        facts.require_claim().unwrap();
    });
}

/// The network is gone for a week. Alice's app says since when the log has shown no network file, and
/// that only a link leads on; when the network is back, it says so no more.
#[test]
fn a_silent_log_is_told() {
    story(async || {
        let mut world = World::long_ago(30 * DAY).await;
        let mut alice = Person::registered(&world, "Alice").await;
        world.stop();
        let clock = world.manual_clock().unwrap().clone();
        let silent = |notices: &[Notice]| {
            let is_silence = |one: &&Notice| matches!(one, Notice::NetworkSilent { .. });
            notices.iter().filter(is_silence).count()
        };
        clock.advance(6 * DAY);
        alice.sync().await.unwrap_err();
        assert_eq!(silent(&alice.take_notices()), 0);
        clock.advance(DAY + DAY / 2);
        alice.sync().await.unwrap_err();
        assert_eq!(silent(&alice.take_notices()), 1);
        alice.sync().await.unwrap_err();
        assert_eq!(silent(&alice.take_notices()), 0, "once in a run");
        world.start().await;
        world.pass(Duration::from_secs(1)).await;
        let file = world.file();
        alice.reopens(&file);
        alice.hears().await;
        alice.reopens(&file);
        let report = alice.hears().await;
        assert_eq!(silent(&report.notices), 0);
    });
}
