//! An unmodified ic-agent against the embedded subnet, with query-signature verification on.

use std::sync::Arc;
use std::time::Duration;

use candid::Principal;
use ed25519_dalek::SigningKey;
use ic_agent::{Agent, AgentError};
use ic_transport_types::Envelope;
use paigham_subnet::testkit::FaultJournal;
use paigham_subnet::{
    FileJournal, InstallError, MemoryJournal, ModuleError, OpenError, Subnet, SystemClock,
};

mod common;

use common::{WAT, agent, expected, get, in_memory, module, post, put, signed_call};

/// A client updates, queries with verified node signatures, reads module hash and controllers,
/// and checks the canister's certified data, all against the pinned root key.
#[tokio::test]
async fn an_agent_is_served_in_process() {
    let subnet = in_memory();
    let canister = subnet
        .install(&module(), Vec::new(), &[Principal::anonymous()])
        .await
        .unwrap();
    let agent = agent(&subnet);
    assert_eq!(
        put(&agent, &canister, b"certify!").await.unwrap(),
        expected(1, b"certify!")
    );
    assert_eq!(get(&agent, &canister).await, expected(1, b"certify!"));
    let hash = agent
        .read_state_canister_module_hash(canister)
        .await
        .unwrap();
    assert_eq!(
        hash,
        <sha2::Sha256 as sha2::Digest>::digest(module()).to_vec()
    );
    let controllers = agent
        .read_state_canister_controllers(canister)
        .await
        .unwrap();
    assert_eq!(controllers, vec![Principal::anonymous()]);

    let bytes = agent
        .query(&canister, "certificate")
        .with_arg(b"")
        .call()
        .await
        .unwrap();
    let certificate: ic_agent::Certificate = serde_cbor::from_slice(&bytes).unwrap();
    agent.verify(&certificate, canister).unwrap();
    let path = [&b"canister"[..], canister.as_slice(), b"certified_data"];
    let found = ic_agent::lookup_value(&certificate, path).unwrap();
    assert_eq!(found, b"certify!");
}

/// The same over HTTP on loopback.
#[tokio::test]
async fn an_agent_is_served_over_http() {
    let subnet = Arc::new(in_memory());
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn({
        let subnet = Arc::clone(&subnet);
        async move {
            let stop = async { drop(stopped.await) };
            axum::serve(listener, subnet.router())
                .with_graceful_shutdown(stop)
                .await
        }
    });
    let agent = Agent::builder().with_url(&url).build().unwrap();
    agent.set_root_key(subnet.root_key_der());
    put(&agent, &canister, b"http").await.unwrap();
    assert_eq!(get(&agent, &canister).await, expected(1, b"http"));
    drop(agent);
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}

/// Somebody else's root key verifies nothing.
#[tokio::test]
async fn another_root_key_is_refused() {
    let subnet = in_memory();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let other = Subnet::open_with(
        Box::new(MemoryJournal::default()),
        Arc::new(SystemClock),
        [2; 32],
    );
    let agent = agent(&subnet);
    agent.set_root_key(other.unwrap().root_key_der());
    assert!(matches!(
        put(&agent, &canister, b"x").await,
        Err(AgentError::CertificateVerificationFailed())
    ));
    assert!(
        agent
            .query(&canister, "get")
            .with_arg(b"")
            .call()
            .await
            .is_err()
    );
}

/// A trap leaves nothing behind: not in the heap, not in a global, not in stable memory, not in
/// the certified data. The same for a query that writes.
#[tokio::test]
async fn traps_and_queries_leave_nothing_behind() {
    let subnet = in_memory();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let agent = agent(&subnet);
    put(&agent, &canister, b"before").await.unwrap();
    let error = agent
        .update(&canister, "put_then_trap")
        .with_arg(b"AFTER!")
        .call_and_wait()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("on purpose"), "{error}");
    assert_eq!(get(&agent, &canister).await, expected(1, b"before"));
    let inside = agent
        .query(&canister, "put_in_query")
        .with_arg(b"")
        .call()
        .await
        .unwrap();
    assert_eq!(inside[..4], 77u32.to_le_bytes());
    assert_eq!(get(&agent, &canister).await, expected(1, b"before"));
    put(&agent, &canister, b"later").await.unwrap();
    assert_eq!(get(&agent, &canister).await, expected(2, b"latere"));
}

/// Each of these fails with its own code, and the canister lives on.
#[tokio::test]
async fn failures_have_their_codes() {
    let subnet = in_memory();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let agent = agent(&subnet);
    for (method, code) in [("silent", "IC0506"), ("far", "IC0502"), ("spin", "IC0522")] {
        let error = agent
            .update(&canister, method)
            .with_arg(b"")
            .call_and_wait()
            .await
            .unwrap_err();
        assert!(format!("{error:?}").contains(code), "{method}: {error:?}");
    }
    let error = agent
        .update(&canister, "absent")
        .with_arg(b"")
        .call_and_wait()
        .await
        .unwrap_err();
    assert!(format!("{error:?}").contains("IC0536"), "{error:?}");
    let error = agent
        .query(&canister, "certify_in_query")
        .with_arg(b"")
        .call()
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("cannot be called in this mode"),
        "{error}"
    );
    put(&agent, &canister, b"alive").await.unwrap();
}

/// A signed call counts once, however often it is sent; with a wrong signature, an expiry that has
/// passed or lies too far ahead, or for another canister than its address it never counts.
#[tokio::test]
async fn requests_are_authenticated_and_never_replayed() {
    let subnet = in_memory();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let agent = agent(&subnet);
    let key = SigningKey::from_bytes(&[9; 32]);
    let path = format!("/api/v4/canister/{canister}/call");
    let minute = Duration::from_secs(60);
    let good = signed_call(canister, &key, minute, false);
    for _ in 0..3 {
        assert_eq!(post(&subnet, &path, good.clone()).await.0, 200);
    }
    assert_eq!(get(&agent, &canister).await, expected(1, b"signed"));
    for (body, reason) in [
        (signed_call(canister, &key, minute * 2, true), "signature"),
        (signed_call(canister, &key, minute * 7, false), "too far"),
        (b"not cbor".to_vec(), ""),
    ] {
        let (status, text) = post(&subnet, &path, body).await;
        assert!(status >= 400, "{reason}");
        assert!(String::from_utf8_lossy(&text).contains(reason), "{reason}");
    }
    let other = "/api/v4/canister/rrkah-fqaaa-aaaaa-aaaaq-cai/call";
    assert_eq!(post(&subnet, other, good).await.0, 400);
    assert_eq!(post(&subnet, &path, vec![0; 6 * 1024 * 1024]).await.0, 413);
    assert_eq!(get(&agent, &canister).await, expected(1, b"signed"));
}

/// What became of a request is for its sender alone; of an unknown request it is proved that
/// there is none.
#[tokio::test]
async fn request_status_is_for_its_sender() {
    let subnet = in_memory();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let agent = agent(&subnet);
    let key = SigningKey::from_bytes(&[9; 32]);
    let body = signed_call(canister, &key, Duration::from_secs(60), false);
    let envelope: Envelope<'_> = serde_cbor::from_slice(&body).unwrap();
    let id = envelope.content.to_request_id();
    post(&subnet, &format!("/api/v4/canister/{canister}/call"), body).await;
    let theirs = agent.request_status_raw(&id, canister).await;
    assert!(
        matches!(theirs, Err(AgentError::HttpError(_))),
        "{theirs:?}"
    );
    let unknown = ic_transport_types::RequestId::new(&[7; 32]);
    let (status, _) = agent.request_status_raw(&unknown, canister).await.unwrap();
    assert_eq!(status, ic_transport_types::RequestStatusResponse::Unknown);
}

/// Modules that are none, that import what is not there, or that claim system exports.
#[tokio::test]
async fn unfit_modules_are_refused() {
    let subnet = in_memory();
    let refused = |wat: &str| {
        let module = wat::parse_str(wat).unwrap();
        let subnet = &subnet;
        async move {
            match subnet.install(&module, Vec::new(), &[]).await.unwrap_err() {
                InstallError::Module(error) => error,
                other => panic!("{other}"),
            }
        }
    };
    let import = r#"(module (import "ic0" "sign" (func)) (func (export "canister_query a")))"#;
    assert_eq!(
        refused(import).await,
        ModuleError::UnsupportedImport("ic0.sign".into())
    );
    let foreign = r#"(module (import "env" "time" (func)) (func (export "canister_query a")))"#;
    assert_eq!(
        refused(foreign).await,
        ModuleError::UnsupportedImport("env.time".into())
    );
    let export = r#"(module (func (export "canister_heartbeat")))"#;
    assert_eq!(
        refused(export).await,
        ModuleError::UnsupportedExport("canister_heartbeat".into())
    );
    let unknown = r#"(module (func (export "canister_uptade a")))"#;
    assert_eq!(
        refused(unknown).await,
        ModuleError::UnknownExport("canister_uptade a".into())
    );
    let failing =
        r#"(module (memory (export "memory") 1) (func (export "canister_init") unreachable))"#;
    let error = subnet
        .install(&wat::parse_str(failing).unwrap(), Vec::new(), &[])
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            InstallError::Hook {
                hook: "canister_init",
                ..
            }
        ),
        "{error}"
    );
}

/// An upgrade keeps stable memory and drops the heap; one that fails leaves everything.
#[tokio::test]
async fn upgrades_are_all_or_nothing() {
    let subnet = in_memory();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let agent = agent(&subnet);
    put(&agent, &canister, b"keep").await.unwrap();
    let failing = WAT.replace(
        r#"(func (export "canister_init")"#,
        r#"(func (export "canister_post_upgrade") unreachable) (func (export "canister_init")"#,
    );
    let failing = wat::parse_str(failing).unwrap();
    assert!(
        subnet
            .upgrade(canister, &failing, Vec::new())
            .await
            .is_err()
    );
    assert_eq!(get(&agent, &canister).await, expected(1, b"keep"));
    subnet
        .upgrade(canister, &module(), Vec::new())
        .await
        .unwrap();
    assert_eq!(get(&agent, &canister).await, expected(0, b"keep"));
}

/// The network is killed before or after each operation of its journal while a client writes. After
/// the restart everything that was acknowledged is there, and a call sent again counts once.
#[tokio::test]
async fn nothing_acknowledged_is_lost_at_any_journal_operation() {
    for point in 0..12 {
        let journal = FaultJournal::default();
        let open = |journal: &FaultJournal| {
            Subnet::open_with(Box::new(journal.clone()), Arc::new(SystemClock), [1; 32]).unwrap()
        };
        let subnet = open(&journal);
        let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
        journal.crash_at(point);
        let (mut sent, mut acknowledged) = (0, 0);
        let mut last = Vec::new();
        for i in 0..4u8 {
            let key = SigningKey::from_bytes(&[i + 1; 32]);
            last = signed_call(canister, &key, Duration::from_secs(60), false);
            let path = format!("/api/v4/canister/{canister}/call");
            sent += 1;
            if post(&subnet, &path, last.clone()).await.0 != 200 {
                break;
            }
            acknowledged += 1;
        }
        drop(subnet);
        journal.restart();
        let subnet = open(&journal);
        let agent = agent(&subnet);
        let calls = u32::from_le_bytes(get(&agent, &canister).await[..4].try_into().unwrap());
        assert!(
            calls >= acknowledged,
            "point {point}: {calls} of {acknowledged}"
        );
        assert!(calls <= acknowledged + 1, "point {point}");
        let path = format!("/api/v4/canister/{canister}/call");
        assert_eq!(post(&subnet, &path, last).await.0, 200);
        let after = u32::from_le_bytes(get(&agent, &canister).await[..4].try_into().unwrap());
        assert_eq!(after, sent, "point {point}");
    }
}

/// A folder keeps a subnet: keys, canisters and data are there after kill -9 (no shutdown) and
/// after a shutdown; a second process is refused while one runs.
#[tokio::test]
async fn a_folder_keeps_a_subnet() {
    let folder = tempfile::tempdir().unwrap();
    let subnet = Subnet::open(folder.path()).unwrap();
    assert!(matches!(Subnet::open(folder.path()), Err(OpenError::InUse)));
    let root_key = subnet.root_key_der();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    put(&agent(&subnet), &canister, b"disk").await.unwrap();
    subnet.shutdown();
    drop(subnet);
    // What a killed process leaves behind is what is on disk at that moment.
    let copy = tempfile::tempdir().unwrap();
    let subnet = Subnet::open(folder.path()).unwrap();
    put(&agent(&subnet), &canister, b"killed").await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let again = Subnet::open(copy.path()).unwrap();
    assert_eq!(again.root_key_der(), root_key);
    assert_eq!(get(&agent(&again), &canister).await, expected(2, b"killed"));
    again.shutdown();
    drop(again);
    assert!(FileJournal::open(copy.path()).is_ok());
}
