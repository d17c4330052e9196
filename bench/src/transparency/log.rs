//! The directory's log on a seeded memory.

use std::path::Path;
use std::time::Instant;

use candid::Principal;
use paigham_bench_log::{BEGUN_MS, MINUTE_MS, PER_ENTRY, VALUE_BYTES, argument, label};
use paigham_subnet::LoneCanister;
use paigham_transparency::codec::Codec;
use paigham_transparency::structs::{Configuration, SearchRequest};
use paigham_transparency::verifier::{Verifier, VerifyHead};

use super::{ID, NOW_NS, SAMPLES, Work, build, drawn, exact, replied, unbroken};
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

/// A log and its configuration.
pub(super) struct Log {
    labels: u32,
    canister: LoneCanister,
    config: Configuration,
    stored: usize,
}

impl Log {
    /// A log with so many labels, and all their VRF proofs.
    pub fn load(labels: u32, folder: &Path) -> Result<Self, Failure> {
        let module = build::log_module(folder)?;
        let image = build::log_image(folder, &module, labels)?;
        let id = Principal::from_slice(&ID);
        let (mut canister, opened) = LoneCanister::resume(&module, id, &image, NOW_NS)?;
        unbroken(&opened)?;
        let config = canister.query("bench_config", Vec::new(), Vec::new());
        let config = Configuration::decode(replied(&config)?)?;
        Ok(Self {
            labels,
            canister,
            config,
            stored: used(&image),
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
        let config = self.config.encode()?;
        let now = self.now_ms().to_le_bytes();
        for number in drawn(self.labels, SAMPLES) {
            let request = Self::request(number).encode()?;
            let search = self.ask("bench_search", &[&config, &request])?;
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
        let newest = self.ask("bench_newest", &[])?.1;
        // As its argument: the auditor's state and the update, each behind its length.
        let execution = self
            .canister
            .query("bench_audit", newest.clone(), Vec::new());
        replied(&execution)?;
        work.audit = exact(execution.instructions) / f64::from(PER_ENTRY);
        let (length, rest) = newest.split_first_chunk().ok_or("no state")?;
        let state = u32::from_le_bytes(*length) as usize;
        work.audit_bytes = (rest.len() - state - 4) as f64 / f64::from(PER_ENTRY);
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
        let config = self.config.encode()?;
        let request = Self::request(self.labels + PER_ENTRY - 1).encode()?;
        Ok(exact(self.ask("bench_search", &[&config, &request])?.0))
    }

    /// Microseconds to verify, and bytes, of some searches by a new client.
    pub fn native_searches(&mut self) -> Result<(Vec<f64>, Vec<f64>), Failure> {
        let mut config = self.config.clone();
        config.reasonable_monitoring_window = WINDOW_MS;
        let encoded = config.encode()?;
        let verifier = Verifier::new(&config, &Unsigned)?;
        let now = self.now_ms();
        let (mut times, mut bytes) = (Vec::new(), Vec::new());
        for number in drawn(self.labels, SAMPLES) {
            let request = Self::request(number);
            let asked = [&encoded[..], &request.encode()?];
            let (_, response) = self.ask("bench_search", &asked)?;
            let started = Instant::now();
            verifier.search(None, &request, &response, now)?;
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

/// Bytes of the 4-KiB pages that hold something: memory is given out in buckets of 8 MiB.
fn used(image: &[u8]) -> usize {
    let written = image
        .chunks(4_096)
        .filter(|page| page.iter().any(|byte| *byte != 0));
    written.count() * 4_096
}
