//! What somebody can do who has copied an identity key, or who makes one up.

use ed25519_dalek::SigningKey;
use paigham_store::{Store, Table};
use paigham_wire::identity::handle::{HandleContent, HandleKind, HandleRecord};
use paigham_wire::identity::{IdentityRecord, RecordContent, RecordKind, Role};
use paigham_wire::ids::DeviceId;

use crate::person::{Person, STORE_KEY};

/// A device of a thief.
pub const GHOST: DeviceId = DeviceId([0xff; 16]);

/// The part of the stored account that a thief is after.
#[derive(serde::Deserialize)]
struct Stolen {
    identity: [u8; 32],
}

/// What somebody finds who opens a home in memory: the identity key.
///
/// # Panics
/// If the home has none.
#[must_use]
pub fn stolen_key(person: &Person) -> SigningKey {
    key_in(&Store::on_backend(Box::new(person.disk().clone()), &STORE_KEY).unwrap())
}

/// The identity key in an open store.
///
/// # Panics
/// If it has none.
#[must_use]
pub fn key_in(store: &Store) -> SigningKey {
    let stolen: Option<Stolen> = store.begin().get(Table::Account, b"self").unwrap();
    SigningKey::from_bytes(&stolen.unwrap().identity)
}

/// The next record of an account, with one more device.
#[must_use]
pub fn with_ghost(newest: &IdentityRecord, key: &SigningKey) -> IdentityRecord {
    let mut ghost = newest.content.devices[0].clone();
    ghost.device = GHOST;
    ghost.leaf_key = [0xee; 32];
    let mut devices = newest.content.devices.clone();
    devices.push(ghost);
    devices.sort_by_key(|device| device.device);
    let content = RecordContent {
        record_version: newest.content.record_version + 1,
        devices,
        previous: newest.hash(),
        key_change_version: 0,
        key_change_hash: newest.hash(),
        kind: RecordKind::DeviceAdd,
        ..newest.content.clone()
    };
    IdentityRecord::sign(content, &[(Role::Identity, key)])
}

/// The next record of a handle, of whoever holds it.
#[must_use]
pub fn of_handle(newest: &HandleRecord, kind: HandleKind, key: &SigningKey) -> HandleRecord {
    let content = HandleContent {
        record_version: newest.content.record_version + 1,
        previous: newest.hash(),
        kind,
        ..newest.content.clone()
    };
    HandleRecord::sign(content, key)
}
