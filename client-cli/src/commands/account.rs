//! `paigham account`.

use paigham_client::{
    AccountId, Client, DeviceId, Environment, FreezeKey, RecoverTarget, Recovery,
};

use super::register::{NO_NAME, refuse_second_account};
use super::{contacts, kit};
use crate::args::{AccountCommand, Common, KitWords};
use crate::failure::Failure;
use crate::output::{AccountLine, Output};
use crate::passphrase::{self, Purpose};
use crate::session::{self, Session};

/// Looks at the own account, or changes it.
pub async fn account(
    common: &Common,
    command: &AccountCommand,
    out: &Output,
) -> Result<(), Failure> {
    match command {
        AccountCommand::Show => {
            let mut session = Session::open(common, out).await?;
            show(&mut session).await
        }
        AccountCommand::Freeze { kit, words } => freeze(common, *kit, words, out).await,
        AccountCommand::Rotate => {
            let (mut session, owner) = Session::open_by_owner(common, out).await?;
            let outcome = session.client.rotate(owner).await;
            done(&mut session, outcome, ROTATED).await
        }
        AccountCommand::RemoveDevice { devices } => {
            let devices = devices_of(devices)?;
            let (mut session, owner) = Session::open_by_owner(common, out).await?;
            let outcome = session.client.remove_devices(&devices, owner).await;
            done(&mut session, outcome, REMOVED).await
        }
        AccountCommand::ChangeKit { words } => change_kit(common, words, out).await,
        AccountCommand::Recover {
            account,
            name,
            keep,
            words,
        } => recover(common, (account, name.as_deref(), keep), words, out).await,
        AccountCommand::Delete => {
            let (mut session, owner) = Session::open_by_owner(common, out).await?;
            let outcome = session.client.delete_account(owner).await;
            done(&mut session, outcome, DELETING).await
        }
        AccountCommand::UndoDelete => {
            let (mut session, owner) = Session::open_by_owner(common, out).await?;
            let outcome = session.client.undo_delete(owner).await;
            done(&mut session, outcome, UNDONE).await
        }
    }
}

const FROZEN: &str = "The account is frozen for seven days. Until then only the recovery kit does \
                      anything: `account change-kit` on a device of yours, or `account recover`; \
                      both end the freeze. Messages go on.";
const ROTATED: &str = "A fresh identity key counts from now on; nothing undoes it. Contacts see that \
                       your key changed.";
const REMOVED: &str = "The devices are out of the account from now on, and leave each of your groups \
                       with the next commit there. A fresh identity key counts; contacts see that \
                       your key changed. Your other devices need it from you.";
const KIT_CHANGED: &str = "The new words count from now on, and the old ones for nothing. A freeze, a \
                           recover or an end of the account that waited is off.";
const DELETING: &str = "The account ends in 72 hours, for good. Until then `account undo-delete` \
                        calls it off, and so does any other change of the account.";
const UNDONE: &str = "The account stays. A fresh identity key counts from now on, so that whoever \
                      began its end with a copy of the old one can do nothing more.";
const RECOVERING: &str = "The account comes back in 72 hours; run `paigham sync` on this home then. \
                          Until then the old devices go on, and whoever has one of them together \
                          with the words can call it off by `account change-kit`.";

async fn freeze(
    common: &Common,
    by_kit: bool,
    words: &KitWords,
    out: &Output,
) -> Result<(), Failure> {
    let kit = (by_kit || words.kit_file.is_some())
        .then(|| kit::read(words))
        .transpose()?;
    let mut session = Session::open(common, out).await?;
    let by = kit.as_ref().map_or(FreezeKey::Identity, FreezeKey::Kit);
    let outcome = session.client.freeze(by).await;
    done(&mut session, outcome, FROZEN).await
}

/// The new kit is shown before it counts, so that nobody owns an account whose kit they never saw.
async fn change_kit(common: &Common, words: &KitWords, out: &Output) -> Result<(), Failure> {
    let old = kit::read(words)?;
    let mut session = Session::open(common, out).await?;
    let new = Client::new_kit()?;
    kit::show_until_written(session.client.me().account, &new, out)?;
    let outcome = session.client.change_kit(&old, &new).await;
    done(&mut session, outcome, KIT_CHANGED).await
}

async fn recover(
    common: &Common,
    (account, name, keep): (&str, Option<&str>, &[String]),
    words: &KitWords,
    out: &Output,
) -> Result<(), Failure> {
    let account = contacts::account_id(account)?;
    let remain = devices_of(keep)?;
    let home = session::home(common)?;
    let network = session::network(common).await?;
    let kit = kit::read(words)?;
    let passphrase = passphrase::read(common, Purpose::Choose)?;
    refuse_second_account(&home, &passphrase)?;
    let environment = Environment::default();
    let target = RecoverTarget {
        account,
        kit: &kit,
        remain: &remain,
        name: name.unwrap_or(NO_NAME),
    };
    let recovery = Recovery::prepare(network, &target, &environment).await?;
    let client = recovery.create(&home, &passphrase, environment)?;
    let mut session = Session { client, out };
    session.sync().await?;
    out.say(RECOVERING);
    show(&mut session).await
}

/// Says what has happened, goes on with the groups, and shows how the account stands.
async fn done(
    session: &mut Session<'_>,
    outcome: Result<(), paigham_client::ClientError>,
    what: &str,
) -> Result<(), Failure> {
    session.pass_on_notices();
    outcome?;
    session.out.say(what);
    session.fetch_if_reachable().await?;
    show(session).await
}

async fn show(session: &mut Session<'_>) -> Result<(), Failure> {
    let status = session.client.account_status().await;
    session.pass_on_notices();
    session.out.show(&AccountLine(&status?));
    Ok(())
}

fn devices_of(ids: &[String]) -> Result<Vec<DeviceId>, Failure> {
    ids.iter()
        .map(|id| {
            // Devices and accounts have ids of the same form.
            let id = AccountId::from_hex(id.trim()).ok_or_else(|| {
                Failure::user(
                    format!("{id} is no device id"),
                    "it has 32 hexadecimal digits; `account show` lists them",
                )
            })?;
            Ok(DeviceId(id.0))
        })
        .collect()
}
