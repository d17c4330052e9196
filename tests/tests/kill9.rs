//! Real processes, killed by SIGKILL at random system calls: the `paigham` program with two homes
//! and a network in a folder, on real disks. `PAIGHAM_KILL_POINTS=50` for the long run,
//! `PAIGHAM_KILL_SEED` to repeat one.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use paigham_tests::program::program;
use paigham_tests::story::number;
use serde_json::Value;
use tempfile::TempDir;

/// What a program does to its disk and its peers.
const CALLS: &str = "write,pwrite64,fsync,fdatasync";
/// Where in each thread's calls the first kills come; no program has finished by then.
const EARLY: u64 = 8;
/// Where the latest ones come.
const LATE: u64 = 64;
const UP_MAX: Duration = Duration::from_secs(120);

/// Two homes, and a network that is started as often as need be.
struct Machine {
    folder: TempDir,
    program: PathBuf,
    address: String,
    network: Option<Child>,
}

/// Where a program is killed: at the n-th of [`CALLS`] of one of its threads.
type At = Option<u64>;

impl Machine {
    fn new(program: PathBuf) -> Self {
        // Free a moment ago; the network needs the same one at each start.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("passphrase"), "kill nine\n").unwrap();
        Self {
            folder,
            program,
            address,
            network: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, at: At) -> Command {
        let mut command = match at {
            None => Command::new(&self.program),
            Some(at) => {
                let mut strace = Command::new("strace");
                // The program is our child, and strace its grandchild: whom we wait for and kill is
                // the program itself.
                strace.args(["-D", "-f", "-qq", "-o", "/dev/null"]);
                strace.arg("-e").arg(format!("trace={CALLS}"));
                strace
                    .arg("-e")
                    .arg(format!("inject={CALLS}:signal=SIGKILL:when={at}"));
                strace.arg(&self.program);
                strace
            }
        };
        command
            .env_remove("PAIGHAM_HOME")
            .env_remove("PAIGHAM_NETWORK");
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Starts the network; with a kill set it may die while starting.
    fn network_up(&mut self, at: At) {
        let mut command = self.command(at);
        command.args(["network", "up", "--listen", &self.address, "--data"]);
        command
            .arg(self.path("network"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.network = Some(command.spawn().unwrap());
        let started = Instant::now();
        while std::net::TcpStream::connect(&self.address).is_err() || !self.network_file().exists()
        {
            if !self.network_lives() {
                assert!(at.is_some(), "the network does not start");
                return;
            }
            assert!(started.elapsed() < UP_MAX, "the network does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn network_file(&self) -> PathBuf {
        self.path("network").join("network.cbor")
    }

    fn network_lives(&mut self) -> bool {
        let network = self.network.as_mut().unwrap();
        network.try_wait().unwrap().is_none()
    }

    fn kill_network(&mut self) {
        if let Some(mut network) = self.network.take() {
            drop(network.kill());
            drop(network.wait());
        }
    }

    /// Runs a command in somebody's home.
    fn run(&self, who: &str, at: At, arguments: &[&str]) -> Output {
        let mut command = self.command(at);
        command.arg("--home").arg(self.path(who));
        command.arg("--network").arg(self.network_file());
        command
            .arg("--passphrase-file")
            .arg(self.path("passphrase"));
        command.arg("--json").args(arguments).stdout(Stdio::piped());
        command.output().unwrap()
    }

    /// Runs a command that must succeed; returns the objects that it prints.
    fn ok(&self, who: &str, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(who, None, arguments);
        assert!(output.status.success(), "{who} {arguments:?}: {output:?}");
        let lines = String::from_utf8(output.stdout).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn account(&self, who: &str) -> String {
        let objects = self.ok(who, &["whoami"]);
        objects[0]["account"].as_str().unwrap().to_owned()
    }

    /// Texts of the chat with somebody, those that wait included, in order.
    fn texts(&self, who: &str, with: &str) -> Vec<String> {
        let lines = self.ok(who, &["history", with, "--limit", "10000"]);
        let texts = lines.iter().filter(|line| line["body"]["kind"] == "text");
        texts
            .map(|line| line["body"]["text"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Sends a text unless an earlier attempt that was killed had taken it already.
    fn send_once(&self, who: &str, with: &str, text: &str) {
        if self.texts(who, with).iter().any(|taken| taken == text) {
            self.ok(who, &["sync"]);
        } else {
            self.ok(who, &["send", with, text]);
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill_network();
    }
}

/// A small generator, so that a run can be repeated by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

fn strace_works() -> bool {
    let tried = Command::new("strace")
        .args([
            "-D",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "inject=write:signal=SIGKILL:when=1",
        ])
        .args(["echo", "killed before this is written"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| !status.success())
}

/// Alice writes to Bob, again and again. Each time one program is killed at a random write or sync:
/// Alice's while it sends, Bob's while he receives, or the network. Then everything goes on. Each
/// text is there once, at both, in order.
#[test]
fn texts_survive_sigkill_anywhere() {
    let Some(program) = program() else {
        eprintln!("SKIPPED: kill9 needs the `paigham` program; `cargo test --workspace` builds it");
        return;
    };
    if !strace_works() {
        eprintln!("SKIPPED: kill9 needs strace, and leave to use it");
        return;
    }
    let seed = number("PAIGHAM_KILL_SEED", std::process::id() as usize);
    let points = number("PAIGHAM_KILL_POINTS", 6);
    eprintln!("kill9: {points} points, PAIGHAM_KILL_SEED={seed}");
    let mut dice = Dice(seed as u64);

    let mut machine = Machine::new(program);
    machine.network_up(None);
    for who in ["alice", "bob"] {
        machine.ok(who, &["register", "--name", who]);
    }
    let (alice, bob) = (machine.account("alice"), machine.account("bob"));
    machine.ok("alice", &["contacts", "add", "Bob", &bob]);
    machine.ok("bob", &["contacts", "add", "Alice", &alice]);
    machine.ok("alice", &["chat", "Bob"]);
    machine.ok("bob", &["sync"]);

    // Later and later while programs are killed, earlier again when one finished first.
    let mut latest = [EARLY; 3];
    let (mut said, mut kills) = (Vec::new(), 0);
    for point in 0..points {
        let text = format!("سلام {point} of {seed}");
        let victim = point % 3;
        let at = Some(1 + dice.roll(latest[victim]));
        let killed = match victim {
            0 => was_killed(&machine.run("alice", at, &["send", "Bob", &text])),
            1 => {
                machine.send_once("alice", "Bob", &text);
                was_killed(&machine.run("bob", at, &["sync"]))
            }
            _ => {
                machine.kill_network();
                machine.network_up(at);
                drop(machine.run("alice", None, &["send", "Bob", &text]));
                drop(machine.run("bob", None, &["sync"]));
                let died = !machine.network_lives();
                machine.kill_network();
                machine.network_up(None);
                died
            }
        };
        kills += usize::from(killed);
        latest[victim] = match killed {
            true => (latest[victim] * 2).min(LATE),
            false => (latest[victim] / 2).max(EARLY),
        };
        machine.send_once("alice", "Bob", &text);
        machine.ok("bob", &["sync"]);
        said.push(text);
        for (who, with) in [("alice", "Bob"), ("bob", "Alice")] {
            assert_eq!(
                machine.texts(who, with),
                said,
                "{who} after {point}, at {at:?}"
            );
        }
    }
    eprintln!("kill9: {kills} of {points} were killed before they were done");
    assert!(kills > 0, "nothing was killed");
    assert_no_temporary(&machine.path("network"));
}

/// Whether a program was killed; one that ends by itself must be done.
fn was_killed(output: &Output) -> bool {
    let killed = output.status.signal() == Some(9);
    assert!(killed || output.status.success(), "{output:?}");
    killed
}

/// What was being replaced when a program died is gone after the next start.
fn assert_no_temporary(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(
            !name.to_string_lossy().ends_with(".new"),
            "{name:?} was left behind"
        );
    }
}
