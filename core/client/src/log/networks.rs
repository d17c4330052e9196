//! The own look at the network's label: which network files the log shows to everybody
//! (`spec/network.md` §2.2).

use paigham_lookup::evidence::{Evidence, Item, ShownHead, ShownLabel};
use paigham_lookup::finding::Finding;
use paigham_lookup::{LookedUp as Read, Reading};
use paigham_store::{Table, WriteSet};
use paigham_transparency::verifier::TreeView;
use paigham_wire::codec::encode;
use paigham_wire::hash::Hash;
use paigham_wire::log::{LookupAnswers, Wanted};
use paigham_wire::network::{LoggedError, LoggedNetworks, VerifiedNetwork};
use paigham_wire::relay::Credential;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::evidence::evidence_of;
use super::kept::{encoded, keep_view, kept_view};
use super::problem::{Problem, ProblemKind};
use crate::client::Client;
use crate::connection::Connection;
use crate::error::{ClientError, NotVerified};
use crate::trust;
use crate::view::Notice;

const LOOK: &[u8] = b"look";
const PROOF: &[u8] = b"proof";
const DAY_NS: u64 = 24 * 3_600 * 1_000_000_000;
/// So long without a look that succeeded, and the client says so.
const SILENT_NS: u64 = 7 * DAY_NS;
/// A file that is older, and not in the log, should be there.
const LOGGED_WITHIN_SECONDS: u64 = 3_600;
/// Tries to see the same head twice, for a proof that stands alone.
const TRIES: u32 = 3;

/// When the label was looked at.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Look {
    /// The last time that succeeded, in the network's time, nanoseconds since 1970; at first the
    /// time when this home began to look.
    at: u64,
    /// Hash of the pinned file then; zeros before the first look that succeeded.
    file: Hash,
}

/// What a look showed.
struct Looked {
    read: Read<()>,
    files: Option<LoggedNetworks>,
}

impl Client {
    /// Looks at the network's label, once a day and after each change of the network file, and goes
    /// to the newest file that the log shows.
    ///
    /// # Errors
    /// What does not verify. Files that contradict the log are no error but a [`Notice::Problem`].
    pub(crate) async fn watch_network(&mut self) -> Result<(), ClientError> {
        let now = self.connection.now_ns();
        let hash = self.connection.network().hash();
        let look = self.look()?;
        if look.file == hash && look.at.saturating_add(DAY_NS) > now {
            return Ok(());
        }
        self.look_at_networks().await
    }

    /// As [`Client::watch_network`], whenever that was last.
    pub(super) async fn look_at_networks(&mut self) -> Result<(), ClientError> {
        let looked = self.look_at_network().await?;
        let Some(files) = looked.files else {
            return self.not_logged(&looked.read).await;
        };
        match files.follow(self.connection.network()) {
            Ok(None) => self.keep_look(&looked.read, None)?,
            Ok(Some(newest)) if self.is_of_same_log(newest) => {
                let newest = newest.clone();
                self.keep_look(&looked.read, Some(&newest))?;
                self.move_to(newest)?;
            }
            // Another directory has another log: nobody follows into it without being told.
            Ok(Some(newest)) => {
                self.keep_look(&looked.read, None)?;
                let number = newest.file().sequence;
                self.notices.push(Notice::OtherLog(number));
            }
            Err(LoggedError::TwoFiles { number }) => {
                return self.two_files(&looked.read, &files, number).await;
            }
            Err(_) => return self.not_logged(&looked.read).await,
        }
        let pinned = self.connection.network().file();
        let late = pinned.issued_at.saturating_add(LOGGED_WITHIN_SECONDS);
        if pinned.sequence > files.newest().file().sequence && late < self.connection.now_seconds()
        {
            self.notices.push(Notice::NetworkUnlogged(pinned.sequence));
        }
        self.archive().await
    }

    /// Says once in a run that the log has not shown its network files for a week: a newer file may
    /// only come by a link.
    pub(crate) fn tell_silent_network(&mut self) {
        let now = self.connection.now_ns();
        let Ok(look) = self.look() else { return };
        if !self.silence_told && look.at.saturating_add(SILENT_NS) <= now {
            self.silence_told = true;
            self.notices
                .push(Notice::NetworkSilent { since_ns: look.at });
        }
    }

    /// The archived proof that the network file is in its log: an answer that stands alone, as it
    /// was when the log showed it. `None` before the first.
    ///
    /// # Errors
    /// [`ClientError::Store`].
    pub fn network_proof(&self) -> Result<Option<Vec<u8>>, ClientError> {
        let kept: Option<ByteBuf> = self.store.begin().get(Table::Network, PROOF)?;
        Ok(kept.map(ByteBuf::into_vec))
    }

    /// When the label was last looked at. A home that never did begins now.
    fn look(&self) -> Result<Look, ClientError> {
        let set = self.store.begin();
        if let Some(look) = set.get(Table::Network, LOOK)? {
            return Ok(look);
        }
        let look = Look {
            at: self.connection.now_ns(),
            file: [0; 32],
        };
        set.put(Table::Network, LOOK, &look)?;
        self.commit(set)?;
        Ok(look)
    }

    /// Asks for the label, continuing from the own view.
    async fn look_at_network(&mut self) -> Result<Looked, ClientError> {
        let view = kept_view(&self.store.begin())?;
        let label = self.connection.network().log_label();
        let last = view.as_ref().map(TreeView::size);
        let connection = &self.connection;
        let reply = connection
            .in_step(async || connection.ask_wanted(last, vec![wanted(&label)]).await)
            .await?;
        let looked = self.read_networks(view.as_ref(), &reply)?;
        let time = looked.read.certificate_time_ns;
        connection.check_time(time).await?;
        let set = self.store.begin();
        keep_view(&set, &looked.read.view, &looked.read.head)?;
        self.commit(set)?;
        Ok(looked)
    }

    fn read_networks(
        &self,
        view: Option<&TreeView>,
        reply: &LookupAnswers,
    ) -> Result<Looked, ClientError> {
        let label = self.connection.network().log_label();
        let answer = reply.answers.first();
        let answer = answer.ok_or(NotVerified::Malformed("lookup"))?;
        let mut reading = Reading::open(&self.trust, view, reply.head.as_slice())?;
        let files = reading.networks(&label, answer)?;
        let read = reading.finish((), None)?;
        Ok(Looked { read, files })
    }

    /// Keeps that the look succeeded, and the file that it led to, in one step.
    fn keep_look(
        &self,
        read: &Read<()>,
        next: Option<&VerifiedNetwork>,
    ) -> Result<(), ClientError> {
        let set = self.store.begin();
        let pinned = next.unwrap_or_else(|| self.connection.network());
        if let Some(next) = next {
            trust::pin(&set, next)?;
        }
        let look = Look {
            at: read.certificate_time_ns,
            file: pinned.hash(),
        };
        set.put(Table::Network, LOOK, &look)?;
        self.commit(set)
    }

    /// Whether a file leads to the log that this home has seen.
    fn is_of_same_log(&self, file: &VerifiedNetwork) -> bool {
        trust::log_of(file).is_ok_and(|log| {
            log.directory() == self.trust.directory() && log.config() == self.trust.config()
        })
    }

    /// Goes on with the newest file at once.
    fn move_to(&mut self, newest: VerifiedNetwork) -> Result<(), ClientError> {
        let number = newest.file().sequence;
        self.trust = trust::log_of(&newest)?;
        self.judge.trust = self.trust.clone();
        let environment = self.environment.clone();
        let time = self.connection.time();
        self.connection = Connection::new(newest, environment.transport, environment.clock, time)?;
        self.notices.push(Notice::NetworkFollowed(number));
        Ok(())
    }

    /// Archives an answer that stands alone, at a head that this device has seen itself.
    async fn archive(&mut self) -> Result<(), ClientError> {
        let label = self.connection.network().log_label();
        for _ in 0..TRIES {
            let shown = self.ask_label_alone(&label).await?;
            let reply = LookupAnswers {
                answers: vec![shown.answer.clone()],
                head: shown.head.clone(),
            };
            let alone = self.read_networks(None, &reply)?;
            let own = kept_view(&self.store.begin())?;
            let own = own.ok_or(ClientError::Bug("a look without a view"))?;
            if own.contradicts(&alone.read.view).is_some() {
                return self.other_log(&alone.read, shown);
            }
            if own.size() == alone.read.view.size() {
                let evidence = self.archived(shown)?;
                let set = self.store.begin();
                set.put(Table::Network, PROOF, &ByteBuf::from(evidence))?;
                return self.commit(set);
            }
            self.look_at_network().await?;
        }
        // The log grows fast; the next look archives it.
        Ok(())
    }

    fn archived(&self, shown: ShownLabel) -> Result<Vec<u8>, ClientError> {
        Ok(encode(&paigham_lookup::evidence::Archived {
            network: trust::pinned_bytes(&self.store.begin())?.into(),
            shown,
        }))
    }

    /// Somebody who asks for the first time is shown another log.
    fn other_log(&mut self, alone: &Read<()>, shown: ShownLabel) -> Result<(), ClientError> {
        let set = self.store.begin();
        let mut items = super::own_head(&set)?;
        items.push(Item::Head(head_of(alone)?));
        items.push(Item::Label(shown));
        let evidence = evidence_of(&set, Finding::Fork, items)?;
        let kind = ProblemKind::Log(super::blame::name_of(Finding::Fork).to_owned());
        self.keep_network_problem(set, kind, &evidence)?;
        Err(NotVerified::LogFork.into())
    }

    /// The log has another file of a number that this home has pinned.
    async fn two_files(
        &mut self,
        read: &Read<()>,
        files: &LoggedNetworks,
        number: u64,
    ) -> Result<(), ClientError> {
        let logged = files.files().find(|file| file.file().sequence == number);
        let logged = logged.ok_or(ClientError::Bug("two files, and one of them missing"))?;
        let file = Item::Network(logged.bytes().to_vec().into());
        let kind = ProblemKind::TwoNetworkFiles { number };
        self.network_problem(read, kind, Finding::TwoNetworkFiles, vec![file])
            .await
    }

    /// The log has no file that the pinned one is or leads to.
    async fn not_logged(&mut self, read: &Read<()>) -> Result<(), ClientError> {
        let number = self.connection.network().file().sequence;
        let kind = ProblemKind::NetworkNotLogged { number };
        self.network_problem(read, kind, Finding::NetworkNotLogged, Vec::new())
            .await
    }

    /// Keeps a problem with the network's files, with what the log shows of them. The look itself
    /// has succeeded.
    async fn network_problem(
        &mut self,
        read: &Read<()>,
        kind: ProblemKind,
        finding: Finding,
        mut items: Vec<Item>,
    ) -> Result<(), ClientError> {
        let label = self.connection.network().log_label();
        items.push(Item::Head(head_of(read)?));
        items.push(Item::Label(self.ask_label_alone(&label).await?));
        let set = self.store.begin();
        let evidence = evidence_of(&set, finding, items)?;
        self.keep_network_problem(set, kind, &evidence)?;
        self.keep_look(read, None)
    }

    fn keep_network_problem(
        &self,
        set: WriteSet,
        kind: ProblemKind,
        evidence: &Evidence,
    ) -> Result<(), ClientError> {
        let now = self.connection.now_ns();
        Problem::new(kind, None, now, evidence).keep(&set)?;
        self.commit(set)?;
        self.write_evidence()
    }
}

fn wanted(label: &[u8]) -> Wanted {
    Wanted {
        label: label.into(),
        from: 0,
        credential: Credential::none(),
    }
}

fn head_of(read: &Read<()>) -> Result<ShownHead, ClientError> {
    Ok(ShownHead {
        view: encoded(&read.view)?.into(),
        signature: read.head.clone().into(),
    })
}
