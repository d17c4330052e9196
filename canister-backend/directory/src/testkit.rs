//! For figures: a log that is filled without submissions, and its parts one by one.

use ic_stable_structures::Memory;
use paigham_transparency::hash::Label;
use paigham_transparency::prover::{ProveError, Prover};
use paigham_transparency::publish::{NewVersion, PublishError, publish};
use paigham_transparency::store::Store;
use paigham_transparency::structs::{Configuration, SearchRequest};
use paigham_transparency::vrf::VrfSecretKey;

use crate::directory::Directory;

pub use crate::api::{BUCKET_PAGES, certify, with};

impl<M: Memory> Directory<M> {
    /// Publishes an entry with the next version of each of these labels, whatever the values say.
    ///
    /// # Errors
    /// [`PublishError`], also where no keys have been drawn.
    pub fn publish_entry(
        &mut self,
        timestamp: u64,
        values: Vec<(Label, Vec<u8>)>,
    ) -> Result<(), PublishError> {
        let keys = self.keys.keys().ok_or(PublishError::Store)?;
        let versions: Vec<_> = values
            .into_iter()
            .map(|(label, value)| NewVersion {
                opening: keys.opening(&label, self.log.version_count(&label)),
                label,
                value,
            })
            .collect();
        publish(&mut self.log, &keys.vrf, timestamp, &versions)?;
        self.log.flush();
        Ok(())
    }

    /// The answer to a search, without the signature of its head.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn unsigned_search(
        &self,
        config: &Configuration,
        request: &SearchRequest,
    ) -> Result<Vec<u8>, ProveError> {
        let prover = Prover {
            store: &self.log,
            config,
            vrf: self.vrf().ok_or(ProveError::Empty)?,
            head_signature: &[],
        };
        Ok(prover.search(request)?.encode()?)
    }

    /// What the log keeps.
    pub const fn log(&self) -> &impl Store {
        &self.log
    }

    /// The VRF key.
    pub const fn vrf(&self) -> Option<&VrfSecretKey> {
        match self.keys.keys() {
            Some(keys) => Some(&keys.vrf),
            None => None,
        }
    }
}
