//! Handles: which record may come next, and which handle an account has (`spec/handles.md`).

use ic_stable_structures::{Memory, StableBTreeMap};
use paigham_transparency::hash::Label;
use paigham_transparency::store::Store;
use paigham_wire::directory::DirectoryError;
use paigham_wire::identity::AccountState;
use paigham_wire::identity::handle::{
    Accounts, HandleKind, HandleRecord, HandleRejected, HandleState, Holding, KeyRule, Skeleton,
};
use paigham_wire::ids::AccountId;

use crate::MAX_RECORDS;
use crate::directory::Directory;
use crate::judge::{NS_PER_MS, Named, account_label};
use crate::pending::Class;

/// The handle that an account claimed last: its label. Whether it still holds it, the label says.
pub(crate) struct Holders<M: Memory>(StableBTreeMap<[u8; 16], Vec<u8>, M>);

impl<M: Memory> Holders<M> {
    pub(crate) fn open(memory: M) -> Self {
        Self(StableBTreeMap::init(memory))
    }

    fn of(&self, account: &AccountId) -> Option<Label> {
        Label::new(self.0.get(&account.0)?).ok()
    }

    /// Notes a record that was published.
    pub(crate) fn note(&mut self, record: &HandleRecord) {
        let content = &record.content;
        if content.kind == HandleKind::Claim {
            let label = content.handle.skeleton().label();
            self.0.insert(content.account.0, label);
        }
    }
}

/// Label, version and class of a handle's record, whether or not it may come next.
pub(crate) fn name_handle(record: &HandleRecord) -> Result<Named, DirectoryError> {
    let label = record.content.handle.skeleton().label();
    Ok(Named {
        label: Label::new(label).map_err(|_| DirectoryError::Malformed)?,
        version: record.content.record_version,
        class: Class::Usual,
    })
}

/// Accounts as the log has them now.
struct LoggedAccounts<'a, M: Memory>(&'a Directory<M>);

impl<M: Memory> Accounts for LoggedAccounts<'_, M> {
    fn at(&self, account: &AccountId, _now: u64) -> Option<AccountState> {
        let label = account_label(account).ok()?;
        self.0.account_state(&label).ok().flatten()
    }
}

impl<M: Memory> Directory<M> {
    /// Whether a record follows those of its handle in the log at a time, for an account that has
    /// no other handle.
    ///
    /// # Errors
    /// [`DirectoryError::Handle`]: why not.
    pub(crate) fn judge_handle(
        &self,
        named: &Named,
        record: &HandleRecord,
        now_ns: u64,
    ) -> Result<(), DirectoryError> {
        let before = self.handle_state(&named.label)?;
        if before
            .as_ref()
            .is_some_and(|state| state.version() >= MAX_RECORDS - 1)
        {
            return Err(DirectoryError::Full);
        }
        let skeleton =
            Skeleton::of_label(named.label.as_bytes()).ok_or(DirectoryError::Malformed)?;
        let accounts = LoggedAccounts(self);
        HandleState::next(
            before.as_ref(),
            &skeleton,
            record,
            now_ns,
            &accounts,
            KeyRule::Counting,
        )
        .map_err(DirectoryError::Handle)?;
        self.check_only_one(named, record, now_ns)
    }

    /// HND-14: a claim is by an account that holds no other handle.
    fn check_only_one(
        &self,
        named: &Named,
        record: &HandleRecord,
        now_ns: u64,
    ) -> Result<(), DirectoryError> {
        let account = &record.content.account;
        let other = self
            .holders
            .of(account)
            .filter(|label| *label != named.label);
        let (HandleKind::Claim, Some(other)) = (record.content.kind, other) else {
            return Ok(());
        };
        let Some(state) = self.handle_state(&other)? else {
            return Ok(());
        };
        match state.at(now_ns, &LoggedAccounts(self)) {
            Holding::Held { by, .. } if by == *account => {
                Err(DirectoryError::Handle(HandleRejected::HoldsAnother))
            }
            Holding::Held { .. } | Holding::Resting { .. } | Holding::Free => Ok(()),
        }
    }

    /// What the newest logged record of a handle makes; each was judged when it came.
    fn handle_state(&self, label: &Label) -> Result<Option<HandleState>, DirectoryError> {
        let Some(newest) = self.log.version_count(label).checked_sub(1) else {
            return Ok(None);
        };
        let stored = self.log.version(label, newest);
        let stored = stored.ok_or(DirectoryError::Damaged)?;
        let entry = self.log.entry(stored.place.position);
        let at = entry.ok_or(DirectoryError::Damaged)?.timestamp * NS_PER_MS;
        let record = HandleRecord::decode(&stored.value).map_err(|_| DirectoryError::Damaged)?;
        Ok(Some(HandleState::of_newest(&record, at)))
    }

    /// Whether a record waits for the account that a handle's record names: then the handle's
    /// waits too, so that readers see from the times alone which of both came first (HND-15).
    pub(crate) fn account_waits(&self, record: &HandleRecord) -> bool {
        account_label(&record.content.account).is_ok_and(|label| self.pending.of(&label).is_some())
    }
}
