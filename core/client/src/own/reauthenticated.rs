//! That the owner is there.

use paigham_wire::ids::DeviceId;

use crate::client::Client;
use crate::error::ClientError;

/// The owner of this home gave the passphrase just now. Each counts for one operation.
///
/// # Security
/// A thief of an open phone can read and write as its owner. What would turn others of the owner's
/// devices out, or end the account, asks for this, so that the app cannot do it for such a thief. It
/// does not stop one who reads the identity key out of the memory: against that stands the kit
/// (`spec/identity.md` §1).
#[derive(Debug)]
pub struct Reauthenticated {
    device: DeviceId,
}

impl Client {
    /// Asks for the passphrase of this home again.
    ///
    /// # Errors
    /// [`ClientError::Home`]: [`crate::OpenError::WrongPassphrase`], and
    /// [`crate::OpenError::Missing`] where the app keeps the store's key.
    pub fn reauthenticate(&self, passphrase: &str) -> Result<Reauthenticated, ClientError> {
        self.store.check_passphrase(passphrase)?;
        Ok(self.owner_is_there())
    }

    /// As [`Client::reauthenticate`], for an app whose platform keeps the store's key behind a
    /// question of its own: with that key, asked for anew.
    ///
    /// # Errors
    /// [`ClientError::Home`].
    pub fn reauthenticate_by_key(&self, key: &[u8; 32]) -> Result<Reauthenticated, ClientError> {
        self.store.check_key(key)?;
        Ok(self.owner_is_there())
    }

    const fn owner_is_there(&self) -> Reauthenticated {
        Reauthenticated {
            device: self.account.device_id(),
        }
    }

    /// Uses a token up.
    pub(super) fn check_owner(&self, owner: Reauthenticated) -> Result<(), ClientError> {
        let Reauthenticated { device } = owner;
        if device == self.account.device_id() {
            Ok(())
        } else {
            Err(paigham_store::OpenError::WrongPassphrase.into())
        }
    }
}
