//! What an auditor signs, and that it never signs two roots for one size
//! (`spec/transparency.md` §8).
//!
//! The key lies in a file: the 32 bytes of its seed, in hexadecimal, on one line. Beside it, in
//! KEY`.signed`, stands everything that was signed with it, one statement a line:
//! `SHA-256 of the configuration, size, timestamp, root, signature`, hexadecimal but for the numbers.
//! A line is on the disk before its signature is given to anybody; one without its end was given
//! to nobody and is taken away.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer, SigningKey};
use paigham_transparency::auditor::AuditorState;
use paigham_transparency::codec::Codec;
use paigham_transparency::hash::HashValue;
use paigham_transparency::structs::{AuditorTreeHead, Configuration};
use paigham_wire::hash::sha256;
use zeroize::Zeroizing;

use super::audit::{Audit, Audited};
use super::error::ReviewError;
use crate::account::random;

/// A key file is one line; more is not read.
const KEY_FILE_MAX_BYTES: u64 = 1_024;
/// Statements of many years; more is not read.
const SIGNED_MAX_BYTES: u64 = 1 << 30;

/// An auditor's key together with all that it has signed. One process at a time has it.
pub struct Auditor {
    key: SigningKey,
    path: PathBuf,
    file: File,
    signed: Vec<Statement>,
}

impl std::fmt::Debug for Auditor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auditor")
            .field("key", &"***")
            .field("signed", &self.signed.len())
            .finish_non_exhaustive()
    }
}

/// One signed statement.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    log: HashValue,
    size: u64,
    timestamp: u64,
    root: HashValue,
    signature: [u8; 64],
}

impl Auditor {
    /// Makes a key file; one that is there is left alone.
    ///
    /// # Errors
    /// [`ReviewError::File`].
    pub fn create(path: &Path) -> Result<Self, ReviewError> {
        let seed = Zeroizing::new(random::<32>()?);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let line = Zeroizing::new(format!("{}\n", hex::encode(seed.as_slice())));
        let written = options.open(path).and_then(|mut file| {
            file.write_all(line.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|source| failed(path, source))?;
        Self::open(path)
    }

    /// Opens a key file and reads what was signed with it.
    ///
    /// # Errors
    /// [`ReviewError::File`], [`ReviewError::AuditorFile`].
    pub fn open(path: &Path) -> Result<Self, ReviewError> {
        let seed = read_key(path)?;
        let mut signed_path = path.as_os_str().to_owned();
        signed_path.push(".signed");
        let path = PathBuf::from(signed_path);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let failed = |source| failed(&path, source);
        let mut file = options.open(&path).map_err(failed)?;
        file.try_lock()
            .map_err(|error| failed(io::Error::from(error)))?;
        let mut text = String::new();
        (&mut file)
            .take(SIGNED_MAX_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(failed)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let unusable = || ReviewError::AuditorFile("list of statements");
        if text.len() as u64 > SIGNED_MAX_BYTES {
            return Err(unusable());
        }
        let lines = text.get(..whole).unwrap_or_default().lines();
        let signed: Option<Vec<_>> = lines.map(Statement::parse).collect();
        let signed = signed.ok_or_else(unusable)?;
        file.set_len(whole as u64).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Self {
            key: SigningKey::from_bytes(&seed),
            path,
            file,
            signed,
        })
    }

    /// The public key that a network file names.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Objects where an entry leads to another root than was signed for its size: to be asked for
    /// each entry of the file that is to be signed.
    ///
    /// # Errors
    /// [`ReviewError::SignedOtherwise`].
    pub fn compare(&self, audit: &Audit, said: Audited) -> Result<(), ReviewError> {
        let Audited::Entry { position, root, .. } = said else {
            return Ok(());
        };
        let size = position.saturating_add(1);
        let log = log_of(&audit.header().config)?;
        let other =
            |signed: &&Statement| signed.log == log && signed.size == size && signed.root != root;
        match self.signed.iter().find(other) {
            Some(_) => Err(ReviewError::SignedOtherwise { size }),
            None => Ok(()),
        }
    }

    /// Signs the newest entry of an audit whose entries were all compared. What was signed before
    /// is given again.
    ///
    /// # Errors
    /// [`ReviewError::Empty`], [`ReviewError::BehindSigned`], [`ReviewError::SignedOtherwise`],
    /// [`ReviewError::File`].
    pub fn sign(&mut self, audit: &Audit) -> Result<AuditorTreeHead, ReviewError> {
        let config = &audit.header().config;
        let statement = match self.signed_before(config, audit.state())? {
            Some(known) => known,
            None => self.sign_and_keep(config, audit.state())?,
        };
        Ok(AuditorTreeHead {
            timestamp: statement.timestamp,
            tree_size: statement.size,
            signature: statement.signature.to_vec(),
        })
    }

    fn signed_before(
        &self,
        config: &Configuration,
        state: &AuditorState,
    ) -> Result<Option<Statement>, ReviewError> {
        let log = log_of(config)?;
        let (entries, root) = (state.size(), state.root().ok_or(ReviewError::Empty)?);
        let mut known = None;
        for signed in self.signed.iter().filter(|signed| signed.log == log) {
            if signed.size > entries {
                let signed = signed.size;
                return Err(ReviewError::BehindSigned { signed, entries });
            }
            if signed.size == entries {
                if signed.root != root {
                    return Err(ReviewError::SignedOtherwise { size: entries });
                }
                known = Some(signed.clone());
            }
        }
        Ok(known)
    }

    fn sign_and_keep(
        &mut self,
        config: &Configuration,
        state: &AuditorState,
    ) -> Result<Statement, ReviewError> {
        let said = state.to_be_signed(config).ok_or(ReviewError::Empty)?;
        let statement = Statement {
            log: log_of(config)?,
            size: said.tree_size,
            timestamp: said.timestamp,
            root: said.root,
            signature: self.key.sign(&said.encode()?).to_bytes(),
        };
        let line = statement.line();
        let kept = self
            .file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_all());
        kept.map_err(|source| failed(&self.path, source))?;
        self.signed.push(statement.clone());
        Ok(statement)
    }
}

impl Statement {
    fn line(&self) -> String {
        format!(
            "{} {} {} {} {}\n",
            hex::encode(self.log),
            self.size,
            self.timestamp,
            hex::encode(self.root),
            hex::encode(self.signature)
        )
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let statement = Self {
            log: unhex(words.next()?)?,
            size: words.next()?.parse().ok()?,
            timestamp: words.next()?.parse().ok()?,
            root: unhex(words.next()?)?,
            signature: unhex(words.next()?)?,
        };
        words.next().is_none().then_some(statement)
    }
}

/// A log is known by its configuration: it holds the key of the heads.
fn log_of(config: &Configuration) -> Result<HashValue, ReviewError> {
    Ok(sha256(&config.encode()?))
}

fn read_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, ReviewError> {
    let mut text = Zeroizing::new(String::new());
    File::open(path)
        .and_then(|file| file.take(KEY_FILE_MAX_BYTES).read_to_string(&mut text))
        .map_err(|source| failed(path, source))?;
    let seed = unhex::<32>(text.trim()).ok_or(ReviewError::AuditorFile("key"))?;
    Ok(Zeroizing::new(seed))
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

fn failed(path: &Path, source: io::Error) -> ReviewError {
    ReviewError::File {
        path: path.to_owned(),
        source,
    }
}
