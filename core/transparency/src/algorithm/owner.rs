//! Owner initialization and monitoring (draft, §8.3).

use crate::algorithm::{Known, Source, Verdict, View, expect_greatest};
use crate::implicit::{left, path_from_root, right, root};

/// The entries inspected at the start: the starting position, then those left of it on its direct
/// path, nearest first.
pub(crate) fn owner_init_list(start: u64, size: u64) -> Vec<u64> {
    let mut path = path_from_root(start, size);
    path.reverse();
    path.retain(|position| *position <= start);
    path
}

/// Verifies the greatest versions that existed at the start and left of it. Entries beyond
/// `greatest` have no version.
pub(crate) fn owner_init<S: Source>(
    source: &mut S,
    view: &View,
    start: u64,
    greatest: &[u32],
) -> Result<(), S::Error> {
    let path = view.path(source, start)?;
    if !path.last().is_some_and(|node| node.distinguished) {
        return Err(Verdict::NotDistinguished { position: start }.into());
    }
    source.timestamp(start)?;
    for (index, position) in owner_init_list(start, view.size).into_iter().enumerate() {
        expect_greatest(
            source,
            position,
            greatest.get(index).copied(),
            &Known::default(),
        )?;
    }
    Ok(())
}

/// One run of owner monitoring over the distinguished entries right of `start`.
pub(crate) struct OwnerMonitor<'a> {
    /// The greatest version expected at an entry, from what the owner knows.
    pub(crate) expected: &'a dyn Fn(u64) -> Option<u32>,
    /// The newest distinguished entry verified.
    pub(crate) verified: u64,
    /// A ladder was missing: there are more distinguished entries than were shown.
    pub(crate) stopped: bool,
}

impl OwnerMonitor<'_> {
    pub(crate) fn run<S: Source>(&mut self, source: &mut S, view: &View) -> Result<(), S::Error> {
        let start = self.verified;
        self.visit(source, view, start, (root(view.size), 0, view.newest))
    }

    /// Recursion follows the implicit tree, at most 63 deep.
    fn visit<S: Source>(
        &mut self,
        source: &mut S,
        view: &View,
        start: u64,
        (position, before, after): (u64, u64, u64),
    ) -> Result<(), S::Error> {
        if self.stopped || !view.distinguishes(before, after) {
            return Ok(());
        }
        let right = right(position, view.size);
        if position <= start {
            if let Some(right) = right {
                let own = source.timestamp(position)?;
                self.visit(source, view, start, (right, own, after))?;
            }
            return Ok(());
        }
        if let Some(left) = left(position) {
            let own = source.timestamp(position)?;
            self.visit(source, view, start, (left, before, own))?;
        }
        if self.stopped || !source.continues(position) {
            self.stopped = true;
            return Ok(());
        }
        expect_greatest(
            source,
            position,
            (self.expected)(position),
            &Known::default(),
        )?;
        self.verified = position;
        if let Some(right) = right {
            let own = source.timestamp(position)?;
            self.visit(source, view, start, (right, own, after))?;
        }
        Ok(())
    }
}
