//! The directory's own code with methods that run one part of its work each, to count what a part
//! takes. Built for wasm32 by the bench when it runs; never deployed.
//!
//! Arguments are chunks, each behind its length (u32, little endian).

#![deny(unsafe_code)]

#[cfg(target_arch = "wasm32")]
mod methods;

use paigham_transparency::hash::Label;
use paigham_wire::hash::blake3;

/// Labels of an entry.
pub const PER_ENTRY: u32 = 100;
/// Bytes of a record with two devices, about.
pub const VALUE_BYTES: usize = 450;
/// Between two entries, in milliseconds.
pub const MINUTE_MS: u64 = 60_000;
/// Timestamp of the first entry, in milliseconds since 1970.
pub const BEGUN_MS: u64 = 1_800_000_000_000;

/// The label of a number: that of an account.
///
/// # Panics
/// Never: the label has 18 bytes.
#[must_use]
pub fn label(number: u32) -> Label {
    let hash = blake3(&number.to_be_bytes());
    Label::new([b"a:", &hash[..16]].concat()).expect("18 bytes")
}

/// Chunks, as the methods take them.
#[must_use]
pub fn argument(chunks: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in chunks {
        let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        bytes.extend(length.to_le_bytes());
        bytes.extend_from_slice(chunk);
    }
    bytes
}
