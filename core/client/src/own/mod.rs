//! What an owner does with the own account: freeze, rotate, take devices out, change the kit,
//! delete, recover (`spec/client.md` §10, `spec/identity.md`).
//!
//! | file | what |
//! |---|---|
//! | `reauthenticated` | that the owner is there, and not only the open home |
//! | `records` | the own account as the log shows it |
//! | `propose` | the signed record of a change |
//! | `change` | the operations |
//! | `settle` | the change on its way: published, then taken into the home |
//! | `recover` | the account in a new home, from the kit |
//! | `status` | how the account stands, to be shown |

mod change;
mod propose;
mod reauthenticated;
mod records;
mod recover;
mod settle;
mod status;

use paigham_store::{Table, WriteSet};
use paigham_wire::identity::IdentityRecord;
use serde::{Deserialize, Serialize};

use crate::account::Seed;
use crate::error::ClientError;
use crate::log::keep_record;

pub use change::FreezeKey;
pub use reauthenticated::Reauthenticated;
pub use recover::{RecoverTarget, Recovery};
pub use status::{AccountStatus, DeviceStatus, PendingRecover};

const CHANGE: &[u8] = b"change";

/// A change of the own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnChange {
    /// Nothing but a recover or another kit for seven days.
    Freeze,
    /// A fresh identity key.
    Rotate,
    /// Devices go, with a fresh identity key.
    RemoveDevices,
    /// Another recovery kit.
    ChangeKit,
    /// The account ends in 72 hours.
    Delete,
    /// The kit takes the account back in 72 hours.
    Recover,
    /// A device comes in.
    AddDevice,
}

impl OwnChange {
    /// As people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Freeze => "a freeze",
            Self::Rotate => "a fresh identity key",
            Self::RemoveDevices => "the removal of devices",
            Self::ChangeKit => "another recovery kit",
            Self::Delete => "the end of the account",
            Self::Recover => "a recover",
            Self::AddDevice => "a new device",
        }
    }
}

/// A change on its way: its record is in the home before anything leaves it, and is sent again, byte
/// for byte, until the directory certifies its fate. There is one at a time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ChangeOnItsWay {
    pub what: OwnChange,
    /// Version of the record.
    pub version: u32,
    #[serde(with = "serde_bytes")]
    pub record: Vec<u8>,
    /// The identity key that the home takes up once the record counts, and not before.
    pub identity: Option<Seed>,
    /// Devices that the record takes out, and whose leaves leave the groups afterwards.
    pub removed: Vec<[u8; 16]>,
    /// Since when it waits, nanoseconds since 1970.
    pub since_ns: u64,
}

impl ChangeOnItsWay {
    pub fn load(set: &WriteSet) -> Result<Option<Self>, ClientError> {
        Ok(set.get(Table::Account, CHANGE)?)
    }

    /// Keeps it, with its record on the way into the log.
    fn begin(&self, set: &WriteSet) -> Result<(), ClientError> {
        keep_record(set, &self.record()?)?;
        Ok(set.put(Table::Account, CHANGE, self)?)
    }

    fn record(&self) -> Result<IdentityRecord, ClientError> {
        IdentityRecord::decode(&self.record)
            .map_err(|_| ClientError::Bug("an own record that does not decode"))
    }

    fn forget(set: &WriteSet) {
        set.delete(Table::Account, CHANGE);
    }
}
