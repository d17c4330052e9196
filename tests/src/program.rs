//! The `paigham` program with homes in folders, as its users have it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use ed25519_dalek::SigningKey;
use paigham_store::Store;
use serde_json::Value;
use tempfile::TempDir;

use crate::thief::key_in;
use crate::world::World;

const PASSPHRASE: &str = "at the command line";

/// The program that `PAIGHAM_PROGRAM` names, or the one beside this test's own binary.
#[must_use]
pub fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("PAIGHAM_PROGRAM") {
        return Some(named.into());
    }
    let own = std::env::current_exe().ok()?;
    let program = own.parent()?.parent()?.join("paigham");
    program.exists().then_some(program)
}

/// Homes of several people who use the program on one network.
#[derive(Debug)]
pub struct Homes {
    program: PathBuf,
    folder: TempDir,
}

impl Homes {
    /// None yet, on a world's network.
    ///
    /// # Panics
    /// If nothing can be written.
    #[must_use]
    pub fn on(world: &World, program: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let homes = Self { program, folder };
        std::fs::write(homes.path("network.cbor"), world.file().bytes()).unwrap();
        std::fs::write(homes.path("passphrase"), PASSPHRASE).unwrap();
        homes
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command in somebody's home; the world goes on meanwhile.
    ///
    /// # Panics
    /// If the program does not start.
    pub async fn run(&self, who: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command
            .env_remove("PAIGHAM_HOME")
            .env_remove("PAIGHAM_NETWORK")
            .stdin(Stdio::null());
        for (option, name) in [
            ("--home", who),
            ("--network", "network.cbor"),
            ("--passphrase-file", "passphrase"),
        ] {
            command.arg(option).arg(self.path(name));
        }
        command.arg("--json").args(arguments);
        let ran = tokio::task::spawn_blocking(move || command.output()).await;
        ran.unwrap().unwrap()
    }

    /// Runs a command that must succeed; the objects that it prints.
    ///
    /// # Panics
    /// If it fails.
    pub async fn ok(&self, who: &str, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(who, arguments).await;
        assert!(output.status.success(), "{who} {arguments:?}: {output:?}");
        objects(&output)
    }

    /// Makes an account; its id.
    ///
    /// # Panics
    /// If it is not made.
    pub async fn registers(&self, who: &str) -> String {
        self.ok(who, &["register", "--name", who]).await;
        let said = self.ok(who, &["whoami"]).await;
        said[0]["account"].as_str().unwrap().to_owned()
    }

    /// The identity key in somebody's home, for a thief who knows the passphrase.
    ///
    /// # Panics
    /// If the home is open or has none.
    #[must_use]
    pub fn stolen_key(&self, who: &str) -> SigningKey {
        key_in(&Store::open(&self.path(who), PASSPHRASE).unwrap())
    }
}

/// The objects that a command printed.
///
/// # Panics
/// If they are none.
#[must_use]
pub fn objects(output: &Output) -> Vec<Value> {
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    let lines = lines.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
