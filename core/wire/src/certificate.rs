//! What a subnet signed: verification of certificates (IC interface specification,
//! "Certification").
//!
//! Pure: root key and canister are given, time is compared separately ([`check_fresh`]).

use ic_certification::{Certificate, Delegation, HashTree, LookupResult, SubtreeLookupResult};
use ic_verify_bls_signature::verify_bls_signature;

use crate::hash::Hash;
use crate::ids::CanisterId;

/// How old a certificate of a read may be.
pub const FRESH_NS: u64 = 5 * 60 * 1_000_000_000;
/// How far ahead of the client's time a certificate may lie.
pub const AHEAD_NS: u64 = 2 * 60 * 1_000_000_000;
/// How much older than the certificate its delegation may be.
pub const DELEGATION_MAX_AGE_NS: u64 = 30 * 24 * 3_600 * 1_000_000_000;
/// Largest certificate in bytes.
pub const CERTIFICATE_MAX_BYTES: usize = 64 * 1024;

/// DER prefix of a BLS12-381 public key.
const DER_PREFIX: [u8; 37] = [
    0x30, 0x81, 0x82, 0x30, 0x1d, 0x06, 0x0d, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xdc, 0x7c, 0x05,
    0x03, 0x01, 0x02, 0x01, 0x06, 0x0c, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xdc, 0x7c, 0x05, 0x03,
    0x02, 0x01, 0x03, 0x61, 0x00,
];
const STATE_ROOT: &[u8] = b"\x0Dic-state-root";

/// Why a certificate shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No certificate, or one beyond [`CERTIFICATE_MAX_BYTES`].
    #[error("malformed certificate")]
    Malformed,
    /// Its canonical encoding differs from the bytes received.
    #[error("the certificate is not in its canonical encoding")]
    NotCanonical,
    /// The pinned root key is not a BLS key.
    #[error("the root key is malformed")]
    RootKey,
    /// The subnet's signature does not hold.
    #[error("the subnet's signature does not hold")]
    Signature,
    /// The delegation is nested, too old, or not signed by the root.
    #[error("the subnet's delegation does not hold")]
    Delegation,
    /// The delegated subnet does not hold the canister.
    #[error("the subnet is not that of the canister")]
    OutOfRange,
    /// It certifies another canister, or nothing of this one.
    #[error("the certificate is that of another canister")]
    OtherCanister,
    /// It has no time.
    #[error("the certificate has no time")]
    NoTime,
    /// The tree beside it is not the one that it certifies, or has no map.
    #[error("the certificate is of another tree")]
    Tree,
}

/// A certificate with a tree below the canister's `certified_data`: what a canister signature is,
/// and what a canister sends in place of a certificate where it certifies other things beside its
/// map. One encoding only: self-described CBOR, a map of the two fields in this order.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifiedTree {
    /// The certificate's own bytes.
    #[serde(with = "serde_bytes")]
    pub certificate: Vec<u8>,
    /// Its root is the certified data.
    pub tree: HashTree,
}

impl CertifiedTree {
    /// Reads both.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`], [`CertificateError::NotCanonical`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CertificateError> {
        canonical(bytes)
    }
}

/// Where a [`CertifiedTree`] has the root of the canister's map.
pub const MAP_PATH: &[u8] = b"map";

/// A certificate whose signature holds.
#[derive(Debug, Clone)]
pub struct VerifiedCertificate {
    certificate: Certificate,
    tree: Option<HashTree>,
    time_ns: u64,
}

impl VerifiedCertificate {
    /// Checks encoding, signature and delegation of a certificate or a [`CertifiedTree`].
    ///
    /// # Errors
    /// [`CertificateError`] but for `OtherCanister`.
    ///
    /// # Security
    /// A certificate without delegation is the root subnet's own and speaks for every canister
    /// that it shows; the caller asks for its canister's paths.
    pub fn verify(
        bytes: &[u8],
        root_key: &[u8],
        canister: &CanisterId,
    ) -> Result<Self, CertificateError> {
        let (certificate, tree) = certificate_of(bytes)?;
        Self::check(certificate, tree, root_key, canister)
    }

    /// As [`VerifiedCertificate::verify`], of a certificate alone: what has a tree below it already
    /// holds no second one.
    pub(crate) fn verify_plain(
        bytes: &[u8],
        root_key: &[u8],
        canister: &CanisterId,
    ) -> Result<Self, CertificateError> {
        Self::check(canonical(bytes)?, None, root_key, canister)
    }

    fn check(
        certificate: Certificate,
        tree: Option<HashTree>,
        root_key: &[u8],
        canister: &CanisterId,
    ) -> Result<Self, CertificateError> {
        let time_ns = certified_time_ns(&certificate)?;
        let key = match &certificate.delegation {
            None => bls_key(root_key).ok_or(CertificateError::RootKey)?,
            Some(delegation) => delegated_key(delegation, root_key, canister, time_ns)?,
        };
        check_signature(&certificate, &key)?;
        Ok(Self {
            certificate,
            tree,
            time_ns,
        })
    }

    /// Certified time in nanoseconds since 1970.
    #[must_use]
    pub const fn time_ns(&self) -> u64 {
        self.time_ns
    }

    /// Root of a canister's certified map: its `certified_data`, or what the tree below that has
    /// at [`MAP_PATH`].
    ///
    /// # Errors
    /// [`CertificateError::OtherCanister`]; [`CertificateError::Tree`].
    pub fn certified_data(&self, canister: &CanisterId) -> Result<Hash, CertificateError> {
        let data = self
            .canister_leaf(canister, b"certified_data")
            .ok_or(CertificateError::OtherCanister)?;
        let data: Hash = data
            .try_into()
            .map_err(|_| CertificateError::OtherCanister)?;
        let Some(tree) = &self.tree else {
            return Ok(data);
        };
        match tree.lookup_path([MAP_PATH]) {
            LookupResult::Found(root) if tree.digest() == data => {
                root.try_into().map_err(|_| CertificateError::Tree)
            }
            _ => Err(CertificateError::Tree),
        }
    }

    /// SHA-256 of a canister's module, where the certificate shows it.
    #[must_use]
    pub fn module_hash(&self, canister: &CanisterId) -> Option<Hash> {
        self.canister_leaf(canister, b"module_hash")?
            .try_into()
            .ok()
    }

    /// A canister's controllers (bytes of principals), where the certificate shows them.
    #[must_use]
    pub fn controllers(&self, canister: &CanisterId) -> Option<Vec<Vec<u8>>> {
        let leaf = self.canister_leaf(canister, b"controllers")?;
        let controllers: Vec<serde_cbor::Value> = serde_cbor::from_slice(leaf).ok()?;
        controllers
            .into_iter()
            .map(|value| match value {
                serde_cbor::Value::Bytes(bytes) => Some(bytes),
                _ => None,
            })
            .collect()
    }

    fn canister_leaf(&self, canister: &CanisterId, name: &[u8]) -> Option<&[u8]> {
        lookup(&self.certificate, &[b"canister", canister.as_slice(), name])
    }
}

/// How a certificate's time stands to the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FreshnessError {
    /// Older than [`FRESH_NS`].
    #[error("the certificate is {0} s old")]
    Stale(u64),
    /// Further ahead than [`AHEAD_NS`].
    #[error("the certificate lies {0} s ahead")]
    Ahead(u64),
}

/// Whether a certificate of `time_ns` is fresh at `now_ns`.
///
/// # Errors
/// [`FreshnessError`].
pub const fn check_fresh(time_ns: u64, now_ns: u64) -> Result<(), FreshnessError> {
    if now_ns.saturating_sub(time_ns) > FRESH_NS {
        Err(FreshnessError::Stale((now_ns - time_ns) / 1_000_000_000))
    } else if time_ns.saturating_sub(now_ns) > AHEAD_NS {
        Err(FreshnessError::Ahead((time_ns - now_ns) / 1_000_000_000))
    } else {
        Ok(())
    }
}

/// A certificate as it is, or the one in a [`CertifiedTree`] with the tree.
fn certificate_of(bytes: &[u8]) -> Result<(Certificate, Option<HashTree>), CertificateError> {
    match canonical(bytes) {
        Err(CertificateError::Malformed) => {
            let CertifiedTree { certificate, tree } = CertifiedTree::decode(bytes)?;
            Ok((canonical(&certificate)?, Some(tree)))
        }
        certificate => Ok((certificate?, None)),
    }
}

/// Decodes what has one encoding only.
fn canonical<T: serde::Serialize + serde::de::DeserializeOwned>(
    bytes: &[u8],
) -> Result<T, CertificateError> {
    if bytes.len() > CERTIFICATE_MAX_BYTES {
        return Err(CertificateError::Malformed);
    }
    let certificate: T = serde_cbor::from_slice(bytes).map_err(|_| CertificateError::Malformed)?;
    let mut serializer = serde_cbor::Serializer::new(Vec::with_capacity(bytes.len()));
    serializer
        .self_describe()
        .map_err(|_| CertificateError::Malformed)?;
    certificate
        .serialize(&mut serializer)
        .map_err(|_| CertificateError::Malformed)?;
    if serializer.into_inner() != bytes {
        return Err(CertificateError::NotCanonical);
    }
    Ok(certificate)
}

fn lookup<'a>(certificate: &'a Certificate, path: &[&[u8]]) -> Option<&'a [u8]> {
    match certificate.tree.lookup_path(path) {
        LookupResult::Found(value) => Some(value),
        LookupResult::Absent | LookupResult::Unknown | LookupResult::Error => None,
    }
}

/// The certified time of a certificate that was verified elsewhere, in nanoseconds since 1970.
///
/// # Errors
/// [`CertificateError::NoTime`].
pub fn certified_time_ns(certificate: &Certificate) -> Result<u64, CertificateError> {
    let leaf = lookup(certificate, &[b"time"]).ok_or(CertificateError::NoTime)?;
    let mut value = 0u64;
    for (index, byte) in (0u32..).zip(leaf) {
        let bits = u64::from(byte & 0x7f);
        let shifted = bits
            .checked_shl(7 * index)
            .filter(|shifted| shifted >> (7 * index) == bits);
        value |= shifted.ok_or(CertificateError::NoTime)?;
        if byte & 0x80 == 0 {
            let last = leaf.len() == index as usize + 1;
            return if last {
                Ok(value)
            } else {
                Err(CertificateError::NoTime)
            };
        }
    }
    Err(CertificateError::NoTime)
}

fn bls_key(der: &[u8]) -> Option<[u8; 96]> {
    der.strip_prefix(&DER_PREFIX[..])?.try_into().ok()
}

fn check_signature(certificate: &Certificate, key: &[u8; 96]) -> Result<(), CertificateError> {
    let message = [STATE_ROOT, &certificate.tree.digest()[..]].concat();
    verify_bls_signature(&certificate.signature, &message, key)
        .map_err(|()| CertificateError::Signature)
}

fn delegated_key(
    delegation: &Delegation,
    root_key: &[u8],
    canister: &CanisterId,
    outer_time_ns: u64,
) -> Result<[u8; 96], CertificateError> {
    let root: Certificate = canonical(&delegation.certificate)?;
    if root.delegation.is_some() {
        return Err(CertificateError::Delegation);
    }
    check_signature(&root, &bls_key(root_key).ok_or(CertificateError::RootKey)?)
        .map_err(|_| CertificateError::Delegation)?;
    if outer_time_ns.saturating_sub(certified_time_ns(&root)?) > DELEGATION_MAX_AGE_NS {
        return Err(CertificateError::Delegation);
    }
    let subnet = delegation.subnet_id.as_slice();
    if !holds(&root, subnet, canister.as_slice()) {
        return Err(CertificateError::OutOfRange);
    }
    lookup(&root, &[b"subnet", subnet, b"public_key"])
        .and_then(bls_key)
        .ok_or(CertificateError::Delegation)
}

/// Whether the root says that a subnet holds a canister: in one leaf with all ranges, or in leaves
/// below `canister_ranges/SUBNET`, of which the root shows those it likes. Each is signed, so any
/// one of them is enough.
fn holds(root: &Certificate, subnet: &[u8], canister: &[u8]) -> bool {
    let within = |leaf: &[u8]| {
        let ranges: Result<Vec<(serde_bytes::ByteBuf, serde_bytes::ByteBuf)>, _> =
            serde_cbor::from_slice(leaf);
        ranges.is_ok_and(|ranges| {
            ranges
                .iter()
                .any(|(low, high)| low.as_slice() <= canister && canister <= high.as_slice())
        })
    };
    let flat: [&[u8]; 3] = [b"subnet", subnet, b"canister_ranges"];
    if lookup(root, &flat).is_some_and(within) {
        return true;
    }
    let SubtreeLookupResult::Found(shards) = root
        .tree
        .lookup_subtree([&b"canister_ranges"[..], subnet].iter())
    else {
        return false;
    };
    shards
        .list_paths()
        .iter()
        .any(|path| matches!(shards.lookup_path(path), LookupResult::Found(leaf) if within(leaf)))
}

#[cfg(test)]
mod tests {
    use ic_certification::{HashTree, fork, labeled, leaf, pruned};
    use ic_verify_bls_signature::PrivateKey;

    use super::*;

    const NOW: u64 = 1_700_000_000_000_000_000;

    fn key(seed: u8) -> PrivateKey {
        let mut bytes = [0; 32];
        bytes[31] = seed;
        PrivateKey::deserialize(&bytes).unwrap()
    }

    fn der(key: &PrivateKey) -> Vec<u8> {
        [&DER_PREFIX[..], &key.public_key().serialize()].concat()
    }

    fn leb(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
            value >>= 7;
        }
        out.push(u8::try_from(value).unwrap());
        out
    }

    fn canister() -> CanisterId {
        CanisterId::new(&[0, 0, 0, 0, 0, 0, 0, 1, 1, 1]).unwrap()
    }

    fn tree(canister: &CanisterId, data: [u8; 32], time: u64) -> HashTree {
        let leaf = labeled("certified_data", leaf(data.to_vec()));
        fork(
            labeled("canister", labeled(canister.as_slice().to_vec(), leaf)),
            fork(
                pruned([7; 32]),
                labeled("time", ic_certification::leaf(leb(time))),
            ),
        )
    }

    fn sign(tree: HashTree, key: &PrivateKey, delegation: Option<Delegation>) -> Vec<u8> {
        let message = [STATE_ROOT, &tree.digest()[..]].concat();
        let signature = key.sign(&message).serialize().to_vec();
        let mut serializer = serde_cbor::Serializer::new(Vec::new());
        serializer.self_describe().unwrap();
        let certificate = Certificate {
            tree,
            signature,
            delegation,
        };
        serde::Serialize::serialize(&certificate, &mut serializer).unwrap();
        serializer.into_inner()
    }

    /// What the root signed is shown; another key, another canister or a flipped byte is refused.
    #[test]
    fn a_certificate_speaks_for_its_canister_only() {
        let root = key(1);
        let bytes = sign(tree(&canister(), [3; 32], NOW), &root, None);
        let verified = VerifiedCertificate::verify(&bytes, &der(&root), &canister()).unwrap();
        assert_eq!(verified.time_ns(), NOW);
        assert_eq!(verified.certified_data(&canister()).unwrap(), [3; 32]);
        let other = CanisterId::new(&[9]).unwrap();
        assert_eq!(
            verified.certified_data(&other),
            Err(CertificateError::OtherCanister)
        );
        let refused = |bytes: &[u8], key: &PrivateKey| {
            VerifiedCertificate::verify(bytes, &der(key), &canister()).unwrap_err()
        };
        assert_eq!(refused(&bytes, &key(2)), CertificateError::Signature);
        for at in (0..bytes.len()).step_by(7) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            refused(&flipped, &root);
        }
    }

    /// The same content in another CBOR encoding is not the same certificate.
    #[test]
    fn only_the_canonical_encoding_counts() {
        let root = key(1);
        let bytes = sign(tree(&canister(), [3; 32], NOW), &root, None);
        let untagged = &bytes[3..];
        let error = VerifiedCertificate::verify(untagged, &der(&root), &canister()).unwrap_err();
        assert_eq!(error, CertificateError::NotCanonical);
        let trailing = [&bytes[..], &[0]].concat();
        assert!(VerifiedCertificate::verify(&trailing, &der(&root), &canister()).is_err());
    }

    fn ranges(high: u8) -> HashTree {
        let ranges = vec![(
            serde_bytes::ByteBuf::from(vec![0; 10]),
            serde_bytes::ByteBuf::from(vec![0, 0, 0, 0, 0, 0, 0, high, 1, 1]),
        )];
        leaf(serde_cbor::to_vec(&ranges).unwrap())
    }

    fn delegation(root: &PrivateKey, subnet: &PrivateKey, high: u8, time: u64) -> Delegation {
        let inner = fork(
            labeled("canister_ranges", ranges(high)),
            labeled("public_key", leaf(der(subnet))),
        );
        let tree = fork(
            labeled("subnet", labeled(vec![5; 29], inner)),
            labeled("time", leaf(leb(time))),
        );
        Delegation {
            subnet_id: vec![5; 29],
            certificate: sign(tree, root, None),
        }
    }

    /// The later form: ranges in leaves of their own, here one of another subnet and two of this.
    fn sharded(root: &PrivateKey, subnet: &PrivateKey, high: u8) -> Delegation {
        let shards = fork(
            labeled(vec![0; 10], ranges(high)),
            labeled(vec![9; 10], leaf(b"unreadable".to_vec())),
        );
        let shards = fork(
            labeled(vec![4; 29], labeled(vec![0; 10], ranges(255))),
            labeled(vec![5; 29], shards),
        );
        let key = labeled("public_key", leaf(der(subnet)));
        let tree = fork(
            labeled("canister_ranges", shards),
            fork(
                labeled("subnet", labeled(vec![5; 29], key)),
                labeled("time", leaf(leb(NOW))),
            ),
        );
        Delegation {
            subnet_id: vec![5; 29],
            certificate: sign(tree, root, None),
        }
    }

    /// A subnet speaks for its canisters under a recent delegation by the root, and for no others,
    /// in whichever form the root names its ranges.
    #[test]
    fn delegations_are_checked() {
        let (root, subnet) = (key(1), key(2));
        let with = |delegation| {
            let bytes = sign(tree(&canister(), [3; 32], NOW), &subnet, Some(delegation));
            VerifiedCertificate::verify(&bytes, &der(&root), &canister()).map(|_| ())
        };
        assert_eq!(with(delegation(&root, &subnet, 9, NOW)), Ok(()));
        assert_eq!(with(sharded(&root, &subnet, 9)), Ok(()));
        for out_of_range in [
            delegation(&root, &subnet, 0, NOW),
            sharded(&root, &subnet, 0),
        ] {
            assert_eq!(with(out_of_range), Err(CertificateError::OutOfRange));
        }
        assert_eq!(
            with(delegation(&subnet, &subnet, 9, NOW)),
            Err(CertificateError::Delegation)
        );
        assert_eq!(
            with(sharded(&subnet, &subnet, 9)),
            Err(CertificateError::Delegation)
        );
        let old = NOW - DELEGATION_MAX_AGE_NS - 1;
        assert_eq!(
            with(delegation(&root, &subnet, 9, old)),
            Err(CertificateError::Delegation)
        );
    }

    /// A node sends arrays in arrays in arrays, trees of forks only, and bytes that announce more
    /// than there is: all of it is refused, and nothing overflows or runs out of memory.
    #[test]
    fn bytes_made_to_hurt_are_refused() {
        let nested = |opening: &[u8]| {
            let mut bytes = vec![0xd9, 0xd9, 0xf7];
            while bytes.len() + opening.len() <= CERTIFICATE_MAX_BYTES {
                bytes.extend_from_slice(opening);
            }
            bytes
        };
        let tree: &[u8] = b"\xa2\x64tree";
        let forks = [&[0xd9, 0xd9, 0xf7], tree, &[0x83, 1].repeat(30_000)[..]].concat();
        let huge = [
            &[0xd9, 0xd9, 0xf7],
            tree,
            &[0x82, 3, 0x5b, 0x7f],
            &[0xff; 7],
        ]
        .concat();
        for bytes in [
            nested(&[0x81]),
            nested(&[0xa1, 0x61, b'x']),
            nested(&[0x9f]),
            nested(&[0xd9, 0xd9, 0xf7]),
            forks,
            huge,
            vec![0; CERTIFICATE_MAX_BYTES + 1],
            Vec::new(),
        ] {
            let refused = VerifiedCertificate::verify(&bytes, &der(&key(1)), &canister());
            assert_eq!(refused.unwrap_err(), CertificateError::Malformed);
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(60))]
        /// Whatever a node makes of a certificate is refused, or is the certificate itself. With a
        /// delegation too, of which it could try to use another encoding.
        #[test]
        fn a_changed_certificate_is_refused(
            delegated: bool,
            at: proptest::sample::Index,
            put in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..4),
            take in 0usize..4,
        ) {
            let (root, subnet) = (key(1), key(2));
            let tree = tree(&canister(), [3; 32], NOW);
            let sent = if delegated {
                sign(tree, &subnet, Some(delegation(&root, &subnet, 9, NOW)))
            } else {
                sign(tree, &root, None)
            };
            let from = at.index(sent.len());
            let to = sent.len().min(from + take);
            let mut received = sent.clone();
            received.splice(from..to, put);
            let accepted = VerifiedCertificate::verify(&received, &der(&root), &canister()).is_ok();
            proptest::prop_assert_eq!(accepted, received == sent);
        }
    }

    /// Five minutes is fresh, more is not, and neither is the future.
    #[test]
    fn freshness_has_two_sides() {
        assert_eq!(check_fresh(NOW, NOW + FRESH_NS), Ok(()));
        assert_eq!(
            check_fresh(NOW, NOW + FRESH_NS + 1),
            Err(FreshnessError::Stale(300))
        );
        assert_eq!(check_fresh(NOW + AHEAD_NS, NOW), Ok(()));
        assert_eq!(
            check_fresh(NOW + AHEAD_NS + 1, NOW),
            Err(FreshnessError::Ahead(120))
        );
    }
}
