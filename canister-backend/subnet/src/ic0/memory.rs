//! Stable memory. The start function runs whenever an instance is made, also for a rollback, so it
//! may not see any.

use wasmtime::Linker;

use super::mode::RUNNING;
use super::{Call, Host, Outcome, SystemTrap, charge, check_mode, memory, pay, slice_mut};

pub(super) fn stable_memory(linker: &mut Linker<Host>) -> Outcome<()> {
    linker.func_wrap("ic0", "stable64_size", |c: Call<'_>| {
        check_mode(&c, "stable64_size", RUNNING)?;
        Ok(c.data().stable.size().cast_signed())
    })?;
    linker.func_wrap("ic0", "stable64_grow", |mut c: Call<'_>, by: i64| {
        pay(&mut c, charge::STABLE_GROW)?;
        check_mode(&c, "stable64_grow", RUNNING)?;
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
            check_mode(&c, "stable64_read", RUNNING)?;
            let memory = memory(&mut c)?;
            let (heap, host) = memory.data_and_store_mut(&mut c);
            let into = slice_mut(heap, to.cast_unsigned(), length)?;
            host.stable
                .read(from.cast_unsigned(), into)
                .map_err(|error| wasmtime::Error::new(SystemTrap::from(error)))
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
            check_mode(&c, "stable64_write", RUNNING)?;
            let memory = memory(&mut c)?;
            let (heap, host) = memory.data_and_store_mut(&mut c);
            let bytes = slice_mut(heap, from.cast_unsigned(), length)?;
            host.stable
                .write(to.cast_unsigned(), bytes)
                .map_err(|error| wasmtime::Error::new(SystemTrap::from(error)))
        },
    )?;
    Ok(())
}
