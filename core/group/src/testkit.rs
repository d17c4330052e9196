//! What a member with a changed client can do: for tests of those who meet it.

use openmls_traits::storage::{CURRENT_VERSION, StorageProvider};
use paigham_wire::envelope::{EnvelopePlaintext, VERSION};
use paigham_wire::hash::Hash;
use paigham_wire::ids::CanisterId;
use paigham_wire::relay::SubmitCommit;

use crate::commit::{Base, Change, Check, StagedCommitPost};
use crate::crypto::{Crypto, Provider};
use crate::device::DeviceKeys;
use crate::error::GroupError;
use crate::group::Group;

impl Group {
    /// As [`Group::commit`], without asking whether anybody would take it.
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn commit_unjudged<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        crypto: &Crypto,
        provider: &Provider<'_, S>,
        device: &DeviceKeys,
        change: &Change,
        base: Base,
    ) -> Result<StagedCommitPost, GroupError> {
        self.commit_checked(crypto, provider, device, change, base, Check::Nothing)
    }

    /// A commit that the relay takes and nobody can read: an envelope of no message.
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn commit_garbage<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        crypto: &Crypto,
        provider: &Provider<'_, S>,
        device: &DeviceKeys,
        base: Base,
    ) -> Result<StagedCommitPost, GroupError> {
        let change = Change::default();
        self.commit_checked(
            crypto,
            provider,
            device,
            &change,
            base.clone(),
            Check::Nothing,
        )?;
        let garbage = EnvelopePlaintext {
            version: VERSION,
            mls_message: b"garbage".to_vec().into(),
            proofs: Vec::new(),
            extensions: Vec::new(),
        };
        self.finish(crypto, &change, &base, &garbage, None, None)
    }

    /// Signs a commit as every member of its base epoch can, with whatever Welcome lies beside it.
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn sign_again(
        &self,
        crypto: &Crypto,
        canister: &CanisterId,
        post_hash: &Hash,
        submit: &mut SubmitCommit,
    ) -> Result<(), GroupError> {
        submit.signature = SubmitCommit::signature(
            &self.control_key(crypto)?,
            canister,
            &self.queue(),
            self.epoch(),
            post_hash,
            &submit.next_keys,
            &submit.bundle,
        );
        Ok(())
    }
}
