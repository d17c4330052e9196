//! One embedded subnet on this machine: how many updates it takes, and where their time goes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use candid::Principal;
use futures::stream::{self, TryStreamExt};
use http::Request;
use ic_agent::Identity;
use ic_agent::agent::HttpService;
use ic_agent::identity::BasicIdentity;
use ic_transport_types::{Envelope, EnvelopeContent};
use paigham_network::Network;
use paigham_subnet::InProcess;
use paigham_subnet::testkit::{Part, spent};

use super::member::draw;
use super::shard::Shard;
use crate::queue::{KIB, Queue};
use crate::report::{Figure, Report};
use crate::skeleton::network_in_memory;
use crate::ticket::Payer;
use crate::{Failure, Options};

/// Queues that posts go to, in turn.
const QUEUES: u32 = 100;
/// Posts to each of them.
const POSTS: u32 = 40;
/// Requests at once.
const AT_ONCE: usize = 64;
/// How long a request stays valid, in nanoseconds.
const EXPIRY_NS: u128 = 240_000_000_000;

/// Measures and prints. `shard` runs the same module without a subnet.
pub(super) async fn measure(
    shard: &mut Shard,
    options: &Options,
    report: &Report,
) -> Result<(), Failure> {
    report.section(
        "Embedded subnet",
        "posts of 1 KiB, one a signed call, made in advance, without HTTP and disk",
    );
    let network = network_in_memory().await?;
    let calls = calls(&network, options).await?;
    let n = calls.len();
    let count = f64::from(u32::try_from(n)?);
    let (started, cpu, before) = (Instant::now(), process_cpu_us()?, Profile::now());
    send(&network, calls).await?;
    let (wall, cpu) = (started.elapsed(), (process_cpu_us()? - cpu) / count);
    let parts = Profile::now().since(&before);
    network.shutdown();
    let alone = alone(shard, options)?;
    let part = |part| parts.us(part) / count;
    let beyond = cpu - part(Part::Wasm) - part(Part::Signatures);
    let rest = cpu - parts.all_us() / count;
    let rows = [
        (
            "subnet.rate",
            count / wall.as_secs_f64(),
            "updates/s",
            "64 at once",
        ),
        ("subnet.cpu", cpu, "µs", "of processor time an update, all"),
        (
            "subnet.execution",
            alone,
            "µs",
            "the canister, run without a subnet",
        ),
        (
            "subnet.wasm",
            part(Part::Wasm),
            "µs",
            "of it: inside the wasm, inspect_message too",
        ),
        (
            "subnet.signatures",
            part(Part::Signatures),
            "µs",
            "of it: the caller's checked, the subnet's made once a round",
        ),
        (
            "subnet.host",
            beyond,
            "µs",
            "of it: all the rest, to reach 150:",
        ),
        (
            "subnet.envelopes",
            part(Part::Envelopes),
            "µs",
            "  decoding requests, their ids",
        ),
        (
            "subnet.journal",
            part(Part::Journal),
            "µs",
            "  encoding rounds (memory in place of a disk)",
        ),
        (
            "subnet.memory",
            part(Part::Memory),
            "µs",
            "  heap and pages kept or put back",
        ),
        (
            "subnet.round",
            part(Part::Round),
            "µs",
            "  admission, statuses, queues",
        ),
        (
            "subnet.tree",
            part(Part::Tree),
            "µs",
            "  hashing the state tree",
        ),
        (
            "subnet.answers",
            part(Part::Answers),
            "µs",
            "  witnesses and certificates",
        ),
        (
            "subnet.transport",
            rest,
            "µs",
            "  router, threads, and who sends here",
        ),
    ];
    for (metric, value, unit, meaning) in rows {
        report.figure(&Figure {
            metric,
            n,
            value,
            unit,
            meaning,
        });
    }
    Ok(())
}

/// Processor time that subnets of this process have spent, by part.
struct Profile([Duration; Part::ALL.len()]);

impl Profile {
    fn now() -> Self {
        Self(Part::ALL.map(spent))
    }

    fn since(&self, before: &Self) -> Self {
        let mut since = self.0;
        for (now, before) in since.iter_mut().zip(before.0) {
            *now = now.saturating_sub(before);
        }
        Self(since)
    }

    fn us(&self, part: Part) -> f64 {
        self.0[part as usize].as_secs_f64() * 1e6
    }

    fn all_us(&self) -> f64 {
        self.0.iter().sum::<Duration>().as_secs_f64() * 1e6
    }
}

/// The bodies of calls with a post each, to queues that are there.
async fn calls(network: &Network, options: &Options) -> Result<Vec<Vec<u8>>, Failure> {
    let mut queues = Vec::new();
    let mut made = Vec::new();
    let payer = Payer::of(network).await?;
    for number in 0..QUEUES {
        let queue = Queue::new(network.relay(), number)?;
        made.push(body(network, "create_queue", &payer.pay(&queue.create)?)?);
        queues.push(queue);
    }
    send(network, made).await?;
    let commits = queues
        .iter()
        .map(|queue| body(network, "submit_commit", &queue.commit));
    send(network, commits.collect::<Result<_, _>>()?).await?;
    let mut posts = Vec::new();
    for salt in 0..options.times(POSTS) {
        for queue in &queues {
            let post = queue.post(KIB, salt, queue.seq)?;
            posts.push(body(network, "append_batch", &post)?);
        }
    }
    Ok(posts)
}

/// A signed call: its signature is one that the subnet checks.
fn body(network: &Network, method: &str, request: &[u8]) -> Result<Vec<u8>, Failure> {
    let caller = BasicIdentity::from_raw_key(&[7; 32]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let content = EnvelopeContent::Call {
        nonce: None,
        ingress_expiry: u64::try_from(now.as_nanos() + EXPIRY_NS)?,
        sender: caller.sender()?,
        canister_id: Principal::try_from_slice(network.relay().as_slice())?,
        method_name: method.to_owned(),
        arg: candid::encode_one(serde_bytes::Bytes::new(request))?,
        sender_info: None,
    };
    let signature = caller.sign(&content)?;
    let envelope = Envelope {
        content: std::borrow::Cow::Owned(content),
        sender_pubkey: signature.public_key,
        sender_sig: signature.signature,
        sender_delegation: None,
    };
    Ok(envelope.encode_bytes())
}

async fn send(network: &Network, calls: Vec<Vec<u8>>) -> Result<(), Failure> {
    let relay = Principal::try_from_slice(network.relay().as_slice())?;
    let uri = format!("http://subnet.invalid/api/v4/canister/{relay}/call");
    let transport = network.subnet().in_process();
    stream::iter(calls.into_iter().map(Ok))
        .try_for_each_concurrent(AT_ONCE, |call| send_one(&transport, &uri, call.into()))
        .await
}

async fn send_one(transport: &InProcess, uri: &str, call: Bytes) -> Result<(), Failure> {
    let request = || {
        Request::post(uri)
            .header("content-type", "application/cbor")
            .body(call.clone())
            .map_err(|error| ic_agent::AgentError::MessageError(error.to_string()))
    };
    let response = transport.call(&request, 0, None).await?;
    // A reply carries its certificate; what was refused before it ran has none.
    let certified = |body: &[u8]| body.windows(11).any(|part| part == b"certificate");
    if response.status().is_success() && certified(response.body()) {
        Ok(())
    } else {
        Err(format!("a call was refused: {}", response.status()).into())
    }
}

/// Processor time of such an update where nothing but the canister runs.
fn alone(shard: &mut Shard, options: &Options) -> Result<f64, Failure> {
    let members: Vec<_> = draw(QUEUES, 4_000).take(QUEUES as usize).collect();
    let mut us = 0.0;
    let rounds = options.times(POSTS);
    for _ in 0..rounds {
        for member in &members {
            let argument = shard.next_post(member)?;
            let before = cpu_us("/proc/thread-self/schedstat")?;
            shard.run(argument)?;
            us += cpu_us("/proc/thread-self/schedstat")? - before;
        }
    }
    Ok(us / f64::from(rounds * QUEUES))
}

/// Processor time of all threads so far, in microseconds.
fn process_cpu_us() -> Result<f64, Failure> {
    let mut us = 0.0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let path = thread?.path().join("schedstat");
        us += cpu_us(&path.to_string_lossy())?;
    }
    Ok(us)
}

fn cpu_us(path: &str) -> Result<f64, Failure> {
    let text = std::fs::read_to_string(path)?;
    let ns: u64 = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(ns).as_secs_f64() * 1e6)
}
