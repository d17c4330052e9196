//! The management canister: what it does, for whom, and what it leaves out.

use candid::{CandidType, Decode, encode_one};
use sha2::{Digest, Sha256};

use super::world::{SECOND, World, about, module};
use super::*;
use crate::canister::Status as CanisterStatus;

#[derive(CandidType)]
enum Mode {
    #[expect(non_camel_case_types, reason = "as Candid has it")]
    install,
    #[expect(non_camel_case_types, reason = "as Candid has it")]
    reinstall,
    #[expect(non_camel_case_types, reason = "as Candid has it")]
    upgrade(Option<Options>),
}

#[derive(CandidType)]
struct Options {
    skip_pre_upgrade: Option<bool>,
}

#[derive(CandidType)]
struct Install {
    mode: Mode,
    canister_id: Principal,
    wasm_module: ByteBuf,
    arg: ByteBuf,
    sender_canister_version: Option<u64>,
}

#[derive(CandidType)]
struct InstallChunked {
    mode: Mode,
    target_canister: Principal,
    store_canister: Option<Principal>,
    chunk_hashes_list: Vec<Hash>,
    wasm_module_hash: ByteBuf,
    arg: ByteBuf,
}

#[derive(CandidType, serde::Deserialize, Debug, PartialEq)]
struct Hash {
    hash: ByteBuf,
}

#[derive(CandidType)]
struct Chunk {
    canister_id: Principal,
    chunk: ByteBuf,
}

#[derive(CandidType)]
struct Update {
    canister_id: Principal,
    settings: Settings,
}

#[derive(CandidType, Default)]
struct Settings {
    controllers: Option<Vec<Principal>>,
    freezing_threshold: Option<candid::Nat>,
    wasm_memory_limit: Option<candid::Nat>,
}

#[derive(CandidType, serde::Deserialize)]
struct Created {
    canister_id: Principal,
}

#[derive(CandidType, serde::Deserialize)]
enum Running {
    #[expect(non_camel_case_types, reason = "as Candid has it")]
    running,
}

#[derive(CandidType, serde::Deserialize)]
struct Controllers {
    controllers: Vec<Principal>,
}

#[derive(CandidType, serde::Deserialize)]
struct Sizes {
    stable_memory_size: candid::Nat,
}

#[derive(CandidType, serde::Deserialize)]
struct Status {
    status: Running,
    settings: Controllers,
    module_hash: Option<ByteBuf>,
    version: u64,
    memory_metrics: Sizes,
}

/// A record without fields.
fn empty() -> Vec<u8> {
    #[derive(CandidType)]
    struct Empty {}
    encode_one(Empty {}).unwrap()
}

fn install(canister_id: Principal, mode: Mode, wasm: Vec<u8>, arg: &[u8]) -> Vec<u8> {
    let argument = Install {
        mode,
        canister_id,
        wasm_module: wasm.into(),
        arg: ByteBuf::from(arg),
        sender_canister_version: None,
    };
    encode_one(argument).unwrap()
}

/// An administrator creates a canister, installs code, upgrades it, reinstalls it, takes the code
/// away and deletes it; each step does what it says and nothing else.
#[test]
fn a_canister_lives_and_ends() {
    let mut world = World::new();
    let reply = world.manage("create_canister", &empty()).unwrap();
    let id = Decode!(&reply, Created).unwrap().canister_id;
    assert_ne!(id, world.id);
    world.id = id;
    assert_eq!(world.call("note", b"x").unwrap_err(), "5 IC0537");
    let up = |options| install(id, Mode::upgrade(options), module(), b"");
    assert_eq!(
        world.manage("install_code", &up(None)).unwrap_err(),
        "5 IC0514"
    );
    let first = install(id, Mode::install, module(), b"");
    world.manage("install_code", &first).unwrap();
    assert_eq!(
        world.manage("install_code", &first).unwrap_err(),
        "5 IC0514"
    );
    world.call("note", b"x").unwrap();
    world.manage("install_code", &up(None)).unwrap();
    assert_eq!(world.log(), "xU");
    world.call("note", b"y").unwrap();
    let skip = Options {
        skip_pre_upgrade: Some(true),
    };
    world.manage("install_code", &up(Some(skip))).unwrap();
    assert_eq!(world.log(), "xU", "what the hook had saved before");
    let trap = install(id, Mode::upgrade(None), module(), b"trap");
    assert_eq!(world.manage("install_code", &trap).unwrap_err(), "5 IC0503");
    let broken = install(id, Mode::reinstall, b"no module".to_vec(), b"");
    assert_eq!(
        world.manage("install_code", &broken).unwrap_err(),
        "5 IC0505"
    );
    assert_eq!(world.log(), "xU");
    let again = install(id, Mode::reinstall, module(), b"");
    world.manage("install_code", &again).unwrap();
    assert_eq!(world.log(), "");
    let status = world.manage("canister_status", &about(id)).unwrap();
    let status = Decode!(&status, Status).unwrap();
    assert!(matches!(status.status, Running::running));
    assert_eq!(status.settings.controllers, [world.sender]);
    assert_eq!(status.module_hash.unwrap(), Sha256::digest(module())[..]);
    assert_eq!(status.version, world.canister().version);
    assert_eq!(status.memory_metrics.stable_memory_size, 65_536_u32);
    world.manage("uninstall_code", &about(id)).unwrap();
    assert_eq!(world.call("note", b"x").unwrap_err(), "5 IC0537");
    assert_eq!(
        world.manage("delete_canister", &about(id)).unwrap_err(),
        "5 IC0510"
    );
    world.manage("stop_canister", &about(id)).unwrap();
    world.manage("delete_canister", &about(id)).unwrap();
    assert_eq!(world.call("note", b"x").unwrap_err(), "3 IC0301");
    let reply = world.manage("create_canister", &empty()).unwrap();
    let next = Decode!(&reply, Created).unwrap().canister_id;
    assert!(next > id, "no id is given twice");
    world.finish();
}

/// Somebody who is no controller gets nothing done, and who is not listed creates nothing.
#[test]
fn only_controllers_manage() {
    let mut world = World::new();
    let id = world.id;
    let before = world.canister().state();
    world.sender = Principal::self_authenticating([9]);
    let settings = encode_one(Update {
        canister_id: id,
        settings: Settings {
            controllers: Some(vec![world.sender]),
            ..Settings::default()
        },
    })
    .unwrap();
    let chunk = encode_one(Chunk {
        canister_id: id,
        chunk: ByteBuf::from(b"chunk"),
    })
    .unwrap();
    let code = install(id, Mode::reinstall, module(), b"");
    for (method, argument) in [
        ("install_code", code),
        ("update_settings", settings),
        ("upload_chunk", chunk),
        ("create_canister", empty()),
        ("provisional_create_canister_with_cycles", empty()),
        ("stored_chunks", about(id)),
        ("clear_chunk_store", about(id)),
        ("uninstall_code", about(id)),
        ("start_canister", about(id)),
        ("stop_canister", about(id)),
        ("delete_canister", about(id)),
        ("canister_status", about(id)),
    ] {
        let management = Principal::management_canister();
        let ingress = world.ingress(management, method, &argument);
        assert!(world.state.admit_management(&ingress).is_err(), "{method}");
        let error = world.manage(method, &argument).unwrap_err();
        assert_eq!(error, "5 IC0512", "{method}");
    }
    assert_eq!(world.canister().state(), before);
    world.finish();
}

/// A controller hands a canister over; what would only pay for resources is accepted, what a
/// canister would rely on and is not done here is refused.
#[test]
fn settings_change() {
    let mut world = World::new();
    let (id, heir) = (world.id, Principal::self_authenticating([7]));
    let update = |settings| {
        encode_one(Update {
            canister_id: id,
            settings,
        })
        .unwrap()
    };
    let limit = update(Settings {
        wasm_memory_limit: Some(1_u8.into()),
        ..Settings::default()
    });
    assert_eq!(
        world.manage("update_settings", &limit).unwrap_err(),
        "5 IC0408"
    );
    let many = update(Settings {
        controllers: Some(vec![heir; 11]),
        ..Settings::default()
    });
    assert_eq!(
        world.manage("update_settings", &many).unwrap_err(),
        "5 IC0408"
    );
    let handed = update(Settings {
        controllers: Some(vec![heir]),
        freezing_threshold: Some(1_u8.into()),
        ..Settings::default()
    });
    world.manage("update_settings", &handed).unwrap();
    assert_eq!(world.canister().controllers[..], [heir]);
    assert_eq!(
        world.manage("update_settings", &handed).unwrap_err(),
        "5 IC0512"
    );
    world.finish();
}

/// Code that is larger than a message comes in chunks; chunks that do not make what was announced
/// install nothing.
#[test]
fn code_comes_in_chunks() {
    let mut world = World::new();
    let (id, module) = (world.id, module());
    let (first, second) = module.split_at(100);
    let mut hashes = Vec::new();
    for chunk in [first, second] {
        let chunk = Chunk {
            canister_id: id,
            chunk: ByteBuf::from(chunk),
        };
        let reply = world
            .manage("upload_chunk", &encode_one(chunk).unwrap())
            .unwrap();
        hashes.push(Decode!(&reply, Hash).unwrap().hash);
    }
    assert_eq!(hashes[0], Sha256::digest(first)[..]);
    let stored = world.manage("stored_chunks", &about(id)).unwrap();
    assert_eq!(Decode!(&stored, Vec<Hash>).unwrap().len(), 2);
    let argument = |order: [usize; 2]| {
        let hashes = order.map(|at| Hash {
            hash: hashes[at].clone(),
        });
        encode_one(InstallChunked {
            mode: Mode::reinstall,
            target_canister: id,
            store_canister: None,
            chunk_hashes_list: hashes.into(),
            wasm_module_hash: ByteBuf::from(&Sha256::digest(&module)[..]),
            arg: ByteBuf::new(),
        })
        .unwrap()
    };
    world.call("note", b"x").unwrap();
    let wrong = world.manage("install_chunked_code", &argument([1, 0]));
    assert_eq!(wrong.unwrap_err(), "5 IC0505");
    assert_eq!(world.log(), "x");
    world
        .manage("install_chunked_code", &argument([0, 1]))
        .unwrap();
    assert_eq!(world.log(), "");
    world.manage("clear_chunk_store", &about(id)).unwrap();
    let gone = world.manage("install_chunked_code", &argument([0, 1]));
    assert_eq!(gone.unwrap_err(), "5 IC0408");
    let large = Chunk {
        canister_id: id,
        chunk: ByteBuf::from(vec![0; 1024 * 1024 + 1]),
    };
    let large = world.manage("upload_chunk", &encode_one(large).unwrap());
    assert_eq!(large.unwrap_err(), "5 IC0408");
    world.finish();
}

/// A canister asks about itself, and about another, which is not its business.
#[test]
fn canisters_ask_the_management_canister() {
    let mut world = World::new();
    let id = world.id;
    let reply = world.call("manage", &about(id)).unwrap();
    assert!(candid::IDLArgs::from_bytes(&reply).is_ok());
    assert_eq!(world.log(), "R05");
    let reply = world.manage("create_canister", &empty()).unwrap();
    let other = Decode!(&reply, Created).unwrap().canister_id;
    assert_eq!(world.call("manage", &about(other)).unwrap(), [1]);
    assert_eq!(world.log(), "R05J56");
    world.finish();
}

/// Whose code is taken away while it waits for an answer: its callers are told, and the answer is
/// dropped.
#[test]
fn uninstalling_ends_open_calls() {
    let mut world = World::new();
    let argument = about(world.id);
    let open = world.ingress(world.id, "random", b"");
    let management = Principal::management_canister();
    let uninstall = world.ingress(management, "uninstall_code", &argument);
    let id = open.id.clone();
    world.round(world.state.time + SECOND, vec![open, uninstall]);
    let told = world.answer(&id).unwrap().unwrap_err();
    assert_eq!((told.code, told.error_code.as_str()), (4, "IC0406"));
    world.tick();
    assert!(world.canister().calls.is_idle());
    world.finish();
}

/// Who waits for a stop is told when it takes more than five minutes, and when somebody starts the
/// canister again.
#[test]
fn a_stop_is_given_up() {
    let mut world = World::new();
    let management = Principal::management_canister();
    let argument = about(world.id);
    let open = world.ingress(world.id, "random", b"");
    let stop = world.ingress(management, "stop_canister", &argument);
    let id = stop.id.clone();
    world.round(world.state.time + SECOND, vec![open, stop]);
    assert_eq!(world.answer(&id), None);
    world.round(world.state.time + 300 * SECOND, Vec::new());
    assert_eq!(world.answer(&id).unwrap().unwrap_err().error_code, "IC0206");
    // The answer that was missing came in this round as well.
    assert_eq!(world.canister().status, CanisterStatus::Stopped);

    world.manage("start_canister", &argument).unwrap();
    let open = world.ingress(world.id, "random", b"");
    let stop = world.ingress(management, "stop_canister", &argument);
    let start = world.ingress(management, "start_canister", &argument);
    let id = stop.id.clone();
    world.round(world.state.time + SECOND, vec![open, stop, start]);
    assert_eq!(world.answer(&id).unwrap().unwrap_err().error_code, "IC0511");
    assert_eq!(world.call("note", b"x").unwrap(), b"x");
    world.finish();
}

/// A stop ends a row of calls to oneself that would never end: a canister that is stopping takes no
/// calls, its own included.
#[test]
fn a_stop_ends_an_endless_row_of_calls() {
    let mut world = World::new();
    world.call("forward", b"").unwrap();
    assert!(world.state.has_work(world.state.time));
    let argument = about(world.id);
    world.manage("stop_canister", &argument).unwrap();
    assert_eq!(world.canister().status, CanisterStatus::Stopped);
    assert!(!world.state.has_work(world.state.time));
    world.finish();
}

/// What is left out is refused as something that is not there.
#[test]
fn what_is_left_out_is_refused() {
    let mut world = World::new();
    let argument = about(world.id);
    for method in [
        "canister_info",
        "take_canister_snapshot",
        "fetch_canister_logs",
        "http_request",
        "sign_with_ecdsa",
        "deposit_cycles",
        "list_canisters",
        "",
    ] {
        let error = world.manage(method, &argument).unwrap_err();
        assert_eq!(error, "3 IC0536", "{method}");
    }
    let error = world.manage("canister_status", b"DIDL").unwrap_err();
    assert_eq!(error, "5 IC0408");
    world.finish();
}

/// Controllers alone read private metadata; what is public, and that there is none, is for all.
#[test]
fn metadata_is_public_or_private() {
    let mut world = World::new();
    let wat = r#"(module (@custom "icp:public candid:service" "service : {}")
        (@custom "icp:private build" "by whom")
        (func (export "canister_query a")))"#;
    let module = wat::parse_str(wat).unwrap();
    let owner = world.sender;
    let id = world.state.install(&module, Vec::new(), &[owner]).unwrap();
    let stranger = Principal::anonymous();
    let may = |name: &[u8], reader| world.state.may_read_metadata(id.as_slice(), name, reader);
    assert!(may(b"candid:service", &stranger));
    assert!(may(b"absent", &stranger));
    assert!(!may(b"build", &stranger));
    assert!(may(b"build", &owner));
    let path = [b"canister", id.as_slice(), b"metadata", b"build"];
    let signed = world.state.certify(&[path.map(<[u8]>::to_vec).to_vec()]);
    assert_eq!(
        signed.tree.lookup_path(path),
        ic_certification::LookupResult::Found(b"by whom")
    );
    for (wat, why) in [
        (
            r#"(module (@custom "icp:secret x" "") (func (export "canister_query a")))"#,
            "neither",
        ),
        (
            r#"(module (@custom "icp:public x" "") (@custom "icp:private x" "")
                (func (export "canister_query a")))"#,
            "twice",
        ),
    ] {
        let module = wat::parse_str(wat).unwrap();
        let error = world.state.install(&module, Vec::new(), &[]).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}
