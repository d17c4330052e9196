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
use crate::limits::{BUCKET_PAGES, Oversized, check_size, is_query};
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
fn update<T: Serialize, E: Serialize + From<Oversized>>(
    method: &str,
    action: impl FnOnce(&mut Relay<DefaultMemoryImpl>, u64) -> Result<T, E>,
) -> ByteBuf {
    if let Err(oversized) = check_argument(method) {
        return blob::encode(&Err::<T, _>(E::from(oversized)));
    }
    with(|relay| {
        let reply = blob::encode(&action(relay, api::time()));
        api::certified_data_set(relay.seal());
        reply
    })
}

/// Runs a query. The reply is given as Candid has it.
fn query<T: Serialize, E: Serialize + From<Oversized>>(
    method: &str,
    action: impl FnOnce(&Relay<DefaultMemoryImpl>, u64) -> Result<T, E>,
) -> ByteBuf {
    let result = check_argument(method)
        .map_err(E::from)
        .and_then(|()| with(|relay| action(relay, api::time())));
    blob::encode(&result)
}

/// The certificate at hand.
fn certificate() -> Result<Vec<u8>, RelayError> {
    api::data_certificate().ok_or(RelayError::NoCertificate)
}

/// Inspection sees no queries and no calls of canisters: their arguments are bounded here.
fn check_argument(method: &str) -> Result<(), Oversized> {
    check_size(method, ic0::msg_arg_data_size())
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
    if check_argument(&method).is_err() || is_query(&method) {
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
    update("create_queue", |relay, now| {
        relay.create_queue(&request, now)
    })
}

/// `append_batch` as the interface has it and as it runs on a lone blob, which is read in pieces.
#[ic_cdk::update(
    name = "append_batch",
    hidden = true,
    encode_with = "ByteBuf::into_vec"
)]
fn append_batch_in_pieces() -> ByteBuf {
    match blob::argument() {
        Some(posts) => update("append_batch", |relay, now| relay.append_batch(posts, now)),
        None => append_batch(blob::decode(api::msg_arg_data())),
    }
}

#[candid::candid_method(update)]
fn append_batch(posts: ByteBuf) -> ByteBuf {
    update("append_batch", |relay, now| relay.append_batch(&posts, now))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn submit_commit(request: ByteBuf) -> ByteBuf {
    update("submit_commit", |relay, now| {
        relay.submit_commit(&request, now)
    })
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn fetch(request: ByteBuf) -> ByteBuf {
    query("fetch", |relay, _| relay.fetch(&request, certificate()?))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn welcome(request: ByteBuf) -> ByteBuf {
    query("welcome", |relay, _| {
        relay.welcome(&request, certificate()?)
    })
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn ack_welcome(request: ByteBuf) -> ByteBuf {
    update("ack_welcome", |relay, _| relay.ack_welcome(&request))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn create_inbox(request: ByteBuf) -> ByteBuf {
    update("create_inbox", |relay, now| {
        relay.create_inbox(&request, now)
    })
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn deposit(request: ByteBuf) -> ByteBuf {
    update("deposit", |relay, now| relay.deposit(&request, now))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn read_inbox(request: ByteBuf) -> ByteBuf {
    query("read_inbox", |relay, now| {
        relay.read_inbox(&request, certificate()?, now)
    })
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn drain(request: ByteBuf) -> ByteBuf {
    update("drain", |relay, _| relay.drain(&request))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn refill(request: ByteBuf) -> ByteBuf {
    update("refill", |relay, _| relay.refill(&request))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn claim(request: ByteBuf) -> ByteBuf {
    update("claim", |relay, now| relay.claim(&request, now))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn pool(request: ByteBuf) -> ByteBuf {
    query("pool", |relay, _| relay.pool(&request, certificate()?))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn shard(_request: ByteBuf) -> ByteBuf {
    query("shard", |relay, _| relay.shard(certificate()?))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn create_blob(request: ByteBuf) -> ByteBuf {
    update("create_blob", |relay, now| relay.create_blob(&request, now))
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn put_chunk(request: ByteBuf) -> ByteBuf {
    update("put_chunk", |relay, now| relay.put_chunk(&request, now))
}

/// Needs no certificate: the id of the blob is the hash of what it answers.
#[ic_cdk::query(
    decode_with = "blob::decode",
    encode_with = "ByteBuf::into_vec",
    name = "blob"
)]
fn blob_state(request: ByteBuf) -> ByteBuf {
    query("blob", |relay, now| relay.blob(&request, now))
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn chunk(request: ByteBuf) -> ByteBuf {
    query("chunk", |relay, now| relay.chunk(&request, now))
}

/// Not certified: a gateway only wakes clients.
#[ic_cdk::query(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn tail(request: ByteBuf) -> ByteBuf {
    query("tail", |relay, _| {
        let caller = caller().map_err(|_| RelayError::NotListed)?;
        relay.tail(&request, &caller)
    })
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn admin_propose(request: ByteBuf) -> ByteBuf {
    update("admin_propose", |relay, now| {
        relay.admin_propose(&request, &caller()?, now)
    })
}

#[ic_cdk::update(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn admin_approve(request: ByteBuf) -> ByteBuf {
    update("admin_approve", |relay, now| {
        relay.admin_approve(&request, &caller()?, now)
    })
}

#[ic_cdk::query(decode_with = "blob::decode", encode_with = "ByteBuf::into_vec")]
fn admin_log(request: ByteBuf) -> ByteBuf {
    query("admin_log", |relay, _| {
        let certificate = api::data_certificate().ok_or(AdminRefusal::NoCertificate)?;
        relay.admin_log(&request, certificate)
    })
}

candid::export_service!();

/// The canister's Candid interface, generated from its methods.
#[must_use]
pub fn candid_interface() -> String {
    __export_service()
}
