//! JSON of the client's views.

use paigham_client::{
    AccountId, Answer, Body, ContactView, ConversationView, DeviceId, HandleStanding, HandleView,
    Me, MemberView, ProblemKind, ProblemView, RequestView, Standing, Trust, Verified,
};
use serde_json::{Value, json};

use super::time::milliseconds;

/// Puts the fields of `more` into the object `first`.
pub fn object(mut first: Value, more: Value) -> Value {
    if let (Value::Object(first), Value::Object(more)) = (&mut first, more) {
        first.extend(more);
    }
    first
}

/// Ids as hexadecimal.
fn account_list(accounts: &[AccountId]) -> Value {
    accounts.iter().map(AccountId::to_string).collect()
}

pub(super) fn me(me: &Me) -> Value {
    json!({
        "type": "account",
        "account": me.account.to_string(),
        "device": me.device.to_string(),
        "name": me.name,
        "identity_key": hex::encode(me.identity_key),
        "registered": me.registered,
        "network": me.network,
        "network_hash": hex::encode(me.network_hash),
        "development": me.development,
    })
}

pub(super) fn contact(contact: &ContactView) -> Value {
    json!({
        "type": "contact",
        "name": contact.name,
        "account": contact.account.to_string(),
        "record_version": contact.record_version,
        "identity_key": hex::encode(contact.identity_key),
        "devices": contact.devices,
        "seen_at_ms": milliseconds(contact.seen_at),
        "trust": trust(contact.trust),
        "handle": contact.handle,
    })
}

pub(super) fn handle(view: &HandleView) -> Value {
    let (standing, at) = match view.standing {
        HandleStanding::Held => ("held", None),
        HandleStanding::Releasing { ends_at } => ("releasing", Some(ends_at)),
        HandleStanding::Resting { until } => ("resting", Some(until)),
        HandleStanding::Free => ("free", None),
    };
    json!({
        "type": "handle",
        "handle": view.handle,
        "account": view.account.as_ref().map(AccountId::to_string),
        "standing": standing,
        "until_ms": at.map(milliseconds),
    })
}

pub(super) fn request(request: &RequestView) -> Value {
    json!({
        "type": "request",
        "number": request.number,
        "from": request.from.to_string(),
        "from_name": request.from_name,
        "group": request.group,
        "members": request.members,
        "asked_at": request.asked_at,
    })
}

pub(super) fn member(member: &MemberView) -> Value {
    json!({
        "type": "member",
        "account": member.account.to_string(),
        "name": member.name,
        "admin": member.admin,
        "trust": trust(member.trust),
        "devices": member.devices,
        "revoked": member.revoked,
        "seen_at_ms": (member.seen_at > 0).then(|| milliseconds(member.seen_at)),
    })
}

const fn trust(trust: Trust) -> &'static str {
    match trust {
        Trust::Unknown => "unknown",
        Trust::Logged => "logged",
        Trust::Verified => "verified",
        Trust::Changed => "changed",
        Trust::Problem => "problem",
    }
}

pub(super) fn problem(problem: &ProblemView) -> Value {
    let line = json!({
        "type": "problem",
        "number": problem.number,
        "account": problem.account.as_ref().map(AccountId::to_string),
        "found_at_ms": milliseconds(problem.found_at),
        "evidence": problem.evidence.as_ref().map(|path| path.display().to_string()),
        "answer": problem.answer.map(|answer| match answer {
            Answer::ItWasMe => "it_was_me",
            Answer::NotMe => "not_me",
        }),
    });
    let what = match &problem.kind {
        ProblemKind::UnknownVersion {
            version,
            kind,
            devices,
            at_ms,
        } => json!({
            "kind": "unknown_version",
            "version": version,
            "record": kind,
            "devices": devices.iter().map(DeviceId::to_string).collect::<Vec<_>>(),
            "at_ms": (*at_ms > 0).then_some(*at_ms),
        }),
        ProblemKind::Log(name) => json!({ "kind": "log", "verdict": name }),
        ProblemKind::OtherRoots => json!({ "kind": "other_roots" }),
        ProblemKind::TwoHistories => json!({ "kind": "two_histories" }),
        ProblemKind::Refused(name) => json!({ "kind": "refused", "verdict": name }),
        ProblemKind::HandleChanged { handle, version } => {
            json!({ "kind": "handle_changed", "handle": handle, "version": version })
        }
        ProblemKind::TwoNetworkFiles { number } => {
            json!({ "kind": "two_network_files", "network_file": number })
        }
        ProblemKind::NetworkNotLogged { number } => {
            json!({ "kind": "network_not_logged", "network_file": number })
        }
        _ => json!({ "kind": "other" }),
    };
    object(line, what)
}

pub(super) fn conversation(conversation: &ConversationView) -> Value {
    let (standing, reason) = standing(&conversation.standing);
    json!({
        "type": "conversation",
        "id": conversation.queue.to_string(),
        "name": conversation.name,
        "direct": conversation.direct,
        "members": account_list(&conversation.members),
        "admins": account_list(&conversation.admins),
        "standing": standing,
        "reason": reason,
        "stopped_by": conversation.stopped_by.map(|account| account.to_string()),
        "epoch": conversation.epoch,
        "seq": conversation.seq,
        "authenticator": hex::encode(conversation.authenticator),
        "waiting": conversation.waiting,
    })
}

fn standing(standing: &Standing) -> (&'static str, Option<&str>) {
    match standing {
        Standing::Starting => ("starting", None),
        Standing::Open => ("open", None),
        Standing::Leaving => ("leaving", None),
        Standing::Out => ("out", None),
        Standing::Stopped(why) => ("stopped", Some(why)),
        Standing::Lapsed => ("lapsed", None),
    }
}

/// What a line says, by `kind`.
pub(super) fn body(body: &Body) -> Value {
    match body {
        Body::Text(text) => json!({ "kind": "text", "text": text }),
        Body::Unsupported => json!({ "kind": "unsupported" }),
        Body::Created => json!({ "kind": "created" }),
        Body::Joined => json!({ "kind": "joined" }),
        Body::Members { added, removed } => json!({
            "kind": "members",
            "added": account_list(added),
            "removed": account_list(removed),
        }),
        Body::Leaving => json!({ "kind": "leaving" }),
        Body::PolicyChanged => json!({ "kind": "policy_changed" }),
        Body::KeysRenewed => json!({ "kind": "keys_renewed" }),
        Body::Out => json!({ "kind": "out" }),
        Body::Stopped(why) => json!({ "kind": "stopped", "reason": why }),
        Body::Expired {
            count,
            after_ns,
            before_ns,
        } => json!({
            "kind": "expired",
            "count": count,
            "after_ms": (*after_ns > 0).then(|| milliseconds(*after_ns)),
            "before_ms": milliseconds(*before_ns),
        }),
        Body::Lapsed => json!({ "kind": "lapsed" }),
        Body::Reset { without } => json!({
            "kind": "reset",
            "without": without.map(|account| account.to_string()),
        }),
        Body::Missed { count } => json!({ "kind": "missed", "count": count }),
        Body::ReAdded { account } => json!({
            "kind": "re_added",
            "account": account.to_string(),
        }),
        Body::Cloned => json!({ "kind": "cloned" }),
    }
}

/// What was verified; `null` while a line waits.
pub(super) fn verified(verified: Option<&Verified>) -> Value {
    verified.map_or(Value::Null, |verified| {
        json!({
            "seq": verified.seq,
            "epoch": verified.epoch,
            "accepted_at_ms": milliseconds(verified.accepted_at),
            "certificate_time_ms": milliseconds(verified.certificate_time),
            "certificate_age_ms": verified.certificate_age_ms,
        })
    })
}
