//! What an adversary or a bad disk does to the subnet, and what must hold.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use candid::Principal;
use common::{WAT, agent, expected, get, in_memory, module, post, put, signed_call};
use ed25519_dalek::SigningKey;
use ic_transport_types::TransportCallResponse;
use paigham_subnet::testkit::FaultJournal;
use paigham_subnet::{Clock, InstallError, MemoryJournal, OpenError, Subnet, SystemClock};

fn call_path(canister: Principal) -> String {
    format!("/api/v4/canister/{canister}/call")
}

/// Somebody posts arrays in arrays, maps in maps and lengths that promise gigabytes. Each is a bad
/// request, and the subnet serves on.
#[tokio::test]
async fn hostile_cbor_is_a_bad_request() {
    let subnet = in_memory();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let deep = |open: &[u8]| open.repeat(1_000_000);
    let promise = [&[0xa1, 0x67][..], b"content", &[0x9b], &[0x7f; 8]].concat();
    let within = [&[0xa1, 0x67][..], b"content", &deep(&[0x81])].concat();
    for path in [
        call_path(canister),
        format!("/api/v3/canister/{canister}/query"),
        format!("/api/v3/canister/{canister}/read_state"),
    ] {
        for body in [
            deep(&[0x81]),
            deep(&[0xa1, 0x61, b'a']),
            deep(&[0xc0]),
            deep(&[0x9f]),
            promise.clone(),
            within.clone(),
        ] {
            assert_eq!(post(&subnet, &path, body).await.0, 400);
        }
    }
    put(&agent(&subnet), &canister, b"alive").await.unwrap();
}

/// Calls with more arguments than one round holds arrive together: all are answered, in as many
/// rounds as it takes.
#[tokio::test]
async fn calls_beyond_one_round_make_the_next() {
    let subnet = Arc::new(in_memory());
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let blocker = busy(&subnet, canister).await;
    let calls = (0..6u8).map(|i| {
        let subnet = Arc::clone(&subnet);
        let body = common::signed(
            canister,
            &SigningKey::from_bytes(&[i + 1; 32]),
            Duration::from_secs(60),
            "silent",
            vec![0; 1_500_000],
        );
        tokio::spawn(async move { post(&subnet, &call_path(canister), body).await })
    });
    for call in calls.collect::<Vec<_>>() {
        let (status, body) = call.await.unwrap();
        assert_eq!(status, 200);
        let response: TransportCallResponse = serde_cbor::from_slice(&body).unwrap();
        assert!(
            matches!(response, TransportCallResponse::Replied { .. }),
            "{response:?}"
        );
    }
    blocker.join_all().await;
}

/// Runs some endless queries, so that what is sent meanwhile waits.
async fn busy(subnet: &Arc<Subnet>, canister: Principal) -> tokio::task::JoinSet<()> {
    let mut spinning = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let agent = agent(subnet);
        spinning.spawn(async move {
            let query = agent.query(&canister, "spin_query").with_arg(b"");
            let spun = query.call().await;
            assert!(format!("{spun:?}").contains("IC0522"), "{spun:?}");
        });
    }
    // The test has one thread: a few turns let the queries reach the executor.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    spinning
}

/// A flood of large queries while the subnet is busy: what waits is bounded in bytes, the rest is
/// told to come back, and afterwards there is room again.
#[tokio::test]
async fn what_waits_is_bounded_in_bytes() {
    let subnet = Arc::new(in_memory());
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let path = format!("/api/v3/canister/{canister}/query");
    for _ in 0..2 {
        let blocker = busy(&subnet, canister).await;
        let queries = (0..20).map(|_| {
            let (subnet, path) = (Arc::clone(&subnet), path.clone());
            let body = common::anonymous_query(canister, "get", vec![0; 4 * 1024 * 1024]);
            tokio::spawn(async move { post(&subnet, &path, body).await.0 })
        });
        let mut counts = std::collections::BTreeMap::new();
        for query in queries.collect::<Vec<_>>() {
            *counts.entry(query.await.unwrap()).or_insert(0) += 1;
        }
        let count = |status| counts.get(&status).copied().unwrap_or(0);
        assert!(count(200) >= 15 && count(429) >= 1, "{counts:?}");
        assert_eq!(count(200) + count(429), 20);
        blocker.join_all().await;
    }
}

/// Callers who hang up while the subnet is busy cost it nothing afterwards: their queries never run.
#[tokio::test]
async fn queries_of_callers_who_left_do_not_run() {
    let subnet = Arc::new(in_memory());
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let blocker = busy(&subnet, canister).await;
    let path = format!("/api/v3/canister/{canister}/query");
    let body = common::anonymous_query(canister, "get", Vec::new());
    for _ in 0..5 {
        let sent = post(&subnet, &path, body.clone());
        let waited = tokio::time::timeout(Duration::from_millis(1), sent).await;
        assert!(waited.is_err(), "the subnet is busy");
    }
    blocker.join_all().await;
    let methods = &subnet.status().await.unwrap().canisters[0].methods;
    assert!(!methods.contains_key("get"), "{methods:?}");
    assert_eq!(methods["spin_query"].calls, 4);
}

/// A canister that rejects with a text of megabytes, or grows its heap and traps, costs nobody
/// anything: the call fails, and the state is as before.
#[tokio::test]
async fn large_rejects_and_growth_before_a_trap() {
    let subnet = in_memory();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let agent = agent(&subnet);
    put(&agent, &canister, b"before").await.unwrap();
    for (method, reason) in [
        ("reject_far", "more than a message may carry"),
        ("grow_then_trap", "on purpose"),
    ] {
        let error = agent
            .update(&canister, method)
            .with_arg(b"")
            .call_and_wait()
            .await
            .unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(get(&agent, &canister).await, expected(1, b"before"));
    }
    let status = subnet.status().await.unwrap();
    assert_eq!(status.canisters[0].heap_bytes, 65_536);
}

/// Modules whose state a rollback or a checkpoint could not cover, or that would see stable memory
/// outside of any message, are refused at the install.
#[tokio::test]
async fn modules_that_cannot_be_rolled_back_are_refused() {
    let subnet = in_memory();
    let query = r#"(func (export "canister_query a"))"#;
    let cases = [
        (format!("(module (memory 1) {query})"), "not exported"),
        (
            format!(r#"(module (memory (export "mem") 1) {query})"#),
            "not exported",
        ),
        (
            format!(r#"(module (memory (export "memory") i64 1) {query})"#),
            "64-bit",
        ),
        (
            format!("(module (global (mut funcref) (ref.null func)) {query})"),
            "no number",
        ),
        (
            format!(
                "(module (table 1 funcref) {query}
                 (func (table.set (i32.const 0) (ref.null func))))"
            ),
            "changes a table",
        ),
        (
            r#"(module (func (export "canister_query a") (param i32)))"#.to_owned(),
            "without parameters",
        ),
        (
            format!("(module (table 2000000 funcref) {query})"),
            "does not compile or start",
        ),
        (
            format!(
                r#"(module (import "ic0" "stable64_grow" (func $grow (param i64) (result i64)))
                 {query} (func $start (drop (call $grow (i64.const 1)))) (start $start))"#
            ),
            "does not compile or start",
        ),
    ];
    for (wat, reason) in cases {
        let wasm = wat::parse_str(&wat).unwrap();
        let error = subnet.install(&wasm, Vec::new(), &[]).await.unwrap_err();
        assert!(error.to_string().contains(reason), "{wat}: {error}");
    }
    assert!(subnet.status().await.unwrap().canisters.is_empty());
}

fn with_function(function: &str) -> Vec<u8> {
    let init = r#"(func (export "canister_init")"#;
    wat::parse_str(WAT.replace(init, &format!("{function} {init}"))).unwrap()
}

/// An upgrade fails at every place where it can: the old module's last hook, the new one's first,
/// bytes that are no module. Calls count on, heap and stable memory are as before, also after a
/// restart; then an upgrade succeeds.
#[tokio::test]
async fn an_upgrade_that_fails_changes_nothing() {
    let journal = FaultJournal::default();
    let open =
        || Subnet::open_with(Box::new(journal.clone()), Arc::new(SystemClock), [1; 32]).unwrap();
    let subnet = open();
    // The old hook writes before it traps; the new one as well.
    let writes = "(call $write (i64.const 0) (i64.const 16) (i64.const 8))
        (i32.store (i32.const 100) (i32.const 9)) unreachable";
    let old = with_function(&format!(
        r#"(func (export "canister_pre_upgrade") {writes})"#
    ));
    let stuck = subnet.install(&old, Vec::new(), &[]).await.unwrap();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let new = with_function(&format!(
        r#"(func (export "canister_post_upgrade") {writes})"#
    ));
    let both = agent(&subnet);
    for id in [stuck, canister] {
        put(&both, &id, b"keep").await.unwrap();
    }
    let hook = |error: InstallError| match error {
        InstallError::Hook { hook, .. } => hook,
        _ => "none",
    };
    let error = subnet.upgrade(stuck, &module(), Vec::new()).await;
    assert_eq!(hook(error.unwrap_err()), "canister_pre_upgrade");
    let error = subnet.upgrade(canister, &new, Vec::new()).await;
    assert_eq!(hook(error.unwrap_err()), "canister_post_upgrade");
    for broken in [&b""[..], b"\0asm", &module()[..100]] {
        let error = subnet.upgrade(canister, broken, Vec::new()).await;
        assert_eq!(hook(error.unwrap_err()), "none");
    }
    for id in [stuck, canister] {
        assert_eq!(get(&both, &id).await, expected(1, b"keep"));
        put(&both, &id, b"more").await.unwrap();
    }
    subnet.shutdown();
    let subnet = open();
    let both = agent(&subnet);
    for id in [stuck, canister] {
        assert_eq!(get(&both, &id).await, expected(2, b"more"));
    }
    subnet
        .upgrade(canister, &module(), Vec::new())
        .await
        .unwrap();
    assert_eq!(get(&both, &canister).await, expected(0, b"more"));
}

/// A clock that a test sets to anything.
#[derive(Debug, Clone)]
struct AnyClock(Arc<AtomicU64>);

impl AnyClock {
    fn set(&self, now: Duration) {
        let now = u64::try_from(now.as_nanos()).unwrap();
        self.0.store(now, Ordering::SeqCst);
    }
}

impl Clock for AnyClock {
    fn now_ns(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// The machine's clock goes forward, so that a request expires and is forgotten, and then back to
/// where the request would be fresh. Sent again it is refused; after a restart with that clock it
/// is refused as well, or known as a repeat. It never counts twice.
#[tokio::test]
async fn a_clock_that_goes_back_allows_no_replay() {
    let journal = FaultJournal::default();
    let clock = AnyClock(Arc::default());
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    clock.set(now);
    let open = || {
        let clock = Arc::new(clock.clone());
        Subnet::open_with(Box::new(journal.clone()), clock, [1; 32]).unwrap()
    };
    let subnet = open();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let key = SigningKey::from_bytes(&[9; 32]);
    let body = signed_call(canister, &key, Duration::from_secs(60), false);
    let path = call_path(canister);
    assert_eq!(post(&subnet, &path, body.clone()).await.0, 200);
    let forward = now + Duration::from_secs(120);
    clock.set(forward);
    let before = subnet.status().await.unwrap().time_ns;
    assert!(before >= u64::try_from(forward.as_nanos()).unwrap());
    clock.set(now);
    assert_eq!(post(&subnet, &path, body.clone()).await.0, 400);
    assert!(subnet.status().await.unwrap().time_ns >= before);

    // Killed: the log still has the call. Stopped: the checkpoint has the later time.
    for _ in 0..2 {
        let again = open();
        post(&again, &path, body.clone()).await;
        assert_eq!(get(&agent(&again), &canister).await, expected(1, b"signed"));
        again.shutdown();
    }
}

/// The disk fails between writing a round and syncing it. Nobody is told that the call counts, no
/// query shows what it would have done, and the subnet says that it has stopped. After a restart
/// the call was never there, and sent again it counts once.
#[tokio::test]
async fn a_journal_that_fails_half_way_stops_the_subnet() {
    let journal = FaultJournal::default();
    let open =
        || Subnet::open_with(Box::new(journal.clone()), Arc::new(SystemClock), [1; 32]).unwrap();
    let subnet = open();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let key = SigningKey::from_bytes(&[9; 32]);
    let body = signed_call(canister, &key, Duration::from_secs(60), false);
    // Operation 0 is the append, operation 1 the sync.
    journal.crash_at(2);
    assert_eq!(
        post(&subnet, &call_path(canister), body.clone()).await.0,
        500
    );
    let path = format!("/api/v3/canister/{canister}/query");
    let query = common::anonymous_query(canister, "get", Vec::new());
    assert_eq!(post(&subnet, &path, query).await.0, 500);
    assert!(subnet.status().await.is_err());
    let install = subnet.install(&module(), Vec::new(), &[]).await;
    assert!(matches!(install, Err(InstallError::Stopped(_))));
    subnet.shutdown();

    journal.restart();
    let subnet = open();
    let agent = agent(&subnet);
    assert_eq!(get(&agent, &canister).await, expected(0, b""));
    assert_eq!(post(&subnet, &call_path(canister), body).await.0, 200);
    assert_eq!(get(&agent, &canister).await, expected(1, b"signed"));
}

/// A folder whose keys are gone is not quietly made into another subnet.
#[tokio::test]
async fn missing_keys_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let subnet = Subnet::open(folder.path()).unwrap();
    subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    subnet.shutdown();
    drop(subnet);
    std::fs::remove_file(folder.path().join("keys.cbor")).unwrap();
    let error = Subnet::open(folder.path()).unwrap_err();
    assert!(
        matches!(&error, OpenError::State(text) if text.contains("keys.cbor")),
        "{error}"
    );
    assert!(!folder.path().join("keys.cbor").exists());
}

/// A measurement is no round, but what it certified is signed before anybody asks.
#[tokio::test]
async fn a_measured_update_is_certified() {
    let subnet = Subnet::open_with(
        Box::new(MemoryJournal::default()),
        Arc::new(SystemClock),
        [1; 32],
    )
    .unwrap();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let cost = subnet
        .measure(canister, "put", b"measured".to_vec())
        .await
        .unwrap()
        .unwrap();
    // One page of stable memory, and that of the counter on the heap.
    assert_eq!((cost.dirty_pages, cost.dirty_heap_pages), (1, 1));
    assert!(cost.instructions > 2_000, "{cost:?}");
    let bytes = agent(&subnet)
        .query(&canister, "certificate")
        .with_arg(b"")
        .call()
        .await
        .unwrap();
    let certificate: ic_agent::Certificate = serde_cbor::from_slice(&bytes).unwrap();
    let path = [&b"canister"[..], canister.as_slice(), b"certified_data"];
    let found = ic_agent::lookup_value(&certificate, path).unwrap();
    assert_eq!(found, b"measured");
}
