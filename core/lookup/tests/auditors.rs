//! What auditors say of a head, and what nobody can make them say.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Directory, HOUR, Owner, Reader, key, public};
use ed25519_dalek::Signer;
use paigham_lookup::auditors::AUDITOR_MAX_LAG_MS;
use paigham_lookup::{AuditorPolicy, AuditorReport, AuditorSays};
use paigham_transparency::codec::Codec;
use paigham_transparency::consistency::Consistency;
use paigham_transparency::log_tree;
use paigham_transparency::store::Store;
use paigham_transparency::structs::{AuditorTreeHead, AuditorTreeHeadTbs};
use paigham_transparency::verifier::TreeView;
use paigham_wire::log::{Cosign, Cosignatures, Vouched};

/// Seeds of the auditors' keys.
const AUDITORS: [u8; 3] = [91, 92, 93];

/// Two of the three.
fn policy() -> AuditorPolicy {
    let mut keys = AUDITORS.map(public);
    keys.sort_unstable();
    AuditorPolicy::new(keys.to_vec(), 2)
}

/// What an auditor signs who has followed a log up to a size.
fn statement(directory: &Directory, auditor: u8, size: u64) -> Cosign {
    let newest = directory.store.entry(size - 1).unwrap();
    let said = AuditorTreeHeadTbs {
        config: directory.config.clone(),
        timestamp: newest.timestamp,
        tree_size: size,
        root: log_tree::root(&directory.store, size).unwrap(),
    };
    let head = AuditorTreeHead {
        timestamp: said.timestamp,
        tree_size: size,
        signature: key(auditor)
            .sign(&said.encode().unwrap())
            .to_bytes()
            .to_vec(),
    };
    Cosign {
        key: public(auditor),
        head: head.encode().unwrap().into(),
    }
}

/// As a directory shows it to somebody with a head of a size.
fn vouched(directory: &Directory, statement: Cosign, size: u64) -> Vouched {
    let signed = AuditorTreeHead::decode(statement.head.as_slice()).unwrap();
    let signed = signed.tree_size;
    let proof = Consistency::prove(&directory.store, signed.min(size), signed.max(size));
    Vouched {
        statement,
        consistency: proof.unwrap().encode().unwrap().into(),
    }
}

/// A log with some entries, and what a reader has seen of it.
fn log() -> (Directory, TreeView) {
    let mut directory = Directory::new();
    let owner = Owner::create(&mut directory, 3);
    for nonce in 4..9 {
        Owner::create(&mut directory, nonce);
    }
    let view = seen(&directory, &owner);
    (directory, view)
}

fn seen(directory: &Directory, owner: &Owner) -> TreeView {
    let mut reader = Reader::default();
    reader.look_up(directory, owner.account()).unwrap();
    reader.view.unwrap()
}

fn judge(directory: &Directory, view: &TreeView, statements: Vec<Vouched>) -> AuditorReport {
    policy().judge(&directory.trust(), view, &Cosignatures { statements })
}

fn says(report: &AuditorReport, auditor: u8) -> AuditorSays {
    let word = report.words.iter().find(|one| one.key == public(auditor));
    word.unwrap().says
}

/// One auditor signed an older size, one a size that the reader has not come to: both vouch for the
/// reader's head. The third is silent, and two are enough.
#[test]
fn statements_over_other_sizes_vouch() {
    let (mut directory, view) = log();
    let old = statement(&directory, 91, 3);
    Owner::create(&mut directory, 20);
    let new = statement(&directory, 92, directory.store.tree_size());
    let shown = [old, new].map(|said| vouched(&directory, said, view.size()));
    let report = judge(&directory, &view, shown.to_vec());
    assert!(matches!(
        says(&report, 91),
        AuditorSays::Vouches { size: 3, .. }
    ));
    assert!(matches!(
        says(&report, 92),
        AuditorSays::Vouches { size: 8, .. }
    ));
    assert_eq!(says(&report, 93), AuditorSays::Nothing);
    assert_eq!((report.vouching(), report.is_met()), (2, true));

    let alone = judge(&directory, &view, shown[..1].to_vec());
    assert!(!alone.is_met());
    assert_eq!(alone.disagreeing().count(), 0);
}

/// Who has not signed for more than two days is late: its word holds, and does not count.
#[test]
fn a_late_auditor_does_not_count() {
    let (mut directory, view) = log();
    let size = view.size();
    let said = |directory: &Directory| {
        AUDITORS
            .map(|auditor| statement(directory, auditor, size))
            .to_vec()
    };
    let statements = said(&directory);
    let owner = Owner::create(&mut directory, 30);
    directory.wait(AUDITOR_MAX_LAG_MS - HOUR);
    let in_time = seen(&directory, &owner);
    let show = |directory: &Directory, view: &TreeView| {
        let shown = statements.iter().cloned();
        let shown = shown.map(|one| vouched(directory, one, view.size()));
        judge(directory, view, shown.collect())
    };
    assert!(show(&directory, &in_time).is_met());
    directory.wait(2 * HOUR);
    let late = show(&directory, &seen(&directory, &owner));
    assert!(!late.is_met());
    assert!(matches!(says(&late, 91), AuditorSays::Late { .. }));
    assert_eq!(late.disagreeing().count(), 0, "late is no disagreement");
}

/// A log that shows a reader another history than its auditors has no statement for it: not with its
/// own proof, not with that of the other history, nor with a statement over another log.
#[test]
fn no_statement_fits_a_fork() {
    let (public_log, _) = log();
    let mut forked = Directory::new();
    let owner = Owner::create(&mut forked, 3);
    for nonce in 40..45 {
        Owner::create(&mut forked, nonce);
    }
    let view = seen(&forked, &owner);
    let size = view.size();
    for signed in 1..=public_log.store.tree_size() {
        let said = statement(&public_log, 91, signed);
        let of_fork = vouched(&forked, said.clone(), size);
        let of_public = vouched(&public_log, said, size);
        let mut mixed = of_fork.clone();
        mixed.consistency = of_public.consistency.clone();
        for shown in [of_fork, of_public, mixed] {
            let report = judge(&forked, &view, vec![shown]);
            // What both histories have in common both may say.
            let common =
                log_tree::root(&forked.store, signed) == log_tree::root(&public_log.store, signed);
            let expected = matches!(says(&report, 91), AuditorSays::Vouches { .. });
            assert!(common || !expected, "{signed}: {report:?}");
            if !common {
                assert_eq!(says(&report, 91), AuditorSays::Disagrees);
                assert_eq!(report.disagreeing().collect::<Vec<_>>(), [&public(91)]);
            }
        }
    }
}

/// A stranger's statement counts for nothing, one auditor's for one, and each changed byte of a
/// statement or of its proof makes it worthless.
#[test]
fn nobody_speaks_for_an_auditor() {
    let (directory, view) = log();
    let size = view.size();
    let good = vouched(&directory, statement(&directory, 91, 4), size);
    let stranger = vouched(&directory, statement(&directory, 50, 4), size);
    let report = judge(
        &directory,
        &view,
        vec![stranger, good.clone(), good.clone()],
    );
    assert_eq!(report.vouching(), 1);
    let mut borrowed = vouched(&directory, statement(&directory, 50, 4), size);
    borrowed.statement.key = public(91);
    let report = judge(&directory, &view, vec![borrowed]);
    assert_eq!(says(&report, 91), AuditorSays::Disagrees);
    let flips = |bytes: &[u8]| {
        (0..bytes.len())
            .map(|at| {
                let mut changed = bytes.to_vec();
                changed[at] ^= 1;
                changed
            })
            .collect::<Vec<_>>()
    };
    let heads = flips(good.statement.head.as_slice())
        .into_iter()
        .map(|head| {
            let mut changed = good.clone();
            changed.statement.head = head.into();
            changed
        });
    let proofs = flips(good.consistency.as_slice()).into_iter().map(|proof| {
        let mut changed = good.clone();
        changed.consistency = proof.into();
        changed
    });
    for changed in heads.chain(proofs) {
        let report = judge(&directory, &view, vec![changed.clone()]);
        assert_eq!(says(&report, 91), AuditorSays::Disagrees, "{changed:?}");
    }
}
