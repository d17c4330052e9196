//! Welcomes: stored with their commit, read and acknowledged by who knows the welcome id.

use ic_stable_structures::Memory;
use paigham_wire::codec::decode;
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
        let free = || {
            locators
                .iter()
                .all(|locator| self.map.get(&locator.0).is_none())
        };
        if ascending && free() {
            Ok(())
        } else {
            Err(RelayError::Exists)
        }
    }

    /// Keeps a bundle for its joiners, or changes nothing.
    ///
    /// # Errors
    /// [`RelayError::Full`] if there is no room where a locator would lie.
    pub(crate) fn store_bundle(
        &mut self,
        queue: &QueueId,
        epoch: u32,
        bundle: &CommitBundle,
    ) -> Result<(), RelayError> {
        if bundle.locators.is_empty() {
            return Ok(());
        }
        let key = numbered(&queue.0, epoch);
        let record = BundleRecord {
            wrapper: bundle.wrapper.clone(),
            tree: bundle.tree.clone(),
        };
        let leaf = Leaf::Welcome(leaf_of(&record));
        for (count, locator) in bundle.locators.iter().enumerate() {
            if let Err(error) = self.add(&locator.0, &leaf, &key) {
                for stored in &bundle.locators[..count] {
                    self.map.remove(&stored.0);
                }
                return Err(error);
            }
        }
        put(&mut self.bundles, key, &record);
        let joiners = JoinersRecord {
            locators: bundle.locators.clone(),
        };
        put(&mut self.joiners, key, &joiners);
        Ok(())
    }

    /// Forgets what waits for the joiners of a commit.
    pub(crate) fn drop_bundle(&mut self, queue: &QueueId, epoch: u32) {
        let key = numbered(&queue.0, epoch);
        let joiners: Option<JoinersRecord> = get(&self.joiners, &key);
        for locator in joiners.into_iter().flat_map(|joiners| joiners.locators) {
            self.map.remove(&locator.0);
        }
        self.joiners.remove(&key);
        self.bundles.remove(&key);
    }

    /// Where the bundle that waits under a locator lies: queue ‖ epoch started.
    fn bundle_key(&self, locator: &[u8; 32]) -> Option<[u8; 36]> {
        let record = self.map.get(locator)?;
        let welcome = matches!(decode(&record.leaf), Ok(Leaf::Welcome(_)));
        welcome.then(|| record.extra.try_into().ok())?
    }

    /// Shows a Welcome, or proves that there is none.
    pub(crate) fn welcome(
        &self,
        request: &[u8],
        certificate: Vec<u8>,
    ) -> Result<WelcomeReply, RelayError> {
        let request: WelcomeRequest = decode(request).map_err(|_| RelayError::Malformed)?;
        let locator = request.welcome_id.locator().0;
        let bundle: Option<BundleRecord> = self
            .bundle_key(&locator)
            .and_then(|key| get(&self.bundles, &key));
        let (wrapper, tree) = match bundle {
            Some(bundle) => (bundle.wrapper, bundle.tree),
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
        if let Some(key) = self.bundle_key(&locator.0) {
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
