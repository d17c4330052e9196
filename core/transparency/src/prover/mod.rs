//! The side that keeps the log: answers with their proofs.

mod audit;
mod monitor;
mod recorder;
mod search;

pub use audit::audit_update;

use crate::algorithm::{Recent, Verdict, View, walk_distinguished};
use crate::codec::TooLong;
use crate::hash::Label;
use crate::prefix_tree::TreeError;
use crate::store::Store;
use crate::structs::{
    CombinedTreeProof, Configuration, DistinguishedRequest, DistinguishedResponse, FullTreeHead,
    TreeHead,
};
use crate::vrf::{VrfError, VrfSecretKey};

use recorder::Recorder;

/// The most ladders that one answer to an owner holds.
pub const MAX_OWNER_LADDERS: usize = 64;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// The log has no entry yet.
    #[error("the log is empty")]
    Empty,
    /// The request contradicts the log or itself.
    #[error("the request is not one that this log can answer: {0}")]
    Request(&'static str),
    /// The label has no version.
    #[error("the label is not in the log")]
    LabelAbsent,
    /// What was asked for does not hold in this log.
    #[error(transparent)]
    Verdict(#[from] Verdict),
    /// The log sets a maximum lifetime, which is reserved.
    #[error("a maximum lifetime is not supported")]
    MaximumLifetime,
    /// The store lacks what it should have.
    #[error("the store is damaged")]
    Store,
    /// The VRF fails for the label.
    #[error(transparent)]
    Vrf(#[from] VrfError),
    /// The answer does not fit the draft's vectors.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

impl From<TreeError> for ProveError {
    fn from(_: TreeError) -> Self {
        Self::Store
    }
}

/// Answers requests from a store.
#[derive(Debug)]
pub struct Prover<'a, S> {
    /// The log.
    pub store: &'a S,
    /// Its configuration.
    pub config: &'a Configuration,
    /// Makes VRF proofs that the store does not keep.
    pub vrf: &'a VrfSecretKey,
    /// The signature over the newest head.
    pub head_signature: &'a [u8],
}

impl<S: Store> Prover<'_, S> {
    /// The newest distinguished entries, down to the position where the asker wants to stop.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn distinguished(
        &self,
        request: &DistinguishedRequest,
        recent: Recent,
    ) -> Result<DistinguishedResponse, ProveError> {
        let (mut recorder, view) = self.begin(None, request.last)?;
        walk_distinguished(&mut recorder, &view, request.stop, recent)?;
        let (full_tree_head, distinguished) = self.finish(recorder)?;
        Ok(DistinguishedResponse {
            full_tree_head,
            distinguished,
        })
    }

    fn begin<'s>(
        &'s self,
        label: Option<&'s Label>,
        last: Option<u64>,
    ) -> Result<(Recorder<'s, S>, View), ProveError> {
        if self.config.maximum_lifetime.is_some() {
            return Err(ProveError::MaximumLifetime);
        }
        let size = self.store.tree_size();
        if size == 0 {
            return Err(ProveError::Empty);
        }
        if last.is_some_and(|last| last == 0 || last > size) {
            return Err(ProveError::Request("no such earlier size"));
        }
        let last = last.unwrap_or(0);
        let mut recorder = Recorder::new(self.store, self.vrf, label, last, size);
        let window = self.config.reasonable_monitoring_window;
        let view = View::update(&mut recorder, last, size, window)?;
        Ok((recorder, view))
    }

    fn finish(
        &self,
        recorder: Recorder<'_, S>,
    ) -> Result<(FullTreeHead, CombinedTreeProof), ProveError> {
        let head = if recorder.last == recorder.size {
            FullTreeHead::Same
        } else {
            FullTreeHead::Updated(TreeHead {
                tree_size: recorder.size,
                signature: self.head_signature.to_vec(),
            })
        };
        Ok((head, recorder.into_proof()?))
    }
}
