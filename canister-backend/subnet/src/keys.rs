//! The keys of the subnet and its node, and what they sign.

use std::sync::Arc;

use blst::min_sig::SecretKey;
use candid::Principal;
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::profile::{Part, timed};
use crate::topology::{CanisterRange, Delegator, Topology};

/// DER prefix of a BLS12-381 public key (37 bytes; the key has 96).
const BLS_DER_PREFIX: [u8; 37] = [
    0x30, 0x81, 0x82, 0x30, 0x1d, 0x06, 0x0d, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xdc, 0x7c, 0x05,
    0x03, 0x01, 0x02, 0x01, 0x06, 0x0c, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xdc, 0x7c, 0x05, 0x03,
    0x02, 0x01, 0x03, 0x61, 0x00,
];
/// DER prefix of an Ed25519 public key (RFC 8410).
pub(crate) const ED25519_DER_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// Ciphersuite of the Internet Computer's BLS signatures.
const BLS_DST: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_";
/// Domain separator of a signed state root.
const STATE_ROOT: &[u8] = b"\x0Dic-state-root";

/// Seeds, as they are stored.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Seeds {
    /// Of the subnet's key. It was always the root key once, and is called so on the disk.
    #[serde(rename = "root", with = "serde_bytes")]
    pub subnet: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub node: Vec<u8>,
    /// The subnet's id where it is not that of the key: the key was changed below a root key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ByteBuf>,
}

impl std::fmt::Debug for Seeds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seeds(***)")
    }
}

impl Seeds {
    /// Fresh ones from the operating system.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut seeds = Self {
            subnet: vec![0; 32],
            node: vec![0; 32],
            id: None,
        };
        getrandom::fill(&mut seeds.subnet)?;
        getrandom::fill(&mut seeds.node)?;
        Ok(seeds)
    }

    /// Those of a test.
    pub fn of_test(seed: &[u8; 32]) -> Self {
        Self {
            subnet: seed.to_vec(),
            node: blake3::hash(seed).as_bytes().to_vec(),
            id: None,
        }
    }

    fn key(&self) -> Option<SecretKey> {
        SecretKey::key_gen(&self.subnet, &[]).ok()
    }

    /// The subnet key's DER form.
    pub fn der(&self) -> Option<Vec<u8>> {
        Some(bls_der(&self.key()?))
    }

    /// The subnet's id.
    pub fn subnet_id(&self) -> Option<Principal> {
        match &self.id {
            Some(id) => Principal::try_from_slice(id).ok(),
            None => Some(Principal::self_authenticating(self.der()?)),
        }
    }
}

/// The keys at work.
pub(crate) struct Keys {
    key: SecretKey,
    node: SigningKey,
    /// What clients pin.
    pub root_der: Vec<u8>,
    pub subnet_der: Vec<u8>,
    pub node_der: Vec<u8>,
    pub subnet: Principal,
    pub node_id: Principal,
    pub range: CanisterRange,
    /// The root key's word for this one, where it is not the root key itself.
    pub delegator: Option<Arc<Delegator>>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys")
            .field("subnet", &self.subnet.to_text())
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// `None` for seeds of another length. Delegations are of `time_ns`.
    pub fn new(seeds: &Seeds, topology: &Topology, time_ns: u64) -> Option<Self> {
        let key = seeds.key()?;
        let node = SigningKey::from_bytes(seeds.node.as_slice().try_into().ok()?);
        let subnet_der = bls_der(&key);
        let subnet = seeds.subnet_id()?;
        let node_der = [&ED25519_DER_PREFIX[..], node.verifying_key().as_bytes()].concat();
        let node_id = Principal::self_authenticating(&node_der);
        let range = topology.range();
        let (root_der, delegator) = match topology {
            // Agents take the root subnet's id from its key.
            Topology::SelfRoot if seeds.id.is_some() => return None,
            Topology::SelfRoot => (subnet_der.clone(), None),
            Topology::Delegated { root, .. } => {
                let (root_der, der) = (root.der(), subnet_der.clone());
                let delegator = Delegator::new(root.clone(), subnet, der, range, time_ns);
                (root_der, Some(Arc::new(delegator)))
            }
        };
        Some(Self {
            key,
            node,
            root_der,
            subnet_der,
            node_der,
            subnet,
            node_id,
            range,
            delegator,
        })
    }

    /// The subnet's signature over a state root.
    pub fn sign_root(&self, root: &[u8; 32]) -> Vec<u8> {
        sign_state_root(&self.key, root)
    }

    /// The node's signature over what it answers.
    pub fn sign_as_node(&self, bytes: &[u8]) -> Vec<u8> {
        timed(Part::Signatures, || {
            self.node.sign(bytes).to_bytes().to_vec()
        })
    }

    /// The node key's seed, for a test that plays a malicious node.
    pub fn node_seed(&self) -> [u8; 32] {
        self.node.to_bytes()
    }
}

/// DER form of a BLS key's public half.
pub(crate) fn bls_der(key: &SecretKey) -> Vec<u8> {
    [&BLS_DER_PREFIX[..], &key.sk_to_pk().compress()].concat()
}

/// A signature over the root of a state tree.
pub(crate) fn sign_state_root(key: &SecretKey, root: &[u8; 32]) -> Vec<u8> {
    timed(Part::Signatures, || {
        key.sign(&[STATE_ROOT, root].concat(), BLS_DST, &[])
            .compress()
            .to_vec()
    })
}

/// CBOR with the self-describing tag.
///
/// # Panics
/// Never: the structures here always serialise.
pub(crate) fn to_cbor(value: &impl Serialize) -> Vec<u8> {
    let mut serializer = serde_cbor::Serializer::new(Vec::new());
    serializer
        .self_describe()
        .expect("writing to a vector does not fail");
    value
        .serialize(&mut serializer)
        .expect("plain structures always serialise");
    serializer.into_inner()
}
