//! What an evidence file proves.

use paigham_transparency::Recent;
use paigham_transparency::codec::Codec;
use paigham_transparency::structs::DistinguishedRequest;
use paigham_transparency::verifier::{DistinguishedEntry, TreeView};
use paigham_wire::hash::Hash;

use super::{Evidence, Item, ShownAnswer, ShownHead};
use crate::account::{AccountHistory, now_ns, verify_account};
use crate::error::LookupError;
use crate::finding::Finding;
use crate::heads::HeadSignature;
use crate::reading::Reading;
use crate::trust::LogTrust;

/// Which distinguished heads the log shows and people compare: the two newest.
pub const RECENT_HEADS: Recent = Recent::Newest(2);

/// What checking a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The file's own claim.
    pub claimed: Finding,
    /// What each piece is worth, in the order of the file.
    pub items: Vec<Checked>,
    /// What is proved to whoever trusts the network's root key, and nobody else.
    pub proved: Vec<Proved>,
    /// What the file cannot show.
    pub limits: Vec<Limit>,
}

impl Report {
    /// Whether the file proves what it claims.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.proved
            .iter()
            .any(|proved| proved.finding() == Some(self.claimed))
    }
}

/// What one piece is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It holds, under a head of this size, certified at this time in nanoseconds since 1970.
    Holds {
        /// Entries.
        size: u64,
        /// Certified time.
        certified_at: u64,
    },
    /// It does not.
    Refused(LookupError),
}

/// Something that is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proved {
    /// The directory signed two heads whose logs differ in their first so many entries.
    Fork {
        /// Entries.
        size: u64,
    },
    /// It signed a smaller log after a larger one.
    Rollback {
        /// Size certified first.
        before: u64,
        /// Size certified later.
        after: u64,
    },
    /// It signed a log whose newest entry was too old, or lay in the future.
    BadTime(Finding),
    /// It logged what breaks the rules of identity records.
    WrongAuthorisation(LookupError),
    /// It showed an account's version with two records.
    TwoValues {
        /// The version.
        version: u32,
    },
    /// It showed fewer versions of an account in a larger log.
    MissingVersion {
        /// Versions shown before.
        before: u32,
        /// Versions shown later.
        after: u32,
    },
    /// The account's newest version in the log was this one.
    Logged {
        /// The version.
        version: u32,
        /// Hash of its record.
        record: Hash,
        /// Devices that counted.
        devices: usize,
    },
}

impl Proved {
    /// What it says is wrong, if anything.
    #[must_use]
    pub const fn finding(&self) -> Option<Finding> {
        match self {
            Self::Fork { .. } => Some(Finding::Fork),
            Self::Rollback { .. } => Some(Finding::Rollback),
            Self::BadTime(finding) => Some(*finding),
            Self::WrongAuthorisation(_) => Some(Finding::WrongAuthorisation),
            Self::TwoValues { .. } => Some(Finding::TwoValues),
            Self::MissingVersion { .. } => Some(Finding::MissingVersion),
            Self::Logged { .. } => None,
        }
    }
}

/// What a file cannot show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Limit {
    /// That a refused answer came from the directory: whoever carried it may have changed it.
    AnswerUnsigned,
    /// That the asker's state was what the file says: only heads are signed.
    StateUnsigned,
    /// That the owner did not make a record: only the owner knows what it made.
    OwnersWord,
    /// When the answer arrived: only the certificate's time is proved.
    Arrival,
    /// That two heads are of one log: they are too far apart to be compared.
    TooFarApart,
}

/// A piece that holds by itself.
struct Shown {
    view: TreeView,
    certified_at: u64,
    /// The account's history, if it is an answer about one.
    history: Option<AccountHistory>,
    distinguished: Vec<DistinguishedEntry>,
}

impl Evidence {
    /// Checks every piece anew, from its bytes, and compares them. `trust` is made from a network
    /// file that the reader believes; whether it is the one in the file is for the reader to see.
    ///
    /// # Security
    /// Only what holds without anything the file merely says counts as proved: heads, and answers to
    /// somebody who knew nothing.
    #[must_use]
    pub fn check(&self, trust: &LogTrust) -> Report {
        let mut report = Report {
            claimed: self.finding,
            items: Vec::new(),
            proved: Vec::new(),
            limits: Vec::new(),
        };
        let mut shown = Vec::new();
        for item in &self.items {
            let result = check_item(trust, item);
            report.items.push(match &result {
                Ok(piece) => Checked::Holds {
                    size: piece.view.size(),
                    certified_at: piece.certified_at,
                },
                Err(error) => Checked::Refused(*error),
            });
            let alone = stands_alone(item);
            match result {
                Ok(piece) if alone => shown.push(piece),
                Ok(_) => report.limits.push(Limit::StateUnsigned),
                Err(error) if alone => report.refused(error),
                Err(_) => report
                    .limits
                    .extend([Limit::AnswerUnsigned, Limit::StateUnsigned]),
            }
        }
        for (index, later) in shown.iter().enumerate() {
            for earlier in shown.iter().take(index) {
                report.compare(earlier, later);
            }
            report.logged(later);
        }
        report.limit_owner();
        report.limits.sort_unstable();
        report.limits.dedup();
        report
    }
}

impl Report {
    fn refused(&mut self, error: LookupError) {
        let finding = Finding::of(&error);
        match finding {
            Some(Finding::WrongAuthorisation) => {
                self.proved.push(Proved::WrongAuthorisation(error));
            }
            Some(stale @ (Finding::StaleHead | Finding::FutureHead)) => {
                self.proved.push(Proved::BadTime(stale));
            }
            _ => self.limits.push(Limit::AnswerUnsigned),
        }
    }

    fn logged(&mut self, shown: &Shown) {
        let Some(history) = &shown.history else {
            return;
        };
        let state = history.state();
        let now = now_ns(&shown.view);
        let devices = match state.is_deleted(now) {
            true => 0,
            false => state.at(now).devices.len(),
        };
        self.proved.push(Proved::Logged {
            version: state.version(),
            record: *state.newest_hash(),
            devices,
        });
    }

    fn compare(&mut self, a: &Shown, b: &Shown) {
        let (earlier, later) = match a.certified_at <= b.certified_at {
            true => (a, b),
            false => (b, a),
        };
        let (before, after) = (earlier.view.size(), later.view.size());
        if let Some(size) = differ(a, b) {
            self.proved.push(Proved::Fork { size });
        } else if before.leading_zeros() != after.leading_zeros() {
            self.limits.push(Limit::TooFarApart);
        }
        if after < before && earlier.certified_at < later.certified_at {
            self.proved.push(Proved::Rollback { before, after });
        }
        if let (Some(first), Some(second)) = (&a.history, &b.history)
            && first.account() == second.account()
        {
            self.compare_histories((a, first), (b, second));
        }
    }

    fn compare_histories(&mut self, a: (&Shown, &AccountHistory), b: (&Shown, &AccountHistory)) {
        if let Err(version) = a.1.agrees_with(b.1) {
            self.proved.push(Proved::TwoValues { version });
        }
        let (smaller, larger) = match a.0.view.size() <= b.0.view.size() {
            true => (a.1, b.1),
            false => (b.1, a.1),
        };
        let (before, after) = (smaller.next_version(), larger.next_version());
        if after < before {
            self.proved.push(Proved::MissingVersion { before, after });
        }
    }

    fn limit_owner(&mut self) {
        match self.claimed {
            Finding::UnknownDevice | Finding::UnknownVersion => {
                self.limits.push(Limit::OwnersWord);
            }
            Finding::StaleCertificate => self.limits.push(Limit::Arrival),
            _ => {}
        }
    }
}

/// Where two pieces show different logs.
fn differ(a: &Shown, b: &Shown) -> Option<u64> {
    let roots = || {
        a.distinguished
            .iter()
            .flat_map(|own| b.distinguished.iter().map(move |other| (own, other)))
    };
    let fork =
        roots().find(|(own, other)| own.position == other.position && own.root != other.root);
    match fork {
        Some((own, _)) => Some(own.position + 1),
        None => a.view.contradicts(&b.view),
    }
}

/// A piece that needs nothing which only the file says.
fn stands_alone(item: &Item) -> bool {
    match item {
        Item::Head(_) | Item::Distinguished(_) => true,
        Item::Account(shown) => shown.before.is_none() && shown.known.as_slice().is_empty(),
    }
}

fn check_item(trust: &LogTrust, item: &Item) -> Result<Shown, LookupError> {
    match item {
        Item::Head(head) => {
            let (view, certified_at) = check_head(trust, head)?;
            Ok(Shown {
                view,
                certified_at,
                history: None,
                distinguished: Vec::new(),
            })
        }
        Item::Account(shown) => check_account(trust, shown),
        Item::Distinguished(answer) => check_distinguished(trust, answer.as_slice()),
    }
}

fn check_head(trust: &LogTrust, head: &ShownHead) -> Result<(TreeView, u64), LookupError> {
    let view = TreeView::decode(head.view.as_slice())
        .map_err(|_| LookupError::Form("a head that is none"))?;
    let signature = HeadSignature::verify(trust, head.signature.as_slice())?;
    if !signature.signs(&view)? {
        return Err(LookupError::OtherHead);
    }
    Ok((view, signature.time_ns()))
}

fn check_account(trust: &LogTrust, shown: &ShownAnswer) -> Result<Shown, LookupError> {
    let before = shown.before.as_ref().map(|head| check_head(trust, head));
    let before = before.transpose()?.map(|(view, _)| view);
    let known = match shown.known.as_slice() {
        [] => None,
        bytes => {
            Some(AccountHistory::from_bytes(bytes).map_err(|_| LookupError::Form("no history"))?)
        }
    };
    let found = verify_account(
        trust,
        before.as_ref(),
        known.as_ref(),
        shown.account,
        &shown.answer,
        shown.head.as_slice(),
    )?;
    Ok(Shown {
        view: found.view,
        certified_at: found.certificate_time_ns,
        history: found.outcome,
        distinguished: Vec::new(),
    })
}

fn check_distinguished(trust: &LogTrust, answer: &[u8]) -> Result<Shown, LookupError> {
    let request = DistinguishedRequest {
        last: None,
        stop: None,
    };
    let mut reading = Reading::open(trust, None, &[])?;
    let entries = reading.check(answer, |verifier, view, now| {
        verifier.distinguished(view, &request, RECENT_HEADS, answer, now)
    })?;
    let found = reading.finish(entries, None)?;
    Ok(Shown {
        view: found.view,
        certified_at: found.certificate_time_ns,
        history: None,
        distinguished: found.outcome,
    })
}
