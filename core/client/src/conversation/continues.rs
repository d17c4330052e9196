//! Which conversation the user sees: of several resets one, in the place of the one that stopped.

use paigham_group::Group;
use paigham_group::reset::Rank;
use paigham_store::{Table, WriteSet};
use paigham_wire::ids::{AccountId, QueueId};
use serde::{Deserialize, Serialize};

use super::history::Part;
use super::leave::end;
use super::send::OutgoingText;
use super::{ALL, Conversation, StoredStanding};
use crate::client::Client;
use crate::error::ClientError;
use crate::people::next_number;

/// Resets of resets that are followed; more is no conversation but a loop.
const CHAIN_MAX: usize = 1_000;

/// What a conversation continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Continues {
    pub old: [u8; 32],
    pub rank: Rank,
    pub without: Option<[u8; 16]>,
    /// How many accounts the old one had, less the offender.
    accounts: usize,
    /// Which of them have posted here.
    posted: Vec<[u8; 16]>,
    /// When more than half of them had, nanoseconds since 1970; 0: not yet.
    final_at: u64,
    /// Whether another one counts for good.
    lost: bool,
    /// Whether there are several.
    contested: bool,
    /// Up to which certified time it was read while there are, nanoseconds since 1970.
    read_at: u64,
}

impl Continues {
    pub fn new(old: &Group, offender: Option<AccountId>, rank: Rank) -> Self {
        let mut accounts: Vec<_> = old.survivors(offender).map(|one| one.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        Self {
            old: old.queue().0,
            rank,
            without: offender.map(|account| account.0),
            accounts: accounts.len(),
            posted: Vec::new(),
            final_at: 0,
            lost: false,
            contested: false,
            read_at: 0,
        }
    }

    /// The same, in another queue that is yet to be made.
    pub fn moved_to(mut self, queue: QueueId) -> Self {
        self.rank.queue = queue.0;
        self
    }

    /// An account has posted, in an entry accepted then. Returns whether that made it final.
    pub fn note_post(&mut self, account: [u8; 16], accepted_at: u64) -> bool {
        if self.posted.contains(&account) || self.final_at > 0 {
            return false;
        }
        self.posted.push(account);
        let is_final = self.posted.len() * 2 > self.accounts;
        if is_final {
            self.final_at = accepted_at;
        }
        is_final
    }
}

fn listed(set: &WriteSet) -> Result<Vec<Conversation>, ClientError> {
    let listed: Vec<(u64, [u8; 32])> = set.scan(Table::Conversation, ALL, 0, u64::MAX)?;
    listed
        .into_iter()
        .map(|(_, queue)| Conversation::load(set, QueueId(queue)))
        .collect()
}

/// The resets of a conversation that this device is in, or was.
pub(super) fn candidates(set: &WriteSet, old: [u8; 32]) -> Result<Vec<Conversation>, ClientError> {
    let mut all = listed(set)?;
    all.retain(|one| {
        one.continues
            .as_ref()
            .is_some_and(|continues| continues.old == old && !continues.lost)
            && !(one.standing == StoredStanding::Out && one.created_at == 0)
    });
    Ok(all)
}

/// Of several resets the one that counts: the first that became final; until one does, the one of
/// the least rank.
fn chosen(candidates: &[Conversation]) -> Option<&Conversation> {
    let of = |one: &Conversation| one.continues.clone();
    let begun = || {
        candidates
            .iter()
            .filter(|one| one.standing != StoredStanding::Starting)
    };
    let is_final = |one: &&Conversation| of(one).is_some_and(|it| it.final_at > 0);
    let first = begun()
        .filter(is_final)
        .min_by_key(|one| of(one).map(|it| (it.final_at, it.rank)));
    first.or_else(|| begun().min_by_key(|one| of(one).map(|it| it.rank)))
}

impl Client {
    /// The conversation that the user sees in the place of another: what continues it, or itself.
    pub(crate) fn current(&self, queue: QueueId) -> Result<QueueId, ClientError> {
        let set = self.store.begin();
        let mut at = queue;
        for _ in 0..CHAIN_MAX {
            let one = Conversation::load(&set, at)?;
            let next = match (&one.continued_by, &one.continues) {
                (Some(next), _) => *next,
                (None, Some(continues)) => {
                    let old = Conversation::load(&set, QueueId(continues.old))?;
                    old.continued_by.unwrap_or(one.queue)
                }
                (None, None) => one.queue,
            };
            if next == at.0 {
                break;
            }
            at = QueueId(next);
        }
        Ok(at)
    }

    /// Whether the user sees a conversation: it is not continued, and no other counts in its place.
    pub(crate) fn is_shown(&self, one: &Conversation) -> Result<bool, ClientError> {
        Ok(self.current(one.queue())? == one.queue())
    }

    /// Whether a conversation is a reset in whose place another one counts.
    pub(super) fn is_other_reset(&self, one: &Conversation) -> Result<bool, ClientError> {
        Ok(one.continues.is_some() && !self.is_shown(one)? && one.continued_by.is_none())
    }

    /// What lies in front of a conversation in the history, newest first: resets that do not count,
    /// in which something may have been said, and the conversation that stopped; and so on.
    pub(super) fn predecessors(
        &self,
        set: &WriteSet,
        queue: QueueId,
    ) -> Result<Vec<Part>, ClientError> {
        let mut found = Vec::new();
        let mut at = Conversation::load(set, queue)?;
        while let Some(continues) = &at.continues
            && found.len() < CHAIN_MAX
        {
            let old = continues.old;
            let is_other = |one: &Conversation| {
                one.queue != at.queue && one.continues.as_ref().is_some_and(|it| it.old == old)
            };
            let others = listed(set)?;
            let others = others.iter().filter(|one| is_other(one));
            found.extend(others.map(|one| Part::Texts(one.queue())));
            found.push(Part::Whole(QueueId(old)));
            at = Conversation::load(set, QueueId(old))?;
        }
        Ok(found)
    }

    /// A reset came, was read or became final: which one counts, and what of the others goes over.
    ///
    /// One that does not count is given up once it was read beyond the time at which another became
    /// final: so nobody overlooks that it was final before.
    pub(super) fn choose(&self, set: &WriteSet, old: [u8; 32]) -> Result<(), ClientError> {
        let mut candidates = candidates(set, old)?;
        if candidates.len() > 1 {
            for one in &mut candidates {
                if let Some(continues) = &mut one.continues {
                    continues.contested = true;
                }
                one.save(set)?;
            }
        }
        let Some(chosen) = chosen(&candidates) else {
            return Ok(());
        };
        let final_at = chosen.continues.as_ref().map_or(0, |it| it.final_at);
        let mut stopped = Conversation::load(set, QueueId(old))?;
        stopped.continued_by = Some(chosen.queue);
        stopped.asked = None;
        stopped.save(set)?;
        move_waiting(set, old, chosen.queue)?;
        for other in &candidates {
            let read_at = other.continues.as_ref().map_or(0, |it| it.read_at);
            if other.queue != chosen.queue && final_at > 0 && read_at > final_at {
                self.give_up_reset(set, other.queue())?;
                move_waiting(set, other.queue, chosen.queue)?;
            }
        }
        Ok(())
    }

    /// A reset was read to a certified head: while there are several, that may decide.
    pub(super) fn note_read(&self, queue: QueueId, certified_ns: u64) -> Result<(), ClientError> {
        let set = self.store.begin();
        let mut one = Conversation::load(&set, queue)?;
        let Some(continues) = one.continues.as_mut().filter(|it| it.contested && !it.lost) else {
            return Ok(());
        };
        continues.read_at = certified_ns;
        let old = continues.old;
        one.save(&set)?;
        self.choose(&set, old)?;
        self.commit(set)
    }

    /// Another reset counts for good: this one ends, and what was said in it stays.
    fn give_up_reset(&self, set: &WriteSet, queue: QueueId) -> Result<(), ClientError> {
        let mut one = Conversation::load(set, queue)?;
        if let Some(continues) = &mut one.continues {
            continues.lost = true;
        }
        if !one.has_ended() {
            let provider = self.crypto.with(set.mls());
            Group::load(&provider, one.group.clone())?.delete(&provider)?;
            end(&mut one, StoredStanding::Out);
        }
        one.save(set)
    }
}

/// Texts that wait go over to what continues their conversation, to be sealed anew there.
pub(super) fn move_waiting(
    set: &WriteSet,
    from: [u8; 32],
    to: [u8; 32],
) -> Result<(), ClientError> {
    let waiting: Vec<(u64, OutgoingText)> = set.scan(Table::Outbox, &from, 0, u64::MAX)?;
    let first = next_number(set, Table::Outbox, &to)?;
    for (number, (old, mut text)) in (first..).zip(waiting) {
        text.sealed = None;
        set.delete_at(Table::Outbox, &from, old);
        set.put_at(Table::Outbox, &to, number, &text)?;
    }
    Ok(())
}
