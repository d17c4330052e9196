//! `paigham contacts`.

use paigham_client::{AccountId, NoSafetyNumber, SafetyNumber};

use crate::args::{Common, ContactsCommand};
use crate::failure::Failure;
use crate::output::{Output, SafetyLine};
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
            let handle = account.trim().strip_prefix('@');
            // What cannot be an id is said before a passphrase is asked for.
            let id = match handle {
                Some(_) => None,
                None => Some(account_id(account)?),
            };
            let mut session = Session::open(common, out).await?;
            let outcome = match id {
                Some(id) => session.client.add_contact(name, id).await,
                None => session.client.add_contact_by_handle(name, account).await,
            };
            session.pass_on_notices();
            out.show(&outcome?);
            Ok(())
        }
        Some(ContactsCommand::Number { name }) => {
            let session = Session::open(common, out).await?;
            let account = session.client.find_account(name)?;
            let number = session.client.safety_number(account)?;
            out.show(&SafetyLine { account, number });
            Ok(())
        }
        Some(ContactsCommand::Verify { name, number }) => {
            let mut session = Session::open(common, out).await?;
            // The key that counts now is the one that is compared.
            session.sync().await?;
            let account = session.client.find_account(name)?;
            session
                .client
                .verify_contact(account, safety_number(number)?)?;
            show(&session, account)
        }
        Some(ContactsCommand::Accept { name }) => {
            let mut session = Session::open(common, out).await?;
            let account = session.client.find_account(name)?;
            session.client.accept_change(account)?;
            show(&session, account)
        }
    }
}

fn show(session: &Session<'_>, account: AccountId) -> Result<(), Failure> {
    for contact in session.client.contacts()? {
        if contact.account == account {
            session.out.show(&contact);
        }
    }
    Ok(())
}

fn safety_number(words: &[String]) -> Result<SafetyNumber, Failure> {
    words.concat().parse().map_err(|error: NoSafetyNumber| {
        Failure::user(
            error.to_string(),
            "type the eight groups of five digits that the contact sees",
        )
    })
}

fn list(session: &Session<'_>) -> Result<(), Failure> {
    let contacts = session.client.contacts()?;
    if contacts.is_empty() {
        session
            .out
            .say("no contacts yet; add one with `paigham contacts add NAME ID|@HANDLE`");
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
            "it has 32 hexadecimal digits; its owner sees it with `paigham whoami`. A handle has an @ \
             before it",
        )
    })
}
