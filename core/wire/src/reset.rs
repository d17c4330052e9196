//! What brings a group on after a commit that nobody, or not everybody, can take: the claim of a
//! reset and the request for a re-add (`spec/protocol.md` §5.3, §5.4).

use ed25519_dalek::SigningKey;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use crate::codec::encode;
use crate::envelope::VERSION;
use crate::hash::{Hash, blake3_labelled, label, labelled, sign, verify};
use crate::ids::{AccountId, DeviceId, InboxId, QueueId};

/// A device of the old group that a reset does not take over, because the log has revoked it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, TlsSize, TlsSerialize, TlsDeserializeBytes,
)]
pub struct LeftOut {
    /// Whose.
    pub account: AccountId,
    /// Which device.
    pub device: DeviceId,
}

/// What a new group says of the one that it continues; extension 1 of a Welcome wrapper.
///
/// # Security
/// The creator signs with the leaf key that it has in the old group, over the new queue: nobody can
/// be invited elsewhere with it. Whether it is true each member checks against its own chain.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ResetClaim {
    /// [`VERSION`].
    pub version: u8,
    /// The queue that cannot go on.
    pub old: QueueId,
    /// The queue that takes its place.
    pub new: QueueId,
    /// Epoch that the newest valid commit of the old queue started.
    pub epoch: u32,
    /// Commit head there.
    pub commit_head: Hash,
    /// H("paigham/1 epoch authenticator"; …) there.
    pub authenticator_hash: Hash,
    /// The creator's leaf there.
    pub leaf: u32,
    /// Ascending.
    pub left_out: Vec<LeftOut>,
    /// By the creator's leaf key: [`ResetClaim::sign`].
    pub signature: [u8; 64],
}

impl ResetClaim {
    fn covered(&self) -> Vec<u8> {
        let unsigned = Self {
            signature: [0; 64],
            ..self.clone()
        };
        encode(&unsigned)
    }

    /// Signs everything but the signature.
    #[must_use]
    pub fn sign(mut self, leaf_key: &SigningKey) -> Self {
        self.signature = sign(leaf_key, label::RESET, &[&self.covered()]);
        self
    }

    /// Whether version and order are as they must be and the leaf key has signed it.
    #[must_use]
    pub fn verify(&self, leaf_key: &Hash) -> bool {
        self.version == VERSION
            && self.left_out.windows(2).all(|pair| pair[0] < pair[1])
            && verify(leaf_key, &self.signature, label::RESET, &[&self.covered()])
    }
}

/// A device asks to have its leaf replaced; extension 5 of the envelope of the commit that does so
/// carries it.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ReAddRequest {
    /// [`VERSION`].
    pub version: u8,
    /// In which queue.
    pub queue: QueueId,
    /// Whose device asks.
    pub account: AccountId,
    /// Which one.
    pub device: DeviceId,
    /// The last epoch that it could follow.
    pub epoch: u32,
    /// Unix seconds.
    pub asked_at: u64,
    /// BLAKE3 of the key package that its new leaf is made of.
    pub key_package_hash: Hash,
    /// By its leaf key: [`ReAddRequest::sign`].
    pub signature: [u8; 64],
}

impl ReAddRequest {
    fn covered(&self) -> Vec<u8> {
        let unsigned = Self {
            signature: [0; 64],
            ..self.clone()
        };
        encode(&unsigned)
    }

    /// Signs everything but the signature.
    #[must_use]
    pub fn sign(mut self, leaf_key: &SigningKey) -> Self {
        self.signature = sign(leaf_key, label::RE_ADD, &[&self.covered()]);
        self
    }

    /// Whether the version is ours and the leaf key has signed it.
    #[must_use]
    pub fn verify(&self, leaf_key: &Hash) -> bool {
        self.version == VERSION
            && verify(leaf_key, &self.signature, label::RE_ADD, &[&self.covered()])
    }

    /// What tells it from every other request: H("paigham/1 re-add"; request without signature).
    #[must_use]
    pub fn id(&self) -> Hash {
        blake3_labelled(label::RE_ADD, &[&self.covered()])
    }
}

/// A request with its key package, as it is sealed to the inbox of whoever is asked.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ReAddMessage {
    /// The signed request.
    pub request: ReAddRequest,
    /// The key package that it names.
    pub key_package: VLBytes,
}

/// The requests that a commit fulfils.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ReAdds {
    /// Ascending by account and device.
    pub requests: Vec<ReAddRequest>,
}

/// A re-add of the last day, so that a joiner counts like everybody; extension 2 of a Welcome
/// wrapper holds all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ReAdded {
    /// Which device.
    pub device: DeviceId,
    /// When its commit was accepted, nanoseconds since 1970.
    pub accepted_at: u64,
    /// [`ReAddRequest::id`].
    pub request: Hash,
}

/// The re-adds of the last day before a Welcome's commit, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ReAddLog {
    /// At most three a device.
    pub entries: Vec<ReAdded>,
}

/// HPKE info of a sealed [`ReAddMessage`]: u8 length ‖ label ‖ inbox id.
#[must_use]
pub fn re_add_info(inbox: &InboxId) -> Vec<u8> {
    labelled(label::RE_ADD_MESSAGE, &[&inbox.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> ResetClaim {
        ResetClaim {
            version: VERSION,
            old: QueueId([1; 32]),
            new: QueueId([2; 32]),
            epoch: 3,
            commit_head: [4; 32],
            authenticator_hash: [5; 32],
            leaf: 6,
            left_out: [7, 8]
                .map(|id| LeftOut {
                    account: AccountId([id; 16]),
                    device: DeviceId([9; 16]),
                })
                .to_vec(),
            signature: [0; 64],
        }
    }

    /// A claim counts as it was signed, and in no other way.
    #[test]
    fn a_claim_counts_as_it_was_signed() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let public = key.verifying_key().to_bytes();
        let signed = claim().sign(&key);
        assert!(signed.verify(&public));
        let changes: [fn(&mut ResetClaim); 8] = [
            |claim| claim.old = QueueId([9; 32]),
            |claim| claim.new = QueueId([9; 32]),
            |claim| claim.epoch += 1,
            |claim| claim.commit_head = [9; 32],
            |claim| claim.authenticator_hash = [9; 32],
            |claim| claim.leaf += 1,
            |claim| claim.left_out.clear(),
            |claim| claim.version += 1,
        ];
        for change in changes {
            let mut changed = signed.clone();
            change(&mut changed);
            assert!(!changed.verify(&public), "{changed:?}");
        }
        let mut disordered = claim();
        disordered.left_out.reverse();
        assert!(!disordered.sign(&key).verify(&public));
    }

    /// A request counts as it was signed; two requests have two ids, whoever signs them again.
    #[test]
    fn a_request_counts_as_it_was_signed() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let public = key.verifying_key().to_bytes();
        let request = ReAddRequest {
            version: VERSION,
            queue: QueueId([1; 32]),
            account: AccountId([2; 16]),
            device: DeviceId([3; 16]),
            epoch: 4,
            asked_at: 5,
            key_package_hash: [6; 32],
            signature: [0; 64],
        };
        let signed = request.clone().sign(&key);
        assert!(signed.verify(&public));
        assert_eq!(signed.id(), request.id());
        let changes: [fn(&mut ReAddRequest); 7] = [
            |request| request.queue = QueueId([9; 32]),
            |request| request.account = AccountId([9; 16]),
            |request| request.device = DeviceId([9; 16]),
            |request| request.epoch += 1,
            |request| request.asked_at += 1,
            |request| request.key_package_hash = [9; 32],
            |request| request.version += 1,
        ];
        for change in changes {
            let mut changed = signed.clone();
            change(&mut changed);
            assert!(!changed.verify(&public), "{changed:?}");
            assert_ne!(changed.id(), request.id());
        }
    }
}
