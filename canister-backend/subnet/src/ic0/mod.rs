//! The system API that canisters import, with its mode checks and charges.
//!
//! Signatures and modes: IC interface specification, "System API". What is not here is refused when
//! a module is installed.

mod calls;
mod data;
mod memory;
mod message;
mod mode;
mod system;

use wasmtime::{Caller, Extern, Linker, Memory, StoreLimits, StoreLimitsBuilder};

pub(crate) use message::{About, Answer, Closure, Message, OutgoingCall};
pub(crate) use mode::Mode;

use crate::engine::charge;
use crate::stable::{StableError, StableMemory};

/// Largest reply in bytes.
const REPLY_MAX_BYTES: usize = 2 * 1024 * 1024;
/// Largest reply of a query in bytes.
const QUERY_REPLY_MAX_BYTES: usize = 3 * 1024 * 1024;
/// Largest method name and argument of a call that a canister makes, as a replica has it for calls
/// that stay within the subnet.
const CALL_MAX_BYTES: usize = 10 * 1024 * 1024;
/// Certified data has at most 32 bytes.
pub(crate) const CERTIFIED_DATA_MAX_BYTES: usize = 32;
/// Most bytes of the text of a trap or of the log that are kept.
const TEXT_MAX_BYTES: usize = 16 * 1024;
/// Most elements of a table.
const TABLE_MAX_ELEMENTS: usize = 1_000_000;
/// What `canister_cycle_balance128` tells: cycles are free here, and more than any code asks for.
pub(crate) const CYCLES: u128 = 1 << 100;

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
    #[error("no call is being made")]
    NoCall,
    #[error("set already for this call")]
    SetTwice,
    #[error("no principal")]
    NoPrincipal,
    #[error("no counter of this kind")]
    NoCounter,
    #[error("text that is not UTF-8")]
    NotUtf8,
    #[error("the callback is no function of the table that takes one number")]
    NoCallback,
    #[error("out of instructions")]
    OutOfInstructions,
    #[error("more pages of stable memory than the embedded subnet keeps")]
    OutOfMemory,
    #[cfg(feature = "testkit")]
    #[error("trapped on purpose")]
    OnPurpose,
}

impl SystemTrap {
    /// The replica's error code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Explicit(_) => "IC0503",
            Self::Bounds | Self::NoCallback => "IC0502",
            Self::OutOfInstructions => "IC0522",
            Self::OutOfMemory => "IC0507",
            #[cfg(feature = "testkit")]
            Self::OnPurpose => "IC0502",
            Self::Mode(_)
            | Self::AnsweredTwice
            | Self::TooLarge
            | Self::NoCall
            | Self::SetTwice
            | Self::NoPrincipal
            | Self::NoCounter
            | Self::NotUtf8 => "IC0504",
        }
    }
}

/// What the system calls reach.
#[derive(Debug)]
pub(crate) struct Host {
    pub message: Message,
    pub stable: StableMemory,
    pub limits: StoreLimits,
}

impl Host {
    /// For an instance that starts.
    pub fn new(stable: StableMemory) -> Self {
        Self {
            message: Message::default(),
            stable,
            limits: StoreLimitsBuilder::new()
                .table_elements(TABLE_MAX_ELEMENTS)
                .build(),
        }
    }
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
    "msg_cycles_accept128",
    "msg_cycles_available128",
    "msg_cycles_refunded128",
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
    "subnet_self_copy",
    "subnet_self_size",
    "time",
    "trap",
];

/// Defines the system API.
pub(crate) fn link(linker: &mut Linker<Host>) -> Outcome<()> {
    data::message_data(linker)?;
    data::answers(linker)?;
    memory::stable_memory(linker)?;
    system::certification(linker)?;
    system::about_the_canister(linker)?;
    system::counters(linker)?;
    calls::making(linker)?;
    calls::rejects(linker)
}

/// As much of a text as is kept: a trap's ends up in the state tree.
fn shortened(text: &[u8]) -> String {
    let text = text.get(..TEXT_MAX_BYTES).unwrap_or(text);
    String::from_utf8_lossy(text).into_owned()
}

fn stop<T>(trap: SystemTrap) -> Outcome<T> {
    Err(wasmtime::Error::new(trap))
}

/// Charges for a system call that may be made in some modes.
fn enter(c: &mut Call<'_>, name: &'static str, allowed: u16) -> Outcome<()> {
    pay(c, charge::SYSTEM_CALL)?;
    #[cfg(feature = "testkit")]
    if crate::testkit::Fuse::burns(&mut c.data_mut().message) {
        return stop(SystemTrap::OnPurpose);
    }
    check_mode(c, name, allowed)
}

fn check_mode(c: &Call<'_>, name: &'static str, allowed: u16) -> Outcome<()> {
    if allowed & c.data().message.mode.bit() == 0 {
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

/// Copies from what a message holds, which is put back afterwards.
fn copy_field(
    c: &mut Call<'_>,
    field: fn(&mut Message) -> &mut Vec<u8>,
    [to, at, n]: [i32; 3],
) -> Outcome<()> {
    let data = std::mem::take(field(&mut c.data_mut().message));
    let copied = copy_out(c, &data, to, at, n);
    *field(&mut c.data_mut().message) = data;
    copied
}

impl From<StableError> for SystemTrap {
    fn from(error: StableError) -> Self {
        match error {
            StableError::OutOfBounds => Self::Bounds,
            StableError::Full => Self::OutOfMemory,
        }
    }
}
