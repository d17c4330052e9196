//! What the canister certifies: the newest head of the log as a canister signature, and the root of
//! the certified map.
//!
//! ```text
//! certified_data = root of   map ── root of the certified map (32)
//!                            sig ── SHA-256(seed) ── SHA-256(message) ── empty
//! ```
//! The message is that of `spec/transparency.md` §2. A signature is made at each query from the
//! certificate at hand, so it is as fresh as the answer.

use ic_certification::{HashTree, fork, labeled, leaf, pruned};
use ic_stable_structures::Memory;
use paigham_transparency::log_tree;
use paigham_transparency::store::Store;
use paigham_transparency::structs::{CipherSuite, Configuration, DeploymentMode, TreeHeadTbs};
use paigham_wire::canister_signature::{HEAD_SEED, head_key};
use paigham_wire::directory::DirectoryError;
use paigham_wire::hash::{Hash, sha256};
use serde::Serialize;

use crate::directory::Directory;

/// How far ahead of certified time the newest entry may lie, in milliseconds.
const MAX_AHEAD_MS: u64 = 2 * 60 * 1_000;
/// How far behind, in milliseconds.
const MAX_BEHIND_MS: u64 = 15 * 60 * 1_000;
/// The reasonable monitoring window in milliseconds.
const WINDOW_MS: u64 = 6 * 3_600 * 1_000;

/// A certificate with a tree below it, as it is encoded: self-described CBOR, a map of the two.
#[derive(Serialize)]
struct CertifiedTree<'a> {
    #[serde(with = "serde_bytes")]
    certificate: &'a [u8],
    tree: HashTree,
}

/// The two branches of the certified tree.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Branches {
    map: Hash,
    /// SHA-256 of what the newest head's signature covers; `None` while the log is empty.
    message: Option<Hash>,
}

impl Branches {
    fn map(&self) -> HashTree {
        labeled("map", leaf(self.map))
    }

    fn signatures(&self) -> HashTree {
        match self.message {
            None => labeled("sig", ic_certification::empty()),
            Some(message) => {
                let signed = labeled(message, leaf(Vec::new()));
                labeled("sig", labeled(sha256(HEAD_SEED), signed))
            }
        }
    }

    fn root(&self) -> Hash {
        fork(self.map(), self.signatures()).digest()
    }
}

fn encoded(certificate: &[u8], tree: HashTree) -> Result<Vec<u8>, DirectoryError> {
    let certified = CertifiedTree { certificate, tree };
    let mut serializer = serde_cbor::Serializer::new(Vec::new());
    serializer
        .self_describe()
        .and_then(|()| certified.serialize(&mut serializer))
        .map_err(|_| DirectoryError::Damaged)?;
    Ok(serializer.into_inner())
}

impl<M: Memory> Directory<M> {
    /// The log's configuration; `None` until its keys have been drawn.
    #[must_use]
    pub fn configuration(&self) -> Option<Configuration> {
        Some(Configuration {
            ciphersuite: CipherSuite::Canister,
            mode: DeploymentMode::ContactMonitoring,
            signature_public_key: head_key(&self.canister),
            vrf_public_key: self.keys.keys()?.vrf.public_key().as_bytes().to_vec(),
            max_ahead: MAX_AHEAD_MS,
            max_behind: MAX_BEHIND_MS,
            reasonable_monitoring_window: WINDOW_MS,
            maximum_lifetime: None,
        })
    }

    /// What is to be certified after an update: `certified_data`.
    pub fn certify(&mut self) -> Hash {
        self.branches = Branches {
            map: self.map.root(),
            message: self.head_message(),
        };
        self.branches.root()
    }

    /// As [`Directory::certify`] after an update that publishes nothing: `None` if nothing of the
    /// map has changed either.
    pub fn certify_map(&mut self) -> Option<Hash> {
        let map = self.map.root();
        if self.branches.map == map {
            return None;
        }
        self.branches.map = map;
        Some(self.branches.root())
    }

    fn head_message(&self) -> Option<Hash> {
        let head = TreeHeadTbs {
            config: self.configuration()?,
            tree_size: self.log.tree_size(),
            root: log_tree::root(&self.log, self.log.tree_size())?,
        };
        Some(sha256(&head.signed_message().ok()?))
    }

    /// Signature over the newest head.
    ///
    /// # Errors
    /// [`DirectoryError::NotReady`] while the log is empty.
    pub(crate) fn head_signature(&self, certificate: &[u8]) -> Result<Vec<u8>, DirectoryError> {
        if self.branches.message.is_none() {
            return Err(DirectoryError::NotReady);
        }
        let map = pruned(self.branches.map().digest());
        encoded(certificate, fork(map, self.branches.signatures()))
    }

    /// The certificate with what leads from it to the root of the certified map.
    ///
    /// # Errors
    /// [`DirectoryError::Damaged`], never.
    pub(crate) fn map_certificate(&self, certificate: &[u8]) -> Result<Vec<u8>, DirectoryError> {
        let signatures = pruned(self.branches.signatures().digest());
        encoded(certificate, fork(self.branches.map(), signatures))
    }
}
