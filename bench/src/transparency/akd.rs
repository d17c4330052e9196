//! The same work by another implementation: akd 0.13, whose database lies on its heap.

use std::path::Path;

use candid::Principal;
use paigham_bench_log::{PER_ENTRY, VALUE_BYTES};
use paigham_subnet::{Execution, LoneCanister};

use super::{SAMPLES, Work, build, drawn, exact, replied};
use crate::Failure;

/// Its canister, filled.
pub(super) struct Akd {
    canister: LoneCanister,
    labels: u32,
    /// Bytes of its records.
    stored: usize,
}

impl Akd {
    /// A log with so many labels, made natively by the same code.
    pub fn load(labels: u32, folder: &Path) -> Result<Self, Failure> {
        let module = build::akd_module(folder)?;
        let records = build::akd_records(folder, &module, labels)?;
        let id = Principal::from_slice(&super::ID);
        let (canister, opened) = LoneCanister::resume(&module, id, &records, super::NOW_NS)?;
        super::unbroken(&opened)?;
        Ok(Self {
            canister,
            labels,
            stored: records.len(),
        })
    }

    /// What it takes for the work of our log.
    pub fn measure(mut self) -> Result<Work, Failure> {
        let mut work = Work::default();
        let published = self
            .canister
            .update("publish", argument(&[self.labels, PER_ENTRY]));
        replied(&published)?;
        let per_label = f64::from(PER_ENTRY);
        work.publish = exact(published.instructions) / per_label;
        for number in drawn(self.labels, SAMPLES) {
            let alone = self.ask("lookup", &[number, 0])?;
            let checked = self.ask("lookup", &[number, 1])?;
            work.search.push(exact(alone.instructions));
            work.bytes.push(replied(&alone)?.len() as f64);
            let verified = checked.instructions.saturating_sub(alone.instructions);
            work.verify.push(exact(verified));
        }
        let alone = self.ask("audit", &[0])?;
        let checked = self.ask("audit", &[1])?;
        let verified = checked.instructions.saturating_sub(alone.instructions);
        work.audit = exact(verified) / per_label;
        work.audit_bytes = replied(&alone)?.len() as f64 / per_label;
        work.stored = self.stored as f64 / f64::from(self.labels) - VALUE_BYTES as f64;
        Ok(work)
    }

    fn ask(&mut self, method: &str, numbers: &[u32]) -> Result<Execution, Failure> {
        let execution = self.canister.query(method, argument(numbers), Vec::new());
        replied(&execution)?;
        Ok(execution)
    }
}

fn argument(numbers: &[u32]) -> Vec<u8> {
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
    bytes.collect()
}
