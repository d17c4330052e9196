//! The side that believes nobody: checks answers and keeps what must never change again.
//!
//! Every check takes the state from before and returns the state from after; the caller keeps the
//! new one or none. Nothing of the prover is shared but the algorithms, which for a verifier run
//! over what the answer shows.

mod consumer;
mod contact;
mod distinguished;
mod error;
mod owner;
mod owner_state;
mod search;
mod view;

pub use consumer::VersionKey;
pub use contact::{ContactMap, MonitoredVersion};
pub use distinguished::{DistinguishedEntry, RootsComparison, compare_roots};
pub use error::VerifyError;
pub use owner::{MonitorProgress, NewVersions};
pub use owner_state::OwnerState;
pub use search::{Found, Place};
pub use view::{KnownEntry, TreeView};

use ed25519_dalek::{Signature, VerifyingKey};

use crate::algorithm::View;
use crate::hash::{HashValue, Label};
use crate::implicit::MAX_TREE_SIZE;
use crate::log_tree::root_of;
use crate::structs::{
    BinaryLadderStep, CipherSuite, CombinedTreeProof, Configuration, FullTreeHead, TreeHeadTbs,
};
use crate::vrf::VrfPublicKey;

use consumer::{Consumed, Consumer, VersionKeys};

/// Checks the signature of a head. The suite decides which kind it is.
pub trait VerifyHead {
    /// Whether `signature` over `message` ([`TreeHeadTbs::signed_message`]) is one of the log with
    /// this configuration.
    ///
    /// # Security
    /// For the canister suite this is the whole check: certificate, delegation, canister and
    /// canonical encoding. Its age is the caller's to check on every answer, also where the answer
    /// names no new head.
    fn verify_head(&self, config: &Configuration, message: &[u8], signature: &[u8]) -> bool;
}

/// Heads of the plain suite 0x0002: Ed25519 by the configuration's key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ed25519Heads;

impl VerifyHead for Ed25519Heads {
    fn verify_head(&self, config: &Configuration, message: &[u8], signature: &[u8]) -> bool {
        let key = config.signature_public_key.as_slice().try_into().ok();
        let key = key.and_then(|key| VerifyingKey::from_bytes(key).ok());
        let signature = Signature::from_slice(signature).ok();
        config.ciphersuite == CipherSuite::Ed25519
            && key
                .zip(signature)
                .is_some_and(|(key, signature)| key.verify_strict(message, &signature).is_ok())
    }
}

/// What a check gives: the view to keep, and what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T> {
    /// To be kept in place of the one that the request named.
    pub view: TreeView,
    /// What the answer shows.
    pub outcome: T,
}

/// Checks answers of one log.
pub struct Verifier<'a> {
    config: &'a Configuration,
    vrf: VrfPublicKey,
    heads: &'a dyn VerifyHead,
}

impl std::fmt::Debug for Verifier<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("config", self.config)
            .finish_non_exhaustive()
    }
}

impl<'a> Verifier<'a> {
    /// A verifier for a log.
    ///
    /// # Errors
    /// [`VerifyError::Configuration`] for a VRF key that proves nothing, and for a maximum
    /// lifetime, which is reserved.
    pub fn new(config: &'a Configuration, heads: &'a dyn VerifyHead) -> Result<Self, VerifyError> {
        if config.maximum_lifetime.is_some() {
            return Err(VerifyError::Configuration("maximum_lifetime"));
        }
        let vrf = VrfPublicKey::from_bytes(&config.vrf_public_key)
            .map_err(|_| VerifyError::Configuration("vrf_public_key"))?;
        Ok(Self { config, vrf, heads })
    }

    /// Where the versions of a ladder lie. A ladder and the versions it is for must have one
    /// length.
    fn version_keys(
        &self,
        label: &Label,
        versions: impl ExactSizeIterator<Item = u32>,
        ladder: &[BinaryLadderStep],
    ) -> Result<VersionKeys, VerifyError> {
        if versions.len() != ladder.len() {
            return Err(VerifyError::Count("binary ladder"));
        }
        versions
            .zip(ladder)
            .map(|(version, step)| {
                let vrf_output = self
                    .vrf
                    .verify(&label.vrf_input(version), &step.proof)
                    .map_err(|reason| VerifyError::Vrf { version, reason })?;
                let commitment = step.commitment;
                Ok((
                    version,
                    VersionKey {
                        vrf_output,
                        commitment,
                    },
                ))
            })
            .collect()
    }

    /// The size that an answer is about, checked against what was seen before.
    fn size(view: Option<&TreeView>, head: &FullTreeHead) -> Result<u64, VerifyError> {
        let known = view.map_or(0, TreeView::size);
        match head {
            FullTreeHead::Same => view.map(TreeView::size).ok_or(VerifyError::NoKnownHead),
            FullTreeHead::Updated(head) if head.tree_size == 0 => Err(VerifyError::Size),
            FullTreeHead::Updated(head) if head.tree_size > MAX_TREE_SIZE => Err(VerifyError::Size),
            FullTreeHead::Updated(head) if head.tree_size <= known => Err(VerifyError::Rollback {
                known,
                shown: head.tree_size,
            }),
            FullTreeHead::Updated(head) => Ok(head.tree_size),
        }
    }

    /// Begins to read a proof: the view first.
    fn open<'p>(
        &self,
        view: Option<&'p TreeView>,
        head: &FullTreeHead,
        proof: &'p CombinedTreeProof,
        keys: &'p VersionKeys,
    ) -> Result<(Consumer<'p>, View), VerifyError> {
        let size = Self::size(view, head)?;
        let last = view.map_or(0, TreeView::size);
        let mut consumer = Consumer::new(proof, keys, view, size);
        let window = self.config.reasonable_monitoring_window;
        let view = View::update(&mut consumer, last, size, window)?;
        Ok((consumer, view))
    }

    /// Ends a proof: nothing left over, the root signed, the time right. `now` is milliseconds
    /// since 1970, certified time where there is such.
    fn close(
        &self,
        consumer: Consumer<'_>,
        head: &FullTreeHead,
        now: u64,
    ) -> Result<Consumed, VerifyError> {
        let consumed = consumer.finish()?;
        if let FullTreeHead::Updated(head) = head {
            let message = self.head_message(consumed.view.size(), consumed.view.root())?;
            if !self
                .heads
                .verify_head(self.config, &message, &head.signature)
            {
                return Err(VerifyError::Signature);
            }
        }
        self.check_time(consumed.view.newest_timestamp(), now)?;
        Ok(consumed)
    }

    fn head_message(&self, tree_size: u64, root: HashValue) -> Result<Vec<u8>, VerifyError> {
        let head = TreeHeadTbs {
            config: self.config.clone(),
            tree_size,
            root,
        };
        head.signed_message()
            .map_err(|_| VerifyError::Configuration("signature_public_key"))
    }

    const fn check_time(&self, newest: u64, now: u64) -> Result<(), VerifyError> {
        let ahead = newest.saturating_sub(now);
        let behind = now.saturating_sub(newest);
        if ahead > self.config.max_ahead {
            return Err(VerifyError::Future { ahead });
        }
        if behind > self.config.max_behind {
            return Err(VerifyError::Stale { behind });
        }
        Ok(())
    }
}

/// The head over full subtrees.
pub(crate) fn root_over(heads: &[crate::hash::LogNode]) -> HashValue {
    root_of(heads).unwrap_or_default()
}
