//! Requests, replies and errors of the directory.

use paigham_wire::codec::{decode, decode_result, encode_result};
use paigham_wire::directory::{
    AccountRecords, DatedRecord, DirectoryError, LookupReply, LookupRequest, Ping, SubmitReply,
    SubmitRequest,
};
use paigham_wire::ids::AccountId;
use serde_json::{Value, json};

use crate::{hex, structure};

pub fn all() -> Value {
    let submit = SubmitRequest {
        record: vec![0xee; 70].into(),
    };
    let lookup = LookupRequest {
        accounts: vec![AccountId([1; 16]), AccountId([2; 16])],
    };
    let submitted = SubmitReply {
        version: 0x0102_0304,
        accepted_at: 0x0506_0708_090a_0b0c,
    };
    let record = |byte: u8| DatedRecord {
        accepted_at: u64::from(byte),
        record: vec![byte; 3].into(),
    };
    let found = LookupReply {
        certificate: b"certificate".to_vec().into(),
        witness: b"witness".to_vec().into(),
        accounts: vec![
            AccountRecords {
                account: AccountId([1; 16]),
                records: vec![record(5), record(6)],
            },
            AccountRecords {
                account: AccountId([2; 16]),
                records: Vec::new(),
            },
        ],
    };
    json!({
        "submit": { "request": structure(&submit), "reply": structure(&submitted) },
        "lookup": { "request": structure(&lookup), "reply": structure(&found) },
        "ping": structure(&Ping { nonce: [9; 32] }),
        "ok": hex(encode_result::<_, DirectoryError>(&Ok(submitted))),
        "errors": errors(),
    })
}

/// Every error there is: their numbers are consecutive, those inside one as well.
fn errors() -> Vec<Value> {
    let all = (1..=u8::MAX)
        .map(|n| match decode::<DirectoryError>(&[n]) {
            Ok(error) => vec![error],
            Err(_) => (1..=u8::MAX)
                .map_while(|inner| decode(&[n, inner]).ok())
                .collect(),
        })
        .take_while(|errors| !errors.is_empty())
        .flatten();
    let errors: Vec<_> = all
        .map(|error| {
            let bytes = encode_result::<SubmitReply, _>(&Err(error));
            assert_eq!(decode_result::<SubmitReply, _>(&bytes), Ok(Err(error)));
            json!({ "meaning": error.to_string(), "reply": hex(bytes) })
        })
        .collect();
    // Fourteen plain ones, six of tickets, twelve of handles.
    assert_eq!(errors.len(), 14 + 6 + 12);
    errors
}
