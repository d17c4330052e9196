//! Pointers to Welcomes, sealed to an inbox's X-Wing key (`spec/protocol.md` §5.2).

use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType, HpkeKemType};
use paigham_wire::codec::{decode, encode};
use paigham_wire::envelope::{PointerContent, SealedPointer, VERSION, pointer_info};
use paigham_wire::ids::InboxId;
use paigham_wire::reset::{ReAddMessage, re_add_info};
use zeroize::Zeroizing;

use crate::crypto::Crypto;
use crate::error::{GroupError, mls};
use crate::seal::random;

const HPKE: HpkeConfig = HpkeConfig(
    HpkeKemType::XWingKemDraft6,
    HpkeKdfType::HkdfSha256,
    HpkeAeadType::ChaCha20Poly1305,
);

/// The X-Wing key pair of an inbox.
pub struct InboxKeyPair {
    /// For the record and the inbox.
    pub public: Vec<u8>,
    private: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for InboxKeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InboxKeyPair(***)")
    }
}

impl InboxKeyPair {
    /// Derives the pair from a secret seed.
    ///
    /// # Errors
    /// [`GroupError::Mls`].
    pub fn derive(crypto: &Crypto, seed: &[u8; 32]) -> Result<Self, GroupError> {
        let pair = crypto
            .inner()
            .derive_hpke_keypair(HPKE, seed)
            .map_err(mls("deriving an inbox key"))?;
        Ok(Self {
            public: pair.public,
            private: Zeroizing::new(pair.private.to_vec()),
        })
    }

    /// Opens a sealed pointer.
    ///
    /// # Errors
    /// [`GroupError::Sealed`].
    pub fn open(
        &self,
        crypto: &Crypto,
        inbox: &InboxId,
        sealed: &[u8],
    ) -> Result<PointerContent, GroupError> {
        let opened = self.open_as(crypto, &pointer_info(inbox), sealed)?;
        let content: PointerContent = decode(&opened).map_err(|_| GroupError::Sealed)?;
        if content.pointer.version == VERSION {
            Ok(content)
        } else {
            Err(GroupError::Sealed)
        }
    }

    /// Opens a sealed request for a re-add; whether it holds is for the group.
    ///
    /// # Errors
    /// [`GroupError::Sealed`].
    pub fn open_re_add(
        &self,
        crypto: &Crypto,
        inbox: &InboxId,
        sealed: &[u8],
    ) -> Result<ReAddMessage, GroupError> {
        let opened = self.open_as(crypto, &re_add_info(inbox), sealed)?;
        decode(&opened).map_err(|_| GroupError::Sealed)
    }

    fn open_as(
        &self,
        crypto: &Crypto,
        info: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, GroupError> {
        let sealed: SealedPointer = decode(sealed).map_err(|_| GroupError::Sealed)?;
        let ciphertext = HpkeCiphertext {
            kem_output: sealed.kem_output.as_slice().to_vec().into(),
            ciphertext: sealed.ciphertext.as_slice().to_vec().into(),
        };
        let opened = crypto
            .inner()
            .hpke_open(HPKE, &ciphertext, &self.private, info, &[])
            .map_err(|_| GroupError::Sealed)?;
        Ok(Zeroizing::new(opened))
    }
}

/// A fresh secret seed.
///
/// # Errors
/// [`GroupError::Mls`] without randomness.
pub fn fresh_seed(crypto: &Crypto) -> Result<Zeroizing<[u8; 32]>, GroupError> {
    Ok(Zeroizing::new(random(crypto)?))
}

/// Seals a pointer to an inbox.
///
/// # Errors
/// [`GroupError::Mls`] if the key is no X-Wing key.
pub fn seal_pointer(
    crypto: &Crypto,
    inbox: &InboxId,
    xwing_key: &[u8],
    content: &PointerContent,
) -> Result<Vec<u8>, GroupError> {
    let plaintext = Zeroizing::new(encode(content));
    seal_as(crypto, &pointer_info(inbox), xwing_key, &plaintext)
}

/// Seals an encoded [`ReAddMessage`] to an inbox.
///
/// # Errors
/// As [`seal_pointer`].
pub fn seal_re_add(
    crypto: &Crypto,
    inbox: &InboxId,
    xwing_key: &[u8],
    message: &[u8],
) -> Result<Vec<u8>, GroupError> {
    seal_as(crypto, &re_add_info(inbox), xwing_key, message)
}

fn seal_as(
    crypto: &Crypto,
    info: &[u8],
    xwing_key: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, GroupError> {
    let sealed = crypto
        .inner()
        .hpke_seal(HPKE, xwing_key, info, &[], plaintext)
        .map_err(mls("sealing to an inbox"))?;
    Ok(encode(&SealedPointer {
        kem_output: sealed.kem_output.as_slice().to_vec().into(),
        ciphertext: sealed.ciphertext.as_slice().to_vec().into(),
    }))
}
