//! Where a subnet's time comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where time comes from, in nanoseconds since 1970.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now.
    fn now_ns(&self) -> u64;
}

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ns(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since
            .ok()
            .and_then(|since| u64::try_from(since.as_nanos()).ok())
            .unwrap_or(0)
    }
}

/// A clock that a test moves, forward only. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// Starts at this machine's time: an agent compares certificates with that.
    #[must_use]
    pub fn starting_now() -> Self {
        Self::at(SystemClock.now_ns())
    }

    /// Starts at another time.
    #[must_use]
    pub fn at(now_ns: u64) -> Self {
        Self(Arc::new(AtomicU64::new(now_ns)))
    }

    /// Moves forward, to the end of time at most.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        let later = |now: u64| Some(now.saturating_add(by));
        let moved = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, later);
        debug_assert!(moved.is_ok(), "there is always a later time");
    }
}

impl Clock for ManualClock {
    fn now_ns(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It starts at the present, stands unless it is moved, and is never moved back, by whatever
    /// span.
    #[test]
    fn a_manual_clock_goes_forward_only() {
        let before = SystemClock.now_ns();
        let clock = ManualClock::starting_now();
        assert!((before..=SystemClock.now_ns()).contains(&clock.now_ns()));
        let mut last = clock.now_ns();
        let same = clock.clone();
        assert_eq!(same.now_ns(), last);
        for span in [Duration::ZERO, Duration::from_secs(1), Duration::MAX] {
            same.advance(span);
            assert!(clock.now_ns() >= last, "{span:?}");
            last = clock.now_ns();
        }
        assert_eq!(last, u64::MAX);
    }
}
