//! The directory's log on a seeded memory.

use std::path::Path;
use std::time::Instant;

use candid::Principal;
use ic_stable_structures::{Memory, VectorMemory};
use paigham_bench_log::{argument, label};
use paigham_directory::Directory;
use paigham_directory::testkit::BUCKET_PAGES;
use paigham_subnet::LoneCanister;
use paigham_transparency::codec::Codec;
use paigham_transparency::log_tree::full_subtrees;
use paigham_transparency::prover::audit_update;
use paigham_transparency::store::Store;
use paigham_transparency::structs::{Configuration, SearchRequest};
use paigham_transparency::verifier::{Verifier, VerifyHead};
use paigham_wire::ids::CanisterId;

use super::{
    BEGUN_MS, ID, MINUTE_MS, NOW_NS, PER_ENTRY, SAMPLES, VALUE_BYTES, Work, build, drawn, exact,
    replied, unbroken,
};
use crate::Failure;

/// The window under which answers are weighed.
const WINDOW_MS: u64 = 60 * MINUTE_MS;
/// VRF proofs of one call.
const PROOFS: u32 = 64;

/// Heads are not what is measured.
pub(super) struct Unsigned;

impl VerifyHead for Unsigned {
    fn verify_head(&self, _: &Configuration, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

/// A log, natively and in wasm.
pub(super) struct Log {
    labels: u32,
    canister: LoneCanister,
    native: Directory<VectorMemory>,
    stored: usize,
}

impl Log {
    /// A log with so many labels, and all their VRF proofs.
    pub fn load(labels: u32, folder: &Path) -> Result<Self, Failure> {
        let module = build::log_module(folder)?;
        let image = build::kept(folder, &format!("log-{labels}"), &module, |file| {
            Ok(std::fs::write(file, seed(labels)?)?)
        })?;
        let id = Principal::from_slice(&ID);
        let (canister, opened) = LoneCanister::resume(&module, id, &image, NOW_NS)?;
        unbroken(&opened)?;
        let memory = VectorMemory::default();
        memory.grow((image.len() / 65_536) as u64);
        memory.write(0, &image);
        let stored = used(&image);
        drop(image);
        Ok(Self {
            labels,
            canister,
            native: open(memory)?,
            stored,
        })
    }

    fn now_ms(&self) -> u64 {
        BEGUN_MS + u64::from(self.labels / PER_ENTRY) * MINUTE_MS
    }

    fn request(number: u32) -> SearchRequest {
        SearchRequest {
            last: None,
            label: label(number),
            version: None,
        }
    }

    /// What is counted for both implementations.
    pub fn work(&mut self) -> Result<Work, Failure> {
        let mut work = Work {
            stored: self.stored as f64 / f64::from(self.labels) - VALUE_BYTES as f64,
            ..Work::default()
        };
        let config = self.native.configuration().ok_or("no keys")?.encode()?;
        let now = self.now_ms().to_le_bytes();
        for number in drawn(self.labels, SAMPLES) {
            let request = Self::request(number).encode()?;
            let search = self.ask("bench_search", &[&request])?;
            work.search.push(exact(search.0));
            let checked = self.ask("bench_verify", &[&config, &request, &search.1, &now])?;
            work.verify.push(exact(checked.0));
        }
        self.audits(&mut work)?;
        let published = self.publish()?;
        work.publish = exact(published) / f64::from(PER_ENTRY);
        Ok(work)
    }

    /// The newest entry, checked after all before it.
    fn audits(&mut self, work: &mut Work) -> Result<(), Failure> {
        let store = self.native.log();
        let newest = store.tree_size() - 1;
        let update = audit_update(store, newest)?.encode()?;
        let state = state_before(store, newest)?;
        let checked = self.ask("bench_audit", &[&state, &update])?;
        work.audit = exact(checked.0) / f64::from(PER_ENTRY);
        work.audit_bytes = update.len() as f64 / f64::from(PER_ENTRY);
        Ok(())
    }

    fn publish(&mut self) -> Result<u64, Failure> {
        let argument = argument(&[
            &self.labels.to_le_bytes(),
            &PER_ENTRY.to_le_bytes(),
            &self.now_ms().to_le_bytes(),
            &[0; VALUE_BYTES],
        ]);
        let execution = self.canister.update("bench_publish", argument);
        replied(&execution)?;
        Ok(execution.instructions)
    }

    /// Instructions for the proofs of a label that was just published.
    pub fn proofs(&mut self) -> Result<f64, Failure> {
        let argument = argument(&[&PROOFS.to_le_bytes()]);
        let execution = self.canister.update("bench_prove", argument);
        replied(&execution)?;
        // Of a label with one version: that version, and the next one, which is not there.
        Ok(exact(execution.instructions) / f64::from(PROOFS) * 2.0)
    }

    /// Instructions for a search of a label whose proofs have not been made: the newest ones.
    pub fn cold_search(&mut self) -> Result<f64, Failure> {
        let request = Self::request(self.labels + PER_ENTRY - 1).encode()?;
        Ok(exact(self.ask("bench_search", &[&request])?.0))
    }

    /// Microseconds to verify, and bytes, of some searches by a new client.
    pub fn native_searches(&self) -> Result<(Vec<f64>, Vec<f64>), Failure> {
        let mut config = self.native.configuration().ok_or("no keys")?;
        config.reasonable_monitoring_window = WINDOW_MS;
        let verifier = Verifier::new(&config, &Unsigned)?;
        let (mut times, mut bytes) = (Vec::new(), Vec::new());
        for number in drawn(self.labels, SAMPLES) {
            let request = Self::request(number);
            let response = self.native.unsigned_search(&config, &request)?;
            let started = Instant::now();
            verifier.search(None, &request, &response, self.now_ms())?;
            times.push(started.elapsed().as_secs_f64() * 1e6);
            bytes.push(response.len() as f64);
        }
        Ok((times, bytes))
    }

    /// Instructions and the reply of a query.
    fn ask(&mut self, method: &str, chunks: &[&[u8]]) -> Result<(u64, Vec<u8>), Failure> {
        let execution = self.canister.query(method, argument(chunks), Vec::new());
        Ok((execution.instructions, replied(&execution)?.to_vec()))
    }
}

/// An auditor's state after all entries before one, encoded.
fn state_before(store: &impl Store, size: u64) -> Result<Vec<u8>, Failure> {
    let newest = store.entry(size - 1).ok_or("no entry")?;
    let subtrees = full_subtrees(size);
    let mut state = size.to_be_bytes().to_vec();
    state.extend(newest.timestamp.to_be_bytes());
    state.extend(newest.prefix_root);
    state.push(u8::try_from(subtrees.len())?);
    for subtree in subtrees {
        let last = subtree.start + subtree.size - 1;
        let height = u64::from(subtree.size.trailing_zeros());
        let index = 2 * last - u64::from(last.count_ones()) + height;
        state.extend(store.log_node(index).ok_or("no node")?);
    }
    Ok(state)
}

fn open(memory: VectorMemory) -> Result<Directory<VectorMemory>, Failure> {
    let id = CanisterId::new(&ID).ok_or("no canister id")?;
    Directory::open(memory, id, BUCKET_PAGES).map_err(|error| format!("{error:?}").into())
}

/// Makes the log: as the canister does, but for the submissions.
fn seed(labels: u32) -> Result<Vec<u8>, Failure> {
    let memory = VectorMemory::default();
    let mut directory = open(memory.clone())?;
    directory.draw_keys(&[7; 32]);
    for (entry, first) in (0..).zip((0..labels).step_by(PER_ENTRY as usize)) {
        let last = labels.min(first + PER_ENTRY);
        let values = (first..last).map(|number| (label(number), vec![0; VALUE_BYTES]));
        let timestamp = BEGUN_MS + entry * MINUTE_MS;
        directory.publish_entry(timestamp, values.collect())?;
        while directory.prove_some(1_000)? {}
    }
    drop(directory);
    let mut image = vec![0; usize::try_from(memory.size())? * 65_536];
    memory.read(0, &mut image);
    Ok(image)
}

/// Bytes of the 4-KiB pages that hold something: memory is given out in buckets of 8 MiB.
fn used(image: &[u8]) -> usize {
    let written = image
        .chunks(4_096)
        .filter(|page| page.iter().any(|byte| *byte != 0));
    written.count() * 4_096
}
