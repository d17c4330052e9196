//! A log as it is after a year: with an entry every ten minutes whether there is something to
//! publish or not.

use paigham_bench_log::{BEGUN_MS, MINUTE_MS, PER_ENTRY, VALUE_BYTES, label};
use paigham_transparency::prover::Prover;
use paigham_transparency::publish::{NewVersion, publish};
use paigham_transparency::store::MemoryStore;
use paigham_transparency::structs::{CipherSuite, Configuration, DeploymentMode, SearchRequest};
use paigham_transparency::vrf::VrfSecretKey;

use super::{SAMPLES, drawn};
use crate::Failure;
use crate::sample::Sample;

/// Heartbeats of a year.
const HEARTBEATS: u32 = 365 * 24 * 6;
/// Bytes of a canister's signature over a head: certificate of a subnet below a root key, with its
/// delegation, and the tree.
const SIGNATURE_BYTES: usize = 1_200;
/// The window of a network.
const WINDOW_MS: u64 = 6 * 60 * MINUTE_MS;

/// Bytes of a search by a new client, the median of some.
pub(super) fn search_bytes(labels: u32) -> Result<f64, Failure> {
    let vrf = VrfSecretKey::from_seed(&[7; 32]);
    let config = Configuration {
        ciphersuite: CipherSuite::Canister,
        mode: DeploymentMode::ContactMonitoring,
        signature_public_key: Vec::new(),
        vrf_public_key: vrf.public_key().as_bytes().to_vec(),
        max_ahead: 2 * MINUTE_MS,
        max_behind: 15 * MINUTE_MS,
        reasonable_monitoring_window: WINDOW_MS,
        maximum_lifetime: None,
    };
    let mut store = MemoryStore::default();
    let entries = labels.div_ceil(PER_ENTRY);
    let mut published = 0;
    for heartbeat in 0..HEARTBEATS {
        let timestamp = BEGUN_MS + u64::from(heartbeat) * 10 * MINUTE_MS;
        publish(&mut store, &vrf, timestamp, &[])?;
        // The labels of this tenth of an hour, spread over the year.
        let due = u64::from(entries) * u64::from(heartbeat + 1) / u64::from(HEARTBEATS);
        while u64::from(published) < due {
            publish(&mut store, &vrf, timestamp, &batch(published, labels))?;
            published += 1;
        }
    }
    let signature = vec![0; SIGNATURE_BYTES];
    let prover = Prover {
        store: &store,
        config: &config,
        vrf: &vrf,
        head_signature: &signature,
    };
    let mut bytes = Vec::new();
    for number in drawn(labels, SAMPLES) {
        let request = SearchRequest {
            last: None,
            label: label(number),
            version: None,
        };
        bytes.push(prover.search(&request)?.encode()?.len() as f64);
    }
    Ok(Sample::new(bytes).median())
}

fn batch(entry: u32, labels: u32) -> Vec<NewVersion> {
    let first = entry * PER_ENTRY;
    let numbers = first..labels.min(first + PER_ENTRY);
    numbers
        .map(|number| NewVersion {
            label: label(number),
            value: vec![0; VALUE_BYTES],
            opening: [0; 16],
        })
        .collect()
}
