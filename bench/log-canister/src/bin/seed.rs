//! `seed LABELS FILE`: the stable memory of a directory whose log has so many labels and all their
//! VRF proofs; made as the canister makes it, but for the submissions.

use std::error::Error;

use ic_stable_structures::{Memory, VectorMemory};
use paigham_bench_log::{BEGUN_MS, MINUTE_MS, PER_ENTRY, VALUE_BYTES, label};
use paigham_directory::Directory;
use paigham_directory::testkit::BUCKET_PAGES;
use paigham_wire::ids::CanisterId;

/// The id of the first canister of a network.
const ID: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let labels: u32 = arguments.next().ok_or("seed LABELS FILE")?.parse()?;
    let file = arguments.next().ok_or("seed LABELS FILE")?;
    let id = CanisterId::new(&ID).ok_or("no canister id")?;
    let memory = VectorMemory::default();
    let mut directory =
        Directory::open(memory.clone(), id, BUCKET_PAGES).map_err(|error| format!("{error:?}"))?;
    directory.draw_keys(&[7; 32]);
    for (entry, first) in (0..).zip((0..labels).step_by(PER_ENTRY as usize)) {
        let last = labels.min(first + PER_ENTRY);
        let values = (first..last).map(|number| (label(number), vec![0; VALUE_BYTES]));
        directory.publish_entry(BEGUN_MS + entry * MINUTE_MS, values.collect())?;
        while directory.prove_some(1_000)? {}
    }
    drop(directory);
    let mut image = vec![0; usize::try_from(memory.size())? * 65_536];
    memory.read(0, &mut image);
    std::fs::write(file, image)?;
    Ok(())
}
