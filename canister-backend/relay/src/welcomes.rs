//! Welcomes: stored with their commit, read and acknowledged by who knows the welcome id.

use ic_stable_structures::Memory;
use paigham_wire::codec::{decode, encode};
use paigham_wire::ids::{QueueId, WelcomeLocator};
use paigham_wire::leaf::{Leaf, WelcomeLeaf};
use paigham_wire::relay::{CommitBundle, RelayError, WelcomeReply, WelcomeRequest};

use crate::posts::stored_hash;
use crate::records::{BundleRecord, JoinersRecord};
use crate::relay::{Relay, get, numbered, put};

impl<M: Memory> Relay<M> {
    /// Locators must be new and distinct: nobody can take another's Welcome away by naming its
    /// locator.
    pub(crate) fn check_locators(&self, locators: &[WelcomeLocator]) -> Result<(), RelayError> {
        let ascending = locators.windows(2).all(|pair| pair[0] < pair[1]);
        let free = locators.iter().all(|locator| {
            !self.welcomes.contains_key(&locator.0)
                && self.queue(&QueueId(locator.0)).is_none()
                && !self.inboxes.contains_key(&locator.0)
        });
        if ascending && free {
            Ok(())
        } else {
            Err(RelayError::Exists)
        }
    }

    pub(crate) fn store_bundle(&mut self, queue: &QueueId, epoch: u32, bundle: &CommitBundle) {
        if bundle.locators.is_empty() {
            return;
        }
        let key = numbered(&queue.0, epoch);
        let record = BundleRecord {
            wrapper: bundle.wrapper.clone(),
            tree: bundle.tree.clone(),
        };
        let leaf = encode(&Leaf::Welcome(leaf_of(&record)));
        put(&mut self.bundles, key, &record);
        let joiners = JoinersRecord {
            locators: bundle.locators.clone(),
        };
        put(&mut self.joiners, key, &joiners);
        for locator in &bundle.locators {
            self.welcomes.insert(locator.0, key.to_vec());
            self.certify(&locator.0, &leaf);
        }
    }

    /// Forgets what waits for the joiners of a commit.
    pub(crate) fn drop_bundle(&mut self, queue: &QueueId, epoch: u32) {
        let key = numbered(&queue.0, epoch);
        let joiners: Option<JoinersRecord> = get(&self.joiners, &key);
        for locator in joiners.into_iter().flat_map(|joiners| joiners.locators) {
            self.welcomes.remove(&locator.0);
            self.map.remove(&locator.0);
        }
        self.joiners.remove(&key);
        self.bundles.remove(&key);
    }

    pub(crate) fn welcome_leaf(&self, locator: &[u8; 32]) -> Option<WelcomeLeaf> {
        Some(leaf_of(&self.bundle(locator)?.1))
    }

    fn bundle(&self, locator: &[u8; 32]) -> Option<([u8; 36], BundleRecord)> {
        let key = self.welcomes.get(locator)?.try_into().ok()?;
        Some((key, get(&self.bundles, &key)?))
    }

    /// Shows a Welcome, or proves that there is none.
    pub(crate) fn welcome(
        &self,
        request: &[u8],
        certificate: Vec<u8>,
    ) -> Result<WelcomeReply, RelayError> {
        let request: WelcomeRequest = decode(request).map_err(|_| RelayError::Malformed)?;
        let locator = request.welcome_id.locator().0;
        let (wrapper, tree) = match self.bundle(&locator) {
            Some((_, bundle)) => (bundle.wrapper, bundle.tree),
            None => (Vec::new().into(), Vec::new().into()),
        };
        let witness = self.witness(&[locator]).into();
        Ok(WelcomeReply {
            certificate: certificate.into(),
            witness,
            wrapper,
            tree,
        })
    }

    /// Forgets a Welcome; with the last one goes the tree. Saying it twice is fine.
    pub(crate) fn ack_welcome(&mut self, request: &[u8]) -> Result<(), RelayError> {
        let request: WelcomeRequest = decode(request).map_err(|_| RelayError::Malformed)?;
        let locator = request.welcome_id.locator();
        let key = self.welcomes.remove(&locator.0);
        if let Some(key) = key.and_then(|key| <[u8; 36]>::try_from(key).ok()) {
            self.map.remove(&locator.0);
            let waiting: Option<JoinersRecord> = get(&self.joiners, &key);
            let mut waiting = waiting.map_or_else(Vec::new, |joiners| joiners.locators);
            waiting.retain(|other| *other != locator);
            if waiting.is_empty() {
                self.joiners.remove(&key);
                self.bundles.remove(&key);
            } else {
                put(&mut self.joiners, key, &JoinersRecord { locators: waiting });
            }
        }
        Ok(())
    }
}

fn leaf_of(bundle: &BundleRecord) -> WelcomeLeaf {
    WelcomeLeaf {
        wrapper_hash: stored_hash(bundle.wrapper.as_slice()),
        tree_hash: stored_hash(bundle.tree.as_slice()),
    }
}
