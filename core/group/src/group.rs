//! The state of a group beside OpenMLS's own: members, epoch keys, generations.

use ed25519_dalek::SigningKey;
use openmls::prelude::CredentialType;
use openmls::prelude::{
    Extension, ExtensionType, Extensions, GroupId, LeafNodeIndex, MlsGroup, MlsGroupCreateConfig,
    MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY, ProposalType,
    RequiredCapabilitiesExtension, SenderRatchetConfiguration, StagedCommit, UnknownExtension,
};
use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::{CURRENT_VERSION, StorageProvider};
use paigham_wire::codec::{decode, encode};
use paigham_wire::envelope::{
    EXPORT_BYTES, GROUP_POLICY_EXTENSION, GroupPolicy, epoch_authenticator_hash, exporter,
};
use paigham_wire::hash::Hash;
use paigham_wire::ids::{AccountId, DeviceId, QueueId};
use paigham_wire::keys::{EPOCH_ZERO_KEYS_HASH, EpochKeys, MacKey, ReadToken};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::crypto::{Crypto, Provider, SUITE};
use crate::device::{DeviceKeys, capabilities, credential_of};
use crate::error::{GroupError, mls};
use crate::re_add::CountedReAdd;

/// Most leaves of a group for now.
pub const MAX_LEAVES: usize = 256;
/// Ratchet window: the log is ordered, so little comes late; a gap of expired posts may be wide.
const OUT_OF_ORDER: u32 = 32;
const MAXIMUM_FORWARD: u32 = 4_096;

/// A member's leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its place in the tree.
    pub leaf: u32,
    /// Whose it is.
    pub account: [u8; 16],
    /// Which device.
    pub device: [u8; 16],
    /// Its leaf key.
    pub leaf_key: [u8; 32],
}

impl Member {
    /// Whose it is.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        AccountId(self.account)
    }

    /// Which device.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        DeviceId(self.device)
    }
}

/// What of a group is ours to persist, in the same step as OpenMLS's records.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct GroupState {
    /// The queue, which is the MLS group id.
    pub queue: [u8; 32],
    /// Generation of the current epoch; 0 before the first commit.
    pub generation: u32,
    /// Read token of that generation.
    pub read_token: [u8; 32],
    /// Seed of the first control key, until the first commit.
    pub first_control_seed: Option<[u8; 32]>,
    /// The commit that waits for the relay's answer.
    pub pending: Option<PendingState>,
    /// SelfRemoves of the current epoch, as posted, by leaf.
    pub leaving: Vec<(u32, Vec<u8>)>,
    /// Commits since the newest one that added a leaf: leaf and time (ns), for the rate rule.
    pub commits: Vec<(u32, u64)>,
    /// Re-adds of the last day.
    #[serde(default)]
    pub re_adds: Vec<CountedReAdd>,
}

impl std::fmt::Debug for GroupState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupState")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl Drop for GroupState {
    fn drop(&mut self) {
        self.read_token.zeroize();
        self.first_control_seed.zeroize();
    }
}

/// A commit that waits.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct PendingState {
    /// Its H(post).
    pub post_hash: [u8; 32],
    /// H(keys) that it registers.
    pub keys_hash: [u8; 32],
    /// Whether it starts a generation.
    pub new_generation: bool,
    /// Whether it adds a leaf, and whether it removes one.
    pub adds: bool,
    /// Whether it removes a leaf.
    pub removes: bool,
    /// Devices that it re-adds, with the ids of their requests.
    #[serde(default)]
    pub re_adds: Vec<([u8; 16], [u8; 32])>,
}

/// A group.
#[derive(Debug)]
pub struct Group {
    pub(crate) mls: MlsGroup,
    pub(crate) state: GroupState,
}

/// The keys that members share in an epoch.
pub struct EpochSecrets {
    /// Signs the next commit.
    pub control: SigningKey,
    /// What the relay registers of the epoch.
    pub keys: EpochKeys,
    /// Reads the generation.
    pub token: ReadToken,
}

impl std::fmt::Debug for EpochSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EpochSecrets(***)")
    }
}

impl Group {
    /// Makes a group of this device alone, in epoch 0.
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn create<S: StorageProvider<CURRENT_VERSION>>(
        provider: &Provider<'_, S>,
        device: &DeviceKeys,
        queue: QueueId,
        policy: &GroupPolicy,
        first_control: &SigningKey,
    ) -> Result<Self, GroupError> {
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(SUITE)
            .capabilities(capabilities())
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(false)
            .max_past_epochs(0)
            .number_of_resumption_psks(1)
            .sender_ratchet_configuration(ratchet())
            .with_group_context_extensions(context_extensions(policy)?)
            .build();
        let mls = MlsGroup::new_with_group_id(
            provider,
            device.signer(),
            &config,
            GroupId::from_slice(&queue.0),
            device.credential_with_key(),
        )
        .map_err(mls("making a group"))?;
        let state = GroupState {
            queue: queue.0,
            generation: 0,
            read_token: [0; 32],
            first_control_seed: Some(first_control.to_bytes()),
            pending: None,
            leaving: Vec::new(),
            commits: Vec::new(),
            re_adds: Vec::new(),
        };
        Ok(Self { mls, state })
    }

    /// The group as it was persisted.
    ///
    /// # Errors
    /// [`GroupError::Storage`] if OpenMLS's part is not there.
    pub fn load<S: StorageProvider<CURRENT_VERSION>>(
        provider: &Provider<'_, S>,
        state: GroupState,
    ) -> Result<Self, GroupError> {
        let mls = MlsGroup::load(provider.storage(), &GroupId::from_slice(&state.queue))
            .map_err(|error| GroupError::Storage(error.to_string()))?
            .ok_or_else(|| GroupError::Storage("the group is not there".into()))?;
        Ok(Self { mls, state })
    }

    /// Deletes everything that OpenMLS keeps of the group: it has ended for this device.
    ///
    /// # Errors
    /// [`GroupError::Storage`].
    pub fn delete<S: StorageProvider<CURRENT_VERSION>>(
        &mut self,
        provider: &Provider<'_, S>,
    ) -> Result<(), GroupError> {
        self.mls
            .delete(provider.storage())
            .map_err(|error| GroupError::Storage(error.to_string()))
    }

    /// What the caller persists.
    #[must_use]
    pub const fn state(&self) -> &GroupState {
        &self.state
    }

    /// The queue.
    #[must_use]
    pub const fn queue(&self) -> QueueId {
        QueueId(self.state.queue)
    }

    /// The current epoch.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        // The relay counts epochs in 32 bits and so do we: a group never gets that far.
        u32::try_from(self.mls.epoch().as_u64()).unwrap_or(u32::MAX)
    }

    /// Whether this device is a member.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.mls.is_active()
    }

    /// H("paigham/1 epoch authenticator"; …): equal for all members of an epoch.
    #[must_use]
    pub fn authenticator_hash(&self) -> Hash {
        epoch_authenticator_hash(self.mls.epoch_authenticator().as_slice())
    }

    /// The read token that fetches, `None` before the first commit.
    #[must_use]
    pub fn read_token(&self) -> Option<ReadToken> {
        (self.state.generation > 0).then(|| ReadToken::new(self.state.read_token))
    }

    /// The read token to fetch with: that of the current generation, or in epoch 0, with an own
    /// commit under way, the one that this commit starts.
    ///
    /// # Errors
    /// [`GroupError::Nothing`] in epoch 0 without an own commit: nobody can read the queue yet.
    pub fn fetch_token(&self, crypto: &Crypto) -> Result<ReadToken, GroupError> {
        if let Some(token) = self.read_token() {
            return Ok(token);
        }
        let pending = self.state.pending.as_ref().ok_or(GroupError::Nothing)?;
        let staged = self.mls.pending_commit().ok_or(GroupError::Nothing)?;
        let next = self.next_secrets(crypto, staged, pending.new_generation)?;
        Ok(next.token)
    }

    /// Whether a registered H(keys) is that of the current epoch. A joiner finds by it the commit
    /// that its Welcome belongs to; it also shows that generation and token are the registered ones.
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn is_current_commit(&self, crypto: &Crypto, keys_hash: &Hash) -> Result<bool, GroupError> {
        if self.state.generation == 0 {
            return Ok(*keys_hash == EPOCH_ZERO_KEYS_HASH);
        }
        Ok(self.epoch_keys(crypto)?.hash() == *keys_hash)
    }

    /// The members.
    pub fn members(&self) -> impl Iterator<Item = Member> + '_ {
        self.mls.members().filter_map(|member| {
            let credential = credential_of(&member.credential)?;
            Some(Member {
                leaf: member.index.u32(),
                account: credential.account.0,
                device: credential.device.0,
                leaf_key: member.signature_key.as_slice().try_into().ok()?,
            })
        })
    }

    /// The member of a leaf.
    #[must_use]
    pub fn member_at(&self, leaf: u32) -> Option<Member> {
        self.members().find(|member| member.leaf == leaf)
    }

    /// Own leaf.
    #[must_use]
    pub fn own_leaf(&self) -> u32 {
        self.mls.own_leaf_index().u32()
    }

    /// The group's rules.
    ///
    /// # Errors
    /// [`GroupError::Mls`] if they are not there: every group is made with them.
    pub fn policy(&self) -> Result<GroupPolicy, GroupError> {
        policy_of(self.mls.extensions())
            .ok_or_else(|| GroupError::Mls("reading the policy", "absent or malformed".into()))
    }

    /// Leaves that have posted a SelfRemove in this epoch.
    #[must_use]
    pub fn leaving(&self) -> Vec<u32> {
        self.state.leaving.iter().map(|(leaf, _)| *leaf).collect()
    }

    /// The key of this epoch's envelopes.
    pub(crate) fn envelope_key(&self, crypto: &Crypto) -> Result<Zeroizing<[u8; 32]>, GroupError> {
        self.export(crypto, exporter::ENVELOPE)
    }

    /// The MAC key of this epoch.
    pub(crate) fn mac_key(&self, crypto: &Crypto) -> Result<MacKey, GroupError> {
        Ok(MacKey::new(*self.export(crypto, exporter::MAC)?))
    }

    /// The key that signs the next commit.
    pub(crate) fn control_key(&self, crypto: &Crypto) -> Result<SigningKey, GroupError> {
        match self.state.first_control_seed {
            Some(seed) => Ok(SigningKey::from_bytes(&seed)),
            None => Ok(SigningKey::from_bytes(
                &*self.export(crypto, exporter::CONTROL)?,
            )),
        }
    }

    fn export(&self, crypto: &Crypto, label: &str) -> Result<Zeroizing<[u8; 32]>, GroupError> {
        let secret = self
            .mls
            .export_secret(crypto.inner(), label, &self.state.queue, EXPORT_BYTES)
            .map_err(mls("exporting a secret"))?;
        fixed(&Zeroizing::new(secret))
    }

    /// Keys of the current epoch as the relay registered them.
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn epoch_keys(&self, crypto: &Crypto) -> Result<EpochKeys, GroupError> {
        Ok(EpochKeys {
            control_key: self.control_key(crypto)?.verifying_key().to_bytes(),
            mac_key: self.mac_key(crypto)?,
            read_token_hash: ReadToken::new(self.state.read_token).hash(),
            generation: self.state.generation,
        })
    }

    /// Keys of the epoch that a staged commit starts.
    pub(crate) fn next_secrets(
        &self,
        crypto: &Crypto,
        staged: &StagedCommit,
        new_generation: bool,
    ) -> Result<EpochSecrets, GroupError> {
        let export = |label: &str| {
            let secret = staged
                .export_secret(crypto.inner(), label, &self.state.queue, EXPORT_BYTES)
                .map_err(mls("exporting a secret of the next epoch"))?;
            fixed(&Zeroizing::new(secret))
        };
        let control = SigningKey::from_bytes(&*export(exporter::CONTROL)?);
        let (token, generation) = if new_generation {
            let generation = self
                .state
                .generation
                .checked_add(1)
                .ok_or_else(|| GroupError::Mls("starting a generation", "too many".into()))?;
            (ReadToken::new(*export(exporter::READ_TOKEN)?), generation)
        } else {
            (ReadToken::new(self.state.read_token), self.state.generation)
        };
        let keys = EpochKeys {
            control_key: control.verifying_key().to_bytes(),
            mac_key: MacKey::new(*export(exporter::MAC)?),
            read_token_hash: token.hash(),
            generation,
        };
        Ok(EpochSecrets {
            control,
            keys,
            token,
        })
    }

    /// What a merged commit leaves behind.
    pub(crate) fn enter_epoch(&mut self, secrets: Option<&EpochSecrets>) {
        if let Some(secrets) = secrets {
            self.state.generation = secrets.keys.generation;
            self.state.read_token = *secrets.token.as_bytes();
        }
        self.state.first_control_seed.zeroize();
        self.state.first_control_seed = None;
        self.state.pending = None;
        self.state.leaving.clear();
    }
}

pub(crate) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(false)
        .max_past_epochs(0)
        .number_of_resumption_psks(1)
        .sender_ratchet_configuration(ratchet())
        .build()
}

fn ratchet() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(OUT_OF_ORDER, MAXIMUM_FORWARD)
}

/// The GroupContext extensions of every group: what members must be able to do, and the policy.
pub(crate) fn context_extensions(
    policy: &GroupPolicy,
) -> Result<Extensions<openmls::prelude::GroupContext>, GroupError> {
    let required = RequiredCapabilitiesExtension::new(
        &[ExtensionType::Unknown(GROUP_POLICY_EXTENSION)],
        &[ProposalType::SelfRemove],
        &[CredentialType::Basic],
    );
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(required),
        Extension::Unknown(GROUP_POLICY_EXTENSION, UnknownExtension(encode(policy))),
    ])
    .map_err(mls("making the group's extensions"))
}

/// The policy among GroupContext extensions, if it is well formed.
pub(crate) fn policy_of(
    extensions: &Extensions<openmls::prelude::GroupContext>,
) -> Option<GroupPolicy> {
    let policy: GroupPolicy = decode(&extensions.unknown(GROUP_POLICY_EXTENSION)?.0).ok()?;
    policy.is_well_formed().then_some(policy)
}

/// The policy, if the extensions are exactly those that it makes.
pub(crate) fn exact_policy_of(
    extensions: &Extensions<openmls::prelude::GroupContext>,
) -> Option<GroupPolicy> {
    let policy = policy_of(extensions)?;
    let expected = context_extensions(&policy).ok()?;
    let same = extensions.iter().count() == expected.iter().count()
        && expected
            .iter()
            .all(|wanted| extensions.iter().any(|there| there == wanted));
    same.then_some(policy)
}

pub(crate) fn leaf_index(leaf: u32) -> LeafNodeIndex {
    LeafNodeIndex::new(leaf)
}

fn fixed(secret: &[u8]) -> Result<Zeroizing<[u8; 32]>, GroupError> {
    let secret = secret
        .try_into()
        .map_err(|_| GroupError::Mls("exporting a secret", "of another length".into()))?;
    Ok(Zeroizing::new(secret))
}
