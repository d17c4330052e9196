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

#[cfg(test)]
mod tests {
    use super::*;

    const STORE_KEY: [u8; 32] = [3; 32];
    /// The name of message 258 of the conversation `chat`.
    const GOLDEN_NAME: &str =
        "061836979fbe43e97bf6addb839d7b2d05d98b1354619d48f11c7750f7862f2c870000000000000102";
    /// `hello`, sealed under that name.
    const GOLDEN_RECORD: &str = "0106f6fe67f713de65d8a28a48fc6bfc11cc8323d1946890edd0ddb7415ba0bda940232997e6aea883b6a71baa3c";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn unhex(text: &str) -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    }

    /// Names and records of the first release are found and opened by this one.
    #[test]
    fn bytes_are_golden() {
        let keys = Keys::derive(&STORE_KEY);
        let name = keys.name(Table::Message, b"chat", 258);
        assert_eq!(hex(&name), GOLDEN_NAME);
        assert_eq!(
            keys.open(&name, &unhex(GOLDEN_RECORD)),
            Ok(b"hello".to_vec())
        );
    }

    /// Sealing the same value twice gives two records, which both open: no nonce is used again.
    #[test]
    fn the_same_value_is_sealed_differently() {
        let keys = Keys::derive(&STORE_KEY);
        let name = keys.name(Table::Message, b"chat", 0);
        let sealed = [
            keys.seal(&name, b"x").unwrap(),
            keys.seal(&name, b"x").unwrap(),
        ];
        assert_ne!(sealed[0][1..=NONCE_BYTES], sealed[1][1..=NONCE_BYTES]);
        assert_eq!(keys.open(&name, &sealed[0]), keys.open(&name, &sealed[1]));
    }

    /// Numbers of one id follow each other in the order of their names.
    #[test]
    fn names_are_in_the_order_of_numbers() {
        let keys = Keys::derive(&STORE_KEY);
        let numbers = [0, 1, 255, 256, 65_536, u64::MAX];
        let names = numbers.map(|number| keys.name(Table::Message, b"chat", number));
        assert!(names.is_sorted());
    }
}
