//! Other questions than those that were asked: the answers are the subnet's own.

use candid::Principal;
use http::Uri;
use http::request::Parts;
use ic_transport_types::EnvelopeContent;
use paigham_wire::codec::{decode, encode};
use paigham_wire::log::Lookup;
use serde_bytes::ByteBuf;

use super::unsigned;

/// What the node asks in place of a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// The same, of another canister.
    OtherCanister(Principal),
    /// The same, as if the asker knew no head of the log.
    HeadForgotten,
}

impl Instead {
    /// `None` where it does not fit.
    pub(super) fn question(self, query: &EnvelopeContent) -> Option<EnvelopeContent> {
        let mut other = query.clone();
        let EnvelopeContent::Query {
            method_name,
            canister_id,
            arg,
            ..
        } = &mut other
        else {
            return None;
        };
        if method_name != "lookup" {
            return None;
        }
        match self {
            Self::OtherCanister(canister) => *canister_id = canister,
            Self::HeadForgotten => {
                let request: ByteBuf = candid::decode_one(arg).ok()?;
                let mut request: Lookup = decode(&request).ok()?;
                request.last.take()?;
                *arg = candid::encode_one(ByteBuf::from(encode(&request))).ok()?;
            }
        }
        Some(other)
    }
}

/// The request that asks it: its path names the canister.
pub(super) fn request(parts: &Parts, other: EnvelopeContent) -> (Parts, Vec<u8>) {
    let mut parts = parts.clone();
    if let EnvelopeContent::Query { canister_id, .. } = &other {
        let mut path: Vec<_> = parts.uri.path().split('/').map(str::to_owned).collect();
        path[4] = canister_id.to_text();
        parts.uri = Uri::try_from(path.join("/")).unwrap();
    }
    (parts, unsigned(other))
}
