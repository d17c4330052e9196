//! What a security reviewer uses: audits, saved look-ups, an auditor's signatures. None of it needs
//! a home (`spec/review.md`).
//!
//! ```text
//! Reviewer ── audit ──▶ AuditLog ──▶ NKTA1 file ──▶ verify_audit, Auditor   offline
//!     └───── lookup ──▶ SavedLookup ──▶ PGLK1 file ──▶ SavedLookup::verify  offline
//! ```

mod administration;
mod audit;
mod cosign;
mod error;
mod evidence;
mod log_file;
mod reviewer;
mod saved;
#[cfg(test)]
mod tests;

use paigham_transparency::audit_file::AuditHeader;
use paigham_transparency::codec::Codec;
use paigham_transparency::structs::Configuration;
use paigham_wire::hash::sha256;
use paigham_wire::network::VerifiedNetwork;

pub use paigham_lookup::evidence::{
    Checked, EVIDENCE_MAGIC, EVIDENCE_MAX_BYTES, Limit, Proved, Report,
};
pub use paigham_lookup::finding::Finding;
pub use paigham_lookup::{AuditorReport, AuditorSays, AuditorWord, CanisterHeads, LogTrust};
pub use paigham_transparency::audit_file::MAGIC as AUDIT_MAGIC;
pub use paigham_transparency::structs::AuditorTreeHead;
pub use paigham_transparency::verifier::VerifyHead;
pub use paigham_wire::admin::{
    Action, AdminEntry, AdminRefusal, AdminSet, OpenProposal, Quotas, RetentionBounds,
};
pub use paigham_wire::identity::handle::{Handle, HandleError};
pub use paigham_wire::ids::PrincipalId;
pub use paigham_wire::shards::{Shard, ShardMap, ShardState};
pub use paigham_wire::ticket::Difficulties;

pub use administration::Administered;
pub use audit::{Audit, AuditReader, Audited};
pub use cosign::Auditor;
pub use error::ReviewError;
pub use evidence::{EvidenceFacts, check_evidence};
pub use log_file::{AuditLog, audit_header, verify_audit};
pub use reviewer::Reviewer;
pub use saved::{FoundFacts, LOOKUP_MAGIC, LookupFacts, SAVED_MAX_BYTES, SavedLookup};

/// The log that a network file names.
///
/// # Errors
/// [`ReviewError::NoLog`], [`ReviewError::Lookup`].
pub fn log_of(network: &VerifiedNetwork) -> Result<LogTrust, ReviewError> {
    let file = network.file();
    let config = file.transparency.as_ref().ok_or(ReviewError::NoLog)?;
    let config = Configuration::decode(config).map_err(|_| ReviewError::NoLog)?;
    let root_key = file.root_key.to_vec();
    Ok(LogTrust::new(root_key, network.directory()?, config)?)
}

/// The header of an audit of a network's log from its first entry on.
#[must_use]
pub fn header_of(trust: &LogTrust) -> AuditHeader {
    AuditHeader {
        config: trust.config().clone(),
        canister_id: trust.directory().as_slice().to_vec(),
        root_key_hash: sha256(trust.root_key()),
        start: Default::default(),
    }
}

/// Checks signatures over heads in an audit of this log.
///
/// # Errors
/// [`ReviewError::OtherLog`].
pub fn heads_of<'a>(
    trust: &'a LogTrust,
    header: &AuditHeader,
) -> Result<CanisterHeads<'a>, ReviewError> {
    let own = header_of(trust);
    let same = header.config == own.config
        && header.canister_id == own.canister_id
        && header.root_key_hash == own.root_key_hash;
    if same {
        Ok(CanisterHeads { trust })
    } else {
        Err(ReviewError::OtherLog)
    }
}

/// The label of a handle in the log.
#[must_use]
pub fn handle_label(handle: &Handle) -> Vec<u8> {
    handle.skeleton().label()
}
