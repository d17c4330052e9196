//! From a parsed command line to an exit code.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::thread;

use tracing_subscriber::EnvFilter;

use crate::args::{Cli, Command, NetworkCommand};
use crate::commands::{
    account, audit, chat, contacts, group, handle, history, lookup, monitor, network, problems,
    register, requests, send, sync, verify, whoami,
};
use crate::demo;
use crate::failure::{Failure, Kind};
use crate::output::Output;

/// OpenMLS keeps whole post-quantum keys on the stack, and builds without optimisation copy them
/// often: the usual 8 MiB of a main thread and 2 MiB of a worker are not enough.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Runs a command and reports its failure.
pub fn run(cli: &Cli) -> ExitCode {
    log_to_stderr(cli.common.verbose);
    let json = cli.common.json;
    match on_big_stack(|| block_on(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    }
}

async fn dispatch(cli: &Cli, out: &Output) -> Result<(), Failure> {
    let common = &cli.common;
    match &cli.command {
        Command::Demo => demo::play(out).await,
        Command::Network(NetworkCommand::Up { data, options }) => {
            network::up(data, options, out).await
        }
        Command::Network(NetworkCommand::Deploy { data, options }) => {
            network::deploy(data, options, out).await
        }
        Command::Network(NetworkCommand::Upgrade {
            data,
            endpoint,
            announce,
        }) => network::upgrade(data, endpoint, *announce, out).await,
        Command::Network(NetworkCommand::Rekey { data, subnet }) => {
            network::rekey(data, *subnet, out)
        }
        Command::Network(NetworkCommand::Administration { canister }) => {
            network::administration(common, canister.as_deref(), out).await
        }
        Command::Network(NetworkCommand::Propose {
            action,
            canister,
            endpoint,
        }) => network::propose(common, (canister, action), endpoint, out).await,
        Command::Network(NetworkCommand::Approve {
            proposal,
            canister,
            endpoint,
        }) => network::approve((canister, proposal), endpoint, out).await,
        Command::Network(NetworkCommand::Status) => network::status(common, out).await,
        Command::Register { name } => register::register(common, name.as_deref(), out).await,
        Command::Whoami => whoami::whoami(common, out).await,
        Command::Account(command) => account::account(common, command, out).await,
        Command::Contacts { command } => contacts::contacts(common, command.as_ref(), out).await,
        Command::Requests { command } => requests::requests(common, command.as_ref(), out).await,
        Command::Handle(command) => handle::handle(common, command, out).await,
        Command::Problems { command } => problems::problems(common, command.as_ref(), out).await,
        Command::Chat { name } => chat::chat(common, name, out).await,
        Command::Send { to, text } => send::send(common, to, text.as_deref(), out).await,
        Command::Sync { watch } => sync::sync(common, *watch, out).await,
        Command::Group(command) => group::group(common, command, out).await,
        Command::History {
            conversation,
            limit,
        } => history::history(common, conversation.as_deref(), *limit, out).await,
        Command::Audit(command) => audit::audit(common, command, out).await,
        Command::Lookup {
            who,
            proof,
            require_auditors,
        } => lookup::lookup(common, who, proof.as_deref(), *require_auditors, out).await,
        Command::Verify {
            files,
            require_auditors,
        } => verify::verify(common, files, *require_auditors, out).await,
        Command::Monitor { every } => monitor::monitor(common, *every, out).await,
    }
}

fn block_on(cli: &Cli) -> Result<(), Failure> {
    let out = Output::new(cli.common.json);
    tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(no_thread)?
        .block_on(dispatch(cli, &out))?;
    out.finish()
}

fn on_big_stack(task: impl FnOnce() -> Result<(), Failure> + Send) -> Result<(), Failure> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES);
        let running = thread.spawn_scoped(scope, task).map_err(no_thread)?;
        // The panic has been printed already.
        running.join().unwrap_or_else(|_| {
            Err(Failure::new(
                Kind::Internal,
                "this is a bug",
                "report it with the lines above",
            ))
        })
    })
}

fn no_thread(error: io::Error) -> Failure {
    Failure::new(Kind::Internal, format!("no thread to run on: {error}"), "")
}

/// Quiet unless asked: what a user must know is said by the commands themselves.
fn log_to_stderr(verbose: u8) {
    let filter = match verbose {
        0 => return,
        1 => "warn,paigham_client=info,paigham_group=info,paigham_subnet=info",
        2 => "info,paigham_client=debug,paigham_group=debug,paigham_subnet=debug",
        _ => "debug",
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}
