//! One reply of the log, answer by answer.

use paigham_transparency::codec::{Codec, Reader};
use paigham_transparency::hash::Label;
use paigham_transparency::structs::{FullTreeHead, SearchRequest};
use paigham_transparency::verifier::{
    Found, MonitoredVersion, Place, TreeView, Verified, Verifier, VerifyError,
};

use crate::error::LookupError;
use crate::heads::HeadSignature;
use crate::trust::LogTrust;

/// Nanoseconds in a millisecond: the log counts in these, certificates and records in those.
pub(crate) const NS_PER_MS: u64 = 1_000_000;

/// What a reply gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookedUp<T> {
    /// To be kept in place of the view that the request named.
    pub view: TreeView,
    /// What was asked for.
    pub outcome: T,
    /// When the subnet certified the head, in nanoseconds since 1970.
    ///
    /// # Security
    /// Nothing here compares it with a clock. Who wants the present checks that it is at most five
    /// minutes old (`paigham_wire::certificate::check_fresh`), before the outcome is used.
    pub certificate_time_ns: u64,
    /// The signature over the view's head: what shows the view to somebody else.
    pub head: Vec<u8>,
    /// To be watched with the label's other versions.
    pub watch: Option<MonitoredVersion>,
}

/// A reply under one head, being read.
///
/// The first answer shows the head with its signature, or the reply holds a signature over the
/// head that the asker knows; all further answers are about that head. Each answer is checked
/// against the view that the one before left. On an error the reading is over, and what the caller
/// keeps stays as it was.
#[derive(Debug)]
pub struct Reading<'a> {
    trust: &'a LogTrust,
    view: Option<TreeView>,
    head: Option<HeadSignature<'a>>,
}

impl<'a> Reading<'a> {
    /// Begins to read a reply. `view` is the one that the request named; `head` the signature
    /// beside the answers, empty where the first answer has it.
    ///
    /// # Errors
    /// [`LookupError::Head`], [`LookupError::OtherHead`], [`LookupError::Form`].
    pub fn open(
        trust: &'a LogTrust,
        view: Option<&TreeView>,
        head: &[u8],
    ) -> Result<Self, LookupError> {
        let mut reading = Self {
            trust,
            view: view.cloned(),
            head: None,
        };
        if !head.is_empty() {
            let view = view.ok_or(LookupError::Form("a head that was not named"))?;
            let signature = HeadSignature::verify(trust, head)?;
            if !signature.signs(view)? {
                return Err(LookupError::OtherHead);
            }
            reading.head = Some(signature);
        }
        Ok(reading)
    }

    /// The size that the next request names as the newest known.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.view.as_ref().map(TreeView::size)
    }

    /// Checks one answer, which is any of the draft's structures or of ours: all of them begin with
    /// the head. `check` gets the verifier, the view so far and the certified time in milliseconds.
    ///
    /// # Errors
    /// [`LookupError`]; of `check` as [`LookupError::Log`].
    pub fn check<T>(
        &mut self,
        answer: &[u8],
        check: impl FnOnce(&Verifier<'_>, Option<&TreeView>, u64) -> Result<Verified<T>, VerifyError>,
    ) -> Result<T, LookupError> {
        let shown = FullTreeHead::read(&mut Reader::new(answer)).map_err(VerifyError::from)?;
        let signature = match (shown, self.head.take()) {
            (FullTreeHead::Updated(head), None) => {
                HeadSignature::verify(self.trust, &head.signature)?
            }
            (FullTreeHead::Same, Some(signature)) => signature,
            (FullTreeHead::Updated(_), Some(_)) => return Err(LookupError::Form("two heads")),
            (FullTreeHead::Same, None) => return Err(LookupError::Form("no head")),
        };
        let verifier = Verifier::new(self.trust.config(), &signature)?;
        let now = signature.time_ns() / NS_PER_MS;
        let verified = check(&verifier, self.view.as_ref(), now)?;
        self.view = Some(verified.view);
        self.head = Some(signature);
        Ok(verified.outcome)
    }

    /// Timestamp of the newest entry, in nanoseconds: the "now" of everything in the reply.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        let newest = self.view.as_ref().map_or(0, TreeView::newest_timestamp);
        newest.saturating_mul(NS_PER_MS)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`LookupError::Form`] if nothing was read.
    pub fn finish<T>(
        self,
        outcome: T,
        watch: Option<MonitoredVersion>,
    ) -> Result<LookedUp<T>, LookupError> {
        match (self.view, self.head) {
            (Some(view), Some(head)) => Ok(LookedUp {
                view,
                outcome,
                certificate_time_ns: head.time_ns(),
                head: head.into_bytes(),
                watch,
            }),
            _ => Err(LookupError::Form("no answer")),
        }
    }

    pub(crate) fn greatest(&mut self, label: &Label, answer: &[u8]) -> Result<Found, LookupError> {
        let request = self.request(label, None);
        self.check(answer, |verifier, view, now| {
            verifier.search(view, &request, answer, now)
        })
    }

    pub(crate) fn absent(&mut self, label: &Label, answer: &[u8]) -> Result<(), LookupError> {
        let request = self.request(label, None);
        self.check(answer, |verifier, view, now| {
            verifier.absent(view, &request, answer, now)
        })
    }

    pub(crate) fn place(
        &mut self,
        label: &Label,
        (version, value): (u32, &[u8]),
        answer: &[u8],
    ) -> Result<Place, LookupError> {
        let request = self.request(label, Some(version));
        self.check(answer, |verifier, view, now| {
            verifier.place(view, &request, value, answer, now)
        })
    }

    fn request(&self, label: &Label, version: Option<u32>) -> SearchRequest {
        SearchRequest {
            last: self.last(),
            label: label.clone(),
            version,
        }
    }
}
