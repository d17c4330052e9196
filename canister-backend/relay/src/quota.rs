//! What one queue may take in a day, counted in its record.

use paigham_wire::admin::Quotas;
use paigham_wire::relay::PostRefusal;

use crate::records::QUOTA_BYTES;

const NS_PER_HOUR: u64 = 3_600 * 1_000_000_000;
const DAY_HOURS: u32 = 24;
/// Bytes that one unit counts; each entry takes whole units.
const UNIT_BYTES: u64 = 64;
/// Commits go on to so many times the bytes that posts may take.
const COMMITS_REACH: u64 = 2;

/// Counters of a queue's day, which begins with the first entry after the day before it.
///
/// ```text
/// offset  bytes  little-endian
/// 0       3      hour in which the day began, since 1970
/// 3       4      bytes, in units of 64
/// 7       3      posts
/// 10      2      commits
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct QueueQuota {
    hour: u32,
    units: u32,
    posts: u32,
    commits: u16,
}

impl QueueQuota {
    pub(crate) fn from_bytes(bytes: &[u8; QUOTA_BYTES]) -> Self {
        let [h0, h1, h2, u0, u1, u2, u3, p0, p1, p2, c0, c1] = *bytes;
        Self {
            hour: u32::from_le_bytes([h0, h1, h2, 0]),
            units: u32::from_le_bytes([u0, u1, u2, u3]),
            posts: u32::from_le_bytes([p0, p1, p2, 0]),
            commits: u16::from_le_bytes([c0, c1]),
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; QUOTA_BYTES] {
        let [h0, h1, h2, _] = self.hour.to_le_bytes();
        let [u0, u1, u2, u3] = self.units.to_le_bytes();
        let [p0, p1, p2, _] = self.posts.to_le_bytes();
        let [c0, c1] = self.commits.to_le_bytes();
        [h0, h1, h2, u0, u1, u2, u3, p0, p1, p2, c0, c1]
    }

    /// Counts a post.
    ///
    /// # Errors
    /// [`PostRefusal::OverQuota`]; nothing is counted.
    pub(crate) fn admit_post(
        &mut self,
        now: u64,
        bytes: usize,
        quotas: &Quotas,
    ) -> Result<(), PostRefusal> {
        let mut next = self.today(now);
        next.add(bytes, quotas.queue_bytes)?;
        next.posts += 1;
        if next.posts > quotas.queue_posts {
            return Err(PostRefusal::OverQuota);
        }
        *self = next;
        Ok(())
    }

    /// Counts a commit with all that is stored beside it.
    ///
    /// # Errors
    /// [`PostRefusal::OverQuota`]; nothing is counted.
    pub(crate) fn admit_commit(
        &mut self,
        now: u64,
        bytes: usize,
        quotas: &Quotas,
    ) -> Result<(), PostRefusal> {
        let mut next = self.today(now);
        next.add(bytes, COMMITS_REACH * quotas.queue_bytes)?;
        next.commits = next.commits.saturating_add(1);
        if next.commits > quotas.queue_commits {
            return Err(PostRefusal::OverQuota);
        }
        *self = next;
        Ok(())
    }

    /// The counters, from zero where the day is over.
    fn today(self, now: u64) -> Self {
        // Hours since 1970 fit 24 bits for nineteen centuries.
        let hour = u32::try_from(now / NS_PER_HOUR).unwrap_or(u32::MAX) & 0xff_ffff;
        if hour.wrapping_sub(self.hour) < DAY_HOURS {
            self
        } else {
            Self {
                hour,
                ..Self::default()
            }
        }
    }

    fn add(&mut self, bytes: usize, most: u64) -> Result<(), PostRefusal> {
        let units = (bytes as u64).div_ceil(UNIT_BYTES) + u64::from(self.units);
        // What is allowed fits: 128 GiB are 2^31 units.
        self.units = u32::try_from(units).map_err(|_| PostRefusal::OverQuota)?;
        if units * UNIT_BYTES > most {
            return Err(PostRefusal::OverQuota);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = NS_PER_HOUR;
    const NOW: u64 = 1_700_000_000 * 1_000_000_000;

    fn few() -> Quotas {
        Quotas {
            queue_bytes: 1_000,
            queue_posts: 3,
            queue_commits: 2,
            ..Quotas::default()
        }
    }

    /// A queue takes its posts of a day and no more; a day later it takes as many again.
    #[test]
    fn posts_have_a_day() {
        let mut quota = QueueQuota::default();
        for _ in 0..3 {
            quota.admit_post(NOW, 1, &few()).unwrap();
        }
        let full = quota;
        for hours in 0..23 {
            let refused = quota.admit_post(NOW + hours * HOUR, 1, &few());
            assert_eq!(refused, Err(PostRefusal::OverQuota));
        }
        assert_eq!(quota, full);
        quota.admit_post(NOW + 24 * HOUR, 1, &few()).unwrap();
    }

    /// Who floods a queue with bytes can still be removed from it: commits reach further, and have
    /// an end as well.
    #[test]
    fn commits_reach_further_than_posts() {
        let mut quota = QueueQuota::default();
        quota.admit_post(NOW, 900, &few()).unwrap();
        assert!(quota.admit_post(NOW, 100, &few()).is_err());
        quota.admit_commit(NOW, 900, &few()).unwrap();
        assert!(quota.admit_commit(NOW, 200, &few()).is_err());
        quota.admit_commit(NOW, 1, &few()).unwrap();
        assert!(quota.admit_commit(NOW, 1, &few()).is_err());
    }

    proptest! {
        /// Counters come back from a record as they went in, also at the bounds that
        /// administrators have.
        #[test]
        fn counters_fit_their_bytes(posts in 0_u32..=10_000_000, commits in any::<u16>(), units in any::<u32>(), hour in 0_u32..0xff_ffff) {
            let quota = QueueQuota { hour, units, posts, commits };
            prop_assert_eq!(QueueQuota::from_bytes(&quota.to_bytes()), quota);
        }

        /// Whatever comes when: in no day that begins with an entry does a queue take more than
        /// twice its quota (one at its end, one at the start of the next).
        #[test]
        fn no_day_takes_more_than_two_quotas(posts in proptest::collection::vec((0_u64..6 * HOUR, 0_usize..600), 1..80)) {
            let mut quota = QueueQuota::default();
            let mut now = NOW;
            let mut taken: Vec<(u64, u64)> = Vec::new();
            for (later, bytes) in posts {
                now += later;
                if quota.admit_post(now, bytes, &few()).is_ok() {
                    taken.push((now, bytes as u64));
                }
            }
            for (start, _) in &taken {
                let day = taken.iter().filter(|(at, _)| (*start..start + 23 * HOUR).contains(at));
                let (count, bytes) = day.fold((0, 0), |sum, (_, bytes)| (sum.0 + 1, sum.1 + bytes));
                prop_assert!(count <= 6 && bytes <= 2_000);
            }
        }
    }
}
