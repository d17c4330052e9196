//! `paigham register`.

use std::path::Path;

use paigham_client::{Client, ClientError, Environment, NewAccount, OpenError, OpenRelays};

use super::kit;
use crate::args::Common;
use crate::failure::Failure;
use crate::output::Output;
use crate::passphrase::{self, Purpose};
use crate::session::{self, Session};

/// What the owner is called where they give no name.
pub(super) const NO_NAME: &str = "me";

/// Makes an account: the recovery kit is shown before anything is stored, so that nobody owns an
/// account whose kit they never saw.
pub async fn register(common: &Common, name: Option<&str>, out: &Output) -> Result<(), Failure> {
    let home = session::home(common)?;
    let network = session::network(common).await?;
    let passphrase = passphrase::read(common, Purpose::Choose)?;
    refuse_second_account(&home, &passphrase)?;

    let environment = Environment::default();
    let open = OpenRelays::read(&network, &environment).await?;
    let name = name.unwrap_or(NO_NAME);
    let (account, kit) = NewAccount::prepare(network, &open, name, &environment)?;
    kit::show_until_written(account.account(), &kit, out)?;
    drop(kit);

    let client = account.create(&home, &passphrase, environment)?;
    let mut session = Session { client, out };
    session.sync().await?;
    out.show(&session.client.me());
    Ok(())
}

/// Whoever has an account here must not be shown a kit that will be worth nothing. What only looks
/// like an account is left to the making of the home to judge.
pub(super) fn refuse_second_account(home: &Path, passphrase: &str) -> Result<(), Failure> {
    match Client::open(home, passphrase, None, Environment::default()) {
        Ok(_) | Err(ClientError::Home(OpenError::WrongPassphrase)) => {
            Err(ClientError::Home(OpenError::Exists).into())
        }
        Err(error @ ClientError::Home(OpenError::InUse)) => Err(error.into()),
        Err(_) => Ok(()),
    }
}
