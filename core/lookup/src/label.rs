//! All versions of a label from one on, with the places of those that count by time.

use std::collections::VecDeque;

use paigham_transparency::hash::Label;
use paigham_transparency::verifier::{MonitoredVersion, Place};
use paigham_wire::log::{FoundLabel, LabelAnswer, TimedVersion};

use crate::error::LookupError;
use crate::reading::{NS_PER_MS, Reading};

/// Most versions of a label that a client reads: what one reply can hold of the largest records.
pub const LABEL_MAX_VERSIONS: usize = 1_024;

/// Which values of a label count by time. Of such a value and of the one that follows it the place
/// in the log is shown; the others count from the time of the nearest value before that has one.
pub trait TimeRule {
    /// Whether a value counts by time. Of a value that does not decode either answer will do: who
    /// reads it refuses it.
    fn counts_by_time(&self, value: &[u8]) -> bool;
}

/// A version of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelVersion {
    /// What the label maps to.
    pub value: Vec<u8>,
    /// Which entry brought it, where that decides something.
    pub place: Option<Place>,
}

impl LabelVersion {
    /// The proved time in nanoseconds since 1970, where there is one.
    #[must_use]
    pub fn time_ns(&self) -> Option<u64> {
        let place = self.place?;
        Some(place.timestamp.saturating_mul(NS_PER_MS))
    }
}

/// What an answer shows of a label that has a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelVersions {
    /// The greatest version.
    pub greatest: u32,
    /// Its value, also where it was known before.
    pub newest: Vec<u8>,
    /// The versions that were asked for, up to the greatest; empty if there is none of them.
    ///
    /// # Security
    /// Only the greatest one and those with a place are shown by the log itself. The others are
    /// what the answer says, and count only where the values name each other by hash.
    pub new: Vec<LabelVersion>,
    /// To be watched.
    pub watch: Option<MonitoredVersion>,
}

impl Reading<'_> {
    /// Reads the answer about one label. `known` are the number of versions that the asker knows,
    /// and the newest of them; `None` for none. The answer `None`: the label has no version.
    ///
    /// # Errors
    /// [`LookupError`].
    pub fn label(
        &mut self,
        label: &Label,
        known: Option<(u32, &[u8])>,
        answer: &LabelAnswer,
        rule: &impl TimeRule,
    ) -> Result<Option<LabelVersions>, LookupError> {
        let from = known.map_or(0, |(count, _)| count);
        match answer {
            LabelAnswer::Absent(response) => {
                self.absent(label, response.as_slice())?;
                match from {
                    0 => Ok(None),
                    known => Err(LookupError::Fewer { known, shown: 0 }),
                }
            }
            LabelAnswer::Found(found) => self.found(label, known, found, rule).map(Some),
        }
    }

    fn found(
        &mut self,
        label: &Label,
        known: Option<(u32, &[u8])>,
        answer: &FoundLabel,
        rule: &impl TimeRule,
    ) -> Result<LabelVersions, LookupError> {
        let found = self.greatest(label, answer.search.as_slice())?;
        let (from, before) = known.map_or((0, None), |(count, newest)| (count, Some(newest)));
        let shown = found.version.saturating_add(1);
        if shown < from {
            return Err(LookupError::Fewer { known: from, shown });
        }
        let mut values: Vec<Vec<u8>> = Vec::new();
        if shown > from {
            let earlier = answer.earlier.iter();
            values.extend(earlier.map(|value| value.as_slice().to_vec()));
            values.push(found.value.clone());
        } else if before != Some(found.value.as_slice()) {
            let version = found.version;
            return Err(LookupError::Changed { version });
        }
        check_count(values.len(), shown - from, answer)?;
        let new = self.places(label, (from, before), values, &answer.times, rule)?;
        Ok(LabelVersions {
            greatest: found.version,
            newest: found.value,
            new,
            watch: found.monitor,
        })
    }

    /// The places of exactly those versions that need one.
    fn places(
        &mut self,
        label: &Label,
        (from, before): (u32, Option<&[u8]>),
        values: Vec<Vec<u8>>,
        times: &[TimedVersion],
        rule: &impl TimeRule,
    ) -> Result<Vec<LabelVersion>, LookupError> {
        let mut times: VecDeque<&TimedVersion> = times.iter().collect();
        let mut after_timed = before.is_some_and(|value| rule.counts_by_time(value));
        let mut versions = Vec::with_capacity(values.len());
        for (version, value) in (from..).zip(values) {
            let timed = rule.counts_by_time(&value);
            let place = if timed || after_timed {
                let shown = times.pop_front().filter(|shown| shown.version == version);
                let shown = shown.ok_or(LookupError::Places { version })?;
                Some(self.place(label, (version, &value), shown.place.as_slice())?)
            } else {
                None
            };
            after_timed = timed;
            versions.push(LabelVersion { value, place });
        }
        match times.front() {
            None => Ok(versions),
            Some(more) => Err(LookupError::Places {
                version: more.version,
            }),
        }
    }
}

/// As many values as there are new versions, and not more than a client reads.
fn check_count(values: usize, new: u32, answer: &FoundLabel) -> Result<(), LookupError> {
    if values > LABEL_MAX_VERSIONS {
        return Err(LookupError::TooMany(LABEL_MAX_VERSIONS));
    }
    let stray = values == 0 && !answer.earlier.is_empty();
    if stray || usize::try_from(new) != Ok(values) {
        return Err(LookupError::Form("not the versions that were asked for"));
    }
    Ok(())
}
