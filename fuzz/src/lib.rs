//! What every target asks of a decoder: it never panics, and what it accepts has one encoding.

use std::fmt::Debug;

use paigham_wire::codec::{decode, decode_result, encode, encode_result};
use tls_codec::{DeserializeBytes, Serialize};

/// Bytes are a structure in its one encoding, or nothing; tells which.
pub fn has_one_form<T: Serialize + DeserializeBytes + Debug>(bytes: &[u8]) -> Option<T> {
    let value = decode::<T>(bytes).ok()?;
    assert_eq!(encode(&value), bytes, "{value:?}");
    Some(value)
}

/// As [`has_one_form`], of what a canister method returns.
pub fn reply_has_one_form<T, E>(bytes: &[u8])
where
    T: Serialize + DeserializeBytes,
    E: Serialize + DeserializeBytes,
{
    if let Ok(result) = decode_result::<T, E>(bytes) {
        assert_eq!(encode_result(&result), bytes);
    }
}

/// Tries bytes as each of several structures, so that one input serves all of them.
#[macro_export]
macro_rules! have_one_form {
    ($bytes:expr => $($T:ty),* $(,)?) => {$(
        let _ = $crate::has_one_form::<$T>($bytes);
    )*};
}
