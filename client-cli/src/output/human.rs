//! Text for people.
//!
//! # Security
//! Texts of others stand below a line of ours and are indented, so that no text looks like a tick,
//! an event or another person's message; names stand in isolates.

use paigham_client::{
    AccountId, Answer, Body, ContactView, ConversationView, DeviceId, HandleStanding, HandleView,
    Me, MemberView, MessageView, ProblemKind, ProblemView, RequestView, Standing, Trust, Verified,
};

use super::time;
use crate::text;

/// What stands before each line of somebody's text.
const INDENT: &str = "    ";

/// Decoration, on terminals only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    on: bool,
}

impl Style {
    /// Decorates if `on`.
    pub const fn new(on: bool) -> Self {
        Self { on }
    }

    /// Of lesser weight.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// A heading.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// Verified.
    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// To be noticed.
    pub fn bad(self, text: &str) -> String {
        self.wrap("33", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

pub(super) fn me(me: &Me, style: Style) -> String {
    let registered = if me.registered {
        "yes"
    } else {
        "not yet; `paigham sync` goes on with it"
    };
    let development = if me.development {
        ", for development: its keys lie on one machine"
    } else {
        ""
    };
    [
        style.bold(&text::isolate(&me.name)),
        format!("  account       {}", me.account),
        format!("  device        {}", me.device),
        format!("  identity key  {}", hex::encode(me.identity_key)),
        format!("  registered    {registered}"),
        format!(
            "  network       {}{development}",
            text::isolate(&me.network)
        ),
    ]
    .join("\n")
}

pub(super) fn contact(contact: &ContactView, style: Style) -> String {
    let (devices, version) = (count(contact.devices, "device"), contact.record_version);
    let seen = time::utc(contact.seen_at);
    let handle = contact.handle.as_ref();
    let handle = handle.map_or_else(String::new, |handle| {
        format!("  @{}", text::isolate(handle))
    });
    format!(
        "{}{handle}  {}  {}\n{}",
        style.bold(&text::isolate(&contact.name)),
        contact.account,
        trust(contact.trust, style),
        style.dim(&format!(
            "{INDENT}identity key {}\n{INDENT}{devices}, record {version}, certified {seen}",
            hex::encode(contact.identity_key)
        )),
    )
}

pub(super) fn request(request: &RequestView, style: Style) -> String {
    let what = match &request.group {
        Some(name) => format!("into the group {}", text::isolate(name)),
        None => "to a chat".to_owned(),
    };
    let members = count(
        usize::try_from(request.members).unwrap_or(usize::MAX),
        "account",
    );
    let at = time::utc(request.asked_at.saturating_mul(1_000_000_000));
    format!(
        "{}  {} invites you {what}\n{}",
        style.bold(&request.number.to_string()),
        text::isolate(&request.from_name),
        style.dim(&format!(
            "{INDENT}account {}\n{INDENT}{members}, read {at}",
            request.from
        )),
    )
}

pub(super) fn handle(view: &HandleView, style: Style) -> String {
    let account = view.account.map(|account| account.to_string());
    let whose = match view.standing {
        HandleStanding::Held => account.unwrap_or_default(),
        HandleStanding::Releasing { ends_at } => format!(
            "{}  {}",
            account.unwrap_or_default(),
            style.bad(&format!("given up, counts at {}", time::utc(ends_at)))
        ),
        HandleStanding::Resting { until } => style.bad(&format!(
            "held by nobody; until {} only who gave it up may claim it",
            time::utc(until)
        )),
        HandleStanding::Free => style.dim("held by nobody"),
    };
    format!("@{}  {whose}", style.bold(&text::isolate(&view.handle)))
}

/// The word for an account.
fn trust(trust: Trust, style: Style) -> String {
    match trust {
        Trust::Unknown => style.dim("not looked up"),
        Trust::Logged => "Logged".to_owned(),
        Trust::Verified => style.good("Verified"),
        Trust::Changed => style.bad("Changed"),
        Trust::Problem => style.bad("Problem"),
    }
}

pub(super) fn member(member: &MemberView, style: Style) -> String {
    let mut facts = vec![trust(member.trust, style), count(member.devices, "device")];
    if member.admin {
        facts.push("admin".to_owned());
    }
    if member.revoked > 0 {
        facts.push(style.bad(&format!("{} revoked", member.revoked)));
    }
    format!(
        "{}  {}\n{}",
        style.bold(&text::isolate(&member.name)),
        member.account,
        format_args!("{INDENT}{}", facts.join(" · ")),
    )
}

pub(super) fn problem(problem: &ProblemView, style: Style) -> String {
    let what = match &problem.kind {
        ProblemKind::UnknownVersion {
            version,
            kind,
            devices,
            at_ms,
        } => unknown_version(*version, kind, devices, *at_ms),
        ProblemKind::Log(verdict) => format!("the log broke a promise: {}", text::clean(verdict)),
        ProblemKind::OtherRoots => {
            "another member of a conversation was shown another log than this device".to_owned()
        }
        ProblemKind::TwoHistories => {
            "a commit carried other records of an account than this device was shown".to_owned()
        }
        ProblemKind::Refused(verdict) => format!(
            "an answer of the log did not hold ({}), twice in a row; nothing shows whose fault it is, \
             and nothing waits for an answer",
            text::clean(verdict)
        ),
        ProblemKind::HandleChanged { handle, version } => format!(
            "the handle {} of this account has a record that this device did not make: version \
             {version}",
            text::isolate(handle)
        ),
        ProblemKind::TwoNetworkFiles { number } => format!(
            "the log has another network file of number {number} than this home: somebody was given \
             another network"
        ),
        ProblemKind::NetworkNotLogged { number } => {
            format!("network file {number} of this home is not in its log")
        }
        _ => "something else".to_owned(),
    };
    let answer = match problem.answer {
        None => style.bad("not answered: `paigham problems it-was-me` or `not-me`"),
        Some(Answer::ItWasMe) => "answered: it was me".to_owned(),
        Some(Answer::NotMe) => "answered: it was not me".to_owned(),
    };
    let mut lines = vec![
        format!("{} {what}", style.bold(&format!("{}.", problem.number))),
        format!("{INDENT}found {} · {answer}", time::utc(problem.found_at)),
    ];
    if let Some(path) = &problem.evidence {
        let path = text::clean(&path.display().to_string());
        lines.push(style.dim(&format!("{INDENT}evidence {path}")));
    }
    lines.join("\n")
}

fn unknown_version(version: u32, kind: &str, devices: &[DeviceId], at_ms: u64) -> String {
    let mut what = format!(
        "this account has a record that this device did not make: version {version}, {}",
        text::clean(kind)
    );
    for device in devices {
        what.push_str(&format!(", with the new device {device}"));
    }
    if at_ms > 0 {
        what.push_str(&format!(
            ", logged {}",
            time::utc(at_ms.saturating_mul(1_000_000))
        ));
    }
    what
}

pub(super) fn conversation(
    conversation: &ConversationView,
    names: &dyn Fn(AccountId) -> String,
    style: Style,
) -> String {
    let name = style.bold(&text::isolate(&conversation.name));
    let kind = if conversation.direct {
        "chat".to_owned()
    } else {
        format!("group of {}", conversation.members.len())
    };
    let mut facts = vec![kind, standing(&conversation.standing)];
    facts.push(format!("epoch {}", conversation.epoch));
    facts.push(format!("verified up to #{}", conversation.seq));
    if conversation.waiting > 0 {
        facts.push(format!("{} waiting", conversation.waiting));
    }
    let members: Vec<_> = conversation
        .members
        .iter()
        .map(|member| {
            let admin = !conversation.direct && conversation.admins.contains(member);
            format!(
                "{}{}",
                text::isolate(&names(*member)),
                if admin { " (admin)" } else { "" }
            )
        })
        .collect();
    let more = [
        format!("{INDENT}id       {}", conversation.queue),
        format!("{INDENT}members  {}", members.join(", ")),
        format!(
            "{INDENT}code     {}, the same for every member at #{}",
            hex::encode(conversation.authenticator),
            conversation.seq
        ),
    ];
    format!(
        "{name}  {}\n{}",
        facts.join(" · "),
        style.dim(&more.join("\n"))
    )
}

fn standing(standing: &Standing) -> String {
    match standing {
        Standing::Starting => "being made".into(),
        Standing::Open => "open".into(),
        Standing::Leaving => "leaving".into(),
        Standing::Out => "over: you are out".into(),
        Standing::Stopped(why) => format!("stopped: {}", text::isolate(why)),
        Standing::Lapsed => "over: this device was away for too long".into(),
    }
}

/// A line of a conversation: what was verified and who did it; a text follows below.
pub(super) fn message(
    message: &MessageView,
    names: &dyn Fn(AccountId) -> String,
    style: Style,
) -> String {
    let who = match (message.mine, &message.from) {
        (true, _) => "you".to_owned(),
        (false, Some(_)) => text::isolate(&message.from_name),
        (false, None) => "somebody".to_owned(),
    };
    let said = said(&message.body, &who, names);
    let head = match &message.verified {
        Some(proof) => format!("{} {}", style.good("✓"), style.dim(&verified(proof))),
        None => style.bad("… waiting"),
    };
    let mut lines = vec![format!("{head} · {said}")];
    if let Body::Text(body) = &message.body {
        lines.extend(
            text::lines(body)
                .into_iter()
                .map(|line| format!("{INDENT}{line}")),
        );
    }
    lines.join("\n")
}

fn verified(verified: &Verified) -> String {
    format!(
        "#{} · epoch {} · certificate {} old · {}",
        verified.seq,
        verified.epoch,
        time::age(verified.certificate_age_ms),
        time::utc(verified.accepted_at)
    )
}

/// What somebody did; a text stands below.
fn said(body: &Body, who: &str, names: &dyn Fn(AccountId) -> String) -> String {
    match body {
        Body::Text(_) => format!("{who}:"),
        Body::Unsupported => format!("{who} sent something that this version cannot show"),
        Body::Created => format!("{who} made the conversation"),
        Body::Joined => "this device joined; what was before cannot be read".into(),
        Body::Members { added, removed } => format!("{who} {}", members(added, removed, names)),
        Body::Leaving => format!("{who} asked to leave"),
        Body::PolicyChanged => format!("{who} changed the rules or the name"),
        Body::KeysRenewed => format!("{who} renewed the keys"),
        Body::Out => "this device was taken out; nothing new can be read".into(),
        Body::Stopped(why) => format!("the conversation stopped here: {}", text::isolate(why)),
        Body::Expired {
            after_ns,
            before_ns,
            ..
        } => expired(*after_ns, *before_ns),
        Body::Lapsed => "this device was away for too long; ask a member to take you out and add \
                         you again, or begin a new chat"
            .into(),
        Body::Reset { without: None } => "the group was made anew".into(),
        Body::Reset {
            without: Some(account),
        } => format!(
            "the group was made anew without {}",
            text::isolate(&names(*account))
        ),
        Body::Missed { count } => {
            format!("{count} entries could not be read before a member brought this device back")
        }
        Body::ReAdded { account } => format!(
            "a device of {} could not follow and was brought back",
            text::isolate(&names(*account))
        ),
        Body::Cloned => "another device with the keys of this one took its place: this device or \
                         its data was copied"
            .into(),
    }
}

fn expired(after_ns: u64, before_ns: u64) -> String {
    let before = time::utc(before_ns);
    let when = match after_ns {
        0 => format!("before {before}"),
        after => format!("between {} and {before}", time::utc(after)),
    };
    format!("messages {when} had expired before this device fetched them")
}

fn members(
    added: &[AccountId],
    removed: &[AccountId],
    names: &dyn Fn(AccountId) -> String,
) -> String {
    let list = |accounts: &[AccountId]| {
        let names: Vec<_> = accounts
            .iter()
            .map(|id| text::isolate(&names(*id)))
            .collect();
        names.join(", ")
    };
    match (added.is_empty(), removed.is_empty()) {
        (false, true) => format!("added {}", list(added)),
        (true, false) => format!("took out {}", list(removed)),
        _ => format!("added {} and took out {}", list(added), list(removed)),
    }
}

/// `1 device`, `2 devices`.
pub(super) fn count(number: usize, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}
