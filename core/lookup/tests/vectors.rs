//! Golden evidence files: `spec/vectors/evidence.json`. To write it anew: `PAIGHAM_WRITE_VECTORS=1`.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::PathBuf;

use common::*;
use paigham_lookup::evidence::{Checked, Evidence, Item, ShownAnswer};
use paigham_lookup::{Finding, LogTrust};
use paigham_transparency::codec::Codec;
use paigham_transparency::structs::Configuration;
use paigham_wire::ids::CanisterId;
use serde_json::{Value, json};

fn path() -> PathBuf {
    [
        env!("CARGO_MANIFEST_DIR"),
        "..",
        "..",
        "spec",
        "vectors",
        "evidence.json",
    ]
    .iter()
    .collect()
}

fn answer(directory: &Directory, owner: &Owner) -> Item {
    let (answer, head) = Reader::default().ask(directory, owner.account());
    Item::Account(ShownAnswer {
        before: None,
        known: Vec::new().into(),
        account: owner.account(),
        answer,
        head: head.into(),
    })
}

fn file(what: &str, directory: &Directory, finding: Finding, items: Vec<Item>) -> Value {
    let evidence = Evidence {
        finding,
        network: Vec::new().into(),
        items,
    };
    let report = evidence.check(&directory.trust());
    let items = report.items.iter().map(|item| match item {
        Checked::Holds { size, certified_at } => {
            json!({ "size": size, "certified_at": certified_at.to_string() })
        }
        Checked::NetworkFile { number } => json!({ "network_file": number }),
        Checked::Word => json!({ "word": true }),
        Checked::Refused(error) => json!({ "refused": error.to_string() }),
    });
    json!({
        "what": what,
        "file": hex::encode(evidence.to_bytes()),
        "items": items.collect::<Vec<_>>(),
        "proved": report.proved.iter().map(|proved| format!("{proved:?}")).collect::<Vec<_>>(),
        "holds": report.holds(),
    })
}

fn vectors() -> Value {
    let mut directory = Directory::new();
    let mut amina = Owner::create(&mut directory, 7);
    let (mut other, mut twin) = (directory.clone(), amina.clone());
    let mut forged = directory.clone();
    let freeze = amina.freeze(directory.now * NS, 1);
    amina.log(&mut directory, HOUR, &freeze).unwrap();
    directory.wait(7 * 24 * HOUR);
    let add = amina.add(directory.now * NS, 2, 1);
    amina.log(&mut directory, HOUR, &add).unwrap();
    let add = twin.add(other.now * NS, 3, 1);
    twin.log(&mut other, HOUR, &add).unwrap();
    forged.log(HOUR, &amina.add(0, 66, 9));
    let mut still = directory.clone();
    still.signer.later = HOUR * NS;
    let trust = directory.trust();
    let (a, b) = (answer(&directory, &amina), answer(&other, &twin));
    json!({
        "root_key": hex::encode(trust.root_key()),
        "directory": hex::encode(trust.directory().as_slice()),
        "configuration": hex::encode(trust.config().encode().unwrap()),
        "files": [
            file("a freeze, seven days, a device: the owner knows it not", &directory, Finding::UnknownDevice, vec![a.clone()]),
            file("two records for one version", &directory, Finding::TwoValues, vec![a, b]),
            file("a device by a key that is not the owner's", &directory, Finding::WrongAuthorisation, vec![answer(&forged, &amina)]),
            file("a log that stands still", &directory, Finding::StaleHead, vec![answer(&still, &amina)]),
        ],
    })
}

/// The files are what they were when they were recorded, and are read from the recorded bytes as
/// then.
#[test]
fn evidence_files_stay_what_they_are() {
    let made = vectors();
    if std::env::var_os("PAIGHAM_WRITE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(&made).unwrap();
        std::fs::write(path(), text + "\n").unwrap();
    }
    let recorded: Value = serde_json::from_slice(&std::fs::read(path()).unwrap()).unwrap();
    assert_eq!(made, recorded);
    let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let trust = LogTrust::new(
        bytes(&recorded["root_key"]),
        CanisterId::new(&bytes(&recorded["directory"])).unwrap(),
        Configuration::decode(&bytes(&recorded["configuration"])).unwrap(),
    )
    .unwrap();
    for file in recorded["files"].as_array().unwrap() {
        let evidence = Evidence::from_bytes(&bytes(&file["file"])).unwrap();
        assert_eq!(
            evidence.check(&trust).holds(),
            file["holds"],
            "{}",
            file["what"]
        );
    }
}
