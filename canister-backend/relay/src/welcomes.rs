//! Welcomes: stored with their commit, read and acknowledged by who knows the welcome id.

use ic_stable_structures::Memory;
use paigham_wire::codec::decode;
use paigham_wire::hash::Hash;
use paigham_wire::ids::{QueueId, WelcomeLocator};
use paigham_wire::leaf::{Leaf, WelcomeLeaf};
use paigham_wire::relay::{CommitBundle, RelayError, WelcomeReply, WelcomeRequest};

use crate::entries::Link;
use crate::posts::stored_hash;
use crate::records::CommitBody;
use crate::relay::{Relay, numbered};

impl<M: Memory> Relay<M> {
    /// Locators must be new and distinct: nobody can take another's Welcome away by naming its
    /// locator.
    pub(crate) fn check_locators(&self, locators: &[WelcomeLocator]) -> Result<(), RelayError> {
        let ascending = locators.windows(2).all(|pair| pair[0] < pair[1]);
        let free = || {
            locators
                .iter()
                .all(|locator| self.map.get(&locator.map_key()).is_none())
        };
        if ascending && free() {
            Ok(())
        } else {
            Err(RelayError::Exists)
        }
    }

    /// Names a commit's bundle under its joiners' locators, or changes nothing. Its bytes lie with
    /// the commit.
    ///
    /// # Errors
    /// [`RelayError::Full`] if there is no room where a locator would lie.
    pub(crate) fn announce_bundle(
        &mut self,
        queue: &QueueId,
        epoch: u32,
        bundle: &CommitBundle,
    ) -> Result<(), RelayError> {
        if bundle.locators.is_empty() {
            return Ok(());
        }
        let leaf = Leaf::Welcome(WelcomeLeaf {
            wrapper_hash: stored_hash(bundle.wrapper.as_slice()),
            tree_hash: stored_hash(bundle.tree.as_slice()),
        });
        let place = numbered(&queue.0, epoch);
        for (count, locator) in bundle.locators.iter().enumerate() {
            if let Err(error) = self.add(&locator.map_key(), &leaf, &place) {
                self.forget_locators(queue, epoch, &bundle.locators[..count]);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Forgets what waits under some locators of a commit. One that was acknowledged meanwhile may
    /// be another commit's by now.
    pub(crate) fn forget_locators(
        &mut self,
        queue: &QueueId,
        epoch: u32,
        locators: &[WelcomeLocator],
    ) {
        let place = numbered(&queue.0, epoch);
        for locator in locators {
            let key = locator.map_key();
            let waits = self.map.load(&key);
            if waits.is_some_and(|record| record.extra == place) {
                self.map.remove(&key);
            }
        }
    }

    /// The locators of a commit.
    pub(crate) fn locators(&self, commit: &Link, body: &CommitBody) -> Vec<WelcomeLocator> {
        let length = body.wrapper_at() - CommitBody::BYTES;
        let bytes = self.commits.part(commit, CommitBody::BYTES, length);
        let (locators, _) = bytes.as_chunks::<32>();
        locators.iter().copied().map(WelcomeLocator).collect()
    }

    /// The commit whose Welcome waits under a key of the map.
    fn welcomed(&self, key: &Hash) -> Option<Link> {
        let record = self.map.get(key)?;
        let place: [u8; 36] = record.extra.try_into().ok()?;
        let (queue, epoch) = place.split_first_chunk::<32>()?;
        let epoch = u32::from_be_bytes(epoch.try_into().ok()?);
        let commits = self.queue(&QueueId(*queue))?.commits();
        self.commits.find(&commits, epoch)
    }

    /// Shows a Welcome, or proves that there is none.
    pub(crate) fn welcome(
        &self,
        request: &[u8],
        certificate: Vec<u8>,
    ) -> Result<WelcomeReply, RelayError> {
        let request: WelcomeRequest = decode(request).map_err(|_| RelayError::Malformed)?;
        let key = request.welcome_id.locator().map_key();
        let (wrapper, tree) = match self.welcomed(&key) {
            Some(commit) => {
                let body = CommitBody::from_bytes(&self.commits.read_body(&commit));
                let part = |from, to| self.commits.part(&commit, from, to - from);
                (
                    part(body.wrapper_at(), body.tree_at()),
                    part(body.tree_at(), body.envelope_at()),
                )
            }
            None => (Vec::new(), Vec::new()),
        };
        let witness = self.witness(&[key]).into();
        Ok(WelcomeReply {
            certificate: certificate.into(),
            witness,
            wrapper: wrapper.into(),
            tree: tree.into(),
        })
    }

    /// Forgets a Welcome. Its bytes go with the commit. Saying it twice is fine.
    pub(crate) fn ack_welcome(&mut self, request: &[u8]) -> Result<(), RelayError> {
        let request: WelcomeRequest = decode(request).map_err(|_| RelayError::Malformed)?;
        self.map.remove(&request.welcome_id.locator().map_key());
        Ok(())
    }
}
