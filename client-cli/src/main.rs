//! The `paigham` command: arguments in [`args`], what it prints in [`output`], exit codes in [`failure`].
//!
//! ```text
//! main ─ run ─┬─ commands/*  one file for each family ─ session ─ core/client
//!             └─ demo        the whole story on an embedded subnet
//! ```

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stderr,
    reason = "errors and warnings of a command belong on stderr"
)]

mod args;
mod commands;
mod demo;
mod failure;
mod output;
mod passphrase;
mod progress;
mod run;
mod session;
mod signal;
mod text;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    run::run(&args::Cli::parse())
}
