//! Replies of the relay's methods, as a node makes them up.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paigham_fuzz::{have_one_form, reply_has_one_form};
use paigham_wire::leaf::Leaf;
use paigham_wire::relay::{
    BatchReply, Claimed, CommitAccepted, FetchReply, InboxReply, InboxState, PoolReply, Position,
    QueueCreated, RelayError, WelcomeReply,
};

fuzz_target!(|bytes: &[u8]| {
    reply_has_one_form::<QueueCreated, RelayError>(bytes);
    reply_has_one_form::<BatchReply, RelayError>(bytes);
    reply_has_one_form::<CommitAccepted, RelayError>(bytes);
    reply_has_one_form::<FetchReply, RelayError>(bytes);
    reply_has_one_form::<WelcomeReply, RelayError>(bytes);
    reply_has_one_form::<Position, RelayError>(bytes);
    reply_has_one_form::<InboxReply, RelayError>(bytes);
    reply_has_one_form::<InboxState, RelayError>(bytes);
    reply_has_one_form::<Claimed, RelayError>(bytes);
    reply_has_one_form::<PoolReply, RelayError>(bytes);
    have_one_form!(bytes => Leaf);
});
