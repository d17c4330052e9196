//! A Welcome wrapper, as a committer seals it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paigham_fuzz::have_one_form;
use paigham_wire::envelope::WelcomeWrapper;
use paigham_wire::reset::{ReAddLog, ReAddMessage, ReAdds, ResetClaim};

fuzz_target!(|bytes: &[u8]| {
    have_one_form!(bytes => WelcomeWrapper, ResetClaim, ReAddMessage, ReAdds, ReAddLog);
});
