//! Real clients with homes on disk: time of a message, messages a second, bytes on disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ic_agent::agent::HttpService;
use paigham_client::{
    Body, Client, Environment, KdfCost, NewAccount, OpenRelays, QueueId, VerifiedNetwork,
};
use paigham_network::Network;
use tempfile::TempDir;

use super::throughput::{milliseconds, per_second};
use super::{network_in_memory, on_loopback};
use crate::report::{Figure, Report};
use crate::sample::Sample;
use crate::{Failure, Options};

/// Messages of which each is waited for.
const ONE_BY_ONE: u32 = 200;
/// Pairs that talk at once, and texts in each.
const PAIRS: u32 = 4;
const TEXTS_OF_PAIR: u32 = 50;
/// Texts that a home holds when it is measured, sent in groups of so many.
const TEXTS: u32 = 1_000;
const TOGETHER: u32 = 100;

pub(super) async fn measure(options: &Options, report: &Report) -> Result<(), Failure> {
    report.section(
        "Clients",
        "two people in a 1:1 chat, homes on disk; texts of 32 bytes; what arrives is verified",
    );
    on_loopback(async |network| {
        one_by_one(network, options, report).await?;
        at_once(network, options, report).await
    })
    .await?;
    on_disk(options, report).await
}

/// Two people who are in a chat.
struct Pair {
    sender: Client,
    reader: Client,
    queue: QueueId,
    homes: TempDir,
}

impl Pair {
    async fn new(
        network: &VerifiedNetwork,
        transport: Option<Arc<dyn HttpService>>,
    ) -> Result<Self, Failure> {
        let homes = tempfile::tempdir()?;
        let make = |name: &str| -> Result<Client, Failure> {
            let environment = || Environment {
                transport: transport.clone(),
                // Opening a home is not part of any figure.
                kdf: KdfCost::WEAK_FOR_TESTS,
                ..Environment::default()
            };
            let open = OpenRelays::of_file(network);
            let (account, _) = NewAccount::prepare(network.clone(), &open, name, &environment())?;
            Ok(account.create(&homes.path().join(name), "passphrase", environment())?)
        };
        let (mut sender, mut reader) = (make("amina")?, make("bilal")?);
        sender.sync().await?;
        reader.sync().await?;
        sender.add_contact("bilal", reader.me().account).await?;
        reader.add_contact("amina", sender.me().account).await?;
        let queue = sender.start_chat(reader.me().account).await?;
        let joined = reader.sync().await?.joined;
        if joined != [queue] {
            return Err("the reader is not in the chat".into());
        }
        Ok(Self {
            sender,
            reader,
            queue,
            homes,
        })
    }

    fn home_of_reader(&self) -> std::path::PathBuf {
        self.homes.path().join("bilal")
    }

    /// The reader takes what there is; it must be so many verified texts.
    async fn read(&mut self, expected: usize) -> Result<(), Failure> {
        let arrived = self.reader.sync().await?.arrived;
        let verified = arrived.iter().filter(|arrived| {
            let message = &arrived.message;
            message.verified.is_some() && matches!(message.body, Body::Text(_))
        });
        match verified.count() {
            count if count == expected => Ok(()),
            count => Err(format!("{count} texts arrived instead of {expected}").into()),
        }
    }
}

fn text(number: u32) -> String {
    format!("{number:032}")
}

async fn one_by_one(network: &Network, options: &Options, report: &Report) -> Result<(), Failure> {
    let mut pair = Pair::new(network.file(), None).await?;
    let (mut sends, mut wholes) = (Vec::new(), Vec::new());
    for number in 0..options.times(ONE_BY_ONE) {
        let started = Instant::now();
        pair.sender.send(pair.queue, &text(number)).await?;
        sends.push(milliseconds(started.elapsed()));
        pair.read(1).await?;
        wholes.push(milliseconds(started.elapsed()));
    }
    report.median_and_p95(
        "message.sent",
        &Sample::new(sends),
        "ms",
        "sending alone, until the relay has it",
    );
    report.median_and_p95(
        "message.end_to_end",
        &Sample::new(wholes),
        "ms",
        "from sending until the reader's sync shows it verified, HTTP on loopback",
    );
    Ok(())
}

async fn at_once(network: &Network, options: &Options, report: &Report) -> Result<(), Failure> {
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        pairs.push(Pair::new(network.file(), None).await?);
    }
    let texts = options.times(TEXTS_OF_PAIR);
    let runtime = tokio::runtime::Handle::current();
    let started = Instant::now();
    let talks = pairs.into_iter().map(|mut pair| {
        let runtime = runtime.clone();
        // A thread for each: a client keeps its own busy with cryptography.
        tokio::task::spawn_blocking(move || {
            runtime.block_on(async move {
                for number in 0..texts {
                    pair.sender.send(pair.queue, &text(number)).await?;
                    pair.read(1).await?;
                }
                Ok::<_, Failure>(())
            })
        })
    });
    for talk in futures::future::join_all(talks).await {
        talk??;
    }
    let messages = (PAIRS * texts) as usize;
    report.figure(&Figure {
        metric: "throughput.clients",
        n: messages,
        value: per_second(messages, started.elapsed()),
        unit: "messages/s",
        meaning: "4 pairs at once, each text sent and read before the next",
    });
    Ok(())
}

/// What homes write and hold, on a network that writes nothing itself.
async fn on_disk(options: &Options, report: &Report) -> Result<(), Failure> {
    let network = network_in_memory().await?;
    let mut pair = Pair::new(network.file(), Some(network.subnet().in_process())).await?;
    let texts = options.times(TEXTS);
    let empty = bytes_of(&pair.home_of_reader())?;
    let (mut sent, mut received) = (0, 0);
    for first in (0..texts).step_by(TOGETHER as usize) {
        let group: Vec<_> = (first..first + TOGETHER).map(text).collect();
        let before = written()?;
        pair.sender.send_all(pair.queue, &group).await?;
        let between = written()?;
        pair.read(group.len()).await?;
        sent += between - before;
        received += written()? - between;
    }
    let home = pair.home_of_reader();
    let homes = pair.homes;
    drop((pair.sender, pair.reader));
    let full = bytes_of(&home)?;
    drop(homes);
    let figure = |metric: &str, value: f64, meaning: &str| {
        report.figure(&Figure {
            metric,
            n: texts as usize,
            value,
            unit: "bytes",
            meaning,
        });
    };
    let each = |all: u64| exact(all) / f64::from(texts);
    figure(
        "M7.sent",
        each(sent),
        "written to disk for each text sent, 100 together",
    );
    figure(
        "M7.received",
        each(received),
        "written to disk for each text received",
    );
    figure(
        "home.empty",
        exact(empty),
        "files of a home in one chat without texts",
    );
    figure(
        "home.full",
        exact(full),
        "files of that home after n received texts",
    );
    Ok(())
}

/// Bytes that this process has handed to files so far.
fn written() -> Result<u64, Failure> {
    let io = std::fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    Ok(line.ok_or("no count of written bytes")?.trim().parse()?)
}

fn bytes_of(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += match metadata.is_dir() {
            true => bytes_of(&entry.path())?,
            false => metadata.len(),
        };
    }
    Ok(bytes)
}

/// Bytes of a home stay far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "see above")]
const fn exact(bytes: u64) -> f64 {
    bytes as f64
}
