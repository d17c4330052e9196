//! Where the processor time of a subnet goes. Counted with the feature `testkit`, for the benchmark;
//! without it nothing is.

/// What processor time is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Envelopes of requests: decoding, expiry, request ids.
    Envelopes,
    /// Signatures: those of requests are checked, those of the subnet and its node are made.
    Signatures,
    /// Encoding the round and writing it to the journal.
    Journal,
    /// Inside of the wasm, system calls included.
    Wasm,
    /// Around the wasm: heap and stable memory are kept or put back.
    Memory,
    /// What a round does besides: admission, statuses, queues.
    Round,
    /// Bringing the state tree up to date, and its root.
    Tree,
    /// Witnesses and certificates of answers.
    Answers,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Envelopes,
        Self::Signatures,
        Self::Journal,
        Self::Wasm,
        Self::Memory,
        Self::Round,
        Self::Tree,
        Self::Answers,
    ];
}

/// Does something, and counts its processor time as a part's, without that of parts within it.
#[cfg(not(feature = "testkit"))]
pub(crate) fn timed<T>(_: Part, work: impl FnOnce() -> T) -> T {
    work()
}

#[cfg(feature = "testkit")]
pub use counted::spent;
#[cfg(feature = "testkit")]
pub(crate) use counted::timed;

#[cfg(feature = "testkit")]
mod counted {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use cpu_time::ThreadTime;

    use super::Part;

    static SPENT_NS: [AtomicU64; Part::ALL.len()] = [const { AtomicU64::new(0) }; Part::ALL.len()];

    thread_local! {
        /// What parts within the running one took.
        static WITHIN: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    /// Does something, and counts its processor time as a part's, without that of parts within it.
    pub(crate) fn timed<T>(part: Part, work: impl FnOnce() -> T) -> T {
        let (done, own) = apart(work);
        let ns = u64::try_from(own.as_nanos()).unwrap_or(u64::MAX);
        if let Some(spent) = SPENT_NS.get(part as usize) {
            spent.fetch_add(ns, Ordering::Relaxed);
        }
        done
    }

    /// The processor time of some work, without that of work within it that was told apart too.
    fn apart<T>(work: impl FnOnce() -> T) -> (T, Duration) {
        // What the platform does not count counts as nothing.
        let Ok(started) = ThreadTime::try_now() else {
            return (work(), Duration::ZERO);
        };
        let before = WITHIN.replace(Duration::ZERO);
        let done = work();
        let all = started.try_elapsed().unwrap_or_default();
        let own = all.saturating_sub(WITHIN.get());
        WITHIN.set(before + all);
        (done, own)
    }

    /// What all subnets of this process have spent on a part so far.
    #[must_use]
    pub fn spent(part: Part) -> Duration {
        let spent = SPENT_NS.get(part as usize);
        Duration::from_nanos(spent.map_or(0, |spent| spent.load(Ordering::Relaxed)))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn work() -> u64 {
            (0..200_000u64).fold(1, |sum, n| std::hint::black_box(sum ^ n.rotate_left(7)))
        }

        /// What is done within something else counts once, there and not around it.
        #[test]
        fn work_within_work_is_told_apart() {
            let started = ThreadTime::now();
            let ((_, within), around) = apart(|| apart(work));
            let all = started.elapsed();
            assert!(within > Duration::ZERO);
            assert!(within + around <= all, "{within:?} {around:?} {all:?}");
        }
    }
}
