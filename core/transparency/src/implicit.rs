//! The implicit binary search tree over the entries of a log (draft, §4.1, appendix A).
//!
//! The entries stay where they are; only who is whose parent follows from the positions. The root
//! of `n` entries is the greatest power of two not above `n`, less one. A node's ancestors by
//! level never change while the log grows; there only come more of them.

/// The largest size a log may have. Far from what a log can reach, and far from overflow.
pub const MAX_TREE_SIZE: u64 = 1 << 62;

/// The root of the first `size` entries, which must be at least one.
#[must_use]
pub const fn root(size: u64) -> u64 {
    (1 << (63 - size.leading_zeros())) - 1
}

/// The left child.
#[must_use]
pub const fn left(position: u64) -> Option<u64> {
    match position.trailing_ones() {
        0 => None,
        level => Some(position ^ (1 << (level - 1))),
    }
}

/// The right child among the first `size` entries.
#[must_use]
pub const fn right(position: u64, size: u64) -> Option<u64> {
    let level = position.trailing_ones();
    if level == 0 || position + 1 >= size {
        return None;
    }
    let mut child = position ^ (3 << (level - 1));
    while child >= size {
        match left(child) {
            Some(smaller) => child = smaller,
            None => return None,
        }
    }
    Some(child)
}

/// From the root to the entry itself. The entry must be one of the first `size`.
#[must_use]
pub fn path_from_root(position: u64, size: u64) -> Vec<u64> {
    let mut path = Vec::new();
    let mut next = Some(root(size));
    while let Some(node) = next {
        path.push(node);
        next = match position.cmp(&node) {
            std::cmp::Ordering::Less => left(node),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => right(node, size),
        };
    }
    path
}

/// The root, its right child, and so on to the newest of `size` entries.
#[must_use]
pub fn frontier(size: u64) -> Vec<u64> {
    match size.checked_sub(1) {
        None => Vec::new(),
        Some(newest) => path_from_root(newest, size),
    }
}

/// The entries whose timestamps bring a view of `last` entries up to `size` entries, ascending
/// (draft, §4.2). A new user has seen none. Nothing if both are the same.
#[must_use]
pub fn view_update(last: u64, size: u64) -> Vec<u64> {
    if last == size {
        return Vec::new();
    }
    let Some(newest_seen) = last.checked_sub(1) else {
        return frontier(size);
    };
    let mut path = path_from_root(newest_seen, size);
    path.reverse();
    let mut out: Vec<u64> = path.into_iter().filter(|node| *node >= last).collect();
    let mut next = right(out.last().copied().unwrap_or(newest_seen), size);
    while let Some(node) = next {
        out.push(node);
        next = right(node, size);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The examples of the draft: 14 entries, the frontier of 50, and the growth from 4 to 7 where
    /// the newest entry seen lies on the new frontier itself.
    #[test]
    fn the_examples_of_the_draft() {
        assert_eq!(root(14), 7);
        assert_eq!((left(7), right(7, 14)), (Some(3), Some(11)));
        assert_eq!((left(13), right(13, 14)), (Some(12), None));
        assert_eq!(frontier(50), [31, 47, 49]);
        assert_eq!(view_update(4, 7), [5, 6]);
        assert_eq!(view_update(0, 7), [3, 5, 6]);
        assert_eq!(view_update(6, 8), [7]);
        assert_eq!(view_update(5, 14), [5, 7, 11, 13]);
        assert!(view_update(7, 7).is_empty());
    }

    proptest! {
        /// Reading the tree in order gives the positions in order, each once.
        #[test]
        fn the_tree_is_a_search_tree(size in 1u64..600) {
            fn walk(node: Option<u64>, size: u64, out: &mut Vec<u64>) {
                if let Some(node) = node {
                    walk(left(node), size, out);
                    out.push(node);
                    walk(right(node, size), size, out);
                }
            }
            let mut out = Vec::new();
            walk(Some(root(size)), size, &mut out);
            prop_assert_eq!(out, (0..size).collect::<Vec<_>>());
        }

        /// After an update every entry of the new frontier is known, and what is given ascends.
        #[test]
        fn an_update_knows_the_new_frontier(last in 0u64..500, grown in 0u64..500) {
            let size = last + grown;
            let given = view_update(last, size);
            prop_assert!(given.is_sorted());
            let known: Vec<u64> = frontier(last).into_iter().chain(given.clone()).collect();
            prop_assert!(frontier(size).iter().all(|node| known.contains(node)));
            prop_assert!(given.iter().all(|node| *node >= last));
        }

        /// The largest log has a path too.
        #[test]
        fn the_largest_log_has_paths(position in 0..MAX_TREE_SIZE) {
            let path = path_from_root(position, MAX_TREE_SIZE);
            prop_assert_eq!(path.last(), Some(&position));
            prop_assert!(path.len() <= 63);
        }
    }
}
