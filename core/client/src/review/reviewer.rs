//! Asking the network what a reviewer wants to know.

use paigham_lookup::LogTrust;
use paigham_transparency::audit_file::{AuditHeader, AuditRecord, Checkpoint};
use paigham_transparency::codec::Codec;
use paigham_transparency::structs::{AuditorTreeHead, AuditorUpdate};
use paigham_wire::canister_signature::CanisterSignature;
use paigham_wire::codec::encode;
use paigham_wire::directory::DirectoryError;
use paigham_wire::log::{AuditReply, AuditRequest, Cosign, Wanted};
use paigham_wire::network::VerifiedNetwork;
use paigham_wire::relay::Credential;

use super::audit::Audit;
use super::error::ReviewError;
use super::log_file::AuditLog;
use super::saved::SavedLookup;
use super::{header_of, heads_of, log_of};
use crate::account::Environment;
use crate::clock::NetworkTime;
use crate::connection::Connection;
use crate::error::NotVerified;

/// Entries asked for at once; the reply ends earlier where it is full.
const PAGE: u32 = 1_000;

/// Somebody with a network file and nothing else.
#[derive(Debug)]
pub struct Reviewer {
    pub(super) connection: Connection,
    trust: LogTrust,
}

impl Reviewer {
    /// Gets ready to ask; asks nothing yet.
    ///
    /// # Errors
    /// [`ReviewError::NoLog`], [`ReviewError::Lookup`], [`ReviewError::Network`].
    pub fn new(network: VerifiedNetwork, environment: Environment) -> Result<Self, ReviewError> {
        let trust = log_of(&network)?;
        let time = NetworkTime::default();
        let Environment {
            transport, clock, ..
        } = environment;
        let connection = Connection::new(network, transport, clock, time)?;
        Ok(Self { connection, trust })
    }

    /// The log.
    #[must_use]
    pub const fn trust(&self) -> &LogTrust {
        &self.trust
    }

    /// The header of an audit of the whole log.
    #[must_use]
    pub fn header(&self) -> AuditHeader {
        header_of(&self.trust)
    }

    /// Fetches, checks and writes every entry up to the newest, then its signed head. `progress`
    /// hears of each page with the size of the log.
    ///
    /// # Errors
    /// [`ReviewError`]; what was written before holds.
    pub async fn fetch_audit(
        &self,
        log: &mut AuditLog,
        progress: &mut dyn FnMut(&Audit, u64),
    ) -> Result<(), ReviewError> {
        let heads = heads_of(&self.trust, log.audit().header())?;
        loop {
            let known = log.audit().state().size();
            let reply = self.audit(known).await?;
            if reply.size < known {
                let shown = reply.size;
                return Err(ReviewError::Fewer { known, shown });
            }
            let mut records = Vec::with_capacity(reply.updates.len() + 1);
            for update in &reply.updates {
                let update = AuditorUpdate::decode(update.as_slice());
                let update = update.map_err(|_| NotVerified::Malformed("audit"));
                records.push(AuditRecord::Update(
                    update.map_err(crate::ClientError::from)?,
                ));
            }
            let reached = known.saturating_add(records.len() as u64);
            let is_newest = reached == reply.size;
            let is_signed = log.audit().newest_checkpoint() == Some(reached);
            if is_newest && !is_signed {
                records.push(AuditRecord::Checkpoint(self.checkpoint(&reply).await?));
            }
            if records.is_empty() && !is_newest {
                return Err(crate::ClientError::from(NotVerified::Differs("an empty page")).into());
            }
            log.append(&records, Some(&heads))?;
            progress(log.audit(), reply.size);
            if is_newest {
                return Ok(());
            }
        }
    }

    async fn audit(&self, from: u64) -> Result<AuditReply, ReviewError> {
        let request = AuditRequest { from, limit: PAGE };
        let directory = self.connection.directory();
        let reply = self
            .connection
            .query::<AuditReply, DirectoryError>(directory, "audit", &encode(&request))
            .await?;
        Ok(reply)
    }

    /// A head that was signed just now; its signature is checked where it is written.
    async fn checkpoint(&self, reply: &AuditReply) -> Result<Checkpoint, ReviewError> {
        let directory = self.connection.directory();
        let signature = reply.head.as_slice();
        let size = reply.size;
        let certified = CanisterSignature::verify(signature, self.trust.root_key(), directory)
            .map_err(|_| ReviewError::HeadSignature { size })?;
        self.connection.check_time(certified.time_ns()).await?;
        Ok(Checkpoint {
            tree_size: size,
            root: reply.root,
            signature: signature.to_vec(),
            code_evidence: self.connection.code_evidence(directory).await?,
        })
    }

    /// Hands the directory an auditor's statement, for whoever asks.
    ///
    /// # Errors
    /// [`ReviewError::NotTaken`], [`ReviewError::Network`].
    pub async fn hand_in(&self, key: [u8; 32], head: &AuditorTreeHead) -> Result<(), ReviewError> {
        let statement = Cosign {
            key,
            head: head.encode()?.into(),
        };
        let directory = self.connection.directory();
        let taken = self
            .connection
            .update::<(), DirectoryError>(directory, "cosign", &encode(&statement))
            .await;
        match taken {
            Err(crate::ClientError::Directory(refusal)) => Err(ReviewError::NotTaken(refusal)),
            outcome => Ok(outcome?),
        }
    }

    /// Looks a label up as somebody who knows nothing of the log, and keeps everything that is
    /// needed to check the answer again. It was checked before it is given out.
    ///
    /// # Errors
    /// [`ReviewError`].
    pub async fn save_lookup(&self, label: &[u8]) -> Result<SavedLookup, ReviewError> {
        let wanted = Wanted {
            label: label.into(),
            from: 0,
            credential: Credential::none(),
        };
        let reply = self.connection.ask_wanted(None, vec![wanted]).await?;
        let mut saved = SavedLookup {
            network: self.connection.network().bytes().into(),
            asked_at: self.connection.now_ns(),
            label: label.into(),
            reply: encode(&reply).into(),
            statements: Vec::new().into(),
        };
        let mut facts = saved.verify()?;
        if facts.auditors.is_some() {
            let shown = self.connection.ask_auditors(facts.view.size()).await?;
            saved.statements = encode(&shown).into();
            facts = saved.verify()?;
        }
        self.connection
            .check_time(facts.certificate_time_ns)
            .await?;
        Ok(saved)
    }
}
