//! `paigham verify FILE`: checks a file from its raw bytes, without a network, and says what it
//! proves and what it does not.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use paigham_client::review::{
    AUDIT_MAGIC, EVIDENCE_MAGIC, EVIDENCE_MAX_BYTES, LOOKUP_MAGIC, SAVED_MAX_BYTES, SavedLookup,
    check_evidence,
};

use crate::args::Common;
use crate::commands::audit;
use crate::failure::{Failure, Kind};
use crate::output::{EvidenceLine, LookupFactsLine, Output};
use crate::session;

/// Says what kind of file it is by its first bytes.
pub async fn verify(
    common: &Common,
    paths: &[PathBuf],
    require_auditors: bool,
    out: &Output,
) -> Result<(), Failure> {
    // Clap asks for one at least.
    let Some(path) = paths.first() else {
        return Ok(());
    };
    let unreadable = |error: std::io::Error| unreadable(path, &error);
    let mut file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    Read::by_ref(&mut file)
        .take(AUDIT_MAGIC.len() as u64)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes != EVIDENCE_MAGIC && paths.len() > 1 {
        return Err(Failure::user(
            "only evidence files are read together",
            "verify the others one by one",
        ));
    }
    if bytes == AUDIT_MAGIC {
        return audit::verify(common, path, out).await;
    }
    if bytes == LOOKUP_MAGIC {
        file.take(SAVED_MAX_BYTES)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        return verify_lookup(common, &bytes, require_auditors, out).await;
    }
    if bytes == EVIDENCE_MAGIC {
        return verify_evidence(common, paths, out).await;
    }
    Err(Failure::user(
        "this is no file that can be checked",
        "audit files begin with NKTA1, saved look-ups with PGLK1, evidence with PGEV1",
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

/// Evidence, in one file or in several people's.
async fn verify_evidence(common: &Common, paths: &[PathBuf], out: &Output) -> Result<(), Failure> {
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        // One byte more than a file may have, so that a longer one is refused and not cut.
        file.take(EVIDENCE_MAX_BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable(path, &error))?;
        files.push(bytes);
    }
    let named = match common.network {
        Some(_) => Some(session::network(common).await?),
        None => None,
    };
    let facts = check_evidence(&files, named.as_ref())?;
    out.show(&EvidenceLine(&facts));
    Ok(facts.require_claim()?)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Storage, format!("{}: {error}", path.display()), "")
}
