use proptest::prelude::*;

use super::*;

/// RFC 9381, appendix B.3, examples 16 to 18: seed, public key, alpha, proof, beta.
const RFC_9381: [[&str; 5]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "8657106690b5526245a92b003bb079ccd1a92130477671f6fc01ad16f26f723f26f8a57ccaed74ee1b190bed1f479d9727d2d0f9b005a6e456a35d4fb0daab1268a1b0db10836d9826a528ca76567805",
        "90cf1df3b703cce59e2a35b925d411164068269d7b2d29f3301c03dd757876ff66b71dda49d2de59d03450451af026798e8f81cd2e333de5cdf4f3e140fdd8ae",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "f3141cd382dc42909d19ec5110469e4feae18300e94f304590abdced48aed5933bf0864a62558b3ed7f2fea45c92a465301b3bbf5e3e54ddf2d935be3b67926da3ef39226bbc355bdc9850112c8f4b02",
        "eb4440665d3891d668e7e0fcaf587f1b4bd7fbfe99d0eb2211ccec90496310eb5e33821bc613efb94db5e5b54c70a848a0bef4553a41befc57663b56373a5031",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "9bc0f79119cc5604bf02d23b4caede71393cedfbb191434dd016d30177ccbf8096bb474e53895c362d8628ee9f9ea3c0e52c7a5c691b6c18c9979866568add7a2d41b00b05081ed0f58ee5e31b3a970e",
        "645427e5d00c62a23fb703732fa5d892940935942101e456ecca7bb217c61c452118fec1219202a0edcf038bb6373241578be7217ba85a2687f7a0310b2df19f",
    ],
];

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

/// The three examples of the RFC come out byte for byte, key, proof and the whole 64-byte output.
#[test]
fn the_examples_of_rfc_9381() {
    for [seed, public, alpha, proof, beta] in RFC_9381 {
        let key = VrfSecretKey::from_seed(&bytes(seed));
        let alpha = hex::decode(alpha).unwrap();
        let (output, made) = key.prove(&alpha).unwrap();
        assert_eq!(key.public_key().as_bytes(), &bytes::<32>(public));
        assert_eq!(hex::encode(made), proof);
        let parts = ProofParts::read(&made).unwrap();
        assert_eq!(hex::encode(full_output(&parts.gamma)), beta);
        assert_eq!(hex::encode(output), beta[..64]);
        assert_eq!(key.evaluate(&alpha), Ok(output));
        assert_eq!(key.public_key().verify(&alpha, &made), Ok(output));
    }
}

/// A key of small order would let its owner choose outputs: each of the eight points is refused,
/// also in the encodings that RFC 8032 does not allow.
#[test]
fn keys_of_small_order_are_refused() {
    for point in curve25519_dalek::constants::EIGHT_TORSION {
        let bytes = point.compress().to_bytes();
        assert_eq!(VrfPublicKey::from_bytes(&bytes), Err(VrfError::PublicKey));
    }
    let mut beyond_p = [0xff; 32];
    beyond_p[0] = 0xee;
    beyond_p[31] = 0x7f;
    assert_eq!(
        VrfPublicKey::from_bytes(&beyond_p),
        Err(VrfError::PublicKey)
    );
    assert_eq!(VrfPublicKey::from_bytes(&[1; 31]), Err(VrfError::PublicKey));
}

/// Adding the group order to `s` gives the same equation, and a second proof if it were accepted.
#[test]
fn a_proof_has_one_encoding() {
    let key = VrfSecretKey::from_seed(&[7; 32]);
    let (_, mut proof) = key.prove(b"alpha").unwrap();
    let order: [u8; 32] = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0;
    for (byte, add) in proof[48..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = (sum & 0xff) as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert_eq!(
        key.public_key().verify(b"alpha", &proof),
        Err(VrfError::Malformed)
    );
}

#[test]
fn a_secret_key_is_not_printed() {
    let key = VrfSecretKey::from_seed(&[7; 32]);
    assert_eq!(format!("{key:?}"), "VrfSecretKey(***)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever proves is believed; one changed bit anywhere, another input or another key is not.
    #[test]
    fn a_proof_holds_for_its_key_and_input_alone(
        seed: [u8; 32], other: [u8; 32], alpha: Vec<u8>, bit in 0..PROOF_LEN * 8,
    ) {
        prop_assume!(seed != other);
        let key = VrfSecretKey::from_seed(&seed);
        let (output, proof) = key.prove(&alpha).unwrap();
        prop_assert_eq!(key.public_key().verify(&alpha, &proof), Ok(output));
        let mut flipped = proof;
        flipped[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(key.public_key().verify(&alpha, &flipped).is_err());
        let mut longer = alpha.clone();
        longer.push(0);
        prop_assert_eq!(key.public_key().verify(&longer, &proof), Err(VrfError::Wrong));
        let stranger = VrfSecretKey::from_seed(&other);
        prop_assert!(stranger.public_key().verify(&alpha, &proof).is_err());
    }
}
