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
use paigham_wire::directory::DirectoryError;
use paigham_wire::hash::{Hash, sha256};
use paigham_wire::ids::CanisterId;
use serde::Serialize;

use crate::directory::Directory;

/// Seed of the canister-signature key that signs heads.
pub const HEAD_SEED: &[u8] = b"kt1";
/// How far ahead of certified time the newest entry may lie, in milliseconds.
const MAX_AHEAD_MS: u64 = 2 * 60 * 1_000;
/// How far behind, in milliseconds.
const MAX_BEHIND_MS: u64 = 15 * 60 * 1_000;
/// The reasonable monitoring window in milliseconds.
const WINDOW_MS: u64 = 6 * 3_600 * 1_000;

/// `SEQUENCE { SEQUENCE { OID 1.3.6.1.4.1.56387.1.2 }, BIT STRING … }`, without the lengths that
/// depend on the key.
const ALGORITHM: [u8; 14] = [
    0x30, 0x0c, 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xb8, 0x43, 0x01, 0x02,
];

/// A certificate with a tree below it, as it is encoded: self-described CBOR, a map of the two.
#[derive(Serialize)]
struct CertifiedTree<'a> {
    #[serde(with = "serde_bytes")]
    certificate: &'a [u8],
    tree: HashTree,
}

/// DER form of the key that a canister signs with under a seed: its principal with its length, then
/// the seed.
fn signature_key(canister: &CanisterId, seed: &[u8]) -> Vec<u8> {
    let id = canister.as_slice();
    // A principal has at most 29 bytes and the seed three, so every length fits one byte.
    let length = |bytes: usize| u8::try_from(bytes).unwrap_or(u8::MAX);
    let mut key = vec![length(id.len())];
    key.extend_from_slice(id);
    key.extend_from_slice(seed);
    let mut inner = ALGORITHM.to_vec();
    inner.extend_from_slice(&[0x03, length(key.len() + 1), 0x00]);
    inner.extend_from_slice(&key);
    [&[0x30, length(inner.len())], &inner[..]].concat()
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
            signature_public_key: signature_key(&self.canister, HEAD_SEED),
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
