//! Which entry brought a version: an extension of the draft (`spec/transparency.md` §9).

use crate::algorithm::{Source, Verdict, View, expect_included};

/// Shows that `position` brought a version: the entry before it lacks the version, it holds it, and
/// so do the entries that a contact monitor would inspect from there on, up to the first
/// distinguished one, which the label's owner inspects too.
///
/// A fixed-version search does not show this: it ends at any entry where the version is the
/// greatest, and which one that is changes while the log grows.
pub(crate) fn place<S: Source>(
    source: &mut S,
    view: &View,
    position: u64,
    version: u32,
) -> Result<u64, S::Error> {
    if let Some(before) = position.checked_sub(1) {
        expect_absent(source, before, version)?;
    }
    expect_included(source, position, &[version])?;
    let path = view.path(source, position)?;
    for node in path.iter().rev() {
        if node.position > position {
            expect_included(source, node.position, &[version])?;
        }
        if node.distinguished && node.position >= position {
            break;
        }
    }
    source.timestamp(position)
}

fn expect_absent<S: Source>(source: &mut S, position: u64, version: u32) -> Result<(), S::Error> {
    let mut present = false;
    source.lookups(position, &[version], &mut |_, included| {
        present = included;
        true
    })?;
    if present {
        return Err(Verdict::EarlierEntry { position }.into());
    }
    Ok(())
}
