//! Updating the view of the tree, and which entries are distinguished (draft, §4.2, §6.1).

use crate::algorithm::Source;
use crate::implicit::{frontier, path_from_root, view_update};

/// A log of some size, its newest timestamp known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) size: u64,
    /// The reasonable monitoring window.
    pub(crate) window: u64,
    pub(crate) newest: u64,
}

/// A node on the way from the root, and whether it is distinguished.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathNode {
    pub(crate) position: u64,
    pub(crate) distinguished: bool,
}

impl View {
    /// Brings a view of `last` entries (0: none) up to `size`, which must not be 0.
    pub(crate) fn update<S: Source>(
        source: &mut S,
        last: u64,
        size: u64,
        window: u64,
    ) -> Result<Self, S::Error> {
        for position in view_update(last, size) {
            source.timestamp(position)?;
        }
        let newest = source.timestamp(size.saturating_sub(1))?;
        Ok(Self {
            size,
            window,
            newest,
        })
    }

    /// Whether an entry is distinguished, from the timestamps around its subtree.
    pub(crate) const fn distinguishes(&self, left: u64, right: u64) -> bool {
        right.saturating_sub(left) >= self.window
    }

    /// From the root to an entry, asking for the timestamps of what lies above it and is
    /// distinguished. Below a node that is not distinguished none is.
    pub(crate) fn path<S: Source>(
        &self,
        source: &mut S,
        position: u64,
    ) -> Result<Vec<PathNode>, S::Error> {
        let (mut left, mut right) = (0, self.newest);
        let mut distinguished = true;
        let mut out = Vec::new();
        for node in path_from_root(position, self.size) {
            distinguished = distinguished && self.distinguishes(left, right);
            out.push(PathNode {
                position: node,
                distinguished,
            });
            if distinguished && node != position {
                let timestamp = source.timestamp(node)?;
                if position < node {
                    right = timestamp;
                } else {
                    left = timestamp;
                }
            }
        }
        Ok(out)
    }

    /// The frontier split at the newest distinguished entry, which always lies on it: that entry,
    /// and what follows.
    pub(crate) fn since_distinguished<S: Source>(
        &self,
        source: &mut S,
    ) -> Result<(Option<u64>, Vec<u64>), S::Error> {
        let mut frontier = frontier(self.size).into_iter();
        let (mut left, mut newest) = (0, None);
        for node in frontier.by_ref() {
            if !self.distinguishes(left, self.newest) {
                let rest = std::iter::once(node).chain(frontier).collect();
                return Ok((newest, rest));
            }
            newest = Some(node);
            left = source.timestamp(node)?;
        }
        Ok((newest, Vec::new()))
    }
}
