//! Key transparency with few and with very many labels, beside another implementation.

mod akd;
mod build;
mod log;
mod year;

use std::path::Path;

use paigham_subnet::{Execution, Outcome};
use paigham_wire::hash::blake3_labelled;

use crate::report::{Figure, Report};
use crate::sample::Sample;
use crate::{Failure, Options};

use akd::Akd;
use log::Log;

/// Labels of the logs that are measured; the last is left out where it has to be quick.
const SIZES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// The largest log of the other implementation: its database lies on a canister's heap.
const AKD_MAX: u32 = 100_000;
/// Labels that are looked up.
const SAMPLES: usize = 20;
/// What a canister's clock says, in nanoseconds since 1970.
const NOW_NS: u64 = 1_900_000_000 * 1_000_000_000;
/// The id of the first canister of a network.
const ID: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1];

/// What an implementation takes for the work, each for a label or an answer.
#[derive(Debug, Default)]
struct Work {
    publish: f64,
    search: Vec<f64>,
    bytes: Vec<f64>,
    verify: Vec<f64>,
    audit: f64,
    audit_bytes: f64,
    stored: f64,
}

/// Measures and prints everything.
pub(crate) fn measure(options: &Options, report: &Report) -> Result<(), Failure> {
    let folder = build::folder()?;
    report.section(
        "Transparency log, by its number of labels (n)",
        "the directory's code on a seeded memory, and akd 0.13 with its database on the heap; \
         100 labels an entry, an entry a minute, values of 450 bytes; instructions as a subnet \
         counts them",
    );
    let sizes = if options.quick { &SIZES[..3] } else { &SIZES };
    for labels in sizes {
        let rows = Rows {
            n: *labels,
            report,
            prefix: "",
        };
        ours(&rows, &folder)?;
        if *labels <= AKD_MAX {
            let work = Akd::load(*labels, &folder)?.measure()?;
            Rows {
                prefix: "akd.",
                ..rows
            }
            .of(&work);
        }
    }
    Ok(())
}

fn ours(rows: &Rows<'_>, folder: &Path) -> Result<(), Failure> {
    let mut log = Log::load(rows.n, folder)?;
    rows.of(&log.work()?);
    let instructions = "instructions";
    rows.row(
        "K1.proofs",
        log.proofs()?,
        instructions,
        "a label: the VRF proofs that a timer makes after publishing",
    );
    rows.row(
        "K2.cold",
        log.cold_search()?,
        instructions,
        "a search whose proofs have not been made yet",
    );
    let (verify, bytes) = log.native_searches()?;
    rows.row(
        "K2.bytes",
        Sample::new(bytes).median(),
        "bytes",
        "SearchResponse without TreeHead.signature, new client, window of 1 h",
    );
    rows.row(
        "K3.native",
        Sample::new(verify).median(),
        "µs",
        "verifying it natively, beside the certificate",
    );
    rows.row(
        "K2.bytes.production",
        year::search_bytes(rows.n)?,
        "bytes",
        "the same, window of 6 h, in a log with a year of heartbeats, with signature",
    );
    Ok(())
}

/// Rows of one size.
struct Rows<'a> {
    n: u32,
    report: &'a Report,
    prefix: &'a str,
}

impl Rows<'_> {
    fn row(&self, metric: &str, value: f64, unit: &str, meaning: &str) {
        self.report.figure(&Figure {
            metric: &format!("{}{metric}", self.prefix),
            n: self.n as usize,
            value,
            unit,
            meaning,
        });
    }

    fn of(&self, work: &Work) {
        let instructions = "instructions";
        self.row(
            "K1",
            work.publish,
            instructions,
            "a label published in a batch of 100",
        );
        let median = |values: &[f64]| Sample::new(values.to_vec()).median();
        self.row(
            "K2",
            median(&work.search),
            instructions,
            "a search by a new client",
        );
        if !self.prefix.is_empty() {
            let meaning = "its proof, without a signed head";
            self.row("K2.bytes", median(&work.bytes), "bytes", meaning);
        }
        self.row(
            "K3",
            median(&work.verify),
            instructions,
            "verifying it in wasm, the signature aside",
        );
        self.row("K4", work.audit, instructions, "auditing a label");
        self.row(
            "K4.bytes",
            work.audit_bytes,
            "bytes",
            "that an auditor reads for a label",
        );
        self.row(
            "storage",
            work.stored,
            "bytes",
            "kept for a label beside its value",
        );
    }
}

/// Different numbers below `n`, alike on every run.
fn drawn(n: u32, count: usize) -> Vec<u32> {
    let mut drawn = Vec::new();
    for draw in 0_u64.. {
        if drawn.len() == count.min(n as usize) {
            break;
        }
        let hash = blake3_labelled("bench draw", &[&draw.to_be_bytes()]);
        let mut word = [0; 4];
        word.copy_from_slice(&hash[..4]);
        let number = u32::from_be_bytes(word) % n;
        if !drawn.contains(&number) {
            drawn.push(number);
        }
    }
    drawn
}

fn replied(execution: &Execution) -> Result<&[u8], Failure> {
    match &execution.outcome {
        Outcome::Replied(bytes) => Ok(bytes),
        outcome => Err(format!("{outcome:?}").into()),
    }
}

/// A hook that ran to its end.
fn unbroken(execution: &Execution) -> Result<(), Failure> {
    match &execution.outcome {
        Outcome::Failed { message, .. } => Err(format!("the upgrade failed: {message}").into()),
        _ => Ok(()),
    }
}

/// Counts of one call stay far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "see above")]
const fn exact(count: u64) -> f64 {
    count as f64
}
