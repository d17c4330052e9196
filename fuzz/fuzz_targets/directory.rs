//! Requests and replies of the directory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paigham_fuzz::{have_one_form, reply_has_one_form};
use paigham_wire::directory::{
    DirectoryError, LookupReply, LookupRequest, Ping, SubmitReply, SubmitRequest,
};

fuzz_target!(|bytes: &[u8]| {
    have_one_form!(bytes => SubmitRequest, LookupRequest, Ping);
    reply_has_one_form::<SubmitReply, DirectoryError>(bytes);
    reply_has_one_form::<LookupReply, DirectoryError>(bytes);
    reply_has_one_form::<Ping, DirectoryError>(bytes);
});
