//! The newest distinguished heads, and comparing them with somebody else's (draft, §10, §13.6).

use crate::algorithm::{Recent, walk_distinguished};
use crate::codec::Codec;
use crate::hash::HashValue;
use crate::log_tree::full_heads;
use crate::structs::{DistinguishedRequest, DistinguishedResponse};
use crate::verifier::consumer::VersionKeys;
use crate::verifier::search::check_last;
use crate::verifier::{TreeView, Verified, Verifier, VerifyError, root_over};

/// A distinguished entry and the log as it was when this was the newest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DistinguishedEntry {
    /// The entry.
    pub position: u64,
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// Root of the log with `position + 1` entries.
    pub root: HashValue,
}

/// What comparing two lists of roots says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootsComparison {
    /// One log, one perhaps seen a little later than the other.
    Agree,
    /// No common root: two logs, or views too far apart to tell.
    NoOverlap,
    /// Lists of different lengths, which the rule does not compare.
    Lengths,
}

/// Compares two lists of roots of the newest distinguished heads, each left to right (draft,
/// §10.2): the end of one must be the beginning of the other.
#[must_use]
pub fn compare_roots(a: &[HashValue], b: &[HashValue]) -> RootsComparison {
    if a.len() != b.len() {
        return RootsComparison::Lengths;
    }
    let overlaps = |common: usize| {
        let from = a.len() - common;
        a[..common] == b[from..] || b[..common] == a[from..]
    };
    if (1..=a.len()).rev().any(overlaps) {
        RootsComparison::Agree
    } else {
        RootsComparison::NoOverlap
    }
}

impl Verifier<'_> {
    /// Checks the newest distinguished entries, left to right.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn distinguished(
        &self,
        view: Option<&TreeView>,
        request: &DistinguishedRequest,
        recent: Recent,
        response: &[u8],
        now: u64,
    ) -> Result<Verified<Vec<DistinguishedEntry>>, VerifyError> {
        check_last(view, request.last)?;
        let response = DistinguishedResponse::decode(response)?;
        let keys = VersionKeys::new();
        let head = &response.full_tree_head;
        let (mut consumer, tree) = self.open(view, head, &response.distinguished, &keys)?;
        let found = walk_distinguished(&mut consumer, &tree, request.stop, recent)?;
        let consumed = self.close(consumer, head, now)?;
        let entry = |position: u64| {
            let full = full_heads(&consumed.heads, position + 1)?;
            Some(DistinguishedEntry {
                position,
                timestamp: *consumed.timestamps.get(&position)?,
                root: root_over(&full),
            })
        };
        let outcome: Option<Vec<DistinguishedEntry>> = found.into_iter().map(entry).collect();
        Ok(Verified {
            outcome: outcome.ok_or(VerifyError::Count("inclusion proof"))?,
            view: consumed.view,
        })
    }
}
