//! Which versions are looked up to show which version of a label is the greatest (draft, §5,
//! appendix B).

use std::collections::BTreeSet;

/// The greatest version number. One more would have no upper bound to be shown absent.
pub const MAX_VERSION: u32 = u32::MAX - 1;

/// The versions looked up when `greatest` is the greatest version: powers of two less one until
/// one is absent, then a binary search. `None` above [`MAX_VERSION`].
#[must_use]
pub fn base_ladder(greatest: u32) -> Option<Vec<u32>> {
    if greatest > MAX_VERSION {
        return None;
    }
    let mut out = vec![0];
    let (mut lower, mut upper) = (0, 0);
    for bits in 1..=32 {
        if upper > greatest {
            break;
        }
        lower = upper;
        upper = u32::MAX >> (32 - bits);
        out.push(upper);
    }
    // Version 0 alone is no lower bound that was shown: the first step shows it.
    while upper - lower > 1 {
        let middle = lower + (upper - lower) / 2;
        out.push(middle);
        if middle <= greatest {
            lower = middle;
        } else {
            upper = middle;
        }
    }
    Some(out)
}

/// What is looked up for monitoring: the steps of the ladder that are not above the version.
#[must_use]
pub fn monitoring_ladder(version: u32) -> Option<Vec<u32>> {
    let mut out = base_ladder(version)?;
    out.retain(|step| *step <= version);
    Some(out)
}

/// Version 0 and all that a search for one of these would look up, ascending (§8.3, step 3).
#[must_use]
pub fn ladder_union(greatest: &[u32]) -> Option<BTreeSet<u32>> {
    let mut out = BTreeSet::from([0]);
    for version in greatest {
        out.extend(base_ladder(*version)?);
    }
    Some(out)
}

/// The version after the greatest one.
#[must_use]
pub const fn next_version(greatest: Option<u32>) -> Option<u32> {
    match greatest {
        None => Some(0),
        Some(greatest) => greatest.checked_add(1),
    }
}

/// The versions whose VRF proofs an update gives: the ladder of the new greatest one and all new
/// ones, less the ladder of the one before, or version 0 if there was none (§9.1).
#[must_use]
pub fn update_ladder(previous: Option<u32>, greatest: u32) -> Option<BTreeSet<u32>> {
    let mut out: BTreeSet<u32> = base_ladder(greatest)?.into_iter().collect();
    out.extend(next_version(previous)?..=greatest);
    let known = match previous {
        None => vec![0],
        Some(version) => base_ladder(version)?,
    };
    for version in known {
        out.remove(&version);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_draft() {
        assert_eq!(base_ladder(6).unwrap(), [0, 1, 3, 7, 5, 6]);
        assert_eq!(base_ladder(0).unwrap(), [0, 1]);
        assert_eq!(base_ladder(1).unwrap(), [0, 1, 3, 2]);
        assert_eq!(monitoring_ladder(6).unwrap(), [0, 1, 3, 5, 6]);
        assert_eq!(base_ladder(u32::MAX), None);
    }

    proptest! {
        /// A ladder shows the greatest version and that the next is absent, in at most 65 steps.
        #[test]
        fn a_ladder_pins_the_greatest_version(greatest in prop_oneof![0..300u32, 0..=MAX_VERSION]) {
            let ladder = base_ladder(greatest).unwrap();
            prop_assert!(ladder.contains(&greatest));
            prop_assert!(ladder.contains(&(greatest + 1)));
            prop_assert!(ladder.len() <= 65);
            let mut sorted = ladder.clone();
            sorted.sort_unstable();
            sorted.dedup();
            prop_assert_eq!(sorted.len(), ladder.len());
        }

        /// Two ladders are the same until the first step that tells their versions apart, so the
        /// steps for the target serve for every other version too.
        #[test]
        fn ladders_part_where_they_differ(a in 0..2000u32, b in 0..2000u32) {
            let (ladder_a, ladder_b) = (base_ladder(a).unwrap(), base_ladder(b).unwrap());
            for (x, y) in ladder_a.iter().zip(&ladder_b) {
                prop_assert_eq!(x, y);
                if (*x <= a) != (*x <= b) {
                    break;
                }
            }
        }
    }
}
