//! The relay with few and with very many queues: what posting, reading and keeping cost.

mod image;
mod layout;
mod member;
mod price;
mod shard;
mod subnet;

use candid::Principal;
use ic_transport_types::{Envelope, EnvelopeContent};
use paigham_modules::RELAY;

use crate::report::{Figure, Report};
use crate::sample::Sample;
use crate::{Failure, Options};

use member::{KIB, Member, draw};
use price::Rates;
use shard::{Cost, Shard};

/// Queues of the relays that are measured; the last is left out where it has to be quick.
const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];
/// Posts of a full call: with their frames as much as an ingress message holds half of.
const BATCH: usize = 1_000;
/// Posts of a small call.
const SMALL_BATCH: usize = 100;
/// Calls of each kind that are measured, of which the median counts.
const CALLS: usize = 5;
/// Calls of one post each that are measured.
const SINGLES: usize = 50;
/// Posts in one queue that are fetched in one page.
const PAGE_POSTS: usize = 1_000;
/// Queues that are asked in one fetch for a new post each.
const MANY: usize = 64;

/// Measures and prints everything.
pub(crate) async fn measure(options: &Options, report: &Report) -> Result<(), Failure> {
    let module = module(options)?;
    report.section(
        "Relay, by its number of queues (n)",
        "the relay's .wasm on a seeded memory; instructions as a subnet counts them, with system \
         calls and 1,000 for each dirty 4-KiB page; posts of 1 KiB, a batch is 1,000 of them to \
         1,000 queues drawn at random",
    );
    let sizes = if options.quick { &SIZES[..2] } else { &SIZES };
    for n in sizes {
        Rows {
            n: *n,
            report,
            shard: Shard::load(*n, &module)?,
            module: &module,
        }
        .measure()?;
    }
    measure_subnet(options, report).await
}

/// Measures and prints what an embedded subnet takes.
pub(crate) async fn measure_subnet(options: &Options, report: &Report) -> Result<(), Failure> {
    let mut shard = Shard::load(SIZES[0], &module(options)?)?;
    subnet::measure(&mut shard, options, report).await
}

/// The module that is measured.
fn module(options: &Options) -> Result<Vec<u8>, Failure> {
    let given = options.relay.as_ref().map(std::fs::read).transpose()?;
    Ok(given.unwrap_or_else(|| RELAY.to_vec()))
}

/// The figures of one size.
struct Rows<'a> {
    n: u32,
    report: &'a Report,
    shard: Shard,
    module: &'a [u8],
}

impl Rows<'_> {
    fn measure(mut self) -> Result<(), Failure> {
        self.row(
            "R12",
            exact(self.shard.upgrade.instructions),
            "instructions",
            "post_upgrade, on the memory of all queues",
        );
        // The first call grows the heap to what all later ones use.
        let everyone = self.n;
        let batch = |seed| -> Vec<Member> { draw(everyone, seed).take(BATCH).collect() };
        self.shard.post(&batch(0))?;
        let mut costs = Vec::new();
        for seed in (1..).take(CALLS) {
            costs.push(self.shard.post(&batch(seed))?);
        }
        let batch_cost = self.batches(&costs);
        self.parts(&batch(1))?;
        self.small_batches()?;
        self.singles()?;
        self.fetches()?;
        self.capacity(&batch_cost)?;
        self.expiry()
    }

    fn row(&self, metric: &str, value: f64, unit: &str, meaning: &str) {
        self.report.figure(&Figure {
            metric,
            n: self.n as usize,
            value,
            unit,
            meaning,
        });
    }

    /// A batch of posts; tells what each costs.
    fn batches(&self, costs: &[Cost]) -> PerPost {
        let per_post = |of: fn(&Cost) -> u64| median_per_post(costs, of);
        let cost = PerPost {
            instructions: per_post(|cost| cost.instructions),
            pages: per_post(|cost| cost.heap_pages + cost.stable_pages),
            logged: per_post(|cost| cost.logged),
            argument: per_post(|cost| cost.bytes as u64),
        };
        self.row(
            "post",
            cost.instructions,
            "instructions",
            "a post in a batch, everything included",
        );
        self.row(
            "post.copy",
            cost.pages * 3_000.0,
            "instructions",
            "what a replica counts beside for copying the dirty pages",
        );
        self.row("R6", cost.pages, "4-KiB pages", "dirty pages a post in all");
        let pages = "4-KiB pages";
        let parts: [Part; 6] = [
            ("R6.log", |cost| cost.pages.payload, "of these: payloads"),
            ("R6.map", |cost| cost.pages.map_pages, "pages of the map"),
            (
                "R6.nodes",
                |cost| cost.pages.map_nodes,
                "hashes above the map's pages",
            ),
            (
                "R6.overflow",
                |cost| cost.pages.map_overflow,
                "overflow pages of the map",
            ),
            ("R6.heap", |cost| cost.heap_pages, "the heap"),
            ("R6.other", |cost| cost.pages.other, "headers and tables"),
        ];
        for (metric, of, meaning) in parts {
            self.row(metric, per_post(of), pages, meaning);
        }
        self.row(
            "R6.bytes",
            cost.logged / KIB as f64,
            "ratio",
            "bytes stored in the log for each byte of payload",
        );
        cost
    }

    /// Shares of a post, from batches that differ in what they do.
    fn parts(&mut self, members: &[Member]) -> Result<(), Failure> {
        let forged = self.shard.refused(members, true)?;
        let ahead = self.shard.refused(members, false)?;
        let authentication = exact(forged.instructions) - exact(ahead.instructions);
        self.row(
            "R2",
            authentication / BATCH as f64,
            "instructions",
            "hash of a post and its MAC: refused for its MAC less refused before",
        );
        let many = self.shard.post(members)?;
        let one: Vec<_> = (0..BATCH).map(|_| Member::of(0)).collect();
        let one = self.shard.post(&one)?;
        self.row(
            "R3",
            (exact(many.instructions) - exact(one.instructions)) / BATCH as f64,
            "instructions",
            "record, leaf and certified map: 1,000 queues less one queue",
        );
        Ok(())
    }

    fn small_batches(&mut self) -> Result<(), Failure> {
        let mut costs = Vec::new();
        for seed in (1_000..).take(CALLS) {
            let members: Vec<_> = draw(self.n, seed).take(SMALL_BATCH).collect();
            costs.push(self.shard.post(&members)?);
        }
        let instructions = median_per_post(&costs, |cost| cost.instructions);
        let meaning = "a post in a batch of 100";
        self.row("R1", instructions, "instructions", meaning);
        Ok(())
    }

    fn singles(&mut self) -> Result<(), Failure> {
        let mut costs = Vec::new();
        for member in draw(self.n, 2_000).take(SINGLES) {
            costs.push(self.shard.post(&[member])?);
        }
        let instructions = median_per_post(&costs, |cost| cost.instructions);
        let meaning = "a post alone in its call";
        self.row("R5", instructions, "instructions", meaning);
        let pages = median_per_post(&costs, |cost| cost.heap_pages + cost.stable_pages);
        self.row("R5.pages", pages, "4-KiB pages", "dirtied by it");
        Ok(())
    }

    fn fetches(&mut self) -> Result<(), Failure> {
        let busy = Member::of(1);
        let from = self.shard.seq(&busy) + 1;
        let posts: Vec<_> = (0..PAGE_POSTS).map(|_| Member::of(1)).collect();
        self.shard.post(&posts)?;
        let page = self.shard.fetch(&[(&busy, from)])?;
        let entries = page.entries();
        self.row(
            "R4",
            exact(page.instructions) / entries,
            "instructions",
            "a message in a page of 1,000 of one queue",
        );
        self.row(
            "R7.out",
            page.bytes as f64 / entries - KIB as f64,
            "bytes",
            "of such a page beside the payload, a message",
        );
        let members: Vec<_> = draw(self.n, 3_000).take(MANY).collect();
        self.shard.post(&members)?;
        let wanted: Vec<_> = members
            .iter()
            .map(|member| (member, self.shard.seq(member)))
            .collect();
        let spread = self.shard.fetch(&wanted)?;
        self.row(
            "R4.spread",
            exact(spread.instructions) / spread.entries(),
            "instructions",
            "a message where each of 64 queues has one new",
        );
        Ok(())
    }

    /// All posts become too old.
    fn expiry(&mut self) -> Result<(), Failure> {
        let (messages, posts) = self.shard.expire(self.n, self.module)?;
        let each = messages.iter().map(|message| message.instructions);
        let (all, longest) = (each.clone().sum::<u64>(), each.max().unwrap_or(0));
        let pages: u64 = messages
            .iter()
            .map(|message| message.dirty_pages + message.dirty_heap_pages)
            .sum();
        let posts = exact(posts);
        let row = |metric, value, unit, meaning| self.row(metric, value, unit, meaning);
        row(
            "expire",
            exact(all) / posts,
            "instructions",
            "an expired post, everything included",
        );
        row(
            "expire.pages",
            exact(pages) / posts,
            "4-KiB pages",
            "dirtied by it",
        );
        row(
            "expire.message",
            exact(longest),
            "instructions",
            "the longest message of expiry",
        );
        Ok(())
    }

    /// What a subnet bears and charges.
    fn capacity(&self, cost: &PerPost) -> Result<(), Failure> {
        let posts = BATCH as f64;
        let ingress = cost.argument * posts + envelope_bytes()?;
        let instructions = cost.instructions * posts;
        self.row(
            "R7",
            ingress / posts - KIB as f64,
            "bytes",
            "of an ingress message beside the payload, a post",
        );
        self.row(
            "R8",
            price::cycles(ingress, instructions) / posts,
            "cycles",
            "a post, by the public price model",
        );
        let rates = Rates::of(posts, ingress, instructions, cost.pages * posts);
        let rate = "messages/s";
        self.row("R9", rates.least(), rate, "what one canister takes in");
        self.row(
            "R9.percent",
            rates.least() / rates.bytes * 100.0,
            "%",
            "of what the block's bytes let in",
        );
        self.row("R9.bytes", rates.bytes, rate, "as the block's bytes allow");
        self.row(
            "R9.instructions",
            rates.instructions,
            rate,
            "as its instructions allow",
        );
        self.row("R9.pages", rates.pages, rate, "as its dirty pages allow");
        self.row(
            "R9.payload",
            rates.least() * KIB as f64 / price::BLOCK_BYTES * 100.0,
            "%",
            "of the block's bytes that are payload",
        );
        let layout = self.shard.layout()?;
        let idle = [
            layout::MAP_PAGES,
            layout::MAP_NODES,
            layout::MAP_OVERFLOW,
            layout::TOKENS,
        ];
        let idle: u64 = idle.map(|structure| layout.bytes(structure)).iter().sum();
        let idle = exact(idle) / f64::from(self.n);
        self.row(
            "R9.stored",
            price::stored(f64::from(self.n), idle, cost.logged),
            rate,
            "as 2 TiB of state hold for 30 days",
        );
        self.row("R11", idle, "bytes", "an idle queue, in map and tokens");
        self.row(
            "R11.queued",
            cost.logged - KIB as f64,
            "bytes",
            "a stored message beside its payload",
        );
        Ok(())
    }
}

impl shard::Fetched {
    fn entries(&self) -> f64 {
        use paigham_wire::relay::FetchedItem;
        let entries = self.reply.items.iter().map(|item| match item {
            FetchedItem::Entries(entries) => entries.len(),
            _ => 0,
        });
        entries.sum::<usize>() as f64
    }
}

/// A row about something of a call, and what it means.
type Part = (&'static str, fn(&Cost) -> u64, &'static str);

/// What a post of a batch takes.
struct PerPost {
    instructions: f64,
    pages: f64,
    logged: f64,
    argument: f64,
}

/// The median of some calls, each divided by its posts.
fn median_per_post(costs: &[Cost], of: impl Fn(&Cost) -> u64) -> f64 {
    let values = costs.iter().map(|cost| exact(of(cost)) / cost.posts as f64);
    Sample::new(values.collect()).median()
}

/// Bytes of a signed call beside its argument.
fn envelope_bytes() -> Result<f64, Failure> {
    let content = EnvelopeContent::Call {
        nonce: Some(vec![0; 16]),
        ingress_expiry: u64::MAX,
        sender: Principal::self_authenticating([0; 44]),
        canister_id: Principal::from_slice(&[0, 0, 0, 0, 0, 0, 0, 1, 1, 1]),
        method_name: "append_batch".to_owned(),
        arg: Vec::new(),
        sender_info: None,
    };
    let envelope = Envelope {
        content: std::borrow::Cow::Owned(content),
        sender_pubkey: Some(vec![0; 44]),
        sender_sig: Some(vec![0; 64]),
        sender_delegation: None,
    };
    Ok(envelope.encode_bytes().len() as f64)
}

/// Counts of one call stay far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "see above")]
const fn exact(count: u64) -> f64 {
    count as f64
}
