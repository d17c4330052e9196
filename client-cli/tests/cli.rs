//! The command as people and scripts meet it: the real program, homes on the disk, a network over
//! HTTP on this machine.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Command;

use common::{NETWORK, NOT_VERIFIED, Network, Person, Ran, USER, paigham};
use serde_json::Value;

/// Amina and Bilal register, meet, talk both ways in Urdu, send a whole file, and make a group;
/// every line of JSON parses and every delivered line has its proof.
#[test]
fn two_people_talk() {
    let data = tempfile::tempdir().unwrap();
    let network = Network::up(data.path(), "127.0.0.1:0");

    let amina = Person::new(&network);
    let shown = amina.run(&["register", "--name", "Amina آمنہ"]).ok();
    assert!(
        shown
            .stdout
            .starts_with("Your recovery kit: 24 words, shown only now."),
        "{shown:?}"
    );
    assert!(shown.stdout.contains(" 24. "), "{shown:?}");
    assert!(shown.stdout.contains("registered    yes"), "{shown:?}");
    let bilal = Person::new(&network);
    let registered = bilal.json(&["register", "--name", "Bilal"]).ok();
    let kit = registered.object("recovery_kit");
    assert_eq!(kit["words"].as_str().unwrap().split(' ').count(), 24);
    assert_eq!(registered.object("account")["account"], kit["account"]);

    amina.knows("بلال", &bilal);
    bilal.knows("Amina", &amina);
    assert!(
        bilal
            .run(&["contacts"])
            .ok()
            .stdout
            .contains(&amina.account())
    );

    let greeting = "السلام علیکم، آپ کیسی ہیں؟";
    let sent = bilal.json(&["send", "Amina", greeting]).ok();
    assert_eq!(sent.texts(), [greeting]);
    let read = amina.json(&["sync"]).ok();
    assert_eq!(read.texts(), [greeting]);
    assert_eq!(read.object("sync")["joined"].as_array().unwrap().len(), 1);

    // A whole file, with a line break at its end and Urdu enough for several segments.
    let poem =
        "ہزاروں خواہشیں ایسی کہ ہر خواہش پہ دم نکلے\nبہت نکلے مرے ارمان\u{200C} لیکن\n".repeat(300);
    amina.piped(&["send", "بلال"], &poem).ok();
    assert_eq!(
        bilal.json(&["sync"]).ok().texts(),
        [poem.strip_suffix('\n').unwrap()]
    );

    let history = amina.json(&["history", "بلال"]).ok();
    assert_eq!(
        history.texts(),
        [greeting, poem.strip_suffix('\n').unwrap()]
    );
    for line in history.objects() {
        assert!(line["verified"]["seq"].as_u64().unwrap() > 0, "{line}");
        assert!(
            line["verified"]["certificate_age_ms"].as_u64().unwrap() < 300_000,
            "{line}"
        );
    }
    let shown = amina.run(&["history", "بلال", "--limit", "2"]).ok().stdout;
    assert!(
        shown.contains(&format!("\n    \u{2068}{greeting}\u{2069}\n")),
        "{shown}"
    );
    assert!(shown.starts_with("✓ #"), "{shown}");

    let group = amina.json(&["group", "create", "Chai چائے", "بلال"]).ok();
    assert_eq!(
        group.object("conversation")["members"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    bilal.json(&["sync"]).ok();
    bilal.json(&["send", "Chai چائے", "پانچ بجے"]).ok();
    let read = amina.json(&["sync"]).ok();
    assert_eq!(read.texts(), ["پانچ بجے"]);
    assert!(
        amina
            .run(&["history"])
            .ok()
            .stdout
            .contains("group of 2 · open")
    );

    let started = amina.json(&["chat", "بلال"]).ok();
    assert_eq!(started.object("conversation")["direct"], true);

    let status = amina
        .json(&["network", "status"])
        .ok()
        .object("network_status");
    assert_eq!(status["subnets"][0]["canisters"][0]["role"], "directory");
    assert_eq!(status["subnets"][0]["canisters"][1]["role"], "relay");
    let shown = amina.run(&["network", "status"]).ok().stdout;
    assert!(shown.contains("as the network file allows"), "{shown}");
    network.stop();
}

/// Amina looks after her account: a fresh key, a freeze that refuses everything but the kit, another
/// kit that ends it, an end that is called off. Then she has lost the phone, and begins to get the
/// account back with the words that count. Each command says when it counts, and what undoes it.
#[test]
fn an_owner_looks_after_the_account() {
    let data = tempfile::tempdir().unwrap();
    let network = Network::up(data.path(), "127.0.0.1:0");
    let amina = Person::new(&network);
    let registered = amina.json(&["register", "--name", "Amina"]).ok();
    let words = |ran: &Ran| {
        let kit = ran.object("recovery_kit");
        kit["words"].as_str().unwrap().to_owned()
    };
    let kit_file = |name: &str, words: &str| {
        let file = data.path().join(name);
        fs::write(&file, words).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let old = kit_file("old kit", &words(&registered));
    let status = |ran: Ran| ran.ok().object("account_status");
    let first = status(amina.json(&["account", "show"]));
    assert_eq!(first["devices"].as_array().unwrap().len(), 1);
    assert_eq!(first["record_version"], 0);

    let rotated = status(amina.json(&["account", "rotate"]));
    assert_ne!(rotated["identity_key"], first["identity_key"]);
    assert_eq!(rotated["holds_identity"], true);
    let shown = amina.run(&["account", "freeze"]).ok().stdout;
    assert!(shown.contains("frozen for seven days"), "{shown}");
    assert!(shown.contains("  frozen until "), "{shown}");
    let refused = amina.run(&["account", "delete"]);
    assert_eq!(refused.code, Some(USER), "{refused:?}");
    assert!(
        refused.stderr.contains("only the recovery kit"),
        "{refused:?}"
    );

    let mistyped = kit_file("mistyped", "abandon abandon");
    let no_kit = amina.run(&["account", "change-kit", "--kit-file", &mistyped]);
    assert_eq!(no_kit.code, Some(USER), "{no_kit:?}");
    let no_kit = amina.run(&["account", "change-kit"]);
    assert_eq!(no_kit.code, Some(USER), "nobody to ask: {no_kit:?}");
    let changed = amina
        .json(&["account", "change-kit", "--kit-file", &old])
        .ok();
    let new = kit_file("new kit", &words(&changed));
    assert!(status(changed)["frozen_until_ms"].is_null());

    let ending = status(amina.json(&["account", "delete"]));
    assert!(
        ending["deleted_at_ms"].as_u64().unwrap() > ending["certified_at_ms"].as_u64().unwrap()
    );
    let called_off = status(amina.json(&["account", "undo-delete"]));
    assert!(called_off["deleted_at_ms"].is_null());
    let nothing = amina.run(&["account", "undo-delete"]);
    assert_eq!(nothing.code, Some(USER), "{nothing:?}");

    let again = Person::new(&network);
    let account = amina.account();
    let by_old = again.run(&["account", "recover", &account, "--kit-file", &old]);
    assert_eq!(by_old.code, Some(USER), "{by_old:?}");
    assert!(by_old.stderr.contains("not the recovery kit"), "{by_old:?}");
    let recover = ["account", "recover", &account, "--kit-file", &new];
    let began = status(again.json(&recover));
    assert_eq!(began["recover"]["own"], true);
    assert_eq!(began["holds_identity"], false);
    let waits = again.run(&["sync"]).ok();
    assert!(
        waits.stderr.contains("the account comes back at"),
        "{waits:?}"
    );
    let too_early = again.run(&["contacts", "add", "x", &account]);
    assert_eq!(too_early.code, Some(USER), "{too_early:?}");
    let seen = status(amina.json(&["account", "show"]));
    assert_eq!(seen["recover"]["own"], false);
    let frozen = status(amina.json(&["account", "freeze", "--kit-file", &new]));
    assert!(frozen["frozen_until_ms"].is_u64());
    network.stop();
}

/// What the user did wrong is said in words, with a hint and exit code 3; nothing is changed.
#[test]
fn mistakes_are_explained() {
    let data = tempfile::tempdir().unwrap();
    let network = Network::up(data.path(), "127.0.0.1:0");
    let amina = Person::registered(&network, "Amina");
    let refused = |ran: Ran, code: i32, message: &str| {
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.contains(message), "{ran:?}");
        assert!(ran.stdout.is_empty(), "{ran:?}");
    };

    let again = amina.run(&["register"]);
    refused(again, USER, "there is an account in this home already");
    let nobody = Person::new(&network).run(&["whoami"]);
    refused(nobody, USER, "there is no account in this home yet");
    refused(amina.run(&["send", "Bilal", "x"]), USER, "called Bilal");
    refused(
        amina.run(&["contacts", "add", "Bilal", "xyz"]),
        USER,
        "xyz is no account id",
    );
    let unknown = amina.run(&["contacts", "add", "Bilal", &"00".repeat(16)]);
    refused(unknown, USER, "there is no account");
    refused(
        amina.piped(&["send", "Bilal"], "\n"),
        USER,
        "nothing to send",
    );
    refused(amina.run(&["send"]), 2, "Usage");

    let mut watching = amina.command(&["sync", "--watch"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(watching.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "nothing new\n");
    refused(amina.run(&["whoami"]), USER, "in use by another process");
    let id = watching.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(watching.wait().unwrap().code(), Some(0));

    fs::write(amina.folder.path().join("passphrase"), "guess\n").unwrap();
    let wrong = amina.run(&["whoami"]);
    assert!(wrong.stderr.contains("\n  hint: "), "{wrong:?}");
    refused(wrong, USER, "wrong passphrase");
    let wrong = amina.json(&["whoami"]);
    let error: Value = serde_json::from_str(&wrong.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "user");
    assert_eq!(error["error"]["message"], "wrong passphrase");

    let busy = paigham()
        .args(["network", "up", "--listen", network.address(), "--data"])
        .arg(data.path())
        .output()
        .unwrap();
    assert_eq!(busy.status.code(), Some(USER));
}

/// The keys of a network of two subnets are replaced while it is down. Another subnet key: nobody
/// notices. Another root key: a home with the old file believes nothing any more and says so; the
/// link to the signed successor leads it on, and the chat goes on where it was.
#[test]
fn a_network_with_other_keys_is_followed_by_its_link() {
    let data = tempfile::tempdir().unwrap();
    let layout = ["--topology", "delegated", "--subnets", "2", "--relays", "2"];
    let network = Network::up_as(data.path(), "127.0.0.1:0", &layout);
    let (mut amina, mut bilal) = (
        Person::registered(&network, "Amina"),
        Person::registered(&network, "Bilal"),
    );
    amina.knows("Bilal", &bilal);
    bilal.knows("Amina", &amina);
    amina.run(&["send", "Bilal", "before"]).ok();
    assert_eq!(bilal.json(&["sync"]).ok().texts(), ["before"]);
    amina.run(&["sync"]).ok();
    let old = data.path().join("old.cbor");
    fs::copy(&network.file, &old).unwrap();
    let address = network.address().to_owned();
    network.stop();

    let rekey = |options: &[&str]| {
        let mut command = paigham();
        command.args(["--json", "network", "rekey", "--data"]);
        Ran::of(command.arg(data.path()).args(options), b"")
    };
    let strange = rekey(&["--subnet", "9"]);
    assert_eq!(strange.code, Some(USER), "{strange:?}");
    rekey(&["--subnet", "1"]).ok();
    let network = Network::up(data.path(), &address);
    bilal.run(&["send", "Amina", "another subnet key"]).ok();
    assert_eq!(amina.json(&["sync"]).ok().texts(), ["another subnet key"]);
    network.stop();

    let rekeyed = rekey(&[]).ok().object("network_rekeyed");
    let network = Network::up(data.path(), &address);
    for person in [&mut amina, &mut bilal] {
        person.network = old.to_str().unwrap().to_owned();
        let refused = person.run(&["sync"]);
        assert_eq!(refused.code, Some(NOT_VERIFIED), "{refused:?}");
        person.network = rekeyed["link"].as_str().unwrap().to_owned();
    }
    amina.run(&["send", "Bilal", "after"]).ok();
    assert_eq!(bilal.json(&["sync"]).ok().texts(), ["after"]);
    network.stop();
}

/// The network goes down and comes back: what is known can be read, what is written waits without
/// a tick, and is delivered by the next sync.
#[test]
fn nothing_is_lost_while_the_network_is_down() {
    let data = tempfile::tempdir().unwrap();
    let network = Network::up(data.path(), "127.0.0.1:0");
    let (amina, bilal) = (
        Person::registered(&network, "Amina"),
        Person::registered(&network, "Bilal"),
    );
    amina.knows("Bilal", &bilal);
    bilal.knows("Amina", &amina);
    amina.json(&["send", "Bilal", "ایک"]).ok();
    bilal.json(&["sync"]).ok();
    let address = network.address().to_owned();
    network.stop();

    assert_eq!(amina.json(&["history", "Bilal"]).ok().texts(), ["ایک"]);
    let failed = amina.run(&["sync"]);
    assert_eq!(failed.code, Some(NETWORK), "{failed:?}");
    let waiting = amina.json(&["send", "Bilal", "دو"]).ok();
    assert!(
        waiting.object("message")["verified"].is_null(),
        "{waiting:?}"
    );
    assert!(waiting.stderr.contains("\"warning\""), "{waiting:?}");
    assert!(
        amina
            .run(&["history", "Bilal"])
            .ok()
            .stdout
            .contains("… waiting · you:")
    );

    let network = Network::up(data.path(), &address);
    let synced = amina.json(&["sync"]).ok();
    assert_eq!(synced.object("sync")["waiting"], 0);
    assert_eq!(bilal.json(&["sync"]).ok().texts(), ["دو"]);
    network.stop();
}

/// Bilal does not know Amina. Her chat is a request: he is warned of it, sees who asks, and reads
/// what she wrote when he has accepted; declining what is not there is a mistake of his.
#[test]
fn a_request_is_accepted() {
    let data = tempfile::tempdir().unwrap();
    let network = Network::up(data.path(), "127.0.0.1:0");
    let (amina, bilal) = (
        Person::registered(&network, "Amina"),
        Person::registered(&network, "Bilal"),
    );
    amina.knows("Bilal", &bilal);
    amina.json(&["send", "Bilal", "ایک"]).ok();
    let told = bilal.json(&["sync"]).ok();
    assert!(told.stderr.contains("\"requested\""), "{told:?}");
    assert!(told.texts().is_empty());
    let asked = bilal.json(&["requests"]).ok();
    let request = asked.object("request");
    assert_eq!(request["from"], amina.account());
    let number = request["number"].to_string();
    let shown = bilal.run(&["requests", "list"]).ok();
    assert!(shown.stdout.contains(&amina.account()), "{shown:?}");
    let declined = bilal.run(&["requests", "decline", "77"]);
    assert_eq!(declined.code, Some(USER), "{declined:?}");
    let accepted = bilal.json(&["requests", "accept", &number]).ok();
    assert_eq!(accepted.texts(), ["ایک"]);
    assert!(bilal.json(&["requests"]).ok().stdout.is_empty());
    network.stop();
}

/// The demo tells its story to the end, and each of its expectations held.
#[test]
fn the_demo_holds() {
    let ran = Ran::of(paigham().arg("demo"), b"").ok();
    for line in [
        "1. A subnet, with two canisters on it",
        "checked: she reads no text of it",
        "checked: every home opens with every line that it had",
        "checked: what waited is delivered, under a certificate",
        "expectations checked, all hold",
    ] {
        assert!(ran.stdout.contains(line), "{line} in {}", ran.stdout);
    }
    assert!(
        ran.stdout.contains("✓ #") && ran.stdout.contains("… waiting"),
        "{}",
        ran.stdout
    );
}

/// The same story as events.
#[test]
fn the_demo_is_json_too() {
    let ran = Ran::of(paigham().args(["demo", "--json"]), b"").ok();
    let objects = ran.objects();
    let of = |kind: &str| {
        objects
            .iter()
            .filter(|object| object["type"] == kind)
            .count()
    };
    assert_eq!(of("act"), 7);
    assert!(of("read") > 10 && of("checked") > 20, "{}", ran.stdout);
    let numbers = ran.object("numbers");
    assert!(numbers["verified_lines"].as_u64().unwrap() > 10);
    assert_eq!(numbers["methods"]["append_batch"]["failed"], 0);
}
