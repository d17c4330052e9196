//! A golden answer of the transparency log with some bytes changed. The first byte of the input
//! chooses the answer; then three bytes each: where, and what to change there.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use paigham_transparency::Recent;
use paigham_transparency::codec::Codec;
use paigham_transparency::structs::*;
use paigham_transparency::verifier::{ContactMap, Ed25519Heads, OwnerState, TreeView, Verifier};
use serde_json::Value;

struct Answer {
    kind: String,
    now: u64,
    view: Option<TreeView>,
    request: Vec<u8>,
    response: Vec<u8>,
    contacts: Option<ContactMap>,
    owner: Option<OwnerState>,
    /// What the golden bytes show.
    honest: OnceLock<Option<String>>,
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    hex::decode(value.as_str()?).ok()
}

fn read<T: Codec>(value: &Value) -> Option<T> {
    T::decode(&bytes(value)?).ok()
}

fn vectors() -> &'static (Configuration, Vec<Answer>) {
    static VECTORS: OnceLock<(Configuration, Vec<Answer>)> = OnceLock::new();
    VECTORS.get_or_init(|| {
        let text = include_str!("../../spec/vectors/kt-log.json");
        let json: Value = serde_json::from_str(text).expect("it is JSON");
        let answers = json["answers"]
            .as_array()
            .expect("there are answers")
            .iter();
        let answers = answers.map(|answer| Answer {
            kind: answer["kind"].as_str().expect("it has a kind").to_owned(),
            now: answer["now"].as_u64().expect("it has a time"),
            view: read(&answer["view"]),
            request: bytes(&answer["request"]).expect("it has a request"),
            response: bytes(&answer["response"]).expect("it has a response"),
            contacts: read(&answer["shows"]["contact_map"]),
            owner: read(&answer["shows"]["owner_state"]),
            honest: OnceLock::new(),
        });
        (
            read(&json["configuration"]).expect("it has a configuration"),
            answers.collect(),
        )
    })
}

/// What the answer shows, as text; `None` if it is refused.
fn believed(config: &Configuration, answer: &Answer, response: &[u8]) -> Option<String> {
    let verifier = Verifier::new(config, &Ed25519Heads).expect("the golden configuration");
    let (view, now) = (answer.view.as_ref(), answer.now);
    let request = &answer.request[..];
    Some(match answer.kind.as_str() {
        "search" => {
            let request = SearchRequest::decode(request).expect("golden");
            let found = verifier.search(view, &request, response, now).ok()?;
            let shown = (
                found.outcome.version,
                found.outcome.value,
                found.outcome.terminal,
            );
            format!("{shown:?} {:?}", found.view)
        }
        "absent" => {
            let request = SearchRequest::decode(request).expect("golden");
            format!("{:?}", verifier.absent(view, &request, response, now).ok()?)
        }
        "contact_monitor" => {
            let request = ContactMonitorRequest::decode(request).expect("golden");
            let contacts = answer.contacts.as_ref()?;
            format!(
                "{:?}",
                verifier
                    .contact_monitor(view?, contacts, &request, response, now)
                    .ok()?
            )
        }
        "owner_init" => {
            let request = OwnerInitRequest::decode(request).expect("golden");
            format!(
                "{:?}",
                verifier.owner_init(view, &request, response, now).ok()?
            )
        }
        "owner_monitor" => {
            let request = OwnerMonitorRequest::decode(request).expect("golden");
            let owner = answer.owner.as_ref()?;
            format!(
                "{:?}",
                verifier
                    .owner_monitor(view?, owner, &request, response, now)
                    .ok()?
            )
        }
        "update" => {
            let request = UpdateRequest::decode(request).expect("golden");
            let owner = answer.owner.as_ref()?;
            format!(
                "{:?}",
                verifier
                    .update(view?, owner, &request, response, now)
                    .ok()?
            )
        }
        "distinguished" => {
            let request = DistinguishedRequest::decode(request).expect("golden");
            let recent = Recent::Newest(4);
            format!(
                "{:?}",
                verifier
                    .distinguished(view, &request, recent, response, now)
                    .ok()?
            )
        }
        other => unreachable!("no such answer: {other}"),
    })
}

fuzz_target!(|input: &[u8]| {
    let (config, answers) = vectors();
    let Some((choice, changes)) = input.split_first() else {
        return;
    };
    let answer = &answers[usize::from(*choice) % answers.len()];
    let mut response = answer.response.clone();
    for change in changes.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([change[0], change[1]])) % response.len();
        response[place] = change[2];
    }
    let honest = answer
        .honest
        .get_or_init(|| believed(config, answer, &answer.response));
    assert!(honest.is_some(), "{}", answer.kind);
    if let Some(shown) = believed(config, answer, &response) {
        assert_eq!(Some(shown), *honest);
    }
});
