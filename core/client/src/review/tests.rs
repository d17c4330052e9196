//! Auditors' stories, over a log in memory.

use std::fs;
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer, SigningKey};
use paigham_transparency::audit_file::{AuditRecord, Checkpoint};
use paigham_transparency::auditor::{AuditError, AuditorState};
use paigham_transparency::hash::Label;
use paigham_transparency::log_tree;
use paigham_transparency::prover::audit_update;
use paigham_transparency::publish::{NewVersion, publish};
use paigham_transparency::store::{MemoryStore, Store};
use paigham_transparency::structs::{CipherSuite, DeploymentMode, TreeHeadTbs};
use paigham_transparency::verifier::Ed25519Heads;
use paigham_transparency::vrf::VrfSecretKey;

use super::*;

struct Log {
    store: MemoryStore,
    vrf: VrfSecretKey,
    signing: SigningKey,
    now: u64,
}

impl Log {
    fn new() -> Self {
        Self {
            store: MemoryStore::default(),
            vrf: VrfSecretKey::from_seed(&[22; 32]),
            signing: SigningKey::from_bytes(&[11; 32]),
            now: 1_700_000_000_000,
        }
    }

    fn header(&self) -> AuditHeader {
        AuditHeader {
            config: Configuration {
                ciphersuite: CipherSuite::Ed25519,
                mode: DeploymentMode::ContactMonitoring,
                signature_public_key: self.signing.verifying_key().to_bytes().to_vec(),
                vrf_public_key: self.vrf.public_key().as_bytes().to_vec(),
                max_ahead: 120_000,
                max_behind: 900_000,
                reasonable_monitoring_window: 3_600_000,
                maximum_lifetime: None,
            },
            canister_id: Vec::new(),
            root_key_hash: [0; 32],
            start: AuditorState::default(),
        }
    }

    /// Publishes a version of each name, and gives the entry to the auditor.
    fn publish(&mut self, names: &[&str]) -> AuditRecord {
        self.now += 60_000;
        let versions: Vec<NewVersion> = names
            .iter()
            .map(|name| NewVersion {
                label: Label::new(name.as_bytes()).unwrap(),
                value: name.as_bytes().to_vec(),
                opening: [7; 16],
            })
            .collect();
        let position = publish(&mut self.store, &self.vrf, self.now, &versions).unwrap();
        AuditRecord::Update(audit_update(&self.store, position).unwrap())
    }

    fn checkpoint(&self) -> AuditRecord {
        let tree_size = self.store.tree_size();
        let root = log_tree::root(&self.store, tree_size).unwrap();
        let config = self.header().config;
        let head = TreeHeadTbs {
            config,
            tree_size,
            root,
        };
        let signature = self.signing.sign(&head.signed_message().unwrap());
        AuditRecord::Checkpoint(Checkpoint {
            tree_size,
            root,
            signature: signature.to_bytes().to_vec(),
            code_evidence: Vec::new(),
        })
    }
}

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file with three entries and their signed head.
    fn audited(&self, log: &mut Log, name: &str) -> PathBuf {
        let path = self.path(name);
        let mut file = AuditLog::create(&path, log.header()).unwrap();
        let records = [
            log.publish(&["amina", "bilal"]),
            log.publish(&[]),
            log.publish(&["amina"]),
            log.checkpoint(),
        ];
        file.append(&records, Some(&Ed25519Heads)).unwrap();
        path
    }
}

fn verify(path: &Path) -> Result<Audit, ReviewError> {
    verify_audit(path, Some(&Ed25519Heads), &mut |_, _| Ok(()))
}

/// An auditor fetches a log, another reads the file: the same log, under the same signed head.
#[test]
fn a_file_tells_others_what_the_auditor_saw() {
    let (desk, mut log) = (Desk::new(), Log::new());
    let path = desk.audited(&mut log, "audit");
    let audit = verify(&path).unwrap();
    assert_eq!((audit.state().size(), audit.added()), (3, 3));
    assert_eq!(audit.checkpoints(), (1, 0));
    assert_eq!(audit.newest_checkpoint(), Some(3));
    let root = log_tree::root(&log.store, 3);
    assert_eq!(audit.state().root(), root);
    let unsigned = verify_audit(&path, None, &mut |_, _| Ok(())).unwrap();
    assert_eq!(unsigned.checkpoints(), (1, 1));
}

/// The auditor's machine dies in the middle of a write. What was whole is still there, and the
/// audit goes on behind it.
#[test]
fn an_interrupted_file_goes_on() {
    let (desk, mut log) = (Desk::new(), Log::new());
    let path = desk.audited(&mut log, "audit");
    let whole = fs::read(&path).unwrap();
    let next = [log.publish(&["chandni"]), log.checkpoint()];
    let torn = next[0].encode().unwrap();
    for left in [1, 4, 5, torn.len() - 1] {
        fs::write(&path, [&whole[..], &torn[..left]].concat()).unwrap();
        let at = whole.len() as u64;
        assert!(matches!(verify(&path), Err(ReviewError::Torn { at: found }) if found == at));
        let mut file = AuditLog::open(&path, Some(&Ed25519Heads)).unwrap();
        assert_eq!(file.audit().state().size(), 3);
        file.append(&next, Some(&Ed25519Heads)).unwrap();
        drop(file);
        assert_eq!(verify(&path).unwrap().state().size(), 4);
    }
}

/// Whoever changes a byte of a file, or leaves an entry out, is noticed.
#[test]
fn a_changed_file_is_refused() {
    let (desk, mut log) = (Desk::new(), Log::new());
    let path = desk.audited(&mut log, "audit");
    let whole = fs::read(&path).unwrap();
    let header = log.header().to_file().unwrap().len();
    for byte in (header..whole.len()).step_by(3) {
        let mut changed = whole.clone();
        changed[byte] ^= 1;
        fs::write(&path, &changed).unwrap();
        assert!(verify(&path).is_err(), "byte {byte}");
    }
    let first = 5 + u32::from_be_bytes(whole[header + 1..header + 5].try_into().unwrap()) as usize;
    let without = [&whole[..header], &whole[header + first..]].concat();
    fs::write(&path, without).unwrap();
    assert!(matches!(
        verify(&path),
        Err(ReviewError::Entry {
            position: 0,
            source: AuditError::Root
        })
    ));
}

/// A log shows its auditor other entries than it signs for its readers.
#[test]
fn a_head_over_another_root_is_refused() {
    let (desk, mut log, mut other) = (Desk::new(), Log::new(), Log::new());
    let path = desk.path("audit");
    let mut file = AuditLog::create(&path, log.header()).unwrap();
    other.publish(&["ghost"]);
    let entry = log.publish(&["amina"]);
    let refused = file.append(&[entry.clone(), other.checkpoint()], Some(&Ed25519Heads));
    assert!(matches!(refused, Err(ReviewError::OtherRoot { size: 1 })));
    // Nothing of it was written.
    assert_eq!(file.audit().state().size(), 0);
    let AuditRecord::Checkpoint(mut head) = log.checkpoint() else {
        unreachable!("a checkpoint")
    };
    head.signature[0] ^= 1;
    let refused = file.append(&[entry, AuditRecord::Checkpoint(head)], Some(&Ed25519Heads));
    assert!(matches!(
        refused,
        Err(ReviewError::HeadSignature { size: 1 })
    ));
    drop(file);
    assert_eq!(verify(&path).unwrap().state().size(), 0);
}

/// Two processes do not write one file.
#[test]
fn one_process_has_a_file() {
    let (desk, mut log) = (Desk::new(), Log::new());
    let path = desk.audited(&mut log, "audit");
    let first = AuditLog::open(&path, None).unwrap();
    assert!(AuditLog::open(&path, None).is_err());
    assert!(AuditLog::create(&path, log.header()).is_err());
    drop(first);
    AuditLog::open(&path, None).unwrap();
}

fn sign(auditor: &mut Auditor, path: &Path) -> Result<AuditorTreeHead, ReviewError> {
    let audit = verify_audit(path, Some(&Ed25519Heads), &mut |audit, said| {
        auditor.compare(audit, said)
    })?;
    auditor.sign(&audit)
}

/// An auditor signs what it checked; asked again, also by another process, it says the same.
#[test]
fn an_auditor_signs_once() {
    let (desk, mut log) = (Desk::new(), Log::new());
    let path = desk.audited(&mut log, "audit");
    let key = desk.path("key");
    let mut auditor = Auditor::create(&key).unwrap();
    let head = sign(&mut auditor, &path).unwrap();
    let audit = verify(&path).unwrap();
    let said = audit.state().to_be_signed(&log.header().config).unwrap();
    let signature = ed25519_dalek::Signature::from_slice(&head.signature).unwrap();
    let public = ed25519_dalek::VerifyingKey::from_bytes(&auditor.public_key()).unwrap();
    public
        .verify_strict(&said.encode().unwrap(), &signature)
        .unwrap();
    drop(auditor);
    let mut again = Auditor::open(&key).unwrap();
    assert_eq!(sign(&mut again, &path).unwrap(), head);
    let lines = fs::read_to_string(desk.path("key.signed")).unwrap();
    assert_eq!(lines.lines().count(), 1);
    assert!(Auditor::create(&key).is_err());
}

/// A forked log is brought to an auditor who has signed the other one: at the same size, at a
/// greater one, and at a smaller one. It signs none, whatever its machine forgot.
#[test]
fn an_auditor_never_signs_two_roots_for_one_size() {
    let (desk, mut log, mut fork) = (Desk::new(), Log::new(), Log::new());
    let path = desk.audited(&mut log, "audit");
    let mut auditor = Auditor::create(&desk.path("key")).unwrap();
    sign(&mut auditor, &path).unwrap();

    let forked = desk.path("fork");
    let mut file = AuditLog::create(&forked, fork.header()).unwrap();
    for name in ["amina", "bilal", "ghost", "later"] {
        let entry = fork.publish(&[name]);
        file.append(&[entry], None).unwrap();
        let size = file.audit().state().size();
        let refused = sign(&mut auditor, &forked);
        match size {
            1 | 2 => assert!(matches!(
                refused,
                Err(ReviewError::BehindSigned { signed: 3, entries }) if entries == size
            )),
            _ => assert!(matches!(
                refused,
                Err(ReviewError::SignedOtherwise { size: 3 })
            )),
        }
    }
}

/// The auditor dies while it writes down what it signs: the line is not whole, so its signature
/// was given to nobody, and is forgotten.
#[test]
fn a_statement_that_was_not_kept_was_not_given() {
    let (desk, mut log) = (Desk::new(), Log::new());
    let path = desk.audited(&mut log, "audit");
    let (key, signed) = (desk.path("key"), desk.path("key.signed"));
    let mut auditor = Auditor::create(&key).unwrap();
    sign(&mut auditor, &path).unwrap();
    drop(auditor);
    let line = fs::read_to_string(&signed).unwrap();
    fs::write(&signed, format!("{line}{}", &line[..40])).unwrap();
    let mut auditor = Auditor::open(&key).unwrap();
    sign(&mut auditor, &path).unwrap();
    drop(auditor);
    assert_eq!(fs::read_to_string(&signed).unwrap(), line);
    // What is whole and cannot be read is not passed over.
    fs::write(&signed, "nonsense\n").unwrap();
    assert!(matches!(
        Auditor::open(&key),
        Err(ReviewError::AuditorFile(_))
    ));
}

/// Files of other kinds, and lengths made to hurt, are told apart from audits.
#[test]
fn other_files_are_no_audits() {
    let desk = Desk::new();
    let path = desk.path("file");
    for bytes in [
        &b""[..],
        b"NKTA",
        b"NKTA1",
        b"NKTA1\xff\xff\xff\xff",
        b"PGLK1abc",
    ] {
        fs::write(&path, bytes).unwrap();
        assert!(matches!(verify(&path), Err(ReviewError::OtherKind(_))));
        assert!(SavedLookup::from_bytes(bytes).is_err());
    }
}
