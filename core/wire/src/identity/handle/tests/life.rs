//! The life of a handle: claim, release, rest, and what thieves and strangers cannot do.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use proptest::prelude::*;

use crate::codec::encode;
use crate::hash::Hash;
use crate::identity::handle::{
    Accounts, HANDLE_RECORD_MAX_BYTES, Handle, HandleContent, HandleKind, HandleRecord,
    HandleRejected, HandleState, Holding, KeyRule, RELEASE_DELAY_NS, REST_NS,
};
use crate::identity::{
    AccountState, DELETE_DELAY_NS, DeviceEntry, FREEZE_NS, IdentityRecord, RECOVER_DELAY_NS,
    RecordContent, RecordKind, Role, recovery_key_hash,
};
use crate::ids::{AccountId, CanisterId, DeviceId, InboxId};

const HOUR: u64 = 3_600 * 1_000_000_000;
const T0: u64 = 1_700_000_000 * 1_000_000_000;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> Hash {
    key(seed).verifying_key().to_bytes()
}

/// People with their records and times; each has identity key `n` and recovery key `100 + n`.
#[derive(Default)]
struct People(BTreeMap<AccountId, Vec<(u64, IdentityRecord)>>);

impl Accounts for People {
    fn at(&self, account: &AccountId, time: u64) -> Option<AccountState> {
        let records = self.0.get(account)?;
        let until = records.partition_point(|(at, _)| *at <= time);
        (until > 0).then(|| AccountState::from_records(&records[..until]).unwrap())
    }
}

impl People {
    fn joins(&mut self, number: u8) -> AccountId {
        let (identity_key, recovery) = (public(number), recovery_key_hash(&public(100 + number)));
        let account = AccountId::derive(&identity_key, &recovery, &[7; 32]);
        let content = RecordContent {
            version: 1,
            account,
            record_version: 0,
            identity_key,
            recovery_key_hash: recovery,
            devices: vec![DeviceEntry {
                device: DeviceId([number; 16]),
                leaf_key: [number; 32],
                shard: CanisterId::new(&[1]).unwrap(),
                inbox: InboxId([number; 32]),
                xwing_key_hash: [number; 32],
                added_at: T0,
            }],
            previous: [0; 32],
            key_change_version: 0,
            key_change_hash: [0; 32],
            kind: RecordKind::Create { nonce: [7; 32] },
        };
        let keys = (key(number), key(100 + number));
        let signers = [(Role::NewIdentity, &keys.0), (Role::Recovery, &keys.1)];
        let record = IdentityRecord::sign(content, &signers);
        self.0.insert(account, vec![(T0, record)]);
        account
    }

    /// The account's next record.
    fn does(
        &mut self,
        account: AccountId,
        at: u64,
        kind: RecordKind,
        new_key: Option<u8>,
        signers: &[(Role, u8)],
    ) {
        let state = Accounts::at(self, &account, at).unwrap();
        let standing = state.at(at);
        let content = RecordContent {
            version: 1,
            account,
            record_version: state.version() + 1,
            identity_key: new_key.map_or(standing.identity_key, public),
            recovery_key_hash: standing.recovery_key_hash,
            devices: standing.devices,
            previous: *state.newest_hash(),
            key_change_version: standing.key_change.0,
            key_change_hash: standing.key_change.1,
            kind,
        };
        let keys: Vec<_> = signers
            .iter()
            .map(|(role, seed)| (*role, key(*seed)))
            .collect();
        let keys: Vec<_> = keys.iter().map(|(role, key)| (*role, key)).collect();
        let record = IdentityRecord::sign(content, &keys);
        state.apply(&record, at).unwrap();
        self.0.get_mut(&account).unwrap().push((at, record));
    }

    /// A handle record of the account under the key change that counts, signed by a key.
    fn writes(
        &self,
        handle: &Handle,
        before: Option<&HandleState>,
        account: AccountId,
        at: u64,
        kind: HandleKind,
        signer: u8,
    ) -> HandleRecord {
        let key_change =
            Accounts::at(self, &account, at).map_or((0, [0; 32]), |state| state.at(at).key_change);
        let content = HandleContent {
            version: 1,
            handle: handle.clone(),
            account,
            record_version: before.map_or(0, |state| state.version() + 1),
            previous: before.map_or([0; 32], |state| *state.newest_hash()),
            key_change_version: key_change.0,
            key_change_hash: key_change.1,
            kind,
        };
        HandleRecord::sign(content, &key(signer))
    }
}

/// One handle and the people around it.
struct Story {
    people: People,
    handle: Handle,
    state: Option<HandleState>,
    records: Vec<(u64, HandleRecord)>,
}

impl Story {
    fn new() -> Self {
        Self {
            people: People::default(),
            handle: Handle::typed("فاطمہ").unwrap(),
            state: None,
            records: Vec::new(),
        }
    }

    fn offer(&self, record: &HandleRecord, at: u64) -> Result<HandleState, HandleRejected> {
        HandleState::next(
            self.state.as_ref(),
            &self.handle.skeleton(),
            record,
            at,
            &self.people,
            KeyRule::Counting,
        )
    }

    fn tries(
        &mut self,
        account: AccountId,
        kind: HandleKind,
        signer: u8,
        at: u64,
    ) -> Result<(), HandleRejected> {
        let state = self.state.as_ref();
        let record = self
            .people
            .writes(&self.handle, state, account, at, kind, signer);
        let state = self.offer(&record, at)?;
        self.state = Some(state);
        self.records.push((at, record));
        // A client that reads the whole chain comes to the same state.
        let read = HandleState::from_records(
            &self.handle.skeleton(),
            &self.records,
            &self.people,
            KeyRule::EverCounted,
        );
        assert_eq!(read.unwrap(), self.state);
        Ok(())
    }

    fn claims(&mut self, account: AccountId, signer: u8, at: u64) -> Result<(), HandleRejected> {
        self.tries(account, HandleKind::Claim, signer, at)
    }

    fn releases(&mut self, account: AccountId, signer: u8, at: u64) -> Result<(), HandleRejected> {
        self.tries(account, HandleKind::Release, signer, at)
    }

    fn holding(&self, now: u64) -> Holding {
        let state = self.state.as_ref().unwrap();
        state.at(now, &self.people)
    }
}

/// HND-05, HND-07: the first record is a claim of this label, and each next one names the one before.
#[test]
fn records_follow_one_another() {
    let mut story = Story::new();
    let ayesha = story.people.joins(1);
    assert_eq!(
        story.releases(ayesha, 1, T0),
        Err(HandleRejected::DoesNotFollow)
    );
    let first = story
        .people
        .writes(&story.handle, None, ayesha, T0, HandleKind::Claim, 1);
    type Change<'a> = (&'a dyn Fn(&mut HandleContent), HandleRejected);
    let wrong: [Change<'_>; 4] = [
        (&|content| content.version = 2, HandleRejected::Malformed),
        (
            &|content| content.handle = Handle::new("zahra").unwrap(),
            HandleRejected::Malformed,
        ),
        (
            &|content| content.record_version = 1,
            HandleRejected::DoesNotFollow,
        ),
        (
            &|content| content.previous = [1; 32],
            HandleRejected::DoesNotFollow,
        ),
    ];
    for (change, why) in wrong {
        let mut content = first.content.clone();
        change(&mut content);
        let record = HandleRecord::sign(content, &key(1));
        assert_eq!(story.offer(&record, T0).unwrap_err(), why);
    }
    story.claims(ayesha, 1, T0).unwrap();
    assert_eq!(story.offer(&first, T0), Err(HandleRejected::DoesNotFollow));
}

/// HND-06: time never goes back.
#[test]
fn a_record_is_not_older_than_the_one_before() {
    let mut story = Story::new();
    let ayesha = story.people.joins(1);
    story.claims(ayesha, 1, T0 + HOUR).unwrap();
    assert_eq!(
        story.releases(ayesha, 1, T0),
        Err(HandleRejected::TimeGoesBack)
    );
    story.releases(ayesha, 1, T0 + HOUR).unwrap();
}

/// HND-09: who comes second is refused, by any spelling that looks the same; the holder may spell it
/// anew.
#[test]
fn a_handle_that_looks_the_same_is_taken() {
    let mut story = Story::new();
    let (ayesha, bilal) = (story.people.joins(1), story.people.joins(2));
    story.claims(ayesha, 1, T0).unwrap();
    assert_eq!(story.claims(bilal, 2, T0 + 1), Err(HandleRejected::Taken));
    story.handle = Handle::typed("فاطمة").unwrap();
    assert_eq!(story.claims(bilal, 2, T0 + 1), Err(HandleRejected::Taken));
    story.claims(ayesha, 1, T0 + 1).unwrap();
    assert_eq!(story.state.as_ref().unwrap().handle().as_str(), "فاطمة");
    let held = Holding::Held {
        by: ayesha,
        ends_at: None,
    };
    assert_eq!(story.holding(T0 + 1), held);
}

/// HND-11: the identity key that counts signs, and no other.
#[test]
fn only_the_identity_key_that_counts_signs() {
    let mut story = Story::new();
    let (ayesha, bilal) = (story.people.joins(1), story.people.joins(2));
    assert_eq!(
        story.claims(ayesha, 2, T0),
        Err(HandleRejected::NotAuthorised)
    );
    assert_eq!(
        story.claims(ayesha, 101, T0),
        Err(HandleRejected::NotAuthorised)
    );
    assert_eq!(
        story.claims(bilal, 1, T0),
        Err(HandleRejected::NotAuthorised)
    );
    assert_eq!(
        story.claims(AccountId([9; 16]), 1, T0),
        Err(HandleRejected::NoAccount)
    );
    story.claims(ayesha, 1, T0).unwrap();
    // She loses a phone and rotates; its thief still has key 1, and names the record that made it.
    let old = story.people.writes(
        &story.handle,
        story.state.as_ref(),
        ayesha,
        T0,
        HandleKind::Release,
        1,
    );
    let roles = [(Role::Identity, 1), (Role::NewIdentity, 3)];
    story
        .people
        .does(ayesha, T0 + HOUR, RecordKind::Rotate, Some(3), &roles);
    assert_eq!(
        story.offer(&old, T0 + 2 * HOUR),
        Err(HandleRejected::NotAuthorised)
    );
    assert_eq!(
        story.releases(ayesha, 1, T0 + 2 * HOUR),
        Err(HandleRejected::NotAuthorised)
    );
    story.releases(ayesha, 3, T0 + 2 * HOUR).unwrap();
}

/// `HND-11`, for clients: a key that counted at some time passes, one that never did does not.
#[test]
fn a_reader_refuses_keys_that_never_counted() {
    let mut story = Story::new();
    let ayesha = story.people.joins(1);
    let record = story
        .people
        .writes(&story.handle, None, ayesha, T0, HandleKind::Claim, 1);
    let mut forged = record.clone();
    forged.signature = HandleRecord::sign(record.content.clone(), &key(9)).signature;
    let mut other_change = record.content.clone();
    other_change.key_change_hash = [1; 32];
    let other_change = HandleRecord::sign(other_change, &key(1));
    let roles = [(Role::Identity, 1), (Role::NewIdentity, 3)];
    story
        .people
        .does(ayesha, T0, RecordKind::Rotate, Some(3), &roles);
    let read = |record: &HandleRecord| {
        let records = [(T0, record.clone())];
        let skeleton = story.handle.skeleton();
        HandleState::from_records(&skeleton, &records, &story.people, KeyRule::EverCounted)
    };
    assert!(read(&record).is_ok());
    assert_eq!(read(&forged), Err(HandleRejected::NotAuthorised));
    assert_eq!(read(&other_change), Err(HandleRejected::NotAuthorised));
}

/// HND-10, HND-12: a release counts after 72 hours. Until then the holder voids it by a claim, as
/// often as a thief of the open phone tries.
#[test]
fn a_release_can_be_voided_for_72_hours() {
    let mut story = Story::new();
    let (ayesha, bilal) = (story.people.joins(1), story.people.joins(2));
    story.claims(ayesha, 1, T0).unwrap();
    assert_eq!(story.releases(bilal, 2, T0), Err(HandleRejected::NotHolder));
    story.releases(ayesha, 1, T0).unwrap();
    assert_eq!(
        story.releases(ayesha, 1, T0 + 1),
        Err(HandleRejected::ReleasedAlready)
    );
    let last = T0 + RELEASE_DELAY_NS - 1;
    let pending = Holding::Held {
        by: ayesha,
        ends_at: Some(T0 + RELEASE_DELAY_NS),
    };
    assert_eq!(story.holding(last), pending);
    assert_eq!(story.claims(bilal, 2, last), Err(HandleRejected::Taken));
    story.claims(ayesha, 1, last).unwrap();
    assert_eq!(
        story.holding(last + REST_NS),
        Holding::Held {
            by: ayesha,
            ends_at: None
        }
    );
    story.releases(ayesha, 1, last + 1).unwrap();
    story.claims(ayesha, 1, last + 2).unwrap();
    assert_eq!(
        story.holding(u64::MAX),
        Holding::Held {
            by: ayesha,
            ends_at: None
        }
    );
}

/// HND-13: a released handle rests for 180 days, in which only its releaser may claim it.
#[test]
fn a_released_handle_rests_for_180_days() {
    let mut story = Story::new();
    let (ayesha, bilal) = (story.people.joins(1), story.people.joins(2));
    story.claims(ayesha, 1, T0).unwrap();
    story.releases(ayesha, 1, T0).unwrap();
    let (ends, until) = (T0 + RELEASE_DELAY_NS, T0 + RELEASE_DELAY_NS + REST_NS);
    assert_eq!(
        story.holding(ends),
        Holding::Resting {
            after: ayesha,
            until
        }
    );
    assert_eq!(
        story.releases(ayesha, 1, ends),
        Err(HandleRejected::ReleasedAlready)
    );
    assert_eq!(
        story.claims(bilal, 2, until - 1),
        Err(HandleRejected::Resting)
    );
    story.claims(ayesha, 1, until - 1).unwrap();
    story.releases(ayesha, 1, until).unwrap();
    let free = until + RELEASE_DELAY_NS + REST_NS;
    assert_eq!(story.holding(free), Holding::Free);
    story.claims(bilal, 2, free).unwrap();
    assert_eq!(story.claims(ayesha, 1, free), Err(HandleRejected::Taken));
    assert_eq!(
        story.releases(ayesha, 1, free),
        Err(HandleRejected::NotHolder)
    );
}

/// HND-12: a deleted account's handle is released when the delete counts, without 72 hours more; it
/// rests 180 days then, for nobody. A delete that is voided releases nothing.
#[test]
fn a_deleted_account_releases_its_handle() {
    let mut story = Story::new();
    let (ayesha, bilal) = (story.people.joins(1), story.people.joins(2));
    story.claims(ayesha, 1, T0).unwrap();
    story
        .people
        .does(ayesha, T0, RecordKind::Delete, None, &[(Role::Identity, 1)]);
    let roles = [(Role::Identity, 1), (Role::NewIdentity, 3)];
    story
        .people
        .does(ayesha, T0 + HOUR, RecordKind::Rotate, Some(3), &roles);
    let begin = T0 + 100 * HOUR;
    assert_eq!(
        story.holding(begin),
        Holding::Held {
            by: ayesha,
            ends_at: None
        }
    );
    story.people.does(
        ayesha,
        begin,
        RecordKind::Delete,
        None,
        &[(Role::Identity, 3)],
    );
    let deleted = begin + DELETE_DELAY_NS;
    assert_eq!(
        story.claims(bilal, 2, deleted - 1),
        Err(HandleRejected::Taken)
    );
    let resting = Holding::Resting {
        after: ayesha,
        until: deleted + REST_NS,
    };
    assert_eq!(story.holding(deleted), resting);
    assert_eq!(
        story.claims(ayesha, 3, deleted),
        Err(HandleRejected::NoAccount)
    );
    assert_eq!(
        story.claims(bilal, 2, deleted + REST_NS - 1),
        Err(HandleRejected::Resting)
    );
    story.claims(bilal, 2, deleted + REST_NS).unwrap();
}

/// HND-12: a release that would count after the account has ended counts with the account's end.
#[test]
fn the_earlier_of_release_and_delete_counts() {
    let mut story = Story::new();
    let ayesha = story.people.joins(1);
    story.claims(ayesha, 1, T0).unwrap();
    story
        .people
        .does(ayesha, T0, RecordKind::Delete, None, &[(Role::Identity, 1)]);
    story.releases(ayesha, 1, T0 + HOUR).unwrap();
    let until = T0 + DELETE_DELAY_NS + REST_NS;
    assert_eq!(
        story.holding(T0 + DELETE_DELAY_NS),
        Holding::Resting {
            after: ayesha,
            until
        }
    );
}

/// HND-08: with the identity key alone nothing is done while the account is frozen or comes back.
/// The thief's release counts meanwhile, and yet the owner has the handle back afterwards.
#[test]
fn a_thief_gains_nothing_from_a_release() {
    let mut story = Story::new();
    let (ayesha, bilal) = (story.people.joins(1), story.people.joins(2));
    story.claims(ayesha, 1, T0).unwrap();
    // The thief has the open phone, the owner has the kit.
    story.releases(ayesha, 1, T0 + HOUR).unwrap();
    let seen = T0 + 2 * HOUR;
    story.people.does(
        ayesha,
        seen,
        RecordKind::Freeze,
        None,
        &[(Role::Recovery, 101)],
    );
    assert_eq!(
        story.claims(ayesha, 1, seen),
        Err(HandleRejected::AccountFrozen)
    );
    story.people.does(
        ayesha,
        seen + 1,
        RecordKind::Recover,
        Some(3),
        &[(Role::Recovery, 101)],
    );
    assert_eq!(
        story.claims(ayesha, 1, seen + 2),
        Err(HandleRejected::RecoverPending)
    );
    let back = seen + 1 + RECOVER_DELAY_NS;
    assert_eq!(
        story.claims(ayesha, 1, back),
        Err(HandleRejected::NotAuthorised)
    );
    assert_eq!(story.claims(bilal, 2, back), Err(HandleRejected::Resting));
    story.claims(ayesha, 3, back).unwrap();
    assert_eq!(
        story.holding(back + REST_NS),
        Holding::Held {
            by: ayesha,
            ends_at: None
        }
    );
    // A freeze that ends by itself lets the key count again.
    let frozen = back + HOUR;
    story.people.does(
        ayesha,
        frozen,
        RecordKind::Freeze,
        None,
        &[(Role::Identity, 3)],
    );
    assert_eq!(
        story.releases(ayesha, 3, frozen + FREEZE_NS - 1),
        Err(HandleRejected::AccountFrozen)
    );
    story.releases(ayesha, 3, frozen + FREEZE_NS).unwrap();
}

/// A record that is as long as a record can be fits its bound, and one byte more does not decode.
#[test]
fn the_longest_record_fits() {
    let mut people = People::default();
    let account = people.joins(1);
    let handle = Handle::new(&"ع".repeat(32)).unwrap();
    let record = people.writes(&handle, None, account, T0, HandleKind::Claim, 1);
    let mut bytes = encode(&record);
    assert!(bytes.len() <= HANDLE_RECORD_MAX_BYTES);
    assert_eq!(HandleRecord::decode(&bytes).unwrap(), record);
    bytes.push(0);
    assert!(HandleRecord::decode(&bytes).is_err());
    assert!(HandleRecord::decode(&[0; HANDLE_RECORD_MAX_BYTES + 1]).is_err());
}

proptest! {
    /// No bytes make the decoder panic, and what decodes encodes to the same bytes.
    #[test]
    fn a_record_has_one_encoding(seed in any::<u8>(), flips in prop::collection::vec((0_usize..220, any::<u8>()), 0..4)) {
        let mut people = People::default();
        let account = people.joins(seed % 90 + 1);
        let handle = Handle::new("کراچی_5").unwrap();
        let record = people.writes(&handle, None, account, T0, HandleKind::Claim, 1);
        let mut bytes = encode(&record);
        for (at, with) in flips {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= with;
            }
        }
        if let Ok(record) = HandleRecord::decode(&bytes) {
            prop_assert_eq!(encode(&record), bytes);
        }
    }

    /// Whatever two people and a thief do, when: the handle never has two holders, never passes on
    /// within 72 hours and 180 days, and reading the chain gives what writing it gave.
    #[test]
    fn a_handle_passes_on_only_after_its_rest(
        steps in prop::collection::vec((0_u8..2, any::<bool>(), 0_u64..5_000), 1..12)
    ) {
        let mut story = Story::new();
        let people = [story.people.joins(1), story.people.joins(2)];
        let mut now = T0;
        let mut last: Option<(AccountId, u64)> = None;
        for (who, claim, hours) in steps {
            now += hours * HOUR;
            let account = people[usize::from(who)];
            let kind = if claim { HandleKind::Claim } else { HandleKind::Release };
            if story.tries(account, kind, who + 1, now).is_err() {
                continue;
            }
            if let Some((before, at)) = last && before != account {
                prop_assert!(now >= at + RELEASE_DELAY_NS + REST_NS);
            }
            last = Some((account, now));
        }
    }
}
