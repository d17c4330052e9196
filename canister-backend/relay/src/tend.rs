//! What the relay does by itself, every minute: beacons and expiry.

use std::time::Duration;

use candid::Principal;
use ic_cdk::api;
use ic_cdk::call::Call;
use paigham_wire::hash::Hash;

use crate::api::with;

/// How often it is looked whether something is due.
const INTERVAL: Duration = Duration::from_secs(60);
/// Steps of expiry in one message, each bounded; what is left goes on in the next.
const EXPIRY_STEPS: usize = 8;

/// Sets the timers; an upgrade takes them away, so it is called after one as well.
pub(crate) fn begin() {
    ic_cdk_timers::set_timer(Duration::ZERO, tend());
    ic_cdk_timers::set_timer_interval_serial(INTERVAL, tend);
}

async fn tend() {
    if with(|relay| relay.beacon_is_due(api::time())) {
        issue_beacon().await;
    }
    expire();
}

/// Where no randomness comes, the next minute tries again.
async fn issue_beacon() {
    let drawn = Call::unbounded_wait(Principal::management_canister(), "raw_rand").await;
    let random = drawn
        .ok()
        .and_then(|reply| reply.candid::<Vec<u8>>().ok())
        .and_then(|bytes| Hash::try_from(bytes).ok());
    if let Some(random) = random {
        with(|relay| {
            relay.issue_beacon(random, api::time());
            api::certified_data_set(relay.seal());
        });
    }
}

fn expire() {
    let more = with(|relay| {
        let now = api::time();
        let mut more = true;
        for _ in 0..EXPIRY_STEPS {
            // Each takes its step; neither waits for the other.
            let (entries, blobs) = (relay.expire(now), relay.expire_blobs(now));
            more = entries || blobs;
            if !more {
                break;
            }
        }
        relay.certify_shard();
        api::certified_data_set(relay.seal());
        more
    });
    if more {
        ic_cdk_timers::set_timer(Duration::ZERO, async { expire() });
    }
}
