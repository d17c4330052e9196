//! `paigham demo`: the whole story in one command, with real calls and checked expectations.
//!
//! The subnet is embedded in this process and keeps its files in a temporary folder, as do the
//! three people, so that the restart in the story is a real one.

mod acts;
mod people;
mod story;

use std::path::Path;
use std::time::Instant;

use crate::failure::{Failure, Kind};
use crate::output::Output;
use crate::signal;

use story::Story;

/// Plays the story; fails at the first expectation that does not hold.
pub async fn play(out: &Output) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(|error| {
        Failure::new(Kind::Storage, format!("no temporary folder: {error}"), "")
    })?;
    // Also then the folder goes.
    tokio::select! {
        outcome = tell(out, folder.path()) => outcome,
        () = signal::stop() => Err(Failure::user("the story was interrupted", "")),
    }
}

async fn tell(out: &Output, folder: &Path) -> Result<(), Failure> {
    let started = Instant::now();
    let mut story = Story::new(out);
    story.open();
    let network = acts::network(&mut story, folder).await?;
    let mut cast = acts::accounts(&mut story, folder, &network).await?;
    acts::contacts(&mut story, &mut cast).await?;
    acts::chat(&mut story, &mut cast).await?;
    let group = acts::group(&mut story, &mut cast).await?;
    let (network, mut cast) = acts::restart(&mut story, folder, network, cast, group).await?;
    acts::removal(&mut story, &mut cast, group).await?;
    story.count_subnet(&acts::status(&network).await?);
    network.shutdown();
    story.close(started.elapsed());
    Ok(())
}
