//! `paigham sync`.

use std::pin::pin;
use std::time::Duration;

use crate::args::Common;
use crate::failure::{Failure, Kind};
use crate::output::{Output, SyncDone, Warning};
use crate::session::Session;
use crate::signal;

/// How often `--watch` asks.
const POLL: Duration = Duration::from_secs(2);
/// How often it asks while nobody can be reached.
const POLL_UNREACHABLE: Duration = Duration::from_secs(15);

/// Fetches and verifies everything new; with `watch` until interrupted.
pub async fn sync(common: &Common, watch: bool, out: &Output) -> Result<(), Failure> {
    let mut session = Session::open(common, out).await?;
    if !watch {
        let report = session.sync().await?;
        out.show(&SyncDone(&report));
        return Ok(());
    }
    // A sync that is broken off is taken up by the next one, as after a crash.
    tokio::select! {
        outcome = go_on(&mut session) => outcome,
        () = pin!(signal::stop()) => Ok(()),
    }
}

/// Returns when nobody reads any more, or with what is worse than a lost connection. Tells once
/// that the network is reached, and once that it is not.
async fn go_on(session: &mut Session<'_>) -> Result<(), Failure> {
    let mut reachable = None;
    while !session.out.is_closed() {
        match session.sync().await {
            Ok(report) => {
                if reachable.replace(true) != Some(true) {
                    session.out.show(&SyncDone(&report));
                }
                tokio::time::sleep(POLL).await;
            }
            Err(failure) if failure.kind() == Kind::Network => {
                if reachable.replace(false) != Some(false) {
                    session.out.warn(&Warning::of_failure(&failure));
                }
                tokio::time::sleep(POLL_UNREACHABLE).await;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}
