//! Looking accounts up, and the proofs that a commit carries.

use paigham_group::proof::ShownAccount;
use paigham_lookup::account::now_ns;
use paigham_lookup::evidence::{Item, ShownAnswer, ShownHead};
use paigham_lookup::finding::Finding;
use paigham_lookup::{AccountHistory, LogTrust, Reading, verify_account};
use paigham_store::WriteSet;
use paigham_transparency::verifier::{ContactMap, MonitoredVersion, TreeView};
use paigham_wire::codec::encode;
use paigham_wire::directory::DirectoryError;
use paigham_wire::envelope::{LogProof, PROOF_LOG, Proof};
use paigham_wire::identity::AccountState;
use paigham_wire::ids::AccountId;
use paigham_wire::log::{FoundLabel, LOOKUP_MAX_LABELS, LabelAnswer, LookupAnswers};
use tls_codec::VLBytes;

use super::KeptLabel;
use super::blame::name_of;
use super::evidence::{evidence_of, own_head};
use super::kept::{encoded, keep_view, kept_view};
use super::problem::{Problem, ProblemKind, stops_sending};
use crate::client::Client;
use crate::connection::Connection;
use crate::error::{ClientError, NotVerified};
use crate::people::remember;
use crate::view::Notice;

/// Tries to see a fresh answer and the kept view at one size of the log.
const COMPARE_TRIES: u32 = 5;

/// What the log shows of an account.
#[derive(Debug, Clone)]
pub(crate) struct LookedUp {
    /// Its records, followed from the first.
    pub state: AccountState,
    /// The time of the judgement: that of the newest entry, nanoseconds since 1970.
    pub now_ns: u64,
}

/// What shows an account to members of a group.
pub(crate) struct Proved {
    pub proof: Proof,
    /// The records that it shows.
    pub history: AccountHistory,
    /// When its head was certified, nanoseconds since 1970.
    pub certified_ns: u64,
}

impl Client {
    /// Looks accounts up; all of them exist. What was seen of each is kept with the view that it
    /// was seen under.
    ///
    /// # Errors
    /// [`ClientError::NoSuchAccount`], or what does not verify.
    pub(crate) async fn look_up(
        &mut self,
        accounts: &[AccountId],
    ) -> Result<Vec<LookedUp>, ClientError> {
        let mut found = Vec::with_capacity(accounts.len());
        let mut left: Vec<&[AccountId]> = accounts.chunks(LOOKUP_MAX_LABELS).rev().collect();
        while let Some(some) = left.pop() {
            match self.look_up_some(some).await {
                // Accounts with long histories do not fit one answer.
                Err(ClientError::Directory(DirectoryError::TooLarge)) if some.len() > 1 => {
                    let (first, rest) = some.split_at(some.len() / 2);
                    left.extend([rest, first]);
                }
                outcome => found.extend(outcome?),
            }
        }
        Ok(found)
    }

    async fn look_up_some(&mut self, some: &[AccountId]) -> Result<Vec<LookedUp>, ClientError> {
        let (view, known) = {
            let set = self.store.begin();
            let known = some.iter().map(|account| KeptLabel::load(&set, *account));
            (kept_view(&set)?, known.collect::<Result<Vec<_>, _>>()?)
        };
        let next = |known: &Option<KeptLabel>| {
            let known = known.as_ref().map(|kept| kept.history.next_version());
            known.unwrap_or(0)
        };
        let wanted: Vec<_> = some.iter().copied().zip(known.iter().map(next)).collect();
        let last = view.as_ref().map(TreeView::size);
        let connection = &self.connection;
        let reply = connection
            .in_step(async || connection.ask_labels(last, &wanted).await)
            .await;
        let reply = match reply {
            Err(ClientError::Directory(DirectoryError::DoesNotFit)) => {
                return Err(self.without_known_head(some).await?);
            }
            reply => reply?,
        };
        match self.take_labels(view.as_ref(), some, known, &reply).await {
            Err(error @ ClientError::NotVerified(NotVerified::Log(_) | NotVerified::LogFork)) => {
                self.look_for_proof(some).await?;
                Err(error)
            }
            outcome => outcome,
        }
    }

    /// The directory does not have the head that this device has verified, however often it is
    /// asked. A node that has stayed behind says that, and a log that was rolled back: its head is
    /// certified later than the own one and has fewer entries, which proves it. Gives what to say.
    ///
    /// # Errors
    /// [`ClientError::Store`].
    pub(crate) async fn without_known_head(
        &mut self,
        some: &[AccountId],
    ) -> Result<ClientError, ClientError> {
        self.look_for_proof(some).await?;
        Ok(match stops_sending(&self.store.begin()) {
            Err(proved @ ClientError::LogProblem) => proved,
            _ => ClientError::Directory(DirectoryError::DoesNotFit),
        })
    }

    /// Verifies a whole reply, and keeps all of it or nothing.
    async fn take_labels(
        &mut self,
        view: Option<&TreeView>,
        some: &[AccountId],
        known: Vec<Option<KeptLabel>>,
        reply: &LookupAnswers,
    ) -> Result<Vec<LookedUp>, ClientError> {
        let mut reading = Reading::open(&self.trust, view, reply.head.as_slice())?;
        let mut read = Vec::with_capacity(some.len());
        for ((account, known), answer) in some.iter().zip(known).zip(&reply.answers) {
            let history = known.as_ref().map(|kept| &kept.history);
            let (history, watch) = reading.account(history, *account, answer)?;
            let history = history.ok_or(ClientError::NoSuchAccount(*account))?;
            read.push((known, history, watch));
        }
        let whole = reading.finish((), None)?;
        self.connection
            .check_time(whole.certificate_time_ns)
            .await?;
        let set = self.store.begin();
        keep_view(&set, &whole.view, &whole.head)?;
        let mut found = Vec::with_capacity(read.len());
        let mut notices = Vec::new();
        for (known, history, watch) in read {
            let now_ns = now_ns(&whole.view);
            let seen = LookedUp {
                state: history.state().clone(),
                now_ns,
            };
            let looked_at = whole.view.newest_timestamp();
            keep_label(&set, known, history, watch, looked_at)?;
            let notice = remember(&set, &seen)?;
            // What the own account did, its owner knows or is alarmed of.
            notices.extend(notice.filter(|_| seen.state.account() != self.account.id()));
            found.push(seen);
        }
        self.commit(set)?;
        self.notices.extend(notices);
        Ok(found)
    }

    /// Gets what shows an account to others: an answer as somebody gets it who never asked before,
    /// at a size of the log at which this device has seen the same root and the same records.
    ///
    /// # Errors
    /// As [`Client::look_up`]; [`ClientError::Unfinished`] while the log grows too fast to compare.
    pub(crate) async fn prove(&mut self, account: AccountId) -> Result<Proved, ClientError> {
        for _ in 0..COMPARE_TRIES {
            let reply = self.connection.ask_labels(None, &[(account, 0)]).await?;
            let Some(answer @ LabelAnswer::Found(found)) = reply.answers.first() else {
                return Err(ClientError::NoSuchAccount(account));
            };
            let head = reply.head.as_slice();
            let fresh = verify_account(&self.trust, None, None, account, answer, head)?;
            self.connection
                .check_time(fresh.certificate_time_ns)
                .await?;
            let history = fresh.outcome.ok_or(ClientError::NoSuchAccount(account))?;
            self.look_up(&[account]).await?;
            let set = self.store.begin();
            let view = kept_view(&set)?.ok_or(ClientError::Bug("a look-up without a view"))?;
            let kept = KeptLabel::load(&set, account)?;
            let kept = kept.ok_or(ClientError::Bug("a look-up without a label"))?;
            if view.size() != fresh.view.size() {
                continue;
            }
            let is_fork = view.root() != fresh.view.root();
            if is_fork || kept.history != history {
                drop(set);
                let answer = answer.clone();
                self.keep_proof(account, alone(account, answer, reply.head.clone()))?;
                self.write_evidence()?;
                return Err(match is_fork {
                    true => NotVerified::LogFork,
                    false => NotVerified::RecordsChanged(account),
                }
                .into());
            }
            return Ok(Proved {
                proof: log_proof(account, found),
                history,
                certified_ns: fresh.certificate_time_ns,
            });
        }
        Err(ClientError::Unfinished(
            "the log grew while it was compared",
        ))
    }
}

/// Looks an account up for a home that is not made yet; also gives the time of the judgement,
/// nanoseconds since 1970.
///
/// # Errors
/// As [`Client::look_up`].
pub(crate) async fn look_up_once(
    connection: &Connection,
    trust: &LogTrust,
    account: AccountId,
) -> Result<(AccountHistory, u64), ClientError> {
    let reply = connection.ask_labels(None, &[(account, 0)]).await?;
    let answer = reply.answers.first();
    let answer = answer.ok_or(NotVerified::Malformed("lookup"))?;
    let fresh = verify_account(trust, None, None, account, answer, reply.head.as_slice())?;
    connection.check_time(fresh.certificate_time_ns).await?;
    let history = fresh.outcome.ok_or(ClientError::NoSuchAccount(account))?;
    Ok((history, now_ns(&fresh.view)))
}

/// Keeps what a commit that was accepted showed of the joiners' accounts: this device watches what
/// it lets into a group as if it had looked it up itself.
/// The view of the proof is another one than the own and is not kept; the version joins the watch
/// at the place that the proof gave it. A proof that contradicts what this device has seen is a
/// problem: the commit counts for all members alike, and nothing is sent before it is answered.
pub(crate) fn keep_shown(
    set: &WriteSet,
    carried: &ShownAccount,
    now: u64,
) -> Result<Option<Notice>, ClientError> {
    let ShownAccount {
        found: shown,
        answer,
    } = carried;
    let account = shown.outcome.account();
    if let Some(own) = kept_view(set)?
        && own.contradicts(&shown.view).is_some()
    {
        other_log(set, carried, now)?;
        return Ok(None);
    }
    let known = KeptLabel::load(set, account)?;
    let mut history = shown.outcome.clone();
    let mut watch = ContactMap::default();
    if let Some(known) = &known {
        watch = known.watch.clone();
        let agrees = known.history.agrees_with(&history).is_ok();
        let added = shown.watch.clone().map(|version| watch.add(version));
        if !agrees || matches!(added, Some(Err(_))) {
            two_histories(set, account, answer, now)?;
            return Ok(None);
        }
        if known.history.next_version() > history.next_version() {
            history = known.history.clone();
        }
    }
    let seen = LookedUp {
        state: shown.outcome.state().clone(),
        now_ns: now_ns(&shown.view),
    };
    let shown_at = shown.view.newest_timestamp();
    let looked_at = known.as_ref().map_or(shown_at, |known| known.looked_at);
    if seen.now_ns / 1_000_000 <= looked_at && known.is_some() {
        // What this device has looked up itself since is newer.
        let known = known.map(|known| KeptLabel { watch, ..known });
        keep_label(set, known, history, None, looked_at)?;
        return Ok(None);
    }
    keep_label(set, known, history, shown.watch.clone(), shown_at)?;
    remember(set, &seen)
}

/// A signed proof shows other records than this device was shown. The next sync adds what this
/// device is shown.
fn two_histories(
    set: &WriteSet,
    account: AccountId,
    answer: &FoundLabel,
    now: u64,
) -> Result<(), ClientError> {
    let mut items = own_head(set)?;
    let carried = LabelAnswer::Found(answer.clone());
    items.push(alone(account, carried, Vec::new().into()));
    let evidence = evidence_of(set, Finding::TwoValues, items)?;
    let problem = Problem::new(ProblemKind::TwoHistories, Some(account), now, &evidence);
    problem.keep(set).map(drop)
}

/// A signed head that a commit carries cannot be one of the log that this device has seen: both are
/// signed, so that the two prove the fork.
fn other_log(set: &WriteSet, carried: &ShownAccount, now: u64) -> Result<(), ClientError> {
    let mut items = own_head(set)?;
    items.push(Item::Head(ShownHead {
        view: encoded(&carried.found.view)?.into(),
        signature: carried.found.head.clone().into(),
    }));
    let account = carried.found.outcome.account();
    let answer = LabelAnswer::Found(carried.answer.clone());
    items.push(alone(account, answer, Vec::new().into()));
    let evidence = evidence_of(set, Finding::Fork, items)?;
    let kind = ProblemKind::Log(name_of(Finding::Fork).to_owned());
    Problem::new(kind, None, now, &evidence).keep(set).map(drop)
}

/// An answer to somebody who knew nothing, as evidence.
fn alone(account: AccountId, answer: LabelAnswer, head: VLBytes) -> Item {
    Item::Account(ShownAnswer {
        before: None,
        known: Vec::new().into(),
        account,
        answer,
        head,
    })
}

fn log_proof(account: AccountId, answer: &FoundLabel) -> Proof {
    let proof = LogProof {
        account,
        answer: answer.clone(),
    };
    Proof {
        proof_type: PROOF_LOG,
        data: encode(&proof).into(),
    }
}

/// Keeps what was read of a label; what is to be watched joins what is watched already.
fn keep_label(
    set: &WriteSet,
    known: Option<KeptLabel>,
    history: AccountHistory,
    watch: Option<MonitoredVersion>,
    looked_at: u64,
) -> Result<(), ClientError> {
    let account = history.account();
    let mut kept = match known {
        Some(known) => KeptLabel {
            history,
            looked_at,
            ..known
        },
        None => KeptLabel {
            history,
            watch: ContactMap::default(),
            looked_at,
            watched_at: looked_at,
        },
    };
    kept.watch_too(watch)?;
    kept.save(set, account)
}
