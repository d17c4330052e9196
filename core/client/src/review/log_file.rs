//! An audit file that grows on disk.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use paigham_transparency::audit_file::{AuditHeader, AuditRecord};
use paigham_transparency::codec::Codec;
use paigham_transparency::verifier::VerifyHead;

use super::audit::{Audit, AuditReader, Audited};
use super::error::ReviewError;

/// An audit file that is open for more. One process at a time has it.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    file: File,
    audit: Audit,
}

impl AuditLog {
    /// Begins a file; one that is there is left alone.
    ///
    /// # Errors
    /// [`ReviewError::File`].
    pub fn create(path: &Path, header: AuditHeader) -> Result<Self, ReviewError> {
        let failed = |source| failed(path, source);
        let bytes = header.to_file()?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(failed)?;
        lock(&file, path)?;
        file.write_all(&bytes).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            audit: Audit::begin(header),
        })
    }

    /// Opens a file, checks all of it, and cuts off a record that was not written to its end.
    ///
    /// # Errors
    /// [`ReviewError`].
    pub fn open(path: &Path, heads: Option<&dyn VerifyHead>) -> Result<Self, ReviewError> {
        let failed = |source| failed(path, source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(failed)?;
        lock(&file, path)?;
        let (mut reader, header) = AuditReader::open(BufReader::new(&file), path)?;
        let mut audit = Audit::begin(header);
        let end = match walk(&mut reader, &mut audit, heads, &mut |_, _| Ok(())) {
            Err(ReviewError::Torn { at }) => at,
            outcome => {
                outcome?;
                reader.at()
            }
        };
        file.set_len(end).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        let path = path.to_owned();
        Ok(Self { path, file, audit })
    }

    /// What was seen so far.
    #[must_use]
    pub const fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Checks records and writes them behind the others, all or none.
    ///
    /// # Errors
    /// [`ReviewError`]; nothing is written then, unless the disk failed in the middle, which
    /// [`AuditLog::open`] mends.
    pub fn append(
        &mut self,
        records: &[AuditRecord],
        heads: Option<&dyn VerifyHead>,
    ) -> Result<(), ReviewError> {
        let mut audit = self.audit.clone();
        let mut bytes = Vec::new();
        for record in records {
            audit.take(record, heads)?;
            bytes.extend_from_slice(&record.encode()?);
        }
        let failed = |source| failed(&self.path, source);
        self.file.write_all(&bytes).map_err(failed)?;
        self.file.sync_data().map_err(failed)?;
        self.audit = audit;
        Ok(())
    }
}

/// Checks a file to its end; `each` hears what every record said, and may object.
///
/// # Errors
/// [`ReviewError`].
pub fn verify_audit(
    path: &Path,
    heads: Option<&dyn VerifyHead>,
    each: &mut dyn FnMut(&Audit, Audited) -> Result<(), ReviewError>,
) -> Result<Audit, ReviewError> {
    let file = File::open(path).map_err(|source| failed(path, source))?;
    let (mut reader, header) = AuditReader::open(BufReader::new(file), path)?;
    let mut audit = Audit::begin(header);
    walk(&mut reader, &mut audit, heads, each)?;
    Ok(audit)
}

/// The header of an audit file alone: which log it is of.
///
/// # Errors
/// [`ReviewError`].
pub fn audit_header(path: &Path) -> Result<AuditHeader, ReviewError> {
    let file = File::open(path).map_err(|source| failed(path, source))?;
    Ok(AuditReader::open(BufReader::new(file), path)?.1)
}

fn walk<R: Read>(
    reader: &mut AuditReader<R>,
    audit: &mut Audit,
    heads: Option<&dyn VerifyHead>,
    each: &mut dyn FnMut(&Audit, Audited) -> Result<(), ReviewError>,
) -> Result<(), ReviewError> {
    while let Some(record) = reader.next_record()? {
        let said = audit.take(&record, heads)?;
        each(audit, said)?;
    }
    Ok(())
}

fn lock(file: &File, path: &Path) -> Result<(), ReviewError> {
    file.try_lock()
        .map_err(|error| failed(path, std::io::Error::from(error)))
}

fn failed(path: &Path, source: std::io::Error) -> ReviewError {
    ReviewError::File {
        path: path.to_owned(),
        source,
    }
}
