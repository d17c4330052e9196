//! Stable memories of relays with many queues, made natively by the relay's own code and kept in
//! the target folder.

use std::path::{Path, PathBuf};

use ic_stable_structures::{Memory, VectorMemory};
use paigham_relay::Relay;
use paigham_relay::testkit::BUCKET_PAGES;
use paigham_wire::hash::blake3_labelled;
use paigham_wire::ids::CanisterId;

use super::member::{Member, SEEDED_AT};
use crate::Failure;

/// Bumped when what is seeded changes.
const VERSION: u8 = 1;

/// The stable memory of a relay with `n` queues. A cached one is taken if it was made for the same
/// module.
pub(super) fn load(n: u32, module: &[u8], relay: &CanisterId) -> Result<Vec<u8>, Failure> {
    let folder = folder()?;
    let hash = blake3_labelled("bench image", &[&[VERSION], &n.to_be_bytes(), module]);
    let mut name = format!("relay-{n}-");
    for byte in &hash[..8] {
        name.push_str(&format!("{byte:02x}"));
    }
    let path = folder.join(&name);
    if let Ok(image) = std::fs::read(&path) {
        return Ok(image);
    }
    forget_older(&folder, &format!("relay-{n}-"))?;
    let image = seed(n, relay)?;
    // Renamed when it is whole: a run that is stopped leaves no half of one behind.
    let half = path.with_extension("half");
    std::fs::write(&half, &image)?;
    std::fs::rename(&half, &path)?;
    Ok(image)
}

/// `target/paigham-bench`, found from where this program lies in the target folder.
fn folder() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).ok_or("no target folder")?;
    let folder = target.join("paigham-bench");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn forget_older(folder: &Path, prefix: &str) -> Result<(), Failure> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Makes the relay: each queue with its first commit and up to eight short posts.
fn seed(n: u32, canister: &CanisterId) -> Result<Vec<u8>, Failure> {
    let now = u64::from(SEEDED_AT) * 1_000_000_000;
    let memory = VectorMemory::default();
    let mut relay = Relay::open(memory.clone(), canister.clone(), BUCKET_PAGES)
        .map_err(|error| format!("a new relay: {error:?}"))?;
    for number in 0..n {
        let member = Member::of(number);
        let commit = member.commit()?;
        relay
            .seed_queue(&member.queue, member.control_key, &commit, now)
            .map_err(|error| format!("queue {number}: {error:?}"))?;
        relay
            .seed_posts(&member.seed_posts()?, now)
            .map_err(|error| format!("posts of queue {number}: {error:?}"))?;
        // As updates end; seldom, so that nodes above the pages are hashed once for many queues.
        if number % 10_000 == 0 {
            relay.seal();
        }
    }
    relay.seal();
    drop(relay);
    let mut image = vec![0; usize::try_from(memory.size())? * 65_536];
    memory.read(0, &mut image);
    Ok(image)
}
