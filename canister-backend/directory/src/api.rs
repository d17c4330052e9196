//! The canister's methods: one blob in, one blob out.

use std::cell::RefCell;

use ic_cdk::api;
use ic_stable_structures::DefaultMemoryImpl;
use paigham_wire::admin::AdminRefusal;
use paigham_wire::codec::{decode, encode_result};
use paigham_wire::directory::{DirectoryArgument, DirectoryError, Ping};
use paigham_wire::ids::{CanisterId, PrincipalId};
use serde_bytes::ByteBuf;
use tls_codec::Serialize;

use crate::directory::Directory;
use crate::networks::Caller;
use crate::submit::Call;
use crate::tend;

/// 8 MiB: with 32,768 buckets a canister's stable memory fits.
pub const BUCKET_PAGES: u16 = 128;
/// Largest argument of an update in bytes, Candid included.
const UPDATE_MAX_BYTES: usize = 4 * 1024;
/// Of a submission: a network file is the largest.
const SUBMIT_MAX_BYTES: usize = 68 * 1024;
/// Of a proposal: a thousand shards take 64 bytes each.
const PROPOSAL_MAX_BYTES: usize = 96 * 1024;

/// The directory in the canister's own memory.
pub type StableDirectory = Directory<DefaultMemoryImpl>;

thread_local! {
    static DIRECTORY: RefCell<Option<StableDirectory>> = const { RefCell::new(None) };
}

/// Runs on the directory, opening it at the first use after an install or upgrade.
pub fn with<T>(action: impl FnOnce(&mut StableDirectory) -> T) -> T {
    DIRECTORY.with_borrow_mut(|slot| {
        let directory = slot.get_or_insert_with(|| {
            match Directory::open(DefaultMemoryImpl::default(), myself(), BUCKET_PAGES) {
                Ok(directory) => directory,
                // A memory of another layout: nothing may be done with it; the call is undone.
                Err(error) => ic_cdk::trap(format!("stable memory: {error:?}")),
            }
        });
        action(directory)
    })
}

/// This canister.
fn myself() -> CanisterId {
    CanisterId::new(api::canister_self().as_slice()).expect("a principal has at most 29 bytes")
}

/// Certifies what there is now; every update that may change it ends with it.
pub fn certify(directory: &mut StableDirectory) {
    api::certified_data_set(directory.certify());
}

/// Takes a [`DirectoryArgument`]; without one nobody administers. A wrong one installs nothing.
#[ic_cdk::init]
fn init(argument: Option<ByteBuf>) {
    let argument = match argument.map(|bytes| decode(&bytes)) {
        None => DirectoryArgument::default(),
        Some(Ok(argument)) => argument,
        Some(Err(_)) => ic_cdk::trap("the argument is no DirectoryArgument"),
    };
    with(|directory| {
        if let Err(refusal) = directory.install(&argument) {
            ic_cdk::trap(format!("the argument: {refusal}"));
        }
        certify(directory);
    });
    tend::begin();
}

#[ic_cdk::post_upgrade]
fn post_upgrade() {
    with(certify);
    tend::begin();
}

/// Sheds what will fail anyway; every check is made again by the method.
#[ic_cdk::inspect_message]
fn inspect_message() {
    let limit = match api::msg_method_name().as_str() {
        "submit" => SUBMIT_MAX_BYTES,
        "cosign" | "ping" | "admin_approve" => UPDATE_MAX_BYTES,
        "admin_propose" => PROPOSAL_MAX_BYTES,
        _ => return,
    };
    let argument = api::msg_arg_data();
    if argument.len() > limit {
        return;
    }
    if api::msg_method_name() == "submit" && !is_worth_running(&argument) {
        return;
    }
    api::accept_message();
}

fn is_worth_running(argument: &[u8]) -> bool {
    candid::decode_one::<ByteBuf>(argument)
        .is_ok_and(|request| with(|directory| directory.admits_submit(&request)))
}

#[ic_cdk::update]
fn submit(request: ByteBuf) -> ByteBuf {
    let canister = myself();
    let reply = with(|directory| {
        let call = Call {
            canister: &canister,
            caller: caller(directory),
            now_ns: api::time(),
        };
        let reply = directory.submit(&request, &call);
        // A ticket that was spent may have changed what the next one needs.
        if let Some(root) = directory.certify_map() {
            api::certified_data_set(root);
        }
        reply
    });
    tend::arm();
    ByteBuf::from(encode_result(&reply))
}

/// What the caller of this update is to the directory.
fn caller(directory: &StableDirectory) -> Caller {
    let caller = api::msg_caller();
    let administers = PrincipalId::new(caller.as_slice())
        .is_some_and(|principal| directory.is_administrator(&principal));
    if administers || api::is_controller(&caller) {
        Caller::Operator
    } else {
        Caller::Anybody
    }
}

#[ic_cdk::query]
fn status(request: ByteBuf) -> ByteBuf {
    ByteBuf::from(encode_result(&with(|directory| directory.status(&request))))
}

#[ic_cdk::query]
fn config(_request: ByteBuf) -> ByteBuf {
    ByteBuf::from(encode_result(&with(|directory| directory.config())))
}

/// Answers a query under the certificate at hand.
fn certified<T: Serialize>(
    answer: impl FnOnce(&StableDirectory, &[u8]) -> Result<T, DirectoryError>,
) -> ByteBuf {
    let reply = match api::data_certificate() {
        Some(certificate) => with(|directory| answer(directory, &certificate)),
        None => Err(DirectoryError::NoCertificate),
    };
    ByteBuf::from(encode_result(&reply))
}

#[ic_cdk::query]
fn lookup(request: ByteBuf) -> ByteBuf {
    certified(|directory, certificate| directory.lookup(&request, certificate, api::time()))
}

#[ic_cdk::query]
fn monitor(request: ByteBuf) -> ByteBuf {
    certified(|directory, certificate| directory.monitor(&request, certificate))
}

#[ic_cdk::query]
fn audit(request: ByteBuf) -> ByteBuf {
    certified(|directory, certificate| directory.audit(&request, certificate))
}

#[ic_cdk::update]
fn cosign(request: ByteBuf) -> ByteBuf {
    let reply = with(|directory| directory.cosign(&request));
    ByteBuf::from(encode_result(&reply))
}

#[ic_cdk::query]
fn cosignatures(request: ByteBuf) -> ByteBuf {
    let reply = with(|directory| directory.cosignatures(&request));
    ByteBuf::from(encode_result(&reply))
}

#[ic_cdk::update]
fn ping(request: ByteBuf) -> ByteBuf {
    let reply = decode::<Ping>(&request).map_err(|_| DirectoryError::Malformed);
    ByteBuf::from(encode_result(&reply))
}

/// Runs an update of an administrator and certifies the new root.
fn administer<T: Serialize>(
    action: impl FnOnce(&mut StableDirectory, &CanisterId, &PrincipalId) -> Result<T, AdminRefusal>,
) -> ByteBuf {
    let canister = CanisterId::new(api::canister_self().as_slice());
    let caller = PrincipalId::new(api::msg_caller().as_slice());
    let reply = match (canister, caller) {
        (Some(canister), Some(caller)) => with(|directory| {
            let reply = action(directory, &canister, &caller);
            certify(directory);
            reply
        }),
        // A principal has at most 29 bytes.
        _ => Err(AdminRefusal::NotAdmin),
    };
    ByteBuf::from(encode_result(&reply))
}

#[ic_cdk::update]
fn admin_propose(request: ByteBuf) -> ByteBuf {
    administer(|directory, canister, caller| {
        directory.admin_propose(&request, canister, caller, api::time())
    })
}

#[ic_cdk::update]
fn admin_approve(request: ByteBuf) -> ByteBuf {
    administer(|directory, _, caller| directory.admin_approve(&request, caller, api::time()))
}

#[ic_cdk::query]
fn admin_log(request: ByteBuf) -> ByteBuf {
    let reply = match api::data_certificate() {
        Some(certificate) => with(|directory| directory.admin_log(&request, &certificate)),
        None => Err(AdminRefusal::NoCertificate),
    };
    ByteBuf::from(encode_result(&reply))
}

#[ic_cdk::query]
fn beacon(_request: ByteBuf) -> ByteBuf {
    certified(StableDirectory::beacon)
}

#[ic_cdk::query]
fn shards(_request: ByteBuf) -> ByteBuf {
    certified(StableDirectory::shards)
}

candid::export_service!();

/// The canister's Candid interface, generated from its methods.
#[must_use]
pub fn candid_interface() -> String {
    __export_service()
}
