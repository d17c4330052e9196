//! What is printed, word for word: people's eyes and scripts depend on it.

use paigham_client::{
    AccountId, Body, CanisterId, ContactView, ConversationView, HandleStanding, HandleView, Me,
    MessageView, Notice, QueueId, Standing, SyncReport, Trust, Verified,
};
use serde_json::{Value, json};

use super::*;

const AMINA: AccountId = AccountId([0xa1; 16]);
const BILAL: AccountId = AccountId([0xb1; 16]);
const QUEUE: QueueId = QueueId([0xc1; 32]);
/// 2026-11-25 13:00:18 UTC.
const NOW_NS: u64 = 1_795_611_618_000_000_000;
const DAY_NS: u64 = 86_400_000_000_000;
const PLAIN: Style = Style::new(false);

fn name_of(account: AccountId) -> String {
    match account {
        AMINA => "آمنہ".into(),
        _ => "Bilal".into(),
    }
}

fn line(body: Body, verified: bool) -> MessageView {
    MessageView {
        from: Some(AMINA),
        from_name: "آمنہ".into(),
        mine: false,
        body,
        verified: verified.then_some(Verified {
            seq: 12,
            epoch: 3,
            accepted_at: NOW_NS,
            certificate_time: NOW_NS + 1_000_000_000,
            certificate_age_ms: 449,
        }),
    }
}

fn shown(view: &MessageView) -> String {
    message_line(view, None).text(PLAIN)
}

fn message_line<'a>(view: &'a MessageView, conversation: Option<&'a str>) -> MessageLine<'a> {
    MessageLine {
        kind: "message",
        queue: QUEUE,
        conversation,
        view,
        names: Names(&name_of),
    }
}

/// The reader sees what was verified, who wrote, and the text with a direction of its own.
#[test]
fn a_verified_line_has_its_tick_and_its_proof() {
    assert_eq!(
        shown(&line(Body::Text("چائے؟\nat five".into()), true)),
        "✓ #12 · epoch 3 · certificate 0.4 s old · 2026-11-25 13:00:18 UTC · \u{2068}آمنہ\u{2069}:\n    \
         \u{2068}چائے؟\u{2069}\n    \u{2068}at five\u{2069}"
    );
}

/// What waits has no tick, whoever wrote it.
#[test]
fn a_waiting_line_says_so() {
    let mut view = line(Body::Text("x".into()), false);
    view.mine = true;
    assert_eq!(shown(&view), "… waiting · you:\n    \u{2068}x\u{2069}");
}

/// A text that draws a tick of its own, an event or another person stands indented below its
/// writer, however it breaks its lines.
#[test]
fn a_text_cannot_look_like_ours() {
    let hostile =
        "x\n✓ #13 · epoch 3 · certificate 0.1 s old · Bilal:\r\n    yes\u{85}✓\u{2028}✓\r✓";
    let shown = shown(&line(Body::Text(hostile.into()), true));
    for below in shown.split('\n').skip(1) {
        assert!(below.starts_with("    \u{2068}"), "{below:?}");
    }
    assert!(!shown.contains(['\r', '\u{85}', '\u{2028}']));
}

fn expired(after_ns: u64) -> Body {
    Body::Expired {
        count: 7,
        after_ns,
        before_ns: NOW_NS,
    }
}

/// What expired is told in our own words, so that no direction but the line's own is in it; a script
/// gets both times in milliseconds, and none where nothing before is known.
#[test]
fn what_expired_has_its_time() {
    let view = line(expired(NOW_NS - DAY_NS), true);
    assert!(!shown(&view).contains(['\u{2068}', '\u{2069}', '\u{202b}']));
    let expected = json!({
        "kind": "expired",
        "count": 7,
        "after_ms": 1_795_525_218_000_u64,
        "before_ms": 1_795_611_618_000_u64,
    });
    assert_eq!(message_line(&view, None).json()["body"], expected);
    let unknown = line(expired(0), true);
    assert!(message_line(&unknown, None).json()["body"]["after_ms"].is_null());
}

/// Each kind of event is a sentence, and a kind in JSON.
#[test]
fn events_are_told() {
    let members = |added: &[AccountId], removed: &[AccountId]| Body::Members {
        added: added.to_vec(),
        removed: removed.to_vec(),
    };
    for (body, sentence, kind) in [
        (
            Body::Unsupported,
            "آمنہ sent something that this version cannot show",
            "unsupported",
        ),
        (Body::Created, "آمنہ made the conversation", "created"),
        (
            Body::Joined,
            "this device joined; what was before cannot be read",
            "joined",
        ),
        (members(&[BILAL], &[]), "آمنہ added Bilal", "members"),
        (members(&[], &[BILAL]), "آمنہ took out Bilal", "members"),
        (
            members(&[AMINA], &[BILAL]),
            "آمنہ added آمنہ and took out Bilal",
            "members",
        ),
        (Body::Leaving, "آمنہ asked to leave", "leaving"),
        (
            Body::PolicyChanged,
            "آمنہ changed the rules or the name",
            "policy_changed",
        ),
        (Body::KeysRenewed, "آمنہ renewed the keys", "keys_renewed"),
        (
            Body::Out,
            "this device was taken out; nothing new can be read",
            "out",
        ),
        (
            Body::Stopped("why".into()),
            "the conversation stopped here: why",
            "stopped",
        ),
        (
            Body::Lapsed,
            "this device was away for too long; ask a member to take you out and add you again, or \
             begin a new chat",
            "lapsed",
        ),
        (
            expired(NOW_NS - DAY_NS),
            "messages between 2026-11-24 13:00:18 UTC and 2026-11-25 13:00:18 UTC had expired before \
             this device fetched them",
            "expired",
        ),
        (
            expired(0),
            "messages before 2026-11-25 13:00:18 UTC had expired before this device fetched them",
            "expired",
        ),
    ] {
        let view = line(body, true);
        let shown = shown(&view).replace(['\u{2068}', '\u{2069}'], "");
        assert!(shown.ends_with(&format!("UTC · {sentence}")), "{shown}");
        assert_eq!(message_line(&view, None).json()["body"]["kind"], kind);
    }
}

/// A script finds every field under its name, ids in hexadecimal, times in milliseconds.
#[test]
fn a_message_is_an_object() {
    let view = line(Body::Text("چائے؟".into()), true);
    let expected = json!({
        "type": "message",
        "conversation": "c1".repeat(32),
        "conversation_name": "Chai",
        "from": "a1".repeat(16),
        "from_name": "آمنہ",
        "mine": false,
        "body": { "kind": "text", "text": "چائے؟" },
        "verified": {
            "seq": 12,
            "epoch": 3,
            "accepted_at_ms": 1_795_611_618_000_u64,
            "certificate_time_ms": 1_795_611_619_000_u64,
            "certificate_age_ms": 449,
        },
    });
    assert_eq!(message_line(&view, Some("Chai")).json(), expected);
    let waiting = line(Body::Created, false);
    let json = message_line(&waiting, None).json();
    assert!(json["verified"].is_null());
    assert!(json.get("conversation_name").is_none());
}

/// Account, contact, conversation and sync, in both ways.
#[test]
fn views_are_shown() {
    let me = Me {
        account: AMINA,
        device: paigham_client::DeviceId([0xd1; 16]),
        name: "آمنہ".into(),
        identity_key: [1; 32],
        registered: true,
        network: "development".into(),
        network_hash: [2; 32],
        development: true,
    };
    assert!(
        me.text(PLAIN)
            .contains(&format!("account       {}", "a1".repeat(16)))
    );
    assert!(me.text(PLAIN).contains("its keys lie on one machine"));
    assert_eq!(me.json()["type"], "account");
    assert_eq!(me.json()["identity_key"], "01".repeat(32));

    let contact = ContactView {
        name: "Bilal".into(),
        account: BILAL,
        record_version: 4,
        identity_key: [3; 32],
        devices: 1,
        seen_at: NOW_NS,
        trust: Trust::Logged,
        handle: Some("ملک".into()),
    };
    assert!(
        contact
            .text(PLAIN)
            .contains("1 device, record 4, certified 2026-11-25 13:00:18 UTC")
    );
    assert!(contact.text(PLAIN).contains("@\u{2068}ملک\u{2069}"));
    assert_eq!(contact.json()["handle"], "ملک");
    assert_eq!(contact.json()["seen_at_ms"], 1_795_611_618_000_u64);

    let mut handle = HandleView {
        handle: "ملک".into(),
        account: Some(BILAL),
        standing: HandleStanding::Releasing { ends_at: NOW_NS },
    };
    let text = handle.text(PLAIN);
    assert!(text.contains(&BILAL.to_string()), "{text}");
    assert!(text.contains("counts at 2026-11-25 13:00:18 UTC"), "{text}");
    assert_eq!(handle.json()["until_ms"], 1_795_611_618_000_u64);
    handle.account = None;
    handle.standing = HandleStanding::Free;
    assert!(handle.text(PLAIN).contains("held by nobody"));
    assert_eq!(handle.json()["account"], Value::Null);

    let view = ConversationView {
        queue: QUEUE,
        name: "Chai".into(),
        direct: false,
        members: vec![AMINA, BILAL],
        admins: vec![AMINA],
        standing: Standing::Stopped("why".into()),
        epoch: 3,
        seq: 12,
        authenticator: [4; 32],
        stopped_by: None,
        waiting: 2,
    };
    let shown = ConversationLine {
        view: &view,
        names: Names(&name_of),
    };
    let text = shown.text(PLAIN).replace(['\u{2068}', '\u{2069}'], "");
    assert!(text.starts_with(
        "Chai  group of 2 · stopped: why · epoch 3 · verified up to #12 · 2 waiting\n"
    ));
    assert!(text.contains("members  آمنہ (admin), Bilal"));
    assert_eq!(shown.json()["standing"], "stopped");
    assert_eq!(shown.json()["reason"], "why");
    let lapsed = ConversationView {
        standing: Standing::Lapsed,
        ..view.clone()
    };
    let lapsed = ConversationLine {
        view: &lapsed,
        names: Names(&name_of),
    };
    assert!(
        lapsed
            .text(PLAIN)
            .contains("· over: this device was away for too long ·")
    );
    assert_eq!(lapsed.json()["standing"], "lapsed");
    assert_eq!(shown.json()["members"][1], "b1".repeat(16));

    let report = SyncReport {
        joined: vec![QUEUE],
        waiting: 1,
        ..SyncReport::default()
    };
    assert_eq!(
        SyncDone(&report).text(PLAIN),
        "nothing new, 1 new conversation, 1 waiting"
    );
    assert_eq!(SyncDone(&report).json()["joined"][0], "c1".repeat(32));
}

/// A wrong clock is called a wrong clock, not an attack.
#[test]
fn warnings_name_the_cause() {
    let of = |notice| Warning::of(&notice, Names(&name_of));
    assert_eq!(
        of(Notice::ClockWrong(3_780)).text(),
        "warning: this machine's clock is 1 h 3 min ahead of the network's certified time; the \
         network's time is used, set the clock"
    );
    assert!(
        of(Notice::ClockWrong(-3_600))
            .text()
            .contains("is 1 h behind the network's")
    );
    let json = of(Notice::ClockWrong(-3_600)).json();
    assert_eq!(json["warning"]["kind"], "clock_wrong");
    assert_eq!(json["warning"]["seconds_ahead"], -3_600);
    let json = of(Notice::IdentityChanged(BILAL)).json();
    assert_eq!(json["warning"]["account"], "b1".repeat(16));
    let text = of(Notice::ConversationFailed(
        "Chai".into(),
        "a\u{1b}[2J".into(),
    ))
    .text();
    assert!(!text.contains('\u{1b}'));
    let relay = CanisterId::new(&[0xab; 10]).unwrap();
    let json = of(Notice::RelayUnreachable(relay)).json();
    assert_eq!(json["warning"]["kind"], "relay_unreachable");
    assert_eq!(json["warning"]["relay"], "ab".repeat(10));
}

/// Escape sequences are ours, and only where a terminal shows them.
#[test]
fn decoration_is_for_terminals() {
    assert_eq!(PLAIN.bold("x"), "x");
    assert_eq!(Style::new(true).bold("x"), "\u{1b}[1mx\u{1b}[0m");
    assert!(!shown(&line(Body::Created, true)).contains('\u{1b}'));
}
