//! `paigham monitor`: everything that this home watches, now or again and again.

use std::pin::pin;
use std::time::Duration;

use crate::args::Common;
use crate::failure::{Failure, Kind};
use crate::output::{MonitorLine, Output, Warning};
use crate::session::Session;
use crate::signal;

/// Looks once, or every so many seconds until interrupted; fails at the end if there was an alarm.
pub async fn monitor(common: &Common, every: Option<u64>, out: &Output) -> Result<(), Failure> {
    let mut session = Session::open(common, out).await?;
    let mut alarms = 0;
    match every {
        None => alarms += u32::from(look(&mut session).await?),
        Some(seconds) => {
            let pause = Duration::from_secs(seconds.max(1));
            // A look that is broken off is taken up by the next one.
            tokio::select! {
                outcome = go_on(&mut session, pause, &mut alarms) => outcome?,
                () = pin!(signal::stop()) => {}
            }
        }
    }
    if alarms == 0 {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Verification,
        "ALARM: the log shows what must not be",
        "see `paigham problems`; evidence lies in the home, and `paigham verify` reads it",
    ))
}

async fn go_on(
    session: &mut Session<'_>,
    pause: Duration,
    alarms: &mut u32,
) -> Result<(), Failure> {
    while !session.out.is_closed() {
        match look(session).await {
            Ok(is_alarm) => *alarms = alarms.saturating_add(u32::from(is_alarm)),
            Err(failure) if failure.kind() == Kind::Network => {
                session.out.warn(&Warning::of_failure(&failure));
            }
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

/// Whether there is an alarm.
async fn look(session: &mut Session<'_>) -> Result<bool, Failure> {
    let outcome = session.client.monitor().await;
    session.pass_on_notices();
    let report = outcome?;
    session.out.show(&MonitorLine(&report));
    Ok(report.is_alarm())
}
