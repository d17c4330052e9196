//! What people say: MIMI content documents (draft-ietf-mimi-content, CBOR), padded.
//!
//! This version writes plain text and reads whatever is there: a document that it does not know is
//! shown as such, never dropped.

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use paigham_wire::codec;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use crate::crypto::Crypto;
use crate::error::GroupError;
use crate::seal::random;

/// Smallest padded length in bytes.
const PADDING_FLOOR: usize = 256;
/// Longest text in bytes.
pub const TEXT_MAX_BYTES: usize = 1_000_000;
const TEXT_TYPE: &str = "text/plain;charset=utf-8";
/// Disposition "render" and cardinality "single" of the draft.
const DISPOSITION_RENDER: u8 = 1;
const CARDINALITY_SINGLE: u8 = 1;

/// A content document, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A text.
    Text(String),
    /// Something that this version does not know; the whole document.
    Unsupported(Vec<u8>),
}

#[derive(TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct Padded {
    content: VLBytes,
}

/// A text as a padded document.
///
/// # Errors
/// [`GroupError::Mls`] if it is longer than [`TEXT_MAX_BYTES`] or there is no randomness.
pub fn text(crypto: &Crypto, text: &str) -> Result<Vec<u8>, GroupError> {
    if text.len() > TEXT_MAX_BYTES {
        return Err(GroupError::Mls("writing a text", "it is too long".into()));
    }
    let salt: [u8; 16] = random(crypto)?;
    let mut bytes = Vec::new();
    let written: Result<(), minicbor::encode::Error<std::convert::Infallible>> = (|| {
        let mut e = Encoder::new(&mut bytes);
        // salt, replaces, topicId, expires, inReplyTo, extensions, nestedPart
        e.array(7)?
            .bytes(&salt)?
            .null()?
            .bytes(&[])?
            .null()?
            .null()?
            .map(0)?;
        e.array(5)?
            .u8(DISPOSITION_RENDER)?
            .str("")?
            .u8(CARDINALITY_SINGLE)?;
        e.str(TEXT_TYPE)?.bytes(text.as_bytes())?;
        Ok(())
    })();
    written.map_err(|error| GroupError::Mls("writing a text", error.to_string()))?;
    Ok(pad(bytes))
}

/// Reads a padded document; `None` if the padding is not as it must be.
#[must_use]
pub fn read(padded: &[u8]) -> Option<Content> {
    let (document, zeros) = split(padded)?;
    if zeros.iter().any(|byte| *byte != 0) {
        return None;
    }
    Some(read_text(&document).map_or(Content::Unsupported(document), Content::Text))
}

fn read_text(document: &[u8]) -> Option<String> {
    let mut d = Decoder::new(document);
    if d.array().ok()?? != 7 {
        return None;
    }
    d.bytes().ok()?;
    // Edits, expiry and replies are not shown yet; a document with one is more than its text.
    if d.datatype().ok()? != Type::Null {
        return None;
    }
    for _ in 0..5 {
        d.skip().ok()?;
    }
    if d.array().ok()?? != 5 || d.u8().ok()? != DISPOSITION_RENDER {
        return None;
    }
    d.skip().ok()?;
    if d.u8().ok()? != CARDINALITY_SINGLE || d.str().ok()? != TEXT_TYPE {
        return None;
    }
    let text = std::str::from_utf8(d.bytes().ok()?).ok()?.to_owned();
    (d.position() == document.len()).then_some(text)
}

fn split(padded: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    use tls_codec::DeserializeBytes;
    let (inner, zeros) = Padded::tls_deserialize_bytes(padded).ok()?;
    Some((inner.content.into(), zeros))
}

fn pad(content: Vec<u8>) -> Vec<u8> {
    let mut padded = codec::encode(&Padded {
        content: content.into(),
    });
    padded.resize(bucket(padded.len()), 0);
    padded
}

/// The Padmé bucket of a length: at most 12 % more, telling O(log log n) bits of the length.
fn bucket(length: usize) -> usize {
    let length = length.max(PADDING_FLOOR);
    let exponent = length.ilog2();
    let significant = exponent.ilog2() + 1;
    let mask = (1 << (exponent - significant)) - 1;
    (length + mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Urdu arrives as it was written; lengths tell little.
    #[test]
    fn texts_round_trip_in_buckets() {
        let crypto = Crypto::new().unwrap();
        let short = text(&crypto, "ہاں").unwrap();
        let longer = text(&crypto, "السلام علیکم، آپ کیسی ہیں؟").unwrap();
        assert_eq!((short.len(), longer.len()), (256, 256));
        assert_eq!(
            read(&longer),
            Some(Content::Text("السلام علیکم، آپ کیسی ہیں؟".into()))
        );
        for length in [1, 255, 256, 257, 1_000, 100_000] {
            let padded = bucket(length);
            assert!(
                padded >= length && padded <= length.max(256) * 9 / 8,
                "{length} {padded}"
            );
        }
        assert!(text(&crypto, &"x".repeat(TEXT_MAX_BYTES + 1)).is_err());
    }

    /// What this version does not know is kept, and padding carries nothing.
    #[test]
    fn unknown_documents_are_kept() {
        let unknown = pad(vec![0x81, 0x01]);
        assert_eq!(read(&unknown), Some(Content::Unsupported(vec![0x81, 0x01])));
        let mut smuggled = pad(vec![0x80]);
        *smuggled.last_mut().unwrap() = 1;
        assert_eq!(read(&smuggled), None);
        assert_eq!(read(&[]), None);
    }
}
