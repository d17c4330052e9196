//! The same work by another implementation: akd 0.13, whose database lies on its heap.

use std::path::Path;

use candid::Principal;
use paigham_subnet::testkit::LoneCanister;
use paigham_subnet::{Execution, Outcome};

use super::build;
use super::{PER_ENTRY, SAMPLES, Sizes, Work};
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
        let records = build::akd_records(folder, labels)?;
        let id = Principal::from_slice(&super::ID);
        let (canister, opened) = LoneCanister::resume(&module, id, &records, super::NOW_NS)?;
        replied(&opened)?;
        Ok(Self {
            canister,
            labels,
            stored: records.len(),
        })
    }

    /// What it takes for the work of our log.
    pub fn measure(mut self) -> Result<Work, Failure> {
        let publish = self.publish()?;
        let mut sizes = Sizes::default();
        for number in super::drawn(self.labels, SAMPLES) {
            let alone = self.ask("lookup", &[number, 0])?;
            let checked = self.ask("lookup", &[number, 1])?;
            sizes.search.push(alone.instructions);
            sizes.bytes.push(replied(&alone)?.len() as u64);
            sizes.verify.push(checked.instructions - alone.instructions);
        }
        let alone = self.ask("audit", &[0])?;
        let checked = self.ask("audit", &[1])?;
        let per_label = f64::from(PER_ENTRY);
        Ok(Work {
            publish: super::exact(publish) / per_label,
            sizes,
            audit: super::exact(checked.instructions - alone.instructions) / per_label,
            audit_bytes: replied(&alone)?.len() as f64 / per_label,
            stored: self.stored as f64 / f64::from(self.labels) - f64::from(super::VALUE_BYTES),
        })
    }

    /// Instructions of an epoch of new labels.
    fn publish(&mut self) -> Result<u64, Failure> {
        let argument = argument(&[self.labels, PER_ENTRY]);
        let execution = self.canister.update("publish", argument);
        replied(&execution)?;
        Ok(execution.instructions)
    }

    fn ask(&mut self, method: &str, numbers: &[u32]) -> Result<Execution, Failure> {
        let execution = self.canister.query(method, argument(numbers), Vec::new());
        replied(&execution)?;
        Ok(execution)
    }
}

fn argument(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

pub(super) fn replied(execution: &Execution) -> Result<&[u8], Failure> {
    match &execution.outcome {
        Outcome::Replied(bytes) => Ok(bytes),
        outcome => Err(format!("{outcome:?}").into()),
    }
}
