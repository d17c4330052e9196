//! `paigham problems`.

use paigham_client::Answer;

use crate::args::{Common, ProblemsCommand};
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;

/// Lists what was found wrong with the log, or answers one of them.
pub async fn problems(
    common: &Common,
    command: Option<&ProblemsCommand>,
    out: &Output,
) -> Result<(), Failure> {
    let mut session = Session::open(common, out).await?;
    match command {
        None | Some(ProblemsCommand::List) => {}
        Some(ProblemsCommand::ItWasMe { number }) => {
            session.client.answer_problem(*number, Answer::ItWasMe)?;
        }
        Some(ProblemsCommand::NotMe { number }) => {
            session.client.answer_problem(*number, Answer::NotMe)?;
            out.say(
                "somebody holds this account's identity key: freeze the account, then recover it \
                 with the kit",
            );
        }
    }
    let problems = session.client.problems()?;
    if problems.is_empty() {
        out.say("no problems");
    }
    for problem in &problems {
        out.show(problem);
    }
    Ok(())
}
