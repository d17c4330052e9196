//! Labelled hashes and signatures (`spec/protocol.md` §1).
//!
//! Every hash and signature input starts with the length of its label and the label, so that no
//! value made for one purpose can be used for another.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

/// Labels of all hashes, MACs and signatures. A retired label is never used again.
pub mod label {
    macro_rules! labels {
        ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
            $($(#[$doc])* pub const $name: &str = $text;)*
            /// Every label; a test checks that no two are equal.
            pub const ALL: &[&str] = &[$($text),*];
        };
    }
    labels! {
        /// Account id.
        ACCOUNT_ID = "paigham/1 account id";
        /// Queue id.
        QUEUE_ID = "paigham/1 queue id";
        /// Inbox id.
        INBOX_ID = "paigham/1 inbox id";
        /// Where the relay keeps a Welcome.
        WELCOME_LOCATOR = "paigham/1 welcome locator";
        /// Key of a Welcome in the certified map.
        WELCOME_KEY = "paigham/1 welcome key";
        /// H(post).
        POST = "paigham/1 post";
        /// MAC of a post.
        POST_MAC = "paigham/1 post mac";
        /// Head of an empty queue.
        CHAIN_START = "paigham/1 chain start";
        /// Head of a queue.
        CHAIN = "paigham/1 chain";
        /// Commit head of an empty queue.
        COMMIT_CHAIN_START = "paigham/1 commit chain start";
        /// Commit head of a queue.
        COMMIT_CHAIN = "paigham/1 commit chain";
        /// Head of an empty inbox.
        INBOX_CHAIN_START = "paigham/1 inbox chain start";
        /// Head of an inbox.
        INBOX_CHAIN = "paigham/1 inbox chain";
        /// H(keys) of an epoch.
        EPOCH_KEYS = "paigham/1 epoch keys";
        /// Hash of a read token.
        READ_TOKEN = "paigham/1 read token";
        /// What authenticated_data says of proofs and extensions.
        PROOFS = "paigham/1 proofs";
        /// What two people compare.
        SAFETY_NUMBER = "paigham/1 safety number";
        /// What gossip says of an epoch authenticator.
        EPOCH_AUTHENTICATOR = "paigham/1 epoch authenticator";
        /// AAD of a sealed Welcome.
        WELCOME = "paigham/1 welcome";
        /// AAD of a sealed tree.
        TREE = "paigham/1 tree";
        /// HPKE info of a pointer.
        POINTER = "paigham/1 pointer";
        /// Signature of a reset's claim.
        RESET = "paigham/1 reset";
        /// Signature and id of a request for a re-add.
        RE_ADD = "paigham/1 re-add";
        /// HPKE info of a request for a re-add.
        RE_ADD_MESSAGE = "paigham/1 re-add message";
        /// Key of the map's leaf hashes.
        MAP_LEAF = "paigham/1 map leaf";
        /// Key of the map's inner hashes.
        MAP_INNER = "paigham/1 map inner";
        /// Signature that creates a queue.
        CREATE_QUEUE = "paigham/1 create queue";
        /// Signature that submits a commit.
        SUBMIT_COMMIT = "paigham/1 submit commit";
        /// What a commit signature says of Welcome, tree and locators.
        COMMIT_BUNDLE = "paigham/1 commit bundle";
        /// Signature that creates an inbox.
        CREATE_INBOX = "paigham/1 create inbox";
        /// Signature that reads an inbox.
        READ_INBOX = "paigham/1 read inbox";
        /// Signature that drains an inbox.
        DRAIN = "paigham/1 drain";
        /// Signature that refills a pool.
        REFILL = "paigham/1 refill";
        /// Signature of a capability.
        CAPABILITY = "paigham/1 capability";
        /// Where a canister keeps what it certifies of itself.
        SHARD = "paigham/1 shard";
        /// Where the directory keeps the shard map.
        SHARDS = "paigham/1 shards";
        /// Where the directory keeps its beacons.
        BEACON = "paigham/1 beacon";
        /// Which shard a new queue or inbox gets.
        PLACEMENT = "paigham/1 placement";
        /// What a ticket says of the call that it pays for.
        CALL = "paigham/1 call";
        /// Work of a ticket.
        TICKET = "paigham/1 ticket";
        /// Id of a blob.
        BLOB = "paigham/1 blob";
        /// MAC that lets a queue's members store a blob.
        BLOB_MAC = "paigham/1 blob mac";
        /// Hash of an administrators' proposal.
        PROPOSAL = "paigham/1 admin proposal";
        /// Head of the log of executed proposals.
        ADMIN_LOG = "paigham/1 admin log";
        /// Signature of a network file.
        NETWORK_FILE = "paigham/1 network file";
        /// Hash of an identity record.
        RECORD = "paigham/1 record";
        /// Seed of the directory's VRF key.
        DIRECTORY_VRF = "paigham/1 directory vrf";
        /// Key that the openings of the directory's commitments are derived under.
        DIRECTORY_OPENINGS = "paigham/1 directory openings";
        /// Signature of an identity record.
        RECORD_SIGNATURE = "paigham/1 record signature";
        /// Hash of a recovery key.
        RECOVERY_KEY = "paigham/1 recovery key";
        /// Hash of a handle's record.
        HANDLE_RECORD = "paigham/1 handle record";
        /// Signature of a handle's record.
        HANDLE_RECORD_SIGNATURE = "paigham/1 handle record signature";
    }
}

/// A 32-byte hash.
pub type Hash = [u8; 32];

/// `H(label; parts…)`: BLAKE3 over u8 length of the label ‖ label ‖ parts.
///
/// # Security
/// The caller gives all parts but the last a fixed length, or puts their length before them.
#[must_use]
#[inline]
pub fn blake3_labelled(label: &str, parts: &[&[u8]]) -> Hash {
    let mut short = [0; SHORT_BYTES];
    match put_together(&mut short, label, parts) {
        Some(input) => blake3(input),
        None => blake3_long(label, parts),
    }
}

/// BLAKE3 under a key of what [`blake3_labelled`] hashes.
#[must_use]
#[inline]
pub(crate) fn blake3_keyed(key: &Hash, label: &str, parts: &[&[u8]]) -> Hash {
    let mut short = [0; SHORT_BYTES];
    match put_together(&mut short, label, parts) {
        Some(input) => blake3::keyed_hash(key, input).into(),
        None => blake3::keyed_hash(key, &labelled(label, parts)).into(),
    }
}

/// Inputs up to so many bytes are put together on the stack: BLAKE3 takes them at once then, which
/// costs a canister a third less than feeding it. The chains' inputs are shorter.
const SHORT_BYTES: usize = 160;

/// The labelled input, if it is short.
#[inline]
fn put_together<'a>(
    short: &'a mut [u8; SHORT_BYTES],
    label: &str,
    parts: &[&[u8]],
) -> Option<&'a [u8]> {
    let mut length = 1 + label.len();
    short[0] = label_length(label);
    short.get_mut(1..length)?.copy_from_slice(label.as_bytes());
    for part in parts {
        let start = length;
        length += part.len();
        short.get_mut(start..length)?.copy_from_slice(part);
    }
    Some(&short[..length])
}

fn blake3_long(label: &str, parts: &[&[u8]]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(&[label_length(label)])
        .update(label.as_bytes());
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// `S(label; parts…)`: as [`blake3_labelled`], with SHA-256.
#[must_use]
pub fn sha256_labelled(label: &str, parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([label_length(label)]);
    hasher.update(label.as_bytes());
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Plain BLAKE3 of one string of bytes.
#[must_use]
pub fn blake3(bytes: &[u8]) -> Hash {
    blake3::hash(bytes).into()
}

/// Plain SHA-256 of one string of bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// u8 length of the label ‖ label ‖ parts: the input of a labelled signature, or an AAD.
#[must_use]
pub fn labelled(label: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![label_length(label)];
    out.extend_from_slice(label.as_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// `Sign(key, label, parts…)`.
#[must_use]
pub fn sign(key: &SigningKey, label: &str, parts: &[&[u8]]) -> [u8; 64] {
    key.sign(&labelled(label, parts)).to_bytes()
}

/// Whether `signature` is `Sign(key, label, parts…)`; strict, so that no second encoding of a
/// signature and no small-order key is accepted.
#[must_use]
pub fn verify(key: &Hash, signature: &[u8; 64], label: &str, parts: &[&[u8]]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(key) else {
        return false;
    };
    key.verify_strict(&labelled(label, parts), &Signature::from_bytes(signature))
        .is_ok()
}

/// Labels are constants of at most 255 bytes; a test checks all of them.
fn label_length(label: &str) -> u8 {
    u8::try_from(label.len()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Two purposes never share a label, and every label fits its length byte.
    #[test]
    fn labels_are_distinct_and_short() {
        let distinct: BTreeSet<_> = label::ALL.iter().collect();
        assert_eq!(distinct.len(), label::ALL.len());
        assert!(label::ALL.iter().all(|label| label.len() < 256));
    }

    /// Short inputs are hashed as the definition says, and so are those around the longest short one.
    #[test]
    fn short_inputs_are_hashed_like_long_ones() {
        let key = [9; 32];
        for length in [0, 1, 31, 32, 120, 140, 143, 144, 145, 146, 200, 2_000] {
            let part = vec![7; length];
            for parts in [&[&part[..]][..], &[&part, b"tail"], &[]] {
                let hashed = blake3_labelled(label::POST, parts);
                assert_eq!(hashed, blake3(&labelled(label::POST, parts)), "{length}");
                assert_eq!(hashed, blake3_long(label::POST, parts), "{length}");
                let keyed = blake3::keyed_hash(&key, &labelled(label::POST, parts));
                assert_eq!(blake3_keyed(&key, label::POST, parts), *keyed.as_bytes());
            }
        }
    }

    /// A signature made for one purpose is worth nothing for another.
    #[test]
    fn a_signature_counts_for_its_label_only() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = key.verifying_key().to_bytes();
        let signature = sign(&key, label::DRAIN, &[b"a", b"b"]);
        assert!(verify(&public, &signature, label::DRAIN, &[b"ab"]));
        assert!(!verify(&public, &signature, label::REFILL, &[b"ab"]));
        assert!(!verify(&public, &signature, label::DRAIN, &[b"ac"]));
    }
}
