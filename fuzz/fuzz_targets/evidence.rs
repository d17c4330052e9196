//! A golden evidence file with some bytes changed, or any bytes. The first byte of the input chooses
//! the file; then four bytes each: where, and what to change there.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use paigham_lookup::evidence::Proved;
use paigham_lookup::{AccountHistory, Evidence, LogTrust};
use paigham_transparency::codec::Codec;
use paigham_transparency::structs::Configuration;
use paigham_wire::canister_signature::CanisterSignature;
use paigham_wire::ids::CanisterId;
use serde_json::Value;

struct Golden {
    trust: LogTrust,
    /// Bytes of each file, and what it proves.
    files: Vec<(Vec<u8>, Vec<Proved>)>,
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("a string")).expect("hexadecimal")
}

fn golden() -> &'static Golden {
    static GOLDEN: OnceLock<Golden> = OnceLock::new();
    GOLDEN.get_or_init(|| {
        let text = include_str!("../../spec/vectors/evidence.json");
        let json: Value = serde_json::from_str(text).expect("it is JSON");
        let directory = CanisterId::new(&bytes(&json["directory"])).expect("a principal");
        let config = Configuration::decode(&bytes(&json["configuration"])).expect("golden");
        let trust = LogTrust::new(bytes(&json["root_key"]), directory, config).expect("golden");
        let files = json["files"].as_array().expect("there are files").iter();
        let files = files.map(|file| {
            let bytes = bytes(&file["file"]);
            let evidence = Evidence::from_bytes(&bytes).expect("golden");
            (bytes, evidence.check(&trust).proved)
        });
        Golden {
            files: files.collect(),
            trust,
        }
    })
}

fuzz_target!(|input: &[u8]| {
    let Golden { trust, files } = golden();
    if let Ok(history) = AccountHistory::from_bytes(input) {
        assert_eq!(history.to_bytes(), input);
    }
    assert!(CanisterSignature::verify(input, trust.root_key(), trust.directory()).is_err());
    if let Ok(evidence) = Evidence::from_bytes(input) {
        assert_eq!(evidence.to_bytes(), input);
        assert!(evidence.check(trust).items.len() == evidence.items.len());
    }
    let Some((choice, changes)) = input.split_first() else {
        return;
    };
    let (file, honest) = &files[usize::from(*choice) % files.len()];
    let mut changed = file.clone();
    for change in changes.chunks_exact(4) {
        let place = u32::from_be_bytes([0, change[0], change[1], change[2]]) as usize;
        let place = place % changed.len();
        changed[place] = change[3];
    }
    if let Ok(evidence) = Evidence::from_bytes(&changed) {
        let proved = evidence.check(trust).proved;
        assert!(proved.iter().all(|one| honest.contains(one)), "{proved:?}");
    }
});
