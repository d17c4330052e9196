//! The whole table of kinds as stories.

use ed25519_dalek::SigningKey;
use proptest::prelude::*;

use super::*;
use crate::codec::encode;
use crate::ids::{AccountId, CanisterId, DeviceId, InboxId};

mod model;
mod table;

const HOUR: u64 = 3_600 * 1_000_000_000;
const T0: u64 = 1_700_000_000 * 1_000_000_000;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

fn device(number: u8) -> DeviceEntry {
    DeviceEntry {
        device: DeviceId([number; 16]),
        leaf_key: [number; 32],
        shard: CanisterId::new(&[1]).unwrap(),
        inbox: InboxId([number; 32]),
        xwing_key_hash: [number; 32],
        added_at: T0,
    }
}

/// Identity key 1, recovery key 2, device 1.
fn create() -> IdentityRecord {
    let (identity_key, recovery) = (public(1), recovery_key_hash(&public(2)));
    let content = RecordContent {
        version: 1,
        account: AccountId::derive(&identity_key, &recovery, &[7; 32]),
        record_version: 0,
        identity_key,
        recovery_key_hash: recovery,
        devices: vec![device(1)],
        previous: [0; 32],
        key_change_version: 0,
        key_change_hash: [0; 32],
        kind: RecordKind::Create { nonce: [7; 32] },
    };
    IdentityRecord::sign(
        content,
        &[(Role::NewIdentity, &key(1)), (Role::Recovery, &key(2))],
    )
}

/// The record that follows, with what `change` changes.
fn next(
    state: &AccountState,
    now: u64,
    kind: RecordKind,
    change: impl Fn(&mut RecordContent),
    keys: &[(Role, u8)],
) -> IdentityRecord {
    let standing = state.at(now);
    let mut content = RecordContent {
        version: 1,
        account: state.account(),
        record_version: state.version() + 1,
        identity_key: standing.identity_key,
        recovery_key_hash: standing.recovery_key_hash,
        devices: standing.devices,
        previous: *state.newest_hash(),
        key_change_version: standing.key_change.0,
        key_change_hash: standing.key_change.1,
        kind,
    };
    change(&mut content);
    let keys: Vec<_> = keys
        .iter()
        .map(|(role, seed)| (*role, key(*seed)))
        .collect();
    let keys: Vec<_> = keys.iter().map(|(role, key)| (*role, key)).collect();
    IdentityRecord::sign(content, &keys)
}

fn nothing(_: &mut RecordContent) {}

fn start() -> AccountState {
    AccountState::create(&create(), T0).unwrap()
}

fn recover(state: &AccountState, now: u64, new: u8) -> IdentityRecord {
    let fresh = |content: &mut RecordContent| content.identity_key = public(new);
    next(
        state,
        now,
        RecordKind::Recover,
        fresh,
        &[(Role::Recovery, 2)],
    )
}

fn freeze(state: &AccountState, now: u64, by: (Role, u8)) -> IdentityRecord {
    next(state, now, RecordKind::Freeze, nothing, &[by])
}

/// Nobody makes an account under another id, without the recovery key, or without a device.
#[test]
fn a_create_makes_its_own_account_only() {
    assert_eq!(start().version(), 0);
    let mut foreign = create();
    foreign.content.account = AccountId([9; 16]);
    assert_eq!(
        AccountState::create(&foreign, T0),
        Err(Rejected::NotACreate)
    );
    let mut unsigned = create();
    unsigned.authorisation.pop();
    assert_eq!(
        AccountState::create(&unsigned, T0),
        Err(Rejected::NotAuthorised)
    );
    let mut altered = create();
    altered.content.devices = vec![device(3)];
    assert_eq!(
        AccountState::create(&altered, T0),
        Err(Rejected::NotAuthorised)
    );
    let mut empty = create();
    empty.content.devices.clear();
    assert_eq!(AccountState::create(&empty, T0), Err(Rejected::NotACreate));
}

/// The owner adds a device and changes its keys; neither touches anything else.
#[test]
fn devices_are_added_and_rekeyed_one_at_a_time() {
    let state = start();
    let add = |content: &mut RecordContent| content.devices.push(device(2));
    let by = [(Role::Identity, 1)];
    let added = next(&state, T0, RecordKind::DeviceAdd, add, &by);
    let state2 = state.apply(&added, T0 + 1).unwrap();
    assert_eq!(state2.at(T0 + 1).devices.len(), 2);
    assert!(state2.device_at(&DeviceId([2; 16]), T0 + 1).is_some());
    let two = |content: &mut RecordContent| content.devices.extend([device(2), device(3)]);
    let wrong = next(&state, T0, RecordKind::DeviceAdd, two, &by);
    assert_eq!(state.apply(&wrong, T0 + 1), Err(Rejected::WrongChange));
    let rekey = |content: &mut RecordContent| content.devices[1].leaf_key = [99; 32];
    let rekeyed = next(&state2, T0 + 1, RecordKind::DeviceRekey, rekey, &by);
    assert!(state2.apply(&rekeyed, T0 + 2).is_ok());
    let foreign = next(
        &state2,
        T0 + 1,
        RecordKind::DeviceRekey,
        rekey,
        &[(Role::Identity, 5)],
    );
    assert_eq!(state2.apply(&foreign, T0 + 2), Err(Rejected::NotAuthorised));
    let unsorted = |content: &mut RecordContent| content.devices.insert(0, device(9));
    let unsorted = next(&state, T0, RecordKind::DeviceAdd, unsorted, &by);
    assert_eq!(state.apply(&unsorted, T0 + 1), Err(Rejected::Malformed));
}

/// Removing a device and rotating need a fresh identity key, signed by old and new.
#[test]
fn removal_and_rotation_change_the_identity_key() {
    let state = start();
    let remove = |content: &mut RecordContent| {
        content.devices.clear();
        content.identity_key = public(3);
    };
    let both = [(Role::Identity, 1), (Role::NewIdentity, 3)];
    let removed = next(&state, T0, RecordKind::DeviceRemove, remove, &both);
    let after = state.apply(&removed, T0 + 1).unwrap();
    assert_eq!(after.at(T0 + 1).identity_key, public(3));
    assert_eq!(after.at(T0 + 1).key_change.0, 1);
    let stale = |content: &mut RecordContent| content.devices.clear();
    let stale = next(&state, T0, RecordKind::DeviceRemove, stale, &both);
    assert_eq!(state.apply(&stale, T0 + 1), Err(Rejected::WrongChange));
    let rotate = |content: &mut RecordContent| content.identity_key = public(3);
    let rotated = next(&state, T0, RecordKind::Rotate, rotate, &both);
    assert!(state.apply(&rotated, T0 + 1).is_ok());
    let alone = next(
        &state,
        T0,
        RecordKind::Rotate,
        rotate,
        &[(Role::Identity, 1)],
    );
    assert_eq!(state.apply(&alone, T0 + 1), Err(Rejected::NotAuthorised));
}

/// A thief of the identity key can't change the recovery key; the owner with both can, in every
/// state, and that ends a freeze and voids a pending recover.
#[test]
fn the_recovery_key_changes_only_with_both_keys() {
    let state = start();
    let change =
        |content: &mut RecordContent| content.recovery_key_hash = recovery_key_hash(&public(8));
    let thief = next(
        &state,
        T0,
        RecordKind::RecoveryChange,
        change,
        &[(Role::Identity, 1)],
    );
    assert_eq!(state.apply(&thief, T0 + 1), Err(Rejected::NotAuthorised));
    let state = state.apply(&recover(&state, T0, 3), T0 + 1).unwrap();
    let state = state
        .apply(&freeze(&state, T0 + 1, (Role::Identity, 1)), T0 + 2)
        .unwrap();
    let both = [(Role::Identity, 1), (Role::Recovery, 2)];
    let owner = next(&state, T0 + 2, RecordKind::RecoveryChange, change, &both);
    let state = state.apply(&owner, T0 + 3).unwrap();
    assert!(!state.is_frozen(T0 + 3) && !state.is_recovering(T0 + 3));
    assert_eq!(state.at(T0 + 100 * HOUR).identity_key, public(1));
    let old_kit = recover(&state, T0 + 3, 4);
    assert_eq!(state.apply(&old_kit, T0 + 4), Err(Rejected::NotAuthorised));
}

/// A recover counts after 72 hours, not a nanosecond earlier; meanwhile the old keys count and
/// nothing but a freeze and a recovery change is accepted. It runs on through a freeze and ends it.
#[test]
fn a_recover_counts_after_72_hours() {
    let state = start();
    let state = state.apply(&recover(&state, T0, 3), T0).unwrap();
    assert_eq!(state.at(T0 + 72 * HOUR - 1).identity_key, public(1));
    assert_eq!(state.at(T0 + 72 * HOUR).identity_key, public(3));
    let second = recover(&state, T0 + 1, 4);
    assert_eq!(state.apply(&second, T0 + 1), Err(Rejected::RecoverPending));
    let rotate = |content: &mut RecordContent| content.identity_key = public(5);
    let both = [(Role::Identity, 1), (Role::NewIdentity, 5)];
    let rotated = next(&state, T0 + 1, RecordKind::Rotate, rotate, &both);
    assert_eq!(state.apply(&rotated, T0 + 1), Err(Rejected::RecoverPending));
    let frozen = state
        .apply(&freeze(&state, T0 + HOUR, (Role::Recovery, 2)), T0 + HOUR)
        .unwrap();
    assert!(frozen.is_frozen(T0 + 71 * HOUR));
    assert!(!frozen.is_frozen(T0 + 72 * HOUR));
    let later = T0 + 73 * HOUR;
    let thief = next(
        &frozen,
        later,
        RecordKind::Delete,
        nothing,
        &[(Role::Identity, 1)],
    );
    assert_eq!(frozen.apply(&thief, later), Err(Rejected::NotAuthorised));
    let owner = next(
        &frozen,
        later,
        RecordKind::Delete,
        nothing,
        &[(Role::Identity, 3)],
    );
    assert!(frozen.apply(&owner, later).is_ok());
}

/// Frozen for seven days, only recover and recovery change get through.
#[test]
fn a_freeze_holds_for_seven_days() {
    let state = start();
    let state = state
        .apply(&freeze(&state, T0, (Role::Identity, 1)), T0)
        .unwrap();
    let delete = next(
        &state,
        T0,
        RecordKind::Delete,
        nothing,
        &[(Role::Identity, 1)],
    );
    let week = 7 * 24 * HOUR;
    assert_eq!(state.apply(&delete, T0 + week - 1), Err(Rejected::Frozen));
    let again = freeze(&state, T0 + 1, (Role::Identity, 1));
    assert_eq!(state.apply(&again, T0 + 1), Err(Rejected::Frozen));
    assert!(state.apply(&recover(&state, T0, 3), T0 + 1).is_ok());
    assert!(state.apply(&delete, T0 + week).is_ok());
}

/// A delete counts after 72 hours and is void once any other record is accepted before.
#[test]
fn a_delete_can_be_voided_for_72_hours() {
    let state = start();
    let delete = next(
        &state,
        T0,
        RecordKind::Delete,
        nothing,
        &[(Role::Identity, 1)],
    );
    let state = state.apply(&delete, T0).unwrap();
    assert!(!state.is_deleted(T0 + 72 * HOUR - 1));
    let add = |content: &mut RecordContent| content.devices.push(device(2));
    let later = T0 + 71 * HOUR;
    let added = next(
        &state,
        later,
        RecordKind::DeviceAdd,
        add,
        &[(Role::Identity, 1)],
    );
    assert!(
        !state
            .apply(&added, later)
            .unwrap()
            .is_deleted(T0 + 100 * HOUR)
    );
    assert!(state.is_deleted(T0 + 72 * HOUR));
    assert_eq!(state.apply(&added, T0 + 72 * HOUR), Err(Rejected::Deleted));
}

/// Replayed, reordered, back-dated or skipped records do not follow.
#[test]
fn records_follow_one_another() {
    let state = start();
    let first = freeze(&state, T0, (Role::Identity, 1));
    let after = state.apply(&first, T0 + 5).unwrap();
    assert_eq!(after.apply(&first, T0 + 6), Err(Rejected::DoesNotFollow));
    let recover = recover(&after, T0 + 6, 3);
    assert_eq!(after.apply(&recover, T0 + 4), Err(Rejected::TimeGoesBack));
    assert_eq!(state.apply(&recover, T0 + 6), Err(Rejected::DoesNotFollow));
    assert_eq!(after.apply(&create(), T0 + 6), Err(Rejected::DoesNotFollow));
    let chain = [(T0, create()), (T0 + 5, first), (T0 + 6, recover)];
    assert!(AccountState::from_records(&chain).is_ok());
    assert_eq!(
        AccountState::from_records(&chain[1..]),
        Err(Rejected::NotACreate)
    );
}

proptest! {
    /// Bytes from anywhere are a record or an error, and a record has one encoding.
    #[test]
    fn decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400), flip in 0usize..3000) {
        if let Ok(record) = IdentityRecord::decode(&bytes) {
            prop_assert_eq!(encode(&record), bytes);
        }
        let mut record = encode(&create());
        let bit = flip % (record.len() * 8);
        record[bit / 8] ^= 1 << (bit % 8);
        let accepted = IdentityRecord::decode(&record)
            .is_ok_and(|record| AccountState::create(&record, T0).is_ok());
        prop_assert!(!accepted);
    }
}
