//! What reviewers, auditors and owners check by the command line, with the real program.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;

use common::{NOT_VERIFIED, Network, Person, Ran, USER, paigham};
use serde_json::Value;

/// A command of somebody without a home.
fn reviewer(network: &Network, arguments: &[&str]) -> Ran {
    let mut command = paigham();
    command.args(["--json", "--network"]).arg(&network.file);
    Ran::of(command.args(arguments), b"")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Whether a list of strings in an object has one that says this.
fn says(object: &Value, list: &str, part: &str) -> bool {
    let lines = object[list].as_array().unwrap();
    lines
        .iter()
        .any(|line| line.as_str().unwrap().contains(part))
}

/// Two auditors make their keys, and the network names them and asks for both. Until both have handed
/// in what they followed, people are warned and go on, and a reviewer who insists on auditors is told
/// that too few vouch. Then the network's log is vouched for, in an answer of now as in a saved one.
#[test]
fn auditors_vouch_for_the_log() {
    let data = tempfile::tempdir().unwrap();
    let network = Network::up(data.path(), "127.0.0.1:0");
    let file = |name: &str| data.path().join(name);
    let (audit, first, second) = (file("audit"), file("first.key"), file("second.key"));
    reviewer(&network, &["audit", "fetch", text(&audit)]).ok();
    let cosign = |network: &Network, key: &Path, options: &[&str]| {
        let arguments = ["audit", "cosign", text(&audit), "--key", text(key)];
        reviewer(network, &[&arguments[..], options].concat())
    };
    let key_of = |ran: Ran| {
        ran.object("cosignature")["key"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    // A network that names no auditors takes no statements; the key and the statement are kept.
    let refused = cosign(&network, &first, &["--new-key"]);
    assert_eq!(refused.code, Some(USER), "{refused:?}");
    assert_eq!(refused.object("cosignature")["handed_in"], false);
    assert!(
        refused.stderr.contains("must name this auditor's key"),
        "{refused:?}"
    );
    let keys = [
        key_of(refused),
        key_of(cosign(&network, &second, &["--new-key", "--print"]).ok()),
    ];
    let address = network.address().to_owned();
    network.stop();

    let named = [
        "--auditor",
        &keys[0],
        "--auditor",
        &keys[1],
        "--auditors-required",
        "2",
    ];
    let network = Network::up_as(data.path(), &address, &named);
    let amina = Person::new(&network);
    let registered = amina.json(&["register", "--name", "Amina"]).ok();
    assert!(
        registered.stderr.contains("\"not_audited\""),
        "{registered:?}"
    );
    let account = amina.account();
    reviewer(&network, &["audit", "resume", text(&audit)]).ok();
    let printed = cosign(&network, &first, &["--print"]).ok();
    assert_eq!(printed.object("cosignature")["handed_in"], false);
    let handed_in = cosign(&network, &first, &[]).ok();
    let (printed, handed_in) = (
        printed.object("cosignature"),
        handed_in.object("cosignature"),
    );
    assert_eq!(handed_in["handed_in"], true);
    assert_eq!(handed_in["signature"], printed["signature"], "signed once");

    let proof = file("proof.one");
    let one = [
        "lookup",
        &account,
        "--proof",
        text(&proof),
        "--require-auditors",
    ];
    let one = reviewer(&network, &one);
    assert_eq!(one.code, Some(NOT_VERIFIED), "{one:?}");
    let looked = one.object("lookup");
    assert_eq!(looked["auditors"]["vouching"], 1);
    assert!(
        says(&looked, "not_proved", "1 of 2 required auditors"),
        "{looked}"
    );
    let offline = |proof: &Path, options: &[&str]| {
        Ran::of(
            paigham()
                .args(["--json", "verify", text(proof)])
                .args(options),
            b"",
        )
    };
    offline(&proof, &[]).ok();
    assert_eq!(
        offline(&proof, &["--require-auditors"]).code,
        Some(NOT_VERIFIED)
    );

    cosign(&network, &second, &[]).ok();
    // The log goes on; the statements over the older size still vouch for what is looked up now.
    let bilal = Person::registered(&network, "Bilal");
    let proof = file("proof.two");
    let two = [
        "lookup",
        &bilal.account(),
        "--proof",
        text(&proof),
        "--require-auditors",
    ];
    let looked = reviewer(&network, &two).ok().object("lookup");
    assert_eq!(looked["auditors"]["met"], true, "{looked}");
    assert!(
        says(&looked, "proved", "2 of 2 named auditors (2 required)"),
        "{looked}"
    );
    let offline = offline(&proof, &["--require-auditors"])
        .ok()
        .object("lookup");
    assert_eq!(offline["auditors"], looked["auditors"]);
    let synced = bilal.json(&["sync"]).ok();
    assert!(!synced.stderr.contains("not_audited"), "{synced:?}");
    network.stop();
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Amina's monitor finds everything as before: her account, her contact, her handle, the network's
/// file. Then somebody with a copy of her home changes her account. The monitor raises the alarm by
/// its exit code and leaves a file; whoever has only that file, and not her home, reads what the log
/// holds, and that only she can say that it was not her. A changed file proves nothing.
#[test]
fn an_owner_is_alarmed_with_evidence() {
    let data = tempfile::tempdir().unwrap();
    let network = Network::up(data.path(), "127.0.0.1:0");
    let amina = Person::registered(&network, "Amina");
    let bilal = Person::registered(&network, "Bilal");
    amina.knows("Bilal", &bilal);
    amina.json(&["handle", "claim", "amina"]).ok();
    let quiet = amina.json(&["monitor"]).ok().object("monitor");
    assert_eq!(quiet["alarm"], false, "{quiet}");
    let labels = quiet["labels"].as_array().unwrap();
    let kinds: Vec<_> = labels
        .iter()
        .map(|one| one["label"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["own", "contact", "handles", "network"]);
    assert!(
        labels.iter().all(|one| one["verdict"] == "as_before"),
        "{quiet}"
    );

    let proof = data.path().join("handle.proof");
    let looked = reviewer(&network, &["lookup", "@amina", "--proof", text(&proof)]).ok();
    assert_eq!(
        looked.object("lookup")["values"].as_array().unwrap().len(),
        1
    );
    Ran::of(paigham().args(["--json", "verify", text(&proof)]), b"").ok();

    let thief = Person::new(&network);
    copy(
        &amina.folder.path().join("home"),
        &thief.folder.path().join("home"),
    );
    thief.json(&["account", "freeze"]).ok();
    let alarmed = amina.json(&["monitor"]);
    assert_eq!(alarmed.code, Some(NOT_VERIFIED), "{alarmed:?}");
    let report = alarmed.object("monitor");
    assert_eq!(report["labels"][0]["verdict"], "problems", "{report}");
    assert!(alarmed.stderr.contains("ALARM"), "{alarmed:?}");
    let problem = amina.json(&["problems"]).ok().object("problem");
    let file = Path::new(problem["evidence"].as_str().unwrap()).to_owned();
    let read = Ran::of(paigham().args(["--json", "verify", text(&file)]), b"").ok();
    let read = read.object("evidence");
    assert_eq!(read["holds"], true);
    assert!(
        says(&read, "proved", "newest version in the log is 1"),
        "{read}"
    );
    assert!(says(&read, "not_proved", "only the owner knows"), "{read}");
    assert!(
        says(&read, "not_proved", "network file in it is the right one"),
        "{read}"
    );
    let named = reviewer(&network, &["verify", text(&file)])
        .ok()
        .object("evidence");
    assert!(!says(&named, "not_proved", "network file in it"), "{named}");
    let shown = Ran::of(paigham().args(["verify", text(&file)]), b"")
        .ok()
        .stdout;
    assert!(
        shown.contains("the file says: a version unknown to the owner"),
        "{shown}"
    );

    let mut bytes = std::fs::read(&file).unwrap();
    let inside = bytes.len() * 3 / 4;
    bytes[inside] ^= 1;
    let changed = data.path().join("changed.pgev");
    std::fs::write(&changed, bytes).unwrap();
    let refused = Ran::of(paigham().args(["--json", "verify", text(&changed)]), b"");
    assert_eq!(refused.code, Some(NOT_VERIFIED), "{refused:?}");
    std::fs::write(&changed, b"PGEV1 and no more").unwrap();
    let refused = Ran::of(paigham().args(["--json", "verify", text(&changed)]), b"");
    assert_eq!(refused.code, Some(USER), "{refused:?}");
    network.stop();
}
