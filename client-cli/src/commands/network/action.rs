//! Actions of administrators as JSON: what `propose` takes and `administration` shows.

use paigham_client::CanisterId;
use paigham_client::review::{
    Action, AdminSet, Difficulties, PrincipalId, Quotas, RetentionBounds, Shard, ShardMap,
    ShardState,
};
use paigham_network::deploy::Principal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;

/// Nanoseconds of a second.
const SECOND_NS: u64 = 1_000_000_000;

/// An action as people write it: `{"gateways":["aaaaa-aa"]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Form {
    Admins {
        admins: Vec<Principal>,
        threshold: u16,
    },
    Quotas {
        queue_bytes: u64,
        queue_posts: u32,
        queue_commits: u16,
        blob_bytes: u64,
        stranger_deposits: u32,
    },
    Gateways(Vec<Principal>),
    Difficulties {
        create_queue: u8,
        create_inbox: u8,
        deposit: u8,
        claim: u8,
        create_blob: u8,
        look_up: u8,
    },
    Retention {
        posts_seconds: u64,
        commits_seconds: u64,
        bytes: u64,
    },
    Shards(Vec<ShardForm>),
}

/// A shard as people write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShardForm {
    canister: Principal,
    subnet: Principal,
    open: bool,
}

/// Reads what an administrator wrote.
pub(super) fn from_json(text: &str) -> Result<Action, Failure> {
    let wrong = |why: String| {
        let hint = "such as {\"gateways\":[\"aaaaa-aa\"]}; `paigham network administration` shows \
                    others in the same form";
        Failure::user(format!("this is no action: {why}"), hint)
    };
    let form: Form = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let action = action_of(form).ok_or_else(|| wrong("an id is too long".to_owned()))?;
    if action.is_allowed() {
        Ok(action)
    } else {
        Err(wrong("a value is out of its bounds".to_owned()))
    }
}

/// Shows an action.
pub(super) fn to_json(action: &Action) -> Value {
    serde_json::to_value(form_of(action)).unwrap_or_default()
}

/// What it does, in words.
pub(super) const fn name_of(action: &Action) -> &'static str {
    match action {
        Action::SetAdmins(_) => "other administrators",
        Action::SetQuotas(_) => "quotas",
        Action::SetGateways(_) => "gateways",
        Action::SetDifficulties(_) => "work for tickets",
        Action::SetRetention(_) => "how long entries are kept",
        Action::SetShards(_) => "shard map",
    }
}

fn action_of(form: Form) -> Option<Action> {
    Some(match form {
        Form::Admins { admins, threshold } => Action::SetAdmins(AdminSet {
            admins: ascending(&admins)?,
            threshold,
        }),
        Form::Quotas {
            queue_bytes,
            queue_posts,
            queue_commits,
            blob_bytes,
            stranger_deposits,
        } => Action::SetQuotas(Quotas {
            queue_bytes,
            queue_posts,
            queue_commits,
            blob_bytes,
            stranger_deposits,
        }),
        Form::Gateways(gateways) => Action::SetGateways(ascending(&gateways)?),
        Form::Difficulties {
            create_queue,
            create_inbox,
            deposit,
            claim,
            create_blob,
            look_up,
        } => Action::SetDifficulties(Difficulties {
            create_queue,
            create_inbox,
            deposit,
            claim,
            create_blob,
            look_up,
        }),
        Form::Retention {
            posts_seconds,
            commits_seconds,
            bytes,
        } => Action::SetRetention(RetentionBounds {
            posts: posts_seconds.saturating_mul(SECOND_NS),
            commits: commits_seconds.saturating_mul(SECOND_NS),
            bytes,
        }),
        Form::Shards(shards) => {
            let mut shards = shards.iter().map(shard_of).collect::<Option<Vec<_>>>()?;
            shards.sort_by(|a, b| a.canister.cmp(&b.canister));
            Action::SetShards(ShardMap { shards })
        }
    })
}

fn ascending(some: &[Principal]) -> Option<Vec<PrincipalId>> {
    let ids = some.iter().map(|id| PrincipalId::new(id.as_slice()));
    let mut ids = ids.collect::<Option<Vec<_>>>()?;
    ids.sort();
    ids.dedup();
    Some(ids)
}

fn shard_of(form: &ShardForm) -> Option<Shard> {
    Some(Shard {
        canister: CanisterId::new(form.canister.as_slice())?,
        subnet: PrincipalId::new(form.subnet.as_slice())?,
        state: if form.open {
            ShardState::Open
        } else {
            ShardState::Closed
        },
    })
}

fn form_of(action: &Action) -> Form {
    match action {
        Action::SetAdmins(set) => Form::Admins {
            admins: principals(&set.admins),
            threshold: set.threshold,
        },
        Action::SetQuotas(quotas) => Form::Quotas {
            queue_bytes: quotas.queue_bytes,
            queue_posts: quotas.queue_posts,
            queue_commits: quotas.queue_commits,
            blob_bytes: quotas.blob_bytes,
            stranger_deposits: quotas.stranger_deposits,
        },
        Action::SetGateways(gateways) => Form::Gateways(principals(gateways)),
        Action::SetDifficulties(bits) => Form::Difficulties {
            create_queue: bits.create_queue,
            create_inbox: bits.create_inbox,
            deposit: bits.deposit,
            claim: bits.claim,
            create_blob: bits.create_blob,
            look_up: bits.look_up,
        },
        Action::SetRetention(bounds) => Form::Retention {
            posts_seconds: bounds.posts / SECOND_NS,
            commits_seconds: bounds.commits / SECOND_NS,
            bytes: bounds.bytes,
        },
        Action::SetShards(map) => Form::Shards(map.shards.iter().map(shard_form).collect()),
    }
}

fn shard_form(shard: &Shard) -> ShardForm {
    ShardForm {
        canister: principal(shard.canister.as_slice()),
        subnet: principal(shard.subnet.as_slice()),
        open: shard.state == ShardState::Open,
    }
}

fn principals(some: &[PrincipalId]) -> Vec<Principal> {
    some.iter().map(|id| principal(id.as_slice())).collect()
}

/// Ids of the wire are no longer than principals.
fn principal(bytes: &[u8]) -> Principal {
    Principal::try_from_slice(bytes).unwrap_or_else(|_| Principal::anonymous())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of action is read as it is shown.
    #[test]
    fn actions_are_read_as_they_are_shown() {
        let id = |byte| PrincipalId::new(&[byte, 1]).unwrap();
        let actions = [
            Action::SetAdmins(AdminSet {
                admins: vec![id(1), id(2)],
                threshold: 2,
            }),
            Action::SetQuotas(Quotas::default()),
            Action::SetGateways(vec![id(3)]),
            Action::SetDifficulties(Difficulties::default()),
            Action::SetRetention(RetentionBounds {
                posts: 86_400 * SECOND_NS,
                commits: 3 * 86_400 * SECOND_NS,
                bytes: 1 << 30,
            }),
            Action::SetShards(ShardMap {
                shards: vec![Shard {
                    canister: CanisterId::new(&[7]).unwrap(),
                    subnet: id(4),
                    state: ShardState::Open,
                }],
            }),
        ];
        for action in actions {
            assert_eq!(from_json(&to_json(&action).to_string()).unwrap(), action);
        }
    }

    /// What is none, names what there is not or goes beyond a bound is refused.
    #[test]
    fn what_is_no_action_is_refused() {
        for wrong in [
            "",
            "{}",
            "{\"gateways\":[\"nobody\"]}",
            "{\"gateways\":[],\"more\":1}",
            "{\"admins\":{\"admins\":[\"aaaaa-aa\"],\"threshold\":2}}",
            "{\"retention\":{\"posts_seconds\":1,\"commits_seconds\":2,\"bytes\":3}}",
        ] {
            assert!(from_json(wrong).is_err(), "{wrong}");
        }
    }
}
