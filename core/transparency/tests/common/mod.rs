//! A log in memory and the people who use it.

#![allow(dead_code, reason = "each suite uses a part")]

use std::collections::BTreeMap;

use ed25519_dalek::{Signer, SigningKey};
use paigham_transparency::Recent;
use paigham_transparency::codec::Codec;
use paigham_transparency::hash::{HashValue, Label};
use paigham_transparency::log_tree;
use paigham_transparency::prover::{ProveError, Prover};
use paigham_transparency::publish::{NewVersion, publish};
use paigham_transparency::store::{MemoryStore, Store};
use paigham_transparency::structs::{
    CipherSuite, Configuration, DeploymentMode, DistinguishedRequest, OwnerInitRequest,
    SearchRequest, TreeHeadTbs,
};
use paigham_transparency::verifier::{
    ContactMap, DistinguishedEntry, Ed25519Heads, Found, MonitorProgress, NewVersions, OwnerState,
    Place, TreeView, Verified, Verifier, VerifyError,
};
use paigham_transparency::vrf::VrfSecretKey;

pub const START: u64 = 1_700_000_000_000;
pub const MINUTE: u64 = 60_000;
pub const HOUR: u64 = 60 * MINUTE;
/// The window of the tests' logs, unless a test says otherwise.
pub const WINDOW: u64 = HOUR;
pub const RECENT: Recent = Recent::Newest(4);

pub fn label(name: &str) -> Label {
    Label::new(name.as_bytes()).unwrap()
}

pub fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[11; 32])
}

pub fn vrf_key() -> VrfSecretKey {
    VrfSecretKey::from_seed(&[22; 32])
}

pub fn configuration(window: u64) -> Configuration {
    Configuration {
        ciphersuite: CipherSuite::Ed25519,
        mode: DeploymentMode::ContactMonitoring,
        signature_public_key: signing_key().verifying_key().to_bytes().to_vec(),
        vrf_public_key: vrf_key().public_key().as_bytes().to_vec(),
        max_ahead: 2 * MINUTE,
        max_behind: 15 * MINUTE,
        reasonable_monitoring_window: window,
        maximum_lifetime: None,
    }
}

/// Signs a head as the log would.
pub fn sign_head(config: &Configuration, tree_size: u64, root: HashValue) -> Vec<u8> {
    let head = TreeHeadTbs {
        config: config.clone(),
        tree_size,
        root,
    };
    let message = head.signed_message().unwrap();
    signing_key().sign(&message).to_bytes().to_vec()
}

/// An honest log.
#[derive(Clone)]
pub struct Log {
    pub store: MemoryStore,
    pub config: Configuration,
    pub vrf: VrfSecretKey,
    pub now: u64,
    openings: u64,
}

impl Log {
    pub fn new(window: u64) -> Self {
        Self {
            store: MemoryStore::default(),
            config: configuration(window),
            vrf: vrf_key(),
            now: START,
            openings: 0,
        }
    }

    /// Adds an entry after some time.
    pub fn publish(&mut self, after: u64, values: &[(&str, &[u8])]) -> u64 {
        self.now += after;
        let mut versions = Vec::new();
        for (name, value) in values {
            self.openings += 1;
            let mut opening = [0; 16];
            opening[..8].copy_from_slice(&self.openings.to_be_bytes());
            versions.push(NewVersion {
                label: label(name),
                value: value.to_vec(),
                opening,
            });
        }
        publish(&mut self.store, &self.vrf, self.now, &versions).unwrap()
    }

    pub fn heartbeats(&mut self, count: usize, every: u64) {
        for _ in 0..count {
            self.publish(every, &[]);
        }
    }

    pub fn signature(&self) -> Vec<u8> {
        let size = self.store.tree_size();
        let root = log_tree::root(&self.store, size).unwrap();
        sign_head(&self.config, size, root)
    }

    pub fn ask<T>(
        &self,
        ask: impl FnOnce(&Prover<'_, MemoryStore>) -> Result<T, ProveError>,
    ) -> Result<T, ProveError> {
        let signature = self.signature();
        ask(&Prover {
            store: &self.store,
            config: &self.config,
            vrf: &self.vrf,
            head_signature: &signature,
        })
    }
}

/// Somebody who uses a log: keeps a view, watches contacts, owns labels.
#[derive(Clone)]
pub struct Person {
    pub config: Configuration,
    pub view: Option<TreeView>,
    pub contacts: BTreeMap<Label, ContactMap>,
    pub owned: BTreeMap<Label, OwnerState>,
}

impl Person {
    pub fn new(config: &Configuration) -> Self {
        Self {
            config: config.clone(),
            view: None,
            contacts: BTreeMap::new(),
            owned: BTreeMap::new(),
        }
    }

    pub fn last(&self) -> Option<u64> {
        self.view.as_ref().map(TreeView::size)
    }

    pub fn check<T>(
        &mut self,
        check: impl FnOnce(&Verifier<'_>, Option<&TreeView>) -> Result<Verified<T>, VerifyError>,
    ) -> Result<T, VerifyError> {
        let verifier = Verifier::new(&self.config, &Ed25519Heads).unwrap();
        let verified = check(&verifier, self.view.as_ref())?;
        // What is kept survives being written and read.
        let bytes = verified.view.encode().unwrap();
        self.view = Some(TreeView::decode(&bytes).unwrap());
        Ok(verified.outcome)
    }

    pub fn request(&self, name: &str, version: Option<u32>) -> SearchRequest {
        SearchRequest {
            last: self.last(),
            label: label(name),
            version,
        }
    }

    /// Checks an answer and takes what it shows under watch.
    pub fn accept(
        &mut self,
        request: &SearchRequest,
        response: &[u8],
        now: u64,
    ) -> Result<Found, VerifyError> {
        let found = self.check(|verifier, view| verifier.search(view, request, response, now))?;
        if let Some(monitor) = found.monitor.clone() {
            let contacts = self.contacts.entry(request.label.clone()).or_default();
            contacts.add(monitor)?;
            let bytes = contacts.encode().unwrap();
            *contacts = ContactMap::decode(&bytes).unwrap();
        }
        Ok(found)
    }

    pub fn search(&mut self, log: &Log, name: &str) -> Result<Found, VerifyError> {
        self.search_version(log, name, None)
    }

    pub fn search_version(
        &mut self,
        log: &Log,
        name: &str,
        version: Option<u32>,
    ) -> Result<Found, VerifyError> {
        let request = self.request(name, version);
        let response = log.ask(|prover| prover.search(&request)).unwrap();
        self.accept(&request, &response.encode().unwrap(), log.now)
    }

    pub fn absent(&mut self, log: &Log, name: &str) -> Result<(), VerifyError> {
        let request = self.request(name, None);
        let response = log.ask(|prover| prover.absent(&request)).unwrap();
        let bytes = response.encode().unwrap();
        self.check(|verifier, view| verifier.absent(view, &request, &bytes, log.now))
    }

    /// Which entry brought a version with a value.
    pub fn place(
        &mut self,
        log: &Log,
        name: &str,
        version: u32,
        value: &[u8],
    ) -> Result<Place, VerifyError> {
        let request = self.request(name, Some(version));
        let bytes = log.ask(|prover| prover.place(&request)).unwrap();
        let bytes = bytes.encode().unwrap();
        self.check(|verifier, view| verifier.place(view, &request, value, &bytes, log.now))
    }

    pub fn monitor(&mut self, log: &Log, name: &str) -> Result<(), VerifyError> {
        let contacts = self.contacts[&label(name)].clone();
        let request = contacts.request(label(name), self.view.as_ref().unwrap());
        let response = log.ask(|prover| prover.contact_monitor(&request)).unwrap();
        let bytes = response.encode().unwrap();
        let left = self.check(|verifier, view| {
            verifier.contact_monitor(view.unwrap(), &contacts, &request, &bytes, log.now)
        })?;
        self.contacts.insert(label(name), left);
        Ok(())
    }

    pub fn distinguished(&mut self, log: &Log) -> Result<Vec<DistinguishedEntry>, VerifyError> {
        let request = DistinguishedRequest {
            last: self.last(),
            stop: None,
        };
        let response = log
            .ask(|prover| prover.distinguished(&request, RECENT))
            .unwrap();
        let bytes = response.encode().unwrap();
        self.check(|verifier, view| verifier.distinguished(view, &request, RECENT, &bytes, log.now))
    }

    /// Becomes the owner of a label from the newest distinguished entry on.
    pub fn own(&mut self, log: &Log, name: &str) -> Result<(), VerifyError> {
        let start = self.distinguished(log)?.last().unwrap().position;
        let request = OwnerInitRequest {
            last: self.last(),
            label: label(name),
            start,
        };
        let response = log.ask(|prover| prover.owner_init(&request)).unwrap();
        let bytes = response.encode().unwrap();
        let state =
            self.check(|verifier, view| verifier.owner_init(view, &request, &bytes, log.now))?;
        self.keep(name, state);
        Ok(())
    }

    pub fn keep(&mut self, name: &str, state: OwnerState) {
        let bytes = state.encode().unwrap();
        let read = OwnerState::decode(&bytes).unwrap();
        assert_eq!(read, state);
        self.owned.insert(label(name), read);
    }

    pub fn owner_monitor(&mut self, log: &Log, name: &str) -> Result<MonitorProgress, VerifyError> {
        let state = self.owned[&label(name)].clone();
        let request = state.monitor_request(label(name), self.view.as_ref().unwrap());
        let response = log.ask(|prover| prover.owner_monitor(&request)).unwrap();
        let bytes = response.encode().unwrap();
        let (state, progress) = self.check(|verifier, view| {
            verifier.owner_monitor(view.unwrap(), &state, &request, &bytes, log.now)
        })?;
        self.keep(name, state);
        Ok(progress)
    }

    /// Learns of the next versions unknown to the owner, if there are any.
    pub fn learn(
        &mut self,
        log: &Log,
        name: &str,
        values: &[&[u8]],
    ) -> Result<Option<NewVersions>, VerifyError> {
        let state = self.owned[&label(name)].clone();
        let values = values.iter().map(|value| value.to_vec()).collect();
        let request = state.update_request(label(name), self.view.as_ref().unwrap(), values);
        let Some(response) = log.ask(|prover| prover.update(&request)).unwrap() else {
            return Ok(None);
        };
        let bytes = response.encode().unwrap();
        let new = self.check(|verifier, view| {
            verifier.update(view.unwrap(), &state, &request, &bytes, log.now)
        })?;
        self.keep(name, new.state.clone());
        Ok(Some(new))
    }
}

/// Cases of a property test: more with `PROPTEST_CASES`.
pub fn cases(usual: u32) -> proptest::test_runner::Config {
    let asked = std::env::var("PROPTEST_CASES").ok();
    proptest::test_runner::Config {
        cases: asked.and_then(|asked| asked.parse().ok()).unwrap_or(usual),
        failure_persistence: None,
        ..Default::default()
    }
}
