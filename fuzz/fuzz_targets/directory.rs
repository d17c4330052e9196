//! Replies of the directory beside its log's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paigham_fuzz::{have_one_form, reply_has_one_form};
use paigham_wire::directory::{DirectoryError, Ping};

fuzz_target!(|bytes: &[u8]| {
    have_one_form!(bytes => Ping);
    reply_has_one_form::<Ping, DirectoryError>(bytes);
});
