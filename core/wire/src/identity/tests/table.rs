//! The table of `spec/identity.md`: each kind in each state, and what later records refer to.

use super::*;

const WEEK: u64 = 7 * 24 * HOUR;
const IDENTITY: (Role, u8) = (Role::Identity, 1);
const RECOVERY: (Role, u8) = (Role::Recovery, 2);

/// A well-made record of each kind but create, by the owner, on top of a state.
fn every_kind(state: &AccountState, now: u64) -> Vec<(&'static str, IdentityRecord)> {
    let fresh = |content: &mut RecordContent| content.identity_key = public(50);
    let both = [IDENTITY, (Role::NewIdentity, 50)];
    let add = |content: &mut RecordContent| content.devices.push(device(200));
    let rekey = |content: &mut RecordContent| content.devices[0].leaf_key = [77; 32];
    let remove = |content: &mut RecordContent| {
        content.identity_key = public(50);
        content.devices.clear();
    };
    let other_kit =
        |content: &mut RecordContent| content.recovery_key_hash = recovery_key_hash(&public(51));
    let make = |kind, change: &dyn Fn(&mut RecordContent), keys: &[(Role, u8)]| {
        next(state, now, kind, change, keys)
    };
    vec![
        ("add", make(RecordKind::DeviceAdd, &add, &[IDENTITY])),
        ("rekey", make(RecordKind::DeviceRekey, &rekey, &[IDENTITY])),
        ("remove", make(RecordKind::DeviceRemove, &remove, &both)),
        ("rotate", make(RecordKind::Rotate, &fresh, &both)),
        (
            "recovery change",
            make(
                RecordKind::RecoveryChange,
                &other_kit,
                &[IDENTITY, RECOVERY],
            ),
        ),
        ("recover", make(RecordKind::Recover, &fresh, &[RECOVERY])),
        ("freeze", make(RecordKind::Freeze, &nothing, &[IDENTITY])),
        ("delete", make(RecordKind::Delete, &nothing, &[IDENTITY])),
    ]
}

/// The state after the owner's record of a kind.
fn then(state: &AccountState, kind: &str, now: u64) -> AccountState {
    let records = every_kind(state, now);
    let (_, record) = records.iter().find(|(name, _)| *name == kind).unwrap();
    state.apply(record, now).unwrap()
}

/// Which kinds the state accepts at a time.
fn accepted(state: &AccountState, now: u64) -> Vec<&'static str> {
    every_kind(state, now)
        .into_iter()
        .filter(|(_, record)| state.apply(record, now).is_ok())
        .map(|(name, _)| name)
        .collect()
}

/// What the table allows in each state, no more and no less: open, frozen, recovering, both, about
/// to be deleted, deleted.
#[test]
fn each_state_accepts_what_the_table_says() {
    let all: Vec<_> = every_kind(&start(), T0)
        .iter()
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(accepted(&start(), T0), all);

    let frozen = then(&start(), "freeze", T0);
    assert_eq!(
        accepted(&frozen, T0 + WEEK - 1),
        ["recovery change", "recover"]
    );
    assert_eq!(accepted(&frozen, T0 + WEEK), all);

    let recovering = then(&start(), "recover", T0);
    let just_before = T0 + RECOVER_DELAY_NS - 1;
    assert_eq!(
        accepted(&recovering, just_before),
        ["recovery change", "freeze"]
    );

    let both = then(&recovering, "freeze", T0 + 1);
    assert_eq!(accepted(&both, just_before), ["recovery change"]);
    let both = then(&frozen, "recover", T0 + 1);
    assert_eq!(accepted(&both, just_before), ["recovery change"]);

    let leaving = then(&start(), "delete", T0);
    assert_eq!(accepted(&leaving, T0 + DELETE_DELAY_NS - 1), all);
    assert!(accepted(&leaving, T0 + DELETE_DELAY_NS).is_empty());
}

/// Recovery key and identity key together open every state that is left, a delete that does not
/// count yet included: nothing pending, no freeze, no delete afterwards.
#[test]
fn a_recovery_change_ends_whatever_is_on() {
    for path in [
        &[][..],
        &["freeze"],
        &["recover"],
        &["delete"],
        &["freeze", "recover"],
        &["recover", "freeze"],
        &["delete", "freeze", "recover"],
    ] {
        let state = path
            .iter()
            .fold(start(), |state, kind| then(&state, kind, T0));
        let state = then(&state, "recovery change", T0 + 1);
        let later = T0 + 1 + WEEK;
        assert!(!state.is_frozen(T0 + 1), "{path:?}");
        assert!(!state.is_recovering(T0 + 1), "{path:?}");
        assert!(!state.is_deleted(later), "{path:?}");
        assert_eq!(state.at(later).identity_key, public(1), "{path:?}");
        let version = u32::try_from(path.len()).unwrap() + 1;
        assert_eq!(
            state.at(later).key_change,
            (version, *state.newest_hash()),
            "{path:?}"
        );
    }
}

/// The owner thinks better of it: whichever record is accepted within 72 hours, the account stays.
#[test]
fn any_later_record_voids_a_delete() {
    let leaving = then(&start(), "delete", T0);
    let now = T0 + DELETE_DELAY_NS - 1;
    for (kind, record) in every_kind(&leaving, now) {
        let state = leaving.apply(&record, now).unwrap();
        // A second delete starts its own 72 hours.
        let again = kind == "delete";
        assert!(!state.is_deleted(T0 + DELETE_DELAY_NS), "{kind}");
        assert_eq!(state.is_deleted(now + DELETE_DELAY_NS), again, "{kind}");
    }
}

/// A deleted account has no devices that could be added to a group.
#[test]
fn a_deleted_account_has_no_devices() {
    let leaving = then(&start(), "delete", T0);
    let id = DeviceId([1; 16]);
    let end = T0 + DELETE_DELAY_NS;
    assert!(leaving.device_at(&id, end - 1).is_some());
    assert_eq!(leaving.device_at(&id, end), None);
}

/// Records refer to the key change that counted before them: while a recover waits to the old one,
/// once it counts to the recover itself, and never to one that was voided.
#[test]
fn the_key_change_is_the_one_that_counts() {
    let create = (0, *start().newest_hash());
    let recovering = then(&start(), "recover", T0);
    let recover = (1, *recovering.newest_hash());
    let frozen = then(&recovering, "freeze", T0 + 1);
    let counts = T0 + RECOVER_DELAY_NS;
    assert_eq!(frozen.at(counts - 1).key_change, create);
    assert_eq!(frozen.at(counts).key_change, recover);

    let by_new_key = [(Role::Identity, 50)];
    let add = |content: &mut RecordContent| content.devices.push(device(2));
    let too_early = next(&frozen, counts - 1, RecordKind::DeviceAdd, add, &by_new_key);
    assert_eq!(too_early.content.key_change_version, 0);
    assert_eq!(
        frozen.apply(&too_early, counts),
        Err(Rejected::DoesNotFollow)
    );
    let added = next(&frozen, counts, RecordKind::DeviceAdd, add, &by_new_key);
    let state = frozen.apply(&added, counts).unwrap();
    assert_eq!(state.at(counts).key_change, recover);
    assert_eq!(state.at(counts).devices.len(), 2);

    let voided = then(&frozen, "recovery change", counts - 1);
    assert_eq!(
        voided.at(counts + WEEK).key_change,
        (3, *voided.newest_hash())
    );
}

/// A phone is lost and removed; whoever has it still holds the identity key of that time. The
/// account never returns to that key, whether by rotating, removing or recovering.
#[test]
fn a_former_identity_key_never_counts_again() {
    let state = then(&start(), "remove", T0);
    let back = |content: &mut RecordContent| content.identity_key = public(1);
    let both = [(Role::Identity, 50), (Role::NewIdentity, 1)];
    let rotate = next(&state, T0, RecordKind::Rotate, back, &both);
    assert_eq!(state.apply(&rotate, T0), Err(Rejected::WrongChange));
    let recover = next(&state, T0, RecordKind::Recover, back, &[RECOVERY]);
    assert_eq!(state.apply(&recover, T0), Err(Rejected::WrongChange));

    let state = then(&start(), "add", T0);
    let state = then(&state, "recover", T0);
    let now = T0 + RECOVER_DELAY_NS;
    let remove = |content: &mut RecordContent| {
        back(content);
        content.devices.pop();
    };
    let remove = next(&state, now, RecordKind::DeviceRemove, remove, &both);
    assert_eq!(state.apply(&remove, now), Err(Rejected::WrongChange));
}

/// A recover that was voided never counted: its key is as fresh as before.
#[test]
fn a_voided_recover_uses_no_key_up() {
    let state = then(&start(), "recover", T0);
    let state = then(&state, "recovery change", T0);
    let fresh = |content: &mut RecordContent| content.identity_key = public(50);
    let both = [IDENTITY, (Role::NewIdentity, 50)];
    let rotate = next(&state, T0, RecordKind::Rotate, fresh, &both);
    assert!(state.apply(&rotate, T0).is_ok());
}

/// A rekey changes keys, shard and inbox of a device; neither which device it is nor when it was
/// added.
#[test]
fn a_rekey_leaves_id_and_date_alone() {
    let state = start();
    let rekey = |change: &dyn Fn(&mut DeviceEntry)| {
        let change = |content: &mut RecordContent| change(&mut content.devices[0]);
        let record = next(&state, T0, RecordKind::DeviceRekey, change, &[IDENTITY]);
        state.apply(&record, T0).map(|_| ())
    };
    assert_eq!(rekey(&|entry| entry.leaf_key = [9; 32]), Ok(()));
    assert_eq!(rekey(&|entry| entry.inbox = InboxId([9; 32])), Ok(()));
    assert_eq!(rekey(&|entry| entry.xwing_key_hash = [9; 32]), Ok(()));
    let shard = CanisterId::new(&[9]).unwrap();
    assert_eq!(rekey(&|entry| entry.shard = shard.clone()), Ok(()));
    assert_eq!(
        rekey(&|entry| entry.added_at += 1),
        Err(Rejected::WrongChange)
    );
    assert_eq!(
        rekey(&|entry| entry.device = DeviceId([9; 16])),
        Err(Rejected::WrongChange)
    );
    assert_eq!(rekey(&|_| ()), Err(Rejected::WrongChange));
}

/// Each kind needs exactly its signatures: one too many or in another role refuses the record, so
/// that a record has one form.
#[test]
fn signatures_beyond_those_needed_are_refused() {
    let state = start();
    for keys in [
        &[][..],
        &[IDENTITY, RECOVERY],
        &[(Role::NewIdentity, 1)],
        &[(Role::Recovery, 1)],
        &[(Role::Identity, 2)],
    ] {
        let freeze = next(&state, T0, RecordKind::Freeze, nothing, keys);
        assert_eq!(
            state.apply(&freeze, T0),
            Err(Rejected::NotAuthorised),
            "{keys:?}"
        );
    }
    let mut twice = freeze(&state, T0, IDENTITY);
    twice.authorisation.push(twice.authorisation[0].clone());
    assert_eq!(state.apply(&twice, T0), Err(Rejected::Malformed));
}

/// Eight devices fit an account and a record; the ninth is refused.
#[test]
fn an_account_has_eight_devices_at_most() {
    let mut state = start();
    for number in 2..=9 {
        let add = |content: &mut RecordContent| {
            let mut entry = device(number);
            entry.shard = CanisterId::new(&[number; 29]).unwrap();
            content.devices.push(entry);
        };
        let added = next(&state, T0, RecordKind::DeviceAdd, add, &[IDENTITY]);
        if number == 9 {
            assert_eq!(state.apply(&added, T0), Err(Rejected::Malformed));
        } else {
            let bytes = encode(&added);
            assert_eq!(IdentityRecord::decode(&bytes).as_ref(), Ok(&added));
            state = state.apply(&added, T0).unwrap();
        }
    }
    let two = [IDENTITY, (Role::NewIdentity, 50)];
    let fresh = |content: &mut RecordContent| content.identity_key = public(50);
    let longest = encode(&next(&state, T0, RecordKind::Rotate, fresh, &two));
    assert!(longest.len() <= RECORD_MAX_BYTES);
}
