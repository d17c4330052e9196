//! Every structure of the transparency log: what is accepted, encoded again, is what came in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paigham_transparency::audit_file::{AuditHeader, AuditRecord, Checkpoint};
use paigham_transparency::auditor::AuditorState;
use paigham_transparency::codec::Codec;
use paigham_transparency::consistency::Consistency;
use paigham_transparency::hash::Label;
use paigham_transparency::structs::*;
use paigham_transparency::verifier::{ContactMap, OwnerState, TreeView};

fn one_encoding<T: Codec>(bytes: &[u8]) {
    if let Ok(value) = T::decode(bytes) {
        assert_eq!(value.encode().expect("what was read can be written"), bytes);
    }
}

fuzz_target!(|bytes: &[u8]| {
    one_encoding::<Configuration>(bytes);
    one_encoding::<TreeHeadTbs>(bytes);
    one_encoding::<CombinedTreeProof>(bytes);
    one_encoding::<AuditorUpdate>(bytes);
    one_encoding::<AuditorTreeHead>(bytes);
    one_encoding::<AuditorTreeHeadTbs>(bytes);
    one_encoding::<SearchRequest>(bytes);
    one_encoding::<AbsentResponse>(bytes);
    one_encoding::<PlaceResponse>(bytes);
    one_encoding::<ContactMonitorRequest>(bytes);
    one_encoding::<ContactMonitorResponse>(bytes);
    one_encoding::<OwnerInitRequest>(bytes);
    one_encoding::<OwnerInitResponse>(bytes);
    one_encoding::<OwnerMonitorRequest>(bytes);
    one_encoding::<OwnerMonitorResponse>(bytes);
    one_encoding::<UpdateRequest>(bytes);
    one_encoding::<UpdateResponse>(bytes);
    one_encoding::<DistinguishedRequest>(bytes);
    one_encoding::<DistinguishedResponse>(bytes);
    one_encoding::<DistinguishedHead>(bytes);
    one_encoding::<TreeView>(bytes);
    one_encoding::<ContactMap>(bytes);
    one_encoding::<OwnerState>(bytes);
    one_encoding::<AuditorState>(bytes);
    one_encoding::<Consistency>(bytes);
    one_encoding::<AuditHeader>(bytes);
    one_encoding::<AuditRecord>(bytes);
    one_encoding::<Checkpoint>(bytes);
    let label = Label::new(*b"a").expect("one byte");
    for version in [None, Some(1)] {
        let request = SearchRequest {
            last: None,
            label: label.clone(),
            version,
        };
        if let Ok(response) = SearchResponse::decode_for(&request, bytes) {
            assert_eq!(
                response.encode().expect("what was read can be written"),
                bytes
            );
        }
    }
});
