//! The figures of Paigham: what one message costs a canister, the wire, the disk and the clock.
//!
//! ```text
//! cargo run --release -p paigham-bench -- skeleton [--quick] [--json]
//! ```
//! Each figure comes from a run made now; nothing is asserted about times, since they depend on
//! the machine. Instructions, pages and bytes are exact.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints"
)]

mod machine;
mod queue;
mod relay;
mod report;
mod sample;
mod skeleton;
mod ticket;
mod transparency;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use report::Report;

/// Whatever stops a measurement.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// OpenMLS needs more stack than threads have by default.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// The figures of Paigham.
#[derive(Debug, Parser)]
#[command(name = "paigham-bench", version, about)]
struct Cli {
    #[command(subcommand)]
    area: Area,
}

/// What is measured.
#[derive(Debug, Subcommand)]
enum Area {
    /// One message, from end to end: relay, wire, clients, disk.
    Skeleton(Options),
    /// The relay with up to a million queues; `--quick` leaves out the million.
    Relay(Options),
    /// The transparency log with up to a million labels, beside akd; `--quick` leaves out the
    /// million.
    Transparency(Options),
    /// An embedded subnet: updates a second, and where their processor time goes.
    Subnet(Options),
}

/// How it is measured.
#[derive(Debug, Clone, Args)]
struct Options {
    /// A tenth of the work; good for seeing that it runs.
    #[arg(long)]
    quick: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    /// Count the instructions of this module instead of the embedded relay, to compare two.
    #[arg(long, value_name = "WASM")]
    relay: Option<PathBuf>,
}

impl Options {
    /// Repetitions: `full` ones, or a tenth.
    const fn times(&self, full: u32) -> u32 {
        if self.quick { full / 10 } else { full }
    }
}

fn main() -> ExitCode {
    let Cli { area } = Cli::parse();
    let measured = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || measure(&area))
        .map_err(Failure::from)
        .and_then(|thread| thread.join().map_err(|_| Failure::from("a panic"))?);
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("paigham-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn measure(area: &Area) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()?;
    match area {
        Area::Skeleton(options) => {
            let report = Report::start("skeleton", options.json);
            runtime.block_on(skeleton::measure(options, &report))
        }
        Area::Relay(options) => {
            let report = Report::start("relay", options.json);
            runtime.block_on(relay::measure(options, &report))
        }
        Area::Transparency(options) => {
            transparency::measure(options, &Report::start("transparency", options.json))
        }
        Area::Subnet(options) => {
            let report = Report::start("subnet", options.json);
            runtime.block_on(relay::measure_subnet(options, &report))
        }
    }
}
