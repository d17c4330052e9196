//! The file that an auditor keeps and passes on: where the audit began, then every entry, with
//! checkpoints between them. It can be verified offline and taken up where it ends.
//!
//! ```text
//! magic         5   "NKTA1"
//! length        4   of the header
//! header            Configuration ‖ canister id (u8 length) ‖ root key hash (32) ‖ AuditorState
//! record            kind (u8) ‖ length (u32) ‖ body, repeated
//!   kind 1            AuditorUpdate
//!   kind 2            tree size (u64) ‖ root (32) ‖ signature (u16 length) ‖ code evidence (u32 length)
//! ```

use crate::auditor::AuditorState;
use crate::codec::{
    Codec, DecodeError, Reader, TooLong, put_opaque8, put_opaque16, put_opaque32, put_u64,
};
use crate::hash::HashValue;
use crate::structs::{AuditorUpdate, Configuration};

/// What the file begins with.
pub const MAGIC: &[u8; 5] = b"NKTA1";
/// The longest body of a record: an update of 255 leaves with all its elements stays below 2.2 MiB,
/// a checkpoint far below.
pub const MAX_RECORD_LEN: u32 = 4 << 20;

const UPDATE: u8 = 1;
const CHECKPOINT: u8 = 2;

/// Which log is audited, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHeader {
    /// The log's configuration.
    pub config: Configuration,
    /// The canister that keeps it; empty for a log that none keeps.
    pub canister_id: Vec<u8>,
    /// SHA-256 of the root key that heads are certified under; zeros where none is.
    pub root_key_hash: HashValue,
    /// Where the audit began.
    pub start: AuditorState,
}

impl Codec for AuditHeader {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.config.write(out)?;
        put_opaque8(out, &self.canister_id, "canister id")?;
        out.extend_from_slice(&self.root_key_hash);
        self.start.write(out)
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            config: Configuration::read(input)?,
            canister_id: input.opaque8()?,
            root_key_hash: input.array()?,
            start: AuditorState::read(input)?,
        })
    }
}

impl AuditHeader {
    /// The beginning of a file.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn to_file(&self) -> Result<Vec<u8>, TooLong> {
        let mut out = MAGIC.to_vec();
        put_opaque32(&mut out, &self.encode()?, "audit header")?;
        Ok(out)
    }
}

/// A head that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of entries.
    pub tree_size: u64,
    /// Root of the log.
    pub root: HashValue,
    /// The signature over the head.
    pub signature: Vec<u8>,
    /// A certificate over the module hash and the controllers of the canister; may be empty.
    pub code_evidence: Vec<u8>,
}

impl Codec for Checkpoint {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_u64(out, &self.tree_size);
        out.extend_from_slice(&self.root);
        put_opaque16(out, &self.signature, "signature")?;
        put_opaque32(out, &self.code_evidence, "code evidence")
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            tree_size: input.u64()?,
            root: input.array()?,
            signature: input.opaque16()?,
            code_evidence: input.opaque32()?,
        })
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditRecord {
    /// One entry.
    Update(AuditorUpdate),
    /// A signed head at the size reached.
    Checkpoint(Checkpoint),
}

impl Codec for AuditRecord {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let (kind, body) = match self {
            Self::Update(update) => (UPDATE, update.encode()?),
            Self::Checkpoint(checkpoint) => (CHECKPOINT, checkpoint.encode()?),
        };
        if body.len() > MAX_RECORD_LEN as usize {
            return Err(TooLong("audit record"));
        }
        out.push(kind);
        put_opaque32(out, &body, "audit record")
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = input.u8()?;
        let len = input.u32()?;
        if len > MAX_RECORD_LEN {
            return Err(DecodeError::Value("audit record"));
        }
        let body = input.bytes(len as usize)?;
        match kind {
            UPDATE => AuditorUpdate::decode(body).map(Self::Update),
            CHECKPOINT => Checkpoint::decode(body).map(Self::Checkpoint),
            _ => Err(DecodeError::Value("audit record")),
        }
    }
}

/// Reads the header of a file and leaves the records.
///
/// # Errors
/// [`DecodeError`].
pub fn read_header(input: &mut Reader<'_>) -> Result<AuditHeader, DecodeError> {
    if input.bytes(MAGIC.len())? != MAGIC {
        return Err(DecodeError::Value("magic"));
    }
    AuditHeader::decode(&input.opaque32()?)
}
