//! What evidence files prove, and what monitoring finds.

use paigham_client::review::{Checked, EvidenceFacts, Limit, Proved};
use paigham_client::{MonitorReport, MonitorVerdict, Watched};
use serde_json::{Value, json};

use super::human::count;
use super::review::auditors;
use super::{Show, Style, object, time};
use crate::text;

/// What evidence files prove.
#[derive(Debug)]
pub struct EvidenceLine<'a>(pub &'a EvidenceFacts);

impl Show for EvidenceLine<'_> {
    fn json(&self) -> Value {
        let (facts, report) = (self.0, &self.0.report);
        json!({
            "type": "evidence",
            "network": facts.network.file().name,
            "network_hash": hex::encode(facts.network.hash()),
            "claimed": report.claimed.to_string(),
            "holds": report.is_as_claimed(),
            "items": report.items.iter().map(item_json).collect::<Vec<_>>(),
            "proved": report.proved.iter().map(proved).collect::<Vec<_>>(),
            "not_proved": self.not_proved(),
        })
    }

    fn text(&self, style: Style) -> String {
        let report = &self.0.report;
        let mut lines = vec![format!("the file says: {}", report.claimed)];
        for (number, item) in (1..).zip(&report.items) {
            lines.push(format!("  item {number}: {}", item_text(item)));
        }
        lines.push(format!(
            "network file {}",
            hex::encode(self.0.network.hash())
        ));
        lines.push(style.bold("proved"));
        match report.proved.is_empty() {
            true => lines.push("  nothing".to_owned()),
            false => lines.extend(report.proved.iter().map(|one| format!("  {}", proved(one)))),
        }
        lines.push(style.bold("not proved"));
        lines.extend(self.not_proved().iter().map(|open| format!("  {open}")));
        lines.join("\n")
    }
}

impl EvidenceLine<'_> {
    fn not_proved(&self) -> Vec<&'static str> {
        let mut open = Vec::new();
        if !self.0.is_network_named {
            open.push("that the network file in it is the right one: compare its hash, or name yours with --network");
        }
        open.extend(self.0.report.limits.iter().map(|limit| not_proved(*limit)));
        open
    }
}

fn item_json(item: &Checked) -> Value {
    match item {
        Checked::Holds { size, certified_at } => json!({
            "holds": true,
            "entries": size,
            "certified_ms": time::milliseconds(*certified_at),
        }),
        Checked::NetworkFile { number } => json!({ "holds": true, "network_file": number }),
        Checked::Word => json!({ "holds": null, "word": true }),
        Checked::Refused(error) => json!({ "holds": false, "why": error.to_string() }),
    }
}

fn item_text(item: &Checked) -> String {
    match item {
        Checked::Holds { size, certified_at } => format!(
            "holds, under a head of {size} entries certified {}",
            time::utc(*certified_at)
        ),
        Checked::NetworkFile { number } => format!("a signed network file, number {number}"),
        Checked::Word => "somebody's word".to_owned(),
        Checked::Refused(error) => format!("refused: {error}"),
    }
}

fn proved(proved: &Proved) -> String {
    match proved {
        Proved::Fork { size } => format!(
            "the directory signed two heads whose logs differ in their first {size} entries"
        ),
        Proved::Rollback { before, after } => {
            format!("the directory signed a log of {after} entries after one of {before}")
        }
        Proved::BadTime(finding) => finding.to_string(),
        Proved::WrongAuthorisation(error) => format!("the log holds what must not be: {error}"),
        Proved::TwoValues { version } => {
            format!("the log showed version {version} of an account with two records")
        }
        Proved::MissingVersion { before, after } => {
            format!("the log showed {after} versions of an account in a larger log than {before}")
        }
        Proved::TwoNetworkFiles { number } => {
            format!("release keys of this network signed two network files of number {number}")
        }
        Proved::LoggedValue { version, value } => format!(
            "the label's newest version in the log is {version}, SHA-256 {}",
            hex::encode(value)
        ),
        Proved::Logged {
            version,
            record,
            devices,
        } => format!(
            "the account's newest version in the log is {version}, record {}, {}",
            hex::encode(record),
            count(*devices, "device")
        ),
    }
}

const fn not_proved(limit: Limit) -> &'static str {
    match limit {
        Limit::AnswerUnsigned => {
            "that a refused answer came from the directory: whoever carried it may have changed it"
        }
        Limit::StateUnsigned => {
            "that whoever watched had seen what the file says: only heads are signed"
        }
        Limit::OwnersWord => "that the owner did not make the record: only the owner knows",
        Limit::Arrival => "when the answer arrived: only the certificate's time is proved",
        Limit::TooFarApart => "that two heads are of one log: they are too far apart to compare",
        Limit::MembersWord => {
            "that a member was shown what it says: give its own file with this one to verify"
        }
        Limit::AccountsMissing => {
            "whose the handle is: not all accounts that its records name are in the file"
        }
    }
}

/// One look at everything that is watched.
#[derive(Debug)]
pub struct MonitorLine<'a>(pub &'a MonitorReport);

impl Show for MonitorLine<'_> {
    fn json(&self) -> Value {
        let report = self.0;
        json!({
            "type": "monitor",
            "alarm": report.is_alarm(),
            "entries": report.size,
            "root": hex::encode(report.root),
            "newest_ms": report.newest_ms,
            "labels": report.labels.iter().map(label_json).collect::<Vec<_>>(),
            "auditors": report.auditors.as_ref().map(|view| auditors(&view.report)),
            "open_problems": report.open,
        })
    }

    fn text(&self, style: Style) -> String {
        let report = self.0;
        let mut lines: Vec<String> = report
            .labels
            .iter()
            .map(|(what, verdict)| {
                let said = format!("{}: {}", watched(what), verdict_text(verdict));
                match verdict.is_alarm() {
                    true => style.bad(&format!("ALARM  {said}")),
                    false => format!("ok     {said}"),
                }
            })
            .collect();
        if let Some(view) = &report.auditors {
            lines.push(format!(
                "auditors: {} of {} required vouch for the log",
                view.report.vouching(),
                view.report.required
            ));
            lines.extend(view.report.disagreeing().map(|key| {
                let key = hex::encode(key);
                style.bad(&format!(
                    "ALARM  the auditor {key} has followed another log"
                ))
            }));
        }
        if !report.open.is_empty() {
            let open = count(report.open.len(), "problem");
            lines.push(style.bad(&format!("{open} not answered: see `paigham problems`")));
        }
        lines.push(style.dim(&format!(
            "log of {} entries, root {}, newest of {}",
            report.size,
            hex::encode(report.root),
            time::utc(report.newest_ms.saturating_mul(1_000_000))
        )));
        lines.join("\n")
    }
}

fn label_json((what, verdict): &(Watched, MonitorVerdict)) -> Value {
    let what = match what {
        Watched::Own(account) => json!({ "label": "own", "account": account.to_string() }),
        Watched::Contact(account, name) => {
            json!({ "label": "contact", "account": account.to_string(), "name": name })
        }
        Watched::Handles => json!({ "label": "handles" }),
        Watched::Network(number) => json!({ "label": "network", "network_file": number }),
    };
    let found = match verdict {
        MonitorVerdict::AsBefore => json!({ "verdict": "as_before" }),
        MonitorVerdict::NewRecords(version) => {
            json!({ "verdict": "new_records", "version": version })
        }
        MonitorVerdict::IdentityChanged { was_verified } => {
            json!({ "verdict": "identity_changed", "was_verified": was_verified })
        }
        MonitorVerdict::Problems(numbers) => json!({ "verdict": "problems", "problems": numbers }),
        MonitorVerdict::Refused(finding) => {
            json!({ "verdict": "refused", "finding": finding.to_string() })
        }
        MonitorVerdict::NotVerified(why) => json!({ "verdict": "not_verified", "why": why }),
    };
    object(object(what, found), json!({ "alarm": verdict.is_alarm() }))
}

fn watched(what: &Watched) -> String {
    match what {
        Watched::Own(account) => format!("own account {account}"),
        Watched::Contact(account, name) => format!("{} {account}", text::isolate(name)),
        Watched::Handles => "handles".to_owned(),
        Watched::Network(number) => format!("network file {number}"),
    }
}

fn verdict_text(verdict: &MonitorVerdict) -> String {
    match verdict {
        MonitorVerdict::AsBefore => "as before".to_owned(),
        MonitorVerdict::NewRecords(version) => {
            format!("new records up to version {version}, the same identity key")
        }
        MonitorVerdict::IdentityChanged { was_verified: true } => {
            "another identity key than the one that was compared".to_owned()
        }
        MonitorVerdict::IdentityChanged {
            was_verified: false,
        } => "another identity key".to_owned(),
        MonitorVerdict::Problems(numbers) => {
            let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
            format!("not answered: problem {}", numbers.join(", "))
        }
        MonitorVerdict::Refused(finding) => finding.to_string(),
        MonitorVerdict::NotVerified(why) => text::clean(why),
    }
}
