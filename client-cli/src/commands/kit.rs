//! The recovery kit: shown once, and typed again.

use std::fs::File;
use std::io::{self, IsTerminal, Read};

use paigham_client::{AccountId, RecoveryKit};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::args::KitWords;
use crate::failure::Failure;
use crate::output::{Output, Show, Style};

/// Words on one line of the kit.
const WORDS_A_LINE: usize = 4;
/// Longest file of words in bytes.
const MAX_BYTES: u64 = 4096;

/// Shows a kit before anything makes it count; where somebody types, waits until it is written down.
pub fn show_until_written(
    account: AccountId,
    kit: &RecoveryKit,
    out: &Output,
) -> Result<(), Failure> {
    out.show(&Kit { account, kit });
    if io::stdin().is_terminal() && !out.is_json() {
        wait_until_written()?;
    }
    Ok(())
}

fn wait_until_written() -> Result<(), Failure> {
    eprint!(
        "Press Enter when you have written the words down; Ctrl-C stops here, and the words are worth nothing. "
    );
    let read = io::stdin().read_line(&mut String::new());
    match read {
        Ok(bytes) if bytes > 0 => Ok(()),
        _ => Err(Failure::user(
            "nothing was done; the words shown are worth nothing",
            "",
        )),
    }
}

/// The kit that the owner holds.
pub fn read(words: &KitWords) -> Result<RecoveryKit, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = match &words.kit_file {
        Some(file) => {
            File::open(file).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
        }
        None if io::stdin().is_terminal() => {
            eprint!("The 24 words of your recovery kit, on one line: ");
            io::stdin().read_line(&mut text)
        }
        None => {
            return Err(Failure::user(
                "no recovery kit given and no terminal to ask on",
                "use --kit-file FILE",
            ));
        }
    };
    read.map_err(|error| Failure::user(format!("cannot read the recovery kit: {error}"), ""))?;
    RecoveryKit::from_words(&text)
        .map_err(|error| Failure::user(error.to_string(), "check the words and their order"))
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
