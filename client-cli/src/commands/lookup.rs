//! `paigham lookup`: what the log has of an account or a handle, for anybody to check again.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use paigham_client::AccountId;
use paigham_client::review::{Handle, handle_label};

use crate::args::Common;
use crate::commands::audit::reviewer;
use crate::failure::{Failure, Kind};
use crate::output::{LookupFactsLine, Output};

/// Looks a label up as somebody who knows nothing, shows it, and saves the raw answer.
pub async fn lookup(
    common: &Common,
    who: &str,
    proof: Option<&Path>,
    require_auditors: bool,
    out: &Output,
) -> Result<(), Failure> {
    let label = label_of(who)?;
    let saved = reviewer(common).await?.save_lookup(&label).await?;
    if let Some(path) = proof {
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .and_then(|mut file| {
                file.write_all(&saved.to_bytes())?;
                file.sync_all()
            });
        written.map_err(|error| {
            let message = format!("{}: {error}", path.display());
            Failure::new(Kind::Storage, message, "name another file")
        })?;
    }
    let facts = saved.verify()?;
    out.show(&LookupFactsLine::of_now(&facts, proof));
    if require_auditors {
        facts.require_auditors()?;
    }
    Ok(())
}

/// 32 hexadecimal digits are an account's id; everything else is a handle.
fn label_of(who: &str) -> Result<Vec<u8>, Failure> {
    let mut id = [0; 16];
    if hex::decode_to_slice(who, &mut id).is_ok() {
        return Ok(AccountId(id).directory_label().to_vec());
    }
    let handle = Handle::typed(who).map_err(|error| {
        Failure::user(
            format!("neither an account's id nor a handle: {error}"),
            "an id has 32 hexadecimal digits",
        )
    })?;
    Ok(handle_label(&handle))
}
