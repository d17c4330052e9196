//! Ids as newtypes, and how they are derived (`spec/protocol.md` §2).

use std::fmt;

use tls_codec::{DeserializeBytes, TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use crate::hash::{Hash, blake3_labelled, label, sha256_labelled};
use crate::log::ACCOUNT_PREFIX;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize, TlsDeserializeBytes)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// The raw bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }

            /// Reads the id from lower- or upper-case hexadecimal.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                let text = text.as_bytes();
                if text.len() != 2 * $length {
                    return None;
                }
                let mut bytes = [0; $length];
                for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
                    *byte = 16 * hex_digit(pair[0])? + hex_digit(pair[1])?;
                }
                Some(Self(bytes))
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl From<[u8; $length]> for $name {
            fn from(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = std::array::TryFromSliceError;

            fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
                bytes.try_into().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

    };
}

macro_rules! debug_shows_the_id {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    )*};
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

id!(
    /// An account: fixed by its first identity key, its recovery-key hash and a nonce.
    AccountId, 16
);
id!(
    /// A device of an account; random.
    DeviceId, 16
);
id!(
    /// A queue of the relay, and the MLS group that lives in it.
    QueueId, 32
);
id!(
    /// The inbox and the key-package pool of a device.
    InboxId, 32
);
id!(
    /// What a joiner reads its Welcome with.
    ///
    /// # Security
    /// A capability: whoever knows it may read and acknowledge the Welcome.
    WelcomeId, 32
);
id!(
    /// Where the relay keeps a Welcome; tells nothing of the [`WelcomeId`].
    WelcomeLocator, 32
);
id!(
    /// A blob: the hash of its manifest ([`crate::blob`]).
    ///
    /// # Security
    /// A capability: whoever knows it may read the blob, which is ciphertext.
    BlobId, 32
);

debug_shows_the_id!(AccountId, DeviceId, QueueId, InboxId, WelcomeLocator);

impl fmt::Debug for WelcomeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WelcomeId(***)")
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobId(***)")
    }
}

/// A principal has at most 29 bytes.
pub const CANISTER_ID_MAX_BYTES: usize = 29;

macro_rules! principal {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize)]
        pub struct $name(Vec<u8>);

        impl $name {
            /// From the bytes of a principal; `None` if there are more than 29.
            #[must_use]
            pub fn new(principal: &[u8]) -> Option<Self> {
                (principal.len() <= CANISTER_ID_MAX_BYTES).then(|| Self(principal.to_vec()))
            }

            /// The principal's bytes.
            #[must_use]
            pub fn as_slice(&self) -> &[u8] {
                &self.0
            }
        }

        impl DeserializeBytes for $name {
            fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(Self, &[u8]), tls_codec::Error> {
                let (principal, rest) = VLBytes::tls_deserialize_bytes(bytes)?;
                let id = Self::new(principal.as_slice()).ok_or_else(|| {
                    tls_codec::Error::DecodingError("longer than a principal".into())
                })?;
                Ok((id, rest))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "("))?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str(")")
            }
        }
    };
}

principal!(
    /// The id of a canister: the bytes of its principal, at most 29.
    CanisterId
);
principal!(
    /// Who calls a canister, or a subnet: the bytes of a principal that is no canister of ours.
    PrincipalId
);

impl CanisterId {
    /// u8 length ‖ bytes, as a part of a hash or signature input.
    #[must_use]
    pub fn hash_part(&self) -> Vec<u8> {
        // At most 29 bytes: `new` and decoding let nothing longer in.
        let mut part = vec![u8::try_from(self.0.len()).unwrap_or(u8::MAX)];
        part.extend_from_slice(&self.0);
        part
    }
}

impl PrincipalId {
    /// Whether anybody can call under it.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.0 == [4]
    }
}

impl AccountId {
    /// Derives the id of an account from what its creation fixes for good.
    #[must_use]
    pub fn derive(first_identity_key: &Hash, recovery_key_hash: &Hash, nonce: &Hash) -> Self {
        let hash = sha256_labelled(
            label::ACCOUNT_ID,
            &[first_identity_key, recovery_key_hash, nonce],
        );
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        Self(id)
    }

    /// The label of the account in the directory: `a:` ‖ id.
    #[must_use]
    pub fn directory_label(&self) -> [u8; 18] {
        let mut label = [0; 18];
        label[..2].copy_from_slice(ACCOUNT_PREFIX);
        label[2..].copy_from_slice(&self.0);
        label
    }
}

impl QueueId {
    /// Derives the id of a queue from its canister, its first control key and a nonce.
    #[must_use]
    pub fn derive(canister: &CanisterId, first_control_key: &Hash, nonce: &Hash) -> Self {
        Self(blake3_labelled(
            label::QUEUE_ID,
            &[&canister.hash_part(), first_control_key, nonce],
        ))
    }
}

impl InboxId {
    /// Derives the id of an inbox from its inbox key.
    #[must_use]
    pub fn derive(inbox_key: &Hash) -> Self {
        Self(blake3_labelled(label::INBOX_ID, &[inbox_key]))
    }
}

impl WelcomeId {
    /// Where the relay keeps the Welcome of this id.
    #[must_use]
    pub fn locator(&self) -> WelcomeLocator {
        WelcomeLocator(blake3_labelled(label::WELCOME_LOCATOR, &[&self.0]))
    }
}

impl WelcomeLocator {
    /// Key of its leaf in the certified map.
    ///
    /// # Security
    /// Committers choose locators as they like. Their hash is what lies in the map, so that they
    /// can neither crowd into one place of it nor take the id of a queue or an inbox.
    #[must_use]
    pub fn map_key(&self) -> Hash {
        blake3_labelled(label::WELCOME_KEY, &[&self.0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids may be logged; a welcome id opens a Welcome and is not shown.
    #[test]
    fn a_capability_is_not_shown() {
        assert_eq!(
            format!("{:?}", DeviceId([0xab; 16])),
            format!("DeviceId({})", "ab".repeat(16))
        );
        assert_eq!(format!("{:?}", WelcomeId([0xab; 32])), "WelcomeId(***)");
    }

    /// What a user pastes is an id of the right length in hexadecimal, or nothing.
    #[test]
    fn ids_are_read_from_hexadecimal() {
        let id = AccountId([0x5f; 16]);
        assert_eq!(AccountId::from_hex(&id.to_string()), Some(id));
        assert_eq!(
            AccountId::from_hex(&id.to_string().to_uppercase()),
            Some(id)
        );
        for wrong in [
            "",
            "5f",
            &"5f".repeat(17),
            &"5g".repeat(16),
            &"é".repeat(16),
        ] {
            assert_eq!(AccountId::from_hex(wrong), None, "{wrong}");
        }
    }
}
