//! The canister's methods: one blob in, one blob out.

use std::cell::RefCell;

use ic_cdk::api;
use ic_stable_structures::DefaultMemoryImpl;
use paigham_wire::admin::{AdminRefusal, InitArgument};
use paigham_wire::codec::{decode, encode_result};
use paigham_wire::ids::{CanisterId, PrincipalId};
use paigham_wire::relay::RelayError;
use serde_bytes::ByteBuf;
use tls_codec::Serialize;

use crate::blob;
use crate::limits::{argument_limit, is_query};
use crate::relay::Relay;

/// 16 MiB: with 32,768 buckets a canister's whole stable memory can be used.
const BUCKET_PAGES: u16 = 256;

thread_local! {
    static RELAY: RefCell<Option<Relay<DefaultMemoryImpl>>> = const { RefCell::new(None) };
}

/// Runs on the relay, opening it at the first use after an install or upgrade.
fn with<T>(action: impl FnOnce(&mut Relay<DefaultMemoryImpl>) -> T) -> T {
    RELAY.with_borrow_mut(|slot| {
        let relay = slot.get_or_insert_with(|| {
            let canister = CanisterId::new(api::canister_self().as_slice());
            let opened = canister
                .map(|canister| Relay::open(DefaultMemoryImpl::default(), canister, BUCKET_PAGES));
            match opened {
                Some(Ok(relay)) => relay,
                // A memory of another layout: nothing may be done with it, so the call is undone.
                Some(Err(error)) => ic_cdk::trap(format!("stable memory: {error:?}")),
                None => ic_cdk::trap("the canister's id is longer than a principal"),
            }
        });
        action(relay)
    })
}

/// Runs an update and certifies the new root, once.
fn update<T: Serialize, E: Serialize>(
    action: impl FnOnce(&mut Relay<DefaultMemoryImpl>, u64) -> Result<T, E>,
) -> ByteBuf {
    with(|relay| {
        let reply = encode_result(&action(relay, api::time()));
        api::certified_data_set(relay.seal());
        ByteBuf::from(reply)
    })
}

/// Runs a query with the certificate at hand.
fn query<T: Serialize>(
    action: impl FnOnce(&Relay<DefaultMemoryImpl>, Vec<u8>, u64) -> Result<T, RelayError>,
) -> ByteBuf {
    let reply = match api::data_certificate() {
        Some(certificate) => with(|relay| action(relay, certificate, api::time())),
        None => Err(RelayError::NoCertificate),
    };
    ByteBuf::from(encode_result(&reply))
}

/// Who calls.
fn caller() -> Result<PrincipalId, AdminRefusal> {
    // A principal has at most 29 bytes.
    PrincipalId::new(api::msg_caller().as_slice()).ok_or(AdminRefusal::NotAdmin)
}

/// Takes an [`InitArgument`]; without one nobody administers. A wrong one installs nothing.
#[ic_cdk::init]
fn init(argument: Option<ByteBuf>) {
    let argument = match argument.map(|bytes| decode(&bytes)) {
        None => InitArgument::default(),
        Some(Ok(argument)) => argument,
        Some(Err(_)) => ic_cdk::trap("the argument is no InitArgument"),
    };
    with(|relay| {
        if let Err(refusal) = relay.install(&argument) {
            ic_cdk::trap(format!("the argument: {refusal}"));
        }
        api::certified_data_set(relay.seal());
    });
}

#[ic_cdk::post_upgrade]
fn post_upgrade() {
    with(|relay| {
        relay.certify_shard();
        api::certified_data_set(relay.seal());
    });
}

/// Sheds what will fail anyway; every check is made again by the method.
#[ic_cdk::inspect_message]
fn inspect_message() {
    let method = api::msg_method_name();
    let fits = argument_limit(&method).is_some_and(|limit| api::msg_arg_data().len() <= limit);
    if fits && !is_query(&method) {
        api::accept_message();
    }
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "blob::encode")]
fn create_queue(request: ByteBuf) -> ByteBuf {
    update(|relay, _| relay.create_queue(&request))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "blob::encode")]
fn append_batch(posts: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.append_batch(&posts, now))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "blob::encode")]
fn submit_commit(request: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.submit_commit(&request, now))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "blob::encode")]
fn fetch(request: ByteBuf) -> ByteBuf {
    query(|relay, certificate, _| relay.fetch(&request, certificate))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "blob::encode")]
fn welcome(request: ByteBuf) -> ByteBuf {
    query(|relay, certificate, _| relay.welcome(&request, certificate))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "blob::encode")]
fn ack_welcome(request: ByteBuf) -> ByteBuf {
    update(|relay, _| relay.ack_welcome(&request))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "blob::encode")]
fn create_inbox(request: ByteBuf) -> ByteBuf {
    update(|relay, _| relay.create_inbox(&request))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "blob::encode")]
fn deposit(request: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.deposit(&request, now))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "blob::encode")]
fn read_inbox(request: ByteBuf) -> ByteBuf {
    query(|relay, certificate, now| relay.read_inbox(&request, certificate, now))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "blob::encode")]
fn drain(request: ByteBuf) -> ByteBuf {
    update(|relay, _| relay.drain(&request))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "blob::encode")]
fn refill(request: ByteBuf) -> ByteBuf {
    update(|relay, _| relay.refill(&request))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "blob::encode")]
fn claim(request: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.claim(&request, now))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "blob::encode")]
fn pool(request: ByteBuf) -> ByteBuf {
    query(|relay, certificate, _| relay.pool(&request, certificate))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "blob::encode")]
fn shard(_request: ByteBuf) -> ByteBuf {
    query(|relay, certificate, _| relay.shard(certificate))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "blob::encode")]
fn create_blob(request: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.create_blob(&request, now))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "blob::encode")]
fn put_chunk(request: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.put_chunk(&request, now))
}

/// Needs no certificate: the id of the blob is the hash of what it answers.
#[ic_cdk::query(
    decode_with = "blob::decode",
    encode_with = "blob::encode",
    name = "blob"
)]
fn blob_state(request: ByteBuf) -> ByteBuf {
    with(|relay| ByteBuf::from(encode_result(&relay.blob(&request, api::time()))))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "blob::encode")]
fn chunk(request: ByteBuf) -> ByteBuf {
    with(|relay| ByteBuf::from(encode_result(&relay.chunk(&request, api::time()))))
}

/// Not certified: a gateway only wakes clients.
#[ic_cdk::query(decode_with = "blob::decode", encode_with = "blob::encode")]
fn tail(request: ByteBuf) -> ByteBuf {
    let reply = match caller() {
        Ok(caller) => with(|relay| relay.tail(&request, &caller)),
        Err(_) => Err(RelayError::NotListed),
    };
    ByteBuf::from(encode_result(&reply))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "blob::encode")]
fn admin_propose(request: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.admin_propose(&request, &caller()?, now))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "blob::encode")]
fn admin_approve(request: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.admin_approve(&request, &caller()?, now))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "blob::encode")]
fn admin_log(request: ByteBuf) -> ByteBuf {
    let reply = match api::data_certificate() {
        Some(certificate) => with(|relay| relay.admin_log(&request, certificate)),
        None => Err(AdminRefusal::NoCertificate),
    };
    ByteBuf::from(encode_result(&reply))
}

candid::export_service!();

/// The canister's Candid interface, generated from its methods.
#[must_use]
pub fn candid_interface() -> String {
    __export_service()
}
