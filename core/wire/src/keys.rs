//! The keys of an epoch, as the relay holds them (`spec/protocol.md` §3.3).

use std::fmt;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::hash::{Hash, blake3_labelled, label};

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Zeroize, ZeroizeOnDrop, TlsSize, TlsSerialize, TlsDeserializeBytes)]
        pub struct $name(Hash);

        impl $name {
            /// Wraps the bytes.
            #[must_use]
            pub const fn new(bytes: Hash) -> Self {
                Self(bytes)
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &Hash {
                &self.0
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                subtle::ConstantTimeEq::ct_eq(&self.0[..], &other.0[..]).into()
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(***)"))
            }
        }
    };
}

secret!(
    /// Authenticates posts of an epoch; members and the relay know it.
    ///
    /// # Security
    /// Whoever reads the relay's state can post junk with it, never content and never a commit.
    MacKey
);
secret!(
    /// Reads the entries of a queue up to the end of its generation; the relay knows its hash.
    ReadToken
);
secret!(
    /// Opens the sealed Welcome wrapper and tree of one commit; members and joiners know it.
    WrapperKey
);

impl ReadToken {
    /// What the relay keeps of it.
    #[must_use]
    pub fn hash(&self) -> Hash {
        blake3_labelled(label::READ_TOKEN, &[&self.0])
    }
}

/// What a commit registers for the epoch that it starts.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct EpochKeys {
    /// Ed25519 key that the next commit is signed by.
    pub control_key: Hash,
    /// MAC key of the epoch's posts.
    pub mac_key: MacKey,
    /// Hash of the read token of `generation`.
    pub read_token_hash: Hash,
    /// Generation that the epoch belongs to.
    pub generation: u32,
}

/// H(keys) of epoch 0, in which nothing but the first commit is accepted.
pub const EPOCH_ZERO_KEYS_HASH: Hash = [0; 32];

impl EpochKeys {
    /// H(keys).
    #[must_use]
    pub fn hash(&self) -> Hash {
        blake3_labelled(
            label::EPOCH_KEYS,
            &[
                &self.control_key,
                self.mac_key.as_bytes(),
                &self.read_token_hash,
                &self.generation.to_be_bytes(),
            ],
        )
    }
}
