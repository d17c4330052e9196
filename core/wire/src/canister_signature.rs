//! Signatures of canisters (IC interface specification, "Canister signatures"): over the heads of
//! the transparency log (`spec/transparency.md` §2).
//!
//! A canister signs by certifying a tree that holds `sig` / SHA-256(seed) / SHA-256(message). Who
//! verifies needs the subnet's key and the canister's id, no key of the canister's own.

use crate::ids::CanisterId;

/// Seed of the key that signs the log's heads.
pub const HEAD_SEED: &[u8; 3] = b"kt1";

/// `SEQUENCE { OID 1.3.6.1.4.1.56387.1.2 }`: the algorithm of a canister signature.
const ALGORITHM: [u8; 14] = [
    0x30, 0x0c, 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xb8, 0x43, 0x01, 0x02,
];

/// The public key of a log's heads, DER: `SEQUENCE { algorithm, BIT STRING { u8 length of the
/// canister id ‖ canister id ‖ seed } }`.
#[must_use]
pub fn head_key(directory: &CanisterId) -> Vec<u8> {
    let id = directory.as_slice();
    let raw = [&[0, length(id)], id, HEAD_SEED].concat();
    let body = [&ALGORITHM[..], &[0x03, length(&raw)], &raw].concat();
    [&[0x30, length(&body)], &body[..]].concat()
}

/// A canister id has at most 29 bytes, so all lengths here are below 128: one byte in DER.
fn length(bytes: &[u8]) -> u8 {
    u8::try_from(bytes.len()).unwrap_or(u8::MAX)
}

#[cfg(feature = "client")]
pub use verified::{CanisterSignature, SIGNATURE_MAX_BYTES, SignatureError};

#[cfg(feature = "client")]
mod verified {
    use ic_certification::{HashTree, LookupResult};

    use crate::certificate::{CertificateError, CertifiedTree, VerifiedCertificate};
    use crate::hash::sha256;
    use crate::ids::CanisterId;

    /// Largest signature in bytes: what a tree head can carry.
    pub const SIGNATURE_MAX_BYTES: usize = u16::MAX as usize;

    /// Why bytes are no signature of the canister.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
    pub enum SignatureError {
        /// No signature, or one beyond [`SIGNATURE_MAX_BYTES`].
        #[error("malformed canister signature")]
        Malformed,
        /// Its canonical encoding differs from the bytes received.
        #[error("the canister signature is not in its canonical encoding")]
        NotCanonical,
        /// The certificate in it does not hold.
        #[error(transparent)]
        Certificate(#[from] CertificateError),
        /// The tree in it is not the one that the canister has certified.
        #[error("the tree of the canister signature is not the certified one")]
        Tree,
    }

    /// A canister signature whose certificate holds and covers its tree. Which messages it signs,
    /// the tree says.
    #[derive(Debug, Clone)]
    pub struct CanisterSignature {
        tree: HashTree,
        time_ns: u64,
    }

    impl CanisterSignature {
        /// Checks encoding, certificate, canister and tree.
        ///
        /// # Errors
        /// [`SignatureError`].
        ///
        /// # Security
        /// How old it may be is the caller's to judge by [`CanisterSignature::time_ns`].
        pub fn verify(
            bytes: &[u8],
            root_key: &[u8],
            canister: &CanisterId,
        ) -> Result<Self, SignatureError> {
            let CertifiedTree { certificate, tree } = decode(bytes)?;
            let certificate = VerifiedCertificate::verify_plain(&certificate, root_key, canister)?;
            if certificate.certified_data(canister)? != tree.digest() {
                return Err(SignatureError::Tree);
            }
            Ok(Self {
                tree,
                time_ns: certificate.time_ns(),
            })
        }

        /// Certified time in nanoseconds since 1970.
        #[must_use]
        pub const fn time_ns(&self) -> u64 {
            self.time_ns
        }

        /// Whether it signs a message with the key of a seed.
        #[must_use]
        pub fn signs(&self, seed: &[u8], message: &[u8]) -> bool {
            let path: [&[u8]; 3] = [b"sig", &sha256(seed), &sha256(message)];
            matches!(self.tree.lookup_path(path), LookupResult::Found(b""))
        }
    }

    fn decode(bytes: &[u8]) -> Result<CertifiedTree, SignatureError> {
        if bytes.len() > SIGNATURE_MAX_BYTES {
            return Err(SignatureError::Malformed);
        }
        CertifiedTree::decode(bytes).map_err(|error| match error {
            CertificateError::NotCanonical => SignatureError::NotCanonical,
            _ => SignatureError::Malformed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the specification's form, byte by byte.
    #[test]
    fn the_head_key_is_the_canisters_own() {
        let canister = CanisterId::new(&[0, 0, 0, 0, 0, 0, 0, 7, 1, 1]).unwrap();
        let expected = "301f300c060a2b0601040183b84301020\
                        30f000a000000000000000701016b7431";
        assert_eq!(hex::encode(head_key(&canister)), expected);
        let longest = CanisterId::new(&[9; 29]).unwrap();
        assert_eq!(
            usize::from(head_key(&longest)[1]) + 2,
            head_key(&longest).len()
        );
        assert_ne!(head_key(&canister), head_key(&longest));
    }
}
