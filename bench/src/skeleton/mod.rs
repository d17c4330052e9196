//! One message from end to end.

mod instructions;
mod people;
mod throughput;
mod transport;
mod wire;

use std::sync::Arc;

use paigham_network::Network;
use paigham_subnet::{MemoryJournal, SystemClock};

use crate::report::Report;
use crate::{Failure, Options};

/// Measures and prints everything.
pub(crate) async fn measure(options: &Options, report: &Report) -> Result<(), Failure> {
    instructions::measure(options, report).await?;
    wire::measure(report).await?;
    throughput::measure(options, report).await
}

/// A network in memory, for figures that time and disk do not enter.
async fn network_in_memory() -> Result<Network, Failure> {
    let journal = Box::new(MemoryJournal::default());
    Ok(Network::in_memory(Arc::new(SystemClock), journal, [1; 32]).await?)
}
