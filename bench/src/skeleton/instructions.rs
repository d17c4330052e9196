//! Instructions and dirty pages of the relay's updates, as the subnet meters them.

use candid::Principal;
use paigham_group::crypto::Crypto;
use paigham_network::Network;
use paigham_subnet::{Execution, Outcome};
use paigham_wire::codec::{decode_result, encode};
use paigham_wire::relay::{BatchReply, CommitAccepted, PostOutcome, QueueCreated, RelayError};
use serde_bytes::{ByteBuf, Bytes};
use tls_codec::DeserializeBytes;

use super::network_in_memory;
use super::people::Founded;
use crate::queue::{KIB, Queue};
use crate::report::{Figure, Report};
use crate::sample::Sample;
use crate::ticket::Payer;
use crate::{Failure, Options};

/// Posts in one queue, one a call.
const POSTS: u32 = 400;
/// Queues with some posts each.
const QUEUES: u32 = 1_000;
/// Posts of one call.
const BATCH: u32 = 100;
/// Entries that a sender in a busy group has not seen yet.
const BEHIND: u32 = 32;

pub(super) async fn measure(options: &Options, report: &Report) -> Result<(), Failure> {
    report.section(
        "Relay, instructions",
        "an update of the relay's .wasm as a subnet counts it: Candid, checks, storage, chain, \
         map, certification, system calls and 1,000 for each dirty page",
    );
    let network = network_in_memory().await?;
    let relay = Relay::of(&network).await?;
    if let Some(module) = &options.relay {
        relay.replace(&std::fs::read(module)?).await?;
    }
    one_queue(&relay, options, report).await?;
    many_queues(&relay, options, report).await?;
    commits(&relay, report).await
}

/// The relay of a network that is measured and thrown away.
struct Relay<'a> {
    network: &'a Network,
    principal: Principal,
    payer: Payer,
}

impl<'a> Relay<'a> {
    async fn of(network: &'a Network) -> Result<Self, Failure> {
        let principal = Principal::try_from_slice(network.relay().as_slice())?;
        let payer = Payer::of(network).await?;
        Ok(Self {
            network,
            principal,
            payer,
        })
    }

    async fn replace(&self, module: &[u8]) -> Result<(), Failure> {
        let subnet = self.network.subnet();
        Ok(subnet.upgrade(self.principal, module, Vec::new()).await?)
    }

    async fn run<T: DeserializeBytes>(
        &self,
        method: &str,
        request: &[u8],
    ) -> Result<(T, Execution), Failure> {
        let argument = candid::encode_one(Bytes::new(request))?;
        let subnet = self.network.subnet();
        let execution = subnet.measure(self.principal, method, argument).await?;
        let execution = execution.ok_or("the relay is not installed")?;
        let Outcome::Replied(reply) = &execution.outcome else {
            return Err(format!("{method}: {:?}", execution.outcome).into());
        };
        let reply: ByteBuf = candid::decode_one(reply)?;
        let reply = decode_result::<T, RelayError>(&reply)?;
        let reply = reply.map_err(|error| format!("{method}: {error:?}"))?;
        Ok((reply, execution))
    }

    async fn queue(&self, number: u32) -> Result<Queue, Failure> {
        let queue = Queue::new(self.network.relay(), number)?;
        let create = self.payer.pay(&queue.create)?;
        self.run::<QueueCreated>("create_queue", &create).await?;
        self.run::<CommitAccepted>("submit_commit", &queue.commit)
            .await?;
        Ok(queue)
    }

    async fn append(&self, posts: &[u8]) -> Result<Execution, Failure> {
        let (reply, execution) = self.run::<BatchReply>("append_batch", posts).await?;
        let refused = reply
            .outcomes
            .iter()
            .find(|outcome| !matches!(outcome, PostOutcome::Accepted(_)));
        match refused {
            Some(outcome) => Err(format!("a post was not accepted: {outcome:?}").into()),
            None => Ok(execution),
        }
    }
}

async fn one_queue(relay: &Relay<'_>, options: &Options, report: &Report) -> Result<(), Failure> {
    let posts = options.times(POSTS);
    let mut queue = relay.queue(0).await?;
    let mut costs = Costs::default();
    for salt in 0..posts {
        costs.add(&relay.append(&queue.post(KIB, salt, queue.seq)?).await?);
        queue.seq += 1;
    }
    report.least_and_median(
        "R5",
        &costs.instructions(),
        "instructions",
        "append of one 1 KiB post, one a call, all in one queue",
    );
    let mut behind = Costs::default();
    for salt in posts..posts + options.times(BATCH) {
        let after_seq = queue.seq.saturating_sub(BEHIND);
        behind.add(&relay.append(&queue.post(KIB, salt, after_seq)?).await?);
        queue.seq += 1;
    }
    report.least_and_median(
        "R5.behind",
        &behind.instructions(),
        "instructions",
        "the same by a sender who has not seen the last 32 entries",
    );
    let mut batch = Vec::new();
    for salt in 0..BATCH {
        batch.extend_from_slice(&queue.post(KIB, u32::MAX - salt, queue.seq)?);
    }
    let cost = relay.append(&batch).await?;
    report.figure(&Figure {
        metric: "R1.one_queue",
        n: BATCH as usize,
        value: per_post(cost.instructions),
        unit: "instructions",
        meaning: "per post of a batch of 100 for one queue",
    });
    Ok(())
}

async fn many_queues(relay: &Relay<'_>, options: &Options, report: &Report) -> Result<(), Failure> {
    let mut queues = Vec::new();
    for number in 1..=options.times(QUEUES).max(BATCH) {
        queues.push(relay.queue(number).await?);
    }
    let mut costs = Costs::default();
    for queue in &mut queues {
        costs.add(&relay.append(&queue.post(KIB, 0, queue.seq)?).await?);
        queue.seq += 1;
    }
    report.least_and_median(
        "R5.many_queues",
        &costs.instructions(),
        "instructions",
        "append of one 1 KiB post, one in each of n queues",
    );
    report.least_and_median(
        "R6.many_queues",
        &costs.pages(),
        "4-KiB pages",
        "of stable memory dirtied by such an append",
    );
    report.least_and_median(
        "R6.heap",
        &costs.heap_pages(),
        "4-KiB pages",
        "of the heap dirtied by it",
    );
    let mut batch = Vec::new();
    for queue in queues.iter().take(BATCH as usize) {
        batch.extend_from_slice(&queue.post(KIB, 1, queue.seq)?);
    }
    let cost = relay.append(&batch).await?;
    report.figure(&Figure {
        metric: "R1",
        n: BATCH as usize,
        value: per_post(cost.instructions),
        unit: "instructions",
        meaning: "per post of a batch of 100 for 100 queues",
    });
    report.figure(&Figure {
        metric: "R6.batch",
        n: BATCH as usize,
        value: per_post(cost.dirty_pages),
        unit: "4-KiB pages",
        meaning: "of stable memory dirtied per post of that batch",
    });
    Ok(())
}

async fn commits(relay: &Relay<'_>, report: &Report) -> Result<(), Failure> {
    let crypto = Crypto::new()?;
    let cases = [
        (
            "2_members",
            1,
            "submit_commit that makes a group of 2: Welcome and tree included",
        ),
        ("10_members", 9, "submit_commit that makes a group of 10"),
    ];
    for (name, others, meaning) in cases {
        let mut group = Founded::new(&crypto, relay.network.relay(), others)?;
        let create = relay.payer.pay(&group.create)?;
        relay.run::<QueueCreated>("create_queue", &create).await?;
        commit(
            relay,
            &mut group,
            others,
            &format!("commit.{name}"),
            meaning,
            report,
        )
        .await?;
        let renewal = format!("renewal.{name}");
        let meaning = "submit_commit in that group that renews keys, nobody joins";
        commit(relay, &mut group, 0, &renewal, meaning, report).await?;
    }
    Ok(())
}

async fn commit(
    relay: &Relay<'_>,
    group: &mut Founded<'_>,
    others: u8,
    metric: &str,
    meaning: &str,
    report: &Report,
) -> Result<(), Failure> {
    let staged = group.commit(others)?;
    let request = encode(&staged.submit);
    let (accepted, cost) = relay
        .run::<CommitAccepted>("submit_commit", &request)
        .await?;
    group.accepted(&staged.submit, accepted.position)?;
    let figure = |part: &str, value: u64, unit, meaning| {
        report.figure(&Figure {
            metric: &format!("{metric}.{part}"),
            n: 1,
            value: exact(value),
            unit,
            meaning,
        });
    };
    figure("bytes", request.len() as u64, "bytes", "its request");
    figure("instructions", cost.instructions, "instructions", meaning);
    figure(
        "pages",
        cost.dirty_pages,
        "4-KiB pages",
        "of stable memory dirtied by it",
    );
    Ok(())
}

/// What some updates cost, each.
#[derive(Default)]
struct Costs(Vec<Execution>);

impl Costs {
    fn add(&mut self, execution: &Execution) {
        self.0.push(execution.clone());
    }

    fn instructions(&self) -> Sample {
        self.sample(|execution| execution.instructions)
    }

    fn pages(&self) -> Sample {
        self.sample(|execution| execution.dirty_pages)
    }

    fn heap_pages(&self) -> Sample {
        self.sample(|execution| execution.dirty_heap_pages)
    }

    fn sample(&self, of: impl Fn(&Execution) -> u64) -> Sample {
        Sample::new(
            self.0
                .iter()
                .map(|execution| exact(of(execution)))
                .collect(),
        )
    }
}

fn per_post(of_batch: u64) -> f64 {
    exact(of_batch) / f64::from(BATCH)
}

/// Counts of one call stay far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "see above")]
const fn exact(count: u64) -> f64 {
    count as f64
}
