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
use tls_codec::Serialize;

use crate::pieces::Bytes;

const LONE_BLOB: &[u8] = b"DIDL\x01\x6d\x7b\x01\x00";
/// Groups of seven bits of a length: far more than a message has.
const LENGTH_MAX_BYTES: usize = 4;
/// Work that decoding another form may cause beside what fills the blob.
const SKIPPING_QUOTA: usize = 10_000;

/// The blob of an argument.
pub(crate) fn decode(argument: Vec<u8>) -> ByteBuf {
    match lone_blob(&argument, argument.len()) {
        Some(start) => {
            let mut bytes = argument;
            bytes.drain(..start);
            ByteBuf::from(bytes)
        }
        None => decode_any(&argument),
    }
}

/// A reply, as [`encode_result`](paigham_wire::codec::encode_result) has it, with what Candid puts
/// before it: written once, since a reply may have megabytes.
///
/// # Panics
/// Never: replies stay far below the lengths that have no encoding.
pub(crate) fn encode<T: Serialize, E: Serialize>(result: &Result<T, E>) -> ByteBuf {
    let body = match result {
        Ok(reply) => reply.tls_serialized_len(),
        Err(error) => error.tls_serialized_len(),
    };
    let length = 1 + body;
    let mut reply = Vec::with_capacity(LONE_BLOB.len() + LENGTH_MAX_BYTES + length);
    reply.extend_from_slice(LONE_BLOB);
    let mut rest = length;
    while rest >= 0x80 {
        reply.push(low_bits(rest) | 0x80);
        rest >>= 7;
    }
    reply.push(low_bits(rest));
    reply.push(u8::from(result.is_err()));
    match result {
        Ok(body) => body.tls_serialize(&mut reply),
        Err(error) => error.tls_serialize(&mut reply),
    }
    .expect("a reply has an encoding");
    ByteBuf::from(reply)
}

/// The blob of the argument of the running call, left where it is; `None` if the argument is no
/// lone blob.
pub(crate) fn argument() -> Option<Argument> {
    let length = ic0::msg_arg_data_size();
    let mut front = [0; LONE_BLOB.len() + LENGTH_MAX_BYTES];
    let front = &mut front[..length.min(LONE_BLOB.len() + LENGTH_MAX_BYTES)];
    ic0::msg_arg_data_copy(front, 0);
    let start = lone_blob(front, length)?;
    Some(Argument {
        start,
        length: length - start,
    })
}

/// A blob that lies outside of the heap.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Argument {
    start: usize,
    length: usize,
}

impl Bytes for Argument {
    fn count(&self) -> usize {
        self.length
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        ic0::msg_arg_data_copy(into, self.start + offset);
    }
}

/// Where the bytes of a lone blob start, if an argument that has so many bytes and begins with these
/// is one and nothing else.
fn lone_blob(front: &[u8], bytes: usize) -> Option<usize> {
    let rest = front.strip_prefix(LONE_BLOB)?;
    let mut length = 0;
    for (at, byte) in rest.iter().take(LENGTH_MAX_BYTES).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let start = LONE_BLOB.len() + at + 1;
            return (bytes - start == length).then_some(start);
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
    use paigham_wire::codec::encode_result;
    use tls_codec::VLBytes;

    use super::*;

    /// Candid's own bytes, read and written without it, around every length of the length.
    #[test]
    fn a_lone_blob_is_as_candid_has_it() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
            let blob = ByteBuf::from(vec![7; length]);
            let candid = encode_one(&blob).unwrap();
            let start = Some(candid.len() - length);
            assert_eq!(lone_blob(&candid, candid.len()), start);
            // The first bytes are enough.
            let front = &candid[..candid.len().min(13)];
            assert_eq!(lone_blob(front, candid.len()), start);
            assert_eq!(decode(candid), blob);
        }
    }

    /// Replies and errors of any length are what Candid makes of their bytes.
    #[test]
    fn a_reply_is_as_candid_has_it() {
        for length in [0, 1, 62, 63, 64, 125, 126, 127, 128, 16_383, 2_097_152] {
            let body = VLBytes::new(vec![7; length]);
            for result in [Ok(body.clone()), Err(body)] {
                let candid = encode_one(ByteBuf::from(encode_result(&result))).unwrap();
                assert_eq!(encode(&result).into_vec(), candid);
            }
        }
    }

    /// A blob with more behind it is valid Candid as well, and read the same.
    #[test]
    fn other_forms_are_read_by_candid() {
        let blob = ByteBuf::from(vec![1, 2, 3]);
        let more = encode_args((&blob, 5_u8)).unwrap();
        assert_eq!(lone_blob(&more, more.len()), None);
        assert_eq!(decode(more), blob);
    }

    /// Announcing other lengths than there are bytes is no blob.
    #[test]
    fn wrong_lengths_are_refused() {
        let whole = encode_one(ByteBuf::from(vec![1, 2, 3])).unwrap();
        for bytes in [&whole[..whole.len() - 1], &[&whole[..], &[0]].concat()] {
            assert_eq!(lone_blob(bytes, bytes.len()), None);
            let bytes = bytes.to_vec();
            assert!(std::panic::catch_unwind(|| decode(bytes)).is_err());
        }
    }
}
