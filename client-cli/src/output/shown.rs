//! What can be shown: the client's views, and what stands around them.

use std::fmt;

use paigham_client::{
    AccountId, Client, ContactView, ConversationView, HandleView, Me, MemberView, MessageView,
    Notice, ProblemView, QueueId, RequestView, SafetyNumber, SyncReport,
};
use serde_json::{Value, json};

use super::human::count;
use super::{Show, Style, human, json, time};
use crate::failure::Failure;
use crate::text;

/// Tells people's names.
#[derive(Clone, Copy)]
pub struct Names<'a>(pub &'a dyn Fn(AccountId) -> String);

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

impl Show for Me {
    fn json(&self) -> Value {
        json::me(self)
    }

    fn text(&self, style: Style) -> String {
        human::me(self, style)
    }
}

impl Show for ContactView {
    fn json(&self) -> Value {
        json::contact(self)
    }

    fn text(&self, style: Style) -> String {
        human::contact(self, style)
    }
}

impl Show for RequestView {
    fn json(&self) -> Value {
        json::request(self)
    }

    fn text(&self, style: Style) -> String {
        human::request(self, style)
    }
}

impl Show for HandleView {
    fn json(&self) -> Value {
        json::handle(self)
    }

    fn text(&self, style: Style) -> String {
        human::handle(self, style)
    }
}

impl Show for MemberView {
    fn json(&self) -> Value {
        json::member(self)
    }

    fn text(&self, style: Style) -> String {
        human::member(self, style)
    }
}

impl Show for ProblemView {
    fn json(&self) -> Value {
        json::problem(self)
    }

    fn text(&self, style: Style) -> String {
        human::problem(self, style)
    }
}

/// A safety number, to be compared.
#[derive(Debug)]
pub struct SafetyLine {
    /// With whom.
    pub account: AccountId,
    /// The number.
    pub number: SafetyNumber,
}

impl Show for SafetyLine {
    fn json(&self) -> Value {
        json!({
            "type": "safety_number",
            "account": self.account.to_string(),
            "number": self.number.to_string(),
        })
    }

    fn text(&self, style: Style) -> String {
        style.bold(&self.number.to_string())
    }
}

/// A conversation and how it stands.
#[derive(Debug)]
pub struct ConversationLine<'a> {
    /// The conversation.
    pub view: &'a ConversationView,
    /// Who its members are.
    pub names: Names<'a>,
}

impl Show for ConversationLine<'_> {
    fn json(&self) -> Value {
        json::conversation(self.view)
    }

    fn text(&self, style: Style) -> String {
        human::conversation(self.view, self.names.0, style)
    }
}

/// A line of a conversation.
#[derive(Debug)]
pub struct MessageLine<'a> {
    /// `message`, or `arrived` for one that a sync brought.
    pub kind: &'static str,
    /// Of which conversation.
    pub queue: QueueId,
    /// That conversation's name where the reader does not know which it is.
    pub conversation: Option<&'a str>,
    /// The line.
    pub view: &'a MessageView,
    /// Who is who.
    pub names: Names<'a>,
}

impl Show for MessageLine<'_> {
    fn json(&self) -> Value {
        let line = json!({
            "type": self.kind,
            "conversation": self.queue.to_string(),
            "from": self.view.from.as_ref().map(AccountId::to_string),
            "from_name": self.view.from_name,
            "mine": self.view.mine,
            "body": json::body(&self.view.body),
            "verified": json::verified(self.view.verified.as_ref()),
        });
        match self.conversation {
            Some(name) => json::object(line, json!({ "conversation_name": name })),
            None => line,
        }
    }

    fn text(&self, style: Style) -> String {
        let line = human::message(self.view, self.names.0, style);
        match self.conversation {
            Some(name) => format!("[{}] {line}", text::isolate(name)),
            None => line,
        }
    }
}

/// The end of a sync.
#[derive(Debug)]
pub struct SyncDone<'a>(pub &'a SyncReport);

impl Show for SyncDone<'_> {
    fn json(&self) -> Value {
        json!({
            "type": "sync",
            "arrived": self.0.arrived.len(),
            "joined": self.0.joined.iter().map(QueueId::to_string).collect::<Vec<_>>(),
            "waiting": self.0.waiting,
        })
    }

    fn text(&self, style: Style) -> String {
        let mut facts = match self.0.arrived.len() {
            0 => "nothing new".to_owned(),
            arrived => format!("{} verified", count(arrived, "new line")),
        };
        if !self.0.joined.is_empty() {
            facts = format!(
                "{facts}, {}",
                count(self.0.joined.len(), "new conversation")
            );
        }
        if self.0.waiting > 0 {
            facts = format!("{facts}, {} waiting", self.0.waiting);
        }
        style.dim(&facts)
    }
}

/// What the user should know although nothing failed.
#[derive(Debug)]
pub struct Warning {
    kind: &'static str,
    message: String,
    facts: Value,
}

impl Warning {
    /// Any warning.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            facts: json!({}),
        }
    }

    /// What the client noticed.
    pub fn of_notice(notice: &Notice, client: &Client) -> Self {
        Self::of(notice, Names(&|account| client.name_of(account)))
    }

    pub(super) fn of(notice: &Notice, names: Names<'_>) -> Self {
        match notice {
            Notice::ClockWrong(seconds) => Self {
                kind: "clock_wrong",
                message: clock_wrong(*seconds),
                facts: json!({ "seconds_ahead": seconds }),
            },
            Notice::JoinRefused(why) => Self::new(
                "join_refused",
                format!("an invitation was refused: {}", text::clean(why)),
            ),
            Notice::ConversationFailed(name, why) => Self {
                kind: "conversation_failed",
                message: format!(
                    "{} could not be brought up to date: {}",
                    text::isolate(name),
                    text::clean(why)
                ),
                facts: json!({ "conversation_name": name }),
            },
            Notice::RelayUnreachable(relay) => {
                let relay = hex::encode(relay.as_slice());
                Self {
                    kind: "relay_unreachable",
                    message: format!(
                        "the relay {relay} cannot be reached; invitations from or to it wait"
                    ),
                    facts: json!({ "relay": relay }),
                }
            }
            Notice::OwnChangeLost(what) => Self {
                kind: "change_lost",
                message: format!(
                    "{} was not made: the account was changed meanwhile; see `account show`",
                    what.name()
                ),
                facts: json!({ "change": what.name() }),
            },
            Notice::Recovering { counts_at_ns } => Self {
                kind: "recovering",
                message: format!(
                    "the account comes back at {}; nothing can be read or sent before",
                    time::utc(*counts_at_ns)
                ),
                facts: json!({ "counts_at_ms": time::milliseconds(*counts_at_ns) }),
            },
            Notice::IdentityChanged(account) => Self {
                kind: "identity_changed",
                message: format!(
                    "the identity key of {} changed; ask them in person whether they have a new device \
                     before you write what matters",
                    text::isolate(&names.0(*account))
                ),
                facts: json!({ "account": account.to_string() }),
            },
            Notice::Requested(account) => Self {
                kind: "requested",
                message: format!(
                    "{} is no contact and invites you; see `paigham requests`",
                    text::isolate(&names.0(*account))
                ),
                facts: json!({ "account": account.to_string() }),
            },
            Notice::NotPublished(version) => Self {
                kind: "not_published",
                message: format!(
                    "version {version} of this account's record was sent minutes ago and is not in \
                     the log yet; it is kept and goes on"
                ),
                facts: json!({ "version": version }),
            },
            Notice::NetworkFollowed(number) => Self {
                kind: "network_followed",
                message: format!(
                    "the log shows network file {number}, which follows the one of this home; it is \
                     used from now on"
                ),
                facts: json!({ "number": number }),
            },
            Notice::OtherLog(number) => Self {
                kind: "other_log",
                message: format!(
                    "network file {number} leads to another log; name its link or file with \
                     --network to go there"
                ),
                facts: json!({ "number": number }),
            },
            Notice::NetworkUnlogged(number) => Self {
                kind: "network_unlogged",
                message: format!(
                    "network file {number} of this home is not in the log, where everybody would see \
                     it; ask the operator why"
                ),
                facts: json!({ "number": number }),
            },
            Notice::NetworkSilent { since_ns } => Self {
                kind: "network_silent",
                message: format!(
                    "the log has not shown its network files since {}: if the network has moved, only \
                     a link that you open leads there",
                    time::utc(*since_ns)
                ),
                facts: json!({ "since_ms": time::milliseconds(*since_ns) }),
            },
            Notice::NotAudited {
                vouching,
                required,
                met_at_ns,
            } => Self {
                kind: "not_audited",
                message: not_audited(*vouching, *required, *met_at_ns),
                facts: json!({
                    "vouching": vouching,
                    "required": required,
                    "met_at_ms": met_at_ns.map(time::milliseconds),
                }),
            },
            Notice::AuditorDisagrees(key) => Self {
                kind: "auditor_disagrees",
                message: format!(
                    "the auditor {} has not signed the log that this device is shown: somebody may be \
                     shown another one; ask the auditor, and compare with `paigham audit`",
                    hex::encode(key)
                ),
                facts: json!({ "auditor": hex::encode(key) }),
            },
            Notice::HandleChanged { handle, ends_at } => Self {
                kind: "handle_changed",
                message: handle_changed(handle, *ends_at),
                facts: json!({
                    "handle": handle,
                    "ends_at_ms": ends_at.map(time::milliseconds),
                }),
            },
            Notice::Problem(number) => Self {
                kind: "problem",
                message: format!(
                    "PROBLEM {number}: the log shows what must not be; `paigham problems` says what, \
                     and nothing is sent before it is answered"
                ),
                facts: json!({ "number": number }),
            },
        }
    }

    /// A failure after which the command goes on.
    pub fn of_failure(failure: &Failure) -> Self {
        Self::new(failure.kind().name(), failure.message())
    }

    pub(super) fn json(&self) -> Value {
        let warning = json!({ "kind": self.kind, "message": self.message });
        json!({ "warning": json::object(warning, self.facts.clone()) })
    }

    pub(super) fn text(&self) -> String {
        format!("warning: {}", self.message)
    }
}

fn not_audited(vouching: usize, required: usize, met_at_ns: Option<u64>) -> String {
    let last = match met_at_ns {
        Some(at) => format!("enough of them last did at {}", time::utc(at)),
        None => "enough of them never did".to_owned(),
    };
    format!(
        "{vouching} of the {required} auditors that this network asks for vouch for its log; {last}. \
         They may be late; nothing stops"
    )
}

fn handle_changed(handle: &str, ends_at: Option<u64>) -> String {
    let handle = text::isolate(handle);
    match ends_at {
        Some(at) => format!(
            "ALARM: somebody gives the handle {handle} of this account up, and not from this \
             device; it is lost at {}: `paigham handle claim {handle}` takes it back. Whoever did \
             this holds the account's identity key",
            time::utc(at)
        ),
        None => format!(
            "ALARM: the handle {handle} of this account was changed, and not from this device: \
             somebody else holds the account's identity key"
        ),
    }
}

fn clock_wrong(seconds_ahead: i64) -> String {
    let side = if seconds_ahead < 0 {
        "behind"
    } else {
        "ahead of"
    };
    format!(
        "this machine's clock is {} {side} the network's certified time; the network's time is \
         used, set the clock",
        time::span(seconds_ahead.unsigned_abs())
    )
}
