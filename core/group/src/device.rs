//! A device's keys in its groups, and its key packages.

use ed25519_dalek::SigningKey;
use openmls::prelude::hash_ref::KeyPackageRef;
use openmls::prelude::{
    BasicCredential, Capabilities, CredentialType, CredentialWithKey, ExtensionType, KeyPackage,
    KeyPackageIn, LeafNode, Lifetime, ProposalType, ProtocolVersion,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::{CURRENT_VERSION, StorageProvider};
use openmls_traits::types::SignatureScheme;
use paigham_wire::envelope::{Credential, GROUP_POLICY_EXTENSION};
use tls_codec::{DeserializeBytes, Serialize, Size};

use crate::crypto::{Crypto, Provider, SUITE};
use crate::error::{GroupError, mls};

const DAY_SECONDS: u64 = 24 * 3_600;
/// How long a key package may be used, in seconds.
pub const KEY_PACKAGE_LIFETIME_SECONDS: u64 = 60 * DAY_SECONDS;
/// How long before its use a key package must have been valid. OpenMLS compares the lifetime with
/// the clock of whoever reads the commit; with this margin a clock may be a day slow, and the
/// commit's time alone decides.
const LIFETIME_LEAD_SECONDS: u64 = DAY_SECONDS;
/// How long after its use it must stay valid: a commit is kept for 90 days, and who reads it on
/// the last of them judges like who read it at once.
const LIFETIME_TAIL_SECONDS: u64 = 92 * DAY_SECONDS;
/// Longest lifetime that we accept of others.
const LIFETIME_MAX_SECONDS: u64 = LIFETIME_LEAD_SECONDS + 84 * DAY_SECONDS + LIFETIME_TAIL_SECONDS;
/// Most bytes of a leaf: an X-Wing leaf of ours has some 1,400, and every joiner loads all of them.
const LEAF_MAX_BYTES: usize = 4_096;

/// The Ed25519 key that a device signs with in all its groups, and who it is.
pub struct DeviceKeys {
    credential: Credential,
    signer: SignatureKeyPair,
    leaf_key: SigningKey,
}

impl std::fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceKeys").finish_non_exhaustive()
    }
}

impl DeviceKeys {
    /// From the seed of the leaf key.
    #[must_use]
    pub fn new(credential: Credential, leaf_seed: &[u8; 32]) -> Self {
        let leaf_key = SigningKey::from_bytes(leaf_seed);
        let public = leaf_key.verifying_key().to_bytes().to_vec();
        let signer =
            SignatureKeyPair::from_raw(SignatureScheme::ED25519, leaf_seed.to_vec(), public);
        Self {
            credential,
            signer,
            leaf_key,
        }
    }

    /// Who it is.
    #[must_use]
    pub const fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Signs what is ours and not MLS's: the claim of a reset, the request for a re-add.
    pub(crate) const fn leaf_key(&self) -> &SigningKey {
        &self.leaf_key
    }

    pub(crate) const fn signer(&self) -> &SignatureKeyPair {
        &self.signer
    }

    pub(crate) fn credential_with_key(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(paigham_wire::codec::encode(&self.credential)).into(),
            signature_key: self.signer.to_public_vec().into(),
        }
    }

    /// Makes a key package; its private part goes into the storage.
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn key_package<S: StorageProvider<CURRENT_VERSION>>(
        &self,
        provider: &Provider<'_, S>,
        last_resort: bool,
        now_seconds: u64,
    ) -> Result<NewKeyPackage, GroupError> {
        let mut builder = KeyPackage::builder()
            .key_package_lifetime(lifetime(now_seconds))
            .leaf_node_capabilities(capabilities());
        if last_resort {
            builder = builder.mark_as_last_resort();
        }
        let bundle = builder
            .build(SUITE, provider, &self.signer, self.credential_with_key())
            .map_err(mls("making a key package"))?;
        let key_package = bundle.key_package();
        let reference = key_package
            .hash_ref(provider.crypto())
            .map_err(mls("hashing a key package"))?;
        Ok(NewKeyPackage {
            bytes: key_package
                .tls_serialize_detached()
                .map_err(mls("encoding a key package"))?,
            reference: reference
                .tls_serialize_detached()
                .map_err(mls("encoding a key package's hash"))?,
        })
    }
}

/// A key package of this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKeyPackage {
    /// As it is published.
    pub bytes: Vec<u8>,
    /// Its `KeyPackageRef` (RFC 9420 §5.2), by which its private part is found.
    pub reference: Vec<u8>,
}

/// The lifetime of a key package made now, by the network's time.
fn lifetime(now: u64) -> Lifetime {
    // An hour more than the rule wants, for a chain time that lags behind the owner's clock.
    let lead = LIFETIME_LEAD_SECONDS + 3_600;
    Lifetime::init(
        now.saturating_sub(lead),
        now + KEY_PACKAGE_LIFETIME_SECONDS + LIFETIME_TAIL_SECONDS,
    )
}

/// When a key package may be added (GRP-009).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyPackageLifetime {
    not_before: u64,
    not_after: u64,
}

impl KeyPackageLifetime {
    pub(crate) fn of(key_package: &KeyPackage) -> Self {
        let lifetime = key_package.life_time();
        Self {
            not_before: lifetime.not_before(),
            not_after: lifetime.not_after(),
        }
    }

    pub(crate) const fn covers(&self, seconds: u64) -> bool {
        self.not_after.saturating_sub(self.not_before) <= LIFETIME_MAX_SECONDS
            && self.not_before.saturating_add(LIFETIME_LEAD_SECONDS) <= seconds
            && seconds.saturating_add(LIFETIME_TAIL_SECONDS) <= self.not_after
    }
}

/// Whether a leaf has a size that every member can bear (GRP-006).
pub(crate) fn is_small(leaf: &LeafNode) -> bool {
    leaf.tls_serialized_len() <= LEAF_MAX_BYTES
}

/// What every leaf of ours can do. `Capabilities::for_provider` would leave the suite out.
pub(crate) fn capabilities() -> Capabilities {
    Capabilities::new(
        Some(&[ProtocolVersion::Mls10]),
        Some(&[SUITE]),
        Some(&[
            ExtensionType::Unknown(GROUP_POLICY_EXTENSION),
            ExtensionType::LastResort,
        ]),
        Some(&[ProposalType::SelfRemove]),
        Some(&[CredentialType::Basic]),
    )
}

/// A key package whose own rules hold; whose it is, is for its account's records.
#[derive(Debug, Clone)]
pub struct CheckedKeyPackage {
    pub(crate) key_package: KeyPackage,
    /// Who it says it is.
    pub credential: Credential,
    /// The leaf key that signed it.
    pub leaf_key: [u8; 32],
}

impl CheckedKeyPackage {
    /// Decodes a key package and checks signature, suite, lifetime and capabilities.
    ///
    /// # Errors
    /// [`GroupError::KeyPackage`].
    pub fn check(crypto: &Crypto, bytes: &[u8], now_seconds: u64) -> Result<Self, GroupError> {
        let decoded = KeyPackageIn::tls_deserialize_exact_bytes(bytes)
            .map_err(|_| GroupError::KeyPackage("it does not decode"))?;
        let key_package = decoded
            .validate(crypto.inner(), ProtocolVersion::Mls10)
            .map_err(|_| GroupError::KeyPackage("its signature or form does not hold"))?;
        if key_package.ciphersuite() != SUITE {
            return Err(GroupError::KeyPackage("it is of another suite"));
        }
        if !KeyPackageLifetime::of(&key_package).covers(now_seconds) {
            return Err(GroupError::KeyPackage(
                "its lifetime does not cover the time",
            ));
        }
        let leaf = key_package.leaf_node();
        if !is_small(leaf) {
            return Err(GroupError::KeyPackage("its leaf is too large"));
        }
        let ours = capabilities();
        let capable = ours
            .extensions()
            .iter()
            .all(|e| leaf.capabilities().extensions().contains(e))
            && leaf
                .capabilities()
                .proposals()
                .contains(&ProposalType::SelfRemove);
        if !capable {
            return Err(GroupError::KeyPackage("it lacks a capability"));
        }
        let credential = credential_of(leaf.credential())
            .ok_or(GroupError::KeyPackage("its credential is not one of ours"))?;
        let leaf_key = leaf
            .signature_key()
            .as_slice()
            .try_into()
            .map_err(|_| GroupError::KeyPackage("its key is not Ed25519"))?;
        Ok(Self {
            key_package,
            credential,
            leaf_key,
        })
    }
}

/// Our credential inside a basic credential.
pub(crate) fn credential_of(credential: &openmls::prelude::Credential) -> Option<Credential> {
    let basic = BasicCredential::try_from(credential.clone()).ok()?;
    Credential::from_identity(basic.identity()).ok()
}

/// Deletes the private part of a key package that was never used.
///
/// # Errors
/// [`GroupError::Storage`].
pub fn forget_key_package<S: StorageProvider<CURRENT_VERSION>>(
    provider: &Provider<'_, S>,
    reference: &[u8],
) -> Result<(), GroupError> {
    let reference = KeyPackageRef::tls_deserialize_exact_bytes(reference)
        .map_err(|_| GroupError::Storage("the hash of a key package is damaged".into()))?;
    provider
        .storage()
        .delete_key_package(&reference)
        .map_err(|error| GroupError::Storage(error.to_string()))
}
