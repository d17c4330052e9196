//! Names and sealing of records.
//!
//! ```text
//! name:   table u8 ‖ keyed BLAKE3(name key, id) 32 ‖ number u64 big-endian
//! record: version u8 = 1 ‖ nonce 24 ‖ XChaCha20-Poly1305(seal key, nonce, AAD = version ‖ name, value)
//! ```

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::StoreError;
use crate::table::Table;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
/// Bytes of a name.
pub(crate) const NAME_BYTES: usize = 41;

/// A record's name as it stands on disk.
pub(crate) type Name = [u8; NAME_BYTES];

/// The keys that a store key gives.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Keys {
    name: [u8; 32],
    seal: [u8; 32],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(***)")
    }
}

impl Keys {
    pub(crate) fn derive(store_key: &[u8; 32]) -> Self {
        Self {
            name: blake3::derive_key("paigham/1 store names", store_key),
            seal: blake3::derive_key("paigham/1 store records", store_key),
        }
    }

    pub(crate) fn name(&self, table: Table, id: &[u8], number: u64) -> Name {
        let mut name = [0; NAME_BYTES];
        name[0] = table as u8;
        name[1..33].copy_from_slice(blake3::keyed_hash(&self.name, id).as_bytes());
        name[33..].copy_from_slice(&number.to_be_bytes());
        name
    }

    pub(crate) fn seal(&self, name: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| StoreError::Randomness)?;
        let aad = [&[VERSION], name].concat();
        let sealed = XChaCha20Poly1305::new(&self.seal.into())
            .encrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: value,
                    aad: &aad,
                },
            )
            .map_err(|_| StoreError::Format)?;
        let mut record = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        record.push(VERSION);
        record.extend_from_slice(&nonce);
        record.extend_from_slice(&sealed);
        Ok(record)
    }

    pub(crate) fn open(&self, name: &[u8], record: &[u8]) -> Result<Vec<u8>, StoreError> {
        let Some((&VERSION, rest)) = record.split_first() else {
            return Err(StoreError::Corrupt);
        };
        let (nonce, sealed) = rest
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(StoreError::Corrupt)?;
        let aad = [&[VERSION], name].concat();
        XChaCha20Poly1305::new(&self.seal.into())
            .decrypt(
                &XNonce::from(*nonce),
                Payload {
                    msg: sealed,
                    aad: &aad,
                },
            )
            .map_err(|_| StoreError::Corrupt)
    }
}
