//! Where the passphrase comes from: a descriptor, a file or a prompt; never an argument or a
//! variable, which other processes can read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::args::Common;
use crate::failure::Failure;

/// Longest passphrase in bytes.
const MAX_BYTES: u64 = 4096;

/// Whether the passphrase is for a new home and must be typed twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Opens a home.
    Open,
    /// Protects a new one.
    Choose,
}

/// Reads the passphrase.
pub fn read(common: &Common, purpose: Purpose) -> Result<Zeroizing<String>, Failure> {
    let passphrase = match (&common.passphrase_file, common.passphrase_fd) {
        (Some(file), _) => from_file(file)?,
        (None, Some(descriptor)) => from_file(Path::new(&format!("/dev/fd/{descriptor}")))?,
        (None, None) => from_prompt(purpose)?,
    };
    if passphrase.is_empty() {
        return Err(Failure::user(
            "the passphrase is empty",
            "choose one of several words",
        ));
    }
    Ok(passphrase)
}

/// Asks for the passphrase again: at the prompt where it was typed; what a file or a descriptor gave
/// was given for this command alone, and counts for both questions.
pub fn read_again(common: &Common, first: &str) -> Result<Zeroizing<String>, Failure> {
    match (&common.passphrase_file, common.passphrase_fd) {
        (None, None) => ask("Passphrase again, to confirm: "),
        _ => Ok(Zeroizing::new(first.to_owned())),
    }
}

fn from_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let unreadable = |error: io::Error| {
        Failure::user(
            format!(
                "cannot read the passphrase from {}: {error}",
                path.display()
            ),
            "",
        )
    };
    let mut line = Zeroizing::new(String::new());
    BufReader::new(File::open(path).map_err(unreadable)?.take(MAX_BYTES))
        .read_line(&mut line)
        .map_err(unreadable)?;
    Ok(Zeroizing::new(
        line.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}

fn from_prompt(purpose: Purpose) -> Result<Zeroizing<String>, Failure> {
    if !io::stderr().is_terminal() {
        return Err(Failure::user(
            "no passphrase given and no terminal to ask on",
            "use --passphrase-file FILE or --passphrase-fd N",
        ));
    }
    let passphrase = ask("Passphrase: ")?;
    if purpose == Purpose::Choose && ask("Again: ")? != passphrase {
        return Err(Failure::user("the two passphrases differ", "try again"));
    }
    Ok(passphrase)
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .map_err(|error| Failure::user(format!("cannot ask for the passphrase: {error}"), ""))
}
