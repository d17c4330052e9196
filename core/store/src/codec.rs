//! How a value becomes bytes: a version and named MessagePack.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;

/// Version of the encoding.
const VERSION: u8 = 1;

pub(crate) fn encode(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![VERSION];
    let mut serializer = rmp_serde::Serializer::new(&mut bytes)
        .with_struct_map()
        .with_bytes(rmp_serde::config::BytesMode::ForceIterables);
    value
        .serialize(&mut serializer)
        .map_err(|_| StoreError::Format)?;
    Ok(bytes)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&VERSION, body)) => rmp_serde::from_slice(body).map_err(|_| StoreError::Format),
        _ => Err(StoreError::Format),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        number: u64,
        bytes: Vec<u8>,
        name: Option<String>,
        kind: Kind,
        map: BTreeMap<u8, (bool, i8)>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Plain,
        Pair(u8, u8),
        Named { x: u16 },
    }

    fn samples() -> [(Sample, &'static str); 2] {
        let full = Sample {
            number: 1 << 40,
            bytes: vec![0, 127, 255],
            name: Some("آمنہ".into()),
            kind: Kind::Named { x: 300 },
            map: BTreeMap::from([(1, (true, -1))]),
        };
        let empty = Sample {
            number: 0,
            bytes: vec![],
            name: None,
            kind: Kind::Pair(1, 2),
            map: BTreeMap::new(),
        };
        [(full, GOLDEN_FULL), (empty, GOLDEN_EMPTY)]
    }

    const GOLDEN_FULL: &str = "0185a66e756d626572cf0000010000000000a56279746573c403007fffa46e616d65a8d8a2d985d986db81a46b696e6481a54e616d656481a178cd012ca36d6170810192c3ff";
    const GOLDEN_EMPTY: &str =
        "0185a66e756d62657200a5627974657390a46e616d65c0a46b696e6481a450616972920102a36d617080";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The bytes of two samples are those of the first release: a home written by it opens.
    #[test]
    fn bytes_are_golden() {
        for (sample, golden) in samples() {
            let bytes = encode(&sample).unwrap();
            assert_eq!(hex(&bytes), golden);
            assert_eq!(decode::<Sample>(&bytes), Ok(sample));
        }
        assert_eq!(hex(&encode(&Kind::Plain).unwrap()), "01a5506c61696e");
    }

    /// Another version, nothing at all, a cut value and another type are refused.
    #[test]
    fn what_is_not_ours_is_refused() {
        let bytes = encode(&samples()[0].0).unwrap();
        let mut newer = bytes.clone();
        newer[0] = 2;
        assert_eq!(decode::<Sample>(&newer), Err(StoreError::Format));
        for cut in 0..bytes.len() {
            assert_eq!(
                decode::<Sample>(&bytes[..cut]),
                Err(StoreError::Format),
                "cut at {cut}"
            );
        }
        assert_eq!(decode::<u8>(&bytes), Err(StoreError::Format));
    }

    proptest! {
        /// Any bytes decode to a value or to an error.
        #[test]
        fn decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let versioned = [&[VERSION], bytes.as_slice()].concat();
            for bytes in [bytes, versioned] {
                prop_assert!(matches!(decode::<Sample>(&bytes), Ok(_) | Err(StoreError::Format)));
                let listed = decode::<Vec<Vec<u8>>>(&bytes);
                prop_assert!(matches!(listed, Ok(_) | Err(StoreError::Format)));
            }
        }
    }
}
