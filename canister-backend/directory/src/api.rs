//! The canister's methods: one blob in, one blob out.

use std::cell::RefCell;

use ic_cdk::api;
use ic_stable_structures::DefaultMemoryImpl;
use paigham_wire::codec::decode;
use paigham_wire::codec::encode_result;
use paigham_wire::directory::{DirectoryError, Ping};
use serde_bytes::ByteBuf;

use crate::directory::Directory;

/// 8 MiB: with 32,768 buckets a canister's stable memory fits.
const BUCKET_PAGES: u16 = 128;
/// Largest argument of an update in bytes, Candid included.
const UPDATE_MAX_BYTES: usize = 4 * 1024;

thread_local! {
    static DIRECTORY: RefCell<Option<Directory<DefaultMemoryImpl>>> = const { RefCell::new(None) };
}

/// Runs on the directory, opening it at the first use after an install or upgrade.
fn with<T>(action: impl FnOnce(&mut Directory<DefaultMemoryImpl>) -> T) -> T {
    DIRECTORY.with_borrow_mut(|slot| {
        let directory = slot.get_or_insert_with(|| {
            match Directory::open(DefaultMemoryImpl::default(), BUCKET_PAGES) {
                Ok(directory) => directory,
                // A memory of another layout: nothing may be done with it; the call is undone.
                Err(error) => ic_cdk::trap(format!("stable memory: {error:?}")),
            }
        });
        action(directory)
    })
}

#[ic_cdk::init]
fn init() {
    with(|directory| api::certified_data_set(directory.root()));
}

#[ic_cdk::post_upgrade]
fn post_upgrade() {
    with(|directory| api::certified_data_set(directory.root()));
}

/// Sheds what will fail anyway; every check is made again by the method.
#[ic_cdk::inspect_message]
fn inspect_message() {
    let is_update = matches!(api::msg_method_name().as_str(), "submit" | "ping");
    if is_update && api::msg_arg_data().len() <= UPDATE_MAX_BYTES {
        api::accept_message();
    }
}

#[ic_cdk::update]
fn submit(request: ByteBuf) -> ByteBuf {
    with(|directory| {
        let reply = encode_result(&directory.submit(&request, api::time()));
        api::certified_data_set(directory.root());
        ByteBuf::from(reply)
    })
}

#[ic_cdk::query]
fn lookup(request: ByteBuf) -> ByteBuf {
    let reply = match api::data_certificate() {
        Some(certificate) => with(|directory| directory.lookup(&request, certificate)),
        None => Err(DirectoryError::NoCertificate),
    };
    ByteBuf::from(encode_result(&reply))
}

#[ic_cdk::update]
fn ping(request: ByteBuf) -> ByteBuf {
    let reply = decode::<Ping>(&request).map_err(|_| DirectoryError::Malformed);
    ByteBuf::from(encode_result(&reply))
}

candid::export_service!();

/// The canister's Candid interface, generated from its methods.
#[must_use]
pub fn candid_interface() -> String {
    __export_service()
}
