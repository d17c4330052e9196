//! Time: a clock of this machine, and what is known of the network's (`spec/client.md` §2).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A clock of this machine, which may be wrong.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Nanoseconds since 1970, as this machine believes.
    fn wall_ns(&self) -> u64;
    /// Nanoseconds since any fixed moment; never goes back and cannot be set.
    fn monotonic_ns(&self) -> u64;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Clock for SystemClock {
    fn wall_ns(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, nanoseconds)
    }

    fn monotonic_ns(&self) -> u64 {
        nanoseconds(self.started.elapsed())
    }
}

/// What is known of the network's time; kept in the home.
///
/// # Security
/// The offset comes only from a certificate over an own, just made request. The floor is the newest
/// certified time ever seen: the present is never taken to lie before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetworkTime {
    /// Certified time minus this machine's; `None` until a certificate proved the present.
    pub offset_ns: Option<i64>,
    /// Newest certified time.
    pub floor_ns: u64,
}

impl NetworkTime {
    /// The present in the network's time.
    pub fn now_ns(&self, wall_ns: u64) -> u64 {
        wall_ns
            .saturating_add_signed(self.offset_ns.unwrap_or(0))
            .max(self.floor_ns)
    }

    /// Whether nothing proved the present yet, or this machine's clock has been set back since:
    /// further behind the floor than a right clock can be.
    pub fn is_unproved(&self, wall_ns: u64) -> bool {
        self.offset_ns.is_none_or(|offset| {
            let present = wall_ns.saturating_add_signed(offset);
            present.saturating_add(RIGHT_NS) < self.floor_ns
        })
    }

    /// A certificate of that time was verified.
    pub fn observe(&mut self, certified_ns: u64) {
        self.floor_ns = self.floor_ns.max(certified_ns);
    }

    /// A certificate proved that it is this time now.
    pub fn present(&mut self, certified_ns: u64, wall_ns: u64) {
        self.observe(certified_ns);
        let difference = i128::from(certified_ns) - i128::from(wall_ns);
        self.offset_ns = Some(i64::try_from(difference).unwrap_or(i64::MAX));
    }

    /// Seconds by which this machine's clock is ahead, if it is wrong.
    pub fn wrong_by_seconds(&self) -> Option<i64> {
        self.offset_ns
            .filter(|offset| offset.unsigned_abs() > RIGHT_NS)
            .map(|offset| -(offset / 1_000_000_000))
    }
}

/// Clocks that differ by less are right: 5 minutes.
const RIGHT_NS: u64 = 5 * 60 * 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000_000_000;
    const HOUR: u64 = 3_600_000_000_000;

    /// A clock that is an hour ahead is named and its offset used; one that is a minute off is not.
    #[test]
    fn a_wrong_clock_is_named() {
        let mut time = NetworkTime::default();
        time.present(NOW, NOW + HOUR);
        assert_eq!(time.wrong_by_seconds(), Some(3_600));
        assert_eq!(time.now_ns(NOW + HOUR + 5), NOW + 5);
        time.present(NOW, NOW + HOUR / 60);
        assert_eq!(time.wrong_by_seconds(), None);
        assert_eq!(time.now_ns(NOW + HOUR), NOW + HOUR - HOUR / 60);
    }

    /// A clock that is set back after a certificate was seen does not make the past present again.
    #[test]
    fn the_floor_never_goes_back() {
        let mut time = NetworkTime::default();
        time.observe(NOW);
        time.observe(NOW - HOUR);
        assert_eq!(time.now_ns(NOW - HOUR), NOW);
        assert_eq!(time.now_ns(0), NOW);
        time.present(NOW, NOW);
        assert!(!time.is_unproved(NOW - HOUR / 60));
        assert!(time.is_unproved(NOW - HOUR), "set back since");
    }
}
