mod conformance;
mod management;
mod world;

use super::*;

const WAT: &str = r#"(module
    (import "ic0" "msg_reply" (func $reply))
    (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
    (memory (export "memory") 1 2)
    (global $calls (mut i64) (i64.const 0))
    (func (export "canister_update ten") (call $append (i32.const 0) (i32.const 10)) (call $reply)))"#;

fn keys() -> Keys {
    let seeds = crate::keys::Seeds::of_test(&[1; 32]);
    Keys::new(&seeds, &crate::Topology::SelfRoot, 1).unwrap()
}

fn state() -> (State, Principal) {
    let mut state = State::new(crate::engine::engine().unwrap(), keys(), 1);
    let module = wat::parse_str(WAT).unwrap();
    let canister = state.install(&module, Vec::new(), &[]).unwrap();
    (state, canister)
}

fn round(state: &State, canister: Principal, number: u8, expiry: u64) -> Round {
    let ingress = Ingress {
        id: vec![number; 32],
        canister,
        effective: canister,
        sender: Principal::anonymous(),
        method: "ten".into(),
        argument: Vec::new(),
        expiry,
    };
    Round {
        layout: LAYOUT,
        time: state.time + 1,
        root_before: state.contents_root(),
        seed: [number; 32],
        ingress: vec![ingress],
    }
}

fn shown(state: &State, number: u8) -> String {
    use ic_certification::LookupResult;
    let path = vec![b"request_status".to_vec(), vec![number; 32]];
    let signed = state.certify(&[path]);
    let path = [&b"request_status"[..], &[number; 32], b"status"];
    match signed.tree.lookup_path(path) {
        LookupResult::Found(status) => String::from_utf8(status.to_vec()).unwrap(),
        LookupResult::Absent => "absent".into(),
        other => panic!("{other:?}"),
    }
}

/// More answers than may be kept: the oldest are dropped, that they were given is still known
/// (so no replay), and what expires leaves the count.
#[test]
fn old_answers_make_room() {
    let (mut state, canister) = state();
    for number in 0..4 {
        let round = round(&state, canister, number, 100 + u64::from(number));
        state.execute(&round);
    }
    assert_eq!(state.requests.answers_bytes, 40);
    state.requests.drop_answers(1, 25);
    state.seal();
    let now: Vec<_> = (0..4).map(|number| shown(&state, number)).collect();
    assert_eq!(now, ["done", "done", "replied", "replied"]);
    assert!(state.is_known(&[0; 32]));
    state.requests.drop_answers(1, 0);
    assert_eq!(state.requests.answers_bytes, 10, "the newest round's stay");
    let again = State::restore(state.engine.clone(), keys(), &state.checkpoint()).unwrap();
    assert_eq!(
        (again.requests.answers_bytes, again.requests.answered.len()),
        (10, 1)
    );
    assert_eq!(shown(&again, 2), "done");
    state.advance(200);
    assert_eq!(state.requests.answers_bytes, 0);
    assert_eq!(shown(&state, 0), "absent");
    assert!(state.requests.is_empty() && state.requests.answered.len() <= 1);
}

fn code(checkpoint: &mut Checkpoint) -> &mut crate::code::CodeState {
    checkpoint.canisters[0].code.as_mut().unwrap()
}

/// A checkpoint whose parts do not fit each other, however it came about, is an error at the
/// start and not at each message.
#[test]
fn a_checkpoint_that_does_not_fit_is_refused() {
    let (state, _) = state();
    let good = state.checkpoint();
    let restore = |bytes: &[u8]| State::restore(state.engine.clone(), keys(), bytes).map(drop);
    assert!(restore(&good).is_ok());
    let page = || ByteBuf::from(vec![0; 4096]);
    let changes: [fn(&mut Checkpoint); 10] = [
        |it| it.next_canister = 0,
        |it| it.layout = 1,
        |it| code(it).module.truncate(20),
        |it| code(it).heap.truncate(100),
        |it| code(it).heap.clear(),
        // One page more than the module's own maximum.
        |it| code(it).heap.resize(3 * 65_536, 0),
        |it| code(it).globals.clear(),
        |it| code(it).globals[0].0 = 3,
        |it| it.canisters[0].certified_data = vec![0; 33],
        |it| code(it).stable_size = u64::MAX,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut checkpoint: Checkpoint = serde_cbor::from_slice(&good).unwrap();
        change(&mut checkpoint);
        assert!(restore(&to_cbor(&checkpoint)).is_err(), "{number}");
    }
    for (at, bytes) in [(16, page()), (0, ByteBuf::from(vec![0; 9]))] {
        let mut checkpoint: Checkpoint = serde_cbor::from_slice(&good).unwrap();
        code(&mut checkpoint).stable_size = 1;
        code(&mut checkpoint).stable_pages.insert(at, bytes);
        assert!(restore(&to_cbor(&checkpoint)).is_err(), "page {at}");
    }
    assert!(restore(&good[..good.len() - 1]).is_err());
}

/// The log is replayed on another state than it was written on: refused.
#[test]
fn a_log_of_another_state_is_refused() {
    let (mut state, canister) = state();
    let record = to_cbor(&round(&state, canister, 1, 100));
    let module = wat::parse_str(WAT).unwrap();
    state.install(&module, Vec::new(), &[]).unwrap();
    assert!(matches!(state.replay(&record), Err(RestoreError::Diverged)));
    assert!(matches!(
        state.replay(&record[1..]),
        Err(RestoreError::Record)
    ));
}
