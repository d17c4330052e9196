//! Named bounds of what callers control, with their reasons.

use paigham_wire::admin::AdminRefusal;
use paigham_wire::frame::REPEAT_WINDOW;
use paigham_wire::relay::RelayError;

/// Entries that a queue retains; far beyond what members read late, and a bound on its storage.
pub(crate) const QUEUE_MAX_ENTRIES: u32 = 1_000_000;
/// Of these the last may be commits only: who floods a queue can still be removed from it.
pub(crate) const ENTRIES_KEPT_FOR_COMMITS: u32 = 10_000;
/// Bytes that chunks of blobs may take; beyond, none is announced until some have gone.
pub(crate) const BLOBS_MAX_BYTES: u64 = 64 << 30;
/// Time that one bucket of chunks takes in.
pub(crate) const BLOB_SPAN_NS: u64 = 6 * 3_600 * 1_000_000_000;
/// Blobs that one step of expiry forgets.
pub(crate) const EXPIRY_STEP_BLOBS: u32 = 256;
/// Deposits that an inbox retains until it is drained.
pub(crate) const INBOX_MAX_DEPOSITS: u32 = 1_000;
/// How far a counter of an inbox key may rise at once. Devices count by ones; a leap to the last
/// number there is would leave none for the next call, and end the inbox.
pub(crate) const COUNTER_MAX_STEP: u64 = 1 << 32;
/// Links of entries that one `append_batch` reads in search of repeats of earlier epochs, whose MAC
/// it cannot check: sixteen whole windows. A batch that is sent alone needs one.
pub(crate) const UNPROVEN_MAX_LINKS: u32 = 16 * REPEAT_WINDOW;
/// Links that one `append_batch` reads in search of repeats for posts whose MAC it has checked:
/// whoever has two queues could let it read a window of each again and again. A full batch of a
/// thousand queues may read sixty-five for each.
pub(crate) const PROVEN_MAX_LINKS: u32 = 256 * REPEAT_WINDOW;
/// How long entries are kept at most. Their bucket goes as a whole when its first one is this old.
pub(crate) const POSTS_KEPT_NS: u64 = 30 * 24 * 3_600 * 1_000_000_000;
/// How long commits and Welcomes are kept at most, so that a device that was away can follow.
pub(crate) const COMMITS_KEPT_NS: u64 = 90 * 24 * 3_600 * 1_000_000_000;
/// Time that one bucket of posts takes in: how much earlier than the others its last one may go.
pub(crate) const POSTS_SPAN_NS: u64 = 6 * 3_600 * 1_000_000_000;
/// The same of commits: fewer, so that an idle shard's buckets take less room.
pub(crate) const COMMITS_SPAN_NS: u64 = 24 * 3_600 * 1_000_000_000;
/// How long entries are kept however full a shard is.
pub(crate) const KEPT_AT_LEAST_NS: u64 = 24 * 3_600 * 1_000_000_000;
/// Bytes that posts and commits may take together; from half of it on the oldest go earlier.
pub(crate) const LOGS_MAX_BYTES: u64 = 400 << 30;
/// Entries that one step of expiry looks at, and entries and joiners that it forgets: a bound on
/// the work of one message.
pub(crate) const EXPIRY_STEP_ENTRIES: u32 = 4_096;
/// Largest sealed Welcome wrapper and tree of one commit in bytes: with the commit they must fit
/// an ingress message of 2 MiB.
pub(crate) const BUNDLE_MAX_BYTES: usize = 1_500_000;
/// Largest envelope of a commit in bytes, for the same reason.
pub(crate) const COMMIT_MAX_BYTES: usize = 1_500_000;
/// Entries of one fetch: as many of 1 KiB as its bytes hold, and a bound on what is looked at
/// for large ones.
pub(crate) const FETCH_MAX_ENTRIES: usize = 2_048;
/// Digests of one fetch: 40 bytes each.
pub(crate) const FETCH_MAX_DIGESTS: usize = 40_000;
/// Deposits of one `read_inbox`.
pub(crate) const READ_MAX_DEPOSITS: usize = 200;
/// Wasm pages by which a structure grows in stable memory: 16 MiB, so that with the 32,768 steps of
/// a memory manager all of a canister's stable memory can be used.
pub const BUCKET_PAGES: u16 = 256;

/// Largest argument of a method in bytes, Candid included; `None` for a method that is not there.
#[must_use]
pub fn argument_limit(method: &str) -> Option<usize> {
    const KIB: usize = 1024;
    match method {
        "append_batch" | "submit_commit" => Some(2_048 * KIB),
        "refill" => Some(1_024 * KIB),
        "fetch" => Some(16 * KIB),
        "put_chunk" => Some(1_025 * KIB),
        "admin_propose" => Some(96 * KIB),
        "deposit" => Some(10 * KIB),
        "create_blob" => Some(4 * KIB),
        "create_inbox" => Some(2 * KIB),
        "create_queue" | "ack_welcome" | "drain" | "claim" | "welcome" | "read_inbox" | "pool"
        | "admin_approve" | "admin_log" | "shard" | "tail" | "blob" | "chunk" => Some(KIB),
        _ => None,
    }
}

/// An argument has more bytes than its method takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Oversized;

impl From<Oversized> for RelayError {
    fn from(_: Oversized) -> Self {
        Self::TooLarge
    }
}

impl From<Oversized> for AdminRefusal {
    /// No request of an administrator has so many bytes.
    fn from(_: Oversized) -> Self {
        Self::Malformed
    }
}

/// Whether a method takes an argument of so many bytes, Candid included.
///
/// # Errors
/// [`Oversized`]; also of a method that is not there.
pub(crate) fn check_size(method: &str, bytes: usize) -> Result<(), Oversized> {
    match argument_limit(method) {
        Some(limit) if bytes <= limit => Ok(()),
        _ => Err(Oversized),
    }
}

/// Whether a method is a query.
#[must_use]
pub fn is_query(method: &str) -> bool {
    matches!(
        method,
        "fetch"
            | "welcome"
            | "read_inbox"
            | "pool"
            | "shard"
            | "tail"
            | "blob"
            | "chunk"
            | "admin_log"
    )
}
