//! Encoding and decoding whole structures: TLS presentation language, nothing left over.

use tls_codec::{DeserializeBytes, Serialize};

/// Why bytes are not the structure they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Truncated, non-minimal, with unknown discriminants or with bytes left over.
    #[error("malformed bytes")]
    Malformed,
    /// More bytes than the structure may have.
    #[error("more than the allowed {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
}

/// Encodes a structure.
///
/// # Panics
/// Never for the structures of this crate: encoding fails only for vectors beyond 2^30 bytes,
/// which are bounded long before.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    value
        .tls_serialize_detached()
        .expect("structures of this crate stay far below 2^30 bytes")
}

/// Decodes a structure that fills `bytes` exactly.
///
/// # Errors
/// [`CodecError::Malformed`] for anything that is not exactly one canonical encoding.
pub fn decode<T: DeserializeBytes>(bytes: &[u8]) -> Result<T, CodecError> {
    T::tls_deserialize_exact_bytes(bytes).map_err(|_| CodecError::Malformed)
}

/// As [`decode`], refusing longer input before looking at it.
///
/// # Errors
/// [`CodecError::TooLong`], or as [`decode`].
pub fn decode_bounded<T: DeserializeBytes>(bytes: &[u8], limit: usize) -> Result<T, CodecError> {
    if bytes.len() > limit {
        return Err(CodecError::TooLong { limit });
    }
    decode(bytes)
}

/// What a canister method returns: 0 ‖ reply, or 1 ‖ error.
#[must_use]
pub fn encode_result<T: Serialize, E: Serialize>(result: &Result<T, E>) -> Vec<u8> {
    let (tag, body) = match result {
        Ok(reply) => (0, encode(reply)),
        Err(error) => (1, encode(error)),
    };
    let mut out = Vec::with_capacity(1 + body.len());
    out.push(tag);
    out.extend_from_slice(&body);
    out
}

/// Decodes what [`encode_result`] made.
///
/// # Errors
/// [`CodecError::Malformed`] for anything else.
pub fn decode_result<T: DeserializeBytes, E: DeserializeBytes>(
    bytes: &[u8],
) -> Result<Result<T, E>, CodecError> {
    match bytes.split_first() {
        Some((0, reply)) => decode(reply).map(Ok),
        Some((1, error)) => decode(error).map(Err),
        _ => Err(CodecError::Malformed),
    }
}
