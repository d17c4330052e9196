//! What the directory does by itself: it draws its keys, issues beacons, publishes, and makes VRF
//! proofs.
//!
//! One-shot timers, each set by what needs it. An upgrade takes all timers away, so [`begin`] looks
//! again at what is due; and so does a round every minute, in case that a round ended in a trap.

use std::cell::Cell;
use std::time::Duration;

use candid::Principal;
use ic_cdk::api;
use ic_cdk::call::Call;
use ic_cdk_timers::TimerId;
use paigham_transparency::publish::PublishError;

use crate::api::{certify, with};

/// How often it is looked whether something is due that no timer stands for.
const INTERVAL: Duration = Duration::from_secs(60);
/// VRF proofs of one round: about 6 million instructions each.
const PROOFS_PER_ROUND: usize = 16;

thread_local! {
    /// The one timer that publishes, and when it goes off.
    static PUBLISHES: Cell<Option<(u64, TimerId)>> = const { Cell::new(None) };
}

/// Sets the timers; after an install and after an upgrade.
pub(crate) fn begin() {
    ic_cdk_timers::set_timer(Duration::ZERO, tend());
    ic_cdk_timers::set_timer_interval_serial(INTERVAL, tend);
}

async fn tend() {
    if with(|directory| directory.needs_keys()) {
        draw_keys().await;
    }
    if with(|directory| directory.beacon_is_due(api::time())) {
        issue_beacon().await;
    }
    arm();
    ic_cdk_timers::set_timer(Duration::ZERO, async { prove() });
}

async fn draw_keys() {
    if let Some(draw) = random().await {
        with(|directory| {
            directory.draw_keys(&draw);
            certify(directory);
        });
    }
}

async fn issue_beacon() {
    if let Some(random) = random().await {
        with(|directory| {
            directory.issue_beacon(random, api::time());
            certify(directory);
        });
    }
}

/// Where no randomness comes, the next minute tries again.
async fn random() -> Option<[u8; 32]> {
    let drawn = Call::unbounded_wait(Principal::management_canister(), "raw_rand").await;
    let bytes = drawn.ok()?.candid::<Vec<u8>>().ok()?;
    bytes.try_into().ok()
}

/// Sets the timer for the next entry, unless it goes off before. One whose time is over ended in a
/// trap.
pub(crate) fn arm() {
    let Some(due) = with(|directory| directory.next_entry_ns()) else {
        return;
    };
    let now = api::time();
    if let Some((at, timer)) = PUBLISHES.get() {
        if (now..=due.max(now)).contains(&at) {
            return;
        }
        ic_cdk_timers::clear_timer(timer);
    }
    let at = due.max(now);
    let wait = Duration::from_nanos(at - now);
    let timer = ic_cdk_timers::set_timer(wait, async { publish() });
    PUBLISHES.set(Some((at, timer)));
}

fn publish() {
    PUBLISHES.set(None);
    let published = with(|directory| {
        let published = directory.publish_due(api::time());
        if matches!(published, Err(PublishError::Store)) {
            // Half of an entry may be there; the trap undoes it.
            ic_cdk::trap("the log's store is damaged");
        }
        certify(directory);
        published
    });
    arm();
    if matches!(published, Ok(Some(_))) {
        ic_cdk_timers::set_timer(Duration::ZERO, async { prove() });
    }
}

fn prove() {
    let more = with(|directory| directory.prove_some(PROOFS_PER_ROUND));
    if more == Ok(true) {
        ic_cdk_timers::set_timer(Duration::ZERO, async { prove() });
    }
}
