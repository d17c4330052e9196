//! What the executor answers without a round: queries, reads of the state tree, its own status.

use std::collections::BTreeSet;

use candid::Principal;
use ic_transport_types::{NodeSignature, QueryResponse, ReplyResponse};

use super::{Executor, Query, Read};
use crate::execution::{Outcome, Reject, reject_code};
use crate::keys::to_cbor;
use crate::status::{CanisterStatus, SubnetStatus};
use crate::topology::Signed;

impl Executor {
    pub(super) fn query(&mut self, query: Query) -> Vec<u8> {
        let time = self.state.time;
        let certificate = self.state.data_certificate(&query.canister, query.form);
        let asked = match self.state.canister_mut(&query.canister) {
            Some(canister) => canister.query(
                &query.method,
                query.argument,
                &query.sender,
                time,
                certificate,
            ),
            None if query.canister == Principal::management_canister() => {
                let text = "the embedded subnet's management canister answers no queries";
                Err(Reject::failed("IC0536", text))
            }
            None => Err(Reject::failed("IC0301", "no such canister")),
        };
        let answer = asked.and_then(|execution| {
            let (canister, method) = (query.canister, &query.method);
            self.state.count_query(canister, method, &execution);
            match execution.outcome {
                Outcome::Replied(arg) => Ok(ReplyResponse { arg }),
                Outcome::Rejected(text) => {
                    let code = reject_code::CANISTER_REJECT;
                    Err(Reject::new(code, "IC0406", text))
                }
                Outcome::Failed { code, message } => Err(Reject::failed(code, message)),
                Outcome::Unanswered | Outcome::Accepted => Err(Reject::no_reply()),
            }
        });
        let signatures = Vec::new();
        let mut response = match answer {
            Ok(reply) => QueryResponse::Replied { reply, signatures },
            Err(why) => QueryResponse::Rejected {
                reject: why.into(),
                signatures,
            },
        };
        let signature = NodeSignature {
            timestamp: time,
            signature: self
                .state
                .keys
                .sign_as_node(&response.signable(query.id, time)),
            identity: self.state.keys.node_id,
        };
        match &mut response {
            QueryResponse::Replied { signatures, .. }
            | QueryResponse::Rejected { signatures, .. } => signatures.push(signature),
        }
        to_cbor(&response)
    }

    pub(super) fn read_state(&self, read: &Read) -> Result<Signed, String> {
        let mut requests = BTreeSet::new();
        for path in &read.paths {
            let labels: Vec<_> = path.iter().map(Vec::as_slice).collect();
            match labels.as_slice() {
                [b"time"] | [b"subnet", ..] | [b"canister_ranges", ..] => {}
                [b"canister", _, b"module_hash" | b"controllers"] => {}
                [b"canister", id, b"metadata", name]
                    if self.state.may_read_metadata(id, name, &read.sender) => {}
                [b"request_status", id, ..] => {
                    requests.insert(*id);
                    let asked = (read.sender, read.addressed);
                    if self
                        .state
                        .parties_of(id)
                        .is_some_and(|parties| parties != asked)
                    {
                        return Err("the request was sent by or to somebody else".into());
                    }
                }
                _ => return Err("the path is not one that may be read".into()),
            }
        }
        if requests.len() > 1 {
            return Err("more than one request".into());
        }
        Ok(self.state.certify(&read.paths))
    }

    pub fn status(&self) -> SubnetStatus {
        let canisters = self.state.canisters().iter().map(|(id, canister)| {
            let (heap_bytes, stable_bytes) = canister.memory_sizes();
            let methods = self
                .state
                .usage
                .iter()
                .filter(|((canister, _), _)| canister == id);
            CanisterStatus {
                id: id.to_text(),
                module_hash: canister.module_hash().map(hex::encode).unwrap_or_default(),
                controllers: canister
                    .controllers
                    .iter()
                    .map(Principal::to_text)
                    .collect(),
                heap_bytes,
                stable_bytes,
                methods: methods
                    .map(|((_, method), usage)| (method.clone(), *usage))
                    .collect(),
            }
        });
        SubnetStatus {
            subnet: self.state.keys.subnet.to_text(),
            root_key: hex::encode(&self.state.keys.root_der),
            rounds: self.state.rounds,
            time_ns: self.state.time,
            state_root: hex::encode(self.state.root()),
            canisters: canisters.collect(),
        }
    }
}
