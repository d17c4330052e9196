//! What apps show: plain values, read from the home.

use paigham_wire::hash::Hash;
use paigham_wire::ids::{AccountId, CanisterId, DeviceId, QueueId};
use serde::{Deserialize, Serialize};

use crate::own::OwnChange;

/// This device's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// Whose home it is.
    pub account: AccountId,
    /// This device.
    pub device: DeviceId,
    /// What the owner calls themself here; not sent to anybody.
    pub name: String,
    /// The key that all devices of the account hold.
    pub identity_key: Hash,
    /// Whether the directory has certified the account.
    pub registered: bool,
    /// The network: its name, and the BLAKE3 of its file.
    pub network: String,
    /// BLAKE3 of the network file.
    pub network_hash: Hash,
    /// Whether that network's keys lie on one machine.
    pub development: bool,
}

/// A contact, as last seen in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactView {
    /// What the owner calls them.
    pub name: String,
    /// Who they are.
    pub account: AccountId,
    /// Version of their newest record.
    pub record_version: u32,
    /// The key that their safety number covers.
    pub identity_key: Hash,
    /// Devices that count.
    pub devices: usize,
    /// Certified time of that look, nanoseconds since 1970.
    pub seen_at: u64,
    /// How far their keys are to be believed.
    pub trust: Trust,
    /// The handle under which they were found last.
    pub handle: Option<String>,
}

/// A handle as the log shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandleView {
    /// As its holder spells it; as it was asked for where nobody holds it.
    pub handle: String,
    /// Who holds it.
    pub account: Option<AccountId>,
    /// How it stands.
    pub standing: HandleStanding,
}

/// Who may use a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandleStanding {
    /// An account holds it.
    Held,
    /// An account holds it and gives it up.
    Releasing {
        /// When that counts, nanoseconds since 1970.
        ends_at: u64,
    },
    /// Nobody holds it, and only who did may claim it.
    Resting {
        /// Until when, nanoseconds since 1970.
        until: u64,
    },
    /// Anybody may claim it.
    Free,
}

/// How far the keys of an account are to be believed, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Nothing was looked up yet.
    Unknown,
    /// The keys are in the log, where everybody sees the same.
    Logged,
    /// Safety numbers were compared for the key that counts now.
    Verified,
    /// The identity key is another one than before. Where numbers had been compared, nothing is
    /// sent until they are compared again or the change is accepted.
    Changed,
    /// The log shows of this account what must not be; nothing is sent until it is answered.
    Problem,
}

/// A member of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Who.
    pub account: AccountId,
    /// What the owner calls them.
    pub name: String,
    /// Whether they may change the group.
    pub admin: bool,
    /// How far their keys are to be believed.
    pub trust: Trust,
    /// Their devices in the group.
    pub devices: usize,
    /// Devices in the group that their record does not name any more.
    pub revoked: usize,
    /// When their record was last looked up, nanoseconds since 1970; 0 for never.
    pub seen_at: u64,
}

/// How a conversation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Being made: its first commit is not accepted yet.
    Starting,
    /// Usable.
    Open,
    /// Asked to leave; the next commit of another member takes this account out.
    Leaving,
    /// Left or removed; nothing new can be read.
    Out,
    /// Stopped at a commit that breaks the rules or cannot be applied; the text says which.
    Stopped(String),
    /// This device was away for longer than the changes of the group are kept and cannot follow it
    /// any more. A member can take it out and add it again.
    Lapsed,
}

/// A conversation in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationView {
    /// Its queue.
    pub queue: QueueId,
    /// The contact's or the group's name.
    pub name: String,
    /// Whether it is a 1:1 chat.
    pub direct: bool,
    /// Members' accounts, ascending.
    pub members: Vec<AccountId>,
    /// Admins' accounts, ascending.
    pub admins: Vec<AccountId>,
    /// How it stands.
    pub standing: Standing,
    /// Current epoch.
    pub epoch: u32,
    /// Newest entry that was verified.
    pub seq: u32,
    /// What all members of an epoch have alike: compare it to be sure of being in one group.
    pub authenticator: Hash,
    /// Who broke the rules, where the conversation stopped at that.
    pub stopped_by: Option<AccountId>,
    /// Messages that wait to be delivered.
    pub waiting: usize,
}

/// What was verified of an entry before it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Its certified number in the queue.
    pub seq: u32,
    /// Its epoch.
    pub epoch: u32,
    /// When the relay took it, certified by the chain; nanoseconds since 1970.
    pub accepted_at: u64,
    /// Time of the certificate that it was verified under; nanoseconds since 1970.
    pub certificate_time: u64,
    /// How old that certificate was then, in milliseconds.
    pub certificate_age_ms: u64,
}

/// One line of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageView {
    /// Who said or did it; `None` where nobody is to be named.
    pub from: Option<AccountId>,
    /// What the owner calls them; their id's first digits otherwise.
    pub from_name: String,
    /// Whether it is of this account.
    pub mine: bool,
    /// What it is.
    pub body: Body,
    /// What was verified; `None` while it waits to be delivered.
    pub verified: Option<Verified>,
}

/// What a line of a conversation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A text.
    Text(String),
    /// Something that this version cannot show.
    Unsupported,
    /// The conversation was made.
    Created,
    /// This device joined here; earlier messages cannot be read.
    Joined,
    /// Accounts came in or went out.
    Members {
        /// Came in.
        added: Vec<AccountId>,
        /// Were removed, or left.
        removed: Vec<AccountId>,
    },
    /// An account asked to leave.
    Leaving,
    /// The rules or the name were changed.
    PolicyChanged,
    /// A member renewed its keys.
    KeysRenewed,
    /// This device was taken out here; nothing new can be read.
    Out,
    /// The conversation stopped here; the text says why.
    Stopped(String),
    /// Entries had expired before this device fetched them. Changes of the group are not among
    /// them: those were all read.
    Expired {
        /// How many.
        count: u32,
        /// None is older; nanoseconds since 1970, 0 where nothing before is known.
        after_ns: u64,
        /// None is younger; nanoseconds since 1970.
        before_ns: u64,
    },
    /// From here on this device cannot follow: the changes of the group have expired, too.
    Lapsed,
    /// The group was made anew here, because somebody had broken its rules or nobody could apply a
    /// change; everything goes on.
    Reset {
        /// Who is not in it any more.
        without: Option<AccountId>,
    },
    /// What this device could not follow, until a member brought it back.
    Missed {
        /// How many entries, changes among them.
        count: u32,
    },
    /// A device of this account could not follow and was brought back.
    ReAdded {
        /// Whose.
        account: AccountId,
    },
    /// Another device with this one's keys has asked to take its place here: this device, or its
    /// data, was copied.
    Cloned,
}

/// An invitation of a stranger that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestView {
    /// What it is accepted or declined by.
    pub number: u64,
    /// Who invites, as the directory certifies.
    pub from: AccountId,
    /// What the owner calls them; their id's first digits otherwise.
    pub from_name: String,
    /// What they call the group; `None` for a 1:1 chat.
    pub group: Option<String>,
    /// How many accounts are said to be in it.
    pub members: u32,
    /// When this device read it, seconds since 1970.
    pub asked_at: u64,
}

/// A line that arrived with a [`crate::Client::sync`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// In which conversation.
    pub queue: QueueId,
    /// That conversation's name.
    pub conversation: String,
    /// The line.
    pub message: MessageView,
}

/// What a sync did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// New lines of others, and own ones that are delivered now, in order.
    pub arrived: Vec<Arrived>,
    /// Conversations that this device joined.
    pub joined: Vec<QueueId>,
    /// What the user should know.
    pub notices: Vec<Notice>,
    /// Messages and changes that still wait.
    pub waiting: usize,
}

/// What the user should know although nothing failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// This machine's clock differs from certified time by so many seconds (positive: ahead). The
    /// network's time is used.
    ClockWrong(i64),
    /// An invitation did not lead into a group that verifies.
    JoinRefused(String),
    /// One conversation could not be brought up to date; others could.
    ConversationFailed(String, String),
    /// A relay does not answer: invitations that lie there, or are to go there, wait.
    RelayUnreachable(CanisterId),
    /// A contact's identity key changed.
    IdentityChanged(AccountId),
    /// A change of the own account was not made: another record came first.
    OwnChangeLost(OwnChange),
    /// This home's recover is published and counts at that time, nanoseconds since 1970.
    Recovering {
        /// When.
        counts_at_ns: u64,
    },
    /// Somebody who is no contact invites; [`crate::Client::requests`] has it.
    Requested(AccountId),
    /// A change of the own account is not in the log although it was sent minutes ago.
    NotPublished(u32),
    /// There is a problem that waits for an answer.
    Problem(u64),
    /// The log showed a newer network file, which follows the pinned one; it is pinned now. Its
    /// number.
    NetworkFollowed(u64),
    /// The log shows a newer network file that leads to another log; open its link to go there. Its
    /// number.
    OtherLog(u64),
    /// The network file of this home was issued more than an hour ago and is not in its log. Its
    /// number.
    NetworkUnlogged(u64),
    /// The log has not shown its network files for seven days: a newer one may come by a link only.
    NetworkSilent {
        /// Since when, nanoseconds since 1970.
        since_ns: u64,
    },
    /// Fewer auditors vouch for the log than the network asks for. They may be late; nothing stops.
    NotAudited {
        /// So many vouch.
        vouching: usize,
        /// So many are asked for.
        required: usize,
        /// When enough of them last did, nanoseconds since 1970.
        met_at_ns: Option<u64>,
    },
    /// The statement of the auditor with this key does not hold over the log that this device is
    /// shown: one of the two is shown another log, or a node has changed the statement.
    AuditorDisagrees([u8; 32]),
    /// The own handle has a record that this device did not make: somebody holds the identity key.
    HandleChanged {
        /// As it is shown.
        handle: String,
        /// When a pending release counts, nanoseconds since 1970; a claim voids it until then.
        ends_at: Option<u64>,
    },
}
