//! What a reviewer is shown.

use std::path::Path;

use paigham_client::AccountId;
use paigham_client::review::{
    Audit, Audited, AuditorReport, AuditorSays, AuditorTreeHead, FoundFacts, LookupFacts,
};
use serde_json::{Value, json};

use super::human::count;
use super::{Show, Style, object, time};

/// Milliseconds of the log in the nanoseconds that times are told in.
const fn nanoseconds(milliseconds: u64) -> u64 {
    milliseconds.saturating_mul(1_000_000)
}

/// An audit file as a whole.
#[derive(Debug)]
pub struct AuditDone<'a> {
    what: &'static str,
    file: &'a Path,
    audit: &'a Audit,
}

impl<'a> AuditDone<'a> {
    /// `what` was done with it.
    pub const fn new(what: &'static str, file: &'a Path, audit: &'a Audit) -> Self {
        Self { what, file, audit }
    }
}

impl Show for AuditDone<'_> {
    fn json(&self) -> Value {
        let (state, header) = (self.audit.state(), self.audit.header());
        let (checkpoints, unsigned) = self.audit.checkpoints();
        json!({
            "type": "audit",
            "done": self.what,
            "file": self.file.display().to_string(),
            "canister": hex::encode(&header.canister_id),
            "root_key_hash": hex::encode(header.root_key_hash),
            "from": header.start.size(),
            "entries": state.size(),
            "added": self.audit.added(),
            "root": state.root().map(hex::encode),
            "newest_ms": state.timestamp(),
            "signed_heads": checkpoints,
            "signatures_not_checked": unsigned,
            "newest_signed": self.audit.newest_checkpoint(),
        })
    }

    fn text(&self, style: Style) -> String {
        let state = self.audit.state();
        let (checkpoints, unsigned) = self.audit.checkpoints();
        let from = self.audit.header().start.size();
        let root = state.root().map_or_else(|| "none".to_owned(), hex::encode);
        let mut lines = vec![
            style.bold(&format!("{}: {}", self.what, self.file.display())),
            format!(
                "  entries {from} to {}, {} added, newest of {}",
                state.size(),
                count(
                    usize::try_from(self.audit.added()).unwrap_or(usize::MAX),
                    "version"
                ),
                time::utc(nanoseconds(state.timestamp()))
            ),
            format!("  root {root}"),
            format!(
                "  {} signed",
                count(usize::try_from(checkpoints).unwrap_or(usize::MAX), "head")
            ),
            "proved: nothing was removed or changed in place, and time never went back".to_owned(),
        ];
        lines.push(match (checkpoints, unsigned) {
            (0, _) => "not proved: that readers see this log (no signed head)".to_owned(),
            (_, 0) => "proved: the directory signed these heads under the subnet's key".to_owned(),
            _ => {
                "not proved: that the heads are signed (name the network with --network)".to_owned()
            }
        });
        lines.push(
            "not proved: that a record was allowed (its owner and its contacts see that), or that nobody is shown another log"
                .to_owned(),
        );
        lines.join("\n")
    }
}

/// One record of an audit file.
#[derive(Debug)]
pub struct AuditEntry(pub Audited);

impl Show for AuditEntry {
    fn json(&self) -> Value {
        match &self.0 {
            Audited::Entry {
                position,
                timestamp,
                added,
                root,
            } => json!({
                "type": "entry",
                "position": position,
                "time_ms": timestamp,
                "added": added,
                "root": hex::encode(root),
            }),
            Audited::Checkpoint { size, checked } => json!({
                "type": "signed_head",
                "entries": size,
                "checked": checked,
            }),
        }
    }

    fn text(&self, _: Style) -> String {
        match &self.0 {
            Audited::Entry {
                position,
                timestamp,
                added,
                root,
            } => format!(
                "entry {position}  {}  {}  root {}…",
                time::utc(nanoseconds(*timestamp)),
                count(*added, "version"),
                hex::encode(root.get(..8).unwrap_or_default())
            ),
            Audited::Checkpoint { size, checked } => {
                let checked = if *checked {
                    "signature holds"
                } else {
                    "signature not checked"
                };
                format!("signed head of {size} entries, {checked}")
            }
        }
    }
}

/// An auditor's statement.
#[derive(Debug)]
pub struct CosignDone<'a> {
    /// The auditor's public key.
    pub key: [u8; 32],
    /// What it signed.
    pub head: &'a AuditorTreeHead,
    /// The audit before it.
    pub audit: &'a Audit,
    /// Whether the directory has taken it.
    pub is_kept: bool,
}

impl Show for CosignDone<'_> {
    fn json(&self) -> Value {
        json!({
            "type": "cosignature",
            "key": hex::encode(self.key),
            "entries": self.head.tree_size,
            "time_ms": self.head.timestamp,
            "root": self.audit.state().root().map(hex::encode),
            "signature": hex::encode(&self.head.signature),
            "handed_in": self.is_kept,
        })
    }

    fn text(&self, style: Style) -> String {
        let kept = match self.is_kept {
            true => "the directory has the statement and shows it to everybody",
            false => "the directory does not have the statement",
        };
        [
            style.bold(&format!("signed {} entries", self.head.tree_size)),
            format!("  auditor   {}", hex::encode(self.key)),
            format!("  signature {}", hex::encode(&self.head.signature)),
            format!("  {kept}"),
        ]
        .join("\n")
    }
}

/// What a look-up shows.
#[derive(Debug)]
pub struct LookupFactsLine<'a> {
    facts: &'a LookupFacts,
    proof: Option<&'a Path>,
    is_fresh: bool,
    is_network_named: bool,
}

impl<'a> LookupFactsLine<'a> {
    /// One that was asked just now.
    pub const fn of_now(facts: &'a LookupFacts, proof: Option<&'a Path>) -> Self {
        Self {
            facts,
            proof,
            is_fresh: true,
            is_network_named: true,
        }
    }

    /// One from a file; whether its network file is the one that the reviewer named.
    pub const fn of_file(facts: &'a LookupFacts, is_network_named: bool) -> Self {
        Self {
            facts,
            proof: None,
            is_fresh: false,
            is_network_named,
        }
    }

    fn account(&self) -> Value {
        let Some((state, standing)) = self.facts.standing() else {
            return Value::Null;
        };
        let now = nanoseconds(self.facts.view.newest_timestamp());
        let devices: Vec<Value> = standing
            .devices
            .iter()
            .map(|device| {
                json!({
                    "device": device.device.to_string(),
                    "leaf_key": hex::encode(device.leaf_key),
                    "added_at_ms": time::milliseconds(device.added_at),
                })
            })
            .collect();
        json!({
            "account": state.account().to_string(),
            "record_version": state.version(),
            "identity_key": hex::encode(standing.identity_key),
            "devices": devices,
            "frozen": state.is_frozen(now),
            "recovering": state.is_recovering(now),
            "deleted": state.is_deleted(now),
        })
    }

    fn found_text(&self) -> Vec<String> {
        match (&self.facts.found, self.facts.standing()) {
            (FoundFacts::Absent, _) | (FoundFacts::Account(_), None) => {
                vec!["the log has nothing under this label".to_owned()]
            }
            (FoundFacts::Values(values), _) => vec![format!(
                "{}; their own rules were not applied",
                count(values.len(), "version")
            )],
            (FoundFacts::Account(history), Some((state, standing))) => {
                let mut lines = vec![
                    format!("account {}", account(state.account())),
                    format!("  {}", count(history.next_version() as usize, "record")),
                    format!("  identity key {}", hex::encode(standing.identity_key)),
                ];
                lines.extend(standing.devices.iter().map(|device| {
                    format!(
                        "  device {}, leaf key {}",
                        device.device,
                        hex::encode(device.leaf_key)
                    )
                }));
                lines
            }
        }
    }

    fn proved(&self) -> Vec<String> {
        let mut proved = vec![
            "the subnet's key certified the directory's signature over this head".to_owned(),
            match self.facts.found {
                FoundFacts::Absent => "the label has no version in this log",
                _ => "the label has these versions in this log and no later one",
            }
            .to_owned(),
        ];
        if matches!(self.facts.found, FoundFacts::Account(_)) {
            proved.push(
                "each record follows the one before it by the rules, signed as they ask".into(),
            );
            proved.push("what counts by time is in the log since the time that was used".into());
        }
        proved.extend(self.vouched());
        proved
    }

    /// What the auditors who vouch have seen.
    fn vouched(&self) -> Option<String> {
        let report = self.facts.auditors.as_ref()?;
        let followed = report.words.iter().filter_map(|one| match one.says {
            AuditorSays::Vouches { size, .. } => Some(size),
            AuditorSays::Late { .. } | AuditorSays::Nothing | AuditorSays::Disagrees => None,
        });
        let least = followed.min()?;
        Some(format!(
            "{} of {} ({} required) followed this very log, each at least its first {least} entries",
            report.vouching(),
            count(report.words.len(), "named auditor"),
            report.required,
        ))
    }

    /// What the auditors do not say.
    fn not_vouched(&self) -> Option<String> {
        let Some(report) = &self.facts.auditors else {
            return Some("that anybody audits the log: the network file names no auditors".into());
        };
        (!report.is_met()).then(|| {
            format!(
                "that the log is audited as the network asks: {} of {} vouch for it",
                report.vouching(),
                count(report.required, "required auditor"),
            )
        })
    }

    fn not_proved(&self) -> Vec<String> {
        let mut open = Vec::new();
        if !self.is_network_named {
            open.push("that the network file in it is the right one: compare its hash, or name yours with --network".to_owned());
        }
        if !self.is_fresh {
            open.push("that it is still so: see the time of the certificate".into());
        }
        open.push("that others are shown the same log: compare heads, or an audit of it".into());
        open.extend(self.not_vouched());
        if matches!(self.facts.found, FoundFacts::Account(_)) {
            open.push("whose account it is: compare safety numbers".into());
        }
        open
    }
}

/// What each auditor says.
pub(super) fn auditors(report: &AuditorReport) -> Value {
    let words = report.words.iter().map(|one| {
        let key = hex::encode(one.key);
        match one.says {
            AuditorSays::Vouches { size, timestamp } => {
                json!({ "auditor": key, "says": "vouches", "entries": size, "time_ms": timestamp })
            }
            AuditorSays::Late { size, timestamp } => {
                json!({ "auditor": key, "says": "late", "entries": size, "time_ms": timestamp })
            }
            AuditorSays::Nothing => json!({ "auditor": key, "says": "nothing" }),
            AuditorSays::Disagrees => json!({ "auditor": key, "says": "disagrees" }),
        }
    });
    json!({
        "required": report.required,
        "vouching": report.vouching(),
        "met": report.is_met(),
        "words": words.collect::<Vec<_>>(),
    })
}

fn account(id: AccountId) -> String {
    id.to_string()
}

impl Show for LookupFactsLine<'_> {
    fn json(&self) -> Value {
        let facts = self.facts;
        let line = json!({
            "type": "lookup",
            "network": facts.network.file().name,
            "network_hash": hex::encode(facts.network.hash()),
            "label": hex::encode(&facts.label),
            "entries": facts.view.size(),
            "root": hex::encode(facts.view.root()),
            "newest_ms": facts.view.newest_timestamp(),
            "certificate_time_ms": time::milliseconds(facts.certificate_time_ns),
            "asked_at_ms": time::milliseconds(facts.asked_at_ns),
            "absent": matches!(facts.found, FoundFacts::Absent),
            "account": self.account(),
            "auditors": self.facts.auditors.as_ref().map(auditors),
            "proved": self.proved(),
            "not_proved": self.not_proved(),
            "file": self.proof.map(|path| path.display().to_string()),
        });
        match &facts.found {
            FoundFacts::Values(values) => {
                let values: Vec<String> = values.iter().map(hex::encode).collect();
                object(line, json!({ "values": values }))
            }
            _ => line,
        }
    }

    fn text(&self, style: Style) -> String {
        let facts = self.facts;
        let mut lines = self.found_text();
        lines.push(format!(
            "log of {} entries, root {}",
            facts.view.size(),
            hex::encode(facts.view.root())
        ));
        lines.push(format!(
            "certified {}, newest entry of {}",
            time::utc(facts.certificate_time_ns),
            time::utc(nanoseconds(facts.view.newest_timestamp()))
        ));
        lines.push(format!(
            "network file {}",
            hex::encode(facts.network.hash())
        ));
        lines.push(style.bold("proved"));
        lines.extend(self.proved().iter().map(|fact| format!("  {fact}")));
        lines.push(style.bold("not proved"));
        lines.extend(self.not_proved().iter().map(|fact| format!("  {fact}")));
        if let Some(path) = self.proof {
            lines.push(format!("saved in {}", path.display()));
        }
        lines.join("\n")
    }
}
