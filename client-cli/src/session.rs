//! An open home, and what most commands do with it.

use std::path::{Path, PathBuf};

use paigham_client::{
    AccountId, Client, ClientError, Environment, MessageView, QueueId, Reauthenticated, SyncReport,
    SystemClock, VerifiedNetwork, load_network,
};
use zeroize::Zeroizing;

use crate::args::Common;
use crate::failure::{Failure, Kind};
use crate::output::{ConversationLine, MessageLine, Names, Output, Warning};
use crate::passphrase::{self, Purpose};

/// How a link to a network file begins.
const LINK_SCHEME: &str = "paigham:";

/// An open home.
#[derive(Debug)]
pub struct Session<'a> {
    /// The account in it.
    pub client: Client,
    /// Where results go.
    pub out: &'a Output,
}

impl<'a> Session<'a> {
    /// Opens the home.
    pub async fn open(common: &Common, out: &'a Output) -> Result<Self, Failure> {
        Ok(Self::open_asked(common, out).await?.0)
    }

    /// As [`Session::open`], with the token of an owner who was asked for the passphrase again.
    pub async fn open_by_owner(
        common: &Common,
        out: &'a Output,
    ) -> Result<(Self, Reauthenticated), Failure> {
        let (session, passphrase) = Self::open_asked(common, out).await?;
        let again = passphrase::read_again(common, &passphrase)?;
        let owner = session.client.reauthenticate(&again)?;
        Ok((session, owner))
    }

    async fn open_asked(
        common: &Common,
        out: &'a Output,
    ) -> Result<(Self, Zeroizing<String>), Failure> {
        let home = home(common)?;
        let network = network_of_home(common, out).await?;
        let passphrase = passphrase::read(common, Purpose::Open)?;
        let client = Client::open(&home, &passphrase, network, Environment::default())?;
        let mut session = Self { client, out };
        session.pass_on_notices();
        Ok((session, passphrase))
    }

    /// Fetches, verifies and shows everything new, and finishes what was interrupted.
    pub async fn sync(&mut self) -> Result<SyncReport, Failure> {
        let report = self.fetch().await?;
        self.show_report(&report, None);
        Ok(report)
    }

    /// As [`Session::sync`], without showing what arrived; with what the home holds where nobody
    /// can be reached.
    pub async fn fetch_if_reachable(&mut self) -> Result<SyncReport, Failure> {
        match self.fetch().await {
            Err(failure) if failure.kind() == Kind::Network => {
                self.out.warn(&Warning::of_failure(&failure));
                Ok(SyncReport::default())
            }
            outcome => outcome,
        }
    }

    async fn fetch(&mut self) -> Result<SyncReport, Failure> {
        let outcome = self.client.sync().await;
        self.pass_on_notices();
        Ok(outcome?)
    }

    /// Shows what a sync brought, but for the lines of the conversation that is in view anyway.
    pub fn show_report(&self, report: &SyncReport, in_view: Option<QueueId>) {
        for notice in &report.notices {
            self.out.warn(&Warning::of_notice(notice, &self.client));
        }
        for arrived in &report.arrived {
            if in_view != Some(arrived.queue) {
                self.show_arrived(arrived.queue, Some(&arrived.conversation), &arrived.message);
            }
        }
    }

    /// The conversation of that name or id; the chat with a contact is started where there is none.
    pub async fn conversation_or_chat(&mut self, name: &str) -> Result<QueueId, Failure> {
        match self.client.find_conversation(name) {
            Err(ClientError::NoSuchName(_)) => {
                let account = self.client.find_account(name)?;
                Ok(self.client.start_chat(account).await?)
            }
            found => Ok(found?),
        }
    }

    /// The accounts of contacts' names or of ids.
    pub fn accounts(&self, names: &[String]) -> Result<Vec<AccountId>, Failure> {
        names
            .iter()
            .map(|name| Ok(self.client.find_account(name)?))
            .collect()
    }

    /// Shows a conversation.
    pub fn show_conversation(&self, queue: QueueId) -> Result<(), Failure> {
        let view = self.client.conversation(queue)?;
        let names = |account| self.client.name_of(account);
        self.out.show(&ConversationLine {
            view: &view,
            names: Names(&names),
        });
        Ok(())
    }

    /// Shows a line of a conversation that the reader has in view.
    pub fn show_message(&self, queue: QueueId, view: &MessageView) {
        self.show_line("message", queue, None, view);
    }

    /// Shows a line that is new.
    pub fn show_arrived(&self, queue: QueueId, conversation: Option<&str>, view: &MessageView) {
        self.show_line("arrived", queue, conversation, view);
    }

    fn show_line(
        &self,
        kind: &'static str,
        queue: QueueId,
        conversation: Option<&str>,
        view: &MessageView,
    ) {
        let names = |account| self.client.name_of(account);
        self.out.show(&MessageLine {
            kind,
            queue,
            conversation,
            view,
            names: Names(&names),
        });
    }

    /// Says what the client noticed.
    pub fn pass_on_notices(&mut self) {
        for notice in self.client.take_notices() {
            self.out.warn(&Warning::of_notice(&notice, &self.client));
        }
    }
}

/// The home that was named, or the usual one.
pub fn home(common: &Common) -> Result<PathBuf, Failure> {
    let usual = || Some(std::env::home_dir()?.join(".local/share/paigham"));
    common.home.clone().or_else(usual).ok_or_else(|| {
        Failure::user(
            "there is no folder for the account",
            "name one with --home DIR",
        )
    })
}

/// The network that was named, for commands that cannot do without.
pub async fn network(common: &Common) -> Result<VerifiedNetwork, Failure> {
    let source = common.network.as_ref().ok_or_else(|| {
        Failure::user(
            "no network given",
            "name its file or link with --network or in PAIGHAM_NETWORK; `paigham network up` prints both",
        )
    })?;
    Ok(load_network(source, &SystemClock::default()).await?)
}

/// The network that was named, to be compared with the one that the home has pinned.
async fn network_of_home(
    common: &Common,
    out: &Output,
) -> Result<Option<VerifiedNetwork>, Failure> {
    let Some(source) = &common.network else {
        return Ok(None);
    };
    match load_network(source, &SystemClock::default()).await {
        // A link cannot be followed without a connection; what the home has pinned is as good.
        Err(error @ (ClientError::NoNetworkFile { .. } | ClientError::Unreachable(_)))
            if is_link(source) =>
        {
            let failure = Failure::from(error);
            out.warn(&Warning::new(
                Kind::Network.name(),
                format!(
                    "{}; going on with the network that the home knows",
                    failure.message()
                ),
            ));
            Ok(None)
        }
        loaded => Ok(Some(loaded?)),
    }
}

fn is_link(source: &str) -> bool {
    source.starts_with(LINK_SCHEME) && !Path::new(source).exists()
}
