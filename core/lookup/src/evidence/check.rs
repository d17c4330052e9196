//! What an evidence file proves.

use paigham_transparency::Recent;
use paigham_wire::hash::Hash;
use paigham_wire::ids::AccountId;
use paigham_wire::network::VerifiedNetwork;

use super::Evidence;
use super::files::NetworkFiles;
use super::piece::{Piece, Shown, What, check_item, stands_alone};
use crate::account::{AccountHistory, now_ns};
use crate::error::LookupError;
use crate::finding::Finding;
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
    /// Whether the file is good for what it claims: it proves it, or, where only the owner knows that
    /// something is wrong, that the log holds what the owner speaks of.
    #[must_use]
    pub fn is_as_claimed(&self) -> bool {
        let is_logged =
            |one: &Proved| matches!(one, Proved::Logged { .. } | Proved::LoggedValue { .. });
        match self.claimed {
            Finding::UnknownDevice | Finding::UnknownVersion => self.proved.iter().any(is_logged),
            _ => self.holds(),
        }
    }

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
    /// A network file of this number, whose own release keys signed it.
    NetworkFile {
        /// Its number.
        number: u64,
    },
    /// Somebody's word, which nobody signed.
    Word,
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
    /// Release keys of this network signed two network files of this number.
    TwoNetworkFiles {
        /// The number.
        number: u64,
    },
    /// The newest version of a handle or network in the log was this one.
    LoggedValue {
        /// The version.
        version: u32,
        /// SHA-256 of its value.
        value: Hash,
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
            Self::TwoNetworkFiles { .. } => Some(Finding::TwoNetworkFiles),
            Self::LoggedValue { .. } | Self::Logged { .. } => None,
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
    /// That a member was shown what it says: the other half of the proof is in its own file.
    MembersWord,
    /// Whose a handle is: not all accounts that its records name are in the file.
    AccountsMissing,
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
        self.judge(trust, None)
    }

    /// As [`Evidence::check`], by a reader who believes a network file: two files of one number prove
    /// something only against the release keys of a file that is believed or logged.
    #[must_use]
    pub fn check_under(&self, trust: &LogTrust, network: &VerifiedNetwork) -> Report {
        self.judge(trust, Some(network))
    }

    fn judge(&self, trust: &LogTrust, believed: Option<&VerifiedNetwork>) -> Report {
        let mut report = Report {
            claimed: self.finding,
            items: Vec::new(),
            proved: Vec::new(),
            limits: Vec::new(),
        };
        let mut shown = Vec::new();
        for item in &self.items {
            let result = check_item(trust, item);
            report.items.push(worth(&result));
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
        report.heads(&shown);
        report.handles(&shown);
        let files = NetworkFiles::of(self.network.as_slice(), &shown, believed);
        report.proved.extend(files.two_of_one_number());
        report.limit_owner();
        report.limits.sort_unstable();
        report.limits.dedup();
        report
    }
}

/// What a piece is worth by itself.
const fn worth(result: &Result<Piece, LookupError>) -> Checked {
    match result {
        Ok(Piece::Shown(shown)) => Checked::Holds {
            size: shown.view.size(),
            certified_at: shown.certified_at,
        },
        Ok(Piece::File(file)) => Checked::NetworkFile {
            number: file.file().sequence,
        },
        Ok(Piece::Word) => Checked::Word,
        Err(error) => Checked::Refused(*error),
    }
}

impl Report {
    fn heads(&mut self, pieces: &[Piece]) {
        let shown: Vec<&Shown> = pieces.iter().filter_map(Piece::shown).collect();
        for (index, later) in shown.iter().enumerate() {
            for earlier in shown.iter().take(index) {
                self.compare(earlier, later);
            }
            self.logged(later);
        }
        if pieces.iter().any(|piece| matches!(piece, Piece::Word)) {
            self.limits.push(Limit::MembersWord);
        }
    }

    /// Judges handles by the accounts that were shown with them, under a head that is not older.
    fn handles(&mut self, pieces: &[Piece]) {
        let shown: Vec<&Shown> = pieces.iter().filter_map(Piece::shown).collect();
        for handle in &shown {
            let What::Handle(versions) = &handle.what else {
                continue;
            };
            let known: Vec<AccountHistory> = shown
                .iter()
                .filter(|one| one.view.size() >= handle.view.size())
                .filter_map(|one| one.history().cloned())
                .collect();
            let is_known = |id: &AccountId| known.iter().any(|one| one.account() == *id);
            if !versions.accounts().iter().all(is_known) {
                self.limits.push(Limit::AccountsMissing);
            } else if let Err(error @ LookupError::HandleRule { .. }) =
                versions.judge(&known, now_ns(&handle.view))
            {
                self.proved.push(Proved::WrongAuthorisation(error));
            }
        }
    }

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
        if let Some((version, value)) = shown.newest_value() {
            self.proved.push(Proved::LoggedValue { version, value });
        }
        let Some(history) = shown.history() else {
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
        if let (Some(first), Some(second)) = (a.history(), b.history())
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
        let (a, b) = (a.distinguished(), b.distinguished());
        a.iter()
            .flat_map(move |own| b.iter().map(move |other| (own, other)))
    };
    let fork =
        roots().find(|(own, other)| own.position == other.position && own.root != other.root);
    match fork {
        Some((own, _)) => Some(own.position + 1),
        None => a.view.contradicts(&b.view),
    }
}
