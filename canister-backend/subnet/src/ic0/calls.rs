//! Making calls, and learning why one was rejected.

use candid::Principal;
use wasmtime::Linker;

use super::mode::{ALL, C, CALLS, RQ, RT, RY, U};
use super::{
    CALL_MAX_BYTES, Call, Closure, Host, Outcome, OutgoingCall, SystemTrap, charge, check_mode,
    copy_in, copy_out, enter, pay, size, stop, unsigned,
};

/// What `call_perform` tells when too many calls are under way.
const QUEUE_FULL: i32 = 2;

pub(super) fn making(linker: &mut Linker<Host>) -> Outcome<()> {
    linker.func_wrap(
        "ic0",
        "call_new",
        |mut c: Call<'_>,
         callee: i32,
         callee_size: i32,
         name: i32,
         name_size: i32,
         reply: i32,
         reply_environment: i32,
         reject: i32,
         reject_environment: i32| {
            pay(&mut c, charge::CALL_NEW)?;
            check_mode(&c, "call_new", CALLS)?;
            // A call that was not performed is forgotten.
            c.data_mut().message.call = None;
            if unsigned(name_size) > CALL_MAX_BYTES as u64 {
                return stop(SystemTrap::TooLarge);
            }
            let callee = copy_in(&mut c, callee, callee_size)?;
            let Ok(callee) = Principal::try_from_slice(&callee) else {
                return stop(SystemTrap::NoPrincipal);
            };
            let method = copy_in(&mut c, name, name_size)?;
            let Ok(method) = String::from_utf8(method) else {
                return stop(SystemTrap::NotUtf8);
            };
            c.data_mut().message.call = Some(OutgoingCall {
                callee,
                method,
                argument: Vec::new(),
                reply: closure(reply, reply_environment),
                reject: closure(reject, reject_environment),
                cleanup: None,
                timeout: None,
            });
            Ok(())
        },
    )?;
    linker.func_wrap(
        "ic0",
        "call_on_cleanup",
        |mut c: Call<'_>, function: i32, environment: i32| {
            enter(&mut c, "call_on_cleanup", CALLS)?;
            let call = call(&mut c)?;
            if call.cleanup.is_some() {
                return stop(SystemTrap::SetTwice);
            }
            call.cleanup = Some(closure(function, environment));
            Ok(())
        },
    )?;
    linker.func_wrap(
        "ic0",
        "call_data_append",
        |mut c: Call<'_>, from: i32, n: i32| {
            enter(&mut c, "call_data_append", CALLS)?;
            let there = call(&mut c)?.bytes() as u64;
            if there + unsigned(n) > CALL_MAX_BYTES as u64 {
                return stop(SystemTrap::TooLarge);
            }
            let data = copy_in(&mut c, from, n)?;
            call(&mut c)?.argument.extend_from_slice(&data);
            Ok(())
        },
    )?;
    linker.func_wrap(
        "ic0",
        "call_cycles_add128",
        |mut c: Call<'_>, _high: i64, _low: i64| {
            enter(&mut c, "call_cycles_add128", CALLS)?;
            // Cycles are free: none leave, none arrive.
            call(&mut c).map(drop)
        },
    )?;
    linker.func_wrap(
        "ic0",
        "call_with_best_effort_response",
        |mut c: Call<'_>, seconds: i32| {
            enter(&mut c, "call_with_best_effort_response", CALLS)?;
            let call = call(&mut c)?;
            if call.timeout.is_some() {
                return stop(SystemTrap::SetTwice);
            }
            call.timeout = Some(seconds.cast_unsigned());
            Ok(())
        },
    )?;
    linker.func_wrap("ic0", "call_perform", |mut c: Call<'_>| -> Outcome<i32> {
        pay(&mut c, charge::CALL_PERFORM)?;
        check_mode(&c, "call_perform", CALLS)?;
        let message = &mut c.data_mut().message;
        let Some(call) = message.call.take() else {
            return stop(SystemTrap::NoCall);
        };
        if message.calls.len() >= message.call_slots || call.bytes() > message.call_room {
            return Ok(QUEUE_FULL);
        }
        message.call_room -= call.bytes();
        message.calls.push(call);
        Ok(0)
    })?;
    linker
        .func_wrap(
            "ic0",
            "cost_call",
            |mut c: Call<'_>, _name: i64, _payload: i64, to: i32| {
                enter(&mut c, "cost_call", ALL)?;
                copy_out(&mut c, &0_u128.to_le_bytes(), to, 0, 16)
            },
        )
        .map(drop)
}

pub(super) fn rejects(linker: &mut Linker<Host>) -> Outcome<()> {
    linker.func_wrap(
        "ic0",
        "msg_reject_code",
        |mut c: Call<'_>| -> Outcome<i32> {
            enter(&mut c, "msg_reject_code", RY | RT | C)?;
            let reject = c.data().message.reject.as_ref();
            Ok(reject.map_or(0, |(code, _)| i32::from(*code)))
        },
    )?;
    linker.func_wrap("ic0", "msg_reject_msg_size", |mut c: Call<'_>| {
        enter(&mut c, "msg_reject_msg_size", RT)?;
        let reject = c.data().message.reject.as_ref();
        size(reject.map_or(0, |(_, text)| text.len()))
    })?;
    linker.func_wrap(
        "ic0",
        "msg_reject_msg_copy",
        |mut c: Call<'_>, to: i32, at: i32, n: i32| {
            enter(&mut c, "msg_reject_msg_copy", RT)?;
            let reject = c.data().message.reject.clone();
            let text = reject.map(|(_, text)| text).unwrap_or_default();
            copy_out(&mut c, &text, to, at, n)
        },
    )?;
    // Cycles are free: no message carries any.
    for (name, modes) in [
        ("msg_cycles_available128", U | RQ | RT | RY),
        ("msg_cycles_refunded128", RT | RY),
    ] {
        linker.func_wrap("ic0", name, move |mut c: Call<'_>, to: i32| {
            enter(&mut c, name, modes)?;
            copy_out(&mut c, &0_u128.to_le_bytes(), to, 0, 16)
        })?;
    }
    linker
        .func_wrap(
            "ic0",
            "msg_cycles_accept128",
            |mut c: Call<'_>, _high: i64, _low: i64, to: i32| {
                enter(&mut c, "msg_cycles_accept128", U | RQ | RT | RY)?;
                copy_out(&mut c, &0_u128.to_le_bytes(), to, 0, 16)
            },
        )
        .map(drop)
}

/// The call that is being put together.
fn call<'a>(c: &'a mut Call<'_>) -> Outcome<&'a mut OutgoingCall> {
    match &mut c.data_mut().message.call {
        Some(call) => Ok(call),
        None => stop(SystemTrap::NoCall),
    }
}

const fn closure(function: i32, environment: i32) -> Closure {
    Closure {
        function: function.cast_unsigned(),
        environment: environment.cast_unsigned(),
    }
}
