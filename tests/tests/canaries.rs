//! What people say, and what opens it, is nowhere but in their heads: not in any file of a home or
//! of the network, and in no log.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use paigham_client::Store;
use paigham_store::Table;
use paigham_tests::person::{Person, all_hear, meet};
use paigham_tests::story::story;
use paigham_tests::world::World;
use serde::Deserialize;
use tracing_subscriber::fmt::MakeWriter;

const TEXTS: [&str; 2] = [
    "canary-Zq7-the treasure is at noon",
    "کینری ژ۹ خزانہ دوپہر کو ہے",
];
const GROUP: &str = "canary group ٹھ8";
const ALICE: &str = "Canary-Alice ڑ1";
const BOB: &str = "Canary-Bob ے2";
const PASSPHRASE: &str = "canary passphrase گھ3 of nobody";

/// Everything that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Things that must not be found, in the forms that they could be written in.
struct Canaries {
    /// Whose form, and the form.
    forms: Vec<(String, Vec<u8>)>,
    /// Forms by their first two bytes, so that one pass looks for all of them.
    by_start: Vec<Vec<usize>>,
}

impl Canaries {
    fn new() -> Self {
        Self {
            forms: Vec::new(),
            by_start: vec![Vec::new(); 1 << 16],
        }
    }

    fn add(&mut self, name: &str, bytes: &[u8]) {
        let mut forms = vec![bytes.to_vec(), hex(bytes, false), hex(bytes, true)];
        // Debug output of bytes, and Base64 at each of its three alignments.
        let numbers: Vec<_> = bytes.iter().map(ToString::to_string).collect();
        forms.push(numbers.join(", ").into_bytes());
        forms.extend((0..3).map(|skip| base64(&bytes[skip..])));
        if let Ok(text) = std::str::from_utf8(bytes) {
            forms.push(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
            forms.push(text.escape_default().to_string().into_bytes());
            forms.push(text.escape_unicode().to_string().into_bytes());
        }
        for form in forms {
            self.by_start[start(&form)].push(self.forms.len());
            self.forms.push((name.to_owned(), form));
        }
    }

    /// The first thing that is found.
    fn find(&self, haystack: &[u8]) -> Option<&str> {
        for at in 0..haystack.len().saturating_sub(1) {
            for form in &self.by_start[start(&haystack[at..])] {
                let (name, form) = &self.forms[*form];
                if haystack[at..].starts_with(form) {
                    return Some(name);
                }
            }
        }
        None
    }
}

fn start(bytes: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn hex(bytes: &[u8], upper: bool) -> Vec<u8> {
    let digits = bytes.iter().map(|byte| match upper {
        true => format!("{byte:02X}"),
        false => format!("{byte:02x}"),
    });
    digits.collect::<String>().into_bytes()
}

/// Base64 of the whole groups of three: what stands in the middle of any longer Base64.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.as_chunks::<3>().0;
    let digits = groups.iter().flat_map(|[a, b, c]| {
        let bits = u32::from_be_bytes([0, *a, *b, *c]);
        [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift) as usize % 64])
    });
    digits.collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

/// Seeds of a device's keys, as its home keeps them.
#[derive(Deserialize)]
struct Seeds {
    identity: [u8; 32],
    leaf: [u8; 32],
    inbox: [u8; 32],
    xwing: [u8; 32],
}

impl Seeds {
    fn of(home: &Path) -> Self {
        let store = Store::open(home, PASSPHRASE).unwrap();
        store.begin().get(Table::Account, b"self").unwrap().unwrap()
    }

    fn named(&self) -> [(&'static str, &[u8; 32]); 4] {
        [
            ("identity", &self.identity),
            ("leaf", &self.leaf),
            ("inbox", &self.inbox),
            ("X-Wing", &self.xwing),
        ]
    }
}

/// Alice and Bob talk, in a chat and in a group, over restarts and with the log turned up. Then
/// every file and the log are searched for what they said, what they call each other, their
/// passphrase, recovery kits and keys, in every usual spelling. A search for what is public finds
/// it, so the search itself works.
#[test]
fn no_canary_and_no_key_is_found() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let logged = log.clone();
    story(async move || {
        let mut world = World::in_folder().await;
        let (mut alice, her_kit) = Person::at_home(&world, ALICE, PASSPHRASE).await;
        let (mut bob, his_kit) = Person::at_home(&world, BOB, PASSPHRASE).await;
        meet(&mut [&mut alice, &mut bob]).await;
        let chat = alice.start_chat(bob.account()).await.unwrap();
        let group = alice.create_group(GROUP, &[bob.account()]).await.unwrap();
        bob.hears().await;
        alice.says(chat, TEXTS[0]).await;
        bob.says(group, TEXTS[1]).await;
        all_hear(&mut [&mut alice, &mut bob]).await;
        assert_eq!(bob.texts(chat), TEXTS[..1]);
        assert_eq!(alice.texts(group), TEXTS[1..]);
        // One that waits is on the disk, too.
        world.stop();
        drop(alice.send(chat, TEXTS[1]).await);
        world.start().await;
        let wrong = Store::open(&alice.home().join("home"), "not the passphrase");
        drop(wrong);

        let mut public = Canaries::new();
        public.add("the relay's id", world.network().relay().as_slice());
        let mut canaries = Canaries::new();
        canaries.add("a text", TEXTS[0].as_bytes());
        canaries.add("a text in Urdu", TEXTS[1].as_bytes());
        canaries.add("the group's name", GROUP.as_bytes());
        canaries.add("Alice's name", ALICE.as_bytes());
        canaries.add("Bob's name", BOB.as_bytes());
        canaries.add("the passphrase", PASSPHRASE.as_bytes());
        for kit in [&her_kit, &his_kit] {
            canaries.add("recovery words", kit.words().as_bytes());
            canaries.add("a recovery key", &kit.key().to_bytes());
        }
        alice.closes();
        bob.closes();
        world.stop();
        for person in [&alice, &bob] {
            for (of, seed) in Seeds::of(&person.home().join("home")).named() {
                canaries.add(&format!("the {of} key of {}", person.name), seed);
            }
        }
        let (mut homes, mut network) = (Vec::new(), Vec::new());
        files(alice.home(), &mut homes);
        files(bob.home(), &mut homes);
        files(world.folder(), &mut network);
        let mut public_seen = 0;
        for path in homes.iter().chain(&network) {
            let bytes = std::fs::read(path).unwrap();
            public_seen += usize::from(public.find(&bytes).is_some());
            assert_eq!(canaries.find(&bytes), None, "in {}", path.display());
        }
        assert!(public_seen > 0, "the search finds nothing at all");

        // The network's own keys lie in its folder, and nowhere else.
        let mut keys = Canaries::new();
        let release_key = std::fs::read(world.folder().join("release.key")).unwrap();
        keys.add("the release key", &release_key);
        for path in &homes {
            assert_eq!(keys.find(&std::fs::read(path).unwrap()), None);
        }
        let log = logged.0.lock().unwrap();
        assert_eq!(canaries.find(&log), None, "in the log");
        assert_eq!(keys.find(&log), None, "in the log");
    });
    assert!(
        !log.0.lock().unwrap().is_empty(),
        "nothing was logged at all"
    );
}
