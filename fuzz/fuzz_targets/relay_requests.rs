//! Requests of the relay's methods, as anybody sends them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paigham_fuzz::have_one_form;
use paigham_wire::admin::{AdminLogRequest, ApproveRequest, InitArgument, Proposal};
use paigham_wire::blob::{BlobMac, BlobRequest, ChunkRequest, CreateBlob, PutChunk};
use paigham_wire::relay::{
    Capability, Claim, CommitBundle, CreateInbox, CreateQueue, Deposit, Drain, FetchRequest,
    PoolRequest, ReadInbox, Refill, SubmitCommit, TailRequest, WelcomeRequest,
};
use paigham_wire::ticket::Ticket;

fuzz_target!(|bytes: &[u8]| {
    have_one_form!(bytes => CreateQueue, SubmitCommit, CommitBundle, FetchRequest, WelcomeRequest,
        CreateInbox, Deposit, Capability, ReadInbox, Drain, Refill, Claim, PoolRequest,
        Ticket, TailRequest, CreateBlob, BlobMac, PutChunk, BlobRequest, ChunkRequest, Proposal,
        ApproveRequest, AdminLogRequest, InitArgument);
});
