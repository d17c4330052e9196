//! What administrators do: propose, and approve.

use ic_agent::Agent;
use paigham_wire::admin::{Action, AdminRefusal, ApprovalReply, ApproveRequest, Proposal};
use paigham_wire::codec::{decode_result, encode};
use paigham_wire::hash::Hash;
use paigham_wire::ids::CanisterId;
use serde_bytes::{ByteBuf, Bytes};

use super::{DeployError, Principal};

/// Proposes an action as the agent's identity, which approves it; `number` is that of the next entry
/// of the canister's log. Proposing what waits approves it.
///
/// # Errors
/// [`DeployError::Administration`] if the canister refuses, and as any call.
pub async fn propose(
    agent: &Agent,
    canister: &CanisterId,
    number: u32,
    action: Action,
) -> Result<ApprovalReply, DeployError> {
    let proposal = Proposal {
        canister: canister.clone(),
        number,
        action,
    };
    call(agent, canister, "admin_propose", &encode(&proposal)).await
}

/// Approves a proposal as the agent's identity.
///
/// # Errors
/// As [`propose`].
pub async fn approve(
    agent: &Agent,
    canister: &CanisterId,
    proposal: Hash,
) -> Result<ApprovalReply, DeployError> {
    let request = encode(&ApproveRequest { proposal });
    call(agent, canister, "admin_approve", &request).await
}

async fn call(
    agent: &Agent,
    canister: &CanisterId,
    method: &'static str,
    request: &[u8],
) -> Result<ApprovalReply, DeployError> {
    let reply = |_| DeployError::Reply(method);
    let canister = Principal::try_from_slice(canister.as_slice());
    let canister = canister.map_err(|_| DeployError::Reply(method))?;
    let answer = agent
        .update(&canister, method)
        .with_arg(candid::encode_one(Bytes::new(request)).map_err(reply)?)
        .call_and_wait()
        .await
        .map_err(DeployError::agent(method))?;
    let answer: ByteBuf = candid::decode_one(&answer).map_err(reply)?;
    let answer = decode_result::<ApprovalReply, AdminRefusal>(&answer);
    let answer = answer.map_err(|_| DeployError::Reply(method))?;
    Ok(answer?)
}
