//! Verifying how new versions were inserted (draft, §9.1).

use crate::algorithm::{
    Known, Source, Verdict, View, expect_greatest, expect_included, simulated_ladder,
};
use crate::ladder::{base_ladder, next_version};

/// New versions of a label in one entry.
pub(crate) struct Update<'a> {
    /// The entry.
    pub(crate) position: u64,
    /// The greatest version before, and the entry that brought it or one known to hold it.
    pub(crate) previous: Option<(u32, u64)>,
    /// The greatest version now.
    pub(crate) greatest: u32,
    /// The greatest version at an entry between the owner's start and `position`.
    pub(crate) expected: &'a dyn Fn(u64) -> Option<u32>,
}

impl Update<'_> {
    /// New versions that the ladder of the greatest one does not look up, ascending.
    fn beside_ladder<E: From<Verdict>>(&self) -> Result<Vec<u32>, E> {
        let ladder = base_ladder(self.greatest).ok_or(Verdict::VersionOutOfRange)?;
        let previous = self.previous.map(|(version, _)| version);
        let first = next_version(previous).ok_or(Verdict::VersionOutOfRange)?;
        Ok((first..self.greatest)
            .filter(|version| !ladder.contains(version))
            .collect())
    }
}

/// The greatest-version search in the tree before the entry, then the insertion itself. Returns
/// whether the entry is distinguished; if not, the new version goes into the monitoring map.
pub(crate) fn update<S: Source>(
    source: &mut S,
    view: &View,
    update: &Update<'_>,
) -> Result<bool, S::Error> {
    let before = update.position.saturating_sub(1);
    let previous_path = view.path(source, before)?;
    let path = view.path(source, update.position)?;
    let distinguished = path.last().is_some_and(|node| node.distinguished);

    let mut known = Known::default();
    let target = update.previous.map(|(version, _)| version);
    let frontier = || previous_path.iter().filter(|node| node.position <= before);
    let newest_distinguished = frontier().rfind(|node| node.distinguished);
    let others = frontier().filter(|node| !node.distinguished);
    for node in newest_distinguished.into_iter().chain(others) {
        let verified_before = update
            .previous
            .is_some_and(|(_, inserted)| node.position <= inserted);
        let ladder = if node.distinguished || verified_before {
            let greatest = (update.expected)(node.position);
            simulated_ladder::<S::Error>(target.unwrap_or(0), greatest, &known)?
        } else {
            expect_greatest(source, node.position, target, &known)?
        };
        known.included_left.extend(ladder.included);
    }

    if !distinguished {
        expect_greatest(source, update.position, Some(update.greatest), &known)?;
    }
    let beside = update.beside_ladder::<S::Error>()?;
    if !beside.is_empty() {
        expect_included(source, update.position, &beside)?;
    }
    Ok(distinguished)
}
