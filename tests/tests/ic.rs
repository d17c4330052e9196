//! The same scenarios over everything at hand that runs canisters: the embedded subnet, and PocketIC
//! with the feature `pocket-ic` where `POCKET_IC_BIN` names its server.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use candid::Principal;
use ic_agent::AgentError;
use paigham_modules::{DIRECTORY, RELAY};
use paigham_tests::bare::BareAgent;
use paigham_tests::ic::{Ic, all, network};
use paigham_tests::story::story;

/// A module that does the same under another hash: with an empty custom section at its end.
fn other(module: &[u8]) -> Vec<u8> {
    [module, &[0, 2, 1, b'x']].concat()
}

/// Directory and relay, installed.
async fn installed(ic: &Arc<dyn Ic>) -> (BareAgent, Principal) {
    let directory = ic.install(DIRECTORY).await;
    let relay = ic.install(RELAY).await;
    let network = network(&**ic, directory, relay).await;
    (BareAgent::on(Arc::clone(ic), network), relay)
}

/// Posts are taken and fetched with a certificate of the whole subnet, a witness and a chain, all
/// checked from the root key on; after a restart and an upgrade to another module they are there,
/// and more can be added.
#[test]
fn posts_are_kept_and_proved() {
    story(async || {
        for ic in all().await {
            let (agent, relay) = installed(&ic).await;
            agent.ping().await;
            let queue = agent.make_queue().await;
            let texts = |entries: Vec<paigham_wire::relay::Entry>| {
                let texts = entries.into_iter().skip(1);
                texts
                    .map(|entry| String::from_utf8(entry.envelope.into()).unwrap())
                    .collect::<Vec<_>>()
            };
            queue.append(&queue.sealed("one", 0)).await.unwrap();
            queue.append(&queue.sealed("two", 0)).await.unwrap();
            let fetched = queue.fetch(1).await.unwrap();
            assert_eq!(texts(queue.check(&fetched).unwrap()), ["one", "two"]);

            ic.restart().await;
            ic.upgrade(relay, &other(RELAY)).await.unwrap();
            ic.pass(Duration::from_secs(60)).await;
            queue.append(&queue.sealed("three", 0)).await.unwrap();
            let fetched = queue.fetch(1).await.unwrap();
            let checked = queue.check(&fetched).unwrap();
            assert_eq!(texts(checked), ["one", "two", "three"]);
        }
    });
}

/// A call to a method that is not there, and an upgrade to bytes that are no module, are refused and
/// change nothing.
#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    story(async || {
        for ic in all().await {
            let (agent, relay) = installed(&ic).await;
            let queue = agent.make_queue().await;
            let missing = ic.update(relay, "no_such_method", Vec::new()).await;
            assert!(
                matches!(
                    missing,
                    Err(AgentError::CertifiedReject { .. } | AgentError::UncertifiedReject { .. })
                ),
                "{missing:?}"
            );
            assert!(ic.upgrade(relay, b"no module").await.is_err());
            queue.append(&queue.sealed("still here", 0)).await.unwrap();
            let fetched = queue.fetch(1).await.unwrap();
            assert_eq!(queue.check(&fetched).unwrap().len(), 2);
        }
    });
}

/// A canister that counts how often its timer rang; the update sets it to ten seconds from now.
const ALARM: &str = r#"(module
    (import "ic0" "time" (func $time (result i64)))
    (import "ic0" "global_timer_set" (func $timer (param i64) (result i64)))
    (import "ic0" "msg_reply" (func $reply))
    (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
    (memory (export "memory") 1)
    (func (export "canister_global_timer")
        (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1))))
    (func (export "canister_update set")
        (drop (call $timer (i64.add (call $time) (i64.const 10000000000)))) (call $reply))
    (func (export "canister_query rang")
        (call $append (i32.const 0) (i32.const 4)) (call $reply)))"#;

/// A timer rings when its time has come and not before, once, also if the subnet was restarted in
/// between.
#[test]
fn a_timer_rings_once_in_time() {
    story(async || {
        for ic in all().await {
            let alarm = ic.install(&wat::parse_str(ALARM).unwrap()).await;
            let rang = async || {
                let told = ic.query(alarm, "rang", Vec::new()).await.unwrap();
                u32::from_le_bytes(told.try_into().unwrap())
            };
            ic.update(alarm, "set", Vec::new()).await.unwrap();
            ic.pass(Duration::from_secs(3)).await;
            assert_eq!(rang().await, 0);
            ic.restart().await;
            ic.pass(Duration::from_secs(8)).await;
            assert_eq!(rang().await, 1);
            ic.pass(Duration::from_secs(60)).await;
            assert_eq!(rang().await, 1);
        }
    });
}
