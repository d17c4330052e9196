//! Certified data, and what a canister asks about itself.

use wasmtime::Linker;

use super::mode::{ALL, C, G, I, Q, RQ, RT, RUNNING, RY, T, U};
use super::{
    CERTIFIED_DATA_MAX_BYTES, CYCLES, Call, Host, Outcome, SystemTrap, charge, copy_in, copy_out,
    enter, pay, size, stop,
};

pub(super) fn certification(linker: &mut Linker<Host>) -> Outcome<()> {
    linker.func_wrap(
        "ic0",
        "certified_data_set",
        |mut c: Call<'_>, from: i32, n: i32| {
            enter(&mut c, "certified_data_set", I | G | U | RY | RT | T)?;
            let data = copy_in(&mut c, from, n)?;
            if data.len() > CERTIFIED_DATA_MAX_BYTES {
                return stop(SystemTrap::TooLarge);
            }
            c.data_mut().message.certified_data = Some(data);
            Ok(())
        },
    )?;
    linker.func_wrap("ic0", "data_certificate_present", |mut c: Call<'_>| {
        enter(&mut c, "data_certificate_present", ALL)?;
        Ok(i32::from(c.data().message.certificate.is_some()))
    })?;
    linker.func_wrap("ic0", "data_certificate_size", |mut c: Call<'_>| {
        enter(&mut c, "data_certificate_size", Q)?;
        size(c.data().message.certificate.as_ref().map_or(0, Vec::len))
    })?;
    linker.func_wrap(
        "ic0",
        "data_certificate_copy",
        |mut c: Call<'_>, to: i32, at: i32, n: i32| {
            enter(&mut c, "data_certificate_copy", Q)?;
            let data = c.data().message.certificate.clone().unwrap_or_default();
            copy_out(&mut c, &data, to, at, n)
        },
    )?;
    Ok(())
}

pub(super) fn about_the_canister(linker: &mut Linker<Host>) -> Outcome<()> {
    linker.func_wrap("ic0", "time", |mut c: Call<'_>| {
        enter(&mut c, "time", RUNNING)?;
        Ok(c.data().message.time.cast_signed())
    })?;
    linker.func_wrap("ic0", "canister_self_size", |mut c: Call<'_>| {
        enter(&mut c, "canister_self_size", RUNNING)?;
        size(c.data().message.about.id.as_slice().len())
    })?;
    linker.func_wrap(
        "ic0",
        "canister_self_copy",
        |mut c: Call<'_>, to: i32, at: i32, n: i32| {
            enter(&mut c, "canister_self_copy", RUNNING)?;
            let id = c.data().message.about.id;
            copy_out(&mut c, id.as_slice(), to, at, n)
        },
    )?;
    linker.func_wrap("ic0", "canister_version", |mut c: Call<'_>| {
        enter(&mut c, "canister_version", RUNNING)?;
        Ok(c.data().message.about.version.cast_signed())
    })?;
    linker.func_wrap("ic0", "canister_status", |mut c: Call<'_>| {
        enter(&mut c, "canister_status", RUNNING)?;
        Ok(c.data().message.about.status)
    })?;
    for name in [
        "canister_cycle_balance128",
        "canister_liquid_cycle_balance128",
    ] {
        linker.func_wrap("ic0", name, move |mut c: Call<'_>, to: i32| {
            enter(&mut c, name, RUNNING)?;
            copy_out(&mut c, &CYCLES.to_le_bytes(), to, 0, 16)
        })?;
    }
    linker.func_wrap("ic0", "root_key_size", |mut c: Call<'_>| {
        enter(&mut c, "root_key_size", I | G | U | RQ | RY | RT | C | T)?;
        size(c.data().message.about.root_key.len())
    })?;
    linker.func_wrap(
        "ic0",
        "root_key_copy",
        |mut c: Call<'_>, to: i32, at: i32, n: i32| {
            enter(&mut c, "root_key_copy", I | G | U | RQ | RY | RT | C | T)?;
            let data = std::sync::Arc::clone(&c.data().message.about.root_key);
            copy_out(&mut c, &data, to, at, n)
        },
    )?;
    linker.func_wrap("ic0", "subnet_self_size", |mut c: Call<'_>| {
        enter(&mut c, "subnet_self_size", RUNNING)?;
        size(c.data().message.about.subnet.as_slice().len())
    })?;
    linker.func_wrap(
        "ic0",
        "subnet_self_copy",
        |mut c: Call<'_>, to: i32, at: i32, n: i32| {
            enter(&mut c, "subnet_self_copy", RUNNING)?;
            let subnet = c.data().message.about.subnet;
            copy_out(&mut c, subnet.as_slice(), to, at, n)
        },
    )?;
    Ok(())
}

/// Counters, the timer, and what else a canister asks about itself.
pub(super) fn counters(linker: &mut Linker<Host>) -> Outcome<()> {
    linker.func_wrap(
        "ic0",
        "global_timer_set",
        |mut c: Call<'_>, at: i64| -> Outcome<i64> {
            enter(&mut c, "global_timer_set", I | G | U | RY | RT | C | T)?;
            let message = &mut c.data_mut().message;
            let before = message.timer_set.unwrap_or(message.about.timer);
            message.timer_set = Some(at.cast_unsigned());
            Ok(before.cast_signed())
        },
    )?;
    linker.func_wrap(
        "ic0",
        "is_controller",
        |mut c: Call<'_>, from: i32, n: i32| {
            pay(&mut c, charge::IS_CONTROLLER)?;
            let principal = copy_in(&mut c, from, n)?;
            let controllers = &c.data().message.about.controllers;
            let is_one = controllers.iter().any(|id| id.as_slice() == principal);
            Ok(i32::from(is_one))
        },
    )?;
    linker.func_wrap("ic0", "in_replicated_execution", |mut c: Call<'_>| {
        enter(&mut c, "in_replicated_execution", ALL)?;
        Ok(i32::from(c.data().message.mode.is_replicated()))
    })?;
    linker.func_wrap(
        "ic0",
        "performance_counter",
        |mut c: Call<'_>, kind: i32| -> Outcome<i64> {
            pay(&mut c, charge::PERFORMANCE_COUNTER)?;
            let left = c.get_fuel()?;
            let message = &c.data().message;
            let here = message.limit.saturating_sub(left);
            match kind {
                0 => Ok(here.cast_signed()),
                1 => Ok((message.context_instructions + here).cast_signed()),
                _ => stop(SystemTrap::NoCounter),
            }
        },
    )?;
    linker.func_wrap("ic0", "env_var_count", |mut c: Call<'_>| {
        enter(&mut c, "env_var_count", RUNNING)?;
        Ok(0_i32)
    })?;
    Ok(())
}
