//! Posts made in advance, sent over HTTP on loopback to a network with its journal on disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use candid::Principal;
use futures::stream::{self, TryStreamExt};
use ic_transport_types::{Envelope, EnvelopeContent};
use paigham_network::Network;
use serde_bytes::Bytes;

use super::on_loopback;
use crate::queue::{KIB, Queue};
use crate::report::{Figure, Report};
use crate::sample::Sample;
use crate::ticket::Payer;
use crate::{Failure, Options};

/// Queues that posts go to, in turn.
const QUEUES: u32 = 100;
/// Posts to each of them.
const POSTS: u32 = 40;
/// Requests at once.
const AT_ONCE: usize = 64;
/// Calls one after another, for the time of one.
const ALONE: u32 = 200;
/// Posts of one call, where posts are batched.
const BATCH: usize = 100;
/// How long a request stays valid.
const EXPIRY: Duration = Duration::from_secs(240);

pub(super) async fn measure(options: &Options, report: &Report) -> Result<(), Failure> {
    report.section(
        "Throughput",
        "posts of 1 KiB made in advance, over HTTP on loopback, journal synced to disk; client \
         and subnet share the machine",
    );
    on_loopback(async |network| all(&Server::new(network)?, options, report).await).await
}

async fn all(server: &Server<'_>, options: &Options, report: &Report) -> Result<(), Failure> {
    let mut queues = Vec::new();
    for number in 0..QUEUES {
        queues.push(Queue::new(server.network.relay(), number)?);
    }
    let payer = Payer::of(server.network).await?;
    let paid = queues.iter().map(|queue| payer.pay(&queue.create));
    let paid = paid.collect::<Result<Vec<_>, _>>()?;
    let create = paid.iter().map(|request| ("create_queue", &request[..]));
    server.send(server.calls(create)?).await?;
    let commit = queues
        .iter()
        .map(|queue| ("submit_commit", &queue.commit[..]));
    server.send(server.calls(commit)?).await?;
    alone(server, &queues, options, report).await?;
    at_once(server, &queues, options, report).await?;
    batched(server, &queues, options, report).await
}

/// One update at a time: how long the sender waits for its certificate.
async fn alone(
    server: &Server<'_>,
    queues: &[Queue],
    options: &Options,
    report: &Report,
) -> Result<(), Failure> {
    let mut times = Vec::new();
    for salt in 0..options.times(ALONE) {
        let queue = &queues[salt as usize % queues.len()];
        let post = queue.post(KIB, salt, queue.seq)?;
        let call = server.call("append_batch", &post)?;
        let started = Instant::now();
        server.send_one(call).await?;
        times.push(milliseconds(started.elapsed()));
    }
    report.median_and_p95(
        "update.alone",
        &Sample::new(times),
        "ms",
        "from sending an append to its certificate, nothing else running",
    );
    Ok(())
}

/// Many senders at once, a post a call.
async fn at_once(
    server: &Server<'_>,
    queues: &[Queue],
    options: &Options,
    report: &Report,
) -> Result<(), Failure> {
    let mut posts = Vec::new();
    for salt in 0..options.times(POSTS) {
        for queue in queues {
            posts.push(queue.post(KIB, 1_000_000 + salt, queue.seq)?);
        }
    }
    let calls = server.calls(posts.iter().map(|post| ("append_batch", &post[..])))?;
    let started = Instant::now();
    server.send(calls).await?;
    report.figure(&Figure {
        metric: "throughput.single",
        n: posts.len(),
        value: per_second(posts.len(), started.elapsed()),
        unit: "messages/s",
        meaning: "a post a call, 64 calls at once, 100 queues",
    });
    Ok(())
}

/// As a gateway would: many posts a call.
async fn batched(
    server: &Server<'_>,
    queues: &[Queue],
    options: &Options,
    report: &Report,
) -> Result<(), Failure> {
    let mut batches = Vec::new();
    for salt in 0..options.times(POSTS) {
        let mut batch = Vec::new();
        for queue in queues.iter().take(BATCH) {
            batch.extend_from_slice(&queue.post(KIB, 2_000_000 + salt, queue.seq)?);
        }
        batches.push(batch);
    }
    let posts = batches.len() * BATCH.min(queues.len());
    let calls = server.calls(batches.iter().map(|batch| ("append_batch", &batch[..])))?;
    let started = Instant::now();
    server.send(calls).await?;
    report.figure(&Figure {
        metric: "throughput.batched",
        n: posts,
        value: per_second(posts, started.elapsed()),
        unit: "messages/s",
        meaning: "100 posts for 100 queues a call",
    });
    Ok(())
}

/// A served network, and requests to its relay.
struct Server<'a> {
    network: &'a Network,
    relay: Principal,
    url: String,
    http: reqwest::Client,
    nonce: AtomicU64,
}

impl<'a> Server<'a> {
    fn new(network: &'a Network) -> Result<Self, Failure> {
        let relay = Principal::try_from_slice(network.relay().as_slice())?;
        let base = network.file().file().urls.first().ok_or("no address")?;
        Ok(Self {
            network,
            relay,
            url: format!("{base}/api/v4/canister/{relay}/call"),
            http: reqwest::Client::new(),
            nonce: AtomicU64::new(0),
        })
    }

    /// The body of a call without an identity.
    fn call(&self, method: &str, request: &[u8]) -> Result<Vec<u8>, Failure> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let nonce = self.nonce.fetch_add(1, Ordering::Relaxed);
        let content = EnvelopeContent::Call {
            nonce: Some(nonce.to_be_bytes().to_vec()),
            ingress_expiry: u64::try_from((now + EXPIRY).as_nanos())?,
            sender: Principal::anonymous(),
            canister_id: self.relay,
            method_name: method.to_owned(),
            arg: candid::encode_one(Bytes::new(request))?,
            sender_info: None,
        };
        let envelope = Envelope {
            content: std::borrow::Cow::Owned(content),
            sender_pubkey: None,
            sender_sig: None,
            sender_delegation: None,
        };
        Ok(envelope.encode_bytes())
    }

    fn calls<'b>(
        &self,
        requests: impl Iterator<Item = (&'b str, &'b [u8])>,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        requests
            .map(|(method, request)| self.call(method, request))
            .collect()
    }

    /// Sends all, [`AT_ONCE`] at once, and sees that the relay ran each.
    async fn send(&self, calls: Vec<Vec<u8>>) -> Result<(), Failure> {
        stream::iter(calls.into_iter().map(Ok))
            .try_for_each_concurrent(AT_ONCE, |call| self.send_one(call))
            .await
    }

    async fn send_one(&self, call: Vec<u8>) -> Result<(), Failure> {
        let request = self
            .http
            .post(&self.url)
            .header("content-type", "application/cbor")
            .body(call);
        let response = request.send().await?;
        let (status, body) = (response.status(), response.bytes().await?);
        // A reply carries its certificate; what was refused before it ran has none.
        let certified = body.windows(11).any(|part| part == b"certificate");
        if status.is_success() && certified {
            Ok(())
        } else {
            Err(format!(
                "a call was refused: {status} {}",
                String::from_utf8_lossy(&body)
            )
            .into())
        }
    }
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

pub(super) fn per_second(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}
