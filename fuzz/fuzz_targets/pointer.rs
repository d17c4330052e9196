//! What lies in an inbox, sealed and opened: strangers deposit there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paigham_fuzz::have_one_form;
use paigham_wire::envelope::{SealedPointer, WelcomePointer};

fuzz_target!(|bytes: &[u8]| {
    have_one_form!(bytes => SealedPointer, WelcomePointer);
});
