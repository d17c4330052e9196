//! Messages that trap at their n-th system call.

use std::cell::Cell;

use super::dice::hashed;
use crate::ic0::{Message, Mode};

/// Which updates, callbacks and timers trap, and where. It depends on the seed and on what the
/// message says alone, so that a replay of the log and other replicas trap in the same places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traps {
    /// Decides.
    pub seed: u64,
    /// One message in so many traps.
    pub one_in: u64,
    /// The latest system call of a message at which it does; one that makes fewer calls goes well.
    pub within: u64,
}

thread_local! {
    /// What the executor of this thread makes trap. A thread runs one subnet, so this saves every
    /// canister from carrying it.
    static TRAPS: Cell<Option<Traps>> = const { Cell::new(None) };
}

impl Traps {
    /// From now on, on this thread.
    pub(crate) fn set(traps: Option<Self>) {
        TRAPS.set(traps);
    }

    /// The system call at which a message traps, counted from 1.
    fn call_of(self, message: &Message) -> Option<u64> {
        let thrown = hashed(&[
            &self.seed.to_be_bytes(),
            message.method.as_bytes(),
            &message.caller,
            &message.argument,
            &message.time.to_be_bytes(),
        ]);
        let (chosen, call) = (thrown % u64::from(u32::MAX), thrown >> 32);
        chosen
            .is_multiple_of(self.one_in)
            .then(|| 1 + call.checked_rem(self.within).unwrap_or(0))
    }
}

/// How far a message is from its trap.
#[derive(Debug, Default)]
pub(crate) struct Fuse {
    calls: u64,
    trap_at: Option<u64>,
}

impl Fuse {
    /// Counts a system call; tells whether the message traps in it.
    pub fn burns(message: &mut Message) -> bool {
        use Mode::{RejectCallback, ReplyCallback, SystemTask, Update};
        if !matches!(
            message.mode,
            Update | ReplyCallback | RejectCallback | SystemTask
        ) {
            return false;
        }
        if message.fuse.calls == 0 {
            message.fuse.trap_at = TRAPS.get().and_then(|traps| traps.call_of(message));
        }
        message.fuse.calls += 1;
        message.fuse.trap_at == Some(message.fuse.calls)
    }
}
