//! One round: what is due, the calls that came, and the queues they lead to.

use candid::Principal;

use super::requests::{ANSWERS_MAX_BYTES, Answer, Status};
use super::{Ingress, Postponed, Round, State};
use crate::calls::{CallResult, Input, Origin, Request, is_due};
use crate::canister::{Canister, Step};
use crate::execution::{Execution, Outcome, Reject, reject_code};

/// Most messages of queues in one round. The rest waits for the next, so that calls from outside
/// get their turn.
const QUEUE_MAX_MESSAGES: usize = 1_000;
/// Instructions after which a round takes no more messages of queues.
const QUEUE_MAX_INSTRUCTIONS: u64 = 4_000_000_000;
/// What a subnet of 13 nodes takes for each replicated execution, in cycles.
const EXECUTION_FEE: u64 = 5_000_000;

impl State {
    /// Runs a round and signs the state once. The same rounds lead to the same state: canisters take
    /// turns in the order of their ids, calls in the order of the round.
    pub fn execute(&mut self, round: &Round) {
        self.time = round.time.max(self.time);
        self.rounds += 1;
        self.seed = round.seed;
        self.draws = 0;
        let answered = self.requests.answered.len();
        self.expire();
        self.fire_timers();
        for ingress in &round.ingress {
            self.begin(ingress);
        }
        self.run_queues();
        let newest = self.requests.answered.len() - answered;
        self.requests.drop_answers(newest, ANSWERS_MAX_BYTES);
        self.seal();
    }

    /// Lets time pass without a message, so that certificates stay fresh.
    pub fn advance(&mut self, time: u64) {
        self.time = time.max(self.time);
        self.rounds += 1;
        self.seal();
    }

    /// Whether there is something to do without a call from outside.
    pub fn has_work(&self, now: u64) -> bool {
        let waits = |canister: &Canister| canister.calls.has_input();
        !self.management.is_empty()
            || self.canisters.values().any(waits)
            || self.next_due().is_some_and(|due| due <= now)
    }

    /// When the next timer or deadline is due.
    pub fn next_due(&self) -> Option<u64> {
        self.canisters.values().filter_map(Canister::next_due).min()
    }

    fn ids(&self) -> Vec<Principal> {
        self.canisters.keys().copied().collect()
    }

    fn expire(&mut self) {
        for id in self.ids() {
            let Some(canister) = self.canisters.get_mut(&id) else {
                continue;
            };
            canister.calls.expire(self.time);
            for waiter in canister.expire_stops(self.time) {
                let text = "the canister did not stop in time";
                let late = Reject::new(reject_code::SYS_TRANSIENT, "IC0206", text);
                self.deliver(waiter.origin, Err(late));
            }
        }
    }

    fn fire_timers(&mut self) {
        let time = self.time;
        for id in self.ids() {
            let fired = self.canisters.get_mut(&id);
            if let Some(step) = fired.and_then(|canister| canister.fire_timer(time)) {
                self.settle(&id, step);
            }
        }
    }

    fn begin(&mut self, ingress: &Ingress) {
        let status = Status {
            effective: ingress.effective,
            sender: ingress.sender,
            expiry: ingress.expiry,
            answer: Answer::Processing,
        };
        self.requests.set(ingress.id.clone(), status);
        let request = Request {
            origin: Origin::Ingress(ingress.id.clone().into()),
            caller: ingress.sender,
            method: ingress.method.clone(),
            argument: ingress.argument.clone(),
            deadline: 0,
        };
        if ingress.canister == Principal::management_canister() {
            self.manage_now(&request);
            return;
        }
        let time = self.time;
        let Some(canister) = self.canisters.get_mut(&ingress.canister) else {
            let reject = Reject::failed("IC0301", "no such canister");
            self.deliver(request.origin, Err(reject));
            return;
        };
        if let Some(step) = canister.request(request, time) {
            self.settle(&ingress.canister, step);
        }
    }

    fn run_queues(&mut self) {
        let (mut messages, mut instructions) = (0, 0);
        loop {
            let mut idle = !self.run_management();
            for id in self.ids() {
                let Some(step) = self.next_step(&id) else {
                    continue;
                };
                idle = false;
                messages += 1;
                if let Some(step) = step {
                    instructions += step.execution.instructions;
                    self.settle(&id, step);
                } else {
                    self.finish_stopping(&id);
                }
                if messages >= QUEUE_MAX_MESSAGES || instructions >= QUEUE_MAX_INSTRUCTIONS {
                    return;
                }
            }
            if idle {
                return;
            }
        }
    }

    /// Runs what waits for a canister first; `None` if nothing does.
    fn next_step(&mut self, id: &Principal) -> Option<Option<Step>> {
        let time = self.time;
        let canister = self.canisters.get_mut(id)?;
        Some(match canister.calls.next_input()? {
            Input::Request(request) => canister.request(request, time),
            Input::Response { callback, result } => canister.response(callback, result, time),
        })
    }

    /// Does what canisters asked of the management canister. Randomness is of a later round than
    /// the question, so that nobody who knows it could still ask.
    fn run_management(&mut self) -> bool {
        let mut ran = false;
        for postponed in std::mem::take(&mut self.management) {
            let request = &postponed.request;
            if request.method == "raw_rand" && postponed.round >= self.rounds {
                self.management.push_back(postponed);
            } else if !is_due(request.deadline, self.time) {
                self.manage_now(request);
                ran = true;
            }
        }
        ran
    }

    fn manage_now(&mut self, request: &Request) {
        if let Some(result) = self.manage(request) {
            self.deliver(request.origin.clone(), result);
        }
    }

    /// Counts a step and passes on what it leads to.
    pub(super) fn settle(&mut self, id: &Principal, step: Step) {
        self.count_step(*id, &step);
        for request in step.management {
            let round = self.rounds;
            self.management.push_back(Postponed { request, round });
        }
        if let Some((origin, result)) = step.answer {
            self.deliver(origin, result);
        }
        self.finish_stopping(id);
    }

    /// Tells those who wait that a canister has stopped, if it has.
    pub(crate) fn finish_stopping(&mut self, id: &Principal) {
        let Some(canister) = self.canisters.get_mut(id) else {
            return;
        };
        for waiter in canister.finish_stopping() {
            // Candid of no values.
            let reply = b"DIDL\0\0".to_vec();
            self.deliver(waiter.origin, Ok(reply.into()));
        }
    }

    /// Passes on an answer.
    pub(crate) fn deliver(&mut self, origin: Origin, result: CallResult) {
        match origin {
            Origin::Ingress(id) => self.requests.answer(&id, result, self.time),
            Origin::Call { canister, callback } => {
                if let Some(canister) = self.canisters.get_mut(&canister) {
                    canister.calls.respond(callback, result);
                }
            }
            Origin::Task => {}
        }
    }

    fn count_step(&mut self, canister: Principal, step: &Step) {
        let usage = self
            .usage
            .entry((canister, step.method.clone()))
            .or_default();
        usage.calls += u64::from(step.is_call);
        usage.argument_bytes += step.argument_bytes;
        if step.execution.instructions > 0 {
            usage.execution_fees += EXECUTION_FEE;
        }
        add(usage, &step.execution);
    }

    /// Counts a query that ran.
    pub fn count_query(&mut self, canister: Principal, method: &str, execution: &Execution) {
        let usage = self.usage.entry((canister, method.to_owned())).or_default();
        usage.calls += 1;
        add(usage, execution);
    }
}

fn add(usage: &mut super::MethodUse, execution: &Execution) {
    // What was refused did not run.
    usage.executions += u64::from(execution.instructions > 0);
    usage.instructions += execution.instructions;
    usage.dirty_pages += execution.dirty_pages;
    usage.dirty_heap_pages += execution.dirty_heap_pages;
    usage.failed += u64::from(execution.outcome.is_failed());
    if let Outcome::Replied(reply) = &execution.outcome {
        usage.reply_bytes += reply.len() as u64;
    }
}
