//! What a message did, what came of it, and what it was allowed to use.

use serde::{Deserialize, Serialize};
use wasmtime::Trap;

use crate::ic0::SystemTrap;

/// Instructions that one message may use, by what it is: the replica's limits, but for queries.
pub(crate) mod limit {
    /// Update, callback, timer.
    pub const UPDATE: u64 = 40_000_000_000;
    /// Query: a fifth of the replica's. One thread serves all, anybody may ask, and a billion
    /// instructions are about a second of it; the largest reply costs far less.
    pub const QUERY: u64 = 1_000_000_000;
    /// `inspect_message`.
    pub const INSPECT: u64 = 200_000_000;
    /// init, pre- and post-upgrade.
    pub const INSTALL: u64 = 300_000_000_000;
    /// Cleanup after a callback that trapped.
    pub const CLEANUP: u64 = UPDATE / 20;
}

/// What a message did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// What came of it.
    pub outcome: Outcome,
    /// Instructions with the replica's weights and system-call charges, dirty pages included.
    pub instructions: u64,
    /// 4-KiB pages of stable memory that it wrote to.
    pub dirty_pages: u64,
    /// 4-KiB pages of the heap that it left changed, whether that was kept or not.
    pub dirty_heap_pages: u64,
}

impl Execution {
    /// What needed no run.
    pub(crate) const fn without_run(outcome: Outcome) -> Self {
        Self {
            outcome,
            instructions: 0,
            dirty_pages: 0,
            dirty_heap_pages: 0,
        }
    }
}

/// What came of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Replied with these bytes.
    Replied(Vec<u8>),
    /// Rejected by the canister itself.
    Rejected(String),
    /// Done without an answer.
    Unanswered,
    /// Stopped by the system; nothing of it remains.
    Failed {
        /// The replica's error code.
        code: &'static str,
        /// Why.
        message: String,
    },
    /// `inspect_message` let it pass, or a hook ran.
    Accepted,
}

impl Outcome {
    /// A run that the engine or a system call stopped.
    pub(crate) fn stopped(error: &wasmtime::Error) -> Self {
        let (code, message) = if error.downcast_ref() == Some(&Trap::OutOfFuel) {
            let trap = SystemTrap::OutOfInstructions;
            (trap.code(), exceeded())
        } else {
            match error.downcast_ref::<SystemTrap>() {
                Some(trap @ SystemTrap::OutOfInstructions) => (trap.code(), exceeded()),
                Some(trap) => (trap.code(), format!("the canister trapped: {trap}")),
                None => (
                    "IC0502",
                    format!("the canister trapped: {}", error.root_cause()),
                ),
            }
        };
        Self::Failed { code, message }
    }

    pub(crate) const fn is_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

fn exceeded() -> String {
    "the canister exceeded its instruction limit".to_owned()
}

/// Reject codes of the IC interface specification.
pub(crate) mod reject_code {
    pub const SYS_TRANSIENT: u8 = 2;
    pub const DESTINATION_INVALID: u8 = 3;
    pub const CANISTER_REJECT: u8 = 4;
    pub const CANISTER_ERROR: u8 = 5;
    pub const SYS_UNKNOWN: u8 = 6;
}

/// Why a call was not replied to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reject {
    pub code: u8,
    pub message: String,
    pub error_code: String,
}

impl Reject {
    pub fn new(code: u8, error_code: &str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            error_code: error_code.to_owned(),
        }
    }

    /// Of a message that was stopped.
    pub fn failed(error_code: &str, message: impl Into<String>) -> Self {
        let code = match error_code {
            "IC0301" | "IC0536" => reject_code::DESTINATION_INVALID,
            _ => reject_code::CANISTER_ERROR,
        };
        Self::new(code, error_code, message)
    }

    pub fn no_reply() -> Self {
        Self::failed("IC0506", "the canister did not reply")
    }
}
