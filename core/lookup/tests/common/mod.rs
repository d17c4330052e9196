//! A directory's log in memory with heads signed as a canister does, and an account in it.
//!
//! The signatures are made here from the interface specification, with a BLS key of our own; only
//! the trees and the encoding are a library's.

#![allow(dead_code, reason = "each suite uses a part")]

use ed25519_dalek::SigningKey;
use ic_certification::{Certificate, HashTree, fork, labeled, leaf, pruned};
use ic_verify_bls_signature::PrivateKey;
use paigham_lookup::account::account_label;
use paigham_lookup::{AccountHistory, LogTrust, LookedUp, LookupError, TimeRule, verify_account};
use paigham_transparency::codec::Codec;
use paigham_transparency::hash::Label;
use paigham_transparency::log_tree;
use paigham_transparency::prover::Prover;
use paigham_transparency::publish::{NewVersion, publish};
use paigham_transparency::store::{MemoryStore, Store};
use paigham_transparency::structs::{
    CipherSuite, Configuration, DeploymentMode, SearchRequest, TreeHeadTbs,
};
use paigham_transparency::verifier::TreeView;
use paigham_transparency::vrf::VrfSecretKey;
use paigham_wire::canister_signature::head_key;
use paigham_wire::codec::encode;
use paigham_wire::hash::sha256;
use paigham_wire::identity::{
    AccountState, DeviceEntry, IdentityRecord, RecordContent, RecordKind, Rejected, Role,
    recovery_key_hash,
};
use paigham_wire::ids::{AccountId, CanisterId, DeviceId, InboxId};
use paigham_wire::log::{FoundLabel, LabelAnswer, TimedVersion};

pub const START: u64 = 1_700_000_000_000;
pub const MINUTE: u64 = 60_000;
pub const HOUR: u64 = 60 * MINUTE;
pub const NS: u64 = 1_000_000;

const DER_PREFIX: [u8; 37] = *b"\x30\x81\x82\x30\x1d\x06\x0d\x2b\x06\x01\x04\x01\x82\xdc\x7c\x05\x03\x01\x02\x01\x06\x0c\x2b\x06\x01\x04\x01\x82\xdc\x7c\x05\x03\x02\x01\x03\x61\x00";

pub fn bls(seed: u8) -> PrivateKey {
    let mut bytes = [0; 32];
    bytes[31] = seed;
    PrivateKey::deserialize(&bytes).unwrap()
}

pub fn der(key: &PrivateKey) -> Vec<u8> {
    [&DER_PREFIX[..], &key.public_key().serialize()].concat()
}

pub fn canister(number: u8) -> CanisterId {
    CanisterId::new(&[0, 0, 0, 0, 0, 0, 0, number, 1, 1]).unwrap()
}

fn leb(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
    out
}

pub fn self_described(value: &impl serde::Serialize) -> Vec<u8> {
    let mut serializer = serde_cbor::Serializer::new(Vec::new());
    serializer.self_describe().unwrap();
    value.serialize(&mut serializer).unwrap();
    serializer.into_inner()
}

#[derive(serde::Serialize)]
pub struct Signature {
    #[serde(with = "serde_bytes")]
    pub certificate: Vec<u8>,
    pub tree: HashTree,
}

/// Who signs heads, and how: everything that a cheat could do otherwise.
#[derive(Clone)]
pub struct Signer {
    pub subnet: u8,
    pub canister: CanisterId,
    pub seed: Vec<u8>,
    pub leaf: Vec<u8>,
    /// Nanoseconds after the newest entry at which the certificate is made.
    pub later: u64,
}

impl Signer {
    pub fn certificate(&self, certified: [u8; 32], time_ns: u64) -> Vec<u8> {
        let data = labeled("certified_data", leaf(certified.to_vec()));
        let canister = self.canister.as_slice().to_vec();
        let tree = fork(
            labeled("canister", labeled(canister, data)),
            fork(pruned([7; 32]), labeled("time", leaf(leb(time_ns)))),
        );
        let message = [&b"\x0Dic-state-root"[..], &tree.digest()].concat();
        let signature = bls(self.subnet).sign(&message).serialize().to_vec();
        self_described(&Certificate {
            tree,
            signature,
            delegation: None,
        })
    }

    pub fn tree(&self, message: &[u8]) -> HashTree {
        let signed = labeled(sha256(message).to_vec(), leaf(self.leaf.clone()));
        let seed = labeled(sha256(&self.seed).to_vec(), signed);
        fork(pruned([9; 32]), labeled("sig", seed))
    }

    pub fn sign(&self, message: &[u8], time_ns: u64) -> Vec<u8> {
        let tree = self.tree(message);
        self_described(&Signature {
            certificate: self.certificate(tree.digest(), time_ns),
            tree,
        })
    }
}

/// The log of a directory.
#[derive(Clone)]
pub struct Directory {
    pub store: MemoryStore,
    pub config: Configuration,
    pub signer: Signer,
    pub now: u64,
    vrf: VrfSecretKey,
    openings: u64,
}

impl Directory {
    pub fn new() -> Self {
        Self::starting(START)
    }

    /// Its first entry is of a time in milliseconds.
    pub fn starting(now: u64) -> Self {
        let vrf = VrfSecretKey::from_seed(&[22; 32]);
        let config = Configuration {
            ciphersuite: CipherSuite::Canister,
            mode: DeploymentMode::ContactMonitoring,
            signature_public_key: head_key(&canister(7)),
            vrf_public_key: vrf.public_key().as_bytes().to_vec(),
            max_ahead: 2 * MINUTE,
            max_behind: 15 * MINUTE,
            reasonable_monitoring_window: 6 * HOUR,
            maximum_lifetime: None,
        };
        let signer = Signer {
            subnet: 1,
            canister: canister(7),
            seed: b"kt1".to_vec(),
            leaf: Vec::new(),
            later: 3_000_000_000,
        };
        let mut directory = Self {
            store: MemoryStore::default(),
            config,
            signer,
            now,
            vrf,
            openings: 0,
        };
        directory.publish(0, &[(Label::new(*b"n:").unwrap(), b"network".to_vec())]);
        directory
    }

    pub fn trust(&self) -> LogTrust {
        LogTrust::new(der(&bls(1)), canister(7), self.config.clone()).unwrap()
    }

    /// Adds an entry after some milliseconds.
    pub fn publish(&mut self, after: u64, values: &[(Label, Vec<u8>)]) -> u64 {
        self.now += after;
        let versions: Vec<_> = values
            .iter()
            .map(|(label, value)| {
                self.openings += 1;
                NewVersion {
                    label: label.clone(),
                    value: value.clone(),
                    opening: u128::from(self.openings).to_be_bytes(),
                }
            })
            .collect();
        publish(&mut self.store, &self.vrf, self.now, &versions).unwrap()
    }

    /// Logs a record after some milliseconds, in an entry with another account's.
    pub fn log(&mut self, after: u64, record: &IdentityRecord) -> u64 {
        let label = account_label(record.content.account).unwrap();
        let other = Label::new(format!("o:{}", self.openings)).unwrap();
        self.publish(after, &[(other, vec![1; 400]), (label, encode(record))])
    }

    /// The newest entry is a heartbeat, so many milliseconds later, with some in between.
    pub fn wait(&mut self, milliseconds: u64) {
        self.publish(milliseconds / 2, &[]);
        self.publish(milliseconds - milliseconds / 2, &[]);
    }

    pub fn signed_message(&self) -> Vec<u8> {
        let tree_size = self.store.tree_size();
        let head = TreeHeadTbs {
            config: self.config.clone(),
            tree_size,
            root: log_tree::root(&self.store, tree_size).unwrap(),
        };
        head.signed_message().unwrap()
    }

    pub fn certificate_time(&self) -> u64 {
        self.now * NS + self.signer.later
    }

    pub fn head(&self) -> Vec<u8> {
        self.signer
            .sign(&self.signed_message(), self.certificate_time())
    }

    pub fn prove<T>(&self, head: &[u8], ask: impl FnOnce(&Prover<'_, MemoryStore>) -> T) -> T {
        ask(&Prover {
            store: &self.store,
            config: &self.config,
            vrf: &self.vrf,
            head_signature: head,
        })
    }

    pub fn place(&self, label: &Label, version: u32, last: Option<u64>) -> TimedVersion {
        let request = SearchRequest {
            last,
            label: label.clone(),
            version: Some(version),
        };
        let place = self.prove(&[], |prover| prover.place(&request)).unwrap();
        TimedVersion {
            version,
            place: place.encode().unwrap().into(),
        }
    }

    /// The answer about a label, and the reply's head.
    pub fn answer(
        &self,
        label: &Label,
        last: Option<u64>,
        from: u32,
        rule: &impl TimeRule,
    ) -> (LabelAnswer, Vec<u8>) {
        let head = self.head();
        let size = Some(self.store.tree_size());
        let beside = if last == size {
            head.clone()
        } else {
            Vec::new()
        };
        let request = SearchRequest {
            last,
            label: label.clone(),
            version: None,
        };
        let count = self.store.version_count(label);
        if count == 0 {
            let absent = self.prove(&head, |prover| prover.absent(&request)).unwrap();
            return (LabelAnswer::Absent(absent.encode().unwrap().into()), beside);
        }
        let search = self.prove(&head, |prover| prover.search(&request)).unwrap();
        let value = |version| self.store.version(label, version).unwrap().value;
        let timed = |version: u32| {
            let before = version.checked_sub(1);
            rule.counts_by_time(&value(version))
                || before.is_some_and(|before| rule.counts_by_time(&value(before)))
        };
        let found = FoundLabel {
            search: search.encode().unwrap().into(),
            earlier: (from..count - 1)
                .map(|version| value(version).into())
                .collect(),
            times: (from..count)
                .filter(|version| timed(*version))
                .map(|version| self.place(label, version, size))
                .collect(),
        };
        (LabelAnswer::Found(found), beside)
    }
}

/// Somebody who looks accounts up.
#[derive(Clone, Default)]
pub struct Reader {
    pub view: Option<TreeView>,
    pub history: Option<AccountHistory>,
}

impl Reader {
    pub fn ask(&self, directory: &Directory, account: AccountId) -> (LabelAnswer, Vec<u8>) {
        let last = self.view.as_ref().map(TreeView::size);
        let from = self
            .history
            .as_ref()
            .map_or(0, AccountHistory::next_version);
        let rule = paigham_lookup::account::RecordTimes;
        directory.answer(&account_label(account).unwrap(), last, from, &rule)
    }

    pub fn read(
        &self,
        directory: &Directory,
        account: AccountId,
        (answer, head): &(LabelAnswer, Vec<u8>),
    ) -> Result<LookedUp<Option<AccountHistory>>, LookupError> {
        let (view, known) = (self.view.as_ref(), self.history.as_ref());
        verify_account(&directory.trust(), view, known, account, answer, head)
    }

    pub fn look_up(
        &mut self,
        directory: &Directory,
        account: AccountId,
    ) -> Result<LookedUp<Option<AccountHistory>>, LookupError> {
        let reply = self.ask(directory, account);
        let found = self.read(directory, account, &reply)?;
        let view = TreeView::decode(&found.view.encode().unwrap()).unwrap();
        self.view = Some(view);
        self.history = found.outcome.as_ref().map(|history| {
            let read = AccountHistory::from_bytes(&history.to_bytes()).unwrap();
            assert_eq!(read, *history);
            read
        });
        Ok(found)
    }
}

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn public(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

pub fn device(number: u8) -> DeviceEntry {
    DeviceEntry {
        device: DeviceId([number; 16]),
        leaf_key: public(number),
        shard: CanisterId::new(&[1]).unwrap(),
        inbox: InboxId([number; 32]),
        xwing_key_hash: [number; 32],
        added_at: START,
    }
}

/// An account with its keys: the records it makes, and what they make of it at the true times.
#[derive(Clone)]
pub struct Owner {
    pub state: AccountState,
    pub identity: u8,
    pub recovery: u8,
    pub records: Vec<IdentityRecord>,
}

impl Owner {
    /// Identity key 1, recovery key 2, device 1; logged at once.
    pub fn create(directory: &mut Directory, nonce: u8) -> Self {
        let (identity_key, recovery_hash) = (public(1), recovery_key_hash(&public(2)));
        let content = RecordContent {
            version: 1,
            account: AccountId::derive(&identity_key, &recovery_hash, &[nonce; 32]),
            record_version: 0,
            identity_key,
            recovery_key_hash: recovery_hash,
            devices: vec![device(1)],
            previous: [0; 32],
            key_change_version: 0,
            key_change_hash: [0; 32],
            kind: RecordKind::Create { nonce: [nonce; 32] },
        };
        let keys = [(Role::NewIdentity, &key(1)), (Role::Recovery, &key(2))];
        let record = IdentityRecord::sign(content, &keys);
        directory.log(MINUTE, &record);
        Self {
            state: AccountState::create(&record, directory.now * NS).unwrap(),
            identity: 1,
            recovery: 2,
            records: vec![record],
        }
    }

    pub fn account(&self) -> AccountId {
        self.state.account()
    }

    /// The record that follows at a time in nanoseconds.
    pub fn make(
        &self,
        now: u64,
        kind: RecordKind,
        change: impl Fn(&mut RecordContent),
        keys: &[(Role, u8)],
    ) -> IdentityRecord {
        let standing = self.state.at(now);
        let mut content = RecordContent {
            version: 1,
            account: self.account(),
            record_version: self.state.version() + 1,
            identity_key: standing.identity_key,
            recovery_key_hash: standing.recovery_key_hash,
            devices: standing.devices,
            previous: *self.state.newest_hash(),
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

    /// Adds a device in the name of an identity key.
    pub fn add(&self, now: u64, number: u8, by: u8) -> IdentityRecord {
        let add = |content: &mut RecordContent| {
            content.devices.push(device(number));
            content.devices.sort_by_key(|entry| entry.device);
        };
        self.make(now, RecordKind::DeviceAdd, add, &[(Role::Identity, by)])
    }

    pub fn recover(&self, now: u64, fresh: u8) -> IdentityRecord {
        let change = |content: &mut RecordContent| content.identity_key = public(fresh);
        let keys = [(Role::Recovery, self.recovery)];
        self.make(now, RecordKind::Recover, change, &keys)
    }

    pub fn freeze(&self, now: u64, by: u8) -> IdentityRecord {
        self.make(now, RecordKind::Freeze, |_| {}, &[(Role::Identity, by)])
    }

    pub fn delete(&self, now: u64, by: u8) -> IdentityRecord {
        self.make(now, RecordKind::Delete, |_| {}, &[(Role::Identity, by)])
    }

    /// Logs a record after some milliseconds, if it follows at the entry's time.
    pub fn log(
        &mut self,
        directory: &mut Directory,
        after: u64,
        record: &IdentityRecord,
    ) -> Result<(), Rejected> {
        let time = (directory.now + after) * NS;
        self.state = self.state.apply(record, time)?;
        directory.log(after, record);
        self.records.push(record.clone());
        Ok(())
    }
}
