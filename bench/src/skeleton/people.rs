//! Members of a real MLS group, without homes and directory: for sizes of commits and messages.

use ed25519_dalek::SigningKey;
use openmls_memory_storage::MemoryStorage;
use paigham_group::commit::{Base, Change, StagedCommitPost};
use paigham_group::content;
use paigham_group::crypto::{Crypto, Provider};
use paigham_group::device::{CheckedKeyPackage, DeviceKeys};
use paigham_group::group::Group;
use paigham_group::message::Saying;
use paigham_group::proof::{LeafClaim, ProofError, ProofJudge, ShownAccount};
use paigham_group::receive::Received;
use paigham_wire::chain::{commit_start, queue_start};
use paigham_wire::codec::encode;
use paigham_wire::envelope::{Credential, GroupForm, GroupPolicy, LogProof, PROOF_LOG, Proof};
use paigham_wire::frame::PostRef;
use paigham_wire::ids::{AccountId, CanisterId, DeviceId, QueueId};
use paigham_wire::keys::ReadToken;
use paigham_wire::log::FoundLabel;
use paigham_wire::relay::{CreateQueue, Entry, Position, SubmitCommit};

use crate::Failure;
use crate::queue::not_after;

/// Bytes of the proof of one account: its records, a certificate and a witness of the directory.
/// Zeros do: the relay does not look into envelopes, and what
/// members check is not measured here.
const PROOF_BYTES: usize = 1_300;

/// A device that is in a group, or will be.
pub(super) struct Person<'a> {
    crypto: &'a Crypto,
    storage: Provider<'a, MemoryStorage>,
    device: DeviceKeys,
}

impl<'a> Person<'a> {
    pub fn new(crypto: &'a Crypto, number: u8) -> Self {
        let credential = Credential::new(AccountId([number; 16]), DeviceId([number; 16]), 0);
        Self {
            crypto,
            storage: crypto.with(MemoryStorage::default()),
            device: DeviceKeys::new(credential, &[number; 32]),
        }
    }

    fn key_package(&self) -> Result<CheckedKeyPackage, Failure> {
        let now = u64::from(not_after()?);
        let made = self.device.key_package(&self.storage, false, now)?;
        Ok(CheckedKeyPackage::check(self.crypto, &made.bytes, now)?)
    }
}

fn proof_of(account: AccountId) -> Proof {
    let proof = LogProof {
        account,
        answer: FoundLabel {
            search: vec![0; PROOF_BYTES].into(),
            earlier: Vec::new(),
            times: Vec::new(),
        },
    };
    Proof {
        proof_type: PROOF_LOG,
        data: encode(&proof).into(),
    }
}

/// Whose the added devices are is not measured here.
struct Trusting;

impl ProofJudge for Trusting {
    fn authorises(
        &self,
        _: &[LeafClaim],
        _: &Proof,
        _: u64,
    ) -> Result<Option<ShownAccount>, ProofError> {
        Ok(None)
    }
}

/// A group as its founder sees it.
pub(super) struct Founded<'a> {
    founder: Person<'a>,
    group: Group,
    relay: CanisterId,
    /// What makes the queue.
    pub create: CreateQueue,
    /// Newest entry.
    pub seq: u32,
}

impl<'a> Founded<'a> {
    /// A group of the founder alone. `number` makes it another one.
    pub fn new(crypto: &'a Crypto, relay: &CanisterId, number: u8) -> Result<Self, Failure> {
        let founder = Person::new(crypto, 1);
        let control = SigningKey::from_bytes(&[number; 32]);
        let (queue, create) = CreateQueue::sign(&control, relay, [number; 32]);
        let policy = GroupPolicy {
            version: 1,
            name: b"Friday evenings".to_vec().into(),
            form: GroupForm::Group,
            admins: vec![founder.device.credential().account],
            network_sequence: 1,
        };
        let group = Group::create(&founder.storage, &founder.device, queue, &policy, &control)?;
        Ok(Self {
            founder,
            group,
            relay: relay.clone(),
            create,
            seq: 0,
        })
    }

    pub fn queue(&self) -> QueueId {
        self.group.queue()
    }

    /// Token of the current generation.
    pub fn token(&self) -> Result<ReadToken, Failure> {
        self.group
            .read_token()
            .ok_or_else(|| "epoch 0 has no token".into())
    }

    /// A commit that adds so many others, or nobody and renews the founder's keys.
    pub fn commit(&mut self, others: u8) -> Result<StagedCommitPost, Failure> {
        let mut change = Change::default();
        let mut proofs = Vec::new();
        for number in 0..others {
            let joiner = Person::new(self.founder.crypto, number + 2);
            change.add.push(joiner.key_package()?);
            proofs.push(proof_of(joiner.device.credential().account));
        }
        let base = Base {
            canister: self.relay.clone(),
            seq: self.seq,
            head: queue_start(&self.queue()),
            commit_head: commit_start(&self.queue()),
            not_after: not_after()?,
            proofs,
            reset: None,
        };
        let Person {
            crypto,
            storage,
            device,
        } = &self.founder;
        Ok(self.group.commit(crypto, storage, device, &change, base)?)
    }

    /// The relay has taken the commit: the founder reads it back and enters the next epoch.
    pub fn accepted(&mut self, commit: &SubmitCommit, at: Position) -> Result<(), Failure> {
        let post = PostRef::decode(commit.post.as_slice())?;
        let entry = Entry {
            seq: at.seq,
            accepted_at: at.accepted_at,
            header: *post.header_bytes,
            keys_hash: Some(commit.next_keys.hash()),
            envelope: post.envelope.to_vec().into(),
        };
        let Person {
            crypto, storage, ..
        } = &self.founder;
        let received = self.group.receive(crypto, storage, &entry, &Trusting)?;
        self.seq = at.seq;
        match received {
            Received::OwnCommit => Ok(()),
            other => Err(format!("the own commit was read as {other:?}").into()),
        }
    }

    /// A post with a text of so many bytes.
    pub fn text(&mut self, bytes: usize) -> Result<Vec<u8>, Failure> {
        let Person {
            crypto,
            storage,
            device,
        } = &self.founder;
        let content = content::text(crypto, &"x".repeat(bytes))?;
        let saying = Saying {
            content: &content,
            gossip: None,
            capability: None,
            after_seq: self.seq,
            not_after: not_after()?,
        };
        let post = self.group.encrypt(crypto, storage, device, &saying)?;
        Ok(post)
    }
}
