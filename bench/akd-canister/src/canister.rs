//! The methods.

use std::cell::RefCell;

use crate::Heap;

thread_local! {
    static HEAP: RefCell<Option<Heap>> = const { RefCell::new(None) };
    static BEFORE: RefCell<[u8; 32]> = const { RefCell::new([0; 32]) };
}

fn with<T>(action: impl FnOnce(&Heap) -> T) -> T {
    HEAP.with_borrow(|heap| action(heap.as_ref().expect("opened at the start")))
}

/// The numbers of the argument.
fn numbers<const N: usize>() -> [u32; N] {
    let mut bytes = vec![0; ic0::msg_arg_data_size()];
    ic0::msg_arg_data_copy(&mut bytes, 0);
    let mut numbers = [0; N];
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(4)) {
        *number = u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    }
    numbers
}

fn reply(bytes: &[u8]) {
    ic0::msg_reply_data_append(bytes);
    ic0::msg_reply();
}

#[unsafe(export_name = "canister_post_upgrade")]
extern "C" fn start() {
    std::panic::set_hook(Box::new(|why| ic0::trap(why.to_string().as_bytes())));
    let mut length = [0; 8];
    ic0::stable64_read(&mut length, 0);
    let mut bytes = vec![0; u64::from_le_bytes(length) as usize];
    ic0::stable64_read(&mut bytes, 8);
    let records = rmp_serde::from_slice(&bytes).expect("records");
    drop(bytes);
    HEAP.set(Some(Heap::open(records)));
}

#[unsafe(export_name = "canister_update publish")]
extern "C" fn publish() {
    let [first, count] = numbers();
    with(|heap| {
        BEFORE.set(heap.root());
        heap.publish(first, count);
    });
    reply(&[]);
}

#[unsafe(export_name = "canister_query lookup")]
extern "C" fn lookup() {
    let [number, check] = numbers();
    reply(&with(|heap| heap.lookup(number, check == 1)));
}

#[unsafe(export_name = "canister_query audit")]
extern "C" fn audit() {
    let [check] = numbers();
    let before = BEFORE.with_borrow(|before| *before);
    reply(&with(|heap| heap.audit(before, check == 1)));
}
