//! The provider that OpenMLS works with: libcrux over the caller's storage.

use openmls_libcrux_crypto::CryptoProvider;
use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::{CURRENT_VERSION, StorageProvider};
use openmls_traits::types::Ciphersuite;

use crate::error::{GroupError, mls};

/// X-Wing (ML-KEM-768 + X25519), AES-256-GCM, SHA-384, Ed25519: code point 0x004E.
pub const SUITE: Ciphersuite = Ciphersuite::MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519;

/// Cryptography and randomness; made once.
pub struct Crypto {
    provider: CryptoProvider,
}

impl std::fmt::Debug for Crypto {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Crypto(libcrux)")
    }
}

impl Crypto {
    /// Seeds itself from the operating system.
    ///
    /// # Errors
    /// [`GroupError::Mls`] without randomness.
    pub fn new() -> Result<Self, GroupError> {
        let provider = CryptoProvider::new().map_err(mls("starting the crypto provider"))?;
        Ok(Self { provider })
    }

    /// With a storage, as OpenMLS wants it.
    pub const fn with<S: StorageProvider<CURRENT_VERSION>>(&self, storage: S) -> Provider<'_, S> {
        Provider {
            crypto: &self.provider,
            storage,
        }
    }

    pub(crate) const fn inner(&self) -> &CryptoProvider {
        &self.provider
    }
}

/// Cryptography and a storage.
pub struct Provider<'a, S> {
    crypto: &'a CryptoProvider,
    storage: S,
}

impl<S> std::fmt::Debug for Provider<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Provider")
    }
}

impl<S: StorageProvider<CURRENT_VERSION>> OpenMlsProvider for Provider<'_, S> {
    type CryptoProvider = CryptoProvider;
    type RandProvider = CryptoProvider;
    type StorageProvider = S;

    fn storage(&self) -> &Self::StorageProvider {
        &self.storage
    }

    fn crypto(&self) -> &Self::CryptoProvider {
        self.crypto
    }

    fn rand(&self) -> &Self::RandProvider {
        self.crypto
    }
}
