//! Message requests: invitations of strangers, which wait until the owner says yes
//! (`spec/client.md` §8).
//!
//! A pointer that came by a ticket says nothing of who sent it. Its Welcome does, signed by a device
//! that the directory knows; so that much is read, and nothing of it stays but who asks. The group
//! is not joined, no entry of it is read, and nobody in it sees a sign of life, before the owner has
//! accepted.

use paigham_group::Group;
use paigham_store::{Table, WriteSet};
use paigham_wire::envelope::GroupForm;
use paigham_wire::ids::AccountId;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::conversation::Joining;
use crate::error::ClientError;
use crate::view::{Notice, RequestView, SyncReport};

/// Whether an invitation is to be followed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Leave {
    /// Not known yet: its Welcome was not read.
    #[default]
    Unasked,
    /// The owner is asked.
    Asked(Asked),
    /// It is followed.
    Given,
    /// It is not; kept so that the same invitation does not come up again.
    Refused,
}

/// What the owner is told of who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    from: [u8; 16],
    /// The group's name; `None` in a 1:1 chat.
    name: Option<String>,
    members: u32,
    /// Seconds since 1970.
    at: u64,
}

fn accepted_place(account: AccountId) -> Vec<u8> {
    [&b"accepted"[..], &account.0].concat()
}

impl Client {
    /// Whether somebody's invitations are followed without asking: the owner's own, those of
    /// contacts, and of whom the owner has accepted before.
    pub(crate) fn is_welcome(&self, account: AccountId) -> Result<bool, ClientError> {
        if account == self.account.id() || self.is_contact(account)? {
            return Ok(true);
        }
        let accepted: Option<bool> = self
            .store
            .begin()
            .get(Table::Contact, &accepted_place(account))?;
        Ok(accepted.is_some())
    }

    /// Keeps an invitation of a stranger until the owner answers, and tells of it once.
    pub(crate) fn hold(
        &mut self,
        number: u64,
        joining: &Joining,
        group: &Group,
        from: AccountId,
    ) -> Result<(), ClientError> {
        let policy = group.policy()?;
        let name = String::from_utf8_lossy(policy.name.as_slice()).into_owned();
        let mut accounts: Vec<_> = group.members().map(|member| member.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let now = self.connection.now_seconds();
        let asked = Asked {
            from: from.0,
            name: (policy.form == GroupForm::Group).then_some(name),
            members: u32::try_from(accounts.len()).unwrap_or(u32::MAX),
            at: now,
        };
        let mut held = joining.clone();
        held.leave = Leave::Asked(asked);
        if held.since == 0 {
            held.since = now;
        }
        let set = self.store.begin();
        held.put(&set, number)?;
        self.commit(set)?;
        self.notices.push(Notice::Requested(from));
        Ok(())
    }

    /// Invitations of strangers that wait for an answer, oldest first.
    ///
    /// # Errors
    /// [`ClientError::Store`].
    pub fn requests(&self) -> Result<Vec<RequestView>, ClientError> {
        let waiting = Joining::all(&self.store.begin())?;
        let asked = waiting
            .into_iter()
            .filter_map(|(number, joining)| match joining.leave {
                Leave::Asked(asked) => Some((number, asked)),
                Leave::Unasked | Leave::Given | Leave::Refused => None,
            });
        let shown = asked.map(|(number, asked)| RequestView {
            number,
            from: AccountId(asked.from),
            from_name: self.name_of(AccountId(asked.from)),
            group: asked.name,
            members: asked.members,
            asked_at: asked.at,
        });
        Ok(shown.collect())
    }

    /// Says yes to a request: the group is joined, and later invitations of the same account are
    /// followed without asking.
    ///
    /// # Errors
    /// [`ClientError::NoSuchName`], or of the sync that joins; the answer is kept then.
    pub async fn accept_request(&mut self, number: u64) -> Result<SyncReport, ClientError> {
        let set = self.store.begin();
        let from = answer(&set, number, Leave::Given)?;
        set.put(Table::Contact, &accepted_place(from), &true)?;
        self.commit(set)?;
        self.sync().await
    }

    /// Says no to a request. Who sent it is not told, and the same invitation does not come up
    /// again.
    ///
    /// # Errors
    /// [`ClientError::NoSuchName`], [`ClientError::Store`].
    pub fn decline_request(&mut self, number: u64) -> Result<(), ClientError> {
        let set = self.store.begin();
        answer(&set, number, Leave::Refused)?;
        self.commit(set)
    }
}

/// Answers a request that is open; tells whose it is.
fn answer(set: &WriteSet, number: u64, leave: Leave) -> Result<AccountId, ClientError> {
    let mut waiting = Joining::all(set)?.into_iter();
    let found = waiting.find(|(there, _)| *there == number);
    let no_such = || ClientError::NoSuchName(format!("request {number}"));
    let (_, mut joining) = found.ok_or_else(no_such)?;
    let Leave::Asked(asked) = std::mem::replace(&mut joining.leave, leave) else {
        return Err(no_such());
    };
    joining.put(set, number)?;
    Ok(AccountId(asked.from))
}
