//! `paigham handle`.

use crate::args::{Common, HandleCommand};
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;

/// Claims, gives up or shows a handle.
pub async fn handle(common: &Common, command: &HandleCommand, out: &Output) -> Result<(), Failure> {
    let mut session = Session::open(common, out).await?;
    let client = &mut session.client;
    let outcome = match command {
        HandleCommand::Claim { handle } => client.claim_handle(handle).await.map(Some),
        HandleCommand::Release => client.release_handle().await.map(Some),
        HandleCommand::Show {
            handle: Some(handle),
        } => client.find_handle(handle).await.map(Some),
        HandleCommand::Show { handle: None } => client.own_handle().await,
    };
    session.pass_on_notices();
    match outcome? {
        Some(view) => out.show(&view),
        None => out.say("this account has no handle; take one with `paigham handle claim HANDLE`"),
    }
    Ok(())
}
