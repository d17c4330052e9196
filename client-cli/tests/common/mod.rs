//! The real program, homes on the disk, a network over HTTP on this machine.

#![allow(dead_code, reason = "each suite uses a part")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub const PASSPHRASE: &str = "چائے and samosas at five";
pub const USER: i32 = 3;
/// Exit code of what does not verify.
pub const NOT_VERIFIED: i32 = 5;
pub const NETWORK: i32 = 4;

/// The program, without what the machine's user has set.
pub fn paigham() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paigham"));
    command
        .env_remove("PAIGHAM_HOME")
        .env_remove("PAIGHAM_NETWORK")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(command: &mut Command, input: &[u8]) -> Self {
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        // A command that reads no input may be gone already.
        drop(child.stdin.take().unwrap().write_all(input));
        let output = child.wait_with_output().unwrap();
        let ran = Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(
            !ran.stdout.contains('\u{1b}'),
            "no terminal, no colours: {ran:?}"
        );
        assert!(
            !ran.stderr.contains('\u{1b}'),
            "no terminal, no colours: {ran:?}"
        );
        ran
    }

    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Every line of the output as an object.
    pub fn objects(&self) -> Vec<Value> {
        let objects = self
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        objects.collect()
    }

    /// The only object of a type.
    pub fn object(&self, kind: &str) -> Value {
        let mut of_kind = self
            .objects()
            .into_iter()
            .filter(|object| object["type"] == kind);
        let first = of_kind
            .next()
            .unwrap_or_else(|| panic!("no {kind} in {self:?}"));
        assert!(of_kind.next().is_none(), "{self:?}");
        first
    }

    pub fn texts(&self) -> Vec<String> {
        let objects = self.objects();
        let texts = objects
            .iter()
            .filter_map(|object| object["body"]["text"].as_str());
        texts.map(str::to_owned).collect()
    }
}

/// A network that runs until dropped.
pub struct Network {
    pub child: Child,
    pub file: PathBuf,
    pub up: Value,
}

impl Network {
    pub fn up(data: &Path, listen: &str) -> Self {
        Self::up_as(data, listen, &[])
    }

    pub fn up_as(data: &Path, listen: &str, options: &[&str]) -> Self {
        let mut child = paigham()
            .args(["--json", "network", "up", "--listen", listen, "--data"])
            .arg(data)
            .args(options)
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let up: Value = serde_json::from_str(&line).unwrap();
        let file = up["file"].as_str().unwrap().into();
        Self { child, file, up }
    }

    pub fn address(&self) -> &str {
        self.up["url"]
            .as_str()
            .unwrap()
            .strip_prefix("http://")
            .unwrap()
    }

    /// As Ctrl-C or a service manager does it.
    pub fn stop(mut self) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Somebody with a home.
pub struct Person {
    pub folder: TempDir,
    pub network: String,
}

impl Person {
    pub fn new(network: &Network) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("passphrase"), format!("{PASSPHRASE}\n")).unwrap();
        Self {
            folder,
            network: network.file.to_str().unwrap().to_owned(),
        }
    }

    pub fn registered(network: &Network, name: &str) -> Self {
        let person = Self::new(network);
        person.json(&["register", "--name", name]).ok();
        person
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = paigham();
        command
            .env("PAIGHAM_HOME", self.folder.path().join("home"))
            .env("PAIGHAM_NETWORK", &self.network)
            .arg("--passphrase-file")
            .arg(self.folder.path().join("passphrase"))
            .args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments), b"")
    }

    pub fn json(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).arg("--json"), b"")
    }

    pub fn piped(&self, arguments: &[&str], input: &str) -> Ran {
        Ran::of(self.command(arguments).arg("--json"), input.as_bytes())
    }

    pub fn account(&self) -> String {
        self.json(&["whoami"]).ok().object("account")["account"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub fn knows(&self, name: &str, other: &Self) {
        let contact = self.json(&["contacts", "add", name, &other.account()]).ok();
        assert_eq!(contact.object("contact")["name"], name);
    }
}
