//! Evidence about handles, about a network's files, about what somebody watched, and what a member
//! said.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use ed25519_dalek::SigningKey;
use paigham_lookup::evidence::{
    Checked, Evidence, Item, Limit, Proved, RECENT_HEADS, Report, SaidRoot, ShownAnswer, ShownHead,
    ShownLabel, ShownWatch,
};
use paigham_lookup::handle::{HandleTimes, handle_label};
use paigham_lookup::networks::NetworkTimes;
use paigham_lookup::{Finding, LookupError};
use paigham_transparency::codec::Codec;
use paigham_transparency::hash::Label;
use paigham_transparency::structs::DistinguishedRequest;
use paigham_transparency::verifier::ContactMap;
use paigham_wire::codec::encode;
use paigham_wire::hash::sha256;
use paigham_wire::identity::handle::{
    Handle, HandleContent, HandleKind, HandleRecord, HandleRejected,
};
use paigham_wire::ids::AccountId;
use paigham_wire::log::Monitor;
use paigham_wire::network::{CanisterRole, KeySet, NetworkCanister, NetworkFile, VerifiedNetwork};

fn check(directory: &Directory, evidence: &Evidence) -> Report {
    let read = Evidence::from_bytes(&evidence.to_bytes()).unwrap();
    assert_eq!(read, *evidence);
    read.check(&directory.trust())
}

fn file(finding: Finding, network: &[u8], items: Vec<Item>) -> Evidence {
    Evidence {
        finding,
        network: network.to_vec().into(),
        items,
    }
}

fn account(directory: &Directory, owner: &Owner) -> Item {
    let (answer, head) = Reader::default().ask(directory, owner.account());
    Item::Account(ShownAnswer {
        before: None,
        known: Vec::new().into(),
        account: owner.account(),
        answer,
        head: head.into(),
    })
}

fn handle_item(directory: &Directory, handle: &Handle) -> Item {
    let label = handle_label(&handle.skeleton()).unwrap();
    let (answer, head) = directory.answer(&label, None, 0, &HandleTimes);
    Item::Label(ShownLabel {
        label: label.as_bytes().to_vec().into(),
        answer,
        head: head.into(),
    })
}

/// The first record of a handle for an account, signed by some key.
fn claim(handle: &Handle, owner: &Owner, signer: u8, now: u64) -> HandleRecord {
    let key_change = owner.state.at(now * NS).key_change;
    let content = HandleContent {
        version: 1,
        handle: handle.clone(),
        account: owner.account(),
        record_version: 0,
        previous: [0; 32],
        key_change_version: key_change.0,
        key_change_hash: key_change.1,
        kind: HandleKind::Claim,
    };
    HandleRecord::sign(content, &key(signer))
}

fn log_handle(directory: &mut Directory, record: &HandleRecord) {
    let label = handle_label(&record.content.handle.skeleton()).unwrap();
    directory.publish(MINUTE, &[(label, encode(record))]);
}

/// Somebody claims a handle in Amina's name without her key, and the log holds it: with her account
/// beside it that is proved; without, the file says what is missing. An honest claim accuses nobody,
/// and shows which record the log has.
#[test]
fn a_handle_without_authority_is_proved() {
    let mut directory = Directory::new();
    let amina = Owner::create(&mut directory, 7);
    let handle = Handle::typed("amina").unwrap();
    let mut honest = directory.clone();
    let own = claim(&handle, &amina, 1, honest.now);
    log_handle(&mut honest, &own);
    log_handle(&mut directory, &claim(&handle, &amina, 9, honest.now));

    let claimed = Finding::WrongAuthorisation;
    let both = vec![
        handle_item(&directory, &handle),
        account(&directory, &amina),
    ];
    let report = check(&directory, &file(claimed, b"", both.clone()));
    assert!(report.holds(), "{report:?}");
    let reason = HandleRejected::NotAuthorised;
    let error = LookupError::HandleRule { version: 0, reason };
    assert!(report.proved.contains(&Proved::WrongAuthorisation(error)));
    let alone = check(&directory, &file(claimed, b"", both[..1].to_vec()));
    assert!(!alone.holds());
    assert_eq!(alone.limits, [Limit::AccountsMissing]);

    let both = vec![handle_item(&honest, &handle), account(&honest, &amina)];
    let report = check(&honest, &file(Finding::UnknownVersion, b"", both));
    assert!(!report.holds() && report.is_as_claimed());
    let value = sha256(&encode(&own));
    assert!(
        report
            .proved
            .contains(&Proved::LoggedValue { version: 0, value })
    );
    assert_eq!(report.limits, [Limit::OwnersWord]);
}

fn network(number: u64, name: &str, release: &[u8], signers: &[u8]) -> Vec<u8> {
    let key = |seed: &u8| SigningKey::from_bytes(&[*seed; 32]);
    let mut keys: Vec<[u8; 32]> = release
        .iter()
        .map(|seed| key(seed).verifying_key().to_bytes())
        .collect();
    keys.sort_unstable();
    let canister = |role, number| NetworkCanister {
        role,
        id: canister(number).as_slice().to_vec().into(),
        module_hashes: Vec::new(),
        controllers: Vec::new(),
    };
    let file = NetworkFile {
        version: 1,
        network: [4; 16].into(),
        name: name.to_owned(),
        sequence: number,
        issued_at: 1,
        expires_at: u64::MAX,
        root_key: Vec::new().into(),
        canisters: vec![
            canister(CanisterRole::Directory, 7),
            canister(CanisterRole::Relay, 8),
        ],
        authority: KeySet {
            keys: Vec::new(),
            threshold: 0,
        },
        proof_types: Vec::new(),
        urls: Vec::new(),
        gateways: Vec::new(),
        release: KeySet {
            threshold: u32::try_from(keys.len()).unwrap(),
            keys: keys.into_iter().map(Into::into).collect(),
        },
        development: true,
        transparency: None,
        auditors: None,
    };
    let signers: Vec<_> = signers.iter().map(key).collect();
    file.sign(&signers.iter().collect::<Vec<_>>()).unwrap()
}

/// A log that holds network files, each as the next.
fn network_log(files: &[&[u8]]) -> (Directory, Item) {
    let label = VerifiedNetwork::pinned(files[0]).unwrap().log_label();
    let label = Label::new(label).unwrap();
    let mut directory = Directory::new();
    for file in files {
        directory.publish(MINUTE, &[(label.clone(), file.to_vec())]);
    }
    let (answer, head) = directory.answer(&label, None, 0, &NetworkTimes);
    let item = Item::Label(ShownLabel {
        label: label.as_bytes().to_vec().into(),
        answer,
        head: head.into(),
    });
    (directory, item)
}

/// Amina was given a network file that the log has otherwise. By the same release keys, or by those
/// of the file before, that is proved; a file that somebody signed with keys of their own accuses
/// nobody, nor do other signatures under the same file.
#[test]
fn two_network_files_of_one_number_are_proved() {
    let first = network(1, "first", &[1], &[1]);
    let second = network(2, "second", &[2], &[1, 2]);
    let (directory, logged) = network_log(&[&first, &second]);
    let claimed = Finding::TwoNetworkFiles;
    let judge = |given: &[u8]| {
        let report = check(&directory, &file(claimed, given, vec![logged.clone()]));
        assert_eq!(report.items.len(), 1);
        report
    };
    let same_keys = judge(&network(2, "another", &[2], &[1, 2]));
    assert!(same_keys.holds());
    assert!(
        same_keys
            .proved
            .contains(&Proved::TwoNetworkFiles { number: 2 })
    );
    assert!(judge(&network(2, "another", &[3], &[1, 3])).holds());
    assert!(!judge(&network(2, "forged", &[9], &[9])).holds());
    assert!(!judge(&network(2, "second", &[2], &[1, 2, 9])).holds());
    assert!(!judge(&second).holds());
    let value = sha256(&second);
    let newest = Proved::LoggedValue { version: 1, value };
    assert!(judge(&second).proved.contains(&newest));

    // Without the log, from the two files alone: for whoever believes one of them, or a later one
    // of the same keys, and for nobody else.
    let other = Item::Network(network(1, "other", &[1], &[1]).into());
    let two = file(claimed, &first, vec![other]);
    let report = check(&directory, &two);
    assert_eq!(report.items, [Checked::NetworkFile { number: 1 }]);
    assert!(!report.holds(), "anybody can make two files");
    let under = |believed: &[u8]| {
        let believed = VerifiedNetwork::pinned(believed).unwrap();
        two.check_under(&directory.trust(), &believed).holds()
    };
    assert!(under(&first));
    assert!(under(&network(3, "later", &[1], &[1])));
    assert!(!under(&network(1, "of other keys", &[5], &[5])));
    let junk = Item::Network(b"junk".to_vec().into());
    let report = check(&directory, &file(claimed, &first, vec![junk]));
    assert_eq!(
        report.items,
        [Checked::Refused(LookupError::Form("no network file"))]
    );
    assert!(!report.holds());
}

/// What is under the network's label and is no file of it is the log's own doing; a file before it
/// that whoever carried the answer has changed is not.
#[test]
fn what_is_no_network_file_is_proved() {
    let first = network(1, "first", &[1], &[1]);
    let second = network(2, "second", &[1], &[1]);
    let claimed = Finding::WrongAuthorisation;
    let (directory, logged) = network_log(&[&first, b"no file at all"]);
    let report = check(&directory, &file(claimed, &first, vec![logged]));
    assert!(report.holds(), "{report:?}");
    let (directory, logged) = network_log(&[&first, &second]);
    let Item::Label(mut framed) = logged else {
        unreachable!()
    };
    if let paigham_wire::log::LabelAnswer::Found(found) = &mut framed.answer {
        found.earlier[0] = b"no file at all".to_vec().into();
    }
    let report = check(
        &directory,
        &file(claimed, &first, vec![Item::Label(framed)]),
    );
    assert_eq!(report.items, [Checked::Refused(LookupError::NetworkRule)]);
    assert!(!report.holds());
    assert_eq!(report.limits, [Limit::AnswerUnsigned]);
}

/// Bilal watches Amina's account, and an answer does not hold. The file shows what was asked and
/// answered, checked again as Bilal's device checked it, and accuses nobody: what he had seen is his
/// word. The honest answer in the same place holds.
#[test]
fn what_was_watched_is_checked_again() {
    let mut directory = Directory::new();
    Owner::create(&mut directory, 6);
    let amina = Owner::create(&mut directory, 7);
    let found = Reader::default()
        .look_up(&directory, amina.account())
        .unwrap();
    let before = ShownHead {
        view: found.view.encode().unwrap().into(),
        signature: found.head.clone().into(),
    };
    let mut map = ContactMap::default();
    map.add(found.watch.unwrap()).unwrap();
    directory.wait(7 * HOUR);
    let label = paigham_lookup::account::account_label(amina.account()).unwrap();
    let request = map.request(label, &found.view);
    let head = directory.head();
    let answer = directory
        .prove(&head, |prover| prover.contact_monitor(&request))
        .unwrap()
        .encode()
        .unwrap();
    let shown = |answer: Vec<u8>| {
        Item::Watched(ShownWatch {
            before: before.clone(),
            request: Monitor::Contact(request.encode().unwrap().into()),
            state: map.encode().unwrap().into(),
            answer: answer.into(),
            head: Vec::new().into(),
        })
    };
    let claimed = Finding::HiddenVersion;
    let honest = check(&directory, &file(claimed, b"", vec![shown(answer.clone())]));
    assert!(
        matches!(honest.items[..], [Checked::Holds { .. }]),
        "{honest:?}"
    );
    assert_eq!(honest.limits, [Limit::StateUnsigned]);
    let mut changed = answer;
    *changed.last_mut().unwrap() ^= 1;
    let refused = check(&directory, &file(claimed, b"", vec![shown(changed)]));
    assert!(matches!(refused.items[..], [Checked::Refused(_)]));
    assert!(refused.proved.is_empty());
    assert_eq!(
        refused.limits,
        [Limit::AnswerUnsigned, Limit::StateUnsigned]
    );
}

/// Amina hears of another root from Bilal. Her file alone holds his word; together with his own file
/// it proves the fork.
#[test]
fn two_halves_prove_a_fork() {
    let mut one = Directory::new();
    let mut amina = Owner::create(&mut one, 7);
    one.wait(HOUR);
    let (mut two, mut twin) = (one.clone(), amina.clone());
    let add = amina.add(one.now * NS, 2, 1);
    amina.log(&mut one, HOUR, &add).unwrap();
    let add = twin.add(two.now * NS, 3, 1);
    twin.log(&mut two, HOUR, &add).unwrap();
    one.wait(12 * HOUR);
    two.wait(12 * HOUR);
    let half = |directory: &Directory| {
        let request = DistinguishedRequest {
            last: None,
            stop: None,
        };
        let head = directory.head();
        let response = directory
            .prove(&head, |prover| prover.distinguished(&request, RECENT_HEADS))
            .unwrap();
        let said = SaidRoot {
            account: AccountId([2; 16]),
            position: 3,
            root: [9; 32],
        };
        vec![
            Item::Said(said),
            Item::Distinguished(response.encode().unwrap().into()),
        ]
    };
    let alone = check(&one, &file(Finding::Fork, b"", half(&one)));
    assert!(!alone.holds());
    assert_eq!(alone.items[0], Checked::Word);
    assert_eq!(alone.limits, [Limit::MembersWord]);
    let both = [half(&one), half(&two)].concat();
    assert!(check(&one, &file(Finding::Fork, b"", both)).holds());
}
