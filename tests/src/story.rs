//! Where stories run.

use std::time::Duration;

/// No story takes longer; a client that waits for ever fails here.
pub const STORY_MAX: Duration = Duration::from_secs(20 * 60);
/// OpenMLS needs more than the 2 MiB that a test's thread has in a debug build.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Tells a story on a thread of its own with a big stack.
///
/// Everything runs on that one thread but the subnet, so that clients which act "at the same time"
/// interleave at their requests, and nowhere else.
///
/// # Panics
/// As the story does, and after [`STORY_MAX`].
pub fn story<T: Send + 'static>(body: impl AsyncFnOnce() -> T + Send + 'static) -> T {
    let tell = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let told = runtime.block_on(async { tokio::time::timeout(STORY_MAX, body()).await });
        told.expect("the story does not end")
    };
    let thread = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(tell)
        .unwrap();
    match thread.join() {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// A number from the environment: how long the longer variant of a story is.
///
/// # Panics
/// If it is set to something else.
#[must_use]
pub fn number(variable: &str, default: usize) -> usize {
    match std::env::var(variable) {
        Ok(value) => value.parse().expect("a number"),
        Err(_) => default,
    }
}
