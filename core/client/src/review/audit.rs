//! An audit, entry by entry, and reading it from a file (`spec/transparency.md` §8).

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use paigham_transparency::audit_file::{
    AuditHeader, AuditRecord, Checkpoint, MAGIC, MAX_RECORD_LEN,
};
use paigham_transparency::auditor::AuditorState;
use paigham_transparency::codec::{Codec, DecodeError};
use paigham_transparency::hash::HashValue;
use paigham_transparency::structs::{AuditorUpdate, TreeHeadTbs};
use paigham_transparency::verifier::VerifyHead;

use super::error::ReviewError;

/// A header is far shorter; more is not read.
const HEADER_MAX_BYTES: u32 = 1 << 20;
/// Before the body of a record: its kind and its length.
const RECORD_HEAD_BYTES: usize = 5;

/// What an audit has seen so far. It only grows by what holds.
#[derive(Debug, Clone)]
pub struct Audit {
    header: AuditHeader,
    state: AuditorState,
    added: u64,
    checkpoints: u64,
    unsigned: u64,
    newest_checkpoint: Option<u64>,
}

/// What one record said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audited {
    /// An entry.
    Entry {
        /// Its position.
        position: u64,
        /// Its timestamp, milliseconds since 1970.
        timestamp: u64,
        /// Versions of labels that it added.
        added: usize,
        /// Root of the log with it.
        root: HashValue,
    },
    /// A signed head.
    Checkpoint {
        /// Number of entries.
        size: u64,
        /// Whether its signature was checked: it needs the network's root key.
        checked: bool,
    },
}

impl Audit {
    /// Begins where the header says.
    #[must_use]
    pub fn begin(header: AuditHeader) -> Self {
        Self {
            state: header.start.clone(),
            header,
            added: 0,
            checkpoints: 0,
            unsigned: 0,
            newest_checkpoint: None,
        }
    }

    /// Which log, and from where.
    #[must_use]
    pub const fn header(&self) -> &AuditHeader {
        &self.header
    }

    /// The log as it is known now.
    #[must_use]
    pub const fn state(&self) -> &AuditorState {
        &self.state
    }

    /// Versions of labels that the entries added.
    #[must_use]
    pub const fn added(&self) -> u64 {
        self.added
    }

    /// Signed heads, and how many of them were taken without a look at the signature.
    #[must_use]
    pub const fn checkpoints(&self) -> (u64, u64) {
        (self.checkpoints, self.unsigned)
    }

    /// Size of the newest signed head.
    #[must_use]
    pub const fn newest_checkpoint(&self) -> Option<u64> {
        self.newest_checkpoint
    }

    /// Takes the next record. Without `heads` signatures are counted, not checked.
    ///
    /// # Errors
    /// [`ReviewError`]; the audit stays as it was.
    pub fn take(
        &mut self,
        record: &AuditRecord,
        heads: Option<&dyn VerifyHead>,
    ) -> Result<Audited, ReviewError> {
        match record {
            AuditRecord::Update(update) => self.entry(update),
            AuditRecord::Checkpoint(checkpoint) => self.checkpoint(checkpoint, heads),
        }
    }

    fn entry(&mut self, update: &AuditorUpdate) -> Result<Audited, ReviewError> {
        let position = self.state.size();
        let next = self
            .state
            .apply(update)
            .map_err(|source| ReviewError::Entry { position, source })?;
        let root = next.root().ok_or(ReviewError::Empty)?;
        self.state = next;
        self.added = self.added.saturating_add(update.added.len() as u64);
        Ok(Audited::Entry {
            position,
            timestamp: update.timestamp,
            added: update.added.len(),
            root,
        })
    }

    fn checkpoint(
        &mut self,
        checkpoint: &Checkpoint,
        heads: Option<&dyn VerifyHead>,
    ) -> Result<Audited, ReviewError> {
        let (said, entries) = (checkpoint.tree_size, self.state.size());
        if said != entries {
            return Err(ReviewError::CheckpointSize { said, entries });
        }
        if self.state.root() != Some(checkpoint.root) {
            return Err(ReviewError::OtherRoot { size: said });
        }
        if let Some(heads) = heads {
            self.check_head(checkpoint, heads)?;
        } else {
            self.unsigned += 1;
        }
        self.checkpoints += 1;
        self.newest_checkpoint = Some(said);
        Ok(Audited::Checkpoint {
            size: said,
            checked: heads.is_some(),
        })
    }

    fn check_head(
        &self,
        checkpoint: &Checkpoint,
        heads: &dyn VerifyHead,
    ) -> Result<(), ReviewError> {
        let head = TreeHeadTbs {
            config: self.header.config.clone(),
            tree_size: checkpoint.tree_size,
            root: checkpoint.root,
        };
        let message = head.signed_message()?;
        if heads.verify_head(&self.header.config, &message, &checkpoint.signature) {
            Ok(())
        } else {
            let size = checkpoint.tree_size;
            Err(ReviewError::HeadSignature { size })
        }
    }
}

/// Reads an audit file record by record; it may be much larger than memory.
#[derive(Debug)]
pub struct AuditReader<R> {
    input: R,
    path: PathBuf,
    at: u64,
}

impl<R: Read> AuditReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`ReviewError`].
    pub fn open(input: R, path: &Path) -> Result<(Self, AuditHeader), ReviewError> {
        let mut reader = Self {
            input,
            path: path.to_owned(),
            at: 0,
        };
        let other = || ReviewError::OtherKind("audit file");
        let mut head = [0; MAGIC.len() + 4];
        if reader.fill(&mut head)? < head.len() {
            return Err(other());
        }
        let (magic, length) = head.split_at(MAGIC.len());
        let length = u32::from_be_bytes(length.try_into().map_err(|_| other())?);
        if magic != MAGIC || length > HEADER_MAX_BYTES {
            return Err(other());
        }
        let mut body = vec![0; length as usize];
        if reader.fill(&mut body)? < body.len() {
            return Err(other());
        }
        let header = AuditHeader::decode(&body).map_err(|source| reader.malformed(source))?;
        reader.at = (head.len() + body.len()) as u64;
        Ok((reader, header))
    }

    /// Where the next record begins: what lies before it was read whole.
    #[must_use]
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// [`ReviewError::Torn`] if the file ends within it; others of [`ReviewError`].
    pub fn next_record(&mut self) -> Result<Option<AuditRecord>, ReviewError> {
        let mut record = vec![0; RECORD_HEAD_BYTES];
        match self.fill(&mut record)? {
            0 => return Ok(None),
            RECORD_HEAD_BYTES => {}
            _ => return Err(ReviewError::Torn { at: self.at }),
        }
        let length = record.get(1..).and_then(|length| length.try_into().ok());
        let length = u32::from_be_bytes(length.unwrap_or_default());
        if length > MAX_RECORD_LEN {
            return Err(self.malformed(DecodeError::Value("audit record")));
        }
        let mut body = vec![0; length as usize];
        if self.fill(&mut body)? < body.len() {
            return Err(ReviewError::Torn { at: self.at });
        }
        record.extend_from_slice(&body);
        let decoded = AuditRecord::decode(&record).map_err(|source| self.malformed(source))?;
        self.at = self.at.saturating_add(record.len() as u64);
        Ok(Some(decoded))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ReviewError> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let path = self.path.clone();
                    return Err(ReviewError::File { path, source });
                }
            }
        }
        Ok(filled)
    }

    const fn malformed(&self, source: DecodeError) -> ReviewError {
        ReviewError::Malformed {
            at: self.at,
            source,
        }
    }
}
