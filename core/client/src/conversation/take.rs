//! Verified entries, taken one by one, each in one step with the cursor.

use paigham_group::content::{self, Content};
use paigham_group::receive::{Committed, ReceiveError, Received, Stopped};
use paigham_group::{Group, Member};
use paigham_store::{Table, WriteSet};
use paigham_wire::envelope::GroupPolicy;
use paigham_wire::frame::PostKind;
use paigham_wire::ids::QueueId;

use super::change::Intent;
use super::commit::accounts_without;
use super::gap::tell_lost;
use super::history::StoredBody;
use super::leave::end;
use super::receive::Stretch;
use super::{Asked, Conversation, MessageRow, OwnWelcome, Stop, StoredStanding};
use crate::client::Client;
use crate::error::{ClientError, NotVerified};
use crate::log::{hear, keep_shown};
use crate::verify::{Link, Seen};
use crate::view::{Arrived, SyncReport, Verified};

impl Client {
    /// Takes verified entries, each in one step with the cursor. Returns whether nothing is left.
    pub(super) fn take(
        &mut self,
        queue: QueueId,
        stretch: Stretch,
        report: &mut SyncReport,
    ) -> Result<bool, ClientError> {
        let mut group = None;
        let seen = Seen::from(&stretch.leaf);
        for link in &stretch.links {
            let taken = self.take_entry(queue, link, stretch.certified, seen, &mut group)?;
            let ended = taken.ended;
            if let Some(row) = taken.row {
                let one = Conversation::load(&self.store.begin(), queue)?;
                report.arrived.push(Arrived {
                    queue,
                    conversation: self.conversation_name(&one),
                    message: self.line(row),
                });
            }
            if ended {
                return Ok(true);
            }
        }
        let set = self.store.begin();
        let mut one = Conversation::load(&set, queue)?;
        if one.seen != seen {
            one.seen = seen;
            one.save(&set)?;
            self.commit(set)?;
        } else {
            drop(set);
        }
        if stretch.complete {
            self.note_read(queue, stretch.certified.0)?;
        }
        Ok(stretch.complete)
    }

    /// Takes one entry. `group` is the group as the entry before left it.
    fn take_entry(
        &mut self,
        queue: QueueId,
        link: &Link,
        certified: (u64, u64),
        seen: Seen,
        group: &mut Option<Group>,
    ) -> Result<Taken, ClientError> {
        if link.header.kind == PostKind::Commit {
            self.connection.check_clock()?;
        }
        let set = self.store.begin();
        let mut one = Conversation::load(&set, queue)?;
        one.seen = seen;
        let mut current = match group.take() {
            Some(current) => current,
            None => Group::load(&self.crypto.with(set.mls()), one.group.clone())?,
        };
        let verified = Verified {
            seq: link.entry.seq,
            epoch: link.header.epoch,
            accepted_at: link.entry.accepted_at,
            certificate_time: certified.0,
            certificate_age_ms: certified.1,
        };
        let outcome = match self.take_own(&set, &mut one, &mut current, link)? {
            Some(own) => Ok(Some(own)),
            None => self.take_received(&set, &mut one, &mut current, link),
        };
        let (from, body) = match outcome {
            Ok(Some(line)) => line,
            Ok(None) => {
                self.advance(set, &mut one, &current, link, false)?;
                *group = Some(current);
                return Ok(Taken::default());
            }
            Err(Failed::Stopped(why)) => {
                drop(set);
                return self.stop(queue, why, verified);
            }
            Err(Failed::Error(error)) => return Err(error),
        };
        let row = MessageRow {
            from,
            body,
            verified,
        };
        row.save(&set, queue)?;
        let mut decides = matches!(row.body, StoredBody::Reset { .. });
        if let (Some(continues), Some(from)) = (&mut one.continues, row.from) {
            decides |= continues.note_post(from, verified.accepted_at);
        }
        if one.lost_its_peer(&current) {
            end(&mut one, StoredStanding::Out);
        }
        let ended = one.standing == StoredStanding::Out;
        if ended {
            // What the own state could still open was opened; nothing of it is needed any more.
            current.delete(&self.crypto.with(set.mls()))?;
            let (seq, accepted_at) = (link.entry.seq, link.entry.accepted_at);
            tell_lost(&set, &one, (seq, accepted_at), certified)?;
            one.take_place(link);
            one.save(&set)?;
            self.commit(set)?;
        } else {
            self.advance(set, &mut one, &current, link, decides)?;
            *group = Some(current);
        }
        Ok(Taken {
            row: Some(row),
            ended,
        })
    }

    fn advance(
        &self,
        set: WriteSet,
        one: &mut Conversation,
        group: &Group,
        link: &Link,
        decides: bool,
    ) -> Result<(), ClientError> {
        if link.header.kind == PostKind::Commit {
            one.reflect(group)?;
        } else {
            one.group = group.state().clone();
        }
        one.take_place(link);
        one.save(&set)?;
        if let Some(continues) = one.continues.as_ref().filter(|_| decides) {
            self.choose(&set, continues.old)?;
        }
        self.commit(set)
    }

    /// The conversation stops before this entry; its state stays that of the last good epoch.
    pub(super) fn stop(
        &self,
        queue: QueueId,
        stopped: Stopped,
        verified: Verified,
    ) -> Result<Taken, ClientError> {
        let why = stopped.to_string();
        let set = self.store.begin();
        let mut one = Conversation::load(&set, queue)?;
        end(&mut one, StoredStanding::Stopped(why.clone()));
        let (rule, by) = match stopped {
            Stopped::Violating { rule, by } => (Some(rule), by),
            Stopped::Unusable(_) => (None, None),
        };
        one.stop = Some(Stop {
            rule,
            offender: by.map(|member| (member.leaf, member.account)),
            accepted_at: verified.accepted_at,
        });
        // For others it may be a good one: they are asked to bring this device over it.
        one.asked = rule.is_none().then(Asked::default);
        let certified = (verified.certificate_time, verified.certificate_age_ms);
        tell_lost(&set, &one, (verified.seq, verified.accepted_at), certified)?;
        if let Some(gap) = &mut one.gap {
            gap.reached = verified.seq;
        }
        one.save(&set)?;
        let row = MessageRow {
            from: None,
            body: StoredBody::Stopped(why),
            verified,
        };
        row.save(&set, queue)?;
        self.commit(set)?;
        Ok(Taken {
            row: Some(row),
            ended: true,
        })
    }

    /// Own posts cannot be opened by their sender: they are known by H(post).
    fn take_own(
        &self,
        set: &WriteSet,
        one: &mut Conversation,
        group: &mut Group,
        link: &Link,
    ) -> Result<Option<Line>, ClientError> {
        let own = Some(self.account.id().0);
        match link.header.kind {
            PostKind::Application => {
                for (number, outgoing) in self.outgoing(set, one.queue())? {
                    let is_this = outgoing
                        .sealed
                        .as_ref()
                        .is_some_and(|sealed| sealed.hash == link.post_hash);
                    if is_this {
                        set.delete_at(Table::Outbox, &one.queue, number);
                        return Ok(Some((own, StoredBody::Text(outgoing.text))));
                    }
                }
                Ok(None)
            }
            PostKind::Proposal => {
                if one
                    .leave
                    .as_ref()
                    .is_some_and(|leave| leave.hash == link.post_hash)
                {
                    group.receive_own_leave(&self.crypto, &link.entry)?;
                    one.leave = None;
                    return Ok(Some((own, StoredBody::Leaving)));
                }
                Ok(None)
            }
            PostKind::Commit => Ok(None),
        }
    }

    fn take_received(
        &self,
        set: &WriteSet,
        one: &mut Conversation,
        group: &mut Group,
        link: &Link,
    ) -> Result<Option<Line>, Failed> {
        let provider = self.crypto.with(set.mls());
        let before = match link.header.kind {
            PostKind::Commit => Some(Roster::of(group).map_err(Failed::Error)?),
            PostKind::Application | PostKind::Proposal => None,
        };
        let received = group
            .receive(&self.crypto, &provider, &link.entry, &self.judge)
            .map_err(|error| match error {
                ReceiveError::Stopped(stopped) => Failed::Stopped(stopped),
                ReceiveError::Group(error) => Failed::Error(error.into()),
                ReceiveError::Epoch { .. } => Failed::Error(NotVerified::Epoch.into()),
            })?;
        match received {
            Received::Junk => Ok(None),
            Received::Message {
                from,
                content,
                gossip,
                capability,
            } => {
                if let Some(gossip) = gossip {
                    let now = self.connection.now_ns();
                    hear(set, from.account(), &gossip, now).map_err(Failed::Error)?;
                }
                if let Some(given) = capability {
                    self.keep_capability(set, &from, &given)
                        .map_err(Failed::Error)?;
                }
                Ok(text_line(&from, &content))
            }
            Received::Leaving(member) => Ok(Some((Some(member.account), StoredBody::Leaving))),
            Received::OwnCommit => self.take_own_commit(set, one, link).map_err(Failed::Error),
            Received::Committed(committed) => {
                let now = self.connection.now_ns();
                for shown in &committed.judged.shown {
                    keep_shown(set, shown, now).map_err(Failed::Error)?;
                }
                let own = self.account.device_id();
                let replaces = committed.judged.re_added.iter();
                let is_cloned =
                    replaces.into_iter().any(|leaf| leaf.device == own) && one.asked.is_none();
                let line = before.map(|before| take_commit(one, &before, &committed));
                Ok(
                    line.map(|(by, body)| match is_cloned && committed.removed_us {
                        true => (by, StoredBody::Cloned),
                        false => (by, body),
                    }),
                )
            }
        }
    }

    fn take_own_commit(
        &self,
        set: &WriteSet,
        one: &mut Conversation,
        link: &Link,
    ) -> Result<Option<Line>, ClientError> {
        let submission = one.submission.take();
        let submission = submission.ok_or(ClientError::Bug("an own commit that none sent"))?;
        for deposit in &submission.deposits {
            deposit.queue(set)?;
        }
        one.welcome = submission.welcome.map(|welcome| OwnWelcome {
            accepted_at: link.entry.accepted_at,
            ..welcome
        });
        // A reset is done when nobody is left to be taken over.
        let goes_on = matches!(one.intents.first(), Some(Intent::Reset { .. }));
        if submission.for_intent && !goes_on {
            one.drop_intent();
        }
        // Every commit renews the keys of who makes it.
        one.renew_at = 0;
        if one.standing == StoredStanding::Starting {
            one.standing = StoredStanding::Open;
            one.created_at = link.entry.accepted_at;
            let body = match &one.continues {
                Some(continues) => StoredBody::Reset {
                    without: continues.without,
                },
                None => StoredBody::Created,
            };
            return Ok(Some((Some(self.account.id().0), body)));
        }
        let body = change_body(
            submission.added,
            submission.removed,
            submission.policy_changed,
        );
        Ok(Some((Some(self.account.id().0), body)))
    }
}

/// Who was in a group, and under which rules, before an entry.
struct Roster {
    members: Vec<Member>,
    policy: GroupPolicy,
}

impl Roster {
    fn of(group: &Group) -> Result<Self, ClientError> {
        Ok(Self {
            members: group.members().collect(),
            policy: group.policy()?,
        })
    }
}

/// Another's commit: the own one on its way has lost.
fn take_commit(one: &mut Conversation, before: &Roster, committed: &Committed) -> Line {
    one.submission = None;
    one.leave = None;
    let judged = &committed.judged;
    let by = Some(judged.by.account);
    if committed.removed_us {
        end(one, StoredStanding::Out);
        return (by, StoredBody::Out);
    }
    let mut added: Vec<_> = judged.added.iter().map(|claim| claim.account.0).collect();
    added.sort_unstable();
    added.dedup();
    let removed = accounts_without(&before.members, &judged.removed);
    let policy_changed = judged.policy != before.policy;
    (by, change_body(added, removed, policy_changed))
}

/// Who, and what is shown.
type Line = (Option<[u8; 16]>, StoredBody);

enum Failed {
    Stopped(Stopped),
    Error(ClientError),
}

#[derive(Debug, Default)]
pub(super) struct Taken {
    row: Option<MessageRow>,
    ended: bool,
}

fn text_line(from: &Member, content: &[u8]) -> Option<Line> {
    let body = match content::read(content)? {
        Content::Text(text) => StoredBody::Text(text),
        Content::Unsupported(document) => StoredBody::Unsupported(document),
    };
    Some((Some(from.account), body))
}

fn change_body(added: Vec<[u8; 16]>, removed: Vec<[u8; 16]>, policy_changed: bool) -> StoredBody {
    // Who comes and goes by one commit has had a leaf replaced.
    if let ([account], [gone]) = (&added[..], &removed[..])
        && account == gone
    {
        return StoredBody::ReAdded { account: *account };
    }
    match (added.is_empty() && removed.is_empty(), policy_changed) {
        (false, _) => StoredBody::Members { added, removed },
        (true, true) => StoredBody::PolicyChanged,
        (true, false) => StoredBody::KeysRenewed,
    }
}
