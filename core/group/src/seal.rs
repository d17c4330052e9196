//! XChaCha20-Poly1305 with the nonce in front.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use openmls_traits::random::OpenMlsRand;
use paigham_wire::envelope::NONCE_BYTES;

use crate::crypto::Crypto;
use crate::error::{GroupError, mls};

/// Bytes that sealing adds: nonce and tag.
pub(crate) const OVERHEAD_BYTES: usize = NONCE_BYTES + 16;

pub(crate) fn random<const N: usize>(crypto: &Crypto) -> Result<[u8; N], GroupError> {
    crypto
        .inner()
        .random_array()
        .map_err(mls("drawing randomness"))
}

pub(crate) fn seal(
    crypto: &Crypto,
    key: &[u8; 32],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, GroupError> {
    let nonce: [u8; NONCE_BYTES] = random(crypto)?;
    let sealed = XChaCha20Poly1305::new(key.into())
        .encrypt(
            &XNonce::from(nonce),
            Payload {
                msg: plaintext,
                aad,
            },
        )
        .map_err(|_| GroupError::Sealed)?;
    Ok([&nonce[..], &sealed].concat())
}

pub(crate) fn open(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, GroupError> {
    let (nonce, ciphertext) = sealed
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or(GroupError::Sealed)?;
    XChaCha20Poly1305::new(key.into())
        .decrypt(
            &XNonce::from(*nonce),
            Payload {
                msg: ciphertext,
                aad,
            },
        )
        .map_err(|_| GroupError::Sealed)
}
