//! OpenMLS keeps two members' state in two homes, over restarts, failures and replays.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it is"
)]

use std::path::Path;

use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, GroupId, KeyPackage, KeyPackageBundle,
    KeyPackageIn, LeafNodeParameters, MlsGroup, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn,
    MlsMessageOut, OpenMlsProvider, ProcessedMessageContent, ProtocolMessage, ProtocolVersion,
    RatchetTreeIn, StagedWelcome, Welcome,
};
use openmls::prelude::{
    group_info::GroupInfo,
    hash_ref::ProposalRef,
    tls_codec::{Deserialize as _, Serialize as _},
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_libcrux_crypto::CryptoProvider;
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::storage::StorageProvider as _;
use paigham_store::{KdfCost, MlsStorage, Store, Table, WriteSet};
use tempfile::TempDir;

const SUITE: Ciphersuite = Ciphersuite::MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519;
const PASSPHRASE: &str = "p";

/// OpenMLS's view of one change.
struct Provider<'a> {
    crypto: CryptoProvider,
    storage: MlsStorage<'a>,
}

impl<'a> OpenMlsProvider for Provider<'a> {
    type CryptoProvider = CryptoProvider;
    type RandProvider = CryptoProvider;
    type StorageProvider = MlsStorage<'a>;

    fn storage(&self) -> &MlsStorage<'a> {
        &self.storage
    }

    fn crypto(&self) -> &CryptoProvider {
        &self.crypto
    }

    fn rand(&self) -> &CryptoProvider {
        &self.crypto
    }
}

fn provider(set: &WriteSet) -> Provider<'_> {
    Provider {
        crypto: CryptoProvider::new().unwrap(),
        storage: set.mls(),
    }
}

/// A member with a home. Nothing of MLS is kept in memory between two of its steps.
struct Member {
    name: &'static str,
    home: TempDir,
    store: Option<Store>,
    public_key: Vec<u8>,
    private_key: Vec<u8>,
}

/// What a committer hands to one who joins.
struct Invitation {
    welcome: Vec<u8>,
    tree: Vec<u8>,
}

impl Member {
    fn new(name: &'static str) -> Self {
        let home = TempDir::new().unwrap();
        let store = Store::create(home.path(), PASSPHRASE, KdfCost::WEAK_FOR_TESTS).unwrap();
        let crypto = CryptoProvider::new().unwrap();
        let (private_key, public_key) = crypto.signature_key_gen(SUITE.into()).unwrap();
        let signer =
            SignatureKeyPair::from_raw(SUITE.into(), private_key.clone(), public_key.clone());
        let set = store.begin();
        signer.store(&set.mls()).unwrap();
        set.commit().unwrap();
        Self {
            name,
            home,
            store: Some(store),
            public_key,
            private_key,
        }
    }

    /// Closes the home and opens it again.
    fn restart(&mut self) {
        self.store = None;
        self.store = Some(Store::open(self.home.path(), PASSPHRASE).unwrap());
    }

    fn begin(&self) -> WriteSet {
        self.store.as_ref().unwrap().begin()
    }

    fn signer(&self, set: &WriteSet) -> SignatureKeyPair {
        SignatureKeyPair::read(&set.mls(), &self.public_key, SUITE.into()).unwrap()
    }

    fn credential(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.name.into()).into(),
            signature_key: self.public_key.clone().into(),
        }
    }

    /// Makes a key package and returns its public part.
    fn key_package(&self) -> Vec<u8> {
        let set = self.begin();
        let bundle = KeyPackage::builder()
            .build(
                SUITE,
                &provider(&set),
                &self.signer(&set),
                self.credential(),
            )
            .unwrap();
        set.commit().unwrap();
        bundle.key_package().tls_serialize_detached().unwrap()
    }

    /// Starts a group and adds the owner of a key package.
    fn starts_with(&self, group: &GroupId, key_package: &[u8]) -> Invitation {
        let set = self.begin();
        let provider = provider(&set);
        let signer = self.signer(&set);
        let mut mls = MlsGroup::builder()
            .ciphersuite(SUITE)
            .with_group_id(group.clone())
            .build(&provider, &signer, self.credential())
            .unwrap();
        let key_package = KeyPackageIn::tls_deserialize_exact(key_package)
            .unwrap()
            .validate(provider.crypto(), ProtocolVersion::Mls10)
            .unwrap();
        let added: (MlsMessageOut, MlsMessageOut, Option<GroupInfo>) =
            mls.add_members(&provider, &signer, &[key_package]).unwrap();
        mls.merge_pending_commit(&provider).unwrap();
        let tree = mls.export_ratchet_tree().tls_serialize_detached().unwrap();
        set.commit().unwrap();
        Invitation {
            welcome: added.1.tls_serialize_detached().unwrap(),
            tree,
        }
    }

    fn group(&self, set: &WriteSet, group: &GroupId) -> MlsGroup {
        MlsGroup::load(&set.mls(), group)
            .unwrap()
            .expect("the group is stored")
    }

    fn says(&self, group: &GroupId, text: &str) -> Vec<u8> {
        let set = self.begin();
        let mut mls = self.group(&set, group);
        let message = mls
            .create_message(&provider(&set), &self.signer(&set), text.as_bytes())
            .unwrap();
        set.commit().unwrap();
        message.tls_serialize_detached().unwrap()
    }

    /// Commits fresh keys of its own.
    fn updates(&self, group: &GroupId) -> Vec<u8> {
        let set = self.begin();
        let provider = provider(&set);
        let mut mls = self.group(&set, group);
        let bundle = mls
            .self_update(&provider, &self.signer(&set), LeafNodeParameters::default())
            .unwrap();
        mls.merge_pending_commit(&provider).unwrap();
        set.commit().unwrap();
        bundle.into_commit().tls_serialize_detached().unwrap()
    }

    /// Processes a message in a change that the caller commits or drops. A text is returned.
    fn reads(&self, set: &WriteSet, group: &GroupId, message: &[u8]) -> Result<String, ()> {
        let provider = provider(set);
        let mut mls = self.group(set, group);
        let message = MlsMessageIn::tls_deserialize_exact(message).unwrap();
        let message: ProtocolMessage = message.try_into_protocol_message().unwrap();
        let processed = mls.process_message(&provider, message).map_err(|_| ())?;
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(text) => {
                Ok(String::from_utf8(text.into_bytes()).unwrap())
            }
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                mls.merge_staged_commit(&provider, *commit).unwrap();
                Ok(String::new())
            }
            _ => Err(()),
        }
    }

    fn hears(&self, group: &GroupId, message: &[u8]) -> Result<String, ()> {
        let set = self.begin();
        let text = self.reads(&set, group, message)?;
        set.commit().unwrap();
        Ok(text)
    }

    fn authenticator(&self, group: &GroupId) -> (u64, Vec<u8>) {
        let set = self.begin();
        let mls = self.group(&set, group);
        (
            mls.epoch().as_u64(),
            mls.epoch_authenticator().as_slice().to_vec(),
        )
    }

    /// How many records OpenMLS has in the home.
    fn records(&self) -> usize {
        self.begin()
            .all::<serde::de::IgnoredAny>(Table::Mls)
            .unwrap()
            .len()
    }
}

fn welcome(bytes: &[u8]) -> Welcome {
    match MlsMessageIn::tls_deserialize_exact(bytes)
        .unwrap()
        .extract()
    {
        MlsMessageBodyIn::Welcome(welcome) => welcome,
        other => panic!("not a Welcome: {other:?}"),
    }
}

fn joins(set: &WriteSet, invitation: &Invitation) -> Result<(), ()> {
    let provider = provider(set);
    let tree = RatchetTreeIn::tls_deserialize_exact(&invitation.tree).unwrap();
    StagedWelcome::new_from_welcome(
        &provider,
        &MlsGroupJoinConfig::default(),
        welcome(&invitation.welcome),
        Some(tree),
    )
    .and_then(|staged| staged.into_group(&provider))
    .map(drop)
    .map_err(|_| ())
}

/// A group of two, both joined.
fn pair() -> (Member, Member, GroupId) {
    let (amna, bilal) = (Member::new("amna"), Member::new("bilal"));
    let group = GroupId::from_slice(b"chai");
    let invitation = amna.starts_with(&group, &bilal.key_package());
    let set = bilal.begin();
    joins(&set, &invitation).unwrap();
    set.commit().unwrap();
    (amna, bilal, group)
}

/// Debug builds of OpenMLS need more stack than a test's thread has.
fn with_stack(story: fn()) {
    let thread = std::thread::Builder::new()
        .stack_size(8 << 20)
        .spawn(story)
        .unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Amna starts a group and adds Bilal; they write to each other, both close and open their homes
/// between any two steps, Bilal commits fresh keys, and they go on in one epoch.
#[test]
fn two_members_over_restarts() {
    with_stack(|| {
        let (mut amna, mut bilal, group) = pair();
        for round in 0..3 {
            let text = format!("سلام {round}");
            let message = amna.says(&group, &text);
            bilal.restart();
            assert_eq!(bilal.hears(&group, &message), Ok(text.clone()));
            let answer = bilal.says(&group, "وعلیکم السلام");
            amna.restart();
            assert_eq!(amna.hears(&group, &answer).as_deref(), Ok("وعلیکم السلام"));

            let commit = bilal.updates(&group);
            bilal.restart();
            assert_eq!(amna.hears(&group, &commit).as_deref(), Ok(""));
            amna.restart();
            assert_eq!(amna.authenticator(&group), bilal.authenticator(&group));
            assert_eq!(amna.authenticator(&group).0, 2 + round);
        }
    });
}

/// Bilal gets a Welcome with the tree of another group. It fails, and OpenMLS has by then deleted
/// his key package; the change is dropped, so it is still there, and the right tree lets him in.
/// Once he has joined, the key package is gone.
#[test]
fn a_failed_welcome_leaves_the_key_package() {
    with_stack(|| {
        let (amna, mut bilal) = (Member::new("amna"), Member::new("bilal"));
        let group = GroupId::from_slice(b"chai");
        let key_package = bilal.key_package();
        let reference = KeyPackageIn::tls_deserialize_exact(&*key_package)
            .unwrap()
            .validate(&CryptoProvider::new().unwrap(), ProtocolVersion::Mls10)
            .unwrap()
            .hash_ref(&CryptoProvider::new().unwrap())
            .unwrap();
        let is_there = |set: &WriteSet| {
            set.mls()
                .key_package::<_, KeyPackageBundle>(&reference)
                .unwrap()
                .is_some()
        };
        let right = amna.starts_with(&group, &key_package);
        let other = amna.starts_with(&GroupId::from_slice(b"other"), &bilal.key_package());
        let wrong = Invitation {
            welcome: right.welcome.clone(),
            tree: other.tree,
        };

        let set = bilal.begin();
        assert!(is_there(&set));
        assert_eq!(joins(&set, &wrong), Err(()));
        assert!(!is_there(&set), "OpenMLS consumes it even when it fails");
        drop(set);

        bilal.restart();
        assert!(is_there(&bilal.begin()));
        let set = bilal.begin();
        joins(&set, &right).unwrap();
        set.commit().unwrap();
        assert!(!is_there(&bilal.begin()));
        assert_eq!(amna.authenticator(&group), bilal.authenticator(&group));
    });
}

/// Bilal's phone dies between reading a message and the commit of the change: he reads it again.
/// Once committed, the same bytes are refused, also after a restart: its key is used up.
#[test]
fn a_message_is_read_once_and_only_once_committed() {
    with_stack(|| {
        let (amna, mut bilal, group) = pair();
        let message = amna.says(&group, "once");
        for _ in 0..2 {
            let set = bilal.begin();
            assert_eq!(bilal.reads(&set, &group, &message).as_deref(), Ok("once"));
            drop(set);
            bilal.restart();
        }
        assert_eq!(bilal.hears(&group, &message).as_deref(), Ok("once"));
        bilal.restart();
        assert_eq!(bilal.hears(&group, &message), Err(()));
        assert_eq!(
            bilal.hears(&group, &amna.says(&group, "next")).as_deref(),
            Ok("next")
        );
    });
}

/// Over ten epochs of fresh keys neither home gains a record: what OpenMLS deletes is deleted.
/// When the group itself is deleted, only the signature key is left.
#[test]
fn what_is_deleted_is_gone() {
    with_stack(|| {
        let (amna, bilal, group) = pair();
        let mut counts = Vec::new();
        for _ in 0..10 {
            amna.hears(&group, &bilal.updates(&group)).unwrap();
            bilal.hears(&group, &amna.updates(&group)).unwrap();
            counts.push((amna.records(), bilal.records()));
        }
        assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
        for member in [&amna, &bilal] {
            let set = member.begin();
            member.group(&set, &group).delete(&set.mls()).unwrap();
            set.commit().unwrap();
            assert_eq!(member.records(), 1, "{}", member.name);
        }
    });
}

/// Amna proposes fresh keys twice and restarts: both proposals are there, in their order. She
/// withdraws one, restarts, clears the rest: none is left, and the group still works.
#[test]
fn proposals_are_kept_in_order() {
    with_stack(|| {
        let (mut amna, bilal, group) = pair();
        let set = amna.begin();
        let (provider, signer) = (provider(&set), amna.signer(&set));
        let mut mls = amna.group(&set, &group);
        let references: Vec<_> = (0..2)
            .map(|_| {
                let fresh = LeafNodeParameters::default();
                mls.propose_self_update(&provider, &signer, fresh)
                    .unwrap()
                    .1
            })
            .collect();
        set.commit().unwrap();

        amna.restart();
        let pending = |set: &WriteSet| -> Vec<ProposalRef> {
            let stored = set.mls().queued_proposal_refs(&group).unwrap();
            assert_eq!(
                stored.len(),
                amna.group(set, &group).pending_proposals().count()
            );
            stored
        };
        let set = amna.begin();
        assert_eq!(pending(&set), references);
        amna.group(&set, &group)
            .remove_pending_proposal(&set.mls(), &references[0])
            .unwrap();
        set.commit().unwrap();
        assert_eq!(pending(&amna.begin()), references[1..]);
        let set = amna.begin();
        amna.group(&set, &group)
            .clear_pending_proposals(&set.mls())
            .unwrap();
        set.commit().unwrap();
        assert!(pending(&amna.begin()).is_empty());
        assert_eq!(
            bilal.hears(&group, &amna.says(&group, "done")).as_deref(),
            Ok("done")
        );
    });
}

/// Two members write to each other. No file of either home holds the text, the members' private
/// signature keys, the epoch's exported secret or its authenticator.
#[test]
fn no_file_holds_a_secret_of_the_group() {
    with_stack(|| {
        let (amna, bilal, group) = pair();
        let text = "canary: the well behind the school";
        assert_eq!(
            bilal.hears(&group, &amna.says(&group, text)).as_deref(),
            Ok(text)
        );
        amna.hears(&group, &bilal.updates(&group)).unwrap();
        let mut secrets = vec![text.as_bytes().to_vec(), amna.authenticator(&group).1];
        for member in [&amna, &bilal] {
            let set = member.begin();
            secrets.push(member.private_key.clone());
            let mls = member.group(&set, &group);
            let crypto = CryptoProvider::new().unwrap();
            secrets.push(mls.export_secret(&crypto, "canary", b"", 32).unwrap());
        }
        for mut member in [amna, bilal] {
            member.restart();
            member.store = None;
            let files = bytes_below(member.home.path());
            assert!(files.len() > 10_000, "there is something to search");
            for secret in &secrets {
                let half = &secret[..16.min(secret.len())];
                let hex: String = half.iter().map(|byte| format!("{byte:02x}")).collect();
                for form in [half, hex.as_bytes()] {
                    assert!(!files.windows(form.len()).any(|window| window == form));
                }
            }
        }
    });
}

fn bytes_below(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        bytes.extend(if path.is_dir() {
            bytes_below(&path)
        } else {
            std::fs::read(path).unwrap()
        });
    }
    bytes
}
