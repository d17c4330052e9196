//! ECVRF-EDWARDS25519-SHA512-TAI beside `akd_core` 0.13, which has the same suite.

use akd_core::ecvrf::{Proof, VRFPrivateKey, VRFPublicKey};
use paigham_transparency::vrf::VrfSecretKey;

/// How many keys and inputs.
const INPUTS: u64 = 1000;

/// Bytes without a pattern from a counter: splitmix64.
struct Bytes(u64);

impl Bytes {
    fn next(&mut self) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) as u8
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next()).collect()
    }
}

/// For 1,000 keys and inputs of all lengths the proofs are the same bytes, and each side accepts
/// the other's.
#[test]
fn proofs_are_equal_on_a_thousand_inputs() {
    let mut bytes = Bytes(20_261_125);
    for round in 0..INPUTS {
        let seed: [u8; 32] = bytes.take(32).try_into().unwrap();
        let alpha = bytes.take((round % 300) as usize);
        let ours = VrfSecretKey::from_seed(&seed);
        let theirs = VRFPrivateKey::try_from(&seed[..]).unwrap();
        let (output, proof) = ours.prove(&alpha).unwrap();
        let their_proof = theirs.prove(&alpha);
        assert_eq!(their_proof.to_bytes(), proof);
        let their_key = VRFPublicKey::try_from(&ours.public_key().as_bytes()[..]).unwrap();
        let read = Proof::try_from(&proof[..]).unwrap();
        their_key.verify(&read, &alpha).unwrap();
        let accepted = ours.public_key().verify(&alpha, &their_proof.to_bytes());
        assert_eq!(accepted, Ok(output));
    }
}
