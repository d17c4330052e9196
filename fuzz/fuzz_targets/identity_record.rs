//! An identity record, as anybody submits it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paigham_fuzz::have_one_form;
use paigham_wire::codec::encode;
use paigham_wire::identity::{AccountState, DeviceEntry, IdentityRecord};

fuzz_target!(|bytes: &[u8]| {
    have_one_form!(bytes => DeviceEntry);
    if let Ok(record) = IdentityRecord::decode(bytes) {
        assert_eq!(encode(&record), bytes);
        if let Ok(state) = AccountState::create(&record, 1) {
            assert_eq!(state.at(2).devices, record.content.devices);
            let _ = state.apply(&record, 2);
        }
    }
});
