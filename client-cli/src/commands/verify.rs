//! `paigham verify FILE`: checks a file from its raw bytes, without a network, and says what it
//! proves and what it does not.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use paigham_client::review::{AUDIT_MAGIC, LOOKUP_MAGIC, SAVED_MAX_BYTES, SavedLookup};

use crate::args::Common;
use crate::commands::audit;
use crate::failure::{Failure, Kind};
use crate::output::{LookupFactsLine, Output};
use crate::session;

/// Says what kind of file it is by its first bytes.
pub async fn verify(
    common: &Common,
    path: &Path,
    require_auditors: bool,
    out: &Output,
) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::new(Kind::Storage, format!("{}: {error}", path.display()), "")
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    Read::by_ref(&mut file)
        .take(AUDIT_MAGIC.len() as u64)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes == AUDIT_MAGIC {
        return audit::verify(common, path, out).await;
    }
    if bytes == LOOKUP_MAGIC {
        file.take(SAVED_MAX_BYTES)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        return verify_lookup(common, &bytes, require_auditors, out).await;
    }
    Err(Failure::user(
        "this is no file that can be checked",
        "audit files begin with NKTA1, saved look-ups with PGLK1",
    ))
}

async fn verify_lookup(
    common: &Common,
    bytes: &[u8],
    require_auditors: bool,
    out: &Output,
) -> Result<(), Failure> {
    let facts = SavedLookup::from_bytes(bytes)?.verify()?;
    let is_named = common.network.is_some();
    if is_named && session::network(common).await?.hash() != facts.network.hash() {
        return Err(paigham_client::review::ReviewError::OtherNetwork.into());
    }
    out.show(&LookupFactsLine::of_file(&facts, is_named));
    if require_auditors {
        facts.require_auditors()?;
    }
    Ok(())
}
