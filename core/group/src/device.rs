//! A device's keys in its groups, and its key packages.

use openmls::prelude::{
    BasicCredential, Capabilities, CredentialType, CredentialWithKey, ExtensionType, KeyPackage,
    KeyPackageIn, Lifetime, ProposalType, ProtocolVersion,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::{CURRENT_VERSION, StorageProvider};
use openmls_traits::types::SignatureScheme;
use paigham_wire::envelope::{Credential, GROUP_POLICY_EXTENSION};
use tls_codec::{DeserializeBytes, Serialize};

use crate::crypto::{Crypto, Provider, SUITE};
use crate::error::{GroupError, mls};

/// How long a key package may be used, in seconds.
pub const KEY_PACKAGE_LIFETIME_SECONDS: u64 = 60 * 24 * 3_600;
/// Longest lifetime that we accept of others.
const LIFETIME_MAX_SECONDS: u64 = 84 * 24 * 3_600 + 2 * 3_600;

/// The Ed25519 key that a device signs with in all its groups, and who it is.
pub struct DeviceKeys {
    credential: Credential,
    signer: SignatureKeyPair,
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
        let key = ed25519_dalek::SigningKey::from_bytes(leaf_seed);
        let public = key.verifying_key().to_bytes().to_vec();
        let signer =
            SignatureKeyPair::from_raw(SignatureScheme::ED25519, leaf_seed.to_vec(), public);
        Self { credential, signer }
    }

    /// Who it is.
    #[must_use]
    pub const fn credential(&self) -> &Credential {
        &self.credential
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
    ) -> Result<Vec<u8>, GroupError> {
        let mut builder = KeyPackage::builder()
            .key_package_lifetime(Lifetime::new(KEY_PACKAGE_LIFETIME_SECONDS))
            .leaf_node_capabilities(capabilities());
        if last_resort {
            builder = builder.mark_as_last_resort();
        }
        let bundle = builder
            .build(SUITE, provider, &self.signer, self.credential_with_key())
            .map_err(mls("making a key package"))?;
        bundle
            .key_package()
            .tls_serialize_detached()
            .map_err(mls("encoding a key package"))
    }
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
        let lifetime = key_package.life_time();
        let (from, to) = (lifetime.not_before(), lifetime.not_after());
        if to.saturating_sub(from) > LIFETIME_MAX_SECONDS || now_seconds > to {
            return Err(GroupError::KeyPackage(
                "its lifetime has passed or is too long",
            ));
        }
        let leaf = key_package.leaf_node();
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
    crypto: &Crypto,
    checked: &CheckedKeyPackage,
) -> Result<(), GroupError> {
    let reference = checked
        .key_package
        .hash_ref(crypto.inner())
        .map_err(mls("hashing a key package"))?;
    provider
        .storage()
        .delete_key_package(&reference)
        .map_err(|error| GroupError::Storage(error.to_string()))
}
