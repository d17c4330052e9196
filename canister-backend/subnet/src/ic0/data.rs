//! What a message carries in, and how it is answered.

use wasmtime::Linker;

use super::mode::{ALL, ANSWERS, ARGUMENT, F, Q, RQ, RT, RUNNING, RY, U};
use super::{
    Answer, Call, Host, Mode, Outcome, QUERY_REPLY_MAX_BYTES, REPLY_MAX_BYTES, SystemTrap, charge,
    copy_field, copy_in, copy_out, enter, pay, shortened, size, stop, unsigned,
};

pub(super) fn message_data(linker: &mut Linker<Host>) -> Outcome<()> {
    linker.func_wrap("ic0", "msg_arg_data_size", |mut c: Call<'_>| {
        enter(&mut c, "msg_arg_data_size", ARGUMENT)?;
        size(c.data().message.argument.len())
    })?;
    linker.func_wrap(
        "ic0",
        "msg_arg_data_copy",
        |mut c: Call<'_>, to: i32, at: i32, n: i32| {
            enter(&mut c, "msg_arg_data_copy", ARGUMENT)?;
            copy_field(&mut c, |message| &mut message.argument, [to, at, n])
        },
    )?;
    linker.func_wrap("ic0", "msg_caller_size", |mut c: Call<'_>| {
        enter(&mut c, "msg_caller_size", RUNNING)?;
        size(c.data().message.caller.len())
    })?;
    linker.func_wrap(
        "ic0",
        "msg_caller_copy",
        |mut c: Call<'_>, to: i32, at: i32, n: i32| {
            enter(&mut c, "msg_caller_copy", RUNNING)?;
            let data = c.data().message.caller.clone();
            copy_out(&mut c, &data, to, at, n)
        },
    )?;
    linker.func_wrap("ic0", "msg_method_name_size", |mut c: Call<'_>| {
        enter(&mut c, "msg_method_name_size", F)?;
        size(c.data().message.method.len())
    })?;
    linker.func_wrap(
        "ic0",
        "msg_method_name_copy",
        |mut c: Call<'_>, to: i32, at: i32, n: i32| {
            enter(&mut c, "msg_method_name_copy", F)?;
            let data = c.data().message.method.clone().into_bytes();
            copy_out(&mut c, &data, to, at, n)
        },
    )?;
    linker.func_wrap("ic0", "msg_deadline", |mut c: Call<'_>| -> Outcome<i64> {
        enter(&mut c, "msg_deadline", U | Q | RQ | RY | RT)?;
        Ok(c.data().message.deadline.cast_signed())
    })?;
    Ok(())
}

pub(super) fn answers(linker: &mut Linker<Host>) -> Outcome<()> {
    linker.func_wrap(
        "ic0",
        "msg_reply_data_append",
        |mut c: Call<'_>, from: i32, n: i32| {
            enter(&mut c, "msg_reply_data_append", ANSWERS)?;
            let bytes = copy_in(&mut c, from, n)?;
            let message = &mut c.data_mut().message;
            let most = if message.mode == Mode::Query {
                QUERY_REPLY_MAX_BYTES
            } else {
                REPLY_MAX_BYTES
            };
            if message.is_answered() {
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
        enter(&mut c, "msg_reply", ANSWERS)?;
        let message = &mut c.data_mut().message;
        if message.is_answered() {
            return stop(SystemTrap::AnsweredTwice);
        }
        message.answer = Some(Answer::Reply(std::mem::take(&mut message.reply_data)));
        Ok(())
    })?;
    linker.func_wrap("ic0", "msg_reject", |mut c: Call<'_>, from: i32, n: i32| {
        enter(&mut c, "msg_reject", ANSWERS)?;
        if unsigned(n) > REPLY_MAX_BYTES as u64 {
            return stop(SystemTrap::TooLarge);
        }
        let text = copy_in(&mut c, from, n)?;
        let Ok(text) = String::from_utf8(text) else {
            return stop(SystemTrap::NotUtf8);
        };
        let message = &mut c.data_mut().message;
        if message.is_answered() {
            return stop(SystemTrap::AnsweredTwice);
        }
        message.answer = Some(Answer::Reject(text));
        Ok(())
    })?;
    linker.func_wrap("ic0", "accept_message", |mut c: Call<'_>| {
        enter(&mut c, "accept_message", F)?;
        if std::mem::replace(&mut c.data_mut().message.accepted, true) {
            return stop(SystemTrap::AnsweredTwice);
        }
        Ok(())
    })?;
    linker.func_wrap(
        "ic0",
        "trap",
        |mut c: Call<'_>, from: i32, n: i32| -> Outcome<()> {
            enter(&mut c, "trap", ALL)?;
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
