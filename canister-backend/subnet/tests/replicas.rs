//! Replicas in lockstep, and what happens when one of them is faulty.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{agent, expected, get, module, put};
use paigham_subnet::testkit::{FaultJournal, Traps};
use paigham_subnet::{
    Config, InstallError, OpenError, REPLICAS_MAX, StopReason, Subnet, SystemClock,
};

fn open(journal: &FaultJournal, config: &Config) -> Result<Subnet, OpenError> {
    journal.restart();
    Subnet::open_with_as(
        Box::new(journal.clone()),
        Arc::new(SystemClock),
        [1; 32],
        config,
    )
}

async fn reason(subnet: &Subnet) -> StopReason {
    let waited = tokio::time::timeout(Duration::from_secs(10), subnet.stops_by_itself());
    waited.await.expect("the subnet goes on")
}

/// Three replicas run installs, calls that succeed and trap, an upgrade and a restart from log and
/// checkpoint, and agree throughout.
#[tokio::test]
async fn replicas_agree() {
    let (journal, config) = (FaultJournal::default(), Config::default().replicas(3));
    let subnet = open(&journal, &config).unwrap();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let agent1 = agent(&subnet);
    for count in 1..=5 {
        put(&agent1, &canister, b"same").await.unwrap();
        let trapped = agent1.update(&canister, "put_then_trap").with_arg(b"x");
        assert!(trapped.call_and_wait().await.is_err());
        assert_eq!(get(&agent1, &canister).await, expected(count, b"same"));
    }
    subnet
        .upgrade(canister, &module(), Vec::new())
        .await
        .unwrap();
    put(&agent1, &canister, b"more").await.unwrap();
    // It dies with a round in the log, and each replica replays it.
    journal.crash_at(0);
    subnet.shutdown();
    drop(subnet);
    let subnet = open(&journal, &config).unwrap();
    assert_eq!(get(&agent(&subnet), &canister).await, expected(1, b"more"));
    put(&agent(&subnet), &canister, b"on").await.unwrap();
}

/// One bit of the heap of one replica turns over, be it the one that answers or another, in a page
/// that no message touches: the next round is noticed to differ, its callers get no certificate, and
/// the subnet says why it stopped. Started again from the disk, it has lost nothing.
#[tokio::test]
async fn one_bit_in_one_replica_stops_the_subnet() {
    for replica in [1, 2, 3] {
        let (journal, config) = (FaultJournal::default(), Config::default().replicas(3));
        let subnet = open(&journal, &config).unwrap();
        let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
        put(&agent(&subnet), &canister, b"good").await.unwrap();
        subnet
            .flip_heap_bit(replica, canister, 60_000)
            .await
            .unwrap();
        assert!(put(&agent(&subnet), &canister, b"evil").await.is_err());
        let StopReason::Diverged(divergence) = reason(&subnet).await else {
            panic!("another reason");
        };
        assert_eq!(divergence.canister, Some(canister));
        assert_eq!(divergence.what, "the heap");
        // With the first replica at fault, the second is the first that differs from it.
        assert_eq!(usize::from(divergence.replica), replica.max(2));
        assert!(subnet.status().await.is_err());
        drop(subnet);
        let subnet = open(&journal, &config).unwrap();
        // The call was logged before it ran; memory was at fault, not the disk.
        assert_eq!(get(&agent(&subnet), &canister).await, expected(2, b"evil"));
    }
}

/// An upgrade on replicas that differ is not kept.
#[tokio::test]
async fn an_upgrade_of_differing_replicas_is_not_kept() {
    let (journal, config) = (FaultJournal::default(), Config::default().replicas(2));
    let subnet = open(&journal, &config).unwrap();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let other = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    subnet.flip_heap_bit(2, other, 60_000).await.unwrap();
    let newer = [&module()[..], &[0, 2, 1, b'x']].concat();
    let refused = subnet.upgrade(canister, &newer, Vec::new()).await;
    assert!(
        matches!(refused, Err(InstallError::Stopped(_))),
        "{refused:?}"
    );
    drop(subnet);
    let subnet = open(&journal, &config).unwrap();
    let hashes = |status: paigham_subnet::SubnetStatus| {
        let canisters = status.canisters.into_iter();
        canisters.map(|it| it.module_hash).collect::<Vec<_>>()
    };
    let hashes = hashes(subnet.status().await.unwrap());
    assert_eq!(hashes[0], hashes[1]);
}

/// A journal that fails is told apart from replicas that differ.
#[tokio::test]
async fn a_failing_disk_is_named() {
    let journal = FaultJournal::default();
    let subnet = open(&journal, &Config::default()).unwrap();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    journal.crash_at(0);
    assert!(put(&agent(&subnet), &canister, b"x").await.is_err());
    assert!(matches!(reason(&subnet).await, StopReason::Journal(_)));
}

/// No replica at all, or more than memory is for.
#[test]
fn the_number_of_replicas_is_bounded() {
    for replicas in [0, REPLICAS_MAX + 1] {
        let config = Config::default().replicas(replicas);
        let refused = open(&FaultJournal::default(), &config).unwrap_err();
        assert!(matches!(refused, OpenError::Replicas(n) if n == replicas));
    }
}

/// Messages trap at system calls that a seed chooses. All or nothing holds for each: the counters in
/// heap and stable memory count exactly the calls that were answered, two replicas trap alike, and a
/// replay of the log after a crash traps where the first run did.
#[tokio::test]
async fn a_trap_at_any_system_call_leaves_nothing() {
    // The time of a message decides as well, so a single seed may trap none.
    let mut trapped_at_all = 0;
    for seed in 0..8 {
        let traps = Traps {
            seed,
            one_in: 2,
            within: 12,
        };
        let config = Config::default().replicas(2).traps(traps);
        let journal = FaultJournal::default();
        let mut subnet = open(&journal, &config).unwrap();
        let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
        let (mut answered, mut trapped) = (0, 0);
        for call in 0..20u8 {
            let text = [call; 8];
            match put(&agent(&subnet), &canister, &text).await {
                Ok(state) => {
                    answered += 1;
                    assert_eq!(state, expected(answered, &text), "seed {seed}");
                }
                Err(error) => {
                    trapped += 1;
                    assert!(
                        error.to_string().contains("on purpose"),
                        "seed {seed}: {error}"
                    );
                }
            }
            if call == 10 {
                journal.crash_at(0);
                subnet.shutdown();
                drop(subnet);
                subnet = open(&journal, &config).unwrap();
            }
        }
        assert!(answered > 0, "seed {seed}");
        trapped_at_all += trapped;
        let state = get(&agent(&subnet), &canister).await;
        assert_eq!(state[..8], expected(answered, b"")[..8], "seed {seed}");
    }
    assert!(trapped_at_all > 0);
}
