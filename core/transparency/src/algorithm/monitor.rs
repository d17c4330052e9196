//! Contact monitoring: what was shown once stays as it was (draft, §8.2).

use std::collections::BTreeMap;

use crate::algorithm::{Source, Verdict, View, expect_included};
use crate::ladder::monitoring_ladder;

/// A version and the entry up to which it was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MapEntry {
    pub(crate) position: u64,
    pub(crate) version: u32,
}

/// Follows each version of the map, ascending by position, to the entries that have come between
/// it and the root. Returns what is still to be watched. An owner passes the start of its own
/// monitoring, whose ladders cover the distinguished entries from there on.
///
/// A monitoring ladder leaves no lookup out: an inclusion to the left says nothing about an entry
/// to the right, which is what is to be shown here.
pub(crate) fn contact_monitor<S: Source>(
    source: &mut S,
    view: &View,
    map: &[MapEntry],
    owner_start: Option<u64>,
) -> Result<Vec<MapEntry>, S::Error> {
    let mut ladders = BTreeMap::new();
    let mut left_over = Vec::new();
    for entry in map.iter().rev() {
        let path = view.path(source, entry.position)?;
        if path.last().is_some_and(|node| node.distinguished) {
            continue;
        }
        let mut inspect = Vec::new();
        for node in path
            .iter()
            .rev()
            .filter(|node| node.position > entry.position)
        {
            let covered = owner_start.is_some_and(|start| entry.position >= start);
            if !(node.distinguished && covered) {
                inspect.push(*node);
            }
            if node.distinguished {
                break;
            }
        }
        let mut current = Some((*entry, false));
        for node in inspect {
            match ladders.get(&node.position) {
                Some(version) if *version > entry.version => {
                    current = None;
                    break;
                }
                Some(_) => return Err(Verdict::MapOrder.into()),
                None => {}
            }
            let steps = monitoring_ladder(entry.version).ok_or(Verdict::VersionOutOfRange)?;
            expect_included(source, node.position, &steps)?;
            ladders.insert(node.position, entry.version);
            let moved = MapEntry {
                position: node.position,
                ..*entry
            };
            current = Some((moved, node.distinguished));
        }
        if let Some((entry, false)) = current {
            // Where a version has come up to a greater one, the greater one stands for both.
            let right: Option<&MapEntry> = left_over.last();
            if right.is_none_or(|right| entry.position < right.position) {
                left_over.push(entry);
            }
        }
    }
    left_over.reverse();
    Ok(left_over)
}
