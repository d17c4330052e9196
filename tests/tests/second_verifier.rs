//! The second verifier (`spec/verifier`), written from the specification alone, agrees.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use paigham_client::review::{AuditLog, Reviewer, SavedLookup};
use paigham_client::{Environment, KdfCost, SystemClock};
use paigham_lookup::Reading;
use paigham_lookup::account::RecordTimes;
use paigham_tests::logged::{LogReader, Logged};
use paigham_tests::second_verifier::SecondVerifier;
use paigham_tests::story::story;
use paigham_tests::world::World;
use paigham_transparency::codec::Codec;
use paigham_transparency::hash::Label;
use paigham_transparency::verifier::TreeView;
use paigham_wire::codec::encode;
use paigham_wire::log::LookupAnswers;
use serde_json::{Value, json};

/// Labels and answers of the live run; `PAIGHAM_LIVE=1` takes the full numbers.
const SAMPLE: (u32, usize) = (40, 24);
const FULL: (u32, usize) = (2_000, 200);
/// Kinds of tampering that the full run must have tried.
const TAMPERING_KINDS: usize = 20;

/// A reviewer who read only the prose computes every vector, and refuses what must be refused.
#[test]
fn it_agrees_on_every_vector() {
    if let Some(verifier) = SecondVerifier::find() {
        verifier.passes(&["unittest"]);
    }
}

/// What a reviewer writes down of a network: every answer raw, with what Rust says it shows.
struct Notebook {
    reader: LogReader,
    answers: Vec<Value>,
}

impl Notebook {
    /// Asks for some labels, verifies, and writes the reply down; gives the view after.
    async fn ask(&mut self, what: &str, view: Option<&TreeView>, labels: &[Vec<u8>]) -> TreeView {
        let reply = self.reader.raw(view, labels).await;
        let (after, shows) = verified(&self.reader, view, labels, &reply);
        let wanted: Vec<Value> = labels
            .iter()
            .map(|label| json!({ "label": hex(label), "from": 0 }))
            .collect();
        self.answers.push(json!({
            "what": format!("{} {what}", self.answers.len()),
            "view": view.map(|view| hex(&view.encode().unwrap())),
            "wanted": wanted,
            "reply": hex(&encode(&reply)),
            "fresh_at_ns": self.reader.now_ns().to_string(),
            "shows": shows,
        }));
        after
    }

    fn write(&self, path: &Path) {
        let trust = self.reader.trust();
        let file = json!({
            "root_key": hex(trust.root_key()),
            "directory": hex(trust.directory().as_slice()),
            "configuration": hex(&trust.config().encode().unwrap()),
            "answers": self.answers,
        });
        fs::write(path, file.to_string()).unwrap();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What our own verifier finds in a reply.
fn verified(
    reader: &LogReader,
    view: Option<&TreeView>,
    labels: &[Vec<u8>],
    reply: &LookupAnswers,
) -> (TreeView, Vec<Value>) {
    let mut reading = Reading::open(reader.trust(), view, reply.head.as_slice()).unwrap();
    let mut shows = Vec::new();
    for (label, answer) in labels.iter().zip(&reply.answers) {
        let label = Label::new(label.clone()).unwrap();
        let found = reading.label(&label, None, answer, &RecordTimes).unwrap();
        shows.push(match found {
            None => json!({ "version": null, "value": null, "times": {} }),
            Some(found) => {
                let times: serde_json::Map<String, Value> = found
                    .new
                    .iter()
                    .enumerate()
                    .filter_map(|(version, new)| {
                        let place = new.place?;
                        Some((version.to_string(), json!(place.timestamp)))
                    })
                    .collect();
                json!({
                    "version": found.greatest,
                    "value": hex(&found.newest),
                    "times": times,
                })
            }
        });
    }
    (reading.finish((), None).unwrap().view, shows)
}

/// A population changes: every fifth rotates its keys, some of them twice, every ninth freezes.
async fn change(reader: &LogReader, people: &mut [Logged]) {
    reader.log(every(people, 5, Logged::rotate)).await;
    reader.log(every(people, 15, Logged::rotate)).await;
    reader.log(every(people, 9, Logged::freeze)).await;
}

fn every<T>(people: &mut [Logged], nth: usize, change: impl Fn(&mut Logged) -> T) -> Vec<T> {
    people.iter_mut().step_by(nth).map(change).collect()
}

/// A running network has so many labels, and keys rotate. A reviewer takes raw answers home: of
/// labels that are there, that have changed, that are frozen, that are nobody's; asked by somebody
/// new, by somebody who was there before the last changes, one by one and several at once. The
/// second verifier agrees on each, refuses each when it is changed in any of its ways, and reads
/// the audit of the whole log.
#[test]
fn it_agrees_on_live_answers_and_refuses_changed_ones() {
    let Some(verifier) = SecondVerifier::find() else {
        return;
    };
    let is_full = std::env::var_os("PAIGHAM_LIVE").is_some();
    let (labels, answers) = if is_full { FULL } else { SAMPLE };
    story(async move || {
        let world = World::in_memory().await;
        let reader = LogReader::of(&world);
        let mut notebook = Notebook {
            reader: reader.clone(),
            answers: Vec::new(),
        };
        let early = notebook
            .ask("nobody yet", None, &[b"a:nobody".to_vec()])
            .await;
        let (mut people, records): (Vec<_>, Vec<_>) = (0..labels).map(Logged::create).unzip();
        reader.log(records).await;
        let first = people[0].label();
        notebook.ask("before the changes", None, &[first]).await;
        change(&reader, &mut people).await;
        let mut view = early.clone();
        for turn in 0..answers.div_ceil(5) {
            let person = &people[turn * 7 % people.len()];
            let other = &people[turn * 15 % people.len()];
            let (one, two) = (person.label(), other.label());
            view = notebook
                .ask("by somebody new", None, std::slice::from_ref(&two))
                .await;
            notebook
                .ask(
                    "by somebody who knows this head or an older one",
                    Some(&view),
                    std::slice::from_ref(&one),
                )
                .await;
            notebook
                .ask(
                    "by somebody who knows the first head",
                    Some(&early),
                    &[one.clone(), two],
                )
                .await;
            notebook
                .ask(
                    "one, by somebody who knows the first head",
                    Some(&early),
                    std::slice::from_ref(&one),
                )
                .await;
            let nobody = format!("a:nobody {turn}").into_bytes();
            notebook
                .ask("absent, and one beside it", Some(&early), &[nobody, one])
                .await;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.json");
        notebook.write(&path);
        let path = path.to_str().unwrap().to_owned();
        let found = verifier.passes(&["paigham_verify", &path, "--json"]);
        assert!(found.lines().count() >= answers, "{found}");
        let refused = verifier.passes(&["tests.tamper", &path]);
        assert!(refused.lines().count() >= TAMPERING_KINDS, "{refused}");
        if is_full {
            println!(
                "{} answers of {} labels hold\n{refused}",
                found.lines().count(),
                labels
            );
        }

        let environment = Environment {
            transport: Some(world.in_process()),
            clock: std::sync::Arc::new(SystemClock::default()),
            kdf: KdfCost::STRONG,
        };
        let reviewer = Reviewer::new(world.file(), environment).unwrap();
        let path = folder.path().join("audit.nkta1");
        let mut log = AuditLog::create(&path, reviewer.header()).unwrap();
        reviewer
            .fetch_audit(&mut log, &mut |_, _| {})
            .await
            .unwrap();
        assert!(log.audit().state().size() >= view.size());
        let root_key = hex(reader.trust().root_key());
        let path = path.to_str().unwrap();
        let audit = verifier.passes(&["paigham_verify", path, "--root-key", &root_key, "--json"]);
        let audit: Value = serde_json::from_str(&audit).unwrap();
        assert_eq!(audit["to"], log.audit().state().size());
        assert_eq!(audit["added"], log.audit().added());
        assert_eq!(audit["checkpoints_without_signature_check"], 0);
        assert_eq!(audit["root"], hex(&log.audit().state().root().unwrap()));

        let saved = reviewer.save_lookup(&people[0].label()).await.unwrap();
        let again = SavedLookup::from_bytes(&saved.to_bytes()).unwrap();
        let facts = again.verify().unwrap();
        assert_eq!(facts.standing().unwrap().0.version(), 3);
        let path = folder.path().join("saved.pglk");
        fs::write(&path, saved.to_bytes()).unwrap();
        let read = verifier.passes(&["paigham_verify", path.to_str().unwrap(), "--json"]);
        let read: Value = serde_json::from_str(&read).unwrap();
        assert_eq!(read["version"], 3);
    });
}
