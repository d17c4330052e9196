//! An unmodified ic-agent manages canisters and waits for answers that take several rounds.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use candid::{CandidType, Decode, Principal, encode_one};
use ic_agent::identity::BasicIdentity;
use ic_agent::{Agent, AgentError, Identity};
use paigham_subnet::{FileJournal, OpenError, Subnet, SystemClock};
use serde::Deserialize;
use serde_bytes::ByteBuf;

mod common;

use common::in_memory;

const MANAGEMENT: Principal = Principal::management_canister();

/// Asks for randomness; sets a timer that counts; wakes itself by a timer.
const WAT: &str = r#"(module
    (import "ic0" "msg_reply" (func $reply))
    (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
    (import "ic0" "msg_arg_data_size" (func $size (result i32)))
    (import "ic0" "msg_arg_data_copy" (func $copy (param i32 i32 i32)))
    (import "ic0" "time" (func $time (result i64)))
    (import "ic0" "global_timer_set" (func $timer (param i64) (result i64)))
    (import "ic0" "call_new" (func $call_new (param i32 i32 i32 i32 i32 i32 i32 i32)))
    (import "ic0" "call_data_append" (func $data (param i32 i32)))
    (import "ic0" "call_perform" (func $perform (result i32)))
    (memory (export "memory") 1)
    (table 1 funcref) (elem (i32.const 0) $done)
    (data (i32.const 16) "raw_rand") (data (i32.const 32) "DIDL\00\00")
    (@custom "icp:public candid:service" "service : {}")
    (@custom "icp:private note" "for controllers")
    (func $done (param i32)
        (call $copy (i32.const 100) (i32.const 0) (call $size))
        (call $append (i32.const 100) (call $size)) (call $reply))
    (func (export "canister_update random")
        (call $call_new (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 8)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
        (call $data (i32.const 32) (i32.const 6))
        (drop (call $perform)))
    (func (export "canister_update wake")
        (drop (call $timer (i64.add (call $time) (i64.const 50000000)))) (call $reply))
    (func (export "canister_global_timer")
        (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1))))
    (func (export "canister_query woken")
        (call $append (i32.const 8) (i32.const 4)) (call $reply)))"#;

#[derive(CandidType, Deserialize)]
struct About {
    canister_id: Principal,
}

#[derive(CandidType)]
struct Empty {}

#[derive(CandidType)]
enum Mode {
    #[expect(non_camel_case_types, reason = "as Candid has it")]
    install,
    #[expect(non_camel_case_types, reason = "as Candid has it")]
    reinstall,
}

#[derive(CandidType)]
struct Install {
    mode: Mode,
    canister_id: Principal,
    wasm_module: ByteBuf,
    arg: ByteBuf,
}

fn identity(seed: u8) -> BasicIdentity {
    BasicIdentity::from_raw_key(&[seed; 32])
}

fn agent_of(subnet: &Subnet, identity: BasicIdentity) -> Agent {
    let agent = Agent::builder()
        .with_url("http://subnet.invalid")
        .with_arc_http_middleware(subnet.in_process())
        .with_identity(identity)
        .build()
        .unwrap();
    agent.set_root_key(subnet.root_key_der());
    agent
}

async fn manage(
    agent: &Agent,
    address: Principal,
    method: &str,
    argument: Vec<u8>,
) -> Result<Vec<u8>, AgentError> {
    agent
        .update(&MANAGEMENT, method)
        .with_effective_canister_id(address)
        .with_arg(argument)
        .call_and_wait()
        .await
}

async fn installed(agent: &Agent, address: Principal) -> Principal {
    let created = manage(
        agent,
        address,
        "create_canister",
        encode_one(Empty {}).unwrap(),
    )
    .await
    .unwrap();
    let canister_id = Decode!(&created, About).unwrap().canister_id;
    let install = Install {
        mode: Mode::install,
        canister_id,
        wasm_module: wat::parse_str(WAT).unwrap().into(),
        arg: ByteBuf::new(),
    };
    let install = encode_one(install).unwrap();
    manage(agent, canister_id, "install_code", install)
        .await
        .unwrap();
    canister_id
}

/// Whoever is listed creates a canister over the network, installs code and stops it; somebody else
/// is refused before anything runs, as is a request at another canister's address. Queries reach no
/// management canister.
#[tokio::test]
async fn an_agent_manages_canisters() {
    let subnet = in_memory();
    let owner = identity(1);
    let first = subnet
        .install(&common::module(), Vec::new(), &[])
        .await
        .unwrap();
    let agent = agent_of(&subnet, owner);
    let create = encode_one(Empty {}).unwrap();
    let refused = manage(&agent, first, "create_canister", create)
        .await
        .unwrap_err();
    assert!(format!("{refused:?}").contains("IC0512"), "{refused:?}");
    let sender = identity(1).sender().unwrap();
    assert!(subnet.set_creators(vec![sender]).await.unwrap());
    assert!(!subnet.set_creators(vec![sender; 101]).await.unwrap());
    let canister = installed(&agent, first).await;

    let stranger = agent_of(&subnet, identity(2));
    let about = encode_one(About {
        canister_id: canister,
    })
    .unwrap();
    let refused = manage(&stranger, canister, "stop_canister", about.clone())
        .await
        .unwrap_err();
    assert!(format!("{refused:?}").contains("IC0512"), "{refused:?}");
    let other = installed(&agent, first).await;
    let elsewhere = manage(&agent, other, "stop_canister", about.clone())
        .await
        .unwrap_err();
    assert!(
        matches!(elsewhere, AgentError::HttpError(_)),
        "{elsewhere:?}"
    );
    let random = manage(&agent, canister, "raw_rand", Vec::new())
        .await
        .unwrap_err();
    assert!(format!("{random:?}").contains("IC0406"), "{random:?}");
    let query = agent
        .query(&MANAGEMENT, "canister_status")
        .with_effective_canister_id(canister)
        .with_arg(about.clone())
        .call()
        .await
        .unwrap_err();
    assert!(format!("{query:?}").contains("IC0536"), "{query:?}");

    manage(&agent, canister, "stop_canister", about.clone())
        .await
        .unwrap();
    let stopped = agent
        .update(&canister, "random")
        .with_arg(b"")
        .call_and_wait()
        .await
        .unwrap_err();
    assert!(format!("{stopped:?}").contains("IC0508"), "{stopped:?}");
    manage(&agent, canister, "delete_canister", about)
        .await
        .unwrap();
    let hash = agent.read_state_canister_module_hash(canister).await;
    assert!(hash.is_err(), "{hash:?}");
}

/// A module of nearly the size of a message is installed in one call.
#[tokio::test]
async fn large_modules_are_installed_in_one_call() {
    let subnet = in_memory();
    let owner = identity(1).sender().unwrap();
    let module = wat::parse_str(WAT).unwrap();
    let canister = subnet.install(&module, Vec::new(), &[owner]).await.unwrap();
    let padding = "x".repeat(1_900_000);
    let large = WAT.replacen(
        "(module",
        &format!("(module (@custom \"pad\" \"{padding}\")"),
        1,
    );
    let argument = encode_one(Install {
        mode: Mode::reinstall,
        canister_id: canister,
        wasm_module: wat::parse_str(&large).unwrap().into(),
        arg: ByteBuf::new(),
    });
    let agent = agent_of(&subnet, identity(1));
    manage(&agent, canister, "install_code", argument.unwrap())
        .await
        .unwrap();
    let hash = agent
        .read_state_canister_module_hash(canister)
        .await
        .unwrap();
    let large = wat::parse_str(&large).unwrap();
    assert_eq!(hash, <sha2::Sha256 as sha2::Digest>::digest(large)[..]);
}

/// A call that asks for randomness takes two rounds; the agent gets its certified answer all the
/// same, each time another.
#[tokio::test]
async fn answers_may_take_several_rounds() {
    let subnet = in_memory();
    let module = wat::parse_str(WAT).unwrap();
    let canister = subnet.install(&module, Vec::new(), &[]).await.unwrap();
    let agent = agent_of(&subnet, identity(1));
    let mut drawn = Vec::new();
    for _ in 0..2 {
        let reply = agent
            .update(&canister, "random")
            .with_arg(b"")
            .call_and_wait()
            .await
            .unwrap();
        drawn.push(Decode!(&reply, ByteBuf).unwrap());
    }
    assert_eq!(drawn[0].len(), 32);
    assert_ne!(drawn[0], drawn[1]);
}

/// A timer fires without anybody calling, and is in the log: the count is there after a restart.
#[tokio::test]
async fn timers_fire_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let journal = FileJournal::open(folder.path()).unwrap();
        Subnet::open_with(Box::new(journal), Arc::new(SystemClock), [1; 32]).unwrap()
    };
    let subnet = open();
    let module = wat::parse_str(WAT).unwrap();
    let canister = subnet.install(&module, Vec::new(), &[]).await.unwrap();
    let woken = async |agent: &Agent| {
        agent
            .query(&canister, "woken")
            .with_arg(b"")
            .call()
            .await
            .unwrap()
    };
    let agent = agent_of(&subnet, identity(1));
    agent
        .update(&canister, "wake")
        .with_arg(b"")
        .call_and_wait()
        .await
        .unwrap();
    for _ in 0..100 {
        if woken(&agent).await == [1, 0, 0, 0] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(woken(&agent).await, [1, 0, 0, 0]);
    // Killed, not stopped: the state comes back from the log.
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let journal = FileJournal::open(copy.path()).unwrap();
    let again = Subnet::open_with(Box::new(journal), Arc::new(SystemClock), [1; 32]).unwrap();
    assert_eq!(woken(&agent_of(&again, identity(1))).await, [1, 0, 0, 0]);
}

/// Public metadata is certified to everybody, private metadata to controllers alone.
#[tokio::test]
async fn metadata_is_certified() {
    let subnet = in_memory();
    let module = wat::parse_str(WAT).unwrap();
    let owner = identity(1).sender().unwrap();
    let canister = subnet.install(&module, Vec::new(), &[owner]).await.unwrap();
    let stranger = agent_of(&subnet, identity(2));
    let public = stranger
        .read_state_canister_metadata(canister, "candid:service")
        .await
        .unwrap();
    assert_eq!(public, b"service : {}");
    let private = stranger
        .read_state_canister_metadata(canister, "note")
        .await
        .unwrap_err();
    assert!(matches!(private, AgentError::HttpError(_)), "{private:?}");
    let private = agent_of(&subnet, identity(1))
        .read_state_canister_metadata(canister, "note")
        .await
        .unwrap();
    assert_eq!(private, b"for controllers");
}

/// A folder of an earlier version is told apart from a damaged one, and nothing in it is changed.
#[tokio::test]
async fn a_folder_of_another_layout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let subnet = Subnet::open(folder.path()).unwrap();
    subnet
        .install(&common::module(), Vec::new(), &[])
        .await
        .unwrap();
    subnet.shutdown();
    drop(subnet);
    let newest = (1..9)
        .rev()
        .map(|n| folder.path().join(format!("checkpoint-{n}")));
    let checkpoint = newest.into_iter().find(|path| path.exists()).unwrap();
    let mut bytes = std::fs::read(&checkpoint).unwrap();
    bytes[7] = 1;
    std::fs::write(&checkpoint, &bytes).unwrap();
    let error = Subnet::open(folder.path()).unwrap_err();
    assert!(matches!(error, OpenError::Layout(_)), "{error}");
    assert_eq!(std::fs::read(&checkpoint).unwrap(), bytes);
}
