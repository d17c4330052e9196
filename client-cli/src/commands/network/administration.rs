//! `paigham network administration`, `propose` and `approve`.

use paigham_client::review::{AdminEntry, Administered, OpenProposal};
use paigham_client::{CanisterId, VerifiedNetwork};
use paigham_network::deploy::{self as network, ApprovalReply, Principal};
use serde_json::{Value, json};

use super::action::{from_json, name_of, to_json};
use super::deploy::agent;
use super::id;
use crate::args::{Common, EndpointOptions};
use crate::commands::audit::reviewer;
use crate::failure::Failure;
use crate::output::{Output, Show, Style, time};
use crate::session;

/// Shows who administers the canisters and what they did.
pub async fn administration(
    common: &Common,
    canister: Option<&str>,
    out: &Output,
) -> Result<(), Failure> {
    let canisters = match canister {
        Some(one) => vec![canister_id(one)?],
        None => all_of(&session::network(common).await?),
    };
    let reviewer = reviewer(common).await?;
    for canister in canisters {
        let administered = reviewer.administration(&canister).await?;
        out.show(&Shown {
            canister: text_of(canister.as_slice()),
            administered,
        });
    }
    Ok(())
}

/// Proposes an action as an administrator.
pub async fn propose(
    common: &Common,
    (canister, action): (&str, &str),
    endpoint: &EndpointOptions,
    out: &Output,
) -> Result<(), Failure> {
    let canister = canister_id(canister)?;
    let action = from_json(action)?;
    let log = reviewer(common).await?.administration(&canister).await?;
    let number = u32::try_from(log.entries.len()).unwrap_or(u32::MAX);
    let agent = agent(endpoint).await?;
    let reply = network::propose(&agent, &canister, number, action).await?;
    out.show(&Voted(reply));
    Ok(())
}

/// Approves what another administrator has proposed.
pub async fn approve(
    (canister, proposal): (&str, &str),
    endpoint: &EndpointOptions,
    out: &Output,
) -> Result<(), Failure> {
    let canister = canister_id(canister)?;
    let mut hash = [0; 32];
    hex::decode_to_slice(proposal, &mut hash).map_err(|_| {
        Failure::user(
            format!("{proposal} is no proposal"),
            "`paigham network administration` shows the 64 digits of what waits",
        )
    })?;
    let agent = agent(endpoint).await?;
    out.show(&Voted(network::approve(&agent, &canister, hash).await?));
    Ok(())
}

fn canister_id(text: &str) -> Result<CanisterId, Failure> {
    let principal = id(text)?;
    CanisterId::new(principal.as_slice())
        .ok_or_else(|| Failure::user(format!("{text} is no canister"), ""))
}

fn all_of(network: &VerifiedNetwork) -> Vec<CanisterId> {
    let canisters = network.file().canisters.iter();
    canisters
        .filter_map(|canister| CanisterId::new(&canister.id))
        .collect()
}

fn text_of(principal: &[u8]) -> String {
    Principal::try_from_slice(principal).map_or_else(|_| hex::encode(principal), |id| id.to_text())
}

/// The administration of a canister.
struct Shown {
    canister: String,
    administered: Administered,
}

impl Shown {
    fn admins(&self) -> Vec<String> {
        let set = &self.administered.admins;
        set.admins.iter().map(|it| text_of(it.as_slice())).collect()
    }
}

impl Show for Shown {
    fn json(&self) -> Value {
        json!({
            "type": "administration",
            "canister": self.canister,
            "admins": self.admins(),
            "threshold": self.administered.admins.threshold,
            "open": self.administered.open.iter().map(open_json).collect::<Vec<_>>(),
            "log": self.administered.entries.iter().map(entry_json).collect::<Vec<_>>(),
        })
    }

    fn text(&self, style: Style) -> String {
        let mut lines = vec![style.bold(&self.canister)];
        let admins = self.admins();
        if admins.is_empty() {
            lines.push("  nobody administers it".to_owned());
        } else {
            let threshold = self.administered.admins.threshold;
            lines.push(format!("  {threshold} of {} must agree:", admins.len()));
            lines.extend(admins.iter().map(|admin| format!("    {admin}")));
        }
        for open in &self.administered.open {
            let hash = hex::encode(open.proposal.hash());
            lines.push(format!("  waits  {hash}"));
            lines.push(format!("    {}", to_json(&open.proposal.action)));
            lines.push(format!(
                "    approved by {}",
                principals(&open.approvers).join(", ")
            ));
        }
        for entry in &self.administered.entries {
            let (number, at) = (entry.proposal.number, time::utc(entry.executed_at));
            lines.push(format!(
                "  {number}  {at}  {}",
                name_of(&entry.proposal.action)
            ));
            lines.push(format!("    {}", to_json(&entry.proposal.action)));
            lines.push(format!(
                "    approved by {}",
                principals(&entry.approvers).join(", ")
            ));
        }
        lines.join("\n")
    }
}

fn principals(some: &[paigham_client::review::PrincipalId]) -> Vec<String> {
    some.iter().map(|it| text_of(it.as_slice())).collect()
}

fn open_json(open: &OpenProposal) -> Value {
    json!({
        "proposal": hex::encode(open.proposal.hash()),
        "action": to_json(&open.proposal.action),
        "approvers": principals(&open.approvers),
    })
}

fn entry_json(entry: &AdminEntry) -> Value {
    json!({
        "number": entry.proposal.number,
        "executed_at_ns": entry.executed_at,
        "action": to_json(&entry.proposal.action),
        "approvers": principals(&entry.approvers),
    })
}

/// What a proposal or an approval came to.
struct Voted(ApprovalReply);

impl Show for Voted {
    fn json(&self) -> Value {
        json!({
            "type": "administration_vote",
            "proposal": hex::encode(self.0.proposal),
            "approvals": self.0.approvals,
            "executed": self.0.executed == 1,
        })
    }

    fn text(&self, style: Style) -> String {
        let hash = hex::encode(self.0.proposal);
        let said = match (self.0.executed, self.0.approvals) {
            (1, _) => style.bold("Executed; it is in the canister's log."),
            (_, 1) => "One administrator has approved it; it waits for the others.".to_owned(),
            (_, count) => format!("{count} administrators have approved it; it waits for more."),
        };
        format!("{said}\n  proposal  {hash}")
    }
}
