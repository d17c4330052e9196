//! `paigham group`.

use paigham_client::{ClientError, QueueId};

use crate::args::{Common, GroupCommand};
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;

/// Makes and changes groups; shows the group as it stands afterwards.
pub async fn group(common: &Common, command: &GroupCommand, out: &Output) -> Result<(), Failure> {
    let mut session = Session::open(common, out).await?;
    // A change is made to the newest epoch; an older one would only be refused and made again.
    session.sync().await?;
    let outcome = change(&mut session, command).await;
    session.pass_on_notices();
    session.show_conversation(outcome?)
}

async fn change(session: &mut Session<'_>, command: &GroupCommand) -> Result<QueueId, Failure> {
    match command {
        GroupCommand::Create { name, members } => {
            let members = session.accounts(members)?;
            Ok(session.client.create_group(name, &members).await?)
        }
        GroupCommand::Add { group, members } => {
            let (queue, members) = (find(session, group)?, session.accounts(members)?);
            session.client.add_members(queue, &members).await?;
            Ok(queue)
        }
        GroupCommand::Remove { group, members } => {
            let (queue, members) = (find(session, group)?, session.accounts(members)?);
            session.client.remove_members(queue, &members).await?;
            Ok(queue)
        }
        GroupCommand::Members { group } => {
            let queue = find(session, group)?;
            for member in session.client.roster(queue)? {
                session.out.show(&member);
            }
            Ok(queue)
        }
        GroupCommand::Leave { group } => {
            let queue = find(session, group)?;
            session.client.leave(queue).await?;
            Ok(queue)
        }
        GroupCommand::Reset { group } => {
            let queue = find(session, group)?;
            Ok(session.client.reset(queue).await?)
        }
    }
}

fn find(session: &Session<'_>, group: &str) -> Result<QueueId, ClientError> {
    session.client.find_conversation(group)
}
