//! A look-up that anybody can check again, without a network (`spec/review.md` §2).

use paigham_lookup::account::now_ns;
use paigham_lookup::handle::HandleTimes;
use paigham_lookup::{
    AccountHistory, AuditorPolicy, AuditorReport, LogTrust, LookedUp, Reading, TimeRule,
    verify_account,
};
use paigham_transparency::hash::Label;
use paigham_transparency::verifier::TreeView;
use paigham_wire::codec::{decode, encode};
use paigham_wire::identity::{AccountState, Standing};
use paigham_wire::ids::AccountId;
use paigham_wire::log::{ACCOUNT_PREFIX, Cosignatures, HANDLE_PREFIX, LabelAnswer, LookupAnswers};
use paigham_wire::network::VerifiedNetwork;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use super::error::ReviewError;
use super::log_of;

/// What a saved look-up begins with.
pub const LOOKUP_MAGIC: &[u8; 5] = b"PGLK1";
/// Largest file in bytes: a reply, a network file, and a little more.
pub const SAVED_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A reply to somebody who knew nothing of the log, with what is needed to check it.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SavedLookup {
    /// The published network file.
    pub network: VLBytes,
    /// When it was asked, by whoever saved it, in nanoseconds since 1970. Nobody vouches for it.
    pub asked_at: u64,
    /// The label.
    pub label: VLBytes,
    /// The directory's reply.
    pub reply: VLBytes,
    /// The directory's reply about its auditors, for the head of the look-up; empty if the network
    /// names none.
    pub statements: VLBytes,
}

/// What a saved look-up proves.
#[derive(Debug)]
pub struct LookupFacts {
    /// The network file that it was checked under.
    pub network: VerifiedNetwork,
    /// The label.
    pub label: Vec<u8>,
    /// The log at that time.
    pub view: TreeView,
    /// When the subnet certified the head, in nanoseconds since 1970.
    pub certificate_time_ns: u64,
    /// When it was asked, as the file says.
    pub asked_at_ns: u64,
    /// What the label maps to.
    pub found: FoundFacts,
    /// What the network's auditors say of the head; `None` if it names none.
    pub auditors: Option<AuditorReport>,
}

/// What a label maps to.
#[derive(Debug)]
pub enum FoundFacts {
    /// It has no version.
    Absent,
    /// An account.
    Account(Box<AccountHistory>),
    /// Another label; the rules of its values were not applied.
    Values(Vec<Vec<u8>>),
}

impl SavedLookup {
    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&LOOKUP_MAGIC[..], &encode(self)].concat()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ReviewError::OtherKind`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReviewError> {
        let other = ReviewError::OtherKind("saved look-up");
        match bytes.strip_prefix(LOOKUP_MAGIC).map(decode) {
            Some(Ok(saved)) => Ok(saved),
            _ => Err(other),
        }
    }

    /// Checks everything from the raw bytes: network file, certificate, head, proof, records.
    ///
    /// # Errors
    /// [`ReviewError`].
    ///
    /// # Security
    /// The network file within is only whole, not the right one: the caller compares its hash with
    /// one that it trusts. How old the certificate was is for the reader of the facts to judge.
    pub fn verify(&self) -> Result<LookupFacts, ReviewError> {
        let network = VerifiedNetwork::pinned(self.network.as_slice())?;
        let trust = log_of(&network)?;
        let form = || ReviewError::OtherKind("look-up of one label");
        let reply: LookupAnswers = decode(self.reply.as_slice()).map_err(|_| form())?;
        let [answer] = reply.answers.as_slice() else {
            return Err(form());
        };
        let label = self.label.as_slice();
        let (looked, found) = match account_of(label) {
            Some(account) => of_account(&trust, account, answer, reply.head.as_slice())?,
            None => of_label(&trust, label, answer, reply.head.as_slice())?,
        };
        Ok(LookupFacts {
            auditors: self.auditors(&network, &trust, &looked.view)?,
            network,
            label: label.to_vec(),
            view: looked.view,
            certificate_time_ns: looked.certificate_time_ns,
            asked_at_ns: self.asked_at,
            found,
        })
    }
}

impl SavedLookup {
    fn auditors(
        &self,
        network: &VerifiedNetwork,
        trust: &LogTrust,
        view: &TreeView,
    ) -> Result<Option<AuditorReport>, ReviewError> {
        let Some(policy) = AuditorPolicy::of_network(network) else {
            return Ok(None);
        };
        let shown = match self.statements.as_slice() {
            [] => Cosignatures::default(),
            bytes => decode(bytes).map_err(|_| ReviewError::OtherKind("list of statements"))?,
        };
        Ok(Some(policy.judge(trust, view, &shown)))
    }
}

impl LookupFacts {
    /// Refuses a head for which fewer auditors vouch than the network asks for.
    ///
    /// # Errors
    /// [`ReviewError::NotAudited`], [`ReviewError::NoAuditors`].
    pub fn require_auditors(&self) -> Result<(), ReviewError> {
        let report = self.auditors.as_ref().ok_or(ReviewError::NoAuditors)?;
        if report.is_met() {
            return Ok(());
        }
        Err(ReviewError::NotAudited {
            vouching: report.vouching(),
            required: report.required,
        })
    }

    /// The account as it stands at the head, if it is one.
    #[must_use]
    pub fn standing(&self) -> Option<(&AccountState, Standing)> {
        match &self.found {
            FoundFacts::Account(history) => {
                let state = history.state();
                Some((state, state.at(now_ns(&self.view))))
            }
            FoundFacts::Absent | FoundFacts::Values(_) => None,
        }
    }
}

fn account_of(label: &[u8]) -> Option<AccountId> {
    let id = label.strip_prefix(ACCOUNT_PREFIX)?;
    Some(AccountId(id.try_into().ok()?))
}

fn of_account(
    trust: &LogTrust,
    account: AccountId,
    answer: &LabelAnswer,
    head: &[u8],
) -> Result<(LookedUp<()>, FoundFacts), ReviewError> {
    let mut looked = verify_account(trust, None, None, account, answer, head)?;
    let found = match looked.outcome.take() {
        None => FoundFacts::Absent,
        Some(history) => FoundFacts::Account(Box::new(history)),
    };
    Ok((without_outcome(looked), found))
}

fn of_label(
    trust: &LogTrust,
    label: &[u8],
    answer: &LabelAnswer,
    head: &[u8],
) -> Result<(LookedUp<()>, FoundFacts), ReviewError> {
    let rule = OtherTimes { label };
    let label = Label::new(label.to_vec()).map_err(|_| ReviewError::OtherKind("label"))?;
    let mut reading = Reading::open(trust, None, head)?;
    let found = match reading.label(&label, None, answer, &rule)? {
        None => FoundFacts::Absent,
        Some(versions) => {
            FoundFacts::Values(versions.new.into_iter().map(|new| new.value).collect())
        }
    };
    Ok((reading.finish((), None)?, found))
}

/// Of handles every record counts by time; of networks nothing does.
struct OtherTimes<'a> {
    label: &'a [u8],
}

impl TimeRule for OtherTimes<'_> {
    fn counts_by_time(&self, value: &[u8]) -> bool {
        self.label.starts_with(HANDLE_PREFIX) && HandleTimes.counts_by_time(value)
    }
}

fn without_outcome<T>(looked: LookedUp<T>) -> LookedUp<()> {
    LookedUp {
        view: looked.view,
        outcome: (),
        certificate_time_ns: looked.certificate_time_ns,
        head: looked.head,
        watch: looked.watch,
    }
}
