//! The three people and their homes.

use std::path::{Path, PathBuf};

use paigham_client::{
    AccountId, Body, Client, Environment, MessageView, NewAccount, OpenRelays, QueueId,
    RecoveryKit, Standing, SyncReport,
};
use paigham_network::Network;

use crate::failure::Failure;

/// Protects homes that live as long as the story.
const PASSPHRASE: &str = "three friends in a temporary folder";

/// Everybody.
#[derive(Debug)]
pub struct Cast {
    pub amina: Person,
    pub bilal: Person,
    pub chandni: Person,
}

/// A home that is closed.
#[derive(Debug)]
pub struct Home {
    name: &'static str,
    folder: PathBuf,
}

impl Home {
    /// A home that is still to be made.
    pub fn new(name: &'static str, story: &Path, folder: &str) -> Self {
        Self {
            name,
            folder: story.join(folder),
        }
    }

    /// Makes an account in it.
    pub async fn settle(self, network: &Network) -> Result<(Person, RecoveryKit), Failure> {
        let environment = environment(network);
        let file = network.file().clone();
        let open = OpenRelays::read(&file, &environment).await?;
        let (account, kit) = NewAccount::prepare(file, &open, self.name, &environment)?;
        let client = account.create(&self.folder, PASSPHRASE, environment)?;
        Ok((Person { home: self, client }, kit))
    }

    /// Opens it again.
    pub fn open(self, network: &Network) -> Result<Person, Failure> {
        let client = Client::open(&self.folder, PASSPHRASE, None, environment(network))?;
        Ok(Person { home: self, client })
    }
}

/// Requests stay in this process; everything else is as over HTTP.
fn environment(network: &Network) -> Environment {
    Environment {
        transport: Some(network.subnet().in_process()),
        ..Environment::default()
    }
}

/// Somebody with an open home.
#[derive(Debug)]
pub struct Person {
    home: Home,
    pub client: Client,
}

impl Person {
    /// What the story calls them.
    pub const fn name(&self) -> &'static str {
        self.home.name
    }

    /// Their account.
    pub fn account(&self) -> AccountId {
        self.client.me().account
    }

    /// Closes the home; nothing of it stays in memory.
    pub fn close(self) -> Home {
        self.home
    }

    /// Fetches and verifies what is new.
    pub async fn sync(&mut self) -> Result<SyncReport, Failure> {
        Ok(self.client.sync().await?)
    }

    /// Writes a text and returns its line when the certificate shows it.
    pub async fn write(&mut self, queue: QueueId, text: &str) -> Result<MessageView, Failure> {
        let sent = self.client.send(queue, text).await?;
        if sent.verified.is_some() {
            return Ok(sent);
        }
        let report = self.sync().await?;
        let own = lines(report, queue)
            .into_iter()
            .find(|line| line.mine && says(line, text));
        Ok(own.unwrap_or(sent))
    }

    /// Whether nothing new can be read in the conversation.
    pub fn is_out(&self, queue: QueueId) -> Result<bool, Failure> {
        Ok(self.client.conversation(queue)?.standing == Standing::Out)
    }
}

/// The lines of one conversation in what a sync brought.
pub fn lines(report: SyncReport, queue: QueueId) -> Vec<MessageView> {
    let arrived = report.arrived.into_iter();
    arrived
        .filter(|line| line.queue == queue)
        .map(|line| line.message)
        .collect()
}

/// Whether a line is this text.
pub fn says(line: &MessageView, text: &str) -> bool {
    matches!(&line.body, Body::Text(said) if said == text)
}
