//! The life of one account, record by record, and records that do not follow.

use ed25519_dalek::SigningKey;
use paigham_wire::codec::encode;
use paigham_wire::identity::{
    AccountState, Authorisation, DELETE_DELAY_NS, DeviceEntry, FREEZE_NS, IdentityRecord,
    RECOVER_DELAY_NS, RecordContent, RecordKind, Rejected, Role, recovery_key_hash,
};
use paigham_wire::ids::{AccountId, CanisterId, DeviceId, InboxId};
use paigham_wire::recovery_kit::RecoveryKit;
use serde_json::{Value, json};

use crate::{canister, hex, structure};

const T0: u64 = 1_700_000_000_000_000_000;
const HOUR: u64 = 3_600_000_000_000;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

fn device(number: u8) -> DeviceEntry {
    DeviceEntry {
        device: DeviceId([number; 16]),
        leaf_key: [0x10 + number; 32],
        shard: canister(),
        inbox: InboxId([0x20 + number; 32]),
        xwing_key_hash: [0x30 + number; 32],
        added_at: T0 + u64::from(number),
    }
}

pub fn all() -> Value {
    let mut account = Account::create();
    account.live();
    json!({
        "seeds": {
            "identity_keys": [hex([1; 32]), hex([3; 32]), hex([4; 32]), hex([5; 32])],
            "recovery_keys": [hex([2; 32]), hex([6; 32])],
        },
        "delays_ns": {
            "recover": RECOVER_DELAY_NS.to_string(),
            "delete": DELETE_DELAY_NS.to_string(),
            "freeze": FREEZE_NS.to_string(),
        },
        "recovery_kit": kit(),
        "device_entry": device_entry(),
        "records": account.records,
        "refused": refused(),
    })
}

fn kit() -> Value {
    let kit = RecoveryKit::new([2; 32]);
    let public = kit.key().verifying_key().to_bytes();
    json!({
        "random": hex([2; 32]),
        "words": kit.words().as_str(),
        "recovery_key": hex(public),
        "recovery_key_hash": hex(recovery_key_hash(&public)),
    })
}

/// Every field has bytes of its own.
fn device_entry() -> Value {
    let entry = DeviceEntry {
        device: DeviceId([1; 16]),
        leaf_key: [2; 32],
        shard: CanisterId::new(&[3; 29]).unwrap(),
        inbox: InboxId([4; 32]),
        xwing_key_hash: [5; 32],
        added_at: 0x0606_0606_0606_0606,
    };
    structure(&entry)
}

/// The account so far.
struct Account {
    state: AccountState,
    now: u64,
    records: Vec<Value>,
}

fn create() -> IdentityRecord {
    let (identity_key, recovery_key_hash) = (public(1), recovery_key_hash(&public(2)));
    let content = RecordContent {
        version: 1,
        account: AccountId::derive(&identity_key, &recovery_key_hash, &[7; 32]),
        record_version: 0,
        identity_key,
        recovery_key_hash,
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

impl Account {
    fn create() -> Self {
        let record = create();
        let mut account = Self {
            state: AccountState::create(&record, T0).unwrap(),
            now: T0,
            records: Vec::new(),
        };
        account.note("create", &record);
        account
    }

    /// Submits a record some time after the one before.
    fn then(
        &mut self,
        what: &str,
        after: u64,
        kind: RecordKind,
        change: impl Fn(&mut RecordContent),
        keys: &[(Role, u8)],
    ) {
        self.now += after;
        let record = next(&self.state, self.now, kind, change, keys);
        self.state = self.state.apply(&record, self.now).unwrap();
        self.note(what, &record);
    }

    fn live(&mut self) {
        use RecordKind::{
            Delete, DeviceAdd, DeviceRekey, DeviceRemove, Freeze, Recover, RecoveryChange, Rotate,
        };
        let identity =
            |seed: u8| move |content: &mut RecordContent| content.identity_key = public(seed);
        let old_and_new = |old, new| [(Role::Identity, old), (Role::NewIdentity, new)];
        let add = |content: &mut RecordContent| content.devices.push(device(2));
        self.then(
            "a second device",
            HOUR,
            DeviceAdd,
            add,
            &[(Role::Identity, 1)],
        );
        let rekey = |content: &mut RecordContent| content.devices[1].leaf_key = [0x77; 32];
        self.then(
            "its keys change",
            HOUR,
            DeviceRekey,
            rekey,
            &[(Role::Identity, 1)],
        );
        let remove = |content: &mut RecordContent| {
            content.devices.pop();
            content.identity_key = public(3);
        };
        self.then(
            "it is removed",
            HOUR,
            DeviceRemove,
            remove,
            &old_and_new(1, 3),
        );
        self.then(
            "another identity key",
            HOUR,
            Rotate,
            identity(4),
            &old_and_new(3, 4),
        );
        self.then(
            "the kit recovers",
            HOUR,
            Recover,
            identity(5),
            &[(Role::Recovery, 2)],
        );
        let nothing = |_: &mut RecordContent| ();
        self.then(
            "frozen meanwhile",
            HOUR,
            Freeze,
            nothing,
            &[(Role::Identity, 4)],
        );
        let kit = |content: &mut RecordContent| {
            content.recovery_key_hash = recovery_key_hash(&public(6));
        };
        let both = [(Role::Identity, 5), (Role::Recovery, 2)];
        // An hour after the recover began to count.
        self.then("another kit", RECOVER_DELAY_NS, RecoveryChange, kit, &both);
        self.then("leaving", HOUR, Delete, nothing, &[(Role::Identity, 5)]);
        self.then(
            "staying",
            71 * HOUR,
            Freeze,
            nothing,
            &[(Role::Recovery, 6)],
        );
    }

    fn note(&mut self, what: &str, record: &IdentityRecord) {
        let (state, now) = (&self.state, self.now);
        let (standing, content) = (state.at(now), &record.content);
        let devices =
            |devices: &[DeviceEntry]| devices.iter().map(|d| hex(encode(d))).collect::<Vec<_>>();
        self.records.push(json!({
            "what": what,
            "accepted_at": now.to_string(),
            "content": {
                "account": hex(content.account),
                "record_version": content.record_version,
                "identity_key": hex(content.identity_key),
                "recovery_key_hash": hex(content.recovery_key_hash),
                "devices": devices(&content.devices),
                "previous": hex(content.previous),
                "key_change_version": content.key_change_version,
                "key_change_hash": hex(content.key_change_hash),
                "kind": structure(&content.kind),
            },
            "authorisation": record.authorisation.iter().map(authorisation).collect::<Vec<_>>(),
            "record": structure(record),
            "hash": hex(record.hash()),
            "then": {
                "identity_key": hex(standing.identity_key),
                "recovery_key_hash": hex(standing.recovery_key_hash),
                "devices": devices(&standing.devices),
                "key_change_version": standing.key_change.0,
                "key_change_hash": hex(standing.key_change.1),
                "frozen": state.is_frozen(now),
                "recovering": state.is_recovering(now),
                "identity_key_72_hours_later": hex(state.at(now + 72 * HOUR).identity_key),
                "deleted_72_hours_later": state.is_deleted(now + 72 * HOUR),
            },
        }));
    }
}

fn authorisation(signature: &Authorisation) -> Value {
    json!({
        "role": signature.role as u8,
        "key": hex(signature.key),
        "signature": hex(signature.signature),
    })
}

/// Records that do not follow the create, accepted an hour after it.
fn refused() -> Vec<Value> {
    let (state, now) = (AccountState::create(&create(), T0).unwrap(), T0 + HOUR);
    let by = [(Role::Identity, 1)];
    let record = |kind, change: &dyn Fn(&mut RecordContent), keys: &[(Role, u8)]| {
        next(&state, now, kind, change, keys)
    };
    let nothing = |_: &mut RecordContent| ();
    let mut altered = record(RecordKind::Freeze, &nothing, &by);
    altered.content.key_change_version = 0;
    altered.authorisation[0].signature[0] ^= 1;
    let two = |content: &mut RecordContent| content.devices.extend([device(2), device(3)]);
    let unordered = |content: &mut RecordContent| content.devices.insert(0, device(2));
    let version = |content: &mut RecordContent| content.record_version = 2;
    let previous = |content: &mut RecordContent| content.previous = [0; 32];
    let key_change = |content: &mut RecordContent| content.key_change_hash = [0; 32];
    let fresh = |content: &mut RecordContent| content.identity_key = public(3);
    let cases = [
        ("the create again", create(), Rejected::DoesNotFollow),
        (
            "a version skipped",
            record(RecordKind::Freeze, &version, &by),
            Rejected::DoesNotFollow,
        ),
        (
            "another previous record",
            record(RecordKind::Freeze, &previous, &by),
            Rejected::DoesNotFollow,
        ),
        (
            "another key change",
            record(RecordKind::Freeze, &key_change, &by),
            Rejected::DoesNotFollow,
        ),
        (
            "two devices at once",
            record(RecordKind::DeviceAdd, &two, &by),
            Rejected::WrongChange,
        ),
        (
            "devices out of order",
            record(RecordKind::DeviceAdd, &unordered, &by),
            Rejected::Malformed,
        ),
        (
            "a rotation without the new key",
            record(RecordKind::Rotate, &fresh, &by),
            Rejected::NotAuthorised,
        ),
        (
            "a rotation to the same key",
            record(
                RecordKind::Rotate,
                &nothing,
                &[by[0], (Role::NewIdentity, 1)],
            ),
            Rejected::WrongChange,
        ),
        (
            "a recover by the identity key",
            record(RecordKind::Recover, &fresh, &by),
            Rejected::NotAuthorised,
        ),
        ("a broken signature", altered, Rejected::NotAuthorised),
        (
            "a signature too many",
            record(RecordKind::Freeze, &nothing, &[by[0], (Role::Recovery, 2)]),
            Rejected::NotAuthorised,
        ),
    ];
    cases
        .iter()
        .map(|(why, record, error)| {
            assert_eq!(state.apply(record, now), Err(*error), "{why}");
            json!({ "why": why, "record": structure(record) })
        })
        .collect()
}
