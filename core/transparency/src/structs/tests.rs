use proptest::prelude::*;

use super::*;
use crate::codec::Codec;

/// Whatever decodes has exactly these bytes as its encoding, and one more byte is refused.
fn one_encoding<T: Codec + std::fmt::Debug>(bytes: &[u8]) {
    let mut input = crate::codec::Reader::new(bytes);
    if let Ok(value) = T::read(&mut input) {
        let used = bytes.len() - input.0.len();
        assert_eq!(value.encode().unwrap(), bytes[..used]);
        let mut longer = bytes[..used].to_vec();
        longer.push(0);
        assert_eq!(
            T::decode(&longer).unwrap_err(),
            crate::codec::DecodeError::TrailingBytes
        );
        for cut in 0..used {
            assert!(T::decode(&bytes[..cut]).is_err());
        }
    }
}

fn all(bytes: &[u8]) {
    one_encoding::<Configuration>(bytes);
    one_encoding::<TreeHeadTbs>(bytes);
    one_encoding::<FullTreeHead>(bytes);
    one_encoding::<CombinedTreeProof>(bytes);
    one_encoding::<AuditorUpdate>(bytes);
    one_encoding::<AuditorTreeHead>(bytes);
    one_encoding::<AuditorTreeHeadTbs>(bytes);
    one_encoding::<SearchRequest>(bytes);
    one_encoding::<ContactMonitorRequest>(bytes);
    one_encoding::<ContactMonitorResponse>(bytes);
    one_encoding::<OwnerInitRequest>(bytes);
    one_encoding::<OwnerInitResponse>(bytes);
    one_encoding::<OwnerMonitorRequest>(bytes);
    one_encoding::<OwnerMonitorResponse>(bytes);
    one_encoding::<UpdateRequest>(bytes);
    one_encoding::<UpdateResponse>(bytes);
    one_encoding::<DistinguishedRequest>(bytes);
    one_encoding::<DistinguishedResponse>(bytes);
    one_encoding::<DistinguishedHead>(bytes);
    one_encoding::<AbsentResponse>(bytes);
    one_encoding::<PlaceResponse>(bytes);
    for version in [None, Some(3)] {
        let label = crate::hash::Label::new(*b"l").unwrap();
        let request = SearchRequest {
            last: None,
            label,
            version,
        };
        if let Ok(response) = SearchResponse::decode_for(&request, bytes) {
            assert_eq!(response.encode().unwrap(), bytes);
        }
    }
}

/// Bytes that are often small numbers, so that lengths and tags are often right.
fn likely_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => 0u8..4, 1 => any::<u8>()];
    proptest::collection::vec(byte, 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// No bytes make a decoder panic, and no structure has two encodings.
    #[test]
    fn every_structure_has_one_encoding(bytes in likely_bytes(), noise: Vec<u8>) {
        all(&bytes);
        all(&noise);
    }
}

/// A count promises elements that are not there: refused, and nothing is reserved for them.
#[test]
fn a_count_without_elements_is_truncated() {
    let error = crate::codec::DecodeError::Truncated;
    assert_eq!(InclusionProof::decode(&[0xff, 0xff]), Err(error));
    assert_eq!(PrefixProof::decode(&[0xff]), Err(error));
}

/// A batch above the draft's vector of search results cannot be written.
#[test]
fn more_than_255_results_are_refused() {
    let proof = PrefixProof {
        results: vec![PrefixSearchResult::Inclusion { depth: 1 }; 256],
        elements: Vec::new(),
    };
    assert_eq!(proof.encode(), Err(crate::codec::TooLong("search results")));
}

/// A canister's signature has a domain of its own in front, the plain suite has none.
#[test]
fn the_canister_suite_signs_under_its_domain() {
    let config = Configuration {
        ciphersuite: CipherSuite::Canister,
        mode: DeploymentMode::ContactMonitoring,
        signature_public_key: vec![1],
        vrf_public_key: vec![2],
        max_ahead: 3,
        max_behind: 4,
        reasonable_monitoring_window: 5,
        maximum_lifetime: None,
    };
    let mut tbs = TreeHeadTbs {
        config,
        tree_size: 6,
        root: [7; 32],
    };
    let message = tbs.signed_message().unwrap();
    assert_eq!(&message[..9], b"\x08kt1-head");
    assert_eq!(&message[9..11], [0xf0, 0x01]);
    tbs.config.ciphersuite = CipherSuite::Ed25519;
    assert_eq!(tbs.signed_message().unwrap()[..2], [0x00, 0x02]);
}
