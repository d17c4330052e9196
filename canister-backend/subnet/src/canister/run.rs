//! How messages run in a canister: calls, answers to its own calls, the timer, queries, hooks.

use candid::Principal;
use serde_bytes::ByteBuf;
use wasmtime::Engine;

use super::Canister;
use crate::calls::{CallResult, Callback, Context, Origin, Request, deadline, is_due};
use crate::code::{Code, Effects, Entry, InstallError};
use crate::execution::{Execution, Outcome, Reject, limit, reject_code};
use crate::ic0::{Closure, Message, Mode, OutgoingCall};

/// Entry point of the timer.
const TIMER: &str = "canister_global_timer";

/// What a message did beyond its canister.
#[derive(Debug)]
pub(crate) struct Step {
    /// What it is counted under.
    pub method: String,
    /// Whether it began a call.
    pub is_call: bool,
    /// Bytes of its argument.
    pub argument_bytes: u64,
    pub execution: Execution,
    pub answer: Option<(Origin, CallResult)>,
    /// Calls to the management canister, with who waits for their answers.
    pub management: Vec<Request>,
}

impl Step {
    /// A call that did not run.
    pub fn refused(origin: Origin, reject: Reject) -> Self {
        let outcome = Outcome::Failed {
            code: "",
            message: reject.message.clone(),
        };
        Self {
            method: "(refused)".to_owned(),
            is_call: true,
            argument_bytes: 0,
            execution: Execution::without_run(outcome),
            answer: Some((origin, Err(reject))),
            management: Vec::new(),
        }
    }
}

impl Canister {
    /// Runs a call: an update, or a query whose changes are dropped.
    pub fn request(&mut self, request: Request, now: u64) -> Option<Step> {
        if is_due(request.deadline, now) {
            // Its caller was told already.
            return None;
        }
        let checked = self
            .check_running()
            .and_then(|()| self.check_method(&request.method, true));
        let code = match (checked, &self.code) {
            (Ok(()), Some(code)) => code,
            (Ok(()), None) => return None,
            (Err(reject), _) => return Some(Step::refused(request.origin, reject)),
        };
        let update = format!("canister_update {}", request.method);
        let (mode, export) = if code.exports(&update) {
            (Mode::Update, update)
        } else {
            let query = format!("canister_query {}", request.method);
            (Mode::ReplicatedQuery, query)
        };
        let context = Context::of(&request);
        let Request {
            caller,
            method,
            argument,
            ..
        } = request;
        let argument_bytes = argument.len() as u64;
        let mut message = Message::new(mode, &method, argument, &caller, now);
        message.deadline = context.deadline;
        let (execution, effects) = self.run(&Entry::Export(export), message, limit::UPDATE);
        let context = self.calls.open(context);
        let management = self.apply(effects, context, &execution, now);
        let answer = self.conclude(context, &execution.outcome);
        Some(Step {
            method,
            is_call: true,
            argument_bytes,
            execution,
            answer,
            management,
        })
    }

    /// Runs the callback of an answer.
    pub fn response(&mut self, number: u64, result: CallResult, now: u64) -> Option<Step> {
        let callback = self.calls.take_callback(number)?;
        let number = callback.context;
        let context = self.calls.context(number)?.clone();
        if context.deleted || self.code.is_none() {
            self.calls.close(number);
            return None;
        }
        let argument_bytes = result.as_ref().map_or(0, |reply| reply.len() as u64);
        let (message, closure) = match result {
            Ok(reply) => {
                let reply = reply.into_vec();
                let mode = Mode::ReplyCallback;
                let message = Message::new(mode, &context.method, reply, &context.caller, now);
                (message, callback.reply)
            }
            Err(reject) => {
                let mode = Mode::RejectCallback;
                let mut message =
                    Message::new(mode, &context.method, Vec::new(), &context.caller, now);
                message.reject = Some((reject.code, reject.message.into_bytes()));
                (message, callback.reject)
            }
        };
        let rejected = message.reject.clone();
        let message = within(message, &context);
        let (mut execution, effects) = self.run(&Entry::Callback(closure), message, limit::UPDATE);
        let management = self.apply(effects, number, &execution, now);
        if let (true, Some(cleanup)) = (execution.outcome.is_failed(), callback.cleanup) {
            let mode = Mode::Cleanup;
            let mut message = Message::new(mode, &context.method, Vec::new(), &context.caller, now);
            message.reject = rejected;
            let cleaned = self.clean_up(cleanup, within(message, &context), number);
            execution.instructions += cleaned.instructions;
            execution.dirty_pages += cleaned.dirty_pages;
            execution.dirty_heap_pages += cleaned.dirty_heap_pages;
        }
        let answer = self.conclude(number, &execution.outcome);
        Some(Step {
            method: context.method,
            is_call: false,
            argument_bytes,
            execution,
            answer,
            management,
        })
    }

    /// Runs what a callback that trapped left to be cleaned up; where that traps as well, nothing
    /// is.
    fn clean_up(&mut self, cleanup: Closure, message: Message, context: u64) -> Execution {
        let now = message.time;
        let (execution, effects) = self.run(&Entry::Callback(cleanup), message, limit::CLEANUP);
        self.apply(effects, context, &execution, now);
        execution
    }

    /// Runs the timer if it is due. It is off from then on until the canister sets it again.
    pub fn fire_timer(&mut self, now: u64) -> Option<Step> {
        if !self.timer_is_due(now) {
            return None;
        }
        self.timer = 0;
        if !self.code.as_ref()?.exports(TIMER) {
            return None;
        }
        let request = Request {
            origin: Origin::Task,
            caller: Principal::management_canister(),
            method: TIMER.to_owned(),
            argument: Vec::new(),
            deadline: 0,
        };
        let context = Context::of(&request);
        let message = Message::new(Mode::SystemTask, TIMER, Vec::new(), &request.caller, now);
        let (execution, effects) =
            self.run(&Entry::Export(TIMER.to_owned()), message, limit::UPDATE);
        let context = self.calls.open(context);
        let management = self.apply(effects, context, &execution, now);
        self.conclude(context, &execution.outcome);
        Some(Step {
            method: TIMER.to_owned(),
            is_call: true,
            argument_bytes: 0,
            execution,
            answer: None,
            management,
        })
    }

    /// Runs a query on the committed state; nothing of it remains.
    pub fn query(
        &mut self,
        method: &str,
        argument: Vec<u8>,
        caller: &Principal,
        now: u64,
        certificate: Vec<u8>,
    ) -> Result<Execution, Reject> {
        self.check_running()?;
        self.check_method(method, false)?;
        let mut message = Message::new(Mode::Query, method, argument, caller, now);
        message.certificate = Some(certificate);
        let entry = Entry::Export(format!("canister_query {method}"));
        Ok(self.run(&entry, message, limit::QUERY).0)
    }

    /// Asks `canister_inspect_message`, if there is one.
    pub fn inspect(
        &mut self,
        method: &str,
        argument: Vec<u8>,
        caller: &Principal,
        now: u64,
    ) -> Outcome {
        let name = "canister_inspect_message";
        if !self.code.as_ref().is_some_and(|code| code.exports(name)) {
            return Outcome::Accepted;
        }
        let message = Message::new(Mode::Inspect, method, argument, caller, now);
        let entry = Entry::Export(name.to_owned());
        self.run(&entry, message, limit::INSPECT).0.outcome
    }

    /// Fresh code with empty memory, and its `canister_init`.
    pub fn install(
        &mut self,
        engine: &Engine,
        module: &[u8],
        argument: Vec<u8>,
        caller: &Principal,
        now: u64,
    ) -> Result<(), InstallError> {
        let mut code = Code::new(engine, module)?;
        let message = Message::new(Mode::Init, "canister_init", argument, caller, now);
        let effects = self.hook(&mut code, "canister_init", message, 0)?;
        let certified_data = effects.certified_data.unwrap_or_default();
        self.replace_code(code, certified_data, effects.timer.unwrap_or(0));
        Ok(())
    }

    /// Other code on the same stable memory: all of it happens, or nothing.
    pub fn upgrade(
        &mut self,
        engine: &Engine,
        module: &[u8],
        argument: Vec<u8>,
        caller: &Principal,
        now: u64,
        pre_upgrade: PreUpgrade,
    ) -> Result<(), InstallError> {
        let Some(running) = &self.code else {
            return Err(InstallError::Id("the canister has no code to upgrade"));
        };
        let mut next = Code::new(engine, module)?;
        // The hooks run on a copy: whatever fails, this canister was never touched.
        let mut last = running.copy()?;
        let mut certified_data = self.certified_data.clone();
        if pre_upgrade == PreUpgrade::Run {
            let name = "canister_pre_upgrade";
            let message = Message::new(Mode::PreUpgrade, name, Vec::new(), caller, now);
            let effects = self.hook(&mut last, name, message, self.timer)?;
            certified_data = effects.certified_data.unwrap_or(certified_data);
        }
        next.inherit_stable(&mut last);
        let name = "canister_post_upgrade";
        let message = Message::new(Mode::Init, name, argument, caller, now);
        let effects = self.hook(&mut next, name, message, 0)?;
        certified_data = effects.certified_data.unwrap_or(certified_data);
        self.replace_code(next, certified_data, effects.timer.unwrap_or(0));
        Ok(())
    }

    /// Takes code with its memory, as an upgrade leaves it, and runs its `canister_post_upgrade`.
    #[cfg(feature = "testkit")]
    pub fn resume(&mut self, code: Code, now: u64) -> Result<Execution, InstallError> {
        let name = "canister_post_upgrade";
        if !code.exports(name) {
            return Err(InstallError::Id("the module has no post-upgrade hook"));
        }
        self.code = Some(code);
        let anonymous = Principal::anonymous();
        let message = Message::new(Mode::Init, name, Vec::new(), &anonymous, now);
        let entry = Entry::Export(name.to_owned());
        let (execution, effects) = self.run(&entry, message, limit::INSTALL);
        self.apply(effects, 0, &execution, now);
        Ok(execution)
    }

    fn hook(
        &self,
        code: &mut Code,
        name: &'static str,
        mut message: Message,
        timer: u64,
    ) -> Result<Effects, InstallError> {
        if !code.exports(name) {
            return Ok(Effects::default());
        }
        message.about = self.about();
        message.about.timer = timer;
        message.limit = limit::INSTALL;
        let (execution, effects) = code.run(&Entry::Export(name.to_owned()), message);
        match execution.outcome {
            Outcome::Failed { code, message } => Err(InstallError::Hook {
                hook: name,
                code,
                message,
            }),
            _ => Ok(effects),
        }
    }

    fn run(&mut self, entry: &Entry, mut message: Message, limit: u64) -> (Execution, Effects) {
        message.about = self.about();
        message.limit = limit;
        (message.call_slots, message.call_room) = self.calls.room();
        match &mut self.code {
            Some(code) => code.run(entry, message),
            None => {
                let outcome = Outcome::Failed {
                    code: "IC0537",
                    message: "the canister has no code".to_owned(),
                };
                (Execution::without_run(outcome), Effects::default())
            }
        }
    }

    /// Takes over what a message left; tells the calls to the management canister.
    fn apply(
        &mut self,
        effects: Effects,
        context: u64,
        execution: &Execution,
        now: u64,
    ) -> Vec<Request> {
        if let Some(open) = self.calls.context(context) {
            open.instructions += execution.instructions;
        }
        if !effects.kept {
            return Vec::new();
        }
        self.version += 1;
        if let Some(data) = effects.certified_data {
            self.certified_data = data;
        }
        self.timer = effects.timer.unwrap_or(self.timer);
        let calls = effects.calls.into_iter();
        calls
            .filter_map(|call| self.make_call(call, context, now))
            .collect()
    }

    /// A call to itself waits like any other; one to the management canister is handed on; there
    /// is nobody else to call.
    fn make_call(&mut self, call: OutgoingCall, context: u64, now: u64) -> Option<Request> {
        let deadline = deadline(call.timeout, now);
        let callback = self.calls.wait(Callback {
            context,
            reply: call.reply,
            reject: call.reject,
            cleanup: call.cleanup,
            deadline,
        });
        let request = Request {
            origin: Origin::Call {
                canister: self.id,
                callback,
            },
            caller: self.id,
            method: call.method,
            argument: call.argument,
            deadline,
        };
        if call.callee == Principal::management_canister() {
            return Some(request);
        }
        if call.callee == self.id {
            self.calls.ask_self(request);
        } else {
            let text = "the embedded subnet has no calls between canisters";
            let reject = Reject::new(reject_code::DESTINATION_INVALID, "IC0301", text);
            self.calls.respond(callback, Err(reject));
        }
        None
    }

    /// Answers the caller if the message did, or if nothing will any more.
    fn conclude(&mut self, number: u64, outcome: &Outcome) -> Option<(Origin, CallResult)> {
        let context = self.calls.context(number)?;
        let result = match outcome {
            _ if context.answered => None,
            Outcome::Replied(reply) => Some(Ok(ByteBuf::from(reply.clone()))),
            Outcome::Rejected(text) => Some(Err(Reject::new(
                reject_code::CANISTER_REJECT,
                "IC0406",
                text.clone(),
            ))),
            _ if context.outstanding > 0 => None,
            Outcome::Failed { code, message } => Some(Err(Reject::failed(code, message.clone()))),
            Outcome::Unanswered | Outcome::Accepted => Some(Err(Reject::no_reply())),
        };
        context.answered |= result.is_some();
        let origin = context.origin.clone();
        self.calls.close(number);
        result.map(|result| (origin, result))
    }
}

/// Whether the old code's `canister_pre_upgrade` runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PreUpgrade {
    Run,
    Skip,
}

/// A later message of a call.
fn within(mut message: Message, context: &Context) -> Message {
    message.deadline = context.deadline;
    message.answered = context.answered;
    message.context_instructions = context.instructions;
    message
}
