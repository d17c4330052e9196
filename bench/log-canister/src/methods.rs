//! The methods. What goes wrong here traps: the bench then says so.
#![allow(unsafe_code, reason = "methods are exported by name")]
#![expect(clippy::expect_used, clippy::panic, reason = "see above")]

use paigham_directory::testkit::{certify, with};
use paigham_transparency::auditor::AuditorState;
use paigham_transparency::codec::Codec;
use paigham_transparency::log_tree::full_subtrees;
use paigham_transparency::prover::audit_update;
use paigham_transparency::store::Store;
use paigham_transparency::structs::{AuditorUpdate, Configuration, SearchRequest};
use paigham_transparency::verifier::{Verifier, VerifyHead};

use crate::{argument, label};

/// Signatures of heads are counted elsewhere.
struct Unsigned;

impl VerifyHead for Unsigned {
    fn verify_head(&self, _: &Configuration, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

fn chunks<const N: usize>() -> [Vec<u8>; N] {
    let mut bytes = vec![0; ic0::msg_arg_data_size()];
    ic0::msg_arg_data_copy(&mut bytes, 0);
    let mut rest = &bytes[..];
    std::array::from_fn(|_| {
        let (length, behind) = rest.split_first_chunk().expect("a length");
        let (chunk, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
        rest = behind;
        chunk.to_vec()
    })
}

fn number<const N: usize>(chunk: &[u8]) -> [u8; N] {
    chunk.try_into().expect("a number")
}

fn reply(bytes: &[u8]) {
    ic0::msg_reply_data_append(bytes);
    ic0::msg_reply();
}

/// First number (u32), how many (u32), timestamp (u64), the value of each.
#[unsafe(export_name = "canister_update bench_publish")]
extern "C" fn publish() {
    let [first, count, timestamp, value] = chunks();
    let first = u32::from_le_bytes(number(&first));
    let count = u32::from_le_bytes(number(&count));
    let values = (first..first + count).map(|number| (label(number), value.clone()));
    let timestamp = u64::from_le_bytes(number(&timestamp));
    with(|directory| {
        directory
            .publish_entry(timestamp, values.collect())
            .expect("an entry");
        certify(directory);
    });
    reply(&[]);
}

/// How many proofs (u32).
#[unsafe(export_name = "canister_update bench_prove")]
extern "C" fn prove() {
    let [most] = chunks();
    let most = u32::from_le_bytes(number(&most)) as usize;
    with(|directory| directory.prove_some(most)).expect("proofs");
    reply(&[]);
}

/// Nothing; gives the log's `Configuration`.
#[unsafe(export_name = "canister_query bench_config")]
extern "C" fn config() {
    let config = with(|directory| directory.configuration()).expect("keys");
    reply(&config.encode().expect("a configuration"));
}

/// Nothing; gives the `AuditorState` before the newest entry, and its `AuditorUpdate`.
#[unsafe(export_name = "canister_query bench_newest")]
extern "C" fn newest() {
    let (state, update) = with(|directory| {
        let store = directory.log();
        let newest = store.tree_size() - 1;
        let update = audit_update(store, newest).expect("an entry");
        let state = state_before(store, newest).expect("an entry before");
        (state, update.encode().expect("an update"))
    });
    reply(&argument(&[&state, &update]));
}

/// An auditor's state after so many entries, encoded.
fn state_before(store: &impl Store, size: u64) -> Option<Vec<u8>> {
    let newest = store.entry(size - 1)?;
    let subtrees = full_subtrees(size);
    let mut state = size.to_be_bytes().to_vec();
    state.extend(newest.timestamp.to_be_bytes());
    state.extend(newest.prefix_root);
    state.push(u8::try_from(subtrees.len()).ok()?);
    for subtree in subtrees {
        let last = subtree.start + subtree.size - 1;
        let height = u64::from(subtree.size.trailing_zeros());
        let index = 2 * last - u64::from(last.count_ones()) + height;
        state.extend(store.log_node(index)?);
    }
    Some(state)
}

/// `Configuration` and `SearchRequest`; gives the `SearchResponse`.
#[unsafe(export_name = "canister_query bench_search")]
extern "C" fn search() {
    let [config, request] = chunks();
    let config = Configuration::decode(&config).expect("a configuration");
    let request = SearchRequest::decode(&request).expect("a request");
    let response = with(|directory| directory.unsigned_search(&config, &request));
    reply(&response.expect("a response"));
}

/// `Configuration`, `SearchRequest`, `SearchResponse`, the present (u64, ms).
#[unsafe(export_name = "canister_query bench_verify")]
extern "C" fn verify() {
    let [config, request, response, now] = chunks();
    let config = Configuration::decode(&config).expect("a configuration");
    let request = SearchRequest::decode(&request).expect("a request");
    let verifier = Verifier::new(&config, &Unsigned).expect("a verifier");
    let now = u64::from_le_bytes(number(&now));
    match verifier.search(None, &request, &response, now) {
        Ok(_) => reply(&[]),
        Err(error) => panic!("{error}"),
    }
}

/// `AuditorState`, `AuditorUpdate`.
#[unsafe(export_name = "canister_query bench_audit")]
extern "C" fn audit() {
    let [state, update] = chunks();
    let state = AuditorState::decode(&state).expect("a state");
    let update = AuditorUpdate::decode(&update).expect("an update");
    state.apply(&update).expect("an entry that follows");
    reply(&[]);
}
