//! What goes wrong, by who must act.

use paigham_group::GroupError;
use paigham_group::proof::ProofError;
use paigham_lookup::LookupError;
use paigham_store::{OpenError, StoreError};
use paigham_wire::admin::AdminRefusal;
use paigham_wire::certificate::CertificateError;
use paigham_wire::directory::DirectoryError;
use paigham_wire::identity::Rejected;
use paigham_wire::identity::handle::{HandleError, HandleRejected};
use paigham_wire::ids::{AccountId, CanisterId, DeviceId};
use paigham_wire::map::WitnessError;
use paigham_wire::network::NetworkError;
use paigham_wire::relay::RelayError;

use crate::own::OwnChange;

/// Whose turn it is; the command line has an exit code for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The user: a wrong name, a wrong passphrase, a role that is missing.
    User,
    /// Nobody can be reached now.
    Network,
    /// Somebody answered what does not verify; nothing of it was taken.
    NotVerified,
    /// The home's files.
    Storage,
    /// A bug of ours.
    Internal,
}

/// Why an operation failed. What had been acknowledged before is kept, and what was begun is taken
/// up by the next [`crate::Client::sync`].
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The home does not open.
    #[error(transparent)]
    Home(#[from] OpenError),
    /// A read or write of the home.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network file is not one to trust.
    #[error(transparent)]
    NetworkFile(#[from] NetworkError),
    /// The network file or link cannot be read.
    #[error("cannot read the network file from {from}: {why}")]
    NoNetworkFile {
        /// Path or address.
        from: String,
        /// Why.
        why: String,
    },
    /// What came from a link is not what the link names.
    #[error("the network file is not the one that the link names")]
    OtherNetworkFile,
    /// The network file names no transparency log.
    #[error("the network file names no transparency log that can be checked")]
    NoLog,
    /// The home belongs to another network.
    #[error("this home belongs to another network than the one given")]
    OtherNetwork,
    /// A name that nobody has here.
    #[error("there is no contact or conversation called {0}")]
    NoSuchName(String),
    /// A name that several have.
    #[error("several are called {0}; use the id")]
    Ambiguous(String),
    /// A name that somebody has already, or that cannot be one.
    #[error("{0} cannot be used as a name: {1}")]
    Name(String, &'static str),
    /// The directory certifies that there is no such account.
    #[error("there is no account {0} in this network")]
    NoSuchAccount(AccountId),
    /// An account that counts no device now: deleted, or with none left.
    #[error("the account {0} has no device that can be reached")]
    NoDevice(AccountId),
    /// The own account where another one is needed.
    #[error("that is this account itself")]
    Oneself,
    /// The account is no member of the group.
    #[error("the account {0} is not in this group")]
    NotAMember(AccountId),
    /// A 1:1 chat cannot be changed as a group can.
    #[error("a 1:1 chat has no members to change")]
    DirectChat,
    /// The conversation takes nothing more.
    #[error("this conversation is over: {0}")]
    Ended(String),
    /// This device was away for longer than the changes of the group are kept.
    #[error("this device was away for too long to follow this conversation")]
    Away,
    /// The conversation has not stopped, or it is being made anew.
    #[error("this conversation does not have to be made anew")]
    NotStopped,
    /// Only an admin may make it anew before so many seconds have passed.
    #[error(
        "only an admin may make this group anew for the next {} hours",
        .0.div_ceil(3_600)
    )]
    NotYet(u64),
    /// A group that says that it continues another one does not.
    #[error("an invitation does not continue the group that it names: {0}")]
    Reset(#[from] paigham_group::reset::ResetRefusal),
    /// The group does not allow or cannot do it.
    #[error(transparent)]
    Group(GroupError),
    /// Nobody answers, or not in time.
    #[error("the network cannot be reached: {0}")]
    Unreachable(String),
    /// One relay does not answer, or not in time, while the directory does.
    #[error("the relay {} cannot be reached: {why}", hex(.relay))]
    RelayUnreachable {
        /// Which.
        relay: CanisterId,
        /// What was said of it.
        why: String,
    },
    /// This machine's clock is so many seconds ahead of (or, negative, behind) certified time that
    /// changes of groups cannot be judged with it.
    #[error(
        "this machine's clock is wrong by {} hours: set it right to change groups and to read their changes",
        .0.unsigned_abs() / 3_600
    )]
    ClockWrong(i64),
    /// The change is stored and not yet accepted; `sync` goes on with it.
    #[error("not done yet: {0}; it is kept and goes on with the next sync")]
    Unfinished(&'static str),
    /// A change of the own account is on its way; there is one at a time.
    #[error("a change of this account is on its way already: {}", .0.name())]
    ChangePending(OwnChange),
    /// A change of the own account was not made: another record came first.
    #[error("the log did not take {}: another record came first, or the account does not allow it any more", .0.name())]
    ChangeLost(OwnChange),
    /// The account does not allow it now.
    #[error("the account cannot do this now: {0}")]
    RecordRefused(#[from] Rejected),
    /// The identity key of this home is not the one that counts.
    #[error("this device does not hold the account's identity key any more")]
    NotTheIdentity,
    /// The words make another recovery key than the account's.
    #[error("these words are not the recovery kit of this account")]
    WrongKit,
    /// The account has no such device.
    #[error("this account has no device {0}")]
    NoSuchDevice(DeviceId),
    /// There is nothing of that kind to undo.
    #[error("there is nothing to undo")]
    NothingToUndo,
    /// The recover of this home does not count yet.
    #[error("the recover of this account does not count yet")]
    Recovering {
        /// When it counts, nanoseconds since 1970.
        counts_at_ns: u64,
    },
    /// The recover of this home does not count and never will.
    #[error("the recover of this account did not come to count: another record came in its way")]
    RecoverVoided,
    /// What was answered does not verify.
    #[error(transparent)]
    NotVerified(#[from] NotVerified),
    /// The relay refused.
    #[error("the relay refused: {0}")]
    Relay(#[from] RelayError),
    /// The directory refused.
    #[error("the directory refused: {0}")]
    Directory(#[from] DirectoryError),
    /// A canister refused to tell of its administrators.
    #[error("the administrators' log: {0}")]
    Administration(AdminRefusal),
    /// Two people see different safety numbers.
    #[error("that is not the safety number of this device and the account {0}")]
    OtherSafetyNumber(AccountId),
    /// What was typed is no handle.
    #[error(transparent)]
    Handle(#[from] HandleError),
    /// Nobody holds the handle.
    #[error("nobody in this network has the handle {0}")]
    NoSuchHandle(String),
    /// Somebody else holds the handle, or one that looks like it.
    #[error("the handle, or one that looks like it, is taken")]
    HandleTaken,
    /// The handle was given up and rests for another account.
    #[error("the handle was given up by somebody, and rests until only they could have it back")]
    HandleResting(u64),
    /// The account has no handle.
    #[error("this account has no handle")]
    NoHandle,
    /// The directory does not take the handle's record.
    #[error("the handle is not taken: {0}")]
    HandleRefused(HandleRejected),
    /// The relay has no room where the new inbox of this home would lie.
    #[error("the relay has no room where the inbox of this home would lie")]
    InboxCrowded,
    /// Another change of the own account is on its way.
    #[error("another change of this account is still on its way into the log")]
    RecordPending,
    /// A change of the own account cannot come into the log any more.
    #[error("the change of this account was not taken: another one came first")]
    RecordLost,
    /// The own account has changed in the log, and not by this device: nothing is sent until the
    /// owner has said whether it was them.
    #[error("this account was changed in the log, and not by this device")]
    Alarm,
    /// The log as a whole contradicts itself: nothing is sent until it was seen.
    #[error("the log of this network has shown two things that cannot both be true")]
    LogProblem,
    /// What the log shows of a member cannot be.
    #[error("what the log shows of the account {0} cannot be: nothing is sent to it")]
    MemberProblem(AccountId),
    /// A member with whom safety numbers were compared has another identity key.
    #[error("the identity key of the account {0} is not the one that was compared")]
    MemberChanged(AccountId),
    /// A device in the group was taken out of its account, and this device may not remove it.
    #[error("a device of the account {0} was revoked; an admin must take it out of the group")]
    RevokedDevice(AccountId),
    /// This device was taken out of its account.
    #[error("this device was taken out of the account")]
    Revoked,
    /// A state that cannot be.
    #[error("internal error: {0}")]
    Bug(&'static str),
}

/// Why an answer was refused. Each way of lying has its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotVerified {
    /// The node's signature over its answer does not hold.
    #[error("the node's signature over its answer does not hold")]
    NodeSignature,
    /// The agent refused the subnet's certificate of an update or of its nodes' keys.
    #[error("the subnet's certificate of an answer does not hold: {0}")]
    Agent(String),
    /// The answer is not of the form that the method has.
    #[error("malformed answer to {0}")]
    Malformed(&'static str),
    /// The certificate does not hold.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The certificate is too old although this clock is right.
    #[error("the certificate is {0} s old: the answer is not of now")]
    StaleCertificate(u64),
    /// The certificate lies ahead of the present.
    #[error("the certificate lies {0} s ahead of the present")]
    AheadOfTime(u64),
    /// The witness does not decode or does not show what was asked for.
    #[error("the witness does not hold: {0}")]
    Witness(#[from] WitnessError),
    /// The witness leads to another root than the certified one.
    #[error("the witness does not lead to what the subnet certified")]
    WitnessRoot,
    /// What the witness shows is not what the answer says.
    #[error("the answer differs from what is certified: {0}")]
    Differs(&'static str),
    /// The certified state is older than what this client has seen.
    #[error("older than what was seen before: {what} {found} after {known}")]
    Older {
        /// Of what.
        what: &'static str,
        /// Seen before.
        known: u64,
        /// Certified now.
        found: u64,
    },
    /// Two certified heads for one position.
    #[error("two certified histories for one position ({0}): a fork")]
    Fork(u32),
    /// Entries do not follow one another up to the certified head.
    #[error("the entries after {after} do not lead to the certified head")]
    Chain {
        /// Newest entry that was verified.
        after: u32,
    },
    /// An entry is not the one that follows.
    #[error("entry {found} where {expected} is due")]
    Order {
        /// Due.
        expected: u32,
        /// Answered.
        found: u32,
    },
    /// An entry of another queue.
    #[error("an entry of another queue")]
    OtherQueue,
    /// A commit is not the one that follows.
    #[error("the commit that starts epoch {found} where that of epoch {expected} is due")]
    CommitOrder {
        /// Due.
        expected: u32,
        /// Answered.
        found: u32,
    },
    /// Commits do not follow one another up to the certified commit head.
    #[error("the commits after epoch {after} do not lead to the certified commit head")]
    CommitChain {
        /// Newest epoch that was verified.
        after: u32,
    },
    /// Commits, epoch and keys of the leaf are not those of the entries.
    #[error("the certified epoch is not the one that the entries make")]
    Epoch,
    /// The queue that this client made or joined is certified not to exist.
    #[error("the queue is certified not to exist")]
    NoQueue,
    /// The records of an account do not hold.
    #[error("the records of an account do not hold: {0}")]
    Records(#[from] ProofError),
    /// What the transparency log answered does not hold.
    #[error(transparent)]
    Log(#[from] LookupError),
    /// Two certified heads of the log for one size.
    #[error("the log was certified with two roots at one size: a fork")]
    LogFork,
    /// An account's records are not a continuation of those seen before.
    #[error("the records of {0} do not continue those seen before")]
    RecordsChanged(AccountId),
    /// A leaf that its account's records do not show.
    #[error("a device in the group is not in the records of {0}")]
    GhostDevice(AccountId),
    /// A canister runs other code, or has other controllers, than the network file allows.
    #[error("the {0} runs code or has controllers that the network file does not allow")]
    Code(&'static str),
}

fn hex(relay: &CanisterId) -> String {
    let bytes = relay.as_slice().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

impl From<GroupError> for ClientError {
    fn from(error: GroupError) -> Self {
        Self::Group(error)
    }
}

impl From<CertificateError> for ClientError {
    fn from(error: CertificateError) -> Self {
        Self::NotVerified(error.into())
    }
}

impl From<WitnessError> for ClientError {
    fn from(error: WitnessError) -> Self {
        Self::NotVerified(error.into())
    }
}

impl From<LookupError> for ClientError {
    fn from(error: LookupError) -> Self {
        Self::NotVerified(error.into())
    }
}

impl From<ProofError> for ClientError {
    fn from(error: ProofError) -> Self {
        Self::NotVerified(error.into())
    }
}

impl ClientError {
    /// Whose turn it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Home(error) => match error {
                OpenError::WrongPassphrase
                | OpenError::InUse
                | OpenError::Exists
                | OpenError::Missing => ErrorKind::User,
                OpenError::KeyFile
                | OpenError::Disk(_)
                | OpenError::Database(_)
                | OpenError::Derivation => ErrorKind::Storage,
            },
            Self::Store(_) => ErrorKind::Storage,
            Self::NetworkFile(_)
            | Self::NoLog
            | Self::OtherNetworkFile
            | Self::NotVerified(_)
            | Self::Alarm
            | Self::LogProblem
            | Self::MemberProblem(_) => ErrorKind::NotVerified,
            Self::NoNetworkFile { .. }
            | Self::OtherNetwork
            | Self::NoSuchName(_)
            | Self::Ambiguous(_)
            | Self::Name(..)
            | Self::NoSuchAccount(_)
            | Self::NoDevice(_)
            | Self::Oneself
            | Self::NotAMember(_)
            | Self::DirectChat
            | Self::OtherSafetyNumber(_)
            | Self::Handle(_)
            | Self::NoSuchHandle(_)
            | Self::HandleTaken
            | Self::HandleResting(_)
            | Self::NoHandle
            | Self::HandleRefused(_)
            | Self::InboxCrowded
            | Self::RecordPending
            | Self::RecordLost
            | Self::MemberChanged(_)
            | Self::RevokedDevice(_)
            | Self::Revoked
            | Self::ClockWrong(_)
            | Self::Ended(_)
            | Self::NotStopped
            | Self::NotYet(_)
            | Self::Away
            | Self::ChangePending(_)
            | Self::ChangeLost(_)
            | Self::RecordRefused(_)
            | Self::NotTheIdentity
            | Self::WrongKit
            | Self::NoSuchDevice(_)
            | Self::NothingToUndo
            | Self::Recovering { .. }
            | Self::RecoverVoided => ErrorKind::User,
            Self::Reset(_) => ErrorKind::NotVerified,
            Self::Group(error) => match error {
                GroupError::TooLarge
                | GroupError::Refused(_)
                | GroupError::NotAllowed
                | GroupError::Nothing
                | GroupError::CommitPending
                | GroupError::NotAMember => ErrorKind::User,
                GroupError::KeyPackage(_) | GroupError::Welcome(_) | GroupError::Sealed => {
                    ErrorKind::NotVerified
                }
                GroupError::Storage(_) => ErrorKind::Storage,
                GroupError::Mls(..) => ErrorKind::Internal,
            },
            Self::Unreachable(_)
            | Self::RelayUnreachable { .. }
            | Self::Unfinished(_)
            | Self::Relay(_)
            | Self::Directory(_)
            | Self::Administration(_) => ErrorKind::Network,
            Self::Bug(_) => ErrorKind::Internal,
        }
    }

    /// Whether the same may succeed later although nobody changes anything: it is the fault of the
    /// way, of this machine, or of the node that answered, not of what was asked for.
    #[must_use]
    pub const fn may_heal(&self) -> bool {
        match self {
            Self::Store(_)
            | Self::Unreachable(_)
            | Self::RelayUnreachable { .. }
            | Self::Unfinished(_)
            | Self::ClockWrong(_) => true,
            Self::NotVerified(reason) => matches!(
                reason,
                NotVerified::NodeSignature
                    | NotVerified::Agent(_)
                    | NotVerified::Certificate(_)
                    | NotVerified::StaleCertificate(_)
                    | NotVerified::AheadOfTime(_)
                    | NotVerified::Witness(_)
                    | NotVerified::WitnessRoot
                    | NotVerified::Older { .. }
                    | NotVerified::Code(_)
                    // What a node makes up does not verify; what the log itself holds stays.
                    | NotVerified::Log(
                        LookupError::Form(_)
                            | LookupError::Head(_)
                            | LookupError::OtherHead
                            | LookupError::Log(_)
                            | LookupError::Places { .. }
                            | LookupError::Unlinked { .. }
                    )
            ),
            _ => false,
        }
    }

    /// What helps; empty where the message says it all.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Home(OpenError::InUse) => "close the other program that uses this home",
            Self::Home(OpenError::Missing) => {
                "make an account with `register`, or name another home"
            }
            Self::Home(OpenError::Exists) => "name another folder with --home",
            Self::Home(OpenError::WrongPassphrase) => "try again; nobody can reset it",
            Self::Unreachable(_) => {
                "check the connection; nothing is lost, `sync` goes on where it stopped"
            }
            Self::RelayUnreachable { .. } => {
                "nothing is lost and everything else goes on; `sync` tries that relay again"
            }
            Self::NotVerified(NotVerified::StaleCertificate(_)) => {
                "the node that answered is behind or lies; try another one"
            }
            Self::NotVerified(_) => {
                "nothing of that answer was taken; if it stays so, tell the network's operator"
            }
            Self::NoSuchName(_) => "list them with `contacts` and `history`",
            Self::InboxCrowded => {
                "nobody knows this account or device yet: begin again with another home"
            }
            Self::Away => {
                "ask a member to take you out and add you again; with one person, begin a new chat"
            }
            Self::ChangePending(_) => "`sync` goes on with it; try again afterwards",
            Self::RecordRefused(Rejected::Frozen) => {
                "it is frozen: only the recovery kit does anything now"
            }
            Self::RecordRefused(Rejected::RecoverPending) => {
                "a recover is on: wait until it counts, or void it with device and kit by \
                 `account change-kit`"
            }
            Self::NotTheIdentity => {
                "another device changed it, or a thief did; with the kit you get the account back: \
                 `account freeze --kit` at once, then `account recover` in another home"
            }
            Self::NoSuchDevice(_) => "list them with `account show`",
            Self::Recovering { .. } => "`sync` goes on when its 72 hours are over",
            Self::ChangeLost(_) => "look at it with `account show`, and try again",
            Self::RecoverVoided => "begin it again with the same words",
            Self::Alarm => {
                "see `paigham problems`, and say whether it was you; if not, freeze the account \
                 and recover it with the kit"
            }
            Self::LogProblem | Self::MemberProblem(_) => {
                "see `paigham problems`: the evidence lies in a file that anybody can check"
            }
            Self::Handle(_) => {
                "letters of one script, digits and underscores; a letter comes first"
            }
            Self::NoSuchHandle(_) => "ask its owner how it is spelled, or for the account id",
            Self::HandleTaken | Self::HandleResting(_) => "choose another one",
            Self::NoHandle => "take one with `paigham handle claim HANDLE`",
            Self::HandleRefused(HandleRejected::HoldsAnother) => {
                "an account has one handle: give the other one up with `paigham handle release`, \
                 and wait until that counts"
            }
            Self::OtherSafetyNumber(_) => {
                "somebody may stand between you: compare again, in person, before you write"
            }
            Self::MemberChanged(_) => {
                "compare safety numbers again, or accept the change with `contacts accept`"
            }
            Self::OtherNetwork => "use the network file that the home was made with",
            _ => "",
        }
    }
}
