//! Every SHA-256 and HMAC input of the log, byte by byte (draft, §11.6 to §11.9).
//!
//! | value | input |
//! |---|---|
//! | log leaf | timestamp (u64, milliseconds) ‖ prefix root (32) |
//! | log parent | tag ‖ left (32) ‖ tag ‖ right (32); tag `00` before a leaf, `01` before a parent |
//! | prefix leaf | `02` ‖ VRF output (32) ‖ commitment (32) |
//! | prefix parent | `03` ‖ left (32) ‖ right (32); 32 zeros for a child that is missing |
//! | commitment | HMAC under [`COMMITMENT_KEY`]: opening (16) ‖ label length (u8) ‖ label ‖ version (u32) ‖ value length (u32) ‖ value |
//! | VRF input | label length (u8) ‖ label ‖ version (u32) |

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// SHA-256.
pub type HashValue = [u8; 32];
/// What hides a value in its commitment until it is shown.
pub type Opening = [u8; OPENING_LEN];

/// `Nc` of the cipher suites.
pub const OPENING_LEN: usize = 16;
/// `Kc` of the cipher suites.
pub const COMMITMENT_KEY: [u8; 16] = [
    0xd8, 0x21, 0xf8, 0x79, 0x0d, 0x97, 0x70, 0x97, 0x96, 0xb4, 0xd7, 0x90, 0x33, 0x57, 0xc3, 0xf5,
];
/// Stands for a child of the prefix tree that does not exist.
pub const MISSING: HashValue = [0; 32];
/// The largest label: its length is one byte.
pub const MAX_LABEL_LEN: usize = 255;

/// Bytes that name what the log maps, at most [`MAX_LABEL_LEN`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Vec<u8>);

/// A label is longer than [`MAX_LABEL_LEN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a label has at most 255 bytes")]
pub struct LabelTooLong;

impl Label {
    /// Takes the bytes of a label.
    ///
    /// # Errors
    /// [`LabelTooLong`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, LabelTooLong> {
        let bytes = bytes.into();
        if bytes.len() > MAX_LABEL_LEN {
            return Err(LabelTooLong);
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn len_byte(&self) -> u8 {
        u8::try_from(self.0.len()).unwrap_or(u8::MAX)
    }

    /// The `VrfInput` of a version: label and version.
    #[must_use]
    pub fn vrf_input(&self, version: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.len() + 5);
        out.push(self.len_byte());
        out.extend_from_slice(&self.0);
        out.extend_from_slice(&version.to_be_bytes());
        out
    }
}

/// The commitment to a label's value at a version. `None` if the value is 4 GiB or longer, which
/// no structure can carry.
#[must_use]
pub fn commitment(
    opening: &Opening,
    label: &Label,
    version: u32,
    value: &[u8],
) -> Option<HashValue> {
    let value_len = u32::try_from(value.len()).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&COMMITMENT_KEY).ok()?;
    mac.update(opening);
    mac.update(&label.vrf_input(version));
    mac.update(&value_len.to_be_bytes());
    mac.update(value);
    Some(mac.finalize().into_bytes().into())
}

/// A leaf of the prefix tree.
#[must_use]
pub fn prefix_leaf(vrf_output: &HashValue, commitment: &HashValue) -> HashValue {
    Sha256::new()
        .chain_update([0x02])
        .chain_update(vrf_output)
        .chain_update(commitment)
        .finalize()
        .into()
}

/// A parent of the prefix tree.
#[must_use]
pub fn prefix_parent(left: &HashValue, right: &HashValue) -> HashValue {
    Sha256::new()
        .chain_update([0x03])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// A leaf of the log tree.
#[must_use]
pub fn log_leaf(timestamp: u64, prefix_root: &HashValue) -> HashValue {
    Sha256::new()
        .chain_update(timestamp.to_be_bytes())
        .chain_update(prefix_root)
        .finalize()
        .into()
}

/// A node of the log tree: its value, and whether it is a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogNode {
    /// The hash.
    pub value: HashValue,
    /// One entry, rather than a parent of several.
    pub is_leaf: bool,
}

/// A parent of the log tree.
#[must_use]
pub fn log_parent(left: &LogNode, right: &LogNode) -> LogNode {
    let value = Sha256::new()
        .chain_update([u8::from(!left.is_leaf)])
        .chain_update(left.value)
        .chain_update([u8::from(!right.is_leaf)])
        .chain_update(right.value)
        .finalize()
        .into();
    LogNode {
        value,
        is_leaf: false,
    }
}
