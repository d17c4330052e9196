//! What members, nodes and storage can do wrong, and that everybody sees it alike.

use openmls::prelude::{
    BasicCredential, CredentialWithKey, Extensions, KeyPackage, LeafNodeParameters, MlsGroup,
    MlsMessageBodyIn, MlsMessageIn, PreSharedKeyProposal, Proposal, RequiredCapabilitiesExtension,
};
use openmls::schedule::PreSharedKeyId;
use paigham_wire::envelope::{SelfRemoves, extension};
use paigham_wire::frame::{PostKind, encode_post};
use paigham_wire::keys::MacKey;
use tls_codec::DeserializeBytes;

use super::*;
use crate::device::capabilities;
use crate::group::{join_config, leaf_index};
use crate::seal::{OVERHEAD_BYTES, seal};

fn carrying(messages: &[Vec<u8>]) -> Vec<Extension> {
    let messages = messages.iter().map(|m| m.clone().into()).collect();
    vec![Extension {
        extension_type: extension::SELF_REMOVES,
        data: encode(&SelfRemoves { messages }).into(),
    }]
}

/// Seals an MLS message as a member may: under any header, with the keys that all members have.
fn wrap(by: &Person, kind: PostKind, not_after: u32, mls_message: Vec<u8>) -> Vec<u8> {
    let plaintext = encode(&EnvelopePlaintext {
        version: VERSION,
        mls_message: mls_message.into(),
        proofs: Vec::new(),
        extensions: Vec::new(),
    });
    let length = plaintext.len() + OVERHEAD_BYTES;
    let epoch = by.group().epoch();
    let header = crate::message::header(QUEUE, epoch, not_after, kind, 7, length).unwrap();
    let key = by.group().envelope_key(&by.crypto).unwrap();
    let envelope = seal(&by.crypto, &key, &header.to_bytes(), &plaintext).unwrap();
    let mac = (kind != PostKind::Commit).then(|| MacKey::new([0; 32]));
    encode_post(&header, mac.as_ref(), &envelope)
}

/// The MLS message inside a post.
fn inside(reader: &Person, post: &[u8]) -> Vec<u8> {
    let post = PostRef::decode(post).unwrap();
    let opened = reader
        .group()
        .open_envelope(&reader.crypto, post.header_bytes, post.envelope);
    opened.unwrap().mls_message.into()
}

/// GRP-001: a removed member, helped by one who is still there, joins from outside: an external
/// commit stops everybody, whatever it adds.
#[test]
fn group_grp_001_external_commits_are_violating() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        let dua = Person::new(4, &relay.net);
        let info = amina
            .step(|group, crypto, _, device| {
                group
                    .mls
                    .export_group_info(crypto.inner(), device.signer(), true)
            })
            .unwrap();
        let info = MlsMessageIn::tls_deserialize_exact_bytes(&info.to_bytes().unwrap()).unwrap();
        let MlsMessageBodyIn::GroupInfo(info) = info.extract() else {
            panic!("no group info");
        };
        let until = relay.net.soon();
        let data = AuthenticatedData {
            queue: QUEUE,
            not_after: until,
            proofs_hash: proofs_hash(&Vec::new(), &Vec::new()),
        };
        let set = dua.store.begin();
        let provider = dua.crypto.with(set.mls());
        let leaf = LeafNodeParameters::builder()
            .with_capabilities(capabilities())
            .build();
        let (_, bundle) = MlsGroup::external_commit_builder()
            .with_config(join_config())
            .with_aad(encode(&data))
            .build_group(&provider, info, dua.device.credential_with_key())
            .unwrap()
            .leaf_node_parameters(leaf)
            .load_psks(provider.storage())
            .unwrap()
            .build(
                provider.rand(),
                provider.crypto(),
                dua.device.signer(),
                |_| true,
            )
            .unwrap()
            .finalize(&provider)
            .unwrap();
        let commit = bundle.commit().to_bytes().unwrap();
        let post = wrap(&amina, PostKind::Commit, until, commit);
        assert!(relay.append(&post));
        let mut entry = relay.last();
        entry.keys_hash = Some([7; 32]);
        all_see(
            Violation::Outsider,
            &entry,
            &mut [&mut amina, &mut bilal, &mut chand],
        );
    });
}

/// GRP-002: a proposal that has no place here stops everybody, whoever it is about.
#[test]
fn group_grp_002_foreign_proposals_are_violating() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        let psk = PreSharedKeyId::external(b"psk".to_vec(), vec![0; 48]);
        amina
            .step(|_, _, storage, _| psk.store(storage, b"known to all"))
            .unwrap();
        let proposal = Proposal::PreSharedKey(Box::new(PreSharedKeyProposal::new(psk)));
        let forged = amina.forge(Vec::new(), Vec::new(), |b| b.add_proposal(proposal));
        assert!(relay.submit(&forged));
        all_see(
            Violation::Proposal,
            &relay.last(),
            &mut [&mut amina, &mut bilal, &mut chand],
        );
    });
}

/// GRP-002: a commit refers to every SelfRemove that it carries; the leaver sees it like the rest.
#[test]
fn group_grp_002_a_carried_self_remove_is_committed() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        chand.leave(&mut relay);
        let leave = inside(&amina, &post_of(&relay.last()));
        for person in [&mut amina, &mut bilal, &mut chand] {
            person.sync(&relay);
        }
        let forged = amina.forge(Vec::new(), carrying(&[leave]), |b| b);
        assert!(relay.submit(&forged));
        all_see(
            Violation::Proposal,
            &relay.last(),
            &mut [&mut amina, &mut bilal, &mut chand],
        );
    });
}

fn post_of(entry: &Entry) -> Vec<u8> {
    [&entry.header[..], &[0; 16], entry.envelope.as_slice()].concat()
}

/// What a commit carries as a SelfRemove is only ever read as one: an application message in its
/// place makes the commit unusable for everybody, its author too, and uses up no key.
#[test]
fn group_reads_nothing_but_self_removes_among_the_carried() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        let text = bilal.encrypt("still to come").unwrap();
        let stolen = inside(&amina, &text);
        let forged = amina.forge(Vec::new(), carrying(&[stolen]), |b| b);
        let mut hostile = Relay::new(&relay.net);
        hostile.epoch = relay.epoch;
        assert!(hostile.submit(&forged));
        for person in [&mut amina, &mut bilal, &mut chand] {
            assert!(is_unusable(&person.stop(&hostile.last())));
        }
        assert!(relay.append(&text));
        assert_eq!(chand.sync(&relay), ["still to come"]);
    });
}

/// Twice the same leaver, or in another order: unusable for everybody alike.
#[test]
fn group_wants_carried_self_removes_in_order() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        bilal.leave(&mut relay);
        let first = inside(&amina, &post_of(&relay.last()));
        chand.leave(&mut relay);
        let second = inside(&amina, &post_of(&relay.last()));
        for person in [&mut amina, &mut bilal, &mut chand] {
            person.sync(&relay);
        }
        for carried in [[second, first.clone()], [first.clone(), first]] {
            let forged = amina.forge(Vec::new(), carrying(&carried), |b| b);
            let mut hostile = Relay::new(&relay.net);
            hostile.epoch = relay.epoch;
            assert!(hostile.submit(&forged));
            for person in [&mut amina, &mut bilal, &mut chand] {
                assert!(is_unusable(&person.stop(&hostile.last())));
            }
            amina
                .step(|group, _, storage, _| group.abandon(storage))
                .unwrap();
        }
    });
}

/// GRP-003: who is no admin cannot remove others, even with a changed client; the one it would
/// remove stays too. The honest client refuses to make it.
#[test]
fn group_grp_003_only_admins_remove_others() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        let leaf = bilal.leaf_of(&chand);
        let refused = bilal.commit(&removing(leaf));
        assert!(matches!(refused, Err(GroupError::NotAllowed)));
        let forged = bilal.forge(Vec::new(), Vec::new(), |b| {
            b.propose_removals([leaf_index(leaf)])
        });
        assert!(relay.submit(&forged));
        all_see(
            Violation::Role,
            &relay.last(),
            &mut [&mut amina, &mut chand, &mut bilal],
        );
        assert!(chand.group().is_active());
    });
}

/// GRP-003: an account takes out its own other device without being an admin.
#[test]
fn group_grp_003_an_account_removes_its_own_leaf() {
    story(|| {
        let (mut relay, mut amina, mut bilal, _) = three();
        let mut tablet = Person::with_device(2, 22, &relay.net);
        amina.add(&mut relay, &mut tablet);
        bilal.sync(&relay);
        let staged = bilal.commit(&removing(bilal.leaf_of(&tablet))).unwrap();
        assert!(relay.submit(&staged.submit));
        for person in [&mut amina, &mut bilal, &mut tablet] {
            person.sync(&relay);
        }
        assert!(!tablet.group().is_active());
        agree(&[&amina, &bilal]);
    });
}

/// GRP-004: an admin adds a device that is in no record: all stop with the same verdict.
#[test]
fn group_grp_004_a_ghost_device_is_violating() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        let ghost = Person::unlogged(66, 66, &relay.net);
        let staged = amina.commit(&adding(&[&ghost])).unwrap();
        assert!(relay.submit(&staged.submit));
        all_see(
            Violation::Proof,
            &relay.last(),
            &mut [&mut amina, &mut bilal, &mut chand],
        );
    });
}

/// GRP-004: exactly one proof for each account that is added, in ascending order.
#[test]
fn group_grp_004_proofs_are_those_of_the_added() {
    story(|| {
        let (mut relay, mut amina, mut bilal, _) = three();
        let (dua, emad) = (Person::new(4, &relay.net), Person::new(5, &relay.net));
        let (d, e) = (proof_of(dua.account()), proof_of(emad.account()));
        let packages = [dua.key_package(), emad.key_package()].map(|c| c.key_package);
        for proofs in [
            vec![],
            vec![d.clone()],
            vec![e.clone(), d.clone()],
            vec![d.clone(), d.clone(), e.clone()],
            vec![d.clone(), e.clone(), proof_of(AccountId([6; 16]))],
        ] {
            let forged = amina.forge(proofs, Vec::new(), |b| b.propose_adds(packages.clone()));
            let mut hostile = Relay::new(&relay.net);
            hostile.epoch = relay.epoch;
            assert!(hostile.submit(&forged));
            all_see(Violation::Proof, &hostile.last(), &mut [&mut bilal]);
            amina
                .step(|group, _, storage, _| group.abandon(storage))
                .unwrap();
        }
        let forged = amina.forge(vec![d, e], Vec::new(), |b| b.propose_adds(packages));
        assert!(relay.submit(&forged));
        bilal.sync(&relay);
        assert_eq!(bilal.group().members().count(), 5);
    });
}

/// GRP-005: in a direct chat there is no third account, nobody puts the other out, and both stay
/// admins; but old devices of the other may go.
#[test]
fn group_grp_005_a_direct_chat_stays_one() {
    story(|| {
        let (mut relay, mut amina, mut bilal) = two();
        let dua = Person::new(4, &relay.net);
        let refused = |result: Result<StagedCommitPost, GroupError>| {
            assert!(matches!(
                result,
                Err(GroupError::Refused(Violation::Policy))
            ));
        };
        refused(amina.commit(&adding(&[&dua])));
        refused(amina.commit(&removing(amina.leaf_of(&bilal))));
        let leaf = leaf_index(amina.leaf_of(&bilal));
        let forged = amina.forge(Vec::new(), Vec::new(), |b| b.propose_removals([leaf]));
        assert!(relay.submit(&forged));
        all_see(
            Violation::Policy,
            &relay.last(),
            &mut [&mut amina, &mut bilal],
        );
    });
    story(|| {
        let (mut relay, mut amina, mut bilal) = two();
        let mut tablet = Person::with_device(2, 22, &relay.net);
        amina.add(&mut relay, &mut tablet);
        bilal.sync(&relay);
        let staged = amina.commit(&removing(amina.leaf_of(&tablet))).unwrap();
        assert!(relay.submit(&staged.submit));
        amina.sync(&relay);
        bilal.sync(&relay);
        agree(&[&amina, &bilal]);
    });
}

/// GRP-005: the form and the network's number stay, and the GroupContext holds nothing but ours.
#[test]
fn group_grp_005_the_policy_keeps_its_form() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        let mut newer = amina.group().policy().unwrap();
        newer.network_sequence += 1;
        let change = Change {
            policy: Some(newer),
            ..Change::default()
        };
        let refused = amina.commit(&change);
        assert!(matches!(
            refused,
            Err(GroupError::Refused(Violation::Policy))
        ));
        let required = RequiredCapabilitiesExtension::new(&[], &[], &[]);
        let bare = Extensions::from_vec(vec![openmls::prelude::Extension::RequiredCapabilities(
            required,
        )])
        .unwrap();
        let forged = amina.forge(Vec::new(), Vec::new(), |b| {
            b.propose_group_context_extensions(bare).unwrap()
        });
        assert!(relay.submit(&forged));
        all_see(
            Violation::Policy,
            &relay.last(),
            &mut [&mut amina, &mut bilal, &mut chand],
        );
    });
}

/// GRP-005: an admin renames the group and makes Bilal an admin, who then adds somebody.
#[test]
fn group_grp_005_admins_change_the_policy() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        let mut policy = amina.group().policy().unwrap();
        policy.name = "خاندان".as_bytes().to_vec().into();
        policy.admins.push(bilal.account());
        let change = Change {
            policy: Some(policy.clone()),
            ..Change::default()
        };
        let refused = chand.commit(&change);
        assert!(matches!(refused, Err(GroupError::NotAllowed)));
        let staged = amina.commit(&change).unwrap();
        assert!(relay.submit(&staged.submit));
        for person in [&mut amina, &mut bilal, &mut chand] {
            person.sync(&relay);
            assert_eq!(person.group().policy().unwrap(), policy);
        }
        let mut dua = Person::new(4, &relay.net);
        bilal.add(&mut relay, &mut dua);
        amina.sync(&relay);
        agree(&[&amina, &bilal, &dua]);
    });
}

/// GRP-006: in its own commit a leaf changes neither its device nor grows without bound.
#[test]
fn group_grp_006_a_leaf_stays_what_it_is() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        let other = Credential::new(amina.account(), DeviceId([99; 16]), 0);
        let other = CredentialWithKey {
            credential: BasicCredential::new(encode(&other)).into(),
            signature_key: amina.device.signer().to_public_vec().into(),
        };
        let renamed = LeafNodeParameters::builder().with_credential_with_key(other);
        let blob = openmls::prelude::Extension::ApplicationId(
            openmls::prelude::ApplicationIdExtension::new(&[7; 5_000]),
        );
        let heavy = LeafNodeParameters::builder()
            .with_capabilities(capabilities())
            .with_extensions(Extensions::from_vec(vec![blob]).unwrap());
        for leaf in [renamed, heavy] {
            let leaf = leaf.build();
            let forged = amina.forge(Vec::new(), Vec::new(), |b| b.leaf_node_parameters(leaf));
            let mut hostile = Relay::new(&relay.net);
            hostile.epoch = relay.epoch;
            assert!(hostile.submit(&forged));
            all_see(
                Violation::Leaf,
                &hostile.last(),
                &mut [&mut bilal, &mut chand],
            );
            amina
                .step(|group, _, storage, _| group.abandon(storage))
                .unwrap();
        }
        // A leaf that only tells a newer record version stays what it is.
        let newer = Credential::new(amina.account(), DeviceId([1; 16]), 5);
        let newer = CredentialWithKey {
            credential: BasicCredential::new(encode(&newer)).into(),
            signature_key: amina.device.signer().to_public_vec().into(),
        };
        let leaf = LeafNodeParameters::builder()
            .with_credential_with_key(newer)
            .build();
        let forged = amina.forge(Vec::new(), Vec::new(), |b| b.leaf_node_parameters(leaf));
        assert!(relay.submit(&forged));
        amina.sync(&relay);
        bilal.sync(&relay);
        agree(&[&amina, &bilal]);
    });
}

/// GRP-007: the thirteenth plain commit in an hour is refused by the own client, and stops the
/// group for all alike if it is made; an hour later one may again.
#[test]
fn group_grp_007_rates_hold() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        // One who joins in between counts like the others.
        for round in 0..crate::verdict::RATE_MAX_COMMITS {
            let staged = bilal.commit(&Change::default()).unwrap();
            assert!(relay.submit(&staged.submit));
            bilal.sync(&relay);
            if round == 3 {
                amina.sync(&relay);
                let mut dua = Person::new(4, &relay.net);
                amina.add(&mut relay, &mut dua);
                bilal.sync(&relay);
                assert!(dua.group().state().commits.is_empty());
                assert!(bilal.group().state().commits.is_empty());
            }
        }
        for _ in 0..4 {
            let staged = bilal.commit(&Change::default()).unwrap();
            assert!(relay.submit(&staged.submit));
            bilal.sync(&relay);
        }
        amina.sync(&relay);
        chand.sync(&relay);
        let refused = bilal.commit(&Change::default());
        assert!(matches!(refused, Err(GroupError::Refused(Violation::Rate))));
        let forged = bilal.forge(Vec::new(), Vec::new(), |b| b);
        let mut hostile = Relay::new(&relay.net);
        hostile.epoch = relay.epoch;
        assert!(hostile.submit(&forged));
        all_see(
            Violation::Rate,
            &hostile.last(),
            &mut [&mut amina, &mut bilal, &mut chand],
        );
        bilal
            .step(|group, _, storage, _| group.abandon(storage))
            .unwrap();
        // Counted from the earliest time at which the relay may take it.
        relay.net.pass(66 * MINUTE);
        let staged = bilal.commit(&Change::default()).unwrap();
        assert!(relay.submit(&staged.submit));
        amina.sync(&relay);
        bilal.sync(&relay);
        agree(&[&amina, &bilal]);
    });
}

/// GRP-008: one device is in the group once.
#[test]
fn group_grp_008_each_device_is_there_once() {
    story(|| {
        let (relay, mut amina, mut bilal, _) = three();
        // The same device with another leaf key, which its record knows.
        let mut twin = Person::unlogged(2, 2, &relay.net);
        twin.device = DeviceKeys::new(*twin.device.credential(), &[77; 32]);
        let key = SigningKey::from_bytes(&[77; 32]).verifying_key().to_bytes();
        let entry = (twin.account(), key);
        relay.net.logged.borrow_mut().insert(entry);
        let refused = amina.commit(&adding(&[&twin]));
        assert!(matches!(refused, Err(GroupError::Refused(Violation::Size))));
        let package = twin.key_package().key_package;
        let proofs = vec![proof_of(twin.account())];
        let forged = amina.forge(proofs, Vec::new(), |b| b.propose_adds([package]));
        let mut hostile = Relay::new(&relay.net);
        hostile.epoch = relay.epoch;
        assert!(hostile.submit(&forged));
        all_see(Violation::Size, &hostile.last(), &mut [&mut bilal]);
    });
}

/// A key package as `days` of lifetime, made now.
fn package_of(person: &Person, days: u64) -> KeyPackage {
    let set = person.store.begin();
    let provider = person.crypto.with(set.mls());
    let now = person.net.seconds();
    let bundle = KeyPackage::builder()
        .key_package_lifetime(Lifetime::init(now - 30 * 3_600, now + days * 86_400))
        .leaf_node_capabilities(capabilities())
        .build(
            crate::crypto::SUITE,
            &provider,
            person.device.signer(),
            person.device.credential_with_key(),
        )
        .unwrap();
    set.commit().unwrap();
    bundle.key_package().clone()
}

/// GRP-009: a key package that could expire before the last member has read its commit is judged
/// by the commit's time; nobody's clock decides.
#[test]
fn group_grp_009_lifetimes_outlive_the_log() {
    story(|| {
        let (relay, mut amina, mut bilal, mut chand) = three();
        let dua = Person::new(4, &relay.net);
        for (days, fits) in [(60, false), (91, false), (93, true), (400, false)] {
            let package = package_of(&dua, days);
            let bytes = tls_codec::Serialize::tls_serialize_detached(&package).unwrap();
            let checked = CheckedKeyPackage::check(&amina.crypto, &bytes, relay.net.seconds());
            assert_eq!(checked.is_ok(), fits, "{days}");
            let proofs = vec![proof_of(dua.account())];
            let forged = amina.forge(proofs, Vec::new(), |b| b.propose_adds([package]));
            let mut hostile = Relay::new(&relay.net);
            hostile.epoch = relay.epoch;
            assert!(hostile.submit(&forged));
            if fits {
                assert!(bilal.take(&hostile.last()).is_ok());
            } else {
                all_see(
                    Violation::KeyPackage,
                    &hostile.last(),
                    &mut [&mut bilal, &mut chand],
                );
            }
            amina
                .step(|group, _, storage, _| group.abandon(storage))
                .unwrap();
            if fits {
                break;
            }
        }
        // A package is used within 60 days of its making, not later.
        let set = dua.store.begin();
        let now = relay.net.seconds();
        let made = dua
            .device
            .key_package(&dua.crypto.with(set.mls()), false, now);
        let bytes = made.unwrap().bytes;
        let check = |days: u64| {
            let at = relay.net.seconds() + days * 86_400;
            CheckedKeyPackage::check(&amina.crypto, &bytes, at).is_ok()
        };
        assert!(check(0) && check(59) && !check(61));
    });
}

/// A commit whose envelope, time or registered keys were changed is unusable, never blamed on its
/// sender; nothing of it sticks.
#[test]
fn group_tampering_is_nobodys_violation() {
    story(|| {
        let (mut relay, mut amina, mut bilal, _) = three();
        let staged = amina.commit(&Change::default()).unwrap();
        assert!(relay.submit(&staged.submit));
        let good = relay.last();
        let mut keys = good.clone();
        keys.keys_hash = Some([7; 32]);
        let mut unregistered = good.clone();
        unregistered.keys_hash = None;
        let mut body = good.clone();
        let mut envelope = body.envelope.as_slice().to_vec();
        envelope[40] ^= 1;
        body.envelope = envelope.into();
        let mut header = good.clone();
        header.header[39] ^= 1;
        let mut late = good;
        late.accepted_at += 302 * NS_PER_SECOND;
        for entry in [keys.clone(), unregistered, body, header, late.clone()] {
            assert!(is_unusable(&bilal.stop(&entry)));
        }
        // The committer sees it like the others: a member may register its own keys for another's
        // commit, since all hold the control key.
        for entry in [keys, late] {
            assert!(is_unusable(&amina.stop(&entry)));
        }
        bilal.sync(&relay);
        amina.sync(&relay);
        agree(&[&amina, &bilal]);
    });
}

/// Junk, old bytes and posts out of their time are passed over; the group goes on.
#[test]
fn group_junk_never_stops_it() {
    story(|| {
        let (mut relay, mut amina, mut bilal, _) = three();
        amina.say(&mut relay, "after");
        let good = relay.last();
        let mut garbled = good.clone();
        let mut envelope = good.envelope.as_slice().to_vec();
        envelope[30] ^= 1;
        garbled.envelope = envelope.into();
        let mut unknown_kind = good.clone();
        unknown_kind.header[40] = 9;
        let mut other_kind = good.clone();
        other_kind.header[40] = 3;
        let mut empty = good.clone();
        empty.envelope = Vec::new().into();
        let mut late = good.clone();
        late.accepted_at += 302 * NS_PER_SECOND;
        for entry in [garbled, unknown_kind, other_kind, empty, late] {
            assert_eq!(bilal.take(&entry).unwrap(), Received::Junk);
        }
        assert_eq!(bilal.sync(&relay), ["after"]);
        assert_eq!(bilal.take(&good).unwrap(), Received::Junk);
        // In another epoch the same bytes open under no key.
        let staged = amina.commit(&Change::default()).unwrap();
        assert!(relay.submit(&staged.submit));
        amina.sync(&relay);
        bilal.sync(&relay);
        let mut moved = good;
        moved.header[35] += 1;
        assert_eq!(bilal.take(&moved).unwrap(), Received::Junk);
        let mut elsewhere = relay.last();
        elsewhere.header[35] += 7;
        assert!(matches!(
            bilal.take(&elsewhere),
            Err(ReceiveError::Epoch { .. })
        ));
    });
}

/// A member who gets hold of somebody's message in flight wraps it anew, as a leave, at another
/// time, or as a commit: the message itself still arrives.
#[test]
fn group_wrapping_a_message_anew_does_not_use_it_up() {
    story(|| {
        let (mut relay, mut amina, mut bilal, chand) = three();
        let text = amina.encrypt("for Bilal").unwrap();
        let stolen = inside(&chand, &text);
        let until = relay.net.soon();
        for (kind, not_after) in [
            (PostKind::Proposal, until),
            (PostKind::Application, until + 1),
        ] {
            assert!(relay.append(&wrap(&chand, kind, not_after, stolen.clone())));
        }
        for wrapped in &relay.entries[bilal.cursor..] {
            assert_eq!(bilal.take(wrapped).unwrap(), Received::Junk);
            bilal.cursor += 1;
        }
        assert!(relay.append(&text));
        assert_eq!(bilal.sync(&relay), ["for Bilal"]);
        // Under the very same time it is the message itself, once.
        assert!(relay.append(&wrap(&chand, PostKind::Application, until, stolen)));
        assert!(bilal.sync(&relay).is_empty());
    });
}

/// A message wrapped as a commit stops nobody for good: it is unusable, and still opens as what it
/// is.
#[test]
fn group_a_message_is_no_commit() {
    story(|| {
        let (mut relay, mut amina, mut bilal, chand) = three();
        let text = amina.encrypt("for Bilal").unwrap();
        let until = relay.net.soon();
        let as_commit = wrap(&chand, PostKind::Commit, until, inside(&chand, &text));
        let mut hostile = Relay::new(&relay.net);
        hostile.epoch = relay.epoch;
        assert!(hostile.append(&as_commit));
        let mut entry = hostile.last();
        entry.keys_hash = Some([7; 32]);
        assert!(is_unusable(&bilal.stop(&entry)));
        assert!(relay.append(&text));
        assert_eq!(bilal.sync(&relay), ["for Bilal"]);
    });
}

/// A SelfRemove is its sender's alone: of another epoch, or bound to another post, it is junk.
#[test]
fn group_leaves_only_by_ones_own_word() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        let old = chand.propose_leave().unwrap();
        let old = inside(&chand, &old);
        let until = relay.net.soon();
        assert!(relay.append(&wrap(&bilal, PostKind::Proposal, until + 1, old.clone())));
        let staged = amina.commit(&Change::default()).unwrap();
        assert!(relay.submit(&staged.submit));
        for person in [&mut amina, &mut bilal, &mut chand] {
            person.sync(&relay);
            assert!(person.group().leaving().is_empty());
        }
        assert!(relay.append(&wrap(&bilal, PostKind::Proposal, until, old)));
        amina.sync(&relay);
        assert!(amina.group().leaving().is_empty());
        // Many of one leaf are kept as one.
        for _ in 0..3 {
            chand.leave(&mut relay);
        }
        amina.sync(&relay);
        assert_eq!(amina.group().state().leaving.len(), 1);
    });
}

/// A disk that cannot be read stops nothing for good: the entry is taken again later.
#[test]
fn group_a_failing_disk_is_not_a_bad_commit() {
    story(|| {
        let (mut relay, mut amina, mut bilal, _) = three();
        let staged = amina.commit(&Change::default()).unwrap();
        assert!(relay.submit(&staged.submit));
        amina.sync(&relay);
        bilal.unreadable.store(true, Ordering::Relaxed);
        let failed = bilal.take(&relay.last());
        assert!(
            matches!(failed, Err(ReceiveError::Group(GroupError::Storage(_)))),
            "{failed:?}"
        );
        bilal.sync(&relay);
        agree(&[&amina, &bilal]);
    });
}

/// What a sender has seen of queue and log reaches the others with a message, and is bound to it:
/// who wraps the message anew with other words of gossip posts junk.
#[test]
fn group_hears_what_a_sender_has_seen() {
    story(|| {
        let (_, mut amina, mut bilal, mut chand) = three();
        let root = |position| LogRoot {
            position,
            root: [7; 32],
        };
        let gossip = Gossip {
            seq: 3,
            head: [1; 32],
            epoch_authenticator_hash: [2; 32],
            roots: vec![root(3), root(7)],
        };
        let entry = |net: &Net, post: &[u8]| {
            let mut relay = Relay::new(net);
            let post = PostRef::decode(post).unwrap();
            relay.store(&post, None);
            relay.last()
        };
        let post = amina.encrypt_with("seen", Some(gossip.clone())).unwrap();
        let honest = entry(&amina.net, &post);
        let until = PostRef::decode(&post).unwrap().header.not_after;
        let message = inside(&amina, &post);
        let silent = wrap(&amina, PostKind::Application, until, message);
        let forged = entry(&amina.net, &silent);
        assert!(matches!(bilal.take(&forged), Ok(Received::Junk)));
        let heard = |taken| match taken {
            Ok(Received::Message { gossip, .. }) => gossip,
            other => panic!("{other:?}"),
        };
        assert_eq!(heard(bilal.take(&honest)), Some(gossip.clone()));
        // Roots that do not ascend say nothing, and stop nothing.
        let backwards = Gossip {
            roots: vec![root(7), root(3)],
            ..gossip
        };
        let post = amina.encrypt_with("seen", Some(backwards)).unwrap();
        assert!(chand.take(&honest).is_ok());
        let odd = entry(&amina.net, &post);
        assert_eq!(heard(chand.take(&odd)), None);
    });
}
