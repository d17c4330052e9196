//! `paigham audit`: every entry of the log, fetched, checked, signed, told.

use std::path::Path;

use paigham_client::Environment;
use paigham_client::review::{
    Audit, AuditLog, Audited, Auditor, LogTrust, ReviewError, Reviewer, VerifyHead, audit_header,
    heads_of, log_of, verify_audit,
};

use crate::args::{AuditCommand, Common};
use crate::failure::Failure;
use crate::output::{AuditDone, AuditEntry, CosignDone, Output};
use crate::session;

/// Runs one of the family.
pub async fn audit(common: &Common, command: &AuditCommand, out: &Output) -> Result<(), Failure> {
    match command {
        AuditCommand::Fetch { file } => {
            let reviewer = reviewer(common).await?;
            let log = AuditLog::create(file, reviewer.header())?;
            fetch(&reviewer, log, file, out).await
        }
        AuditCommand::Resume { file } => {
            let reviewer = reviewer(common).await?;
            let heads = heads_of(reviewer.trust(), &audit_header(file)?)?;
            let log = AuditLog::open(file, Some(&heads))?;
            fetch(&reviewer, log, file, out).await
        }
        AuditCommand::Verify { file } => verify(common, file, out).await,
        AuditCommand::Explain { file } => explain(common, file, out).await,
        AuditCommand::Cosign {
            file,
            key,
            new_key,
            print,
        } => {
            let mut cosign = Cosigning {
                common,
                file,
                auditor: if *new_key {
                    Auditor::create(key)?
                } else {
                    Auditor::open(key)?
                },
            };
            cosign.run(*print, out).await
        }
    }
}

/// Checks a file offline; with a network also that it is an audit of that log, and the signatures.
pub async fn verify(common: &Common, file: &Path, out: &Output) -> Result<(), Failure> {
    let trust = trust_if_named(common).await?;
    let audit = checked(trust.as_ref(), file, &mut |_, _| Ok(()))?;
    out.show(&AuditDone::new("verified", file, &audit));
    Ok(())
}

async fn explain(common: &Common, file: &Path, out: &Output) -> Result<(), Failure> {
    let trust = trust_if_named(common).await?;
    let audit = checked(trust.as_ref(), file, &mut |_, said| {
        out.show(&AuditEntry(said));
        Ok(())
    })?;
    out.show(&AuditDone::new("explained", file, &audit));
    Ok(())
}

/// An auditor at work on a file.
struct Cosigning<'a> {
    common: &'a Common,
    file: &'a Path,
    auditor: Auditor,
}

impl Cosigning<'_> {
    /// The statement is kept beside the key before anything else; what could not be handed in is
    /// handed in by the same command again.
    async fn run(&mut self, only_print: bool, out: &Output) -> Result<(), Failure> {
        let reviewer = reviewer(self.common).await?;
        let audit = checked(Some(reviewer.trust()), self.file, &mut |audit, said| {
            self.auditor.compare(audit, said)
        })?;
        // An auditor speaks of what readers are shown, so the newest entry must be under a signed
        // head.
        if audit.newest_checkpoint() != Some(audit.state().size()) {
            return Err(Failure::user(
                "the file does not end with a signed head",
                "`paigham audit resume` fetches it",
            ));
        }
        let head = self.auditor.sign(&audit)?;
        let key = self.auditor.public_key();
        let handed_in = match only_print {
            true => Ok(()),
            false => reviewer.hand_in(key, &head).await,
        };
        out.show(&CosignDone {
            key,
            head: &head,
            audit: &audit,
            is_kept: !only_print && handed_in.is_ok(),
        });
        Ok(handed_in?)
    }
}

async fn fetch(
    reviewer: &Reviewer,
    mut log: AuditLog,
    file: &Path,
    out: &Output,
) -> Result<(), Failure> {
    reviewer
        .fetch_audit(&mut log, &mut |audit, size| {
            out.say(&format!("{} of {size} entries", audit.state().size()));
        })
        .await?;
    out.show(&AuditDone::new("fetched", file, log.audit()));
    Ok(())
}

fn checked(
    trust: Option<&LogTrust>,
    file: &Path,
    each: &mut dyn FnMut(&Audit, Audited) -> Result<(), ReviewError>,
) -> Result<Audit, Failure> {
    let heads = match trust {
        None => None,
        Some(trust) => Some(heads_of(trust, &audit_header(file)?)?),
    };
    let heads = heads.as_ref().map(|heads| heads as &dyn VerifyHead);
    Ok(verify_audit(file, heads, each)?)
}

/// Whoever has a network file and its address needs no home.
pub async fn reviewer(common: &Common) -> Result<Reviewer, Failure> {
    let network = session::network(common).await?;
    Ok(Reviewer::new(network, Environment::default())?)
}

async fn trust_if_named(common: &Common) -> Result<Option<LogTrust>, Failure> {
    match &common.network {
        None => Ok(None),
        Some(_) => Ok(Some(log_of(&session::network(common).await?)?)),
    }
}
