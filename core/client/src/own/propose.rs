//! The signed record of a change: what counts, with what the change changes.

use ed25519_dalek::SigningKey;
use paigham_wire::codec::encode;
use paigham_wire::hash::Hash;
use paigham_wire::identity::{DeviceEntry, IdentityRecord, RecordContent, RecordKind, Role};
use paigham_wire::ids::DeviceId;

use super::records::OwnRecords;
use super::{ChangeOnItsWay, OwnChange};
use crate::account::Seed;
use crate::error::ClientError;

/// A record in the making.
pub(super) struct Proposal<'a> {
    on: &'a OwnRecords,
    what: OwnChange,
    content: RecordContent,
    identity: Option<Seed>,
    removed: Vec<[u8; 16]>,
}

impl<'a> Proposal<'a> {
    /// A record that changes nothing yet.
    pub fn new(on: &'a OwnRecords, what: OwnChange, kind: RecordKind) -> Result<Self, ClientError> {
        let standing = on.state.at(on.now_ns);
        let next = on.state.version().checked_add(1);
        let content = RecordContent {
            version: 1,
            account: on.state.account(),
            record_version: next.ok_or(ClientError::Bug("an account of endless records"))?,
            identity_key: standing.identity_key,
            recovery_key_hash: standing.recovery_key_hash,
            devices: standing.devices,
            previous: *on.state.newest_hash(),
            key_change_version: standing.key_change.0,
            key_change_hash: standing.key_change.1,
            kind,
        };
        Ok(Self {
            on,
            what,
            content,
            identity: None,
            removed: Vec::new(),
        })
    }

    /// With another identity key; the home takes it up once the record counts.
    pub fn identity(mut self, seed: Seed) -> Self {
        self.content.identity_key = seed.signing_key().verifying_key().to_bytes();
        self.identity = Some(seed);
        self
    }

    pub const fn recovery_key_hash(mut self, hash: Hash) -> Self {
        self.content.recovery_key_hash = hash;
        self
    }

    /// Without the devices that are not to stay.
    pub fn only(mut self, stays: impl Fn(&DeviceId) -> bool) -> Self {
        let (stay, go): (Vec<_>, Vec<_>) = std::mem::take(&mut self.content.devices)
            .into_iter()
            .partition(|entry| stays(&entry.device));
        self.content.devices = stay;
        self.removed = go.into_iter().map(|entry| entry.device.0).collect();
        self
    }

    pub fn with_device(mut self, device: DeviceEntry) -> Self {
        self.content.devices.push(device);
        self.content.devices.sort_by_key(|entry| entry.device);
        self
    }

    /// Signs it, and refuses what the directory would refuse.
    ///
    /// # Errors
    /// [`ClientError::RecordRefused`].
    pub fn sign(self, keys: &[(Role, &SigningKey)]) -> Result<ChangeOnItsWay, ClientError> {
        let fresh = self.identity.as_ref().map(Seed::signing_key);
        let mut all = keys.to_vec();
        if let Some(fresh) = fresh.as_ref().filter(|_| self.what != OwnChange::Recover) {
            all.push((Role::NewIdentity, fresh));
        }
        let version = self.content.record_version;
        let record = IdentityRecord::sign(self.content, &all);
        self.on.state.apply(&record, self.on.now_ns)?;
        Ok(ChangeOnItsWay {
            what: self.what,
            version,
            record: encode(&record),
            identity: self.identity,
            removed: self.removed,
            since_ns: self.on.now_ns,
        })
    }
}
