//! The system API that canisters import, with its mode checks and charges.
//!
//! Signatures: IC interface specification, "System API". What is not here is refused when a module
//! is installed; timers and calls between canisters link but trap with their reason.

use wasmtime::{Caller, Extern, Linker, Memory, StoreLimits, StoreLimitsBuilder};

use crate::engine::charge;
use crate::stable::StableMemory;

/// Largest reply in bytes.
const REPLY_MAX_BYTES: usize = 2 * 1024 * 1024;
/// Largest reply of a query in bytes.
const QUERY_REPLY_MAX_BYTES: usize = 3 * 1024 * 1024;
/// Certified data has at most 32 bytes.
pub(crate) const CERTIFIED_DATA_MAX_BYTES: usize = 32;
/// Most bytes of the text of a trap or of the log that are kept.
const TEXT_MAX_BYTES: usize = 16 * 1024;
/// Most elements of a table.
const TABLE_MAX_ELEMENTS: usize = 1_000_000;
/// What `canister_cycle_balance128` tells: cycles are free here, and more than any code asks for.
const CYCLES: u128 = 1 << 100;

/// What is running; decides which calls are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Start,
    Init,
    PreUpgrade,
    Update,
    Query,
    ReplicatedQuery,
    Inspect,
}

impl Mode {
    const fn is_replicated(self) -> bool {
        !matches!(self, Self::Query | Self::Inspect)
    }
}

/// What a message answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Reply(Vec<u8>),
    Reject(String),
}

/// Why a message was stopped by the system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SystemTrap {
    #[error("{0}")]
    Explicit(String),
    #[error("{0} cannot be called in this mode")]
    Mode(&'static str),
    #[error("out of bounds")]
    Bounds,
    #[error("the message has been answered already")]
    AnsweredTwice,
    #[error("more than a message may carry")]
    TooLarge,
    #[error("the embedded subnet has no {0}")]
    Unsupported(&'static str),
    #[error("text that is not UTF-8")]
    NotUtf8,
    #[error("out of instructions")]
    OutOfInstructions,
    #[cfg(feature = "testkit")]
    #[error("trapped on purpose")]
    OnPurpose,
}

/// One message and what it has done so far.
#[derive(Debug)]
pub(crate) struct Message {
    pub mode: Mode,
    pub method: String,
    pub argument: Vec<u8>,
    pub caller: Vec<u8>,
    pub time: u64,
    pub certificate: Option<Vec<u8>>,
    pub reply_data: Vec<u8>,
    pub answer: Option<Answer>,
    pub accepted: bool,
    pub certified_data: Option<Vec<u8>>,
    pub limit: u64,
    #[cfg(feature = "testkit")]
    pub fuse: crate::testkit::Fuse,
}

impl Message {
    pub fn new(mode: Mode, method: &str, argument: Vec<u8>, caller: Vec<u8>, time: u64) -> Self {
        Self {
            mode,
            method: method.to_owned(),
            argument,
            caller,
            time,
            certificate: None,
            reply_data: Vec::new(),
            answer: None,
            accepted: false,
            certified_data: None,
            limit: 0,
            #[cfg(feature = "testkit")]
            fuse: crate::testkit::Fuse::default(),
        }
    }
}

/// What the system calls reach.
#[derive(Debug)]
pub(crate) struct Host {
    pub message: Message,
    pub stable: StableMemory,
    pub canister: Vec<u8>,
    pub controllers: Vec<Vec<u8>>,
    pub version: u64,
    pub root_key: Vec<u8>,
    pub limits: StoreLimits,
}

/// What an instance may hold beside its heap, which its 32-bit addresses bound.
pub(crate) fn limits() -> StoreLimits {
    StoreLimitsBuilder::new()
        .table_elements(TABLE_MAX_ELEMENTS)
        .build()
}

type Call<'a> = Caller<'a, Host>;
type Outcome<T> = wasmtime::Result<T>;

/// Names that [`link`] defines.
pub(crate) const IMPLEMENTED: &[&str] = &[
    "accept_message",
    "call_cycles_add128",
    "call_data_append",
    "call_new",
    "call_on_cleanup",
    "call_perform",
    "call_with_best_effort_response",
    "canister_cycle_balance128",
    "canister_liquid_cycle_balance128",
    "canister_self_copy",
    "canister_self_size",
    "canister_status",
    "canister_version",
    "certified_data_set",
    "cost_call",
    "data_certificate_copy",
    "data_certificate_present",
    "data_certificate_size",
    "debug_print",
    "env_var_count",
    "global_timer_set",
    "in_replicated_execution",
    "is_controller",
    "msg_arg_data_copy",
    "msg_arg_data_size",
    "msg_caller_copy",
    "msg_caller_size",
    "msg_deadline",
    "msg_method_name_copy",
    "msg_method_name_size",
    "msg_reject",
    "msg_reject_code",
    "msg_reject_msg_copy",
    "msg_reject_msg_size",
    "msg_reply",
    "msg_reply_data_append",
    "performance_counter",
    "root_key_copy",
    "root_key_size",
    "stable64_grow",
    "stable64_read",
    "stable64_size",
    "stable64_write",
    "time",
    "trap",
];

/// Defines the system API.
pub(crate) fn link(linker: &mut Linker<Host>) -> Outcome<()> {
    message_data(linker)?;
    answers(linker)?;
    stable_memory(linker)?;
    certification(linker)?;
    about_the_canister(linker)?;
    unsupported(linker)
}

fn message_data(linker: &mut Linker<Host>) -> Outcome<()> {
    linker.func_wrap("ic0", "msg_arg_data_size", |mut c: Call<'_>| {
        enter(&mut c, "msg_arg_data_size", |mode| {
            mode != Mode::Start && mode != Mode::PreUpgrade
        })?;
        size(c.data().message.argument.len())
    })?;
    linker.func_wrap(
        "ic0",
        "msg_arg_data_copy",
        |mut c: Call<'_>, to: i32, at: i32, n: i32| {
            enter(&mut c, "msg_arg_data_copy", |mode| {
                mode != Mode::Start && mode != Mode::PreUpgrade
            })?;
            let data = std::mem::take(&mut c.data_mut().message.argument);
            let copied = copy_out(&mut c, &data, to, at, n);
            c.data_mut().message.argument = data;
            copied
        },
    )?;
    linker.func_wrap("ic0", "msg_caller_size", |mut c: Call<'_>| {
        enter(&mut c, "msg_caller_size", |mode| mode != Mode::Start)?;
        size(c.data().message.caller.len())
    })?;
    linker.func_wrap(
        "ic0",
        "msg_caller_copy",
        |mut c: Call<'_>, to: i32, at: i32, n: i32| {
            enter(&mut c, "msg_caller_copy", |mode| mode != Mode::Start)?;
            let data = c.data().message.caller.clone();
            copy_out(&mut c, &data, to, at, n)
        },
    )?;
    linker.func_wrap("ic0", "msg_method_name_size", |mut c: Call<'_>| {
        enter(&mut c, "msg_method_name_size", |mode| mode == Mode::Inspect)?;
        size(c.data().message.method.len())
    })?;
    linker.func_wrap(
        "ic0",
        "msg_method_name_copy",
        |mut c: Call<'_>, to: i32, at: i32, n: i32| {
            enter(&mut c, "msg_method_name_copy", |mode| mode == Mode::Inspect)?;
            let data = c.data().message.method.clone().into_bytes();
            copy_out(&mut c, &data, to, at, n)
        },
    )?;
    // Reject code 0: no message here is a reject callback.
    linker.func_wrap(
        "ic0",
        "msg_reject_code",
        |mut c: Call<'_>| -> Outcome<i32> {
            enter(&mut c, "msg_reject_code", |_| false)?;
            Ok(0)
        },
    )?;
    linker.func_wrap("ic0", "msg_deadline", |mut c: Call<'_>| -> Outcome<i64> {
        enter(&mut c, "msg_deadline", |mode| {
            matches!(mode, Mode::Update | Mode::Query | Mode::ReplicatedQuery)
        })?;
        Ok(0)
    })?;
    Ok(())
}

const fn may_answer(mode: Mode) -> bool {
    matches!(mode, Mode::Update | Mode::Query | Mode::ReplicatedQuery)
}

fn answers(linker: &mut Linker<Host>) -> Outcome<()> {
    linker.func_wrap(
        "ic0",
        "msg_reply_data_append",
        |mut c: Call<'_>, from: i32, n: i32| {
            enter(&mut c, "msg_reply_data_append", may_answer)?;
            let bytes = copy_in(&mut c, from, n)?;
            let message = &mut c.data_mut().message;
            let most = if message.mode == Mode::Query {
                QUERY_REPLY_MAX_BYTES
            } else {
                REPLY_MAX_BYTES
            };
            if message.answer.is_some() {
                return stop(SystemTrap::AnsweredTwice);
            }
            if message.reply_data.len() + bytes.len() > most {
                return stop(SystemTrap::TooLarge);
            }
            message.reply_data.extend_from_slice(&bytes);
            Ok(())
        },
    )?;
    linker.func_wrap("ic0", "msg_reply", |mut c: Call<'_>| {
        enter(&mut c, "msg_reply", may_answer)?;
        let message = &mut c.data_mut().message;
        if message.answer.is_some() {
            return stop(SystemTrap::AnsweredTwice);
        }
        message.answer = Some(Answer::Reply(std::mem::take(&mut message.reply_data)));
        Ok(())
    })?;
    linker.func_wrap("ic0", "msg_reject", |mut c: Call<'_>, from: i32, n: i32| {
        enter(&mut c, "msg_reject", may_answer)?;
        if unsigned(n) > REPLY_MAX_BYTES as u64 {
            return stop(SystemTrap::TooLarge);
        }
        let text = copy_in(&mut c, from, n)?;
        let Ok(text) = String::from_utf8(text) else {
            return stop(SystemTrap::NotUtf8);
        };
        let message = &mut c.data_mut().message;
        if message.answer.is_some() {
            return stop(SystemTrap::AnsweredTwice);
        }
        message.answer = Some(Answer::Reject(text));
        Ok(())
    })?;
    linker.func_wrap("ic0", "accept_message", |mut c: Call<'_>| {
        enter(&mut c, "accept_message", |mode| mode == Mode::Inspect)?;
        if std::mem::replace(&mut c.data_mut().message.accepted, true) {
            return stop(SystemTrap::AnsweredTwice);
        }
        Ok(())
    })?;
    linker.func_wrap(
        "ic0",
        "trap",
        |mut c: Call<'_>, from: i32, n: i32| -> Outcome<()> {
            enter(&mut c, "trap", |_| true)?;
            let text = copy_in(&mut c, from, n)?;
            stop(SystemTrap::Explicit(shortened(&text)))
        },
    )?;
    linker.func_wrap(
        "ic0",
        "debug_print",
        |mut c: Call<'_>, from: i32, n: i32| {
            pay(&mut c, charge::DEBUG_PRINT)?;
            // Never traps. Canisters print nothing of users; it goes to the log of this process only.
            if let Ok(text) = copy_in(&mut c, from, n) {
                tracing::debug!(text = %shortened(&text), "canister");
            }
            Ok(())
        },
    )?;
    Ok(())
}

fn stable_memory(linker: &mut Linker<Host>) -> Outcome<()> {
    linker.func_wrap("ic0", "stable64_size", |mut c: Call<'_>| {
        pay(&mut c, charge::STABLE)?;
        not_at_start(&c, "stable64_size")?;
        Ok(c.data().stable.size().cast_signed())
    })?;
    linker.func_wrap("ic0", "stable64_grow", |mut c: Call<'_>, by: i64| {
        pay(&mut c, charge::SYSTEM_CALL)?;
        not_at_start(&c, "stable64_grow")?;
        Ok(c.data_mut()
            .stable
            .grow(by.cast_unsigned())
            .map_or(-1, u64::cast_signed))
    })?;
    linker.func_wrap(
        "ic0",
        "stable64_read",
        |mut c: Call<'_>, to: i64, from: i64, n: i64| {
            let length = n.cast_unsigned();
            pay(
                &mut c,
                charge::STABLE.saturating_add(length.saturating_mul(charge::BYTE)),
            )?;
            not_at_start(&c, "stable64_read")?;
            let memory = memory(&mut c)?;
            let (heap, host) = memory.data_and_store_mut(&mut c);
            let into = slice_mut(heap, to.cast_unsigned(), length)?;
            host.stable
                .read(from.cast_unsigned(), into)
                .map_err(wasmtime::Error::new)
        },
    )?;
    linker.func_wrap(
        "ic0",
        "stable64_write",
        |mut c: Call<'_>, to: i64, from: i64, n: i64| {
            let length = n.cast_unsigned();
            pay(
                &mut c,
                charge::STABLE.saturating_add(length.saturating_mul(charge::BYTE)),
            )?;
            not_at_start(&c, "stable64_write")?;
            let memory = memory(&mut c)?;
            let (heap, host) = memory.data_and_store_mut(&mut c);
            let bytes = slice_mut(heap, from.cast_unsigned(), length)?;
            host.stable
                .write(to.cast_unsigned(), bytes)
                .map_err(wasmtime::Error::new)
        },
    )?;
    Ok(())
}

fn certification(linker: &mut Linker<Host>) -> Outcome<()> {
    linker.func_wrap(
        "ic0",
        "certified_data_set",
        |mut c: Call<'_>, from: i32, n: i32| {
            enter(&mut c, "certified_data_set", |mode| {
                matches!(mode, Mode::Init | Mode::PreUpgrade | Mode::Update)
            })?;
            let data = copy_in(&mut c, from, n)?;
            if data.len() > CERTIFIED_DATA_MAX_BYTES {
                return stop(SystemTrap::TooLarge);
            }
            c.data_mut().message.certified_data = Some(data);
            Ok(())
        },
    )?;
    linker.func_wrap("ic0", "data_certificate_present", |mut c: Call<'_>| {
        enter(&mut c, "data_certificate_present", |_| true)?;
        Ok(i32::from(c.data().message.certificate.is_some()))
    })?;
    linker.func_wrap("ic0", "data_certificate_size", |mut c: Call<'_>| {
        enter(&mut c, "data_certificate_size", |mode| mode == Mode::Query)?;
        size(c.data().message.certificate.as_ref().map_or(0, Vec::len))
    })?;
    linker.func_wrap(
        "ic0",
        "data_certificate_copy",
        |mut c: Call<'_>, to: i32, at: i32, n: i32| {
            enter(&mut c, "data_certificate_copy", |mode| mode == Mode::Query)?;
            let data = c.data().message.certificate.clone().unwrap_or_default();
            copy_out(&mut c, &data, to, at, n)
        },
    )?;
    Ok(())
}

fn about_the_canister(linker: &mut Linker<Host>) -> Outcome<()> {
    linker.func_wrap("ic0", "time", |mut c: Call<'_>| {
        enter(&mut c, "time", |mode| mode != Mode::Start)?;
        Ok(c.data().message.time.cast_signed())
    })?;
    linker.func_wrap("ic0", "canister_self_size", |mut c: Call<'_>| {
        enter(&mut c, "canister_self_size", |mode| mode != Mode::Start)?;
        size(c.data().canister.len())
    })?;
    linker.func_wrap(
        "ic0",
        "canister_self_copy",
        |mut c: Call<'_>, to: i32, at: i32, n: i32| {
            enter(&mut c, "canister_self_copy", |mode| mode != Mode::Start)?;
            let data = c.data().canister.clone();
            copy_out(&mut c, &data, to, at, n)
        },
    )?;
    linker.func_wrap("ic0", "canister_version", |mut c: Call<'_>| {
        enter(&mut c, "canister_version", |mode| mode != Mode::Start)?;
        Ok(c.data().version.cast_signed())
    })?;
    // 1 = running; stopping is not among what this subnet does.
    linker.func_wrap("ic0", "canister_status", |mut c: Call<'_>| {
        enter(&mut c, "canister_status", |mode| mode != Mode::Start)?;
        Ok(1_i32)
    })?;
    for name in [
        "canister_cycle_balance128",
        "canister_liquid_cycle_balance128",
    ] {
        linker.func_wrap("ic0", name, move |mut c: Call<'_>, to: i32| {
            enter(&mut c, name, |mode| mode != Mode::Start)?;
            copy_out(&mut c, &CYCLES.to_le_bytes(), to, 0, 16)
        })?;
    }
    linker.func_wrap("ic0", "root_key_size", |mut c: Call<'_>| {
        enter(&mut c, "root_key_size", Mode::is_replicated)?;
        size(c.data().root_key.len())
    })?;
    linker.func_wrap(
        "ic0",
        "root_key_copy",
        |mut c: Call<'_>, to: i32, at: i32, n: i32| {
            enter(&mut c, "root_key_copy", Mode::is_replicated)?;
            let data = c.data().root_key.clone();
            copy_out(&mut c, &data, to, at, n)
        },
    )?;
    linker.func_wrap(
        "ic0",
        "is_controller",
        |mut c: Call<'_>, from: i32, n: i32| {
            pay(&mut c, charge::IS_CONTROLLER)?;
            let principal = copy_in(&mut c, from, n)?;
            Ok(i32::from(c.data().controllers.contains(&principal)))
        },
    )?;
    linker.func_wrap("ic0", "in_replicated_execution", |mut c: Call<'_>| {
        enter(&mut c, "in_replicated_execution", |_| true)?;
        Ok(i32::from(c.data().message.mode.is_replicated()))
    })?;
    linker.func_wrap(
        "ic0",
        "performance_counter",
        |mut c: Call<'_>, _kind: i32| {
            pay(&mut c, charge::PERFORMANCE_COUNTER)?;
            let left = c.get_fuel()?;
            Ok(c.data().message.limit.saturating_sub(left).cast_signed())
        },
    )?;
    linker.func_wrap("ic0", "env_var_count", |mut c: Call<'_>| {
        enter(&mut c, "env_var_count", |mode| mode != Mode::Start)?;
        Ok(0_i32)
    })?;
    Ok(())
}

/// Links what canisters built with ic-cdk import whether they use it or not.
fn unsupported(linker: &mut Linker<Host>) -> Outcome<()> {
    const CALLS: &str = "calls between canisters";
    fn refuse<T>(what: &'static str) -> Outcome<T> {
        stop(SystemTrap::Unsupported(what))
    }
    linker.func_wrap("ic0", "global_timer_set", |_: Call<'_>, _: i64| {
        refuse::<i64>("timers")
    })?;
    linker.func_wrap(
        "ic0",
        "call_new",
        |_: Call<'_>, _: i32, _: i32, _: i32, _: i32, _: i32, _: i32, _: i32, _: i32| {
            refuse::<()>(CALLS)
        },
    )?;
    linker.func_wrap("ic0", "call_on_cleanup", |_: Call<'_>, _: i32, _: i32| {
        refuse::<()>(CALLS)
    })?;
    linker.func_wrap("ic0", "call_data_append", |_: Call<'_>, _: i32, _: i32| {
        refuse::<()>(CALLS)
    })?;
    linker.func_wrap(
        "ic0",
        "call_cycles_add128",
        |_: Call<'_>, _: i64, _: i64| refuse::<()>(CALLS),
    )?;
    linker.func_wrap(
        "ic0",
        "call_with_best_effort_response",
        |_: Call<'_>, _: i32| refuse::<()>(CALLS),
    )?;
    linker.func_wrap("ic0", "call_perform", |_: Call<'_>| refuse::<i32>(CALLS))?;
    linker.func_wrap("ic0", "cost_call", |_: Call<'_>, _: i64, _: i64, _: i32| {
        refuse::<()>(CALLS)
    })?;
    linker.func_wrap("ic0", "msg_reject_msg_size", |_: Call<'_>| {
        refuse::<i32>(CALLS)
    })?;
    linker.func_wrap(
        "ic0",
        "msg_reject_msg_copy",
        |_: Call<'_>, _: i32, _: i32, _: i32| refuse::<()>(CALLS),
    )?;
    Ok(())
}

/// As much of a text as is kept: a trap's ends up in the state tree.
fn shortened(text: &[u8]) -> String {
    let text = text.get(..TEXT_MAX_BYTES).unwrap_or(text);
    String::from_utf8_lossy(text).into_owned()
}

fn stop<T>(trap: SystemTrap) -> Outcome<T> {
    Err(wasmtime::Error::new(trap))
}

fn enter(c: &mut Call<'_>, name: &'static str, allowed: impl Fn(Mode) -> bool) -> Outcome<()> {
    pay(c, charge::SYSTEM_CALL)?;
    #[cfg(feature = "testkit")]
    if crate::testkit::Fuse::burns(&mut c.data_mut().message) {
        return stop(SystemTrap::OnPurpose);
    }
    if allowed(c.data().message.mode) {
        Ok(())
    } else {
        stop(SystemTrap::Mode(name))
    }
}

/// The start function runs whenever an instance is made, also for a rollback: it must not see
/// stable memory.
fn not_at_start(c: &Call<'_>, name: &'static str) -> Outcome<()> {
    if c.data().message.mode == Mode::Start {
        stop(SystemTrap::Mode(name))
    } else {
        Ok(())
    }
}

fn pay(c: &mut Call<'_>, instructions: u64) -> Outcome<()> {
    match c.get_fuel()?.checked_sub(instructions) {
        Some(left) => c.set_fuel(left),
        None => {
            c.set_fuel(0)?;
            stop(SystemTrap::OutOfInstructions)
        }
    }
}

fn size(length: usize) -> Outcome<i32> {
    i32::try_from(length).map_err(|_| wasmtime::Error::new(SystemTrap::TooLarge))
}

fn memory(c: &mut Call<'_>) -> Outcome<Memory> {
    match c.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => stop(SystemTrap::Bounds),
    }
}

fn slice_mut(heap: &mut [u8], at: u64, length: u64) -> Outcome<&mut [u8]> {
    let range = usize::try_from(at).ok().zip(usize::try_from(length).ok());
    range
        .and_then(|(at, length)| heap.get_mut(at..at.checked_add(length)?))
        .ok_or_else(|| wasmtime::Error::new(SystemTrap::Bounds))
}

/// Wasm addresses and sizes are unsigned.
fn unsigned(value: i32) -> u64 {
    u64::from(value.cast_unsigned())
}

fn copy_out(c: &mut Call<'_>, data: &[u8], to: i32, at: i32, n: i32) -> Outcome<()> {
    pay(c, unsigned(n) * charge::BYTE)?;
    let (at, n) = (at.cast_unsigned() as usize, n.cast_unsigned() as usize);
    let Some(part) = at.checked_add(n).and_then(|end| data.get(at..end)) else {
        return stop(SystemTrap::Bounds);
    };
    let memory = memory(c)?;
    slice_mut(memory.data_mut(c), unsigned(to), n as u64)?.copy_from_slice(part);
    Ok(())
}

fn copy_in(c: &mut Call<'_>, from: i32, n: i32) -> Outcome<Vec<u8>> {
    pay(c, unsigned(n) * charge::BYTE)?;
    let memory = memory(c)?;
    Ok(slice_mut(memory.data_mut(c), unsigned(from), unsigned(n))?.to_vec())
}
