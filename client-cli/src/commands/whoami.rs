//! `paigham whoami`.

use crate::args::Common;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;

/// Shows this device's account; asks nobody.
pub async fn whoami(common: &Common, out: &Output) -> Result<(), Failure> {
    let session = Session::open(common, out).await?;
    out.show(&session.client.me());
    Ok(())
}
