//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Private and verifiable messages, from a terminal.
#[derive(Debug, Parser)]
#[command(name = "paigham", version, about, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Debug, Args)]
pub struct Common {
    /// Folder of this device's account.
    #[arg(long, global = true, env = "PAIGHAM_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Network file, or its link; pinned in the home at the first use.
    #[arg(long, global = true, env = "PAIGHAM_NETWORK", value_name = "FILE|LINK")]
    pub network: Option<String>,
    /// File whose first line is the passphrase.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "passphrase_fd")]
    pub passphrase_file: Option<PathBuf>,
    /// Open file descriptor to read the passphrase from.
    #[arg(long, global = true, value_name = "N")]
    pub passphrase_fd: Option<u32>,
    /// Print JSON, one object a line.
    #[arg(long, global = true)]
    pub json: bool,
    /// Log what happens to stderr; twice for more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play the whole story on an embedded subnet in a temporary folder.
    Demo,
    /// Run a network on this machine, or look at one.
    #[command(subcommand)]
    Network(NetworkCommand),
    /// Make an account and its first device in the home; shows the recovery kit once.
    Register {
        /// Your name on this device; it is not sent to anybody.
        #[arg(long)]
        name: Option<String>,
    },
    /// Show this device's account.
    Whoami,
    /// List contacts, or add one.
    Contacts {
        #[command(subcommand)]
        command: Option<ContactsCommand>,
    },
    /// Open the 1:1 chat with a contact: talk line by line, or only start it where no one types.
    Chat {
        /// The contact's name.
        name: String,
    },
    /// Send a text; from standard input where none is given.
    Send {
        /// A contact's or group's name, or a conversation's id.
        to: String,
        /// The text.
        text: Option<String>,
    },
    /// Fetch and verify everything new, and finish what was interrupted.
    Sync {
        /// Go on until interrupted.
        #[arg(long)]
        watch: bool,
    },
    /// Make and change groups.
    #[command(subcommand)]
    Group(GroupCommand),
    /// List conversations, or show one with what was verified of each message.
    History {
        /// A contact's or group's name, or a conversation's id.
        conversation: Option<String>,
        /// Newest messages to show.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
}

#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Run the embedded subnet with the canisters; its keys make it a development network.
    Up {
        /// Folder of the subnet's state, keys and network file.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Address to listen on.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8643")]
        listen: std::net::SocketAddr,
    },
    /// Show modules, root key, rounds and instruction use.
    Status,
}

#[derive(Debug, Subcommand)]
pub enum ContactsCommand {
    /// Look an account up, verify its records and keep it under a name.
    Add {
        /// What you call them.
        name: String,
        /// Their account id or contact link, as their `whoami` shows it.
        account: String,
    },
    /// List contacts.
    List,
}

#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// Make a group of yourself and contacts.
    Create {
        /// The group's name; its members see it.
        name: String,
        /// Contacts' names.
        members: Vec<String>,
    },
    /// Add contacts.
    Add {
        /// The group's name or id.
        group: String,
        /// Contacts' names.
        #[arg(required = true)]
        members: Vec<String>,
    },
    /// Remove members; they can read nothing new.
    Remove {
        /// The group's name or id.
        group: String,
        /// Contacts' names or account ids.
        #[arg(required = true)]
        members: Vec<String>,
    },
    /// Leave.
    Leave {
        /// The group's name or id.
        group: String,
    },
}
