//! Conversations: a group, its queue, and what is on its way.
//!
//! | file | what |
//! |---|---|
//! | `start` | making one |
//! | `change` | add, remove, admins, keys: what is to be made, and settling all that waits |
//! | `commit` | the commit of a change: prepared, staged, submitted, given up |
//! | `invite` | devices that come in: key packages and pointers |
//! | `send` | texts: store, seal, deliver |
//! | `leave` | going |
//! | `members` | who is in it, by the log |
//! | `receive` | entries, fetched and verified from the cursor to the certified head |
//! | `gap` | across entries that expired: the commits, and what is left |
//! | `take` | verified entries, one by one |
//! | `join` | Welcomes |
//! | `joined_at` | the commit of a Welcome, on the chain |
//! | `history` | what is shown |
//! | `reset` | going on in a new queue after a commit that nobody takes |
//! | `continues` | which of several resets counts, and what the user sees |
//! | `welcome` | the Welcome of an own commit, before the joiners are told |
//! | `ask` | a device that cannot follow asks for a new leaf |

mod ask;
mod change;
mod commit;
mod continues;
mod gap;
mod history;
mod invite;
mod join;
mod joined_at;
mod leave;
mod members;
mod receive;
mod reset;
mod send;
mod start;
mod take;
mod welcome;

use std::time::Duration;

use paigham_group::{Group, GroupState};
use paigham_store::{Table, WriteSet};
use paigham_wire::envelope::GroupForm;
use paigham_wire::ids::{AccountId, CanisterId, QueueId};
use paigham_wire::leaf::QueueLeaf;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::{ClientError, NotVerified};
use crate::people::next_number;
use crate::verify::{Cursor, Link, Seen};
use crate::view::{ConversationView, Notice, Standing, SyncReport};

pub(crate) use ask::Asked;
pub(crate) use change::Intent;
#[cfg(feature = "testkit")]
pub(crate) use commit::Prepared;
pub(crate) use commit::Submission;
pub(crate) use continues::Continues;
pub(crate) use gap::Gap;
pub(crate) use history::MessageRow;
pub(crate) use join::{Joining, Sender};
pub(crate) use reset::Stop;
pub(crate) use send::SealedPost;
pub(crate) use welcome::OwnWelcome;

const ALL: &[u8] = b"all";
/// How long a post or commit may be on its way, in seconds; half of what the relay allows, so that
/// clocks may differ.
pub(crate) const POST_SECONDS: u64 = 300;
/// How often, and after which wait, a node that is a little behind the others is asked again.
pub(crate) const LAGGING_TRIES: u32 = 5;
pub(crate) const LAGGING_WAIT: Duration = Duration::from_millis(200);

/// How a conversation stands, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StoredStanding {
    Starting,
    Open,
    Leaving,
    Out,
    Stopped(String),
    /// Away for longer than commits are kept.
    Lapsed,
}

/// A conversation as the home keeps it. Everything of it changes in one write-set with the entry
/// that changes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Conversation {
    /// Its place in the list.
    pub number: u64,
    pub queue: [u8; 32],
    /// The relay canister of the queue.
    #[serde(with = "serde_bytes")]
    pub shard: Vec<u8>,
    /// The other account of a 1:1 chat.
    pub peer: Option<[u8; 16]>,
    /// A group's name; empty in a 1:1 chat.
    pub name: String,
    /// Members' accounts, as of the cursor.
    pub members: Vec<[u8; 16]>,
    pub admins: Vec<[u8; 16]>,
    pub authenticator: [u8; 32],
    pub standing: StoredStanding,
    pub group: GroupState,
    pub cursor: Cursor,
    pub seen: Seen,
    /// Newest entry that a sync has told of.
    pub told: u32,
    /// When the relay took the first commit that this device knows of; of two chats of the same
    /// pair the later one counts.
    pub created_at: u64,
    /// The `create_queue` request until it is answered.
    #[serde(with = "serde_bytes")]
    pub create: Option<Vec<u8>>,
    /// Changes that are to be made, in order.
    pub intents: Vec<Intent>,
    /// The commit on its way; it is that of the first intent, or one that nobody asked for.
    pub submission: Option<Submission>,
    /// The own SelfRemove on its way.
    pub leave: Option<SealedPost>,
    /// The Welcome that this device joined by; `None` where it made the conversation.
    pub joined_by: Option<[u8; 32]>,
    /// Entries behind the cursor that expired, while they are being crossed or if the conversation
    /// ended in them.
    #[serde(default)]
    pub gap: Option<Gap>,
    /// From when on this device is to renew its keys in the group, nanoseconds since 1970; 0: not.
    #[serde(default)]
    pub renew_at: u64,
    /// Where and why it stopped.
    #[serde(default)]
    pub stop: Option<Stop>,
    /// What it continues, if it is a reset.
    #[serde(default)]
    pub continues: Option<Continues>,
    /// The reset that counts.
    #[serde(default)]
    pub continued_by: Option<[u8; 32]>,
    /// The request for a new leaf, while this device cannot follow.
    #[serde(default)]
    pub asked: Option<Asked>,
    /// The Welcome of the last own commit, until it is certified to be the own one.
    #[serde(default)]
    pub welcome: Option<OwnWelcome>,
    /// Until when the capability lasts that the members have of this device, seconds since 1970;
    /// 0: one of them has none.
    #[serde(default)]
    pub handed_until: u64,
    /// When this device last told the others here what it has seen, nanoseconds since 1970.
    #[serde(default)]
    pub said_at: u64,
}

impl Conversation {
    pub fn load(set: &WriteSet, queue: QueueId) -> Result<Self, ClientError> {
        set.get(Table::Conversation, &queue.0)?
            .ok_or_else(|| ClientError::NoSuchName(queue.to_string()))
    }

    pub fn save(&self, set: &WriteSet) -> Result<(), ClientError> {
        Ok(set.put(Table::Conversation, &self.queue, self)?)
    }

    /// Enters a new one into the list.
    pub fn enter(&mut self, set: &WriteSet) -> Result<(), ClientError> {
        self.number = next_number(set, Table::Conversation, ALL)?;
        self.list(set)
    }

    /// Takes its number in the list.
    fn list(&self, set: &WriteSet) -> Result<(), ClientError> {
        set.put_at(Table::Conversation, ALL, self.number, &self.queue)?;
        self.save(set)
    }

    pub const fn queue(&self) -> QueueId {
        QueueId(self.queue)
    }

    pub fn shard(&self) -> Result<CanisterId, ClientError> {
        CanisterId::new(&self.shard).ok_or(ClientError::Bug("a queue on no canister"))
    }

    /// Takes over what the group says of itself.
    pub fn reflect(&mut self, group: &Group) -> Result<(), ClientError> {
        self.group = group.state().clone();
        let mut members: Vec<_> = group.members().map(|member| member.account).collect();
        members.sort_unstable();
        members.dedup();
        if members.iter().any(|member| !self.members.contains(member)) {
            // Who came in has not read the text that it was in.
            self.handed_until = 0;
        }
        self.members = members;
        let policy = group.policy()?;
        self.admins = policy.admins.iter().map(|admin| admin.0).collect();
        self.name = String::from_utf8_lossy(policy.name.as_slice()).into_owned();
        self.authenticator = group.authenticator_hash();
        Ok(())
    }

    /// Has devices of the own account go out of the group, if it goes on; tells whether it does.
    pub fn take_own_devices_out(&mut self, devices: &[[u8; 16]]) -> bool {
        let goes_on = matches!(
            self.standing,
            StoredStanding::Starting | StoredStanding::Open
        );
        if goes_on {
            self.intents.push(Intent::RemoveOwn {
                devices: devices.to_vec(),
            });
        }
        goes_on
    }

    /// Whether nothing comes or goes any more.
    fn has_ended(&self) -> bool {
        matches!(
            self.standing,
            StoredStanding::Out | StoredStanding::Stopped(_) | StoredStanding::Lapsed
        )
    }

    /// Whether it stopped at a commit that others may have applied, and nobody made it anew yet.
    fn waits_for_re_add(&self) -> bool {
        let is_unusable = self.stop.as_ref().is_some_and(|stop| stop.rule.is_none());
        matches!(self.standing, StoredStanding::Stopped(_))
            && is_unusable
            && self.asked.is_some()
            && self.continued_by.is_none()
    }

    /// Whether entries behind the cursor have expired.
    const fn has_lost(&self, leaf: &QueueLeaf) -> bool {
        leaf.first_seq > self.cursor.seq.saturating_add(1)
    }

    /// A link is taken: where the queue stands now.
    const fn take_place(&mut self, link: &Link) {
        self.cursor = link.after;
        if let Some(gap) = &mut self.gap {
            gap.take(link.entry.seq);
        }
    }

    /// The newest entry that may have a line. In a gap nothing is told before its own line is there.
    fn newest_line(&self) -> u32 {
        match (&self.gap, &self.standing) {
            (Some(gap), _) if self.has_ended() => gap.reached,
            // A conversation that stopped says so under the entry that it did not take.
            (None, StoredStanding::Stopped(_)) => self.cursor.seq.saturating_add(1),
            _ => self.cursor.seq,
        }
    }

    /// Whether entries can be read: a conversation that has its queue and has not ended.
    fn is_read(&self) -> bool {
        let has_token = self.group.generation > 0 || self.submission.is_some();
        !self.has_ended() && has_token && self.create.is_none()
    }

    /// Whether the other one of a 1:1 chat has left it: nobody would read what is said.
    fn lost_its_peer(&self, group: &Group) -> bool {
        let started = self.standing != StoredStanding::Starting && group.epoch() > 0;
        let is_there = |peer| group.members().any(|member| member.account == peer);
        started && self.peer.is_some_and(|peer| !is_there(peer))
    }

    /// The first change is done, or will never be.
    fn drop_intent(&mut self) {
        if !self.intents.is_empty() {
            self.intents.remove(0);
        }
    }

    /// Refuses what an ended conversation cannot take.
    fn check_open(&self) -> Result<(), ClientError> {
        match &self.standing {
            StoredStanding::Starting | StoredStanding::Open => Ok(()),
            StoredStanding::Leaving => Err(ClientError::Ended("you asked to leave it".into())),
            StoredStanding::Out => Err(ClientError::Ended("you are no longer in it".into())),
            StoredStanding::Stopped(why) => Err(ClientError::Ended(why.clone())),
            StoredStanding::Lapsed => Err(ClientError::Away),
        }
    }
}

/// The peer of a group's form and members, seen from one account.
fn peer_of(form: GroupForm, members: &[[u8; 16]], own: AccountId) -> Option<[u8; 16]> {
    match form {
        GroupForm::Direct => members.iter().find(|member| **member != own.0).copied(),
        GroupForm::Group => None,
    }
}

impl Client {
    /// All conversations, in the order in which they came.
    pub(crate) fn all_conversations(&self) -> Result<Vec<Conversation>, ClientError> {
        let set = self.store.begin();
        let listed: Vec<(u64, [u8; 32])> = set.scan(Table::Conversation, ALL, 0, u64::MAX)?;
        listed
            .into_iter()
            .map(|(_, queue)| Conversation::load(&set, QueueId(queue)))
            .collect()
    }

    /// The conversations, in the order in which they came.
    ///
    /// # Errors
    /// [`ClientError::Store`].
    pub fn conversations(&self) -> Result<Vec<ConversationView>, ClientError> {
        let mut shown = Vec::new();
        for one in self.all_conversations()? {
            if self.is_shown(&one)? {
                shown.push(self.conversation_view(&one)?);
            }
        }
        Ok(shown)
    }

    /// One conversation.
    ///
    /// # Errors
    /// [`ClientError::NoSuchName`].
    pub fn conversation(&self, queue: QueueId) -> Result<ConversationView, ClientError> {
        let queue = self.current(queue)?;
        let conversation = Conversation::load(&self.store.begin(), queue)?;
        self.conversation_view(&conversation)
    }

    fn conversation_view(&self, one: &Conversation) -> Result<ConversationView, ClientError> {
        let accounts = |ids: &[[u8; 16]]| ids.iter().copied().map(AccountId).collect();
        Ok(ConversationView {
            queue: one.queue(),
            name: self.conversation_name(one),
            direct: one.peer.is_some(),
            members: accounts(&one.members),
            admins: accounts(&one.admins),
            standing: match &one.standing {
                StoredStanding::Starting => Standing::Starting,
                StoredStanding::Open => Standing::Open,
                StoredStanding::Leaving => Standing::Leaving,
                StoredStanding::Out => Standing::Out,
                StoredStanding::Stopped(why) => Standing::Stopped(why.clone()),
                StoredStanding::Lapsed => Standing::Lapsed,
            },
            epoch: one.cursor.epoch,
            seq: one.cursor.seq,
            authenticator: one.authenticator,
            stopped_by: one.stop.as_ref().and_then(Stop::offender),
            waiting: self.outgoing(&self.store.begin(), one.queue())?.len(),
        })
    }

    pub(crate) fn conversation_name(&self, one: &Conversation) -> String {
        one.peer
            .map_or_else(|| one.name.clone(), |peer| self.name_of(AccountId(peer)))
    }

    /// The conversation of a contact's or group's name, or of the first digits of its id.
    ///
    /// # Errors
    /// [`ClientError::NoSuchName`], [`ClientError::Ambiguous`].
    pub fn find_conversation(&self, name: &str) -> Result<QueueId, ClientError> {
        let mut all = Vec::new();
        for one in self.all_conversations()? {
            if self.is_shown(&one)? {
                all.push(one);
            }
        }
        if let Ok(account) = self.find_account(name)
            && let Some(direct) = direct_with(&all, account).or_else(|| ended_with(&all, account))
        {
            return Ok(direct);
        }
        let called = |one: &&Conversation| one.peer.is_none() && one.name == name;
        let is_prefix = name.len() >= 8 && name.bytes().all(|digit| digit.is_ascii_hexdigit());
        let with_id = |one: &&Conversation| {
            is_prefix && one.queue().to_string().starts_with(&name.to_lowercase())
        };
        let mut found: Vec<_> = all.iter().filter(called).collect();
        if found.is_empty() {
            found = all.iter().filter(with_id).collect();
        }
        match found[..] {
            [] => Err(ClientError::NoSuchName(name.to_owned())),
            [one] => Ok(one.queue()),
            _ => Err(ClientError::Ambiguous(name.to_owned())),
        }
    }

    /// Messages and changes that wait, in all conversations.
    pub(crate) fn waiting(&self) -> Result<usize, ClientError> {
        let set = self.store.begin();
        let mut count = 0;
        let all = self.all_conversations()?;
        for one in all.iter().filter(|one| !one.has_ended()) {
            count += one.intents.len() + self.outgoing(&set, one.queue())?.len();
        }
        Ok(count)
    }

    /// Runs a step for each conversation; what fails in one is told and stops no other, but what
    /// would fail in all.
    pub(crate) async fn settle_all(&mut self, report: &mut SyncReport) -> Result<(), ClientError> {
        for one in self.all_conversations()? {
            if one.standing != StoredStanding::Starting && !self.is_shown(&one)? {
                continue;
            }
            self.renew_if_due(&one)?;
            let outcome = self.settle(one.queue(), report).await;
            self.one_failed(&one, outcome)?;
        }
        Ok(())
    }

    /// Whether an error is that of one conversation alone.
    pub(crate) fn one_failed(
        &mut self,
        one: &Conversation,
        outcome: Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        match outcome {
            Ok(()) => Ok(()),
            Err(error) if error.may_heal() && !is_of_one(&error) => Err(error),
            Err(error) => {
                let name = self.conversation_name(one);
                let notice = Notice::ConversationFailed(name, error.to_string());
                // Reading and settling may fail for the same reason.
                if !self.notices.contains(&notice) {
                    self.notices.push(notice);
                }
                Ok(())
            }
        }
    }
}

/// What may heal and is nevertheless of one conversation: its queue lags, its change waits, a relay
/// that it needs does not answer.
const fn is_of_one(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Unfinished(_)
            | ClientError::ClockWrong(_)
            | ClientError::RelayUnreachable { .. }
            | ClientError::NotVerified(NotVerified::Older { .. })
    )
}

/// The 1:1 chat with an account: of several the one made later.
fn direct_with(all: &[Conversation], account: AccountId) -> Option<QueueId> {
    let open = all.iter().filter(|one| !one.has_ended());
    newest_with(open, account)
}

/// The 1:1 chat with an account that can still be read, though nothing can be said in it.
fn ended_with(all: &[Conversation], account: AccountId) -> Option<QueueId> {
    newest_with(all.iter(), account)
}

fn newest_with<'a>(
    some: impl Iterator<Item = &'a Conversation>,
    account: AccountId,
) -> Option<QueueId> {
    some.filter(|one| one.peer == Some(account.0))
        .max_by_key(|one| (one.created_at, one.queue))
        .map(Conversation::queue)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_cbor::Value;

    use super::*;

    fn open_conversation() -> Conversation {
        let cursor = Cursor {
            seq: 5,
            head: [1; 32],
            commit_head: [2; 32],
            epoch: 3,
        };
        Conversation {
            number: 1,
            queue: [3; 32],
            shard: vec![4; 10],
            peer: None,
            name: "چائے".into(),
            members: vec![[5; 16]],
            admins: vec![[5; 16]],
            authenticator: [6; 32],
            standing: StoredStanding::Open,
            group: GroupState {
                queue: [3; 32],
                generation: 1,
                read_token: [7; 32],
                first_control_seed: None,
                pending: None,
                leaving: Vec::new(),
                commits: Vec::new(),
                re_adds: Vec::new(),
            },
            cursor,
            seen: Seen {
                seq: 5,
                head: [1; 32],
                epoch: 3,
                generation: 1,
                first_seq: 2,
            },
            told: 5,
            created_at: 9,
            create: None,
            intents: Vec::new(),
            submission: None,
            leave: None,
            joined_by: None,
            gap: Some(Gap::behind(5)),
            renew_at: 10,
            stop: None,
            continues: None,
            continued_by: None,
            asked: None,
            welcome: None,
            handed_until: 11,
            said_at: 12,
        }
    }

    fn fields(value: &mut Value) -> &mut BTreeMap<Value, Value> {
        match value {
            Value::Map(fields) => fields,
            other => panic!("{other:?}"),
        }
    }

    /// A home that was written before gaps were known opens: what is new has its stated default.
    #[test]
    fn an_older_record_is_read() {
        let now = open_conversation();
        let mut older = serde_cbor::value::to_value(&now).unwrap();
        let name = |name: &str| Value::Text(name.into());
        for new in [
            "gap",
            "renew_at",
            "said_at",
            "stop",
            "continues",
            "continued_by",
            "asked",
            "welcome",
            "handed_until",
        ] {
            assert!(fields(&mut older).remove(&name(new)).is_some());
        }
        let seen = fields(&mut older).get_mut(&name("seen")).unwrap();
        assert!(fields(seen).remove(&name("first_seq")).is_some());
        let read: Conversation = serde_cbor::value::from_value(older).unwrap();
        assert_eq!((read.gap, read.renew_at), (None, 0));
        assert_eq!((read.handed_until, read.said_at), (0, 0));
        assert_eq!(
            read.seen,
            Seen {
                first_seq: 0,
                ..now.seen
            }
        );
        assert_eq!((read.cursor, read.told), (now.cursor, now.told));
    }

    /// Lines are told once all in front of them are there: in a gap none, where it ended in one all
    /// up to its end.
    #[test]
    fn lines_are_told_in_order() {
        let mut one = open_conversation();
        one.gap = Some(Gap {
            reached: 9,
            first_lost: 6,
            commits: 1,
        });
        assert_eq!(one.newest_line(), 5, "the line of the gap is to come");
        for ended in [
            StoredStanding::Out,
            StoredStanding::Lapsed,
            StoredStanding::Stopped("why".into()),
        ] {
            one.standing = ended;
            assert_eq!(one.newest_line(), 9);
        }
        one.gap = None;
        assert_eq!(one.newest_line(), 6, "it stopped at the next");
        one.standing = StoredStanding::Out;
        assert_eq!(one.newest_line(), 5);
    }
}
