//! Calls under way: who waits for what, and the queue of a canister.
//!
//! A *context* stands for one call that a canister serves, over all the messages that it takes: the
//! first, and a callback for each call made meanwhile. It ends when nothing is outstanding.

use std::collections::{BTreeMap, VecDeque};

use candid::Principal;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::execution::{Reject, reject_code};
use crate::ic0::Closure;

/// Most calls that a canister has under way, as a replica's queue holds.
const CALLS_MAX: usize = 500;
/// Most bytes of method names and arguments that wait in its queue.
const CALLS_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Longest that a caller with a deadline waits, in seconds; a longer time is cut.
const TIMEOUT_MAX_SECONDS: u32 = 300;

/// What a call is answered with.
pub(crate) type CallResult = Result<ByteBuf, Reject>;

/// Whom an answer goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// The status of a request.
    Ingress(ByteBuf),
    /// A callback of a canister.
    Call { canister: Principal, callback: u64 },
    /// Nobody: a timer.
    Task,
}

/// A call to a canister's method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub origin: Origin,
    pub caller: Principal,
    pub method: String,
    #[serde(with = "serde_bytes")]
    pub argument: Vec<u8>,
    /// When the caller stops waiting; 0 = never.
    pub deadline: u64,
}

/// What waits for a canister.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Input {
    Request(Request),
    Response { callback: u64, result: CallResult },
}

/// A call that the canister serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Context {
    pub origin: Origin,
    pub caller: Principal,
    pub method: String,
    pub deadline: u64,
    pub answered: bool,
    /// Its code was uninstalled: what comes back is dropped.
    pub deleted: bool,
    /// Calls that it made and whose callbacks have not run.
    pub outstanding: u64,
    /// Instructions of its messages so far.
    pub instructions: u64,
}

impl Context {
    pub fn of(request: &Request) -> Self {
        Self {
            origin: request.origin.clone(),
            caller: request.caller,
            method: request.method.clone(),
            deadline: request.deadline,
            answered: false,
            deleted: false,
            outstanding: 0,
            instructions: 0,
        }
    }
}

/// What runs when an answer comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Callback {
    pub context: u64,
    pub reply: Closure,
    pub reject: Closure,
    pub cleanup: Option<Closure>,
    /// When waiting ends; 0 = never.
    pub deadline: u64,
}

/// The calls of one canister.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Calls {
    next: u64,
    contexts: BTreeMap<u64, Context>,
    callbacks: BTreeMap<u64, Callback>,
    inbox: VecDeque<Input>,
}

impl Calls {
    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.contexts.is_empty() && self.callbacks.is_empty() && self.inbox.is_empty()
    }

    pub fn has_input(&self) -> bool {
        !self.inbox.is_empty()
    }

    pub fn next_input(&mut self) -> Option<Input> {
        self.inbox.pop_front()
    }

    /// Calls that may still be made, and their bytes together.
    pub fn room(&self) -> (usize, usize) {
        let waiting: usize = self.inbox.iter().map(request_bytes).sum();
        (
            CALLS_MAX.saturating_sub(self.callbacks.len()),
            CALLS_MAX_BYTES.saturating_sub(waiting),
        )
    }

    pub fn open(&mut self, context: Context) -> u64 {
        let number = self.number();
        self.contexts.insert(number, context);
        number
    }

    pub fn context(&mut self, number: u64) -> Option<&mut Context> {
        self.contexts.get_mut(&number)
    }

    /// Ends a context in which nothing is outstanding.
    pub fn close(&mut self, number: u64) -> Option<Context> {
        let done = self.contexts.get(&number)?.outstanding == 0;
        done.then(|| self.contexts.remove(&number)).flatten()
    }

    /// Registers what runs when an answer comes.
    pub fn wait(&mut self, callback: Callback) -> u64 {
        if let Some(context) = self.contexts.get_mut(&callback.context) {
            context.outstanding += 1;
        }
        let number = self.number();
        self.callbacks.insert(number, callback);
        number
    }

    pub fn ask_self(&mut self, request: Request) {
        self.inbox.push_back(Input::Request(request));
    }

    /// An answer has come; one that nobody waits for any more is dropped.
    pub fn respond(&mut self, callback: u64, result: CallResult) {
        if self.callbacks.contains_key(&callback) {
            self.inbox.push_back(Input::Response { callback, result });
        }
    }

    pub fn take_callback(&mut self, number: u64) -> Option<Callback> {
        let callback = self.callbacks.remove(&number)?;
        if let Some(context) = self.contexts.get_mut(&callback.context) {
            context.outstanding = context.outstanding.saturating_sub(1);
        }
        Some(callback)
    }

    /// Whoever waits no longer gets a reject instead of an answer.
    pub fn expire(&mut self, now: u64) {
        let late: Vec<_> = self
            .callbacks
            .iter_mut()
            .filter(|(_, callback)| is_due(callback.deadline, now))
            .map(|(number, callback)| {
                callback.deadline = 0;
                *number
            })
            .collect();
        for number in late {
            let late = "the deadline of the call has passed";
            let reject = Reject::new(reject_code::SYS_UNKNOWN, "IC0202", late);
            self.respond(number, Err(reject));
        }
    }

    /// The next deadline.
    pub fn next_deadline(&self) -> Option<u64> {
        let deadlines = self.callbacks.values().map(|callback| callback.deadline);
        deadlines.filter(|deadline| *deadline != 0).min()
    }

    /// The code is gone: all callers that wait are told by what is returned, and what comes back is
    /// dropped.
    pub fn abandon(&mut self) -> Vec<Origin> {
        let mut origins = Vec::new();
        for context in self.contexts.values_mut() {
            context.deleted = true;
            if !std::mem::replace(&mut context.answered, true) {
                origins.push(context.origin.clone());
            }
        }
        origins
    }

    /// Whether a stored state is one that calls lead to.
    pub fn is_sound(&self) -> bool {
        let known = |callback: &Callback| self.contexts.contains_key(&callback.context);
        let numbers = self.contexts.keys().chain(self.callbacks.keys());
        let mut outstanding: BTreeMap<u64, u64> = BTreeMap::new();
        for callback in self.callbacks.values() {
            *outstanding.entry(callback.context).or_default() += 1;
        }
        self.callbacks.values().all(known)
            && numbers.into_iter().all(|number| *number < self.next)
            && self.contexts.iter().all(|(number, context)| {
                context.outstanding == outstanding.get(number).copied().unwrap_or_default()
            })
    }

    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }
}

fn request_bytes(input: &Input) -> usize {
    match input {
        Input::Request(request) => request.method.len() + request.argument.len(),
        Input::Response { .. } => 0,
    }
}

/// When a call made at `now` is given up; 0 = never.
pub(crate) fn deadline(timeout: Option<u32>, now: u64) -> u64 {
    timeout.map_or(0, |seconds| {
        now.saturating_add(u64::from(seconds.min(TIMEOUT_MAX_SECONDS)) * 1_000_000_000)
    })
}

/// Whether a deadline is one and has passed.
pub(crate) const fn is_due(deadline: u64, now: u64) -> bool {
    deadline != 0 && deadline <= now
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callback(context: u64, deadline: u64) -> Callback {
        let closure = Closure {
            function: 0,
            environment: 0,
        };
        Callback {
            context,
            reply: closure,
            reject: closure,
            cleanup: None,
            deadline,
        }
    }

    fn context() -> Context {
        Context::of(&Request {
            origin: Origin::Task,
            caller: Principal::anonymous(),
            method: String::new(),
            argument: Vec::new(),
            deadline: 0,
        })
    }

    /// A caller that waits no longer is told once, and the answer that comes too late is dropped;
    /// a caller without a deadline waits for ever.
    #[test]
    fn a_deadline_ends_the_waiting_once() {
        let mut calls = Calls::default();
        let served = calls.open(context());
        let patient = calls.wait(callback(served, 0));
        let hasty = calls.wait(callback(served, deadline(Some(1), 5)));
        assert_eq!(calls.next_deadline(), Some(1_000_000_005));
        calls.expire(1_000_000_004);
        assert!(!calls.has_input());
        calls.expire(1_000_000_005);
        calls.expire(2_000_000_000);
        calls.respond(hasty, Ok(ByteBuf::new()));
        let Some(Input::Response { callback, result }) = calls.next_input() else {
            panic!("no response");
        };
        assert_eq!(callback, hasty);
        assert_eq!(result.unwrap_err().code, reject_code::SYS_UNKNOWN);
        assert!(calls.take_callback(hasty).is_some());
        assert!(calls.close(served).is_none(), "one call is outstanding");
        let Some(Input::Response { callback, .. }) = calls.next_input() else {
            panic!("the late answer was queued before its callback ran");
        };
        assert!(calls.take_callback(callback).is_none(), "and finds nobody");
        assert!(calls.take_callback(patient).is_some());
        assert!(calls.close(served).is_some());
        assert!(calls.is_idle());
    }

    /// A stored state that no calls lead to is known as such.
    #[test]
    fn unsound_calls_are_recognised() {
        let mut calls = Calls::default();
        let served = calls.open(context());
        calls.wait(callback(served, 0));
        assert!(calls.is_sound());
        let mut orphan = calls.clone();
        orphan.contexts.clear();
        assert!(!orphan.is_sound());
        let mut miscounted = calls.clone();
        miscounted.contexts.get_mut(&served).unwrap().outstanding = 0;
        assert!(!miscounted.is_sound());
        calls.next = 0;
        assert!(!calls.is_sound());
    }
}
