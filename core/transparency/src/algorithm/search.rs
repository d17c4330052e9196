//! Greatest-version and fixed-version search (draft, §6.3, §7.2).

use crate::algorithm::{Known, Outcome, Source, Verdict, View, expect_included, search_ladder};
use crate::implicit::{left, right, root};

/// Searches for the greatest version, said to be `target`, and returns the terminal entry: the
/// leftmost inspected one that holds it.
pub(crate) fn greatest_search<S: Source>(
    source: &mut S,
    view: &View,
    target: u32,
) -> Result<u64, S::Error> {
    let mut known = Known::default();
    let mut terminal = None;
    let mut last = Outcome::Less;
    for position in inspected(source, view)? {
        let ladder = search_ladder(source, position, target, &known)?;
        if ladder.outcome == Outcome::Greater {
            return Err(Verdict::GreaterVersion { position }.into());
        }
        if ladder.included.contains(&target) {
            terminal.get_or_insert(position);
        }
        known.included_left.extend(ladder.included);
        last = ladder.outcome;
    }
    let position = view.size.saturating_sub(1);
    match terminal {
        Some(terminal) if last == Outcome::Equal => Ok(terminal),
        _ => Err(Verdict::MissingVersion { position }.into()),
    }
}

/// Shows that a label has no version: version 0 is absent wherever a greatest-version search
/// looks. An extension of the draft (`spec/transparency.md` §9).
pub(crate) fn label_absent<S: Source>(source: &mut S, view: &View) -> Result<(), S::Error> {
    for position in inspected(source, view)? {
        let mut present = false;
        source.lookups(position, &[0], &mut |_, included| {
            present |= included;
            true
        })?;
        if present {
            return Err(Verdict::LabelPresent { position }.into());
        }
    }
    Ok(())
}

/// From the newest distinguished entry, or the root, down the frontier.
fn inspected<S: Source>(source: &mut S, view: &View) -> Result<Vec<u64>, S::Error> {
    let (distinguished, rest) = view.since_distinguished(source)?;
    Ok(distinguished.into_iter().chain(rest).collect())
}

/// Searches for one version and returns the terminal entry.
pub(crate) fn fixed_search<S: Source>(
    source: &mut S,
    view: &View,
    target: u32,
) -> Result<u64, S::Error> {
    let mut known = Known::default();
    let mut leftmost_greater = None;
    let mut next = Some(root(view.size));
    while let Some(position) = next {
        source.timestamp(position)?;
        let ladder = search_ladder(source, position, target, &known)?;
        next = match ladder.outcome {
            Outcome::Equal => return Ok(position),
            Outcome::Less => {
                known.included_left.extend(ladder.included);
                right(position, view.size)
            }
            Outcome::Greater => {
                known.absent_right.extend(ladder.absent);
                leftmost_greater = Some(position);
                left(position)
            }
        };
    }
    let position = leftmost_greater.ok_or(Verdict::VersionAbsent)?;
    expect_included(source, position, &[target])?;
    Ok(position)
}
