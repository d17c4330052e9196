//! `paigham requests`.

use crate::args::{Common, RequestsCommand};
use crate::failure::Failure;
use crate::output::{Output, SyncDone};
use crate::session::Session;

/// Lists invitations of people who are no contacts, accepts or declines one.
pub async fn requests(
    common: &Common,
    command: Option<&RequestsCommand>,
    out: &Output,
) -> Result<(), Failure> {
    let mut session = Session::open(common, out).await?;
    match command {
        None | Some(RequestsCommand::List) => list(&session),
        Some(RequestsCommand::Accept { number }) => {
            let outcome = session.client.accept_request(*number).await;
            session.pass_on_notices();
            let report = outcome?;
            session.show_report(&report, None);
            for joined in &report.joined {
                session.show_conversation(*joined)?;
            }
            out.show(&SyncDone(&report));
            Ok(())
        }
        Some(RequestsCommand::Decline { number }) => {
            session.client.decline_request(*number)?;
            out.say("declined; who invited is not told");
            Ok(())
        }
    }
}

fn list(session: &Session<'_>) -> Result<(), Failure> {
    let requests = session.client.requests()?;
    if requests.is_empty() {
        session.out.say("no requests");
    }
    for request in &requests {
        session.out.show(request);
    }
    Ok(())
}
