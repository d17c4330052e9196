//! How the own account stands.

use paigham_client::{AccountStatus, DeviceStatus};
use serde_json::{Value, json};

use super::human::count;
use super::time::{milliseconds, utc};
use super::{Show, Style};

/// The own account and what waits.
#[derive(Debug)]
pub struct AccountLine<'a>(pub &'a AccountStatus);

impl Show for AccountLine<'_> {
    fn json(&self) -> Value {
        let status = self.0;
        let device = |device: &DeviceStatus| {
            json!({
                "device": device.device.to_string(),
                "added_at_ms": milliseconds(device.added_at_ns),
                "this": device.is_this,
            })
        };
        json!({
            "type": "account_status",
            "account": status.account.to_string(),
            "record_version": status.record_version,
            "certified_at_ms": milliseconds(status.certified_ns),
            "identity_key": hex::encode(status.identity_key),
            "holds_identity": status.holds_identity,
            "devices": status.devices.iter().map(device).collect::<Vec<_>>(),
            "frozen_until_ms": status.frozen_until_ns.map(milliseconds),
            "recover": status.recover.map(|recover| json!({
                "counts_at_ms": milliseconds(recover.counts_at_ns),
                "own": recover.is_own,
            })),
            "deleted_at_ms": status.deleted_at_ns.map(milliseconds),
            "on_its_way": status.on_its_way.map(|(what, since)| json!({
                "change": what.name(),
                "since_ms": milliseconds(since),
            })),
        })
    }

    fn text(&self, style: Style) -> String {
        let status = self.0;
        let mut lines = vec![
            style.bold(&format!("account {}", status.account)),
            format!(
                "  record {}, certified {}",
                status.record_version,
                utc(status.certified_ns)
            ),
            format!("  identity key {}", hex::encode(status.identity_key)),
            format!("  {}", count(status.devices.len(), "device")),
        ];
        lines.extend(status.devices.iter().map(|device| {
            let this = if device.is_this { ", this one" } else { "" };
            let added = utc(device.added_at_ns);
            format!("    {}, added {added}{this}", device.device)
        }));
        lines.extend(waits(status).into_iter().map(|line| style.bad(&line)));
        lines.join("\n")
    }
}

/// What is on, when it counts, and what can still undo it.
fn waits(status: &AccountStatus) -> Vec<String> {
    let mut lines = Vec::new();
    if !status.holds_identity {
        lines.push("  this device does not hold the identity key that counts".to_owned());
    }
    if let Some(until) = status.frozen_until_ns {
        lines.push(format!(
            "  frozen until {}; `account change-kit` and a recover end it earlier",
            utc(until)
        ));
    }
    if let Some(recover) = status.recover {
        let whose = if recover.is_own {
            "begun by this device"
        } else {
            "begun by somebody with the kit; if that was not you, `account change-kit` voids it"
        };
        let at = utc(recover.counts_at_ns);
        lines.push(format!("  a recover counts at {at}, {whose}"));
    }
    if let Some(at) = status.deleted_at_ns {
        lines.push(if at <= status.certified_ns {
            format!("  deleted since {}", utc(at))
        } else {
            format!(
                "  ends at {}; `account undo-delete` calls it off until then",
                utc(at)
            )
        });
    }
    if let Some((what, since)) = status.on_its_way {
        lines.push(format!(
            "  {} is on its way since {}; `sync` goes on with it",
            what.name(),
            utc(since)
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use paigham_client::{AccountId, DeviceId, OwnChange, PendingRecover};

    use super::*;

    const NOW_NS: u64 = 1_795_611_618_000_000_000;
    const HOUR_NS: u64 = 3_600 * 1_000_000_000;

    fn status() -> AccountStatus {
        AccountStatus {
            account: AccountId([0xa1; 16]),
            record_version: 3,
            certified_ns: NOW_NS,
            identity_key: [1; 32],
            holds_identity: true,
            devices: vec![DeviceStatus {
                device: DeviceId([0xd1; 16]),
                added_at_ns: NOW_NS - HOUR_NS,
                is_this: true,
            }],
            frozen_until_ns: None,
            recover: None,
            deleted_at_ns: None,
            on_its_way: None,
        }
    }

    /// Nothing waits: nothing is said but what is there.
    #[test]
    fn a_quiet_account_is_short() {
        let status = status();
        let text = AccountLine(&status).text(Style::new(false));
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.ends_with("added 2026-11-25 12:00:18 UTC, this one"));
        let json = AccountLine(&status).json();
        assert_eq!(json["type"], "account_status");
        assert_eq!(json["devices"][0]["this"], true);
        assert!(json["recover"].is_null() && json["frozen_until_ms"].is_null());
    }

    /// Whatever waits is told with its time and with what undoes it.
    #[test]
    fn what_waits_is_told_with_its_remedy() {
        let status = AccountStatus {
            holds_identity: false,
            frozen_until_ns: Some(NOW_NS + HOUR_NS),
            recover: Some(PendingRecover {
                counts_at_ns: NOW_NS + HOUR_NS,
                is_own: false,
            }),
            deleted_at_ns: Some(NOW_NS + HOUR_NS),
            on_its_way: Some((OwnChange::Rotate, NOW_NS)),
            ..status()
        };
        let text = AccountLine(&status).text(Style::new(false));
        for said in [
            "does not hold the identity key",
            "frozen until 2026-11-25 14:00:18 UTC",
            "a recover counts at 2026-11-25 14:00:18 UTC, begun by somebody with the kit",
            "`account undo-delete` calls it off",
            "a fresh identity key is on its way",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        let json = AccountLine(&status).json();
        assert_eq!(json["recover"]["own"], false);
        assert_eq!(json["on_its_way"]["change"], "a fresh identity key");
        let over = AccountStatus {
            deleted_at_ns: Some(NOW_NS),
            ..status
        };
        let text = AccountLine(&over).text(Style::new(false));
        assert!(text.contains("deleted since 2026-11-25 13:00:18 UTC"));
    }
}
