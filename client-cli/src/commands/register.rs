//! `paigham register`.

use std::io::{self, IsTerminal};
use std::path::Path;

use paigham_client::{
    AccountId, Client, ClientError, Environment, NewAccount, OpenError, OpenRelays, RecoveryKit,
};
use serde_json::{Value, json};

use crate::args::Common;
use crate::failure::Failure;
use crate::output::{Output, Show, Style};
use crate::passphrase::{self, Purpose};
use crate::session::{self, Session};

/// What the owner is called where they give no name.
const NO_NAME: &str = "me";
/// Words on one line of the kit.
const WORDS_A_LINE: usize = 4;

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
    out.show(&Kit {
        account: account.account(),
        kit: &kit,
    });
    drop(kit);
    if io::stdin().is_terminal() && !out.is_json() {
        wait_until_written()?;
    }

    let client = account.create(&home, &passphrase, environment)?;
    let mut session = Session { client, out };
    session.sync().await?;
    out.show(&session.client.me());
    Ok(())
}

/// Whoever has an account here must not be shown a kit that will be worth nothing. What only looks
/// like an account is left to the making of the home to judge.
fn refuse_second_account(home: &Path, passphrase: &str) -> Result<(), Failure> {
    match Client::open(home, passphrase, None, Environment::default()) {
        Ok(_) | Err(ClientError::Home(OpenError::WrongPassphrase)) => {
            Err(ClientError::Home(OpenError::Exists).into())
        }
        Err(error @ ClientError::Home(OpenError::InUse)) => Err(error.into()),
        Err(_) => Ok(()),
    }
}

fn wait_until_written() -> Result<(), Failure> {
    eprint!("Press Enter when you have written the words down; Ctrl-C makes no account. ");
    let read = io::stdin().read_line(&mut String::new());
    match read {
        Ok(bytes) if bytes > 0 => Ok(()),
        _ => Err(Failure::user("no account was made", "")),
    }
}

/// The recovery kit, on the one occasion that it is shown.
struct Kit<'a> {
    account: AccountId,
    kit: &'a RecoveryKit,
}

impl Show for Kit<'_> {
    fn json(&self) -> Value {
        json!({
            "type": "recovery_kit",
            "account": self.account.to_string(),
            "words": self.kit.words().as_str(),
        })
    }

    fn text(&self, style: Style) -> String {
        let words = self.kit.words();
        let mut lines = vec![
            style.bold("Your recovery kit: 24 words, shown only now."),
            "Write them down on paper, in this order, and keep the paper where only you get at it."
                .to_owned(),
            "With them you get your account back when this device is lost or stolen; so does whoever"
                .to_owned(),
            "finds them. They are stored nowhere, and nobody can tell you them again.".to_owned(),
            String::new(),
        ];
        let words: Vec<_> = words.split(' ').enumerate().collect();
        lines.extend(words.chunks(WORDS_A_LINE).map(|line| {
            let cells = line
                .iter()
                .map(|(i, word)| format!("{:>4}. {word:<9}", i + 1));
            cells.collect::<String>().trim_end().to_owned()
        }));
        lines.push(String::new());
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> (String, Value) {
        let kit = RecoveryKit::new([7; 32]);
        let kit = Kit {
            account: AccountId([1; 16]),
            kit: &kit,
        };
        (kit.text(Style::new(false)), kit.json())
    }

    /// The owner can copy 24 numbered words, and is told what they are for.
    #[test]
    fn the_kit_is_plain() {
        let (text, _) = shown();
        let words = RecoveryKit::new([7; 32]).words();
        for (i, word) in words.split(' ').enumerate() {
            assert!(text.contains(&format!("{}. {word}", i + 1)), "{text}");
        }
        assert!(text.contains("lost or stolen"));
        assert!(text.lines().all(|line| line.chars().count() <= 90));
    }

    /// A script gets words that make the same kit.
    #[test]
    fn the_kit_is_a_json_field() {
        let (_, json) = shown();
        let again = RecoveryKit::from_words(json["words"].as_str().unwrap()).unwrap();
        assert_eq!(
            again.key().to_bytes(),
            RecoveryKit::new([7; 32]).key().to_bytes()
        );
        assert_eq!(json["type"], "recovery_kit");
        assert_eq!(json["account"], "01".repeat(16));
    }
}
