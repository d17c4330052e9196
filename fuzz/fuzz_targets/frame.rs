//! A batch of posts, as `append_batch` gets it from anybody.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paigham_wire::frame::{PostKind, PostRef, TAG_BYTES};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    let mut taken = Vec::new();
    while let Ok((post, behind)) = PostRef::split_first(rest) {
        assert_eq!(post.header.to_bytes(), *post.header_bytes);
        assert!(post.header.kind != PostKind::Commit || *post.tag == [0; TAG_BYTES]);
        taken.extend([&post.header_bytes[..], post.tag, post.envelope].concat());
        rest = behind;
    }
    taken.extend(rest);
    assert_eq!(taken, bytes);
});
