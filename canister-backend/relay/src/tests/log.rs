//! The log and its entries against plain models.

use proptest::prelude::*;

use super::*;
use crate::entries::{Entries, Range};
use crate::limits::POSTS_SPAN_NS as SPAN;
use crate::log::{LogError, SEGMENT_BYTES, SegmentLog};
use ic_stable_structures::Memory;

/// What happens to a log.
#[derive(Debug, Clone)]
enum Step {
    Append { bytes: usize, fill: u8 },
    Wait { spans: u8 },
    DropOldest,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (prop_oneof![1_usize..3_000, 900_000_usize..2_100_000], any::<u8>())
            .prop_map(|(bytes, fill)| Step::Append { bytes, fill }),
        2 => (0_u8..3).prop_map(|spans| Step::Wait { spans }),
        1 => Just(Step::DropOldest),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is appended, dropped and opened again: what is retained reads as it was written,
    /// buckets are as old as they say, and storage is used again.
    #[test]
    fn a_log_keeps_what_it_was_given(steps in prop::collection::vec(step(), 1..60)) {
        let memory = VectorMemory::default();
        let mut log = SegmentLog::open(memory.clone(), SPAN).unwrap();
        let mut now = NOW;
        let mut kept: Vec<(u64, u64, Vec<u8>)> = Vec::new();
        let mut most = 0;
        for step in steps {
            match step {
                Step::Append { bytes, fill } => {
                    let body = vec![fill; bytes];
                    let (one, two) = body.split_at(bytes / 3);
                    let offset = log.append(now, &[one, two]).unwrap();
                    kept.push((offset, now, body));
                    now += 1;
                }
                Step::Wait { spans } => now += u64::from(spans) * SPAN,
                Step::DropOldest => {
                    if let Some(bucket) = log.oldest_closed() {
                        for (offset, at, _) in &kept {
                            prop_assert!(*offset >= bucket.start && *at >= bucket.opened_at);
                            if *offset < bucket.end {
                                prop_assert!(*at < bucket.opened_at + SPAN);
                            }
                        }
                        kept.retain(|(offset, ..)| *offset >= bucket.end);
                        log.drop_oldest();
                    }
                }
                Step::Reopen => {
                    log.flush();
                    log = SegmentLog::open(memory.clone(), SPAN).unwrap();
                }
            }
            let live = kept.iter().map(|(.., body)| body.len() as u64).sum::<u64>();
            most = most.max(log.bytes_in_use());
            // A bucket wastes less than its last segment.
            prop_assert!(log.bytes_in_use() < live + 61 * SEGMENT_BYTES);
            for (offset, _, body) in &kept {
                let mut read = vec![0; body.len()];
                log.read(*offset, &mut read);
                prop_assert_eq!(&read, body);
            }
        }
        let pages = memory.size() * 65_536;
        prop_assert!(pages <= most + 6 * SEGMENT_BYTES, "storage of dropped buckets is used again");
    }

    /// Several owners' entries, interleaved, some forgotten: every retained one is found by number
    /// and by place, and links lead through all of them.
    #[test]
    fn entries_are_found_by_number(
        writes in prop::collection::vec((0_u8..4, 0_usize..300), 1..400),
        forget in prop::collection::vec(0_u32..40, 4),
    ) {
        let mut entries = Entries::open(VectorMemory::default(), SPAN).unwrap();
        let mut owners = vec![(Range { first: 1, last: 0, newest: 0 }, Vec::new()); 4];
        for (n, (who, bytes)) in writes.into_iter().enumerate() {
            let now = NOW + n as u64 * SPAN / 50;
            let (range, bodies) = &mut owners[usize::from(who)];
            let digest = EntryDigest { accepted_at: now, post_hash: [n as u8; 32] };
            let header = [who; 48];
            let body = vec![n as u8; bytes];
            let newest = entries.append(&[who; 32], range, &digest, &header, &[&body], now).unwrap();
            range.newest = newest;
            range.last += 1;
            bodies.push((digest, body));
            // Some of the oldest are forgotten while others are still written.
            range.first = range.first.max((range.last + 1).min(forget[usize::from(who)]));
        }
        for (who, (range, bodies)) in owners.iter().enumerate() {
            let links = entries.between(range, range.first, range.last);
            prop_assert_eq!(links.len() as u32, range.last + 1 - range.first);
            prop_assert!(entries.find(range, range.first - 1).is_none());
            prop_assert!(entries.find(range, range.last + 1).is_none());
            for number in range.first..=range.last {
                let link = entries.find(range, number).unwrap();
                let (digest, body) = &bodies[number as usize - 1];
                prop_assert_eq!(link.number, number);
                prop_assert_eq!(&link.digest, digest);
                prop_assert_eq!(&entries.body(&link, 0), body);
                prop_assert_eq!(link.header(&QueueId([who as u8; 32])), [who as u8; 48]);
                let before = entries.newest_before(range, link.end()).unwrap();
                prop_assert_eq!(before.number, number);
            }
        }
    }
}

/// A walk to an entry far back takes few steps, or a reader could make the relay work for hours.
#[test]
fn a_long_chain_is_crossed_in_few_steps() {
    let mut entries = Entries::open(VectorMemory::default(), SPAN).unwrap();
    let mut range = Range {
        first: 1,
        last: 0,
        newest: 0,
    };
    for number in 1..=200_000_u32 {
        let digest = EntryDigest {
            accepted_at: NOW,
            post_hash: [1; 32],
        };
        range.newest = entries
            .append(&[1; 32], &range, &digest, &[2; 48], &[&[3]], NOW)
            .unwrap();
        range.last = number;
    }
    let before = entries.links_read();
    for number in [1, 2, 65_535, 65_536, 131_071, 199_998, 99_999] {
        assert_eq!(entries.find(&range, number).unwrap().number, number);
    }
    let read = entries.links_read() - before;
    assert!(read < 7 * 180, "{read} links read");
}

/// What lies in a log's memory, byte for byte; a change of it needs another layout version.
#[test]
fn the_layout_of_a_log_is_fixed() {
    let memory = VectorMemory::default();
    let mut entries = Entries::open(memory.clone(), SPAN).unwrap();
    let mut range = Range {
        first: 1,
        last: 0,
        newest: 0,
    };
    for n in 1..=9_u8 {
        let now = NOW + u64::from(n) * SPAN / 4;
        let digest = EntryDigest {
            accepted_at: now,
            post_hash: [n; 32],
        };
        let body = vec![n; 200_000];
        range.newest = entries
            .append(&[7; 32], &range, &digest, &[n; 48], &[b"start", &body], now)
            .unwrap();
        range.last += 1;
    }
    entries.log.drop_oldest();
    entries.log.flush();
    let bytes = memory.borrow().clone();
    let hash = paigham_wire::hash::blake3(&bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "d679d18de632ad971def3c848818ae49694cbb1743f6de978c799f4015c0750d"
    );
}

/// Another memory is not taken for a log, and nothing in it is touched.
#[test]
fn a_foreign_memory_is_no_log() {
    let open = |change: fn(&mut Vec<u8>)| {
        let memory = VectorMemory::default();
        let mut log = SegmentLog::open(memory.clone(), SPAN).unwrap();
        log.append(NOW, &[b"entry"]).unwrap();
        log.flush();
        change(&mut memory.borrow_mut());
        let before = memory.borrow().clone();
        let error = SegmentLog::open(memory.clone(), SPAN).unwrap_err();
        assert_eq!(*memory.borrow(), before);
        error
    };
    assert_eq!(open(|bytes| bytes[0] = b'X'), LogError::Foreign);
    assert_eq!(open(|bytes| bytes[4] = 9), LogError::Layout(9));
    assert_eq!(open(|bytes| bytes[33] = 1), LogError::Corrupt);
    assert_eq!(open(|bytes| bytes[16] = 9), LogError::Corrupt);
    assert_eq!(open(|bytes| bytes[36] = 9), LogError::Corrupt);
    assert_eq!(open(|bytes| bytes.truncate(65_536)), LogError::Corrupt);
}
