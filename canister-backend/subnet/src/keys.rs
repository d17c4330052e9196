//! The keys of the subnet and its node, and what they sign.

use blst::min_sig::SecretKey;
use candid::Principal;
use ed25519_dalek::{Signer, SigningKey};
use ic_certification::{Certificate, HashTree};
use serde::{Deserialize, Serialize};

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
    #[serde(with = "serde_bytes")]
    pub root: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub node: Vec<u8>,
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
            root: vec![0; 32],
            node: vec![0; 32],
        };
        getrandom::fill(&mut seeds.root)?;
        getrandom::fill(&mut seeds.node)?;
        Ok(seeds)
    }
}

/// The keys at work.
pub(crate) struct Keys {
    root: SecretKey,
    node: SigningKey,
    pub root_der: Vec<u8>,
    pub node_der: Vec<u8>,
    pub subnet: Principal,
    pub node_id: Principal,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys")
            .field("subnet", &self.subnet.to_text())
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// `None` for seeds of another length.
    pub fn new(seeds: &Seeds) -> Option<Self> {
        let root = SecretKey::key_gen(&seeds.root, &[]).ok()?;
        let node = SigningKey::from_bytes(seeds.node.as_slice().try_into().ok()?);
        let root_der = [&BLS_DER_PREFIX[..], &root.sk_to_pk().compress()].concat();
        let node_der = [&ED25519_DER_PREFIX[..], node.verifying_key().as_bytes()].concat();
        let subnet = Principal::self_authenticating(&root_der);
        let node_id = Principal::self_authenticating(&node_der);
        Some(Self {
            root,
            node,
            root_der,
            node_der,
            subnet,
            node_id,
        })
    }

    /// The subnet's signature over a state root.
    pub fn sign_root(&self, root: &[u8; 32]) -> Vec<u8> {
        self.root
            .sign(&[STATE_ROOT, root].concat(), BLS_DST, &[])
            .compress()
            .to_vec()
    }

    /// The node's signature over what it answers.
    pub fn sign_as_node(&self, bytes: &[u8]) -> Vec<u8> {
        self.node.sign(bytes).to_bytes().to_vec()
    }

    /// The node key's seed, for a test that plays a malicious node.
    pub fn node_seed(&self) -> [u8; 32] {
        self.node.to_bytes()
    }
}

/// A certificate in CBOR, self-described.
pub(crate) fn certificate(tree: HashTree, signature: Vec<u8>) -> Vec<u8> {
    let certificate = Certificate {
        tree,
        signature,
        delegation: None,
    };
    to_cbor(&certificate)
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
