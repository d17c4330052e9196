//! The judge of a network with a transparency log, with real heads and certificates.

use paigham_lookup::LookupError;
use paigham_wire::identity::{RecordContent, RecordKind, Role};
use paigham_wire::log::LabelAnswer;

use self::log::{Directory, HOUR, MINUTE as LOG_MINUTE, NS, Owner, Reader, device, public};
use super::*;
use crate::proof::{LogJudge, PROOF_MAX_AGE_NS, PROOF_MAX_AHEAD_NS};

#[path = "../../../lookup/tests/common/mod.rs"]
#[expect(unreachable_pub, reason = "shared with the tests of core/lookup")]
mod log;

/// What the directory says of an account now, as a commit carries it.
fn proof(directory: &Directory, owner: &Owner) -> Proof {
    let (answer, _) = Reader::default().ask(directory, owner.account());
    let LabelAnswer::Found(answer) = answer else {
        panic!("the account is in the log");
    };
    let proof = LogProof {
        account: owner.account(),
        answer,
    };
    typed(&proof)
}

fn typed(proof: &LogProof) -> Proof {
    Proof {
        proof_type: PROOF_LOG,
        data: encode(proof).into(),
    }
}

fn claim(owner: &Owner, number: u8) -> LeafClaim {
    LeafClaim {
        account: owner.account(),
        device: DeviceId([number; 16]),
        leaf_key: public(number),
    }
}

fn judge(directory: &Directory) -> LogJudge {
    LogJudge {
        trust: directory.trust(),
    }
}

/// GRP-004: the log shows a device for ten minutes after the certificate of its head and two before
/// it, and no longer; what it shows is given back, to be watched.
#[test]
fn group_grp_004_the_log_proves_at_its_time() {
    let mut directory = Directory::new();
    directory.wait(LOG_MINUTE);
    directory.wait(LOG_MINUTE);
    let dua = Owner::create(&mut directory, 7);
    let (proof, now) = (proof(&directory, &dua), directory.certificate_time());
    let at = |time| judge(&directory).authorises(&[claim(&dua, 1)], &proof, time);
    let shown = at(now).unwrap().unwrap();
    assert_eq!(shown.found.outcome.account(), dua.account());
    assert_eq!(shown.found.certificate_time_ns, now);
    assert!(shown.found.watch.is_some());
    assert!(at(now + PROOF_MAX_AGE_NS).is_ok());
    assert!(at(now - PROOF_MAX_AHEAD_NS).is_ok());
    let stale = Err(ProofError::Certificate);
    assert_eq!(at(now + PROOF_MAX_AGE_NS + 1), stale);
    assert_eq!(at(now - PROOF_MAX_AHEAD_NS - 1), stale);
}

/// GRP-004: no other key, device or account, nobody else's signature, no proof of another type.
#[test]
fn group_grp_004_the_log_proves_nothing_else() {
    let mut directory = Directory::new();
    let dua = Owner::create(&mut directory, 7);
    let emad = Owner::create(&mut directory, 8);
    let now = directory.certificate_time();
    let good = proof(&directory, &dua);
    let judged = |claims: &[LeafClaim], proof: &Proof| {
        judge(&directory)
            .authorises(claims, proof, now)
            .map(|shown| shown.is_some())
    };
    assert_eq!(judged(&[claim(&dua, 1)], &good), Ok(true));
    let mut other_key = claim(&dua, 1);
    other_key.leaf_key = public(9);
    for wrong in [other_key, claim(&dua, 2), claim(&emad, 1)] {
        assert_eq!(judged(&[wrong], &good), Err(ProofError::Device));
        let both = [claim(&dua, 1), wrong];
        assert_eq!(judged(&both, &good), Err(ProofError::Device));
    }
    let mut cheating = directory.clone();
    cheating.signer.subnet = 2;
    let forged = judged(&[claim(&dua, 1)], &proof(&cheating, &dua));
    assert!(matches!(forged, Err(ProofError::Log(LookupError::Head(_)))));
    let mut borrowed: LogProof = paigham_wire::codec::decode(good.data.as_slice()).unwrap();
    borrowed.account = emad.account();
    let refused = judged(&[claim(&emad, 1)], &typed(&borrowed));
    assert!(matches!(refused, Err(ProofError::Log(_))));
    let mut foreign = good;
    foreign.proof_type = 1;
    assert_eq!(
        judged(&[claim(&dua, 1)], &foreign),
        Err(ProofError::Malformed)
    );
}

/// GRP-004: a device that was removed is none, and a deleted account has none; a frozen account
/// keeps its devices. What counts is the head in the proof, so an old proof of a device that was
/// removed since holds for ten minutes, for everybody alike.
#[test]
fn group_grp_004_revoked_devices_are_none() {
    let mut directory = Directory::new();
    let mut dua = Owner::create(&mut directory, 7);
    let add = dua.add(directory.now * NS, 2, 1);
    dua.log(&mut directory, LOG_MINUTE, &add).unwrap();
    let judged = |directory: &Directory, dua: &Owner, number| {
        let (proof, now) = (proof(directory, dua), directory.certificate_time());
        let judged = judge(directory).authorises(&[claim(dua, number)], &proof, now);
        judged.map(|_| ())
    };
    assert_eq!(judged(&directory, &dua, 2), Ok(()));
    let (old, then) = (proof(&directory, &dua), directory.certificate_time());

    let remove = dua.make(
        directory.now * NS,
        RecordKind::DeviceRemove,
        |content: &mut RecordContent| {
            content.devices = vec![device(1)];
            content.identity_key = public(5);
        },
        &[(Role::Identity, 1), (Role::NewIdentity, 5)],
    );
    dua.log(&mut directory, LOG_MINUTE, &remove).unwrap();
    assert_eq!(judged(&directory, &dua, 2), Err(ProofError::Device));
    let within = judge(&directory).authorises(&[claim(&dua, 2)], &old, then + PROOF_MAX_AGE_NS);
    assert!(within.is_ok());

    let freeze = dua.freeze(directory.now * NS, 5);
    let mut frozen = (directory.clone(), dua.clone());
    frozen.1.log(&mut frozen.0, HOUR, &freeze).unwrap();
    assert_eq!(judged(&frozen.0, &frozen.1, 1), Ok(()));

    let delete = dua.delete(directory.now * NS, 5);
    dua.log(&mut directory, HOUR, &delete).unwrap();
    assert_eq!(judged(&directory, &dua, 1), Ok(()));
    directory.wait(72 * HOUR);
    assert_eq!(judged(&directory, &dua, 1), Err(ProofError::Device));
}

/// Amina adds Dua's device by the log's proof: Bilal merges it, and has what he is to watch. Then
/// she adds a device that only she says is Dua's, as a directory's accomplice would: both stop
/// before it, and what they say is never for that device's ears.
#[test]
fn group_grp_004_nothing_is_encrypted_to_a_ghost() {
    story(|| {
        let (mut relay, mut amina, mut bilal, _) = three();
        let mut directory = Directory::starting(relay.net.now() / NS);
        let mut dua = Owner::create(&mut directory, 7);
        let add = dua.add(directory.now * NS, 11, 1);
        dua.log(&mut directory, LOG_MINUTE, &add).unwrap();
        // The stories' clock goes with the directory's.
        let now = directory.certificate_time();
        relay.net.pass(now - relay.net.now());
        let judge = judge(&directory);
        let commit = |amina: &mut Person, relay: &mut Relay, joiner: &Person| {
            let base = amina.base(vec![proof(&directory, &dua)]);
            let change = adding(&[joiner]);
            let staged = amina
                .step(|group, crypto, storage, device| {
                    group.commit(crypto, storage, device, &change, base)
                })
                .unwrap();
            assert!(relay.submit(&staged.submit));
            staged
        };
        let device = Person::of_account(dua.account(), 11, &relay.net);
        commit(&mut amina, &mut relay, &device);
        assert!(matches!(
            amina.take_under(&judge, &relay.last()),
            Ok(Received::OwnCommit)
        ));
        let Ok(Received::Committed(committed)) = bilal.take_under(&judge, &relay.last()) else {
            panic!("a commit");
        };
        let [shown] = &committed.judged.shown[..] else {
            panic!("one account");
        };
        assert_eq!(shown.found.outcome.account(), dua.account());
        assert_eq!(shown.found.view.size(), 3);
        agree(&[&amina, &bilal]);

        let mut ghost = Person::of_account(dua.account(), 66, &relay.net);
        let staged = commit(&mut amina, &mut relay, &ghost);
        let epoch = bilal.group().epoch();
        for person in [&mut amina, &mut bilal] {
            let stopped = person.take_under(&judge, &relay.last()).unwrap_err();
            assert!(matches!(
                stopped,
                ReceiveError::Stopped(Stopped::Violating {
                    rule: Violation::Proof,
                    ..
                })
            ));
            assert_eq!(person.group().epoch(), epoch);
            let ghosts = person
                .group()
                .members()
                .filter(|m| m.device().0 == [66; 16]);
            assert_eq!(ghosts.count(), 0);
        }
        // The ghost has its Welcome, and hears nothing by it.
        ghost.join(&relay, &staged.pointers[0].pointer).unwrap();
        let text = bilal.encrypt("for Amina and Dua").unwrap();
        let header = PostRef::decode(&text).unwrap();
        let entry = Entry {
            seq: 99,
            accepted_at: relay.net.now(),
            header: *header.header_bytes,
            keys_hash: None,
            envelope: header.envelope.to_vec().into(),
        };
        assert!(ghost.take_under(&judge, &entry).is_err());
    });
}
