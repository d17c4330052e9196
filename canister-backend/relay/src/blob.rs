//! Arguments and replies in Candid: one blob each.
//!
//! The general decoder costs as much as the rest of a small update. Every encoder writes a lone
//! blob in the same way, which is read and written here directly; other valid forms go to the
//! general decoder.
//!
//! ```text
//! "DIDL"  01       6d 7b            01       00        length      bytes
//!         1 type   0: vec nat8      1 value  of type 0 LEB128
//! ```

use candid::DecoderConfig;
use candid::utils::decode_one_with_config;
use serde_bytes::ByteBuf;

const LONE_BLOB: &[u8] = b"DIDL\x01\x6d\x7b\x01\x00";
/// Work that decoding another form may cause beside what fills the blob.
const SKIPPING_QUOTA: usize = 10_000;

/// The blob of an argument.
pub(crate) fn decode(argument: Vec<u8>) -> ByteBuf {
    match lone_blob(&argument) {
        Some(start) => {
            let mut bytes = argument;
            bytes.drain(..start);
            ByteBuf::from(bytes)
        }
        None => decode_any(&argument),
    }
}

/// A reply.
pub(crate) fn encode(blob: ByteBuf) -> Vec<u8> {
    let mut reply = Vec::with_capacity(LONE_BLOB.len() + 5 + blob.len());
    reply.extend_from_slice(LONE_BLOB);
    let mut rest = blob.len();
    while rest >= 0x80 {
        reply.push(low_bits(rest) | 0x80);
        rest >>= 7;
    }
    reply.push(low_bits(rest));
    reply.extend_from_slice(&blob);
    reply
}

/// Where the bytes of a lone blob start, if it is one and fills the argument.
fn lone_blob(argument: &[u8]) -> Option<usize> {
    let rest = argument.strip_prefix(LONE_BLOB)?;
    let mut length = 0;
    // Four groups of seven bits: far more than a message has.
    for (at, byte) in rest.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let start = LONE_BLOB.len() + at + 1;
            return (argument.len() - start == length).then_some(start);
        }
    }
    None
}

/// The lowest seven bits.
#[expect(clippy::cast_possible_truncation, reason = "seven bits fit")]
const fn low_bits(number: usize) -> u8 {
    (number & 0x7f) as u8
}

/// # Panics
/// On what is no blob: the call is undone, as with any Candid method.
fn decode_any(argument: &[u8]) -> ByteBuf {
    let mut config = DecoderConfig::new();
    config.set_skipping_quota(SKIPPING_QUOTA);
    decode_one_with_config(argument, &config).expect("the argument is no blob")
}

#[cfg(test)]
mod tests {
    use candid::{encode_args, encode_one};

    use super::*;

    /// Candid's own bytes, read and written without it, around every length of the length.
    #[test]
    fn a_lone_blob_is_as_candid_has_it() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
            let blob = ByteBuf::from(vec![7; length]);
            let candid = encode_one(&blob).unwrap();
            assert_eq!(lone_blob(&candid), Some(candid.len() - length));
            assert_eq!(decode(candid.clone()), blob);
            assert_eq!(encode(blob), candid);
        }
    }

    /// A blob with more behind it is valid Candid as well, and read the same.
    #[test]
    fn other_forms_are_read_by_candid() {
        let blob = ByteBuf::from(vec![1, 2, 3]);
        let more = encode_args((&blob, 5_u8)).unwrap();
        assert_eq!(lone_blob(&more), None);
        assert_eq!(decode(more), blob);
    }

    /// Announcing other lengths than there are bytes is no blob.
    #[test]
    fn wrong_lengths_are_refused() {
        let whole = encode_one(ByteBuf::from(vec![1, 2, 3])).unwrap();
        for bytes in [&whole[..whole.len() - 1], &[&whole[..], &[0]].concat()] {
            assert_eq!(lone_blob(bytes), None);
            let bytes = bytes.to_vec();
            assert!(std::panic::catch_unwind(|| decode(bytes)).is_err());
        }
    }
}
