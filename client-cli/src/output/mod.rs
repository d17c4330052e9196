//! What a command prints: results on stdout, as text for people or as one JSON object a line;
//! warnings and errors on stderr.
//!
//! # JSON
//! Every object has a `type`. Ids, keys and hashes are lower-case hexadecimal; times are
//! milliseconds since 1970 and end in `_ms`. A field that is there stays; new ones may come.

mod account;
mod evidence;
mod human;
mod json;
mod review;
mod shown;
pub mod time;

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::failure::{Failure, Kind};
use crate::text;

pub use account::AccountLine;
pub use evidence::{EvidenceLine, MonitorLine};
pub use human::Style;
pub use json::object;
pub use review::{AuditDone, AuditEntry, CosignDone, LookupFactsLine};
pub use shown::{ConversationLine, MessageLine, Names, SafetyLine, SyncDone, Warning};

/// Something that can be printed in both ways.
pub trait Show {
    /// One object.
    fn json(&self) -> Value;
    /// One or more lines, without the last line break.
    fn text(&self, style: Style) -> String;
}

/// Where results go.
#[derive(Debug)]
pub struct Output {
    json: bool,
    style: Style,
    failed: RefCell<Option<io::Error>>,
}

impl Output {
    /// Standard output; coloured only on a terminal whose user has not set `NO_COLOR`.
    pub fn new(json: bool) -> Self {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            json,
            style: Style::new(colour && !json),
            failed: RefCell::new(None),
        }
    }

    /// Whether results are printed as JSON.
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// How text is decorated.
    pub const fn style(&self) -> Style {
        self.style
    }

    /// Prints a result.
    pub fn show(&self, what: &impl Show) {
        if self.json {
            self.write(&text::escape_json(&what.json().to_string()));
        } else {
            self.write(&what.text(self.style));
        }
    }

    /// Prints a line for people; nothing with JSON.
    pub fn say(&self, line: &str) {
        if !self.json {
            self.write(line);
        }
    }

    /// Says on stderr what the user should know although nothing failed.
    pub fn warn(&self, warning: &Warning) {
        if self.json {
            eprintln!("{}", text::escape_json(&warning.json().to_string()));
        } else {
            eprintln!("{}", warning.text());
        }
    }

    /// Whether nobody reads what is printed; a command that goes on for ever stops then.
    pub fn is_closed(&self) -> bool {
        self.failed.borrow().is_some()
    }

    /// Whether everything could be printed. A reader that had enough (`| head`) is no failure.
    ///
    /// # Errors
    /// Of standard output.
    pub fn finish(&self) -> Result<(), Failure> {
        match self.failed.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
                Kind::Internal,
                format!("cannot print: {error}"),
                "what the command had to do is done; only its output is lost",
            )),
            _ => Ok(()),
        }
    }

    /// A failed write does not stop a command half-way: what it does matters more than what it
    /// prints.
    fn write(&self, line: &str) {
        if self.is_closed() {
            return;
        }
        let mut stdout = io::stdout().lock();
        if let Err(error) = writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
            self.failed.replace(Some(error));
        }
    }
}

#[cfg(test)]
mod tests;
