//! `paigham contacts`.

use paigham_client::AccountId;

use crate::args::{Common, ContactsCommand};
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;

/// Lists contacts, or adds one.
pub async fn contacts(
    common: &Common,
    command: Option<&ContactsCommand>,
    out: &Output,
) -> Result<(), Failure> {
    match command {
        None | Some(ContactsCommand::List) => list(&Session::open(common, out).await?),
        Some(ContactsCommand::Add { name, account }) => {
            let account = account_id(account)?;
            let mut session = Session::open(common, out).await?;
            let outcome = session.client.add_contact(name, account).await;
            session.pass_on_notices();
            out.show(&outcome?);
            Ok(())
        }
    }
}

fn list(session: &Session<'_>) -> Result<(), Failure> {
    let contacts = session.client.contacts()?;
    if contacts.is_empty() {
        session
            .out
            .say("no contacts yet; add one with `paigham contacts add NAME ID`");
    }
    for contact in &contacts {
        session.out.show(contact);
    }
    Ok(())
}

/// An account id as people type it.
pub(super) fn account_id(text: &str) -> Result<AccountId, Failure> {
    AccountId::from_hex(text.trim()).ok_or_else(|| {
        Failure::user(
            format!("{text} is no account id"),
            "it has 32 hexadecimal digits; its owner sees it with `paigham whoami`",
        )
    })
}
