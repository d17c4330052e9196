//! One message and what it has done so far.

use std::sync::Arc;

use candid::Principal;
use serde::{Deserialize, Serialize};

use super::Mode;

/// What a canister may ask about itself.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub id: Principal,
    pub subnet: Principal,
    pub root_key: Arc<[u8]>,
    pub controllers: Arc<[Principal]>,
    pub version: u64,
    /// 1 = running, 2 = stopping, 3 = stopped.
    pub status: i32,
    /// When the timer is due, in nanoseconds since 1970; 0 = never.
    pub timer: u64,
}

impl Default for About {
    fn default() -> Self {
        Self {
            id: Principal::management_canister(),
            subnet: Principal::management_canister(),
            root_key: Arc::default(),
            controllers: Arc::default(),
            version: 0,
            status: 1,
            timer: 0,
        }
    }
}

/// What a message answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Reply(Vec<u8>),
    Reject(String),
}

/// A function of the table and the number that it is called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Closure {
    pub function: u32,
    pub environment: u32,
}

/// A call that a message makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutgoingCall {
    pub callee: Principal,
    pub method: String,
    pub argument: Vec<u8>,
    pub reply: Closure,
    pub reject: Closure,
    pub cleanup: Option<Closure>,
    /// Seconds after which the caller no longer waits for the answer.
    pub timeout: Option<u32>,
}

impl OutgoingCall {
    pub const fn bytes(&self) -> usize {
        self.method.len() + self.argument.len()
    }
}

/// One message and what it has done so far.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub mode: Mode,
    pub method: String,
    /// Argument; in a reply callback the reply.
    pub argument: Vec<u8>,
    pub caller: Vec<u8>,
    pub time: u64,
    pub about: About,
    pub certificate: Option<Vec<u8>>,
    /// Reject code and text, where a reject is called back.
    pub reject: Option<(u8, Vec<u8>)>,
    /// When the caller stops waiting; 0 = never.
    pub deadline: u64,
    /// Whether an earlier message of the same call answered.
    pub answered: bool,
    /// Instructions of the earlier messages of the same call.
    pub context_instructions: u64,
    /// Calls that may still be made, and their bytes together.
    pub call_slots: usize,
    pub call_room: usize,
    pub reply_data: Vec<u8>,
    pub answer: Option<Answer>,
    pub accepted: bool,
    pub certified_data: Option<Vec<u8>>,
    pub timer_set: Option<u64>,
    /// The call that is being put together.
    pub call: Option<OutgoingCall>,
    pub calls: Vec<OutgoingCall>,
    pub limit: u64,
    #[cfg(feature = "testkit")]
    pub fuse: crate::testkit::Fuse,
}

impl Message {
    pub fn new(mode: Mode, method: &str, argument: Vec<u8>, caller: &Principal, time: u64) -> Self {
        Self {
            mode,
            method: method.to_owned(),
            argument,
            caller: caller.as_slice().to_vec(),
            time,
            ..Self::default()
        }
    }

    pub const fn is_answered(&self) -> bool {
        self.answered || self.answer.is_some()
    }
}
