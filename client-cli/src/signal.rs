//! When to stop.

use std::future::pending;

use tokio::signal::unix::{SignalKind, signal};

/// Resolves at Ctrl-C or SIGTERM. From the first call on, neither ends the process by itself.
pub async fn stop() {
    tokio::select! {
        () = of_kind(SignalKind::interrupt()) => (),
        () = of_kind(SignalKind::terminate()) => (),
    }
}

async fn of_kind(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signals) => drop(signals.recv().await),
        // Without a handler the signal ends the process, which is a stop too.
        Err(_) => pending().await,
    }
}
