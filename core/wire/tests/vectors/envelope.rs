//! What lies inside an envelope, and what a joiner gets.

use ed25519_dalek::SigningKey;
use paigham_wire::codec::encode;
use paigham_wire::envelope::{
    AuthenticatedData, Credential, EnvelopePlaintext, Extension, GROUP_POLICY_EXTENSION, Gossip,
    GroupForm, GroupPolicy, InboxCapability, LogRoot, PROOF_LOG, PointerContent, Proof,
    SealedPointer, SelfRemoves, WelcomePointer, WelcomeRef, WelcomeWrapper, Welcomes,
    epoch_authenticator_hash, exporter, extension, pointer_info, welcome_aad,
};
use paigham_wire::hash::label;
use paigham_wire::ids::{AccountId, DeviceId, InboxId, QueueId, WelcomeId};
use paigham_wire::keys::{ReadToken, WrapperKey};
use paigham_wire::relay::{Capability, InboxOperation};
use serde_json::{Value, json};

use crate::{canister, hex, structure};

const QUEUE: QueueId = QueueId([0xa1; 32]);

pub fn all() -> Value {
    json!({
        "exporter_labels": [
            exporter::ENVELOPE,
            exporter::CONTROL,
            exporter::MAC,
            exporter::READ_TOKEN,
        ],
        "plaintext": plaintext(),
        "credential": structure(&Credential::new(AccountId([1; 16]), DeviceId([2; 16]), 3)),
        "group_policy_extension_type": GROUP_POLICY_EXTENSION,
        "group_policies": policies(),
        "joining": joining(),
    })
}

fn plaintext() -> Value {
    let joiner = WelcomeRef {
        account: AccountId([1; 16]),
        device: DeviceId([2; 16]),
        welcome_id: WelcomeId([3; 32]),
    };
    let welcomes = Welcomes {
        joiners: vec![joiner],
        wrapper_key: WrapperKey::new([4; 32]),
    };
    let gossip = Gossip {
        seq: 9,
        head: [5; 32],
        epoch_authenticator_hash: epoch_authenticator_hash(&[6; 32]),
        roots: vec![LogRoot {
            position: 7,
            root: [8; 32],
        }],
    };
    let self_removes = SelfRemoves {
        messages: vec![b"first".to_vec().into(), b"second".to_vec().into()],
    };
    let extension = |extension_type, data: Vec<u8>| Extension {
        extension_type,
        data: data.into(),
    };
    let plaintext = EnvelopePlaintext {
        version: 1,
        mls_message: b"an MLSMessage".to_vec().into(),
        proofs: vec![Proof {
            proof_type: PROOF_LOG,
            data: b"a proof".to_vec().into(),
        }],
        extensions: vec![
            extension(extension::WELCOMES, encode(&welcomes)),
            extension(extension::GOSSIP, encode(&gossip)),
            extension(extension::SELF_REMOVES, encode(&self_removes)),
            extension(0xfff0, b"unknown".to_vec()),
        ],
    };
    assert!(plaintext.is_well_formed());
    let authenticated = AuthenticatedData {
        queue: QUEUE,
        not_after: 0x6564_a5b6,
        proofs_hash: plaintext.proofs_hash(),
    };
    let empty = EnvelopePlaintext {
        proofs: Vec::new(),
        extensions: Vec::new(),
        ..plaintext.clone()
    };
    json!({
        "welcomes": structure(&welcomes),
        "epoch_authenticator": hex([6; 32]),
        "gossip": structure(&gossip),
        "self_removes": structure(&self_removes),
        "encoded": structure(&plaintext),
        "proofs": structure(&plaintext.proofs),
        "extensions": structure(&plaintext.extensions),
        "proofs_hash": hex(plaintext.proofs_hash()),
        "authenticated_data": structure(&authenticated),
        "encoded_without_proofs": structure(&empty),
        "proofs_hash_without_proofs": hex(empty.proofs_hash()),
    })
}

fn policies() -> Value {
    let direct = GroupPolicy {
        version: 1,
        name: Vec::new().into(),
        form: GroupForm::Direct,
        admins: vec![AccountId([1; 16]), AccountId([2; 16])],
        network_sequence: 1,
    };
    let group = GroupPolicy {
        name: "پیغام".as_bytes().to_vec().into(),
        form: GroupForm::Group,
        admins: vec![AccountId([1; 16])],
        network_sequence: 0x0102_0304_0506_0708,
        ..direct
    };
    let unordered = GroupPolicy {
        admins: vec![AccountId([2; 16]), AccountId([1; 16])],
        ..direct.clone()
    };
    let named_direct = GroupPolicy {
        name: b"name".to_vec().into(),
        ..direct.clone()
    };
    let no_admin = GroupPolicy {
        admins: Vec::new(),
        ..group.clone()
    };
    let cases = [
        ("a direct chat", &direct, true),
        ("a group", &group, true),
        ("admins out of order", &unordered, false),
        ("a direct chat with a name", &named_direct, false),
        ("a group without admins", &no_admin, false),
    ];
    cases
        .iter()
        .map(|(what, policy, well_formed)| {
            assert_eq!(policy.is_well_formed(), *well_formed, "{what}");
            json!({ "what": what, "encoded": structure(*policy), "well_formed": well_formed })
        })
        .collect()
}

fn joining() -> Value {
    let wrapper = WelcomeWrapper {
        version: 1,
        mls_welcome: b"an MLSMessage".to_vec().into(),
        tree_hash: [1; 32],
        read_token: ReadToken::new([2; 32]),
        generation: 3,
        base_seq: 4,
        base_head: [5; 32],
        base_commit_head: [6; 32],
        extensions: Vec::new(),
    };
    let pointer = WelcomePointer {
        version: 1,
        canister: canister(),
        queue: QUEUE,
        welcome_id: WelcomeId([7; 32]),
        wrapper_key: WrapperKey::new([8; 32]),
    };
    let inbox_key = SigningKey::from_bytes(&[11; 32]);
    let not_after = 0x6564_a5b6;
    let operation = InboxOperation::Capability { not_after };
    let public = inbox_key.verifying_key().to_bytes();
    let capability = Capability {
        not_after,
        signature: operation.sign(&inbox_key, &canister(), &InboxId::derive(&public)),
    };
    let given = InboxCapability {
        canister: canister(),
        inbox_key: public,
        capability: capability.clone(),
    };
    assert!(given.is_signed());
    let content = PointerContent {
        pointer: pointer.clone(),
        capability: Some(capability),
    };
    let sealed = SealedPointer {
        kem_output: vec![9; 1120].into(),
        ciphertext: vec![10; 100].into(),
    };
    json!({
        "wrapper": structure(&wrapper),
        "inbox_capability": structure(&given),
        "pointer_content": structure(&content),
        "wrapper_aad": hex(welcome_aad(label::WELCOME, &QUEUE)),
        "tree_aad": hex(welcome_aad(label::TREE, &QUEUE)),
        "pointer": structure(&pointer),
        "pointer_info": hex(pointer_info(&InboxId([0xa2; 32]))),
        "sealed_pointer": structure(&sealed),
    })
}
