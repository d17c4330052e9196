//! What answers weigh: `cargo run --release -p paigham-transparency --example figures -- 100000`.
//!
//! 100 labels an entry, an entry a minute, a window of one hour, values of 450 bytes (a record with
//! two devices), a new client. Bytes are without the signature of the head.

#![expect(clippy::print_stdout, reason = "it prints")]
#![expect(
    clippy::disallowed_methods,
    reason = "it measures, nothing depends on it"
)]

use std::error::Error;
use std::time::{Duration, Instant};

use paigham_transparency::auditor::AuditorState;
use paigham_transparency::codec::Codec;
use paigham_transparency::hash::Label;
use paigham_transparency::prover::{Prover, audit_update};
use paigham_transparency::publish::{NewVersion, publish};
use paigham_transparency::store::{MemoryStore, Store};
use paigham_transparency::structs::{CipherSuite, Configuration, DeploymentMode, SearchRequest};
use paigham_transparency::verifier::{Verifier, VerifyHead};
use paigham_transparency::vrf::VrfSecretKey;

const PER_ENTRY: usize = 100;
const MINUTE: u64 = 60_000;
const VALUE_LEN: usize = 450;
const SAMPLES: usize = 200;

/// The signature of a head is not what is measured here.
struct Unsigned;

impl VerifyHead for Unsigned {
    fn verify_head(&self, _: &Configuration, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

fn label(index: usize) -> Result<Label, Box<dyn Error>> {
    Ok(Label::new(format!("a:{index:016}"))?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let labels = std::env::args()
        .nth(1)
        .map_or(Ok(10_000), |arg| arg.parse::<usize>())?;
    let vrf = VrfSecretKey::from_seed(&[1; 32]);
    let config = Configuration {
        ciphersuite: CipherSuite::Canister,
        mode: DeploymentMode::ContactMonitoring,
        signature_public_key: Vec::new(),
        vrf_public_key: vrf.public_key().as_bytes().to_vec(),
        max_ahead: 2 * MINUTE,
        max_behind: 15 * MINUTE,
        reasonable_monitoring_window: 60 * MINUTE,
        maximum_lifetime: None,
    };
    let mut store = MemoryStore::default();
    let started = Instant::now();
    let mut timestamp = 1_700_000_000_000;
    for entry in 0..labels.div_ceil(PER_ENTRY) {
        let last = labels.min((entry + 1) * PER_ENTRY);
        let mut versions = Vec::new();
        for index in entry * PER_ENTRY..last {
            versions.push(NewVersion {
                label: label(index)?,
                value: vec![0; VALUE_LEN],
                opening: [0; 16],
            });
        }
        publish(&mut store, &vrf, timestamp, &versions)?;
        timestamp += MINUTE;
    }
    let publishing = started.elapsed();
    println!("labels {labels}, entries {}", store.tree_size());
    println!("publish: {:?} a label", publishing.div_f64(labels as f64));
    println!(
        "prefix parents: {:.1} a label",
        store.parent_count() as f64 / labels as f64
    );

    let prover = Prover {
        store: &store,
        config: &config,
        vrf: &vrf,
        head_signature: &[],
    };
    let heads = Unsigned;
    let verifier = Verifier::new(&config, &heads)?;
    let now = timestamp;
    let mut verifying = Duration::ZERO;
    let mut bytes = 0;
    let samples = SAMPLES.min(labels);
    for sample in 0..samples {
        let request = SearchRequest {
            last: None,
            label: label(sample * (labels / samples))?,
            version: None,
        };
        let response = prover.search(&request)?.encode()?;
        let started = Instant::now();
        verifier.search(None, &request, &response, now)?;
        verifying += started.elapsed();
        bytes += response.len();
    }
    println!(
        "search: {} bytes, verified in {:?}",
        bytes / samples,
        verifying.div_f64(samples as f64)
    );

    let mut state = AuditorState::default();
    let mut bytes = 0;
    let started = Instant::now();
    for position in 0..store.tree_size() {
        let update = audit_update(&store, position)?;
        bytes += update.encode()?.len();
        state = state.apply(&update)?;
    }
    println!(
        "audit: {} bytes and {:?} a label",
        bytes / labels,
        started.elapsed().div_f64(labels as f64)
    );
    Ok(())
}
