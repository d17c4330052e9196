//! What a directory or whoever carries its replies may try, and what the reader says.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use ic_certification::{HashTree, labeled, leaf};
use paigham_lookup::account::account_label;
use paigham_lookup::{AccountHistory, CanisterHeads, LogTrust, LookupError};
use paigham_transparency::codec::Codec;
use paigham_transparency::store::Store;
use paigham_transparency::structs::{CipherSuite, FullTreeHead, SearchRequest, SearchResponse};
use paigham_transparency::verifier::{VerifyError, VerifyHead};
use paigham_wire::canister_signature::{SignatureError, head_key};
use paigham_wire::certificate::{CertificateError, VerifiedCertificate};
use paigham_wire::codec::{decode, encode};
use paigham_wire::identity::IdentityRecord;
use paigham_wire::ids::AccountId;
use paigham_wire::log::{FoundLabel, LabelAnswer};
use paigham_wire::network::{CanisterRole, KeySet, NetworkCanister, NetworkFile, VerifiedNetwork};

/// Amina: create, a device, a freeze by mistake, seven days, another device.
fn amina() -> (Directory, Owner) {
    let mut directory = Directory::new();
    let mut amina = Owner::create(&mut directory, 7);
    let add = amina.add(directory.now * NS, 2, 1);
    amina.log(&mut directory, HOUR, &add).unwrap();
    let freeze = amina.freeze(directory.now * NS, 1);
    amina.log(&mut directory, HOUR, &freeze).unwrap();
    directory.wait(7 * 24 * HOUR);
    let add = amina.add(directory.now * NS, 3, 1);
    amina.log(&mut directory, HOUR, &add).unwrap();
    (directory, amina)
}

fn found(answer: &LabelAnswer) -> FoundLabel {
    match answer {
        LabelAnswer::Found(found) => found.clone(),
        LabelAnswer::Absent(_) => panic!("absent"),
    }
}

fn refused(directory: &Directory, amina: &Owner, reply: &(LabelAnswer, Vec<u8>)) -> LookupError {
    let read = Reader::default().read(directory, amina.account(), reply);
    read.unwrap_err()
}

/// A change to an honest answer, and what a new reader says to it.
fn changed(change: impl FnOnce(&mut FoundLabel)) -> LookupError {
    let (directory, amina) = amina();
    let (answer, head) = Reader::default().ask(&directory, amina.account());
    let mut answer = found(&answer);
    change(&mut answer);
    refused(&directory, &amina, &(LabelAnswer::Found(answer), head))
}

/// Records left out, swapped, put in twice, or changed.
#[test]
fn all_records_are_shown_and_no_others() {
    let form = LookupError::Form("not the versions that were asked for");
    assert_eq!(changed(|answer| drop(answer.earlier.remove(1))), form);
    assert_eq!(changed(|answer| answer.earlier.clear()), form);
    let doubled = changed(|answer| {
        let record = answer.earlier[1].clone();
        answer.earlier.insert(1, record);
    });
    assert_eq!(doubled, form);
    let swapped = changed(|answer| answer.earlier.swap(0, 1));
    assert_eq!(swapped, LookupError::Unlinked { version: 1 });
    let garbled = changed(|answer| answer.earlier[1] = vec![1, 2, 3].into());
    assert_eq!(garbled, LookupError::Unlinked { version: 1 });
    // The last one that the log does not show itself: the newest names it by its hash.
    let forged = changed(|answer| {
        let (_, amina) = amina();
        let mut other = amina;
        other.records.truncate(1);
        let create = &other.records[0];
        other.state = paigham_wire::identity::AccountState::create(create, 0).unwrap();
        answer.earlier[1] = encode(&other.add(0, 9, 1)).into();
    });
    assert_eq!(forged, LookupError::Unlinked { version: 1 });
}

/// Places left out, for another version, under another number, or one too many.
#[test]
fn the_places_of_what_counts_by_time_are_shown() {
    let places = |version| LookupError::Places { version };
    assert_eq!(changed(|answer| answer.times.clear()), places(2));
    assert_eq!(changed(|answer| drop(answer.times.remove(1))), places(3));
    assert_eq!(changed(|answer| drop(answer.times.remove(0))), places(2));
    assert_eq!(changed(|answer| answer.times.swap(0, 1)), places(2));
    let doubled = changed(|answer| answer.times.push(answer.times[1].clone()));
    assert_eq!(doubled, places(3));
    let renamed = changed(|answer| answer.times[0].place = answer.times[1].place.clone());
    assert!(matches!(
        renamed,
        LookupError::Log(VerifyError::Vrf { version: 2, .. })
    ));

    // A place that is not asked for.
    let (directory, amina) = amina();
    let (answer, head) = Reader::default().ask(&directory, amina.account());
    let mut answer = found(&answer);
    let size = Some(directory.store.tree_size());
    let label = account_label(amina.account()).unwrap();
    answer.times.insert(0, directory.place(&label, 1, size));
    let reply = (LabelAnswer::Found(answer), head);
    assert_eq!(refused(&directory, &amina, &reply), places(2));
}

/// The answer about somebody else.
#[test]
fn the_answer_about_another_account_is_refused() {
    let (mut directory, amina) = amina();
    let bilal = Owner::create(&mut directory, 8);
    let reply = Reader::default().ask(&directory, bilal.account());
    let error = refused(&directory, &amina, &reply);
    assert!(matches!(error, LookupError::Log(VerifyError::Vrf { .. })));
    // A log that has bilal's record under amina's label.
    let mut forged = Directory::new();
    let label = account_label(amina.account()).unwrap();
    forged.publish(MINUTE, &[(label, encode(&bilal.records[0]))]);
    let reply = Reader::default().ask(&forged, amina.account());
    assert_eq!(refused(&forged, &amina, &reply), LookupError::OtherAccount);
}

/// A reader comes back to a log that tells another history, or a shorter one.
#[test]
fn a_history_that_was_seen_stays() {
    let mut directory = Directory::new();
    let mut amina = Owner::create(&mut directory, 7);
    let mut other = directory.clone();
    let mut twin = amina.clone();
    let short = directory.clone();
    let add = amina.add(directory.now * NS, 2, 1);
    amina.log(&mut directory, HOUR, &add).unwrap();
    let mut bilal = Reader::default();
    bilal.look_up(&directory, amina.account()).unwrap();
    // As if he had lost his view, or the log were one to which his view does not speak.
    bilal.view = None;
    let add = twin.add(other.now * NS, 3, 1);
    twin.log(&mut other, HOUR, &add).unwrap();
    let changed = bilal.look_up(&other, amina.account()).unwrap_err();
    assert_eq!(changed, LookupError::Changed { version: 1 });
    let add = twin.add(other.now * NS, 4, 1);
    twin.log(&mut other, HOUR, &add).unwrap();
    let forked = bilal.look_up(&other, amina.account()).unwrap_err();
    assert_eq!(forked, LookupError::Changed { version: 1 });
    let fewer = LookupError::Fewer { known: 2, shown: 1 };
    assert_eq!(bilal.look_up(&short, amina.account()).unwrap_err(), fewer);
    let none = LookupError::Fewer { known: 2, shown: 0 };
    let empty = Directory::new();
    assert_eq!(bilal.look_up(&empty, amina.account()).unwrap_err(), none);
    let (own, others) = (bilal.history.unwrap(), {
        let mut reader = Reader::default();
        reader
            .look_up(&other, amina.account())
            .unwrap()
            .outcome
            .unwrap()
    });
    assert_eq!(own.agrees_with(&others), Err(1));
    assert_eq!(own.agrees_with(&own.clone()), Ok(()));
}

/// A reader with a view is shown a log that was rolled back, or one that is another.
#[test]
fn a_view_that_was_seen_stays() {
    let (mut directory, amina) = amina();
    let old = directory.clone();
    directory.wait(HOUR);
    let mut bilal = Reader::default();
    bilal.look_up(&directory, amina.account()).unwrap();
    let (known, shown) = (directory.store.tree_size(), old.store.tree_size());
    let reply = Reader::default().ask(&old, amina.account());
    let refused = bilal.read(&directory, amina.account(), &reply).unwrap_err();
    assert_eq!(
        refused,
        LookupError::Log(VerifyError::Rollback { known, shown })
    );
    let mut fork = old;
    fork.wait(2 * HOUR);
    fork.wait(2 * HOUR);
    let refused = bilal.look_up(&fork, amina.account()).unwrap_err();
    assert!(matches!(
        refused,
        LookupError::Log(VerifyError::Signature | VerifyError::Fork)
    ));
}

/// Heads signed by whom and how they must not be.
#[test]
fn a_head_is_signed_by_this_directory() {
    let (directory, amina) = amina();
    let with = |change: &dyn Fn(&mut Directory)| {
        let mut cheating = directory.clone();
        change(&mut cheating);
        let new = Reader::default().ask(&cheating, amina.account());
        let error = refused(&directory, &amina, &new);
        // The same beside an answer that shows no head.
        let mut bilal = Reader::default();
        bilal.look_up(&directory, amina.account()).unwrap();
        let same = bilal.ask(&cheating, amina.account());
        let beside = bilal.read(&directory, amina.account(), &same).unwrap_err();
        (error, beside)
    };
    let both = |error: LookupError| (error, error);
    let certificate = |error| both(LookupError::Head(SignatureError::Certificate(error)));
    let unsigned = (
        LookupError::Log(VerifyError::Signature),
        LookupError::OtherHead,
    );
    let other = with(&|cheat| cheat.signer.canister = canister(8));
    assert_eq!(other, certificate(CertificateError::OtherCanister));
    let other = with(&|cheat| cheat.signer.subnet = 2);
    assert_eq!(other, certificate(CertificateError::Signature));
    assert_eq!(with(&|cheat| cheat.signer.seed = b"kt2".to_vec()), unsigned);
    assert_eq!(with(&|cheat| cheat.signer.leaf = vec![0]), unsigned);
    assert_eq!(with(&|cheat| cheat.config.max_behind += 1), unsigned);
}

/// A signature in another encoding, of another tree, or none.
#[test]
fn a_signature_has_one_encoding() {
    let (directory, amina) = amina();
    let mut bilal = Reader::default();
    bilal.look_up(&directory, amina.account()).unwrap();
    let (answer, head) = bilal.ask(&directory, amina.account());
    let with = |head: Vec<u8>| {
        let read = bilal.read(&directory, amina.account(), &(answer.clone(), head));
        read.map(|_| ())
    };
    assert_eq!(with(head.clone()), Ok(()));
    let malformed = Err(LookupError::Head(SignatureError::Malformed));
    let not_canonical = Err(LookupError::Head(SignatureError::NotCanonical));
    // Without the tag, with a longer length, the fields the other way round, with bytes behind.
    assert_eq!(with(head[3..].to_vec()), not_canonical);
    let mut long = head.clone();
    long.splice(3..4, [0xb8, 2]);
    assert_eq!(with(long), not_canonical);
    assert_eq!(with([&head[..], &[0]].concat()), malformed);
    assert_eq!(with(vec![0xd9, 0xd9, 0xf7]), malformed);
    assert_eq!(with(vec![0; 70_000]), malformed);
    #[derive(serde::Serialize)]
    struct Reversed {
        tree: HashTree,
        #[serde(with = "serde_bytes")]
        certificate: Vec<u8>,
    }
    let tree = directory.signer.tree(&directory.signed_message());
    let time = directory.certificate_time();
    let certificate = directory.signer.certificate(tree.digest(), time);
    let reversed = Reversed {
        tree: tree.clone(),
        certificate: certificate.clone(),
    };
    assert_eq!(with(self_described(&reversed)), not_canonical);
    // A certificate that is not in its one encoding.
    let mut longer = certificate.clone();
    longer.splice(3..4, [0xb8, 2]);
    let signature = Signature {
        certificate: longer,
        tree,
    };
    let error = SignatureError::Certificate(CertificateError::NotCanonical);
    assert_eq!(
        with(self_described(&signature)),
        Err(LookupError::Head(error))
    );
    // A tree that is not the certified one.
    let other = labeled("sig", labeled("anything", leaf("")));
    let signature = Signature {
        certificate,
        tree: other,
    };
    let error = LookupError::Head(SignatureError::Tree);
    assert_eq!(with(self_described(&signature)), Err(error));
    assert_eq!(with(Vec::new()), Err(LookupError::Form("no head")));
    // An answer with a head, and another head beside it.
    let (answer, _) = Reader::default().ask(&directory, amina.account());
    let twice = bilal.read(&directory, amina.account(), &(answer, head));
    assert_eq!(twice.unwrap_err(), LookupError::Form("two heads"));
}

/// A canister signature holds a plain certificate. One with a tree of its own below it would hold two
/// claims about what the canister certified: the tree of the signature is compared with the map in
/// the other tree, and nobody has certified that as a signature.
#[test]
fn a_certificate_in_a_signature_has_no_tree_of_its_own() {
    let (directory, amina) = amina();
    let (answer, _) = Reader::default().ask(&directory, amina.account());
    let LabelAnswer::Found(found) = answer else {
        panic!("she is there");
    };
    let request = SearchRequest {
        last: None,
        label: account_label(amina.account()).unwrap(),
        version: None,
    };
    let search = SearchResponse::decode_for(&request, found.search.as_slice()).unwrap();
    let read = |signature: Vec<u8>| {
        let mut search = search.clone();
        let FullTreeHead::Updated(head) = &mut search.full_tree_head else {
            panic!("a head for somebody who knows none");
        };
        head.signature = signature;
        let found = FoundLabel {
            search: search.encode().unwrap().into(),
            ..found.clone()
        };
        let reply = (LabelAnswer::Found(found), Vec::new());
        let read = Reader::default().read(&directory, amina.account(), &reply);
        read.map(|_| ())
    };
    let (signer, time) = (&directory.signer, directory.certificate_time());
    let signs = signer.tree(&directory.signed_message());
    let plain = Signature {
        certificate: signer.certificate(signs.digest(), time),
        tree: signs.clone(),
    };
    assert_eq!(read(self_described(&plain)), Ok(()));
    // What the canister certified is a map that has the signature's root as its own.
    let map = labeled("map", leaf(signs.digest()));
    let with_tree = Signature {
        certificate: signer.certificate(map.digest(), time),
        tree: map,
    };
    let nested = Signature {
        certificate: self_described(&with_tree),
        tree: signs,
    };
    let certificate = VerifiedCertificate::verify(
        &nested.certificate,
        directory.trust().root_key(),
        directory.trust().directory(),
    );
    let certified = certificate.unwrap().certified_data(&canister(7)).unwrap();
    assert_eq!(certified, nested.tree.digest(), "a tree that would fit");
    let error = SignatureError::Certificate(CertificateError::Malformed);
    assert_eq!(read(self_described(&nested)), Err(LookupError::Head(error)));
}

/// The subnet certifies a log that has stood still: the answer is stale by certified time, whatever
/// a clock says.
#[test]
fn a_log_that_stands_still_is_stale() {
    let (mut directory, amina) = amina();
    directory.signer.later = 15 * MINUTE * NS;
    Reader::default()
        .look_up(&directory, amina.account())
        .unwrap();
    directory.signer.later += NS;
    let behind = 15 * MINUTE + 1;
    let stale = Reader::default().look_up(&directory, amina.account());
    assert_eq!(
        stale.unwrap_err(),
        LookupError::Log(VerifyError::Stale { behind })
    );
}

/// A network file that names a log which nobody could check here.
#[test]
fn the_network_names_a_log_of_its_directory() {
    let directory = Directory::new();
    let trust = |change: &dyn Fn(&mut paigham_transparency::structs::Configuration)| {
        let mut config = directory.config.clone();
        change(&mut config);
        LogTrust::new(der(&bls(1)), canister(7), config).is_ok()
    };
    assert!(trust(&|_| {}));
    assert!(!trust(&|config| config.ciphersuite = CipherSuite::Ed25519));
    assert!(!trust(
        &|config| config.signature_public_key = head_key(&canister(8))
    ));
}

/// The same from the file itself: what it says of directory, root key and log is what counts.
#[test]
fn a_network_file_names_its_log() {
    let directory = Directory::new();
    let trust = |log: Option<Vec<u8>>| {
        let release = KeySet {
            keys: vec![public(1).into()],
            threshold: 1,
        };
        let canister = |role, number| NetworkCanister {
            role,
            id: canister(number).as_slice().to_vec().into(),
            module_hashes: vec![[number; 32].into()],
            controllers: Vec::new(),
        };
        let file = NetworkFile {
            version: 1,
            network: [4; 16].into(),
            name: "test".into(),
            sequence: 1,
            issued_at: 0,
            expires_at: 1,
            root_key: der(&bls(1)).into(),
            canisters: vec![
                canister(CanisterRole::Directory, 7),
                canister(CanisterRole::Relay, 8),
            ],
            authority: KeySet {
                keys: Vec::new(),
                threshold: 0,
            },
            proof_types: vec![2],
            urls: vec!["http://127.0.0.1:1".into()],
            gateways: Vec::new(),
            release,
            development: true,
            transparency: log.map(Into::into),
            auditors: None,
        };
        let bytes = file.sign(&[&key(1)]).unwrap();
        LogTrust::of_network(&VerifiedNetwork::pinned(&bytes).unwrap())
    };
    let config = directory.config.encode().unwrap();
    assert_eq!(trust(Some(config.clone())), Ok(directory.trust()));
    let refused = |log| matches!(trust(log), Err(LookupError::Trust(_)));
    assert!(refused(None));
    assert!(refused(Some(config[1..].to_vec())));
    let mut other = directory.config;
    other.signature_public_key = head_key(&canister(8));
    assert!(refused(Some(other.encode().unwrap())));
}

/// Whoever looks at old heads needs no reply around them.
#[test]
fn a_head_alone_is_checked() {
    let directory = Directory::new();
    let trust = directory.trust();
    let heads = CanisterHeads { trust: &trust };
    let (message, signature) = (directory.signed_message(), directory.head());
    assert!(heads.verify_head(&directory.config, &message, &signature));
    assert!(!heads.verify_head(&directory.config, b"other", &signature));
    assert!(!heads.verify_head(&directory.config, &message, b""));
    let mut other = directory.config;
    other.max_ahead += 1;
    assert!(!heads.verify_head(&other, &message, &signature));
}

/// In CI every so many bits; all of them with `PAIGHAM_ALL_BITS=1`.
const SAMPLE: usize = 211;

/// Accounts in logs of their own: nobody's, new, with one more device, frozen, about to come back,
/// about to be deleted.
fn accounts() -> Vec<(&'static str, Directory, AccountId)> {
    let create = || {
        let mut directory = Directory::new();
        let owner = Owner::create(&mut directory, 7);
        (directory, owner)
    };
    let changed = |change: fn(&Owner, u64) -> IdentityRecord| {
        let (mut directory, mut owner) = create();
        let record = change(&owner, directory.now * NS);
        owner.log(&mut directory, HOUR, &record).unwrap();
        (directory, owner.account())
    };
    let (new, owner) = create();
    let mut old = new.clone();
    old.wait(HOUR);
    let named = |name, (directory, account)| (name, directory, account);
    vec![
        ("nobody's", Directory::new(), owner.account()),
        ("new", new, owner.account()),
        ("old", old, owner.account()),
        named("with a device", changed(|owner, now| owner.add(now, 2, 1))),
        named("frozen", changed(|owner, now| owner.freeze(now, 1))),
        named("recovering", changed(|owner, now| owner.recover(now, 5))),
        named("deleted", changed(|owner, now| owner.delete(now, 1))),
    ]
}

/// One bit changed anywhere in answer or head is refused: in answers about accounts in all states,
/// to new readers, to those who ask again at the same head, and to those who come back later.
#[test]
fn a_changed_bit_is_refused() {
    let step = match std::env::var_os("PAIGHAM_ALL_BITS") {
        Some(_) => 1,
        None => SAMPLE,
    };
    let mut answers = 0;
    for (name, directory, account) in accounts() {
        let mut knowing = Reader::default();
        knowing.look_up(&directory, account).unwrap();
        let mut later = directory.clone();
        later.wait(HOUR);
        for (who, reader, directory) in [
            ("somebody new", Reader::default(), &directory),
            ("who asks again", knowing.clone(), &directory),
            ("who comes back", knowing, &later),
        ] {
            let (count, all) = changed_bits_are_refused(&reader, directory, account, step);
            println!("{name}, {who}: {count} of {all} bits refused");
            answers += 1;
        }
    }
    assert_eq!(answers, 21);
}

fn changed_bits_are_refused(
    reader: &Reader,
    directory: &Directory,
    account: AccountId,
    step: usize,
) -> (usize, usize) {
    let (answer, head) = reader.ask(directory, account);
    let answer = encode(&answer);
    let believes = |bytes: &[u8]| {
        let (answer, head) = bytes.split_at(answer.len());
        decode(answer).is_ok_and(|answer| {
            let reply = (answer, head.to_vec());
            reader.read(directory, account, &reply).is_ok()
        })
    };
    let mut bytes = [answer.clone(), head].concat();
    assert!(believes(&bytes), "the honest answer");
    let all = bytes.len() * 8;
    let mut count = 0;
    for bit in (0..all).step_by(step) {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(!believes(&bytes), "bit {bit} of {all}");
        bytes[bit / 8] ^= 1 << (bit % 8);
        count += 1;
    }
    (count, all)
}

/// A client's own records are bounded, and read back only as what they were.
#[test]
fn a_kept_history_is_checked_when_it_is_read() {
    let (directory, amina) = amina();
    let mut bilal = Reader::default();
    bilal.look_up(&directory, amina.account()).unwrap();
    let bytes = bilal.history.unwrap().to_bytes();
    for cut in 0..bytes.len() {
        assert!(AccountHistory::from_bytes(&bytes[..cut]).is_err());
    }
    assert!(AccountHistory::from_bytes(&[1, 0]).is_err());
    let mut longer = bytes;
    longer.push(0);
    assert!(AccountHistory::from_bytes(&longer).is_err());
}
