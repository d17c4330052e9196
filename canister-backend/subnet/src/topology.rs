//! Who signs for a subnet, and which canister ids are its own.

use std::sync::{PoisonError, RwLock};

use blst::min_sig::SecretKey;
use candid::Principal;
use ic_certification::{Certificate, Delegation, HashTree};
use serde::{Deserialize, Serialize};

use crate::keys::{bls_der, sign_state_root, to_cbor};
use crate::tree::{Tree, leb128};

/// Canister ids of one subnet below a root key: as many as one range has on the Internet Computer.
pub const CANISTERS_PER_SUBNET: u64 = 1 << 20;
/// How old a delegation gets before the root signs another. Clients take one of up to 30 days.
const DELEGATION_RENEW_NS: u64 = 7 * 24 * 3_600 * 1_000_000_000;

/// The canister numbers of a subnet, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanisterRange {
    first: u64,
    last: u64,
}

impl CanisterRange {
    /// Every id: of a subnet that is alone.
    pub const ALL: Self = Self {
        first: 0,
        last: u64::MAX,
    };

    /// The range of the subnet with this index, counted from 0, below a root key. Ranges of
    /// different subnets have no id in common.
    #[must_use]
    pub fn of_subnet(index: u16) -> Self {
        let first = u64::from(index) * CANISTERS_PER_SUBNET;
        Self {
            first,
            last: first + (CANISTERS_PER_SUBNET - 1),
        }
    }

    /// Number of the first canister.
    pub(crate) const fn first(self) -> u64 {
        self.first
    }

    /// Whether a canister number lies in it.
    pub(crate) const fn has_number(self, number: u64) -> bool {
        self.first <= number && number <= self.last
    }

    /// Whether a canister lies in it.
    #[must_use]
    pub fn contains(self, canister: &Principal) -> bool {
        let (low, high) = self.ends();
        (&low..=&high).contains(&canister)
    }

    fn ends(self) -> (Principal, Principal) {
        (canister_id(self.first), canister_id(self.last))
    }

    /// Label of the range below `canister_ranges/SUBNET`.
    pub(crate) fn label(self) -> Vec<u8> {
        self.ends().0.as_slice().to_vec()
    }

    /// The leaf that names the range.
    pub(crate) fn leaf(self) -> Vec<u8> {
        to_cbor(&vec![self.ends()])
    }
}

/// Canister ids are a number and the bytes 1, 1.
pub(crate) fn canister_id(number: u64) -> Principal {
    let mut bytes = [1; 10];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Principal::from_slice(&bytes)
}

/// A root key that delegates to subnets. Whoever holds it speaks for every subnet below it.
#[derive(Clone)]
pub struct RootKey {
    key: SecretKey,
}

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey(***)")
    }
}

impl RootKey {
    /// The key of a seed.
    ///
    /// # Panics
    /// Never: 32 bytes are enough for a key.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SecretKey::key_gen(seed, &[]).expect("32 bytes make a key");
        Self { key }
    }

    /// What clients pin: DER, 133 bytes.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        bls_der(&self.key)
    }

    /// Says at `time_ns` that a subnet has a key and a range.
    fn delegate(
        &self,
        subnet: Principal,
        der: &[u8],
        range: CanisterRange,
        time_ns: u64,
    ) -> Delegations {
        let id = subnet.as_slice();
        let leaf = Tree::Leaf(range.leaf());
        let shards = Tree::map([(range.label().as_slice(), leaf.clone())]);
        let entry = Tree::map([
            (b"canister_ranges", leaf),
            (b"public_key", Tree::Leaf(der.to_vec())),
        ]);
        let tree = Tree::map([
            (b"canister_ranges", Tree::map([(id, shards)])),
            (b"subnet", Tree::map([(id, entry)])),
            (b"time", Tree::Leaf(leb128(time_ns))),
        ]);
        let signature = sign_state_root(&self.key, &tree.digest());
        let show = |ranges: &[&[u8]]| {
            let labels = |path: &[&[u8]]| path.iter().map(|label| label.to_vec()).collect();
            let paths: [Vec<Vec<u8>>; 3] = [
                labels(ranges),
                labels(&[b"subnet", id, b"public_key"]),
                labels(&[b"time"]),
            ];
            let paths: Vec<_> = paths.iter().map(Vec::as_slice).collect();
            let certificate = Certificate {
                tree: tree.witness(&paths),
                signature: signature.clone(),
                delegation: None,
            };
            Delegation {
                subnet_id: id.to_vec(),
                certificate: to_cbor(&certificate),
            }
        };
        Delegations {
            flat: show(&[b"subnet", id, b"canister_ranges"]),
            sharded: show(&[b"canister_ranges", id]),
            issued_ns: time_ns,
        }
    }
}

/// Who signs for a subnet.
#[derive(Debug, Clone)]
pub enum Topology {
    /// The subnet's own key is the root key, and every canister id is the subnet's.
    SelfRoot,
    /// A root key delegates to the subnet's key.
    Delegated {
        /// The root key. The subnet keeps it to renew its delegation.
        root: RootKey,
        /// The subnet's canister ids.
        range: CanisterRange,
    },
}

impl Topology {
    /// The subnet's canister ids.
    #[must_use]
    pub const fn range(&self) -> CanisterRange {
        match self {
            Self::SelfRoot => CanisterRange::ALL,
            Self::Delegated { range, .. } => *range,
        }
    }
}

/// Where a delegation names the canister ranges; the endpoint's version decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RangesForm {
    /// `subnet/ID/canister_ranges`: call v3, query v2, `read_state` v2.
    Flat,
    /// `canister_ranges/ID/…`: call v4, query v3, `read_state` v3.
    Sharded,
}

/// One delegation in both forms.
struct Delegations {
    flat: Delegation,
    sharded: Delegation,
    issued_ns: u64,
}

/// The root's word for a subnet, renewed before it is too old.
pub(crate) struct Delegator {
    root: RootKey,
    subnet: Principal,
    der: Vec<u8>,
    range: CanisterRange,
    current: RwLock<Delegations>,
}

impl std::fmt::Debug for Delegator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delegator")
            .field("subnet", &self.subnet.to_text())
            .finish_non_exhaustive()
    }
}

impl Delegator {
    pub fn new(
        root: RootKey,
        subnet: Principal,
        der: Vec<u8>,
        range: CanisterRange,
        time_ns: u64,
    ) -> Self {
        let current = RwLock::new(root.delegate(subnet, &der, range, time_ns));
        Self {
            root,
            subnet,
            der,
            range,
            current,
        }
    }

    /// Takes a new delegation if the current one is a week older than `time_ns`.
    pub fn renew(&self, time_ns: u64) {
        let issued_ns = self.read().issued_ns;
        if time_ns.saturating_sub(issued_ns) >= DELEGATION_RENEW_NS {
            let next = self
                .root
                .delegate(self.subnet, &self.der, self.range, time_ns);
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        }
    }

    pub fn delegation(&self, form: RangesForm) -> Delegation {
        let current = self.read();
        match form {
            RangesForm::Flat => current.flat.clone(),
            RangesForm::Sharded => current.sharded.clone(),
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Delegations> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a subnet's key signed, before the delegation that the asker's endpoint wants.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub tree: HashTree,
    pub signature: Vec<u8>,
}

impl Signed {
    /// The certificate in CBOR, self-described.
    pub fn certificate(self, delegator: Option<&Delegator>, form: RangesForm) -> Vec<u8> {
        to_cbor(&Certificate {
            tree: self.tree,
            signature: self.signature,
            delegation: delegator.map(|delegator| delegator.delegation(form)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranges below one root key have no canister in common and leave none out.
    #[test]
    fn ranges_are_disjoint() {
        let ranges: Vec<_> = (0..4).map(CanisterRange::of_subnet).collect();
        for (index, range) in ranges.iter().enumerate() {
            for number in [range.first, range.last] {
                let holders = ranges
                    .iter()
                    .filter(|other| other.contains(&canister_id(number)));
                assert_eq!(holders.count(), 1, "{index}");
                assert!(range.has_number(number));
            }
        }
        assert_eq!(ranges[0].last + 1, ranges[1].first);
        assert!(CanisterRange::ALL.contains(&canister_id(u64::MAX)));
        // Ids of other forms are nobody's.
        assert!(!ranges[0].contains(&Principal::management_canister()));
    }

    /// A delegation serves for a week; then the root gives another, and time that goes back
    /// changes nothing.
    #[test]
    fn delegations_are_renewed() {
        let root = RootKey::from_seed(&[1; 32]);
        let subnet = Principal::self_authenticating([2; 133]);
        let range = CanisterRange::of_subnet(1);
        let start = 1_700_000_000_000_000_000;
        let delegator = Delegator::new(root, subnet, vec![2; 133], range, start);
        let of = |form| delegator.delegation(form).certificate;
        let first = of(RangesForm::Sharded);
        assert_ne!(first, of(RangesForm::Flat));
        for time in [start - 1, start + DELEGATION_RENEW_NS - 1] {
            delegator.renew(time);
            assert_eq!(first, of(RangesForm::Sharded));
        }
        delegator.renew(start + DELEGATION_RENEW_NS);
        assert_ne!(first, of(RangesForm::Sharded));
    }
}
