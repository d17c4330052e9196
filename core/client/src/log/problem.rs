//! Problems: what the log shows that must not be, kept until the user has answered it, each with a
//! file that proves it to others (`spec/client.md` §9).

use std::path::{Path, PathBuf};

use paigham_store::{Table, WriteSet};
use paigham_wire::ids::{AccountId, DeviceId};
use serde::{Deserialize, Serialize};

use paigham_lookup::evidence::Evidence;

use super::KeptLabel;
use super::publish::note_made;
use crate::client::Client;
use crate::error::ClientError;
use crate::handle::own_up_to_handle;
use crate::people::next_number;
use crate::view::Notice;

const ALL: &[u8] = b"all";
/// Folder of evidence files, in the home.
const FOLDER: &str = "evidence";
/// Most problems that are kept; a log that lies in every answer fills no disk.
const KEPT_MAX: u64 = 1_000;

/// What is wrong. Each has its own evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The own label has a version that this device did not make: somebody holds the identity key,
    /// or a device of the account acted that this one knows nothing of.
    UnknownVersion {
        /// The version.
        version: u32,
        /// What the record says that it does.
        kind: String,
        /// Devices in it that were not there before.
        #[serde(with = "device_list")]
        devices: Vec<DeviceId>,
        /// When the entry was made that brought it, milliseconds since 1970; 0 if not known.
        at_ms: u64,
    },
    /// The log broke a promise that everybody can check: the name of the verdict.
    Log(String),
    /// A member of a conversation was shown another log.
    OtherRoots,
    /// A commit carried other records of an account than this device was shown.
    TwoHistories,
    /// An answer about what this device watches did not hold, twice in a row, and nothing shows
    /// whose fault that is: the name of the verdict. It stops nothing.
    Refused(String),
    /// The own handle has a record that this device did not make: somebody holds the identity key.
    /// It stops nothing.
    HandleChanged {
        /// As it is shown.
        handle: String,
        /// The version.
        version: u32,
    },
    /// There are two network files of one number.
    TwoNetworkFiles {
        /// The number.
        number: u64,
    },
    /// The network file of this home is not in its log.
    NetworkNotLogged {
        /// Its number.
        number: u64,
    },
}

impl ProblemKind {
    /// Whether it is never told again once it was answered: it stops nothing, or it is a record,
    /// which the log has for ever. Anything else is told until it is over.
    const fn is_told_once(&self) -> bool {
        matches!(self, Self::UnknownVersion { .. }) || !self.stops()
    }

    /// Whether something waits until the problem is answered.
    const fn stops(&self) -> bool {
        match self {
            Self::UnknownVersion { .. }
            | Self::Log(_)
            | Self::OtherRoots
            | Self::TwoHistories
            | Self::TwoNetworkFiles { .. }
            | Self::NetworkNotLogged { .. } => true,
            Self::Refused(_) | Self::HandleChanged { .. } => false,
        }
    }
}

mod device_list {
    use paigham_wire::ids::DeviceId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(list: &[DeviceId], to: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<[u8; 16]> = list.iter().map(|device| device.0).collect();
        bytes.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<DeviceId>, D::Error> {
        let bytes = Vec::<[u8; 16]>::deserialize(from)?;
        Ok(bytes.into_iter().map(DeviceId).collect())
    }
}

/// What the user said to a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It was the owner, with another device.
    ItWasMe,
    /// It was somebody else; or, of a problem of the log, it was seen.
    NotMe,
}

/// A problem as the home keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Problem {
    pub kind: ProblemKind,
    /// Whom it is about; `None` if the log as a whole.
    pub account: Option<[u8; 16]>,
    /// The network's time when it was found, nanoseconds since 1970.
    pub found_at: u64,
    /// The evidence file's bytes.
    #[serde(with = "serde_bytes")]
    pub evidence: Vec<u8>,
    pub answer: Option<Answer>,
    /// Whether the evidence lies in its file.
    pub written: bool,
}

/// A problem as apps show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProblemView {
    /// Its number; answers name it.
    pub number: u64,
    /// What is wrong.
    pub kind: ProblemKind,
    /// Whom it is about; `None` if the log as a whole.
    pub account: Option<AccountId>,
    /// The network's time when it was found, nanoseconds since 1970.
    pub found_at: u64,
    /// Where the evidence lies, if the home is a folder.
    pub evidence: Option<PathBuf>,
    /// What the user said.
    pub answer: Option<Answer>,
}

impl Problem {
    /// A problem that nobody has answered yet, with its evidence.
    pub fn new(
        kind: ProblemKind,
        account: Option<AccountId>,
        found_at: u64,
        evidence: &Evidence,
    ) -> Self {
        Self {
            kind,
            account: account.map(|account| account.0),
            found_at,
            evidence: evidence.to_bytes(),
            answer: None,
            written: false,
        }
    }

    /// Keeps a problem, unless the same is kept already and unanswered, or stops nothing. Returns its
    /// number.
    pub fn keep(&self, set: &WriteSet) -> Result<Option<u64>, ClientError> {
        let known: Vec<(u64, Self)> = set.scan(Table::Evidence, ALL, 0, u64::MAX)?;
        let is_known = known.iter().any(|(_, one)| {
            let counts = one.answer.is_none() || one.kind.is_told_once();
            one.kind == self.kind && one.account == self.account && counts
        });
        if is_known || known.len() as u64 >= KEPT_MAX {
            return Ok(None);
        }
        let number = next_number(set, Table::Evidence, ALL)?;
        set.put_at(Table::Evidence, ALL, number, self)?;
        Ok(Some(number))
    }

    fn file_name(&self, number: u64) -> String {
        let kind = match &self.kind {
            ProblemKind::UnknownVersion { version, .. } => format!("unknown-version-{version}"),
            ProblemKind::Log(name) => name.clone(),
            ProblemKind::OtherRoots => "other-roots".to_owned(),
            ProblemKind::TwoHistories => "two-histories".to_owned(),
            ProblemKind::Refused(name) => format!("refused-{name}"),
            ProblemKind::HandleChanged { version, .. } => format!("handle-{version}"),
            ProblemKind::TwoNetworkFiles { number } => format!("two-network-files-{number}"),
            ProblemKind::NetworkNotLogged { number } => format!("network-not-logged-{number}"),
        };
        let kind: String = kind
            .chars()
            .map(|one| {
                if one.is_ascii_alphanumeric() {
                    one.to_ascii_lowercase()
                } else {
                    '-'
                }
            })
            .collect();
        format!("{number:04}-{kind}.pgev")
    }
}

/// All problems with their numbers.
pub(super) fn all(set: &WriteSet) -> Result<Vec<(u64, Problem)>, ClientError> {
    Ok(set.scan(Table::Evidence, ALL, 0, u64::MAX)?)
}

/// Keeps a problem in place of what it was.
pub(super) fn put(set: &WriteSet, number: u64, problem: &Problem) -> Result<(), ClientError> {
    Ok(set.put_at(Table::Evidence, ALL, number, problem)?)
}

/// Whether something about an account waits for an answer.
pub(crate) fn has_problem(set: &WriteSet, account: AccountId) -> Result<bool, ClientError> {
    let is_of =
        |one: &Problem| one.account == Some(account.0) && one.answer.is_none() && one.kind.stops();
    Ok(all(set)?.iter().any(|(_, one)| is_of(one)))
}

/// Refuses to send anything while the own account or the log as a whole is in question.
pub(crate) fn stops_sending(set: &WriteSet) -> Result<(), ClientError> {
    for (_, one) in all(set)? {
        match (&one.kind, one.account, one.answer) {
            (_, _, Some(_)) => {}
            (kind, _, None) if !kind.stops() => {}
            (ProblemKind::UnknownVersion { .. }, _, None) => return Err(ClientError::Alarm),
            (_, None, None) => return Err(ClientError::LogProblem),
            (_, Some(_), None) => {}
        }
    }
    Ok(())
}

impl Client {
    /// Everything that was found wrong, in the order in which it was found.
    ///
    /// # Errors
    /// [`ClientError::Store`].
    pub fn problems(&self) -> Result<Vec<ProblemView>, ClientError> {
        let view = |(number, one): (u64, Problem)| ProblemView {
            number,
            evidence: self.evidence_path(&one.file_name(number)),
            kind: one.kind,
            account: one.account.map(AccountId),
            found_at: one.found_at,
            answer: one.answer,
        };
        Ok(all(&self.store.begin())?.into_iter().map(view).collect())
    }

    /// Keeps what the user says to a problem; what waited for it goes on.
    ///
    /// # Errors
    /// [`ClientError::NoSuchName`] for a number that no problem has.
    pub fn answer_problem(&mut self, number: u64, answer: Answer) -> Result<(), ClientError> {
        let set = self.store.begin();
        let problem: Option<Problem> = set.get_at(Table::Evidence, ALL, number)?;
        let mut problem = problem.ok_or_else(|| ClientError::NoSuchName(number.to_string()))?;
        problem.answer = Some(answer);
        if let (Answer::ItWasMe, ProblemKind::UnknownVersion { version, .. }) =
            (answer, &problem.kind)
        {
            let kept = KeptLabel::load(&set, self.account.id())?;
            let hash = kept.as_ref().and_then(|kept| kept.history.hash(*version));
            note_made(
                &set,
                hash.ok_or(ClientError::Bug("an alarm without its record"))?,
            )?;
        }
        if let (Answer::ItWasMe, ProblemKind::HandleChanged { handle, .. }) =
            (answer, &problem.kind)
        {
            own_up_to_handle(&set, handle)?;
        }
        set.put_at(Table::Evidence, ALL, number, &problem)?;
        self.commit(set)
    }

    /// Unanswered problems that this run has not told of yet: an answer is asked for at each start.
    pub(crate) fn untold_problems(&mut self) -> Vec<Notice> {
        let open = all(&self.store.begin()).unwrap_or_default();
        let open = open.into_iter().filter(|(_, one)| one.answer.is_none());
        let numbers: Vec<u64> = open.map(|(number, _)| number).collect();
        let mut untold = Vec::new();
        for number in numbers {
            if self.told_problems.insert(number) {
                untold.push(Notice::Problem(number));
            }
        }
        untold
    }

    fn evidence_path(&self, name: &str) -> Option<PathBuf> {
        self.home.as_ref().map(|home| home.join(FOLDER).join(name))
    }

    /// Writes the evidence files that are not written yet. One that was interrupted is written
    /// again by the next call; the bytes lie in the store until then and afterwards.
    ///
    /// # Errors
    /// [`ClientError::Store`]. A file that cannot be written is tried again.
    pub(crate) fn write_evidence(&self) -> Result<(), ClientError> {
        for (number, mut problem) in all(&self.store.begin())? {
            let Some(path) = self.evidence_path(&problem.file_name(number)) else {
                continue;
            };
            if problem.written || write_whole(&path, &problem.evidence).is_err() {
                continue;
            }
            problem.written = true;
            let set = self.store.begin();
            set.put_at(Table::Evidence, ALL, number, &problem)?;
            self.commit(set)?;
        }
        Ok(())
    }
}

/// Writes a file as a whole: under another name first, which takes its place once it is on the
/// disk.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let unfinished = path.with_extension("part");
    let mut file = std::fs::File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}
