//! Handles as they are typed, shown and kept; the life of one handle record by record.

use ed25519_dalek::SigningKey;
use paigham_wire::codec::encode;
use paigham_wire::identity::handle::{
    Accounts, Handle, HandleContent, HandleError, HandleKind, HandleRecord, HandleRejected,
    HandleState, Holding, KeyRule, RELEASE_DELAY_NS, REST_NS,
};
use paigham_wire::identity::{
    AccountState, DeviceEntry, IdentityRecord, RecordContent, RecordKind, Role, recovery_key_hash,
};
use paigham_wire::ids::{AccountId, DeviceId, InboxId};
use serde_json::{Value, json};

use crate::{canister, hex};

const T0: u64 = 1_700_000_000_000_000_000;

const TYPED: [&str; 40] = [
    "ali_khan",
    "Ali_Khan",
    "@ALI",
    "  bilal  ",
    "ａｌｉ",
    "paigham",
    "paigharn",
    "bi1al",
    "n00r",
    "wali",
    "daud",
    "ملک",
    "ملك",
    "ملڪ",
    "علی",
    "علي",
    "على",
    "فاطمہ",
    "فاطمة",
    "فاطمۃ",
    "آمنہ",
    "امنہ",
    "کوئی",
    "مؤمن",
    "محمد",
    "مُحَمَّد",
    "محمــــد",
    "ﻣﺤﻤﺪ",
    "سلام",
    "ﺳﻼم",
    "احمد5",
    "احمد٥",
    "احمد۵",
    "ګران",
    "ځواک",
    "ہاہا",
    "olol",
    "ٻڪري",
    "سپنا",
    "سثنا",
];

const REFUSED: [&str; 18] = [
    "",
    "ab",
    "گل",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "ali khan",
    "ali.khan",
    "josé",
    "ışık",
    "ali\u{200C}khan",
    "ali\u{202E}khan",
    "ali\u{00AD}khan",
    "аli",
    "alیali",
    "5ahmad",
    "۵احمد",
    "_ali",
    "ali_",
    "ali__khan",
];

pub fn all() -> Value {
    json!({
        "typed": TYPED.map(typed).to_vec(),
        "refused_typed": REFUSED.map(refused_typed).to_vec(),
        "delays_ns": {
            "release": RELEASE_DELAY_NS.to_string(),
            "rest": REST_NS.to_string(),
        },
        "life": Life::all(),
    })
}

fn typed(text: &str) -> Value {
    let handle = Handle::typed(text).unwrap();
    json!({
        "typed": text,
        "shown": handle.as_str(),
        "skeleton": handle.skeleton().as_str(),
        "label": hex(handle.skeleton().label()),
    })
}

fn refused_typed(text: &str) -> Value {
    let why = match Handle::typed(text).unwrap_err() {
        HandleError::Length => "HND-01",
        HandleError::Character(_) => "HND-02",
        HandleError::MixedScripts => "HND-03",
        HandleError::Shape => "HND-04",
    };
    json!({ "typed": text, "why": why })
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// Two accounts that only have a create: identity keys 1 and 2, recovery keys 3 and 4.
struct People([IdentityRecord; 2]);

impl People {
    fn new() -> Self {
        Self([create(1, 3), create(2, 4)])
    }

    fn id(&self, number: usize) -> AccountId {
        self.0[number].content.account
    }
}

impl Accounts for People {
    fn at(&self, account: &AccountId, time: u64) -> Option<AccountState> {
        let record = self.0.iter().find(|r| r.content.account == *account)?;
        (time >= T0).then(|| AccountState::create(record, T0).unwrap())
    }
}

fn create(identity: u8, recovery: u8) -> IdentityRecord {
    let identity_key = key(identity).verifying_key().to_bytes();
    let recovery_hash = recovery_key_hash(&key(recovery).verifying_key().to_bytes());
    let content = RecordContent {
        version: 1,
        account: AccountId::derive(&identity_key, &recovery_hash, &[7; 32]),
        record_version: 0,
        identity_key,
        recovery_key_hash: recovery_hash,
        devices: vec![DeviceEntry {
            device: DeviceId([identity; 16]),
            leaf_key: [identity; 32],
            shard: canister(),
            inbox: InboxId([identity; 32]),
            xwing_key_hash: [identity; 32],
            added_at: T0,
        }],
        previous: [0; 32],
        key_change_version: 0,
        key_change_hash: [0; 32],
        kind: RecordKind::Create { nonce: [7; 32] },
    };
    let (first, second) = (key(identity), key(recovery));
    let keys = [(Role::NewIdentity, &first), (Role::Recovery, &second)];
    IdentityRecord::sign(content, &keys)
}

struct Life {
    people: People,
    state: Option<HandleState>,
    records: Vec<Value>,
    refused: Vec<Value>,
}

impl Life {
    fn all() -> Value {
        let mut life = Self {
            people: People::new(),
            state: None,
            records: Vec::new(),
            refused: Vec::new(),
        };
        life.live();
        json!({
            "label": hex(Handle::new("فاطمہ").unwrap().skeleton().label()),
            "accounts": life.people.0.each_ref().map(|record| json!({
                "account": hex(record.content.account),
                "record": hex(encode(record)),
                "accepted_at": T0.to_string(),
            })),
            "records": life.records,
            "refused": life.refused,
        })
    }

    fn live(&mut self) {
        let (released, free) = (T0 + 20, T0 + 20 + RELEASE_DELAY_NS + REST_NS);
        self.refuse(0, HandleKind::Release, T0, 1, HandleRejected::DoesNotFollow);
        self.refuse(0, HandleKind::Claim, T0, 2, HandleRejected::NotAuthorised);
        self.accept("فاطمہ", 0, HandleKind::Claim, T0);
        self.refuse(1, HandleKind::Claim, T0, 2, HandleRejected::Taken);
        self.refuse(1, HandleKind::Release, T0, 2, HandleRejected::NotHolder);
        self.accept("فاطمہ", 0, HandleKind::Release, T0 + 10);
        self.refuse(
            0,
            HandleKind::Claim,
            T0 + 9,
            1,
            HandleRejected::TimeGoesBack,
        );
        self.refuse(
            0,
            HandleKind::Release,
            T0 + 11,
            1,
            HandleRejected::ReleasedAlready,
        );
        self.refuse(1, HandleKind::Claim, T0 + 11, 2, HandleRejected::Taken);
        self.accept("فاطمة", 0, HandleKind::Claim, T0 + 15);
        self.accept("فاطمة", 0, HandleKind::Release, released);
        self.refuse(1, HandleKind::Claim, free - 1, 2, HandleRejected::Resting);
        self.accept("فاطمہ", 1, HandleKind::Claim, free);
        self.refuse(0, HandleKind::Claim, free, 1, HandleRejected::Taken);
        self.refuse(0, HandleKind::Release, free, 1, HandleRejected::NotHolder);
    }

    fn record(&self, shown: &str, who: usize, kind: HandleKind, signer: u8) -> HandleRecord {
        let state = self.state.as_ref();
        let content = HandleContent {
            version: 1,
            handle: Handle::new(shown).unwrap(),
            account: self.people.id(who),
            record_version: state.map_or(0, |state| state.version() + 1),
            previous: state.map_or([0; 32], |state| *state.newest_hash()),
            key_change_version: 0,
            key_change_hash: self.people.0[who].hash(),
            kind,
        };
        HandleRecord::sign(content, &key(signer))
    }

    fn offer(&self, record: &HandleRecord, at: u64) -> Result<HandleState, HandleRejected> {
        HandleState::next(
            self.state.as_ref(),
            &record.content.handle.skeleton(),
            record,
            at,
            &self.people,
            KeyRule::Counting,
        )
    }

    fn accept(&mut self, shown: &str, who: usize, kind: HandleKind, at: u64) {
        let record = self.record(shown, who, kind, u8::try_from(who).unwrap() + 1);
        let state = self.offer(&record, at).unwrap();
        let ends_at = match state.at(at, &self.people) {
            Holding::Held { ends_at, .. } => ends_at,
            other => panic!("{other:?}"),
        };
        self.records.push(json!({
            "record": hex(encode(&record)),
            "hash": hex(record.hash()),
            "accepted_at": at.to_string(),
            "then": {
                "held_by": hex(record.content.account),
                "shown": state.handle().as_str(),
                "ends_at": ends_at.map(|at| at.to_string()),
            },
        }));
        self.state = Some(state);
    }

    fn refuse(&mut self, who: usize, kind: HandleKind, at: u64, signer: u8, why: HandleRejected) {
        let shown = match &self.state {
            Some(state) => state.handle().as_str().to_owned(),
            None => "فاطمہ".to_owned(),
        };
        let record = self.record(&shown, who, kind, signer);
        assert_eq!(self.offer(&record, at), Err(why));
        self.refused.push(json!({
            "after": self.records.len(),
            "record": hex(encode(&record)),
            "offered_at": at.to_string(),
            "why": format!("{why:?}"),
        }));
    }
}
