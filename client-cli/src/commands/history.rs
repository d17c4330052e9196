//! `paigham history`.

use crate::args::Common;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;

/// Lists conversations, or shows the newest lines of one; asks nobody.
pub async fn history(
    common: &Common,
    conversation: Option<&str>,
    limit: usize,
    out: &Output,
) -> Result<(), Failure> {
    let session = Session::open(common, out).await?;
    match conversation {
        None => list(&session),
        Some(name) => {
            let queue = session.client.find_conversation(name)?;
            for message in session.client.history(queue, limit)? {
                session.show_message(queue, &message);
            }
            Ok(())
        }
    }
}

fn list(session: &Session<'_>) -> Result<(), Failure> {
    let conversations = session.client.conversations()?;
    if conversations.is_empty() {
        session
            .out
            .say("no conversations yet; begin one with `paigham send NAME TEXT`");
    }
    for conversation in &conversations {
        session.show_conversation(conversation.queue)?;
    }
    Ok(())
}
