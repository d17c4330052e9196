//! The algorithms of the draft, each written once.
//!
//! An algorithm asks a [`Source`] for timestamps and lookups. The prover's source answers from
//! the store and writes down what was asked; the verifier's source takes the same answers from the
//! proof, in the same order. So the two cannot disagree about what belongs into a proof.

mod monitor;
mod owner;
mod place;
mod search;
mod update;
mod view;
mod walk;

pub(crate) use monitor::{MapEntry, contact_monitor};
pub(crate) use owner::{OwnerMonitor, owner_init, owner_init_list};
pub(crate) use place::place;
pub(crate) use search::{fixed_search, greatest_search, label_absent};
pub(crate) use update::{Update, update};
pub(crate) use view::View;
pub use walk::Recent;
pub(crate) use walk::walk_distinguished;

use crate::ladder::{MAX_VERSION, base_ladder};

/// What an algorithm finds wrong with what it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Verdict {
    /// An entry holds a greater version than the one said to be the greatest: a version is hidden.
    #[error("entry {position} holds a greater version than the one shown as the greatest")]
    GreaterVersion {
        /// The entry.
        position: u64,
    },
    /// An entry lacks a version that it must hold: a version was dropped, or never published.
    #[error("entry {position} lacks a version that it must hold")]
    MissingVersion {
        /// The entry.
        position: u64,
    },
    /// A search for one version finds no entry that holds it.
    #[error("the log does not hold this version")]
    VersionAbsent,
    /// The label has a version where its absence is claimed.
    #[error("entry {position} holds the label that is said to be absent")]
    LabelPresent {
        /// The entry.
        position: u64,
    },
    /// An entry holds a version that a later one is said to have brought.
    #[error("entry {position} holds a version that a later entry is said to have brought")]
    EarlierEntry {
        /// The entry.
        position: u64,
    },
    /// An entry that must be distinguished is not.
    #[error("entry {position} is not distinguished")]
    NotDistinguished {
        /// The entry.
        position: u64,
    },
    /// A version above [`MAX_VERSION`].
    #[error("no such version can exist")]
    VersionOutOfRange,
    /// The monitoring map has an older version right of a newer one.
    #[error("the monitoring map is not in order")]
    MapOrder,
}

/// Where an algorithm gets its answers.
pub(crate) trait Source {
    /// What can go wrong.
    type Error: From<Verdict>;

    /// Timestamp of an entry.
    fn timestamp(&mut self, position: u64) -> Result<u64, Self::Error>;

    /// Looks versions of the label up in an entry's prefix tree, one after the other, until `ends`
    /// says so or none is left: one `PrefixProof`. The entry's timestamp is needed too, for its
    /// leaf in the log tree.
    fn lookups(
        &mut self,
        position: u64,
        versions: &[u32],
        ends: &mut dyn FnMut(u32, bool) -> bool,
    ) -> Result<(), Self::Error>;

    /// There is a ladder from this entry: the one stop condition of owner monitoring.
    fn continues(&mut self, position: u64) -> bool;
}

/// What a search ladder says about the greatest version at its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Less,
    Equal,
    Greater,
}

/// Lookups that later entries of the same answer may leave out (draft, §6.2).
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Shown included at an entry to the left.
    pub(crate) included_left: Vec<u32>,
    /// Shown absent at an entry to the right.
    pub(crate) absent_right: Vec<u32>,
}

impl Known {
    fn holds(&self, version: u32) -> bool {
        self.included_left.contains(&version) || self.absent_right.contains(&version)
    }
}

/// One search ladder: what it says and what it showed.
#[derive(Debug)]
pub(crate) struct Ladder {
    pub(crate) outcome: Outcome,
    pub(crate) included: Vec<u32>,
    pub(crate) absent: Vec<u32>,
}

impl Ladder {
    fn new() -> Self {
        Self {
            outcome: Outcome::Equal,
            included: Vec::new(),
            absent: Vec::new(),
        }
    }

    /// Takes one step in and says whether it was the last.
    fn take(&mut self, target: u32, version: u32, included: bool) -> bool {
        if included {
            self.included.push(version);
        } else {
            self.absent.push(version);
        }
        if included && version > target {
            self.outcome = Outcome::Greater;
        } else if !included && version <= target {
            self.outcome = Outcome::Less;
        }
        self.outcome != Outcome::Equal
    }
}

fn ladder_steps<E: From<Verdict>>(target: u32) -> Result<Vec<u32>, E> {
    base_ladder(target).ok_or_else(|| Verdict::VersionOutOfRange.into())
}

/// Gets a search ladder. Its steps are those of the target's ladder: where the greatest version is
/// another one, the two part at the step that ends this one.
pub(crate) fn search_ladder<S: Source>(
    source: &mut S,
    position: u64,
    target: u32,
    known: &Known,
) -> Result<Ladder, S::Error> {
    let mut steps = ladder_steps::<S::Error>(target)?;
    steps.retain(|step| !known.holds(*step));
    let mut ladder = Ladder::new();
    source.lookups(position, &steps, &mut |version, included| {
        ladder.take(target, version, included)
    })?;
    Ok(ladder)
}

/// The ladder that an entry with this greatest version would give, without asking for it.
fn simulated_ladder<E: From<Verdict>>(
    target: u32,
    greatest: Option<u32>,
    known: &Known,
) -> Result<Ladder, E> {
    let mut ladder = Ladder::new();
    for step in ladder_steps::<E>(target)? {
        let included = greatest.is_some_and(|greatest| step <= greatest);
        if !known.holds(step) && ladder.take(target, step, included) {
            break;
        }
    }
    Ok(ladder)
}

/// A ladder must say that the expected version is the greatest; where none is expected, that
/// version 0 is absent.
fn expect_greatest<S: Source>(
    source: &mut S,
    position: u64,
    expected: Option<u32>,
    known: &Known,
) -> Result<Ladder, S::Error> {
    let ladder = search_ladder(source, position, expected.unwrap_or(0), known)?;
    match (expected, ladder.outcome) {
        (Some(_), Outcome::Equal) | (None, Outcome::Less) => Ok(ladder),
        (Some(_), Outcome::Less) => Err(Verdict::MissingVersion { position }.into()),
        (_, Outcome::Greater | Outcome::Equal) => Err(Verdict::GreaterVersion { position }.into()),
    }
}

/// All of these versions must be there.
fn expect_included<S: Source>(
    source: &mut S,
    position: u64,
    versions: &[u32],
) -> Result<(), S::Error> {
    let mut missing = false;
    source.lookups(position, versions, &mut |_, included| {
        missing |= !included;
        missing
    })?;
    if missing {
        return Err(Verdict::MissingVersion { position }.into());
    }
    Ok(())
}

/// The greatest version must have one after it to be shown absent.
const _: () = assert!(MAX_VERSION < u32::MAX);
