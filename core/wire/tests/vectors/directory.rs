//! Requests, replies and errors of the directory.

use paigham_wire::codec::{decode, decode_result, encode_result};
use paigham_wire::directory::{DirectoryError, Ping};
use serde_json::{Value, json};

use crate::{hex, structure};

pub fn all() -> Value {
    let ping = Ping { nonce: [9; 32] };
    json!({
        "ping": structure(&ping),
        "ok": hex(encode_result::<_, DirectoryError>(&Ok(ping))),
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
            let bytes = encode_result::<Ping, _>(&Err(error));
            assert_eq!(decode_result::<Ping, _>(&bytes), Ok(Err(error)));
            json!({ "meaning": error.to_string(), "reply": hex(bytes) })
        })
        .collect();
    // Fourteen plain ones, six of tickets, twelve of handles.
    assert_eq!(errors.len(), 14 + 6 + 12);
    errors
}
