//! What is shown of a conversation: one row for each entry that says something, under its certified
//! number, so that nothing is there twice.

use paigham_store::{Order, Table, WriteSet};
use paigham_wire::ids::{AccountId, QueueId};
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::ClientError;
use crate::view::{Arrived, Body, MessageView, SyncReport, Verified};

/// A line, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MessageRow {
    pub from: Option<[u8; 16]>,
    pub body: StoredBody,
    pub verified: Verified,
}

/// What a line says, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StoredBody {
    Text(String),
    /// A content document of a later version, kept whole.
    Unsupported(#[serde(with = "serde_bytes")] Vec<u8>),
    Created,
    Joined,
    Members {
        added: Vec<[u8; 16]>,
        removed: Vec<[u8; 16]>,
    },
    Leaving,
    PolicyChanged,
    KeysRenewed,
    Out,
    Stopped(String),
    /// Entries expired before this device read them.
    Expired {
        count: u32,
        after_ns: u64,
        before_ns: u64,
    },
    Lapsed,
    /// The conversation goes on in a new queue, without somebody.
    Reset {
        without: Option<[u8; 16]>,
    },
    /// Entries that this device could not follow, until it was re-added.
    Missed {
        count: u32,
    },
    /// The leaf of a device was replaced at its request.
    ReAdded {
        account: [u8; 16],
    },
    /// The leaf of this device was replaced, and it has not asked.
    Cloned,
}

impl MessageRow {
    /// Stores the line under its entry's number.
    pub fn save(&self, set: &WriteSet, queue: QueueId) -> Result<(), ClientError> {
        let number = u64::from(self.verified.seq);
        Ok(set.put_at(Table::Message, &queue.0, number, self)?)
    }
}

fn accounts(ids: Vec<[u8; 16]>) -> Vec<AccountId> {
    ids.into_iter().map(AccountId).collect()
}

impl From<StoredBody> for Body {
    fn from(stored: StoredBody) -> Self {
        match stored {
            StoredBody::Text(text) => Self::Text(text),
            StoredBody::Unsupported(_) => Self::Unsupported,
            StoredBody::Created => Self::Created,
            StoredBody::Joined => Self::Joined,
            StoredBody::Members { added, removed } => Self::Members {
                added: accounts(added),
                removed: accounts(removed),
            },
            StoredBody::Leaving => Self::Leaving,
            StoredBody::PolicyChanged => Self::PolicyChanged,
            StoredBody::KeysRenewed => Self::KeysRenewed,
            StoredBody::Out => Self::Out,
            StoredBody::Stopped(why) => Self::Stopped(why),
            StoredBody::Expired {
                count,
                after_ns,
                before_ns,
            } => Self::Expired {
                count,
                after_ns,
                before_ns,
            },
            StoredBody::Lapsed => Self::Lapsed,
            StoredBody::Reset { without } => Self::Reset {
                without: without.map(AccountId),
            },
            StoredBody::Missed { count } => Self::Missed { count },
            StoredBody::ReAdded { account } => Self::ReAdded {
                account: AccountId(account),
            },
            StoredBody::Cloned => Self::Cloned,
        }
    }
}

/// A queue in the history of a conversation.
pub(super) enum Part {
    /// All of it.
    Whole(QueueId),
    /// A reset that does not count: what was said in it.
    Texts(QueueId),
}

impl Part {
    const fn queue(&self) -> QueueId {
        match self {
            Self::Whole(queue) | Self::Texts(queue) => *queue,
        }
    }

    const fn shows(&self, row: &MessageRow) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Texts(_) => matches!(row.body, StoredBody::Text(_) | StoredBody::Unsupported(_)),
        }
    }
}

impl Client {
    /// The newest lines of a conversation, oldest first; own texts that wait come last.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn history(&self, queue: QueueId, limit: usize) -> Result<Vec<MessageView>, ClientError> {
        let queue = self.current(queue)?;
        let set = self.store.begin();
        let mut lines = self.waiting_lines(&set, queue)?;
        lines.reverse();
        // Newest first, through everything that this conversation continues.
        let before = self.predecessors(&set, queue)?;
        for part in std::iter::once(Part::Whole(queue)).chain(before) {
            let room = limit.saturating_sub(lines.len());
            if room == 0 {
                break;
            }
            let rows: Vec<(u64, MessageRow)> = set.page(
                Table::Message,
                &part.queue().0,
                0..=u64::MAX,
                Order::Descending,
                room,
            )?;
            let shown = rows.into_iter().filter(|(_, row)| part.shows(row));
            lines.extend(shown.map(|(_, row)| self.line(row)));
        }
        lines.truncate(limit);
        lines.reverse();
        Ok(lines)
    }

    /// Own texts that are not delivered yet.
    pub(super) fn waiting_lines(
        &self,
        set: &WriteSet,
        queue: QueueId,
    ) -> Result<Vec<MessageView>, ClientError> {
        let own = self.account.id();
        let lines = self.outgoing(set, queue)?.into_iter();
        Ok(lines
            .map(|(_, outgoing)| MessageView {
                from: Some(own),
                from_name: self.name_of(own),
                mine: true,
                body: Body::Text(outgoing.text),
                verified: None,
            })
            .collect())
    }

    /// A stored line as it is shown.
    pub(super) fn line(&self, row: MessageRow) -> MessageView {
        let from = row.from.map(AccountId);
        MessageView {
            from,
            from_name: from.map_or_else(String::new, |account| self.name_of(account)),
            mine: from == Some(self.account.id()),
            body: row.body.into(),
            verified: Some(row.verified),
        }
    }

    /// Fills in the lines that no sync has told yet: those of others since the last one, and the
    /// own ones that were delivered now.
    pub(crate) fn tell_new(&mut self, report: &mut SyncReport) -> Result<(), ClientError> {
        let delivered: Vec<_> = report
            .arrived
            .drain(..)
            .filter(|arrived| arrived.message.mine)
            .filter_map(|arrived| Some((arrived.queue, arrived.message.verified?.seq)))
            .collect();
        let set = self.store.begin();
        let mut changed = false;
        for mut one in self.all_conversations()? {
            let newest = one.newest_line();
            if one.told >= newest {
                continue;
            }
            changed = true;
            let queue = one.queue();
            let (from, to) = (u64::from(one.told) + 1, u64::from(newest));
            let rows: Vec<(u64, MessageRow)> = set.scan(Table::Message, &queue.0, from, to)?;
            let conversation = self.conversation_name(&one);
            let part = match self.is_other_reset(&one)? {
                true => Part::Texts(queue),
                false => Part::Whole(queue),
            };
            for (_, row) in rows.into_iter().filter(|(_, row)| part.shows(row)) {
                let seq = row.verified.seq;
                let message = self.line(row);
                if !message.mine || delivered.contains(&(queue, seq)) {
                    report.arrived.push(Arrived {
                        queue,
                        conversation: conversation.clone(),
                        message,
                    });
                }
            }
            one.told = newest;
            one.save(&set)?;
        }
        if changed {
            self.commit(set)?;
        }
        Ok(())
    }
}
