//! A handle's record, as anybody submits it, and a handle, as anybody types it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paigham_wire::codec::encode;
use paigham_wire::identity::handle::{HANDLE_MAX_BYTES, Handle, HandleRecord, Skeleton};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = HandleRecord::decode(bytes) {
        assert_eq!(encode(&record), bytes);
        has_one_look(&record.content.handle);
    }
    if let Some(skeleton) = Skeleton::of_label(bytes) {
        assert_eq!(skeleton.label(), bytes);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(handle) = Handle::typed(text) {
            has_one_look(&handle);
        }
        if let Ok(handle) = Handle::new(text) {
            assert_eq!(handle.as_str(), text);
        }
    }
});

/// Typed again it is the same handle, and its label is that of its skeleton.
fn has_one_look(handle: &Handle) {
    assert_eq!(Handle::typed(handle.as_str()).as_ref(), Ok(handle));
    let label = handle.skeleton().label();
    assert!(label.len() <= 2 + HANDLE_MAX_BYTES);
    assert_eq!(Skeleton::of_label(&label), Some(handle.skeleton()));
}
