//! The canister's methods: one blob in, one blob out.

use std::cell::RefCell;

use ic_cdk::api;
use ic_stable_structures::DefaultMemoryImpl;
use paigham_wire::admin::{AdminRefusal, InitArgument};
use paigham_wire::codec::decode;
use paigham_wire::ids::{CanisterId, PrincipalId};
use paigham_wire::relay::RelayError;
use serde_bytes::ByteBuf;
use tls_codec::Serialize;

use crate::blob;
use crate::limits::{BUCKET_PAGES, argument_limit, is_query};
use crate::relay::Relay;
use crate::tend;

thread_local! {
    static RELAY: RefCell<Option<Relay<DefaultMemoryImpl>>> = const { RefCell::new(None) };
}

/// Runs on the relay, opening it at the first use after an install or upgrade.
pub(crate) fn with<T>(action: impl FnOnce(&mut Relay<DefaultMemoryImpl>) -> T) -> T {
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

/// Runs an update and certifies the new root, once. The reply is given as Candid has it.
fn update<T: Serialize, E: Serialize>(
    action: impl FnOnce(&mut Relay<DefaultMemoryImpl>, u64) -> Result<T, E>,
) -> ByteBuf {
    with(|relay| {
        let reply = blob::encode(&action(relay, api::time()));
        api::certified_data_set(relay.seal());
        reply
    })
}

/// Runs a query with the certificate at hand. The reply is given as Candid has it.
fn query<T: Serialize>(
    action: impl FnOnce(&Relay<DefaultMemoryImpl>, Vec<u8>, u64) -> Result<T, RelayError>,
) -> ByteBuf {
    let result = match api::data_certificate() {
        Some(certificate) => with(|relay| action(relay, certificate, api::time())),
        None => Err(RelayError::NoCertificate),
    };
    blob::encode(&result)
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
    tend::begin();
}

#[ic_cdk::post_upgrade]
fn post_upgrade() {
    with(|relay| {
        relay.certify_shard();
        api::certified_data_set(relay.seal());
    });
    tend::begin();
}

/// Sheds what will fail anyway; every check is made again by the method.
#[ic_cdk::inspect_message]
fn inspect_message() {
    let method = api::msg_method_name();
    // The size before anything is copied or decoded.
    let fits = argument_limit(&method).is_some_and(|limit| api::msg_arg_data().len() <= limit);
    if !fits || is_query(&method) {
        return;
    }
    let Ok(caller) = caller() else {
        return;
    };
    let request = blob::decode(api::msg_arg_data());
    if with(|relay| relay.admits(&method, &request, &caller)) {
        api::accept_message();
    }
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn create_queue(request: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.create_queue(&request, now))
}

/// `append_batch` as the interface has it and as it runs on a lone blob, which is read in pieces.
#[ic_cdk::update(
    name = "append_batch",
    hidden = true,
    encode_with = "ByteBuf::into_vec"
)]
fn append_batch_in_pieces() -> ByteBuf {
    match blob::argument() {
        Some(posts) => update(|relay, now| relay.append_batch(posts, now)),
        None => append_batch(blob::decode(api::msg_arg_data())),
    }
}

#[candid::candid_method(update)]
fn append_batch(posts: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.append_batch(&posts, now))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn submit_commit(request: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.submit_commit(&request, now))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn fetch(request: ByteBuf) -> ByteBuf {
    query(|relay, certificate, _| relay.fetch(&request, certificate))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn welcome(request: ByteBuf) -> ByteBuf {
    query(|relay, certificate, _| relay.welcome(&request, certificate))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn ack_welcome(request: ByteBuf) -> ByteBuf {
    update(|relay, _| relay.ack_welcome(&request))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn create_inbox(request: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.create_inbox(&request, now))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn deposit(request: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.deposit(&request, now))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn read_inbox(request: ByteBuf) -> ByteBuf {
    query(|relay, certificate, now| relay.read_inbox(&request, certificate, now))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn drain(request: ByteBuf) -> ByteBuf {
    update(|relay, _| relay.drain(&request))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn refill(request: ByteBuf) -> ByteBuf {
    update(|relay, _| relay.refill(&request))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn claim(request: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.claim(&request, now))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn pool(request: ByteBuf) -> ByteBuf {
    query(|relay, certificate, _| relay.pool(&request, certificate))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn shard(_request: ByteBuf) -> ByteBuf {
    query(|relay, certificate, _| relay.shard(certificate))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn create_blob(request: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.create_blob(&request, now))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn put_chunk(request: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.put_chunk(&request, now))
}

/// Needs no certificate: the id of the blob is the hash of what it answers.
#[ic_cdk::query(
    decode_with = "blob::decode",
    encode_with = "ByteBuf::into_vec",
    name = "blob"
)]
fn blob_state(request: ByteBuf) -> ByteBuf {
    with(|relay| blob::encode(&relay.blob(&request, api::time())))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn chunk(request: ByteBuf) -> ByteBuf {
    with(|relay| blob::encode(&relay.chunk(&request, api::time())))
}

/// Not certified: a gateway only wakes clients.
#[ic_cdk::query(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn tail(request: ByteBuf) -> ByteBuf {
    let reply = match caller() {
        Ok(caller) => with(|relay| relay.tail(&request, &caller)),
        Err(_) => Err(RelayError::NotListed),
    };
    blob::encode(&reply)
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn admin_propose(request: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.admin_propose(&request, &caller()?, now))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn admin_approve(request: ByteBuf) -> ByteBuf {
    update(|relay, now| relay.admin_approve(&request, &caller()?, now))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn admin_log(request: ByteBuf) -> ByteBuf {
    let reply = match api::data_certificate() {
        Some(certificate) => with(|relay| relay.admin_log(&request, certificate)),
        None => Err(AdminRefusal::NoCertificate),
    };
    blob::encode(&reply)
}

candid::export_service!();

/// The canister's Candid interface, generated from its methods.
#[must_use]
pub fn candid_interface() -> String {
    __export_service()
}
