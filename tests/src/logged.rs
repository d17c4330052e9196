//! A population whose accounts are in the log, without clients: keys from numbers, records signed
//! natively, submitted as anybody may.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use paigham_lookup::LogTrust;
use paigham_lookup::account::account_label;
use paigham_transparency::codec::Codec;
use paigham_transparency::structs::Configuration;
use paigham_transparency::verifier::TreeView;
use paigham_wire::codec::{decode_result, encode};
use paigham_wire::directory::DirectoryError;
use paigham_wire::identity::{
    AccountState, DeviceEntry, IdentityRecord, RecordContent, RecordKind, Role, recovery_key_hash,
};
use paigham_wire::ids::{AccountId, CanisterId, DeviceId, InboxId};
use paigham_wire::log::{
    Lookup, LookupAnswers, Status, Submission, Submit, SubmitState, Submitted,
};
use paigham_wire::relay::Credential;
use tokio::task::JoinSet;

use crate::bare::BareAgent;
use crate::world::World;

/// Submissions on their way at the same time.
const AT_ONCE: usize = 128;
/// Until a submission is in an entry.
const PUBLISHED_MAX: Duration = Duration::from_secs(300);

/// An account and the number that its keys come from.
#[derive(Debug, Clone)]
pub struct Logged {
    number: u32,
    /// Identity keys so far.
    rotations: u8,
    state: AccountState,
}

fn seed(number: u32, what: u8, nth: u8) -> [u8; 32] {
    let mut seed = [what; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    seed[4] = nth;
    seed
}

fn key(number: u32, what: u8, nth: u8) -> SigningKey {
    SigningKey::from_bytes(&seed(number, what, nth))
}

fn public(key: &SigningKey) -> [u8; 32] {
    key.verifying_key().to_bytes()
}

impl Logged {
    /// A new account and its first record.
    ///
    /// # Panics
    /// If the rules refuse it.
    #[must_use]
    pub fn create(number: u32) -> (Self, IdentityRecord) {
        let (identity, recovery) = (key(number, 1, 0), key(number, 2, 0));
        let recovery_hash = recovery_key_hash(&public(&recovery));
        let nonce = seed(number, 3, 0);
        let content = RecordContent {
            version: 1,
            account: AccountId::derive(&public(&identity), &recovery_hash, &nonce),
            record_version: 0,
            identity_key: public(&identity),
            recovery_key_hash: recovery_hash,
            devices: vec![DeviceEntry {
                device: DeviceId(seed(number, 4, 0)[..16].try_into().unwrap()),
                leaf_key: public(&key(number, 5, 0)),
                shard: CanisterId::new(&[1]).unwrap(),
                inbox: InboxId(seed(number, 6, 0)),
                xwing_key_hash: seed(number, 7, 0),
                added_at: 1_700_000_000_000_000_000,
            }],
            previous: [0; 32],
            key_change_version: 0,
            key_change_hash: [0; 32],
            kind: RecordKind::Create { nonce },
        };
        let keys = [(Role::NewIdentity, &identity), (Role::Recovery, &recovery)];
        let record = IdentityRecord::sign(content, &keys);
        let state = AccountState::create(&record, 0).unwrap();
        let account = Self {
            number,
            rotations: 0,
            state,
        };
        (account, record)
    }

    /// Whose.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.state.account()
    }

    /// The label in the log.
    ///
    /// # Panics
    /// Never: it has 18 bytes.
    #[must_use]
    pub fn label(&self) -> Vec<u8> {
        account_label(self.account()).unwrap().as_bytes().to_vec()
    }

    /// The next identity key.
    pub fn rotate(&mut self) -> IdentityRecord {
        let (old, new) = (self.rotations, self.rotations + 1);
        self.rotations = new;
        let (old, new) = (key(self.number, 1, old), key(self.number, 1, new));
        let change = |content: &mut RecordContent| content.identity_key = public(&new);
        let keys = [(Role::Identity, &old), (Role::NewIdentity, &new)];
        self.next(RecordKind::Rotate, change, &keys)
    }

    /// A week of quiet.
    pub fn freeze(&mut self) -> IdentityRecord {
        let key = key(self.number, 1, self.rotations);
        self.next(RecordKind::Freeze, |_| {}, &[(Role::Identity, &key)])
    }

    fn next(
        &mut self,
        kind: RecordKind,
        change: impl FnOnce(&mut RecordContent),
        keys: &[(Role, &SigningKey)],
    ) -> IdentityRecord {
        let standing = self.state.at(0);
        let mut content = RecordContent {
            version: 1,
            account: self.account(),
            record_version: self.state.version() + 1,
            identity_key: standing.identity_key,
            recovery_key_hash: standing.recovery_key_hash,
            devices: standing.devices,
            previous: *self.state.newest_hash(),
            key_change_version: standing.key_change.0,
            key_change_hash: standing.key_change.1,
            kind,
        };
        change(&mut content);
        let record = IdentityRecord::sign(content, keys);
        self.state = self.state.apply(&record, 0).unwrap();
        record
    }
}

fn submission(record: &IdentityRecord) -> Submission {
    Submission::Identity(encode(record).into())
}

/// Whoever asks the directory without a client.
#[derive(Debug, Clone)]
pub struct LogReader {
    agent: BareAgent,
    directory: CanisterId,
    trust: LogTrust,
}

impl LogReader {
    /// In process, at the world's node.
    ///
    /// # Panics
    /// If the network names no log.
    #[must_use]
    pub fn of(world: &World) -> Self {
        let network = world.file();
        let file = network.file();
        let config = Configuration::decode(file.transparency.as_ref().unwrap()).unwrap();
        let directory = network.directory().unwrap();
        Self {
            agent: BareAgent::in_process(world),
            trust: LogTrust::new(file.root_key.to_vec(), directory.clone(), config).unwrap(),
            directory,
        }
    }

    /// Whose log.
    #[must_use]
    pub const fn trust(&self) -> &LogTrust {
        &self.trust
    }

    /// Submits records and waits until all of them are in entries.
    ///
    /// # Panics
    /// If one is refused or does not come into the log.
    pub async fn log(&self, records: Vec<IdentityRecord>) {
        let mut newest: Vec<Status> = Vec::with_capacity(records.len());
        let mut running = JoinSet::new();
        for record in records {
            let content = &record.content;
            newest.push(Status {
                label: content.account.directory_label()[..].into(),
                version: content.record_version,
                value_hash: submission(&record).value_hash(),
            });
            let reader = self.clone();
            running.spawn(async move { reader.submit(&record).await });
            while running.len() >= AT_ONCE {
                running.join_next().await.unwrap().unwrap();
            }
        }
        while let Some(submitted) = running.join_next().await {
            submitted.unwrap();
        }
        for status in newest {
            self.wait_for(&status).await;
        }
    }

    async fn submit(&self, record: &IdentityRecord) {
        let request = Submit {
            submission: submission(record),
            credential: Credential::none(),
        };
        let request = match record.content.record_version {
            0 => self.agent.paid(&self.directory, request).await,
            _ => encode(&request),
        };
        let answer = self
            .agent
            .update(&self.directory, "submit", &request)
            .await
            .unwrap();
        let _state: SubmitState = decode_result::<_, DirectoryError>(&answer)
            .unwrap()
            .unwrap();
    }

    async fn wait_for(&self, status: &Status) {
        let request = encode(status);
        let asked = async {
            loop {
                let answer = self.agent.query(&self.directory, "status", &request);
                let state = decode_result::<SubmitState, DirectoryError>(&answer.await.unwrap());
                if let Submitted::Published { .. } = state.unwrap().unwrap().state {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(PUBLISHED_MAX, asked).await.unwrap();
    }

    /// The raw reply about some labels, each from its first version on.
    ///
    /// # Panics
    /// If the directory refuses.
    pub async fn raw(&self, view: Option<&TreeView>, labels: &[Vec<u8>]) -> LookupAnswers {
        let request = Lookup {
            last: view.map(TreeView::size),
            wanted: self.agent.wanted(labels).await,
        };
        let answer = self
            .agent
            .query(&self.directory, "lookup", &encode(&request))
            .await
            .unwrap();
        decode_result::<_, DirectoryError>(&answer)
            .unwrap()
            .unwrap()
    }

    /// The present in nanoseconds since 1970.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.agent.now().as_nanos()).unwrap()
    }
}
