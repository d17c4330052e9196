//! Who is in a conversation, by the log: records that are looked at again before anything is sent,
//! devices that were revoked, and the roster (`spec/client.md` §9.5).

use std::collections::BTreeMap;

use paigham_group::proof::{LeafClaim, check_device};
use paigham_group::{Group, Member};
use paigham_store::WriteSet;
use paigham_wire::ids::{AccountId, QueueId};

use super::Conversation;
use crate::client::Client;
use crate::error::ClientError;
use crate::log::{KeptLabel, stops_sending};
use crate::people::{trust, was_verified};
use crate::view::{MemberView, Trust};

const HOUR_NS: u64 = 3_600 * 1_000_000_000;
/// How old the view of a member's record may be when something is sent.
const FRESH_NS: u64 = 24 * HOUR_NS;
/// The same in a large group, where it is looked at again in the background.
const FRESH_IN_LARGE_NS: u64 = 7 * 24 * HOUR_NS;
/// Accounts of the largest group in which nothing is sent over older records.
const SMALL_ACCOUNTS: usize = 16;

impl Client {
    /// The members of a conversation with the word that stands for each, ascending by account.
    ///
    /// # Errors
    /// [`ClientError::NoSuchName`].
    pub fn roster(&self, queue: QueueId) -> Result<Vec<MemberView>, ClientError> {
        let set = self.store.begin();
        let one = Conversation::load(&set, queue)?;
        let mut devices: BTreeMap<[u8; 16], (usize, usize)> = BTreeMap::new();
        if !one.has_ended() {
            let group = Group::load(&self.crypto.with(set.mls()), one.group.clone())?;
            for member in group.members() {
                let count = devices.entry(member.account).or_default();
                count.0 += 1;
                count.1 += usize::from(self.is_revoked(&set, &member)?);
            }
        }
        one.members
            .iter()
            .map(|member| {
                let account = AccountId(*member);
                let kept = KeptLabel::load(&set, account)?;
                let (all, revoked) = devices.get(member).copied().unwrap_or_default();
                Ok(MemberView {
                    account,
                    name: self.name_of(account),
                    admin: one.admins.contains(member),
                    trust: trust(&set, account)?,
                    devices: all,
                    revoked,
                    seen_at: kept.map_or(0, |kept| kept.seen_ns()),
                })
            })
            .collect()
    }

    /// Makes sure that something may be sent: nothing is unanswered, and every member is still who
    /// it was, by a record that is not too old.
    ///
    /// # Errors
    /// What the user must answer first.
    pub(super) async fn check_may_send(&mut self, queue: QueueId) -> Result<(), ClientError> {
        stops_sending(&self.store.begin())?;
        self.refresh_members(queue).await?;
        let set = self.store.begin();
        let one = Conversation::load(&set, queue)?;
        for member in one.members.iter().copied().map(AccountId) {
            match trust(&set, member)? {
                Trust::Problem => return Err(ClientError::MemberProblem(member)),
                Trust::Changed if was_verified(&set, member)? => {
                    return Err(ClientError::MemberChanged(member));
                }
                Trust::Changed | Trust::Unknown | Trust::Logged | Trust::Verified => {}
            }
        }
        Ok(())
    }

    /// Looks up again whose record was last seen too long ago.
    async fn refresh_members(&mut self, queue: QueueId) -> Result<(), ClientError> {
        let now = self.connection.now_ns();
        let (old, is_large) = {
            let set = self.store.begin();
            let one = Conversation::load(&set, queue)?;
            let is_large = one.members.len() > SMALL_ACCOUNTS;
            let longest = if is_large {
                FRESH_IN_LARGE_NS
            } else {
                FRESH_NS
            };
            let mut old = Vec::new();
            for account in one.members.iter().copied().map(AccountId) {
                let kept = KeptLabel::load(&set, account)?;
                let seen = kept.map_or(0, |kept| kept.seen_ns());
                if seen.saturating_add(longest) < now {
                    old.push(account);
                }
            }
            (old, is_large)
        };
        if old.is_empty() {
            return Ok(());
        }
        match self.look_up(&old).await {
            // The roster says how old they are.
            Err(error) if is_large && error.may_heal() => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Leaves of devices that their accounts' records do not name any more, as far as they were
    /// looked up.
    pub(super) fn revoked_members(
        &self,
        set: &WriteSet,
        group: &Group,
    ) -> Result<Vec<Member>, ClientError> {
        let mut revoked = Vec::new();
        for member in group.members() {
            if self.is_revoked(set, &member)? {
                revoked.push(member);
            }
        }
        Ok(revoked)
    }

    fn is_revoked(&self, set: &WriteSet, member: &Member) -> Result<bool, ClientError> {
        let Some(kept) = KeptLabel::load(set, member.account())? else {
            return Ok(false);
        };
        let claim = LeafClaim {
            account: member.account(),
            device: member.device(),
            leaf_key: member.leaf_key,
        };
        Ok(check_device(kept.history.state(), &claim, kept.seen_ns()).is_err())
    }

    /// Those of the revoked leaves that this device may take out: all as an admin, those of its own
    /// account always. A 1:1 chat keeps its two accounts.
    pub(super) fn removable(
        &self,
        set: &WriteSet,
        one: &Conversation,
        group: &Group,
    ) -> Result<Vec<u32>, ClientError> {
        let own = self.account.id();
        let is_admin = group.policy()?.is_admin(&own);
        let leaving = group.leaving();
        let revoked = self.revoked_members(set, group)?;
        let stays = |account: AccountId| {
            group.members().any(|member| {
                member.account() == account && revoked.iter().all(|gone| gone.leaf != member.leaf)
            })
        };
        let may_go = |member: &&Member| {
            let account = member.account();
            member.leaf != group.own_leaf()
                && !leaving.contains(&member.leaf)
                && (is_admin || account == own)
                && (one.peer.is_none() || stays(account))
        };
        Ok(revoked
            .iter()
            .filter(may_go)
            .map(|gone| gone.leaf)
            .collect())
    }

    /// Refuses to encrypt to a device that was revoked and that this device may not take out.
    pub(super) fn check_no_revoked(&self, queue: QueueId) -> Result<(), ClientError> {
        let set = self.store.begin();
        let one = Conversation::load(&set, queue)?;
        let group = Group::load(&self.crypto.with(set.mls()), one.group)?;
        let revoked = self.revoked_members(&set, &group)?;
        if revoked.iter().any(|gone| gone.leaf == group.own_leaf()) {
            return Err(ClientError::Revoked);
        }
        match revoked.first() {
            None => Ok(()),
            Some(gone) => Err(ClientError::RevokedDevice(gone.account())),
        }
    }
}
