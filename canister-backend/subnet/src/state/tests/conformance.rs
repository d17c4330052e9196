//! What is easy to get wrong about how a replica executes, one test each.

use super::world::{SECOND, World, about, module};
use super::*;
use crate::canister::Status as CanisterStatus;

/// A canister calls itself and replies from the callback with what it got: the argument of a reply
/// callback is the reply, its reject code is 0, and it is called with its own number.
#[test]
fn a_reply_callback_sees_the_reply() {
    let mut world = World::new();
    assert_eq!(world.call("ask", b"").unwrap(), b"n");
    assert_eq!(world.log(), "AnR05");
    world.finish();
}

/// Whatever becomes of the call, the reject callback learns code and text, and its own number.
#[test]
fn a_reject_callback_sees_the_reject() {
    let mut world = World::new();
    assert_eq!(world.call("ask_absent", b"").unwrap(), [1]);
    assert_eq!(world.call("ask_trapping", b"").unwrap(), [1]);
    // There is nobody else to call.
    assert_eq!(world.call("ask_other", b"").unwrap(), [1]);
    assert_eq!(world.log(), "J36J56J36");
    world.finish();
}

/// A trap in a callback undoes the callback (globals too) and nothing before it; cleanup runs on
/// that state, and the caller learns of the trap.
#[test]
fn a_trap_in_a_callback_runs_the_cleanup() {
    let mut world = World::new();
    assert_eq!(world.call("ask_and_trap", b"").unwrap_err(), "5 IC0503");
    assert_eq!(world.log(), "AnC78");
    world.finish();
}

/// Cleanup that traps as well leaves nothing of itself, and the call ends all the same.
#[test]
fn a_cleanup_that_traps_changes_nothing() {
    let mut world = World::new();
    let error = world.call("ask_and_trap_twice", b"").unwrap_err();
    assert_eq!(error, "5 IC0503");
    assert_eq!(world.log(), "An");
    assert!(world.canister().calls.is_idle());
    world.finish();
}

/// A callback that is no function of the table, or none at all, fails like a trap.
#[test]
fn a_callback_beyond_the_table_is_a_trap() {
    let mut world = World::new();
    for method in ["ask_nowhere", "ask_no_callback"] {
        assert_eq!(world.call(method, b"").unwrap_err(), "5 IC0502");
    }
    assert_eq!(world.log(), "nn");
    world.finish();
}

/// Calls of a message that traps were never made.
#[test]
fn a_trap_takes_calls_back() {
    let mut world = World::new();
    assert_eq!(world.call("ask_then_trap", b"").unwrap_err(), "5 IC0503");
    assert!(!world.state.has_work(world.state.time));
    assert_eq!(world.log(), "");
    world.finish();
}

/// `call_new` forgets a call that was not performed; to perform without one is a trap.
#[test]
fn an_unfinished_call_is_forgotten() {
    let mut world = World::new();
    assert_eq!(world.call("forget_a_call", b"").unwrap(), b"n");
    assert_eq!(world.log(), "nR05");
    assert_eq!(world.call("perform_nothing", b"").unwrap_err(), "5 IC0504");
    world.finish();
}

/// A canister replies first and its callbacks run later: the caller is not kept waiting, and what
/// the callbacks do counts. To reply once more there is a trap.
#[test]
fn a_reply_may_come_before_the_callbacks() {
    let mut world = World::new();
    assert_eq!(world.call("answer_first", b"").unwrap(), b"!");
    assert_eq!(world.log(), "nS");
    assert_eq!(world.call("answer_twice", b"").unwrap(), b"");
    assert_eq!(world.log(), "nSn", "the second reply trapped");
    assert!(world.canister().calls.is_idle());
    world.finish();
}

/// Who never replies is answered IC0506, once no callback is outstanding; what the messages did
/// stays, since none of them trapped.
#[test]
fn no_reply_is_an_error_that_undoes_nothing() {
    let mut world = World::new();
    assert_eq!(world.call("silent", b"").unwrap_err(), "5 IC0506");
    assert_eq!(world.call("ask_silently", b"").unwrap_err(), "5 IC0506");
    assert_eq!(world.log(), "sAnS");
    world.finish();
}

/// A query leaves nothing behind, whether it runs as one or as an update.
#[test]
fn queries_leave_nothing_behind() {
    let mut world = World::new();
    let version = world.number("version");
    assert_eq!(world.query("log_in_query").unwrap(), b"q");
    assert_eq!(world.call("log_in_query", b"").unwrap(), b"q");
    assert_eq!(world.log(), "");
    assert_eq!(world.number("version"), version);
    world.call("ask_and_trap", b"").unwrap_err();
    assert_eq!(world.log(), "AnC78", "the global is 7 still");
    // Neither makes calls.
    assert_eq!(world.query("call_in_query").unwrap_err(), "IC0504");
    let replicated = world.call("call_in_query", b"").unwrap_err();
    assert_eq!(replicated, "5 IC0504");
    world.finish();
}

/// An upgrade is one step: if the new code does not start or its hook traps, the old canister is
/// there with all it had, and the `pre_upgrade` never happened.
#[test]
fn upgrades_are_one_step() {
    let mut world = World::new();
    world.call("note", b"x").unwrap();
    let before = world.canister().state();
    let (id, module) = (world.id, module());
    let failing = wat::parse_str(
        r#"(module (memory (export "memory") 1) (func $start unreachable) (start $start)
            (func (export "canister_query a")))"#,
    );
    let tries = [
        (failing.unwrap(), b"".to_vec()),
        (module.clone(), b"trap".to_vec()),
    ];
    for (module, argument) in tries {
        assert!(world.state.upgrade(&id, &module, argument).is_err());
        assert_eq!(world.canister().state(), before);
    }
    world.state.upgrade(&id, &module, Vec::new()).unwrap();
    assert_eq!(world.log(), "xU");
    assert_eq!(world.canister().version, before.version + 1);
}

/// The timer runs once when it is due, as the management canister; it is off by then, and a trap
/// does not set it.
#[test]
fn the_timer_runs_once_when_due() {
    let mut world = World::new();
    let due = world.state.time + 5 * SECOND;
    let set = due.to_le_bytes();
    assert_eq!(world.call("set_timer", &set).unwrap(), 0_u64.to_le_bytes());
    assert_eq!(world.call("set_timer", &set).unwrap(), set);
    assert_eq!(
        world.call("set_timer_then_trap", b"").unwrap_err(),
        "5 IC0503"
    );
    assert_eq!(world.state.next_due(), Some(due));
    assert_eq!(world.log(), "");
    world.round(due, Vec::new());
    // The caller's id is empty, and the timer read as off.
    assert_eq!(world.log(), "G00");
    world.tick();
    assert_eq!(world.log(), "G00");
    assert_eq!(world.state.next_due(), None);
    world.finish();
}

/// An upgrade clears the timer.
#[test]
fn an_upgrade_clears_the_timer() {
    let mut world = World::new();
    let due = world.state.time + 5 * SECOND;
    world.call("set_timer", &due.to_le_bytes()).unwrap();
    let id = world.id;
    world.state.upgrade(&id, &module(), Vec::new()).unwrap();
    world.round(due, Vec::new());
    assert_eq!(world.log(), "U");
}

/// Calls to oneself wait in the queue: they run after the message that made them, in order, and
/// their callbacks after both.
#[test]
fn self_calls_queue_like_others() {
    let mut world = World::new();
    world.call("ask_twice", b"").unwrap();
    assert_eq!(world.log(), "o12SS");
    world.finish();
}

/// More calls than the queue holds are not made, and the canister is told.
#[test]
fn the_queue_is_bounded() {
    let mut world = World::new();
    let made = world.call("flood", b"").unwrap();
    assert_eq!(made, 500_u64.to_le_bytes());
    world.tick();
    assert_eq!(world.log().matches('n').count(), 500);
    assert!(world.canister().calls.is_idle());
    world.finish();
}

/// A canister that calls itself for ever does not keep the subnet from others: the round ends, and
/// the next takes calls from outside. What is under way outlives the process.
#[test]
fn an_endless_row_of_calls_leaves_turns_to_others() {
    let mut world = World::new();
    world.call("forward", b"").unwrap();
    assert!(world.state.has_work(world.state.time));
    assert_eq!(world.call("note", b"x").unwrap(), b"x");
    assert!(world.state.has_work(world.state.time));
    world.finish();
}

/// Time stands still within a message, and goes forward from round to round.
#[test]
fn time_stands_still_within_a_message() {
    let mut world = World::new();
    let first = world.call("times", b"").unwrap();
    let second = world.call("times", b"").unwrap();
    assert_eq!(world.log(), "u1u1");
    let [first, second] = [first, second].map(|at| u64::from_le_bytes(at.try_into().unwrap()));
    assert!(first < second, "{first} {second}");
    assert!(world.number("clock") >= second);
    world.finish();
}

/// Certified data is what the signed state has; it stays over an upgrade and goes with a reinstall.
#[test]
fn certified_data_is_what_was_signed() {
    let mut world = World::new();
    world.call("certify", b"root").unwrap();
    let certified = |world: &mut World| {
        let bytes = world.query("certificate").unwrap();
        let certificate: ic_certification::Certificate = serde_cbor::from_slice(&bytes).unwrap();
        assert_eq!(certificate.tree.digest(), world.state.root());
        let path = [b"canister", world.id.as_slice(), b"certified_data"];
        match certificate.tree.lookup_path(path) {
            ic_certification::LookupResult::Found(data) => data.to_vec(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(certified(&mut world), b"root");
    let id = world.id;
    world.state.upgrade(&id, &module(), Vec::new()).unwrap();
    assert_eq!(certified(&mut world), b"root");
    let (mode, caller) = (InstallMode::Reinstall, world.sender);
    world
        .state
        .change_code(&id, mode, &module(), Vec::new(), &caller)
        .unwrap();
    world.tick();
    assert_eq!(certified(&mut world), b"");
}

/// The version grows with every message that is kept, and with none that is not.
#[test]
fn the_version_counts_what_is_kept() {
    let mut world = World::new();
    let start = world.number("version");
    world.call("note", b"x").unwrap();
    assert_eq!(world.number("version"), start + 1);
    world.call("trap_now", b"").unwrap_err();
    world.query("log_in_query").unwrap();
    assert_eq!(world.number("version"), start + 1);
    // The call, the call to itself, the callback.
    world.call("ask", b"").unwrap();
    assert_eq!(world.number("version"), start + 4);
    world.finish();
}

/// `inspect_message` sees the newest state and changes nothing, whether it accepts or not.
#[test]
fn inspection_sees_the_newest_state_and_changes_nothing() {
    let mut world = World::new();
    let inspect = |world: &mut World| {
        let (sender, time) = (world.sender, world.state.time);
        let canister = world.canister();
        canister.inspect("note", Vec::new(), &sender, time)
    };
    assert_eq!(inspect(&mut world), crate::execution::Outcome::Accepted);
    world.call("close", b"").unwrap();
    assert!(inspect(&mut world).is_failed());
    assert_eq!(world.log(), "");
    world.finish();
}

/// A canister that is stopped while it waits for an answer takes no more calls, still gets its
/// answer and gives its own, and has stopped only then.
#[test]
fn stopping_waits_for_open_calls() {
    let mut world = World::new();
    let argument = about(world.id);
    let open = world.ingress(world.id, "random", b"");
    let stop = world.ingress(Principal::management_canister(), "stop_canister", &argument);
    let note = world.ingress(world.id, "note", b"x");
    let [open_id, stop_id, note_id] = [&open, &stop, &note].map(|call| call.id.clone());
    let time = world.state.time + SECOND;
    world.round(time, vec![open, stop, note]);
    assert_eq!(
        world.answer(&open_id),
        None,
        "randomness is of a later round"
    );
    assert_eq!(world.answer(&stop_id), None, "not stopped yet");
    let refused = world.answer(&note_id).unwrap().unwrap_err();
    assert_eq!(refused.error_code, "IC0509");
    let status = &world.canister().status;
    assert!(matches!(status, CanisterStatus::Stopping(_)));
    assert_eq!(world.query("log").unwrap_err(), "IC0509");
    world.tick();
    assert!(world.answer(&open_id).unwrap().is_ok());
    assert!(world.answer(&stop_id).unwrap().is_ok());
    assert_eq!(world.canister().status, CanisterStatus::Stopped);
    assert_eq!(world.call("note", b"x").unwrap_err(), "5 IC0508");
    assert_eq!(world.query("log").unwrap_err(), "IC0508");
    world.manage("start_canister", &argument).unwrap();
    assert_eq!(world.call("note", b"x").unwrap(), b"x");
    world.finish();
}

/// Randomness is of a later round than the question, differs from call to call, and is the same in
/// a replay.
#[test]
fn randomness_comes_with_a_later_round() {
    let mut world = World::new();
    let first = world.send("random", b"");
    assert_eq!(world.answer(&first), None);
    let second = world.send("random", b"");
    assert!(world.answer(&first).is_some());
    let [first, second] = [first, second].map(|id| {
        let reply = world.outcome(&id).unwrap();
        candid::decode_one::<ByteBuf>(&reply).unwrap()
    });
    assert_eq!(first.len(), 32);
    assert_ne!(first, second);
    world.finish();
}

/// A caller that waits for a second only is told when it has passed, and an answer that comes later
/// finds nobody.
#[test]
fn a_deadline_is_kept() {
    let mut world = World::new();
    let id = world.send("hurry", b"");
    assert_eq!(world.answer(&id), None);
    let late = world.state.time + 2 * SECOND;
    assert!(world.state.next_due().is_some_and(|due| due < late));
    world.round(late, Vec::new());
    assert_eq!(world.outcome(&id).unwrap(), [1]);
    assert_eq!(world.log(), "J66");
    assert!(world.canister().calls.is_idle());
    world.finish();
}

/// The second counter goes on over the messages of a call.
#[test]
fn the_second_counter_counts_the_whole_call() {
    let mut world = World::new();
    let reply = world.call("count", b"").unwrap();
    let [here, whole] = [0, 8].map(|at| u64::from_le_bytes(reply[at..at + 8].try_into().unwrap()));
    assert!(here > 0 && whole > here + 5_000, "{here} {whole}");
    world.finish();
}

/// A request that runs over several rounds is known as such, is not pruned at its expiry, and its
/// answer stays for a while after.
#[test]
fn a_request_under_way_does_not_expire() {
    let mut world = World::new();
    let id = world.send("random", b"");
    assert!(world.state.is_processing(&id));
    world.state.advance(world.state.time + 500 * SECOND);
    assert!(world.state.is_processing(&id));
    world.tick();
    assert!(world.answer(&id).is_some());
    world.state.advance(world.state.time + 299 * SECOND);
    assert!(world.state.is_known(&id));
    world.state.advance(world.state.time + 2 * SECOND);
    assert!(!world.state.is_known(&id));
}

/// A system call in a message where it means nothing is a trap.
#[test]
fn system_calls_know_their_modes() {
    let mut world = World::new();
    let error = world.call("reject_code_in_update", b"").unwrap_err();
    assert_eq!(error, "5 IC0504");
    world.finish();
}

/// What a message cost is counted by method, also where it failed and nothing of it is kept.
#[test]
fn failed_messages_are_charged() {
    let mut world = World::new();
    world.call("trap_now", b"").unwrap_err();
    world.call("note", b"x").unwrap();
    world.call("ask", b"").unwrap();
    let used = |method: &str| world.state.usage[&(world.id, method.to_owned())];
    let trapped = used("trap_now");
    assert_eq!((trapped.calls, trapped.failed), (1, 1));
    assert_eq!(trapped.dirty_heap_pages, 1);
    assert!(trapped.instructions > 1_000, "{trapped:?}");
    let noted = used("note");
    assert_eq!((noted.calls, noted.executions, noted.failed), (2, 2, 0));
    assert_eq!((noted.argument_bytes, noted.reply_bytes), (2, 2));
    let asked = used("ask");
    assert_eq!((asked.calls, asked.executions), (1, 2));
    assert_eq!(asked.execution_fees, 10_000_000);
    world.finish();
}

/// Requests that are known are not run again, and are forgotten after their expiry.
#[test]
fn requests_are_known_until_they_expire() {
    let mut world = World::new();
    let id = world.send("note", b"x");
    assert!(world.state.is_known(&id));
    world.state.advance(world.state.time + 99 * SECOND);
    assert!(world.state.is_known(&id));
    world.state.advance(world.state.time + 2 * SECOND);
    assert!(!world.state.is_known(&id));
}

/// Whatever calls come in whatever order, with a canister that is stopped and started, and timers:
/// what is under way stays sound, everything ends, and a replay leads to the same state.
#[test]
fn any_order_of_calls_ends_and_can_be_replayed() {
    const METHODS: [&str; 16] = [
        "note",
        "ask",
        "ask_and_trap",
        "ask_and_trap_twice",
        "ask_nowhere",
        "ask_silently",
        "ask_absent",
        "ask_trapping",
        "ask_twice",
        "answer_first",
        "answer_twice",
        "forget_a_call",
        "hurry",
        "random",
        "silent",
        "log_in_query",
    ];
    for seed in 0..8_u8 {
        let mut world = World::new();
        let argument = about(world.id);
        let mut dice = blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof();
        let mut throw = || {
            let mut byte = [0];
            dice.fill(&mut byte);
            usize::from(byte[0])
        };
        let mut sent = Vec::new();
        for _ in 0..20 {
            let mut round = Vec::new();
            for _ in 0..throw() % 4 {
                let management = Principal::management_canister();
                let call = match throw() % 20 {
                    at if at < 16 => world.ingress(world.id, METHODS[at], b"x"),
                    16 => world.ingress(management, "stop_canister", &argument),
                    17 => {
                        let due = world.state.time + 2 * SECOND;
                        world.ingress(world.id, "set_timer", &due.to_le_bytes())
                    }
                    _ => world.ingress(management, "start_canister", &argument),
                };
                sent.push(call.id.clone());
                round.push(call);
            }
            world.round(world.state.time + SECOND, round);
            assert!(world.canister().calls.is_sound(), "{seed}");
        }
        for _ in 0..5 {
            world.tick();
        }
        assert!(world.canister().calls.is_idle(), "{seed}");
        for id in &sent {
            assert!(!world.state.is_processing(id), "{seed}");
        }
        world.finish();
    }
}
