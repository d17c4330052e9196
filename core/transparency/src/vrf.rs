//! ECVRF-EDWARDS25519-SHA512-TAI of RFC 9381, its output cut to 32 bytes as the cipher suites ask.
//!
//! The server evaluates the function over a label and a version; the output is where the version
//! lies in the prefix tree. Nobody else can tell from the tree which labels exist, and nobody, the
//! server included, can have two outputs for one input.
//!
//! Hash inputs, all SHA-512, `PK`, `H`, `Γ`, `U`, `V` being compressed points of 32 bytes:
//!
//! | what | input |
//! |---|---|
//! | secret scalar and nonce prefix | the 32-byte seed (RFC 8032) |
//! | attempt `n` at a curve point | `03 01 ‖ PK ‖ alpha ‖ n (1 byte) ‖ 00` |
//! | nonce | nonce prefix ‖ `H` |
//! | challenge, first 16 bytes | `03 02 ‖ PK ‖ H ‖ Γ ‖ U ‖ V ‖ 00` |
//! | output, first 32 bytes | `03 03 ‖ 8·Γ ‖ 00` |

use curve25519_dalek::constants::ED25519_BASEPOINT_TABLE;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest, Sha512};
use zeroize::Zeroize;

/// Bytes of a proof: `Γ ‖ c ‖ s`.
pub const PROOF_LEN: usize = 80;
/// Bytes of an output, after cutting.
pub const OUTPUT_LEN: usize = 32;

const SUITE: u8 = 0x03;
const ENCODE_TO_CURVE: u8 = 0x01;
const CHALLENGE: u8 = 0x02;
const PROOF_TO_HASH: u8 = 0x03;
const BACK: u8 = 0x00;
const CHALLENGE_LEN: usize = 16;

/// Where a label's version lies in the prefix tree.
pub type VrfOutput = [u8; OUTPUT_LEN];
/// `Γ ‖ c ‖ s`, 80 bytes.
pub type VrfProof = [u8; PROOF_LEN];

/// Why a proof or a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VrfError {
    /// The public key is no point, not in its one encoding, or of small order.
    #[error("not a usable VRF public key")]
    PublicKey,
    /// A part of the proof is no point or no scalar in its one encoding.
    #[error("not a VRF proof")]
    Malformed,
    /// The proof does not belong to this key and input.
    #[error("the VRF proof does not hold")]
    Wrong,
    /// No curve point in 256 attempts: not expected before the sun is cold.
    #[error("the input has no curve point")]
    NoPoint,
}

/// The server's secret key.
///
/// # Security
/// Whoever holds it can tell which labels are in the log. It cannot make the log lie.
#[derive(Clone)]
pub struct VrfSecretKey {
    scalar: Scalar,
    nonce_prefix: [u8; 32],
    public: VrfPublicKey,
}

impl std::fmt::Debug for VrfSecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VrfSecretKey(***)")
    }
}

impl Drop for VrfSecretKey {
    fn drop(&mut self) {
        self.scalar.zeroize();
        self.nonce_prefix.zeroize();
    }
}

impl VrfSecretKey {
    /// The key of a 32-byte seed, which must be random and secret.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let mut expanded: [u8; 64] = Sha512::digest(seed).into();
        let mut low = [0; 32];
        let mut nonce_prefix = [0; 32];
        low.copy_from_slice(&expanded[..32]);
        nonce_prefix.copy_from_slice(&expanded[32..]);
        let scalar = Scalar::from_bytes_mod_order(clamp_integer(low));
        let point = &scalar * ED25519_BASEPOINT_TABLE;
        expanded.zeroize();
        low.zeroize();
        let public = VrfPublicKey {
            point,
            bytes: point.compress().to_bytes(),
        };
        Self {
            scalar,
            nonce_prefix,
            public,
        }
    }

    /// The key that verifies proofs of this one.
    #[must_use]
    pub const fn public_key(&self) -> &VrfPublicKey {
        &self.public
    }

    /// The output alone, at less than half the price of a proof.
    ///
    /// # Errors
    /// [`VrfError::NoPoint`].
    pub fn evaluate(&self, alpha: &[u8]) -> Result<VrfOutput, VrfError> {
        Ok(output(&(self.public.encode_to_curve(alpha)? * self.scalar)))
    }

    /// Output and proof.
    ///
    /// # Errors
    /// [`VrfError::NoPoint`].
    pub fn prove(&self, alpha: &[u8]) -> Result<(VrfOutput, VrfProof), VrfError> {
        let h = self.public.encode_to_curve(alpha)?;
        let h_bytes = h.compress().to_bytes();
        let gamma = h * self.scalar;
        let nonce_hash = Sha512::new()
            .chain_update(self.nonce_prefix)
            .chain_update(h_bytes);
        let mut nonce = Scalar::from_bytes_mod_order_wide(&nonce_hash.finalize().into());
        let gamma_bytes = gamma.compress().to_bytes();
        let u = (&nonce * ED25519_BASEPOINT_TABLE).compress().to_bytes();
        let v = (h * nonce).compress().to_bytes();
        let c = challenge(&[&self.public.bytes, &h_bytes, &gamma_bytes, &u, &v]);
        let s = nonce + challenge_scalar(c) * self.scalar;
        nonce.zeroize();
        let mut proof = [0; PROOF_LEN];
        proof[..32].copy_from_slice(&gamma_bytes);
        proof[32..48].copy_from_slice(&c);
        proof[48..].copy_from_slice(s.as_bytes());
        Ok((output(&gamma), proof))
    }
}

/// The key that verifies, checked when made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrfPublicKey {
    point: EdwardsPoint,
    bytes: [u8; 32],
}

impl VrfPublicKey {
    /// Reads a key.
    ///
    /// # Errors
    /// [`VrfError::PublicKey`] if it is no point, spelled otherwise than RFC 8032 has it, or of
    /// small order (RFC 9381, §5.4.5).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VrfError> {
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| VrfError::PublicKey)?;
        let point = point(&bytes).ok_or(VrfError::PublicKey)?;
        if point.is_small_order() {
            return Err(VrfError::PublicKey);
        }
        Ok(Self { point, bytes })
    }

    /// The compressed point.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Checks a proof over an input and returns the output.
    ///
    /// # Errors
    /// [`VrfError::Malformed`], [`VrfError::Wrong`].
    pub fn verify(&self, alpha: &[u8], proof: &VrfProof) -> Result<VrfOutput, VrfError> {
        let parts = ProofParts::read(proof)?;
        let h = self.encode_to_curve(alpha)?;
        let minus_c = -challenge_scalar(parts.c);
        let u = EdwardsPoint::vartime_double_scalar_mul_basepoint(&minus_c, &self.point, &parts.s);
        let v = EdwardsPoint::vartime_multiscalar_mul([parts.s, minus_c], [h, parts.gamma]);
        let expected = challenge(&[
            &self.bytes,
            &h.compress().to_bytes(),
            &parts.gamma_bytes,
            &u.compress().to_bytes(),
            &v.compress().to_bytes(),
        ]);
        // Nothing here is secret, so the comparison need not hide where it fails.
        if expected == parts.c {
            Ok(output(&parts.gamma))
        } else {
            Err(VrfError::Wrong)
        }
    }

    /// RFC 9381, §5.4.1.1: tries one counter after the other.
    fn encode_to_curve(&self, alpha: &[u8]) -> Result<EdwardsPoint, VrfError> {
        for counter in 0..=u8::MAX {
            let hash = Sha512::new()
                .chain_update([SUITE, ENCODE_TO_CURVE])
                .chain_update(self.bytes)
                .chain_update(alpha)
                .chain_update([counter, BACK])
                .finalize();
            let mut candidate = [0; 32];
            candidate.copy_from_slice(&hash[..32]);
            if let Some(found) = point(&candidate) {
                let cleared = found.mul_by_cofactor();
                if !cleared.is_identity() {
                    return Ok(cleared);
                }
            }
        }
        Err(VrfError::NoPoint)
    }
}

struct ProofParts {
    gamma: EdwardsPoint,
    gamma_bytes: [u8; 32],
    c: [u8; CHALLENGE_LEN],
    s: Scalar,
}

impl ProofParts {
    fn read(proof: &VrfProof) -> Result<Self, VrfError> {
        let mut gamma_bytes = [0; 32];
        let mut c = [0; CHALLENGE_LEN];
        let mut s = [0; 32];
        gamma_bytes.copy_from_slice(&proof[..32]);
        c.copy_from_slice(&proof[32..48]);
        s.copy_from_slice(&proof[48..]);
        Ok(Self {
            gamma: point(&gamma_bytes).ok_or(VrfError::Malformed)?,
            gamma_bytes,
            c,
            s: Option::from(Scalar::from_canonical_bytes(s)).ok_or(VrfError::Malformed)?,
        })
    }
}

/// A point in the one encoding that RFC 8032 gives it.
fn point(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    let compressed = CompressedEdwardsY(*bytes);
    compressed
        .decompress()
        .filter(|point| point.compress() == compressed)
}

fn challenge(points: &[&[u8; 32]; 5]) -> [u8; CHALLENGE_LEN] {
    let mut hash = Sha512::new().chain_update([SUITE, CHALLENGE]);
    for point in points {
        hash.update(point);
    }
    let hash = hash.chain_update([BACK]).finalize();
    let mut c = [0; CHALLENGE_LEN];
    c.copy_from_slice(&hash[..CHALLENGE_LEN]);
    c
}

fn challenge_scalar(c: [u8; CHALLENGE_LEN]) -> Scalar {
    Scalar::from(u128::from_le_bytes(c))
}

fn output(gamma: &EdwardsPoint) -> VrfOutput {
    let full = full_output(gamma);
    let mut cut = [0; OUTPUT_LEN];
    cut.copy_from_slice(&full[..OUTPUT_LEN]);
    cut
}

fn full_output(gamma: &EdwardsPoint) -> [u8; 64] {
    Sha512::new()
        .chain_update([SUITE, PROOF_TO_HASH])
        .chain_update(gamma.mul_by_cofactor().compress().as_bytes())
        .chain_update([BACK])
        .finalize()
        .into()
}

#[cfg(test)]
#[path = "vrf_tests.rs"]
mod tests;
