//! `seed LABELS FILE`: the records of a log with so many labels, as the canister reads them from
//! its stable memory.

use std::error::Error;

use paigham_bench_akd::{Heap, PER_EPOCH};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let labels: u32 = arguments.next().ok_or("seed LABELS FILE")?.parse()?;
    let file = arguments.next().ok_or("seed LABELS FILE")?;
    let heap = Heap::open(Vec::new());
    for first in (0..labels).step_by(PER_EPOCH as usize) {
        heap.publish(first, PER_EPOCH.min(labels - first));
    }
    let records = rmp_serde::to_vec(&heap.records())?;
    let mut bytes = (records.len() as u64).to_le_bytes().to_vec();
    bytes.extend(records);
    std::fs::write(file, bytes)?;
    Ok(())
}
