//! How the story is told: acts, narration, what people read, what was checked, numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use paigham_client::{MessageView, QueueId};
use paigham_subnet::{MethodUse, SubnetStatus};
use serde_json::{Value, json};

use super::people::Person;
use crate::failure::{Failure, Kind};
use crate::output::{MessageLine, Names, Output, Show, Style, object, time};
use crate::text;

/// Stands before everything that an act shows.
const INDENT: &str = "   ";

/// The story as it is told.
#[derive(Debug)]
pub struct Story<'a> {
    pub out: &'a Output,
    acts: usize,
    numbers: Numbers,
}

/// What the end tells.
#[derive(Debug, Default)]
struct Numbers {
    checked: usize,
    verified: usize,
    oldest_certificate_ms: u64,
    rounds: u64,
    methods: BTreeMap<String, MethodUse>,
}

impl<'a> Story<'a> {
    /// Nothing told yet.
    pub fn new(out: &'a Output) -> Self {
        Self {
            out,
            acts: 0,
            numbers: Numbers::default(),
        }
    }

    /// The first lines.
    pub fn open(&self) {
        let style = self.out.style();
        self.out
            .say(&style.bold("Paigham پیغام: three people, one subnet, nobody to trust."));
        self.out.say(
            "✓ #7 · epoch 2 · certificate 0.1 s old means: the subnet's signature over its whole\n\
             state leads, hash by hash, to this line as number 7 of the conversation; it was opened\n\
             with the keys of the conversation's second epoch; and the signature was that fresh.",
        );
    }

    /// Begins an act: what happens, and what it proves.
    pub fn act(&mut self, title: &'static str, lesson: &'static str) {
        self.acts += 1;
        self.out.show(&Act {
            number: self.acts,
            title,
            lesson,
        });
    }

    /// A line of narration.
    pub fn tell(&self, text: impl Into<String>) {
        self.out.show(&Told(text.into()));
    }

    /// Somebody reads a line.
    pub fn read(&mut self, reader: &Person, queue: QueueId, view: &MessageView) {
        if let Some(verified) = &view.verified {
            self.numbers.verified += 1;
            let oldest = &mut self.numbers.oldest_certificate_ms;
            *oldest = verified.certificate_age_ms.max(*oldest);
        }
        self.out.show(&Read {
            reader,
            queue,
            view,
        });
    }

    /// Something that must hold; the story ends where it does not.
    pub fn check(&mut self, what: impl Into<String>, holds: bool) -> Result<(), Failure> {
        let what = what.into();
        if !holds {
            let message = format!("the demo expected what did not come true: {what}");
            return Err(Failure::new(
                Kind::Internal,
                message,
                "this is a bug; please report it",
            ));
        }
        self.numbers.checked += 1;
        self.out.show(&Checked(what));
        Ok(())
    }

    /// Adds what the subnet did since it was started.
    pub fn count_subnet(&mut self, status: &SubnetStatus) {
        self.numbers.rounds = status.rounds;
        let methods = status
            .canisters
            .iter()
            .flat_map(|canister| &canister.methods);
        for (name, used) in methods {
            let sum = self.numbers.methods.entry(name.clone()).or_default();
            sum.calls += used.calls;
            sum.instructions += used.instructions;
            sum.dirty_pages += used.dirty_pages;
            sum.failed += used.failed;
        }
    }

    /// The last lines.
    pub fn close(&self, took: Duration) {
        self.out.show(&Closing {
            numbers: &self.numbers,
            took,
        });
    }
}

struct Act {
    number: usize,
    title: &'static str,
    lesson: &'static str,
}

impl Show for Act {
    fn json(&self) -> Value {
        json!({ "type": "act", "number": self.number, "title": self.title, "lesson": self.lesson })
    }

    fn text(&self, style: Style) -> String {
        let title = style.bold(&format!("{}. {}", self.number, self.title));
        format!("\n{title}\n{INDENT}{}", style.dim(self.lesson))
    }
}

struct Told(String);

impl Show for Told {
    fn json(&self) -> Value {
        json!({ "type": "told", "text": self.0 })
    }

    fn text(&self, _: Style) -> String {
        format!("{INDENT}{}", self.0)
    }
}

struct Checked(String);

impl Show for Checked {
    fn json(&self) -> Value {
        json!({ "type": "checked", "what": self.0 })
    }

    fn text(&self, style: Style) -> String {
        style.dim(&format!("{INDENT}checked: {}", self.0))
    }
}

struct Read<'a> {
    reader: &'a Person,
    queue: QueueId,
    view: &'a MessageView,
}

impl Read<'_> {
    fn with_line<T>(&self, show: impl FnOnce(&MessageLine<'_>) -> T) -> T {
        let names = |account| self.reader.client.name_of(account);
        show(&MessageLine {
            kind: "read",
            queue: self.queue,
            conversation: None,
            view: self.view,
            names: Names(&names),
        })
    }
}

impl Show for Read<'_> {
    fn json(&self) -> Value {
        let line = self.with_line(|line| line.json());
        object(line, json!({ "reader": self.reader.name() }))
    }

    fn text(&self, style: Style) -> String {
        let line = self.with_line(|line| line.text(style));
        let reader = format!("{INDENT}{} sees", text::isolate(self.reader.name()));
        std::iter::once(reader)
            .chain(line.lines().map(|line| format!("{INDENT}{INDENT}{line}")))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

struct Closing<'a> {
    numbers: &'a Numbers,
    took: Duration,
}

impl Show for Closing<'_> {
    fn json(&self) -> Value {
        json!({
            "type": "numbers",
            "checked": self.numbers.checked,
            "verified_lines": self.numbers.verified,
            "oldest_certificate_ms": self.numbers.oldest_certificate_ms,
            "rounds": self.numbers.rounds,
            "methods": self.numbers.methods,
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        })
    }

    fn text(&self, style: Style) -> String {
        let mut lines = vec![
            format!("\n{}", style.bold("In numbers")),
            format!(
                "{INDENT}{} expectations checked, all hold",
                self.numbers.checked
            ),
            format!(
                "{INDENT}{} lines read, each under a certificate; the oldest was {} old",
                self.numbers.verified,
                time::age(self.numbers.oldest_certificate_ms)
            ),
            format!(
                "{INDENT}{} rounds of the subnet; {:.1} s for everything",
                self.numbers.rounds,
                self.took.as_secs_f64()
            ),
            style.dim(&format!(
                "{INDENT}{:<24}{:>8}{:>20}",
                "method", "calls", "instructions/call"
            )),
        ];
        lines.extend(self.numbers.methods.iter().map(|(name, used)| {
            let each = used.instructions / used.calls.max(1);
            format!("{INDENT}{name:<24}{:>8}{each:>20}", used.calls)
        }));
        lines.join("\n")
    }
}
