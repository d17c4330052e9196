//! What is shown of a conversation: one row for each entry that says something, under its certified
//! number, so that nothing is there twice.

use paigham_store::{Order, Table, WriteSet};
use paigham_wire::ids::{AccountId, QueueId};
use serde::{Deserialize, Serialize};

use super::Conversation;
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
        }
    }
}

impl Client {
    /// The newest lines of a conversation, oldest first; own texts that wait come last.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn history(&self, queue: QueueId, limit: usize) -> Result<Vec<MessageView>, ClientError> {
        let set = self.store.begin();
        Conversation::load(&set, queue)?;
        let waiting = self.waiting_lines(&set, queue)?;
        let room = limit.saturating_sub(waiting.len());
        let rows: Vec<(u64, MessageRow)> = set.page(
            Table::Message,
            &queue.0,
            0..=u64::MAX,
            Order::Descending,
            room,
        )?;
        let mut lines: Vec<_> = rows
            .into_iter()
            .rev()
            .map(|(_, row)| self.line(row))
            .collect();
        lines.extend(waiting);
        Ok(lines.split_off(lines.len().saturating_sub(limit)))
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
            for (_, row) in rows {
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
