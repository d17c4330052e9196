//! Requests of the relay's methods, as anybody sends them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paigham_fuzz::have_one_form;
use paigham_wire::relay::{
    Capability, Claim, CommitBundle, CreateInbox, CreateQueue, Deposit, Drain, FetchRequest,
    PoolRequest, ReadInbox, Refill, SubmitCommit, WelcomeRequest,
};

fuzz_target!(|bytes: &[u8]| {
    have_one_form!(bytes => CreateQueue, SubmitCommit, CommitBundle, FetchRequest, WelcomeRequest,
        CreateInbox, Deposit, Capability, ReadInbox, Drain, Refill, Claim, PoolRequest);
});
