//! How the own account stands, to be shown.

use paigham_wire::hash::Hash;
use paigham_wire::ids::{AccountId, DeviceId};

use super::{ChangeOnItsWay, OwnChange};
use crate::client::Client;
use crate::error::ClientError;

/// The own account, as the directory certifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountStatus {
    /// Whose.
    pub account: AccountId,
    /// Version of its newest record.
    pub record_version: u32,
    /// Certified time of the look, nanoseconds since 1970.
    pub certified_ns: u64,
    /// The identity key that counts.
    pub identity_key: Hash,
    /// Whether this home holds it.
    pub holds_identity: bool,
    /// The devices that count, ascending by id.
    pub devices: Vec<DeviceStatus>,
    /// Until when it is frozen, nanoseconds since 1970.
    pub frozen_until_ns: Option<u64>,
    /// A recover that does not count yet.
    pub recover: Option<PendingRecover>,
    /// When a delete counts or counted, nanoseconds since 1970.
    pub deleted_at_ns: Option<u64>,
    /// A change of this home that is not certified yet, and since when, nanoseconds since 1970.
    pub on_its_way: Option<(OwnChange, u64)>,
}

/// A device of the own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceStatus {
    /// Its id.
    pub device: DeviceId,
    /// When it says it was added, nanoseconds since 1970.
    pub added_at_ns: u64,
    /// Whether it is this one.
    pub is_this: bool,
}

/// A recover that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingRecover {
    /// When it counts, nanoseconds since 1970.
    pub counts_at_ns: u64,
    /// Whether this home began it.
    pub is_own: bool,
}

impl Client {
    /// Asks the directory how this account stands; a change on its way goes on first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn account_status(&mut self) -> Result<AccountStatus, ClientError> {
        match self.sync_account().await {
            // What waits, or was lost, is what is to be shown.
            Ok(())
            | Err(
                ClientError::Unfinished(_)
                | ClientError::Recovering { .. }
                | ClientError::RecoverVoided,
            ) => {}
            Err(other) => return Err(other),
        }
        let on = self.own_records().await?;
        let (state, now) = (&on.state, on.now_ns);
        let standing = state.at(now);
        let mine = self.account.identity_key();
        let devices = if state.is_deleted(now) {
            Vec::new()
        } else {
            standing.devices
        };
        let devices = devices.into_iter().map(|entry| DeviceStatus {
            device: entry.device,
            added_at_ns: entry.added_at,
            is_this: entry.device == self.account.device_id(),
        });
        let on_its_way = ChangeOnItsWay::load(&self.store.begin())?;
        Ok(AccountStatus {
            account: state.account(),
            record_version: state.version(),
            certified_ns: now,
            identity_key: standing.identity_key,
            holds_identity: standing.identity_key == mine,
            devices: devices.collect(),
            frozen_until_ns: state.frozen_until(now),
            recover: state
                .recover_at(now)
                .map(|(counts_at_ns, to)| PendingRecover {
                    counts_at_ns,
                    is_own: to.identity_key == mine,
                }),
            deleted_at_ns: state.deleted_at(),
            on_its_way: on_its_way.map(|change| (change.what, change.since_ns)),
        })
    }
}
