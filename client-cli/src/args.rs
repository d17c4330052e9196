//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use paigham_network::{KeySet, Layout, NetworkTopology, auditors};

use crate::failure::Failure;

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
    /// Folder of this device's account [default: ~/.local/share/paigham].
    #[arg(long, global = true, env = "PAIGHAM_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Network file, or its link; pinned in the home at the first use.
    #[arg(long, global = true, env = "PAIGHAM_NETWORK", value_name = "FILE|LINK")]
    pub network: Option<String>,
    /// File whose first line is the passphrase.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        conflicts_with = "passphrase_fd"
    )]
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
    /// Look at your account, protect it, get it back, or end it.
    #[command(subcommand)]
    Account(AccountCommand),
    /// List contacts, or add one.
    Contacts {
        #[command(subcommand)]
        command: Option<ContactsCommand>,
    },
    /// List invitations of people who are no contacts, accept or decline one.
    Requests {
        #[command(subcommand)]
        command: Option<RequestsCommand>,
    },
    /// Take a handle that others find this account by, give it up, or see who holds one.
    #[command(subcommand)]
    Handle(HandleCommand),
    /// List what the log showed that must not be, or say whether it was you.
    Problems {
        #[command(subcommand)]
        command: Option<ProblemsCommand>,
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
    /// Audit the network's transparency log; needs no home.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Look an account or a handle up in the log, as somebody who knows nothing; needs no home.
    Lookup {
        /// An account's id, or a handle.
        who: String,
        /// New file for the raw answer and all that is needed to check it again.
        #[arg(long, value_name = "FILE")]
        proof: Option<PathBuf>,
        /// Fail unless as many auditors vouch for the log as the network asks for.
        #[arg(long)]
        require_auditors: bool,
    },
    /// Look at everything that this home watches in the log: the own account, contacts, handles, the
    /// network's files. Fails with code 5 if there is an alarm.
    Monitor {
        /// Look again after so many seconds, until interrupted.
        #[arg(long, value_name = "SECONDS")]
        every: Option<u64>,
    },
    /// Check an audit, a saved look-up or evidence from raw bytes, without a network.
    Verify {
        /// The file; several evidence files are read together.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Fail unless as many auditors vouch for the log as the network asks for.
        #[arg(long)]
        require_auditors: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Fetch and check every entry of the log into a new file.
    Fetch {
        /// The file.
        file: PathBuf,
    },
    /// Check a file and fetch what the log has gained since.
    Resume {
        /// The file.
        file: PathBuf,
    },
    /// Check a file; with --network also the signatures in it.
    Verify {
        /// The file.
        file: PathBuf,
    },
    /// Check a file and tell of every entry in it.
    Explain {
        /// The file.
        file: PathBuf,
    },
    /// Check a file, sign its newest head as an auditor, and hand the statement to the directory.
    Cosign {
        /// The file.
        file: PathBuf,
        /// File of the auditor's key; what it signs is kept beside it, in KEY.signed.
        #[arg(long, value_name = "KEY")]
        key: PathBuf,
        /// Make the key first.
        #[arg(long)]
        new_key: bool,
        /// Only print the statement; the directory does not get it.
        #[arg(long)]
        print: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Run the embedded subnet with the canisters; its keys make it a development network.
    Up {
        /// Folder of the subnet's state, keys and network file.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        #[command(flatten)]
        options: UpOptions,
    },
    /// Install the canisters on any endpoint of the Internet Computer, and sign the network file.
    Deploy {
        /// Folder of the release key and the network file.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        #[command(flatten)]
        options: DeployOptions,
    },
    /// Upgrade deployed canisters to the modules of this program.
    Upgrade {
        /// Folder of the deployed network.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        #[command(flatten)]
        endpoint: EndpointOptions,
        /// Only sign the file that allows the new modules beside the old ones; clients must have it
        /// before the code changes.
        #[arg(long)]
        announce: bool,
    },
    /// Give a network that is not running another root key, or a subnet another key.
    Rekey {
        /// Folder of the network.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Number of the subnet, counted from 1; without it, the root key is replaced.
        #[arg(long, value_name = "N")]
        subnet: Option<u16>,
    },
    /// Show who administers the canisters of the network given with --network, what waits for their
    /// approval, and everything they did, checked against the certified head of each log.
    Administration {
        /// Only this canister.
        #[arg(long, value_name = "ID")]
        canister: Option<String>,
    },
    /// Propose an action for a canister as one of its administrators, which approves it.
    Propose {
        /// The action as JSON, as `administration` shows it.
        action: String,
        /// The canister.
        #[arg(long, value_name = "ID")]
        canister: String,
        #[command(flatten)]
        endpoint: EndpointOptions,
    },
    /// Approve what another administrator has proposed.
    Approve {
        /// The proposal's hash, as `administration` shows it.
        proposal: String,
        /// The canister.
        #[arg(long, value_name = "ID")]
        canister: String,
        #[command(flatten)]
        endpoint: EndpointOptions,
    },
    /// Show modules, root key, rounds and instruction use of the network given with --network.
    Status,
}

/// What a network is to be made of.
#[derive(Debug, Args)]
pub struct UpOptions {
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8643")]
    pub listen: std::net::SocketAddr,
    /// Who signs for the subnets, for good [default: as it is; self-root of a new network].
    #[arg(long, value_enum)]
    pub topology: Option<TopologyName>,
    /// Number of subnets [default: as it is; 1 of a new network].
    #[arg(long, value_name = "N")]
    pub subnets: Option<u16>,
    /// Relays on each subnet [default: as it is; 1 of a new network].
    #[arg(long, value_name = "N")]
    pub relays: Option<u16>,
    /// Executors of each subnet that run in lockstep and stop the network when they differ.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub replicas: u16,
    /// Who may create canisters through the network from now on; repeat it for several [default: as
    /// it is].
    #[arg(long = "creator", value_name = "ID")]
    pub creators: Vec<String>,
    #[command(flatten)]
    pub auditors: AuditorOptions,
}

/// Who audits the log.
#[derive(Debug, Args)]
pub struct AuditorOptions {
    /// Public key of an auditor, in hexadecimal; repeat it for several [default: as it is].
    #[arg(long = "auditor", value_name = "KEY")]
    pub keys: Vec<String>,
    /// How many of them clients ask for.
    #[arg(
        long = "auditors-required",
        value_name = "N",
        default_value_t = 1,
        requires = "keys"
    )]
    pub required: u32,
}

/// An endpoint, and as whom it is used.
#[derive(Debug, Args)]
pub struct EndpointOptions {
    /// Address of the endpoint.
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// PEM file of an Ed25519 or secp256k1 key.
    #[arg(long, value_name = "FILE")]
    pub identity: PathBuf,
    /// Root key that certificates must lead to, DER in hexadecimal [default: the Internet
    /// Computer's].
    #[arg(long, value_name = "HEX", conflicts_with = "development")]
    pub root_key: Option<String>,
    /// Believe the root key that the endpoint names; the network file says that it is for
    /// development.
    #[arg(long)]
    pub development: bool,
}

/// What is deployed, and where.
#[derive(Debug, Args)]
pub struct DeployOptions {
    #[command(flatten)]
    pub endpoint: EndpointOptions,
    /// Subnet to create the canisters on, as its administrator.
    #[arg(long, value_name = "ID")]
    pub subnet: Option<String>,
    /// Without --subnet: a canister id of the subnet that is meant.
    #[arg(long, value_name = "ID", default_value = "aaaaa-aa")]
    pub at: String,
    /// Name of the network, for people.
    #[arg(long, value_name = "NAME", default_value = "Paigham")]
    pub name: String,
    /// Number of relays.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub relays: u16,
    /// Who may change the canisters from then on; repeat it for several [default: nobody].
    #[arg(long = "controller", value_name = "ID")]
    pub controllers: Vec<String>,
    /// Who administers the canisters: sets quotas, gateways, work for tickets, the shard map; repeat
    /// it for several [default: nobody].
    #[arg(long = "admin", value_name = "ID")]
    pub admins: Vec<String>,
    /// How many of them must agree [default: more than half].
    #[arg(long, value_name = "N", requires = "admins")]
    pub admins_required: Option<u16>,
    #[command(flatten)]
    pub auditors: AuditorOptions,
}

/// Who signs for the subnets of a network.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum TopologyName {
    /// One subnet, whose key is the root key.
    SelfRoot,
    /// A root key delegates to each subnet's key.
    Delegated,
}

impl UpOptions {
    /// As the network takes it.
    ///
    /// # Errors
    /// For auditors that are none.
    pub fn layout(&self) -> Result<Layout, Failure> {
        Ok(Layout {
            topology: self.topology.map(|name| match name {
                TopologyName::SelfRoot => NetworkTopology::SelfRoot,
                TopologyName::Delegated => NetworkTopology::Delegated,
            }),
            subnets: self.subnets,
            relays: self.relays,
            replicas: self.replicas,
            auditors: self.auditors.key_set()?,
        })
    }
}

impl AuditorOptions {
    /// As a network file names them; `None` where nobody was named.
    ///
    /// # Errors
    /// For what is no key, or more auditors asked for than there are.
    pub fn key_set(&self) -> Result<Option<KeySet>, Failure> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let keys = self.keys.iter().map(|text| {
            let mut key = [0; 32];
            hex::decode_to_slice(text, &mut key).map_err(|_| {
                Failure::user(
                    format!("{text} is no auditor's key"),
                    "a key has 64 hexadecimal digits; `paigham audit cosign` shows it",
                )
            })?;
            Ok(key)
        });
        let keys = keys.collect::<Result<Vec<[u8; 32]>, Failure>>()?;
        Ok(Some(auditors(keys, self.required)?))
    }
}

#[derive(Debug, Subcommand)]
pub enum HandleCommand {
    /// Take a handle for this account; also takes back one that is being given up.
    Claim {
        /// 3 to 32 letters of one script, Latin or Arabic, digits and underscores.
        handle: String,
    },
    /// Give this account's handle up: that counts after 72 hours, then nobody else can take it for
    /// 180 days.
    Release,
    /// Show this account's handle, or who holds one.
    Show {
        /// As it is typed, with or without an @ [default: this account's].
        handle: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum ContactsCommand {
    /// Look an account up, verify its records and keep it under a name.
    Add {
        /// What you call them.
        name: String,
        /// Their account id, as their `whoami` shows it, or their handle with an @ before it.
        account: String,
    },
    /// List contacts.
    List,
    /// Show the safety number to compare with a contact, in person or by voice.
    Number {
        /// The contact's name.
        name: String,
    },
    /// Keep that you compared safety numbers with a contact.
    Verify {
        /// The contact's name.
        name: String,
        /// The 40 digits that the contact sees.
        #[arg(required = true)]
        number: Vec<String>,
    },
    /// Go on with a contact whose identity key changed, without comparing numbers.
    Accept {
        /// The contact's name.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum ProblemsCommand {
    /// List them.
    List,
    /// It was you, with another device.
    ItWasMe {
        /// The problem's number.
        number: u64,
    },
    /// It was somebody else; of a problem of the log: you have seen it.
    NotMe {
        /// The problem's number.
        number: u64,
    },
}

/// Whatever ends an account or turns devices out asks for the passphrase again.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Show devices and keys as the directory certifies them, and what waits.
    Show,
    /// Stop everything but the recovery kit for seven days.
    Freeze {
        /// Freeze by the recovery kit, not by this device's key.
        #[arg(long)]
        kit: bool,
        #[command(flatten)]
        words: KitWords,
    },
    /// Take a fresh identity key; copies of the one before are worth nothing from then on.
    Rotate,
    /// Take other devices out, with a fresh identity key.
    RemoveDevice {
        /// Ids, as `account show` lists them.
        #[arg(required = true)]
        devices: Vec<String>,
    },
    /// Make another recovery kit count, by this device and the kit before; shows it once.
    ChangeKit {
        #[command(flatten)]
        words: KitWords,
    },
    /// Get an account back in a new home by its kit; it takes 72 hours.
    Recover {
        /// The account's id.
        account: String,
        /// Your name on this device; it is not sent to anybody.
        #[arg(long)]
        name: Option<String>,
        /// Devices that you still have and that remain; repeat it for several [default: none].
        #[arg(long = "keep", value_name = "DEVICE")]
        keep: Vec<String>,
        #[command(flatten)]
        words: KitWords,
    },
    /// End the account for good, in 72 hours.
    Delete,
    /// Call the end of the account off, with a fresh identity key.
    UndoDelete,
}

/// Where the words of a recovery kit come from.
#[derive(Debug, Args)]
pub struct KitWords {
    /// File with the 24 words [default: asked for].
    #[arg(long, value_name = "FILE")]
    pub kit_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum RequestsCommand {
    /// List them.
    List,
    /// Join, and follow later invitations of the same account without asking.
    Accept {
        /// The request's number in the list.
        number: u64,
    },
    /// Say no; who invited is not told.
    Decline {
        /// The request's number in the list.
        number: u64,
    },
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
    /// List the members of a group or chat, each with how far its keys are to be believed.
    Members {
        /// The group's or contact's name, or an id.
        group: String,
    },
    /// Leave.
    Leave {
        /// The group's name or id.
        group: String,
    },
    /// Make a group anew that stopped because somebody broke its rules: an admin at once, anybody
    /// after a day.
    Reset {
        /// The group's name or id.
        group: String,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    /// Names, conflicts and defaults hold together.
    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// What stands in the README and in people's scripts keeps its meaning; options may stand
    /// before the command and after it.
    #[test]
    fn commands_are_understood() {
        for (line, command) in [
            ("paigham demo", "Demo"),
            (
                "paigham network up --data d",
                "Network(Up { data: \"d\", options: UpOptions { listen: 127.0.0.1:8643, \
                 topology: None, subnets: None, relays: None, replicas: 1, creators: [], \
                 auditors: AuditorOptions { keys: [], required: 1 } } })",
            ),
            (
                "paigham network up --data d --listen 0.0.0.0:80 --topology delegated --subnets 2 \
                 --relays 3 --replicas 4 --creator c --auditor a --auditor b --auditors-required 2",
                "Network(Up { data: \"d\", options: UpOptions { listen: 0.0.0.0:80, \
                 topology: Some(Delegated), subnets: Some(2), relays: Some(3), replicas: 4, \
                 creators: [\"c\"], auditors: AuditorOptions { keys: [\"a\", \"b\"], required: 2 } } })",
            ),
            (
                "paigham network upgrade --data d --url u --identity i --announce",
                "Network(Upgrade { data: \"d\", endpoint: EndpointOptions { url: \"u\", \
                 identity: \"i\", root_key: None, development: false }, announce: true })",
            ),
            (
                "paigham network deploy --data d --url u --identity i --subnet s --controller c",
                "Network(Deploy { data: \"d\", options: DeployOptions { endpoint: \
                 EndpointOptions { url: \"u\", identity: \"i\", root_key: None, \
                 development: false }, subnet: Some(\"s\"), at: \"aaaaa-aa\", \
                 name: \"Paigham\", relays: 1, controllers: [\"c\"], \
                 admins: [], admins_required: None, auditors: AuditorOptions { keys: [], required: 1 } } })",
            ),
            (
                "paigham network rekey --data d",
                "Network(Rekey { data: \"d\", subnet: None })",
            ),
            (
                "paigham network rekey --data d --subnet 2",
                "Network(Rekey { data: \"d\", subnet: Some(2) })",
            ),
            ("paigham network status", "Network(Status)"),
            (
                "paigham register --name A",
                "Register { name: Some(\"A\") }",
            ),
            ("paigham whoami --home h", "Whoami"),
            ("paigham account show", "Account(Show)"),
            (
                "paigham account freeze --kit --kit-file f",
                "Account(Freeze { kit: true, words: KitWords { kit_file: Some(\"f\") } })",
            ),
            ("paigham account rotate", "Account(Rotate)"),
            (
                "paigham account remove-device d e",
                "Account(RemoveDevice { devices: [\"d\", \"e\"] })",
            ),
            (
                "paigham account change-kit",
                "Account(ChangeKit { words: KitWords { kit_file: None } })",
            ),
            (
                "paigham account recover a --keep d",
                "Account(Recover { account: \"a\", name: None, keep: [\"d\"], words: KitWords { \
                 kit_file: None } })",
            ),
            ("paigham account delete", "Account(Delete)"),
            ("paigham account undo-delete", "Account(UndoDelete)"),
            ("paigham --home h contacts", "Contacts { command: None }"),
            (
                "paigham contacts add A 00",
                "Contacts { command: Some(Add { name: \"A\", account: \"00\" }) }",
            ),
            ("paigham handle claim h", "Handle(Claim { handle: \"h\" })"),
            ("paigham handle release", "Handle(Release)"),
            ("paigham handle show", "Handle(Show { handle: None })"),
            ("paigham contacts list", "Contacts { command: Some(List) }"),
            ("paigham requests", "Requests { command: None }"),
            (
                "paigham requests accept 3",
                "Requests { command: Some(Accept { number: 3 }) }",
            ),
            (
                "paigham requests decline 0",
                "Requests { command: Some(Decline { number: 0 }) }",
            ),
            (
                "paigham contacts verify A 00000 11111",
                "Contacts { command: Some(Verify { name: \"A\", number: [\"00000\", \"11111\"] }) }",
            ),
            (
                "paigham problems not-me 3",
                "Problems { command: Some(NotMe { number: 3 }) }",
            ),
            ("paigham problems", "Problems { command: None }"),
            ("paigham group members G", "Group(Members { group: \"G\" })"),
            ("paigham chat A", "Chat { name: \"A\" }"),
            ("paigham send A", "Send { to: \"A\", text: None }"),
            (
                "paigham send A t --json",
                "Send { to: \"A\", text: Some(\"t\") }",
            ),
            ("paigham sync --watch", "Sync { watch: true }"),
            (
                "paigham group create G",
                "Group(Create { name: \"G\", members: [] })",
            ),
            (
                "paigham group add G A B",
                "Group(Add { group: \"G\", members: [\"A\", \"B\"] })",
            ),
            (
                "paigham group remove G A",
                "Group(Remove { group: \"G\", members: [\"A\"] })",
            ),
            ("paigham group leave G", "Group(Leave { group: \"G\" })"),
            ("paigham group reset G", "Group(Reset { group: \"G\" })"),
            (
                "paigham history",
                "History { conversation: None, limit: 100 }",
            ),
            (
                "paigham audit fetch f --network n",
                "Audit(Fetch { file: \"f\" })",
            ),
            ("paigham audit resume f", "Audit(Resume { file: \"f\" })"),
            ("paigham audit verify f", "Audit(Verify { file: \"f\" })"),
            (
                "paigham audit explain f --json",
                "Audit(Explain { file: \"f\" })",
            ),
            (
                "paigham audit cosign f --key k --new-key",
                "Audit(Cosign { file: \"f\", key: \"k\", new_key: true, print: false })",
            ),
            (
                "paigham lookup alice --proof f",
                "Lookup { who: \"alice\", proof: Some(\"f\"), require_auditors: false }",
            ),
            ("paigham monitor --every 60", "Monitor { every: Some(60) }"),
            (
                "paigham verify f --require-auditors",
                "Verify { files: [\"f\"], require_auditors: true }",
            ),
            (
                "paigham history G --limit 5",
                "History { conversation: Some(\"G\"), limit: 5 }",
            ),
        ] {
            assert_eq!(
                format!("{:?}", parse(line).unwrap().command),
                command,
                "{line}"
            );
        }
    }

    /// What cannot be meant is refused with clap's exit code 2, before anything happens.
    #[test]
    fn what_cannot_be_meant_is_refused() {
        for line in [
            "paigham",
            "paigham network up",
            "paigham network up --data d --listen nowhere",
            "paigham network up --data d --topology round",
            "paigham network rekey",
            "paigham network deploy --data d --url u",
            "paigham network upgrade --data d --url u --identity i --root-key 0 --development",
            "paigham group add G",
            "paigham account remove-device",
            "paigham account recover",
            "paigham history --limit x",
            "paigham audit cosign f",
            "paigham requests accept",
            "paigham requests decline Mallory",
            "paigham whoami --passphrase-file f --passphrase-fd 3",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
