//! The state tree as it was signed last, and certificates over parts of it.

use std::collections::BTreeMap;

use candid::Principal;

use super::State;
use super::requests::{Answer, Status};
use crate::canister::Canister;
use crate::keys::to_cbor;
use crate::profile::{Part, timed};
use crate::topology::{RangesForm, Signed};
use crate::tree::{Tree, Trie, leb128};

/// Tree, root and signature; execution changes them only through [`State::seal`].
#[derive(Debug)]
pub(super) struct Sealed {
    tree: Tree,
    root: [u8; 32],
    signature: Vec<u8>,
}

impl Default for Sealed {
    fn default() -> Self {
        Self {
            tree: Tree::map([(b"request_status", Tree::Statuses(Trie::default()))]),
            root: [0; 32],
            signature: Vec::new(),
        }
    }
}

impl State {
    pub const fn root(&self) -> [u8; 32] {
        self.sealed.root
    }

    /// Brings the tree up to date, prunes what expired and signs the root.
    pub(super) fn seal(&mut self) {
        timed(Part::Tree, || self.seal_now());
    }

    fn seal_now(&mut self) {
        let changed = self.requests.prune(self.time);
        let tree = std::mem::replace(&mut self.sealed.tree, Tree::Leaf(Vec::new()));
        let Tree::Map(mut top) = tree else {
            return;
        };
        if let Some(Tree::Statuses(trie)) = top.get_mut(&b"request_status"[..]) {
            for id in &changed {
                let Ok(label) = id.as_slice().try_into() else {
                    continue;
                };
                match self.requests.get(id) {
                    Some(status) => trie.insert(label, status_tree(status)),
                    None => trie.remove(&label),
                }
            }
        }
        // Hashed once: each answer of the round shows a witness beside them.
        top.insert(b"canister".to_vec(), Tree::fixed(self.canister_tree()));
        top.insert(b"canister_ranges".to_vec(), Tree::fixed(self.ranges_tree()));
        top.insert(b"subnet".to_vec(), Tree::fixed(self.subnet_tree()));
        top.insert(b"time".to_vec(), Tree::Leaf(leb128(self.time)));
        self.sealed.tree = Tree::Map(top);
        self.sealed.root = self.sealed.tree.digest();
        self.sealed.signature = self.keys.sign_root(&self.sealed.root);
        if let Some(delegator) = &self.keys.delegator {
            delegator.renew(self.time);
        }
    }

    fn canister_tree(&self) -> Tree {
        let canisters = self.canisters.iter();
        let trees = canisters.map(|(id, canister)| (id.as_slice().to_vec(), shown(canister)));
        Tree::Map(trees.collect())
    }

    fn ranges_tree(&self) -> Tree {
        let range = self.keys.range;
        let shard = Tree::map([(range.label().as_slice(), Tree::Leaf(range.leaf()))]);
        Tree::map([(self.keys.subnet.as_slice(), shard)])
    }

    fn subnet_tree(&self) -> Tree {
        let keys = &self.keys;
        let node = Tree::map([(b"public_key", Tree::Leaf(keys.node_der.clone()))]);
        let subnet = Tree::map([
            (b"canister_ranges", Tree::Leaf(keys.range.leaf())),
            (b"node", Tree::map([(keys.node_id.as_slice(), node)])),
            (b"public_key", Tree::Leaf(keys.subnet_der.clone())),
            (b"type", Tree::Leaf(b"application".to_vec())),
        ]);
        Tree::map([(keys.subnet.as_slice(), subnet)])
    }

    /// What the subnet signed of some paths; time is always shown.
    pub fn certify(&self, paths: &[Vec<Vec<u8>>]) -> Signed {
        let time = vec![b"time".to_vec()];
        let all: Vec<_> = paths.iter().chain([&time]).map(Vec::as_slice).collect();
        timed(Part::Answers, || Signed {
            tree: self.sealed.tree.witness(&all),
            signature: self.sealed.signature.clone(),
        })
    }

    /// The certificate that a canister's query sees.
    pub fn data_certificate(&self, canister: &Principal, form: RangesForm) -> Vec<u8> {
        let path = vec![
            b"canister".to_vec(),
            canister.as_slice().to_vec(),
            b"certified_data".to_vec(),
        ];
        self.certify(&[path])
            .certificate(self.keys.delegator.as_deref(), form)
    }

    /// Whether a request is known.
    pub fn is_known(&self, id: &[u8]) -> bool {
        self.requests.get(id).is_some()
    }

    /// Whether a request is known and not answered yet.
    pub fn is_processing(&self, id: &[u8]) -> bool {
        let status = self.requests.get(id);
        status.is_some_and(|status| status.answer == Answer::Processing)
    }

    /// Who sent a request and to which canister's address, if it is known.
    pub fn parties_of(&self, id: &[u8]) -> Option<(Principal, Principal)> {
        let status = self.requests.get(id)?;
        Some((status.sender, status.effective))
    }

    /// Whether somebody may read a canister's metadata of a name. That there is none, everybody may
    /// know.
    pub fn may_read_metadata(&self, canister: &[u8], name: &[u8], reader: &Principal) -> bool {
        let canister = Principal::try_from_slice(canister).ok();
        let Some(canister) = canister.and_then(|id| self.canisters.get(&id)) else {
            return true;
        };
        let code = canister.code.as_ref();
        let name = std::str::from_utf8(name).ok();
        let found = name
            .zip(code)
            .and_then(|(name, code)| code.metadata().get(name));
        found.is_none_or(|metadata| metadata.public || canister.is_controlled_by(reader))
    }
}

/// What the tree holds of a canister.
fn shown(canister: &Canister) -> Tree {
    let controllers = to_cbor(&canister.controllers.to_vec());
    let mut tree = BTreeMap::from([
        (
            b"certified_data".to_vec(),
            Tree::Leaf(canister.certified_data.clone()),
        ),
        (b"controllers".to_vec(), Tree::Leaf(controllers)),
    ]);
    if let Some(code) = &canister.code {
        let hash = code.module_hash().to_vec();
        tree.insert(b"module_hash".to_vec(), Tree::Leaf(hash));
        if let Some(metadata) = code.metadata_tree() {
            tree.insert(b"metadata".to_vec(), metadata);
        }
    }
    Tree::Map(tree)
}

fn status_tree(status: &Status) -> BTreeMap<Vec<u8>, Tree> {
    let leaf = |label: &[u8], bytes: Vec<u8>| (label.to_vec(), Tree::Leaf(bytes));
    match &status.answer {
        Answer::Processing => BTreeMap::from([leaf(b"status", b"processing".to_vec())]),
        Answer::Dropped => BTreeMap::from([leaf(b"status", b"done".to_vec())]),
        Answer::Given(Ok(reply)) => BTreeMap::from([
            leaf(b"reply", reply.to_vec()),
            leaf(b"status", b"replied".to_vec()),
        ]),
        Answer::Given(Err(reject)) => BTreeMap::from([
            leaf(b"error_code", reject.error_code.clone().into_bytes()),
            leaf(b"reject_code", leb128(u64::from(reject.code))),
            leaf(b"reject_message", reject.message.clone().into_bytes()),
            leaf(b"status", b"rejected".to_vec()),
        ]),
    }
}
