//! Where a subnet's state outlives its process: a checkpoint and a log of rounds.
//!
//! A record is on disk before the round that it describes is certified. A checkpoint replaces the
//! one before and empties the log, in one step.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes before each record: length u32, BLAKE3 of the record (16), and BLAKE3 of these 20 bytes (4)
/// so that a damaged length is not taken for a record that was being written.
const RECORD_HEADER_BYTES: usize = 24;
/// Largest record in bytes: a round holds 4 MiB of arguments, or one call.
const RECORD_MAX_BYTES: usize = 256 * 1024 * 1024;
/// Magic of a checkpoint file: name, layout version.
const CHECKPOINT_MAGIC: &[u8; 8] = b"PSUBNET\x02";
const CHECKPOINT_NAME: &[u8] = b"PSUBNET";

/// What a journal holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The newest checkpoint.
    pub checkpoint: Option<Vec<u8>>,
    /// Records since.
    pub records: Vec<Vec<u8>>,
}

/// Durable memory of a subnet. Every method is durable when it returns, but for `append`.
pub trait Journal: Send + std::fmt::Debug {
    /// Everything stored; a record that was being written when the process died is dropped.
    ///
    /// # Errors
    /// Of the disk, and `InvalidData` for anything that is damaged otherwise.
    fn load(&mut self) -> io::Result<Stored>;
    /// Adds a record; durable after the next [`Journal::sync`].
    ///
    /// # Errors
    /// Of the disk.
    fn append(&mut self, record: &[u8]) -> io::Result<()>;
    /// Makes all records durable.
    ///
    /// # Errors
    /// Of the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Replaces checkpoint and log.
    ///
    /// # Errors
    /// Of the disk; the old ones are there then.
    fn checkpoint(&mut self, state: &[u8]) -> io::Result<()>;
}

/// A journal in a folder: `checkpoint-N` and `log-N`.
#[derive(Debug)]
pub struct FileJournal {
    folder: PathBuf,
    number: u64,
    log: Option<File>,
    /// Held while the journal is open; a second process is refused.
    _lock: File,
    #[cfg(feature = "testkit")]
    crash: Option<crate::testkit::FileCrash>,
}

impl FileJournal {
    /// Opens the folder, making it if need be.
    ///
    /// # Errors
    /// Of the disk; `ResourceBusy` if another process has it.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another process runs a subnet on this folder",
            ),
            std::fs::TryLockError::Error(error) => error,
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            number: 0,
            log: None,
            _lock: lock,
            #[cfg(feature = "testkit")]
            crash: None,
        })
    }

    /// Dies before one of its operations on files.
    #[cfg(feature = "testkit")]
    pub fn crashes(&mut self, crash: crate::testkit::FileCrash) {
        self.crash = Some(crash);
    }

    /// Stands before each operation on a file, where a test may let the process die.
    #[cfg(feature = "testkit")]
    fn step(&self) -> io::Result<()> {
        self.crash.as_ref().map_or(Ok(()), |crash| crash.step())
    }

    /// Stands before each operation on a file, where a test may let the process die.
    #[cfg(not(feature = "testkit"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "for tests")]
    const fn step(&self) -> io::Result<()> {
        Ok(())
    }

    /// Whether nothing was ever stored in the folder.
    pub(crate) fn is_new(&self) -> io::Result<bool> {
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("checkpoint-") || name.starts_with("log-") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn path(&self, kind: &str, number: u64) -> PathBuf {
        self.folder.join(format!("{kind}-{number}"))
    }

    fn newest_checkpoint(&self) -> io::Result<u64> {
        let mut newest = 0;
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_prefix("checkpoint-"));
            newest = number
                .and_then(|number| number.parse().ok())
                .map_or(newest, |n| newest.max(n));
        }
        Ok(newest)
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn open_log(&mut self) -> io::Result<&mut File> {
        if self.log.is_none() {
            let path = self.path("log", self.number);
            let log = private().read(true).append(true).open(path)?;
            self.sync_folder()?;
            self.log = Some(log);
        }
        self.log
            .as_mut()
            .ok_or_else(|| io::Error::other("the log was opened just now"))
    }

    fn remove_older(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| {
                let number = name
                    .strip_prefix("checkpoint-")
                    .or_else(|| name.strip_prefix("log-"))?;
                number.parse::<u64>().ok()
            });
            if number.is_some_and(|number| number < self.number) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Files hold the canisters' memory, keys of theirs included: for this user alone.
fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600);
    options
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the subnet's {what} is damaged"),
    )
}

impl Journal for FileJournal {
    fn load(&mut self) -> io::Result<Stored> {
        self.number = self.newest_checkpoint()?;
        let checkpoint = match self.number {
            0 => None,
            number => Some(read_checkpoint(&self.path("checkpoint", number))?),
        };
        let log = self.open_log()?;
        let mut bytes = Vec::new();
        log.seek(SeekFrom::Start(0))?;
        log.read_to_end(&mut bytes)?;
        let (records, whole) = split_records(&bytes)?;
        log.set_len(whole as u64)?;
        log.sync_all()?;
        self.remove_older()?;
        Ok(Stored {
            checkpoint,
            records,
        })
    }

    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let framed = frame(record)?;
        self.step()?;
        self.open_log()?.write_all(&framed)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.step()?;
        self.open_log()?.sync_data()
    }

    fn checkpoint(&mut self, state: &[u8]) -> io::Result<()> {
        let number = self.number + 1;
        let temporary = self.folder.join("checkpoint.new");
        self.step()?;
        let mut file = private().write(true).truncate(true).open(&temporary)?;
        self.step()?;
        file.write_all(CHECKPOINT_MAGIC)?;
        file.write_all(blake3::hash(state).as_bytes())?;
        self.step()?;
        file.write_all(state)?;
        self.step()?;
        file.sync_all()?;
        self.step()?;
        std::fs::rename(&temporary, self.path("checkpoint", number))?;
        self.step()?;
        self.sync_folder()?;
        self.number = number;
        self.log = None;
        self.step()?;
        self.open_log()?;
        self.step()?;
        self.remove_older()
    }
}

fn read_checkpoint(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = std::fs::read(path)?;
    let (magic, rest) = bytes
        .split_first_chunk::<8>()
        .ok_or_else(|| damaged("checkpoint"))?;
    let (hash, state) = rest
        .split_first_chunk::<32>()
        .ok_or_else(|| damaged("checkpoint"))?;
    if magic != CHECKPOINT_MAGIC && magic.starts_with(CHECKPOINT_NAME) {
        let text = format!(
            "a checkpoint of layout {}; this program reads layout {}",
            magic[7], CHECKPOINT_MAGIC[7]
        );
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    if magic != CHECKPOINT_MAGIC || blake3::hash(state).as_bytes() != hash {
        return Err(damaged("checkpoint"));
    }
    Ok(state.to_vec())
}

fn frame(record: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(record.len())
        .ok()
        .filter(|_| record.len() <= RECORD_MAX_BYTES)
        .ok_or_else(|| io::Error::other("a round beyond the journal's limit"))?;
    let mut framed = Vec::with_capacity(RECORD_HEADER_BYTES + record.len());
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&blake3::hash(record).as_bytes()[..16]);
    let check = blake3::hash(&framed);
    framed.extend_from_slice(&check.as_bytes()[..4]);
    framed.extend_from_slice(record);
    Ok(framed)
}

/// The records, and how many bytes they take. What was being written last may be torn: cut off, or
/// (after a power failure) room that was never filled. Everything else is damage.
fn split_records(bytes: &[u8]) -> io::Result<(Vec<Vec<u8>>, usize)> {
    let mut records = Vec::new();
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + RECORD_HEADER_BYTES) {
        if blake3::hash(&header[..20]).as_bytes()[..4] != header[20..] {
            if bytes[at..].iter().all(|byte| *byte == 0) {
                break;
            }
            return Err(damaged("log"));
        }
        let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let start = at + RECORD_HEADER_BYTES;
        let Some(record) = bytes.get(start..start + length) else {
            break;
        };
        if blake3::hash(record).as_bytes()[..16] != header[4..20] {
            if start + length == bytes.len() {
                break;
            }
            return Err(damaged("log"));
        }
        records.push(record.to_vec());
        at = start + length;
    }
    Ok((records, at))
}

/// A journal in memory: for benchmarks and tests; nothing outlives the process.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    stored: Stored,
}

impl Journal for MemoryJournal {
    fn load(&mut self) -> io::Result<Stored> {
        Ok(self.stored.clone())
    }

    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        self.stored.records.push(record.to_vec());
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn checkpoint(&mut self, state: &[u8]) -> io::Result<()> {
        self.stored = Stored {
            checkpoint: Some(state.to_vec()),
            records: Vec::new(),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit;

    fn conformance(journal: &mut dyn Journal) {
        assert_eq!(journal.load().unwrap(), Stored::default());
        journal.append(b"one").unwrap();
        journal.append(b"").unwrap();
        journal.sync().unwrap();
        let records = vec![b"one".to_vec(), Vec::new()];
        assert_eq!(
            journal.load().unwrap(),
            Stored {
                checkpoint: None,
                records
            }
        );
        journal.checkpoint(b"state").unwrap();
        journal.append(b"two").unwrap();
        journal.sync().unwrap();
        let expected = Stored {
            checkpoint: Some(b"state".to_vec()),
            records: vec![b"two".to_vec()],
        };
        assert_eq!(journal.load().unwrap(), expected);
    }

    /// Every journal keeps what was synced and forgets what a checkpoint replaced.
    #[test]
    fn journals_conform() {
        conformance(&mut MemoryJournal::default());
        conformance(&mut testkit::FaultJournal::default());
        let folder = tempfile::tempdir().unwrap();
        conformance(&mut FileJournal::open(folder.path()).unwrap());
    }

    /// The process dies while it writes a record, at any byte: the records before are there.
    #[test]
    fn a_torn_record_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = FileJournal::open(folder.path()).unwrap();
        journal.load().unwrap();
        journal.append(b"first").unwrap();
        journal.append(b"second").unwrap();
        journal.sync().unwrap();
        drop(journal);
        let log = folder.path().join("log-0");
        let whole = std::fs::read(&log).unwrap();
        let first = RECORD_HEADER_BYTES + 5;
        for length in first..whole.len() {
            std::fs::write(&log, &whole[..length]).unwrap();
            let mut journal = FileJournal::open(folder.path()).unwrap();
            assert_eq!(
                journal.load().unwrap().records,
                vec![b"first".to_vec()],
                "{length}"
            );
        }
    }

    /// A record damaged in the middle, or a damaged checkpoint, is an error and not skipped.
    #[test]
    fn damage_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = FileJournal::open(folder.path()).unwrap();
        journal.load().unwrap();
        journal.append(b"first").unwrap();
        journal.append(b"second").unwrap();
        drop(journal);
        let log = folder.path().join("log-0");
        let mut bytes = std::fs::read(&log).unwrap();
        bytes[RECORD_HEADER_BYTES] ^= 1;
        std::fs::write(&log, &bytes).unwrap();
        let error = FileJournal::open(folder.path())
            .unwrap()
            .load()
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    /// A power failure leaves room at the end of the log that was never filled: what is before it is
    /// there, and the log goes on from there.
    #[test]
    fn room_that_was_never_filled_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = FileJournal::open(folder.path()).unwrap();
        journal.load().unwrap();
        journal.append(b"first").unwrap();
        drop(journal);
        let log = folder.path().join("log-0");
        let whole = std::fs::read(&log).unwrap();
        for room in [1, RECORD_HEADER_BYTES - 1, RECORD_HEADER_BYTES, 4096] {
            std::fs::write(&log, [&whole[..], &vec![0; room]].concat()).unwrap();
            let mut journal = FileJournal::open(folder.path()).unwrap();
            assert_eq!(journal.load().unwrap().records, vec![b"first".to_vec()]);
            journal.append(b"second").unwrap();
            journal.sync().unwrap();
            let records = vec![b"first".to_vec(), b"second".to_vec()];
            assert_eq!(journal.load().unwrap().records, records, "{room}");
        }
    }

    /// Any byte of a record or its header that changed on the disk, the length included, is
    /// reported: the records behind it were acknowledged and must not be dropped as torn.
    #[test]
    fn no_changed_byte_drops_acknowledged_records() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = FileJournal::open(folder.path()).unwrap();
        journal.load().unwrap();
        for record in [b"first", b"later", b"newer"] {
            journal.append(record).unwrap();
        }
        drop(journal);
        let log = folder.path().join("log-0");
        let whole = std::fs::read(&log).unwrap();
        for at in 0..2 * (RECORD_HEADER_BYTES + 5) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            std::fs::write(&log, &bytes).unwrap();
            let error = FileJournal::open(folder.path())
                .unwrap()
                .load()
                .unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{at}");
            assert_eq!(std::fs::read(&log).unwrap(), bytes, "the evidence stays");
        }
    }

    /// A checkpoint that was being written when the process died leaves the one before; a
    /// checkpoint that was cut or changed later is an error.
    #[test]
    fn a_torn_checkpoint_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = FileJournal::open(folder.path()).unwrap();
        journal.load().unwrap();
        journal.checkpoint(b"state").unwrap();
        drop(journal);
        std::fs::write(folder.path().join("checkpoint.new"), b"PSUB").unwrap();
        let mut journal = FileJournal::open(folder.path()).unwrap();
        assert_eq!(journal.load().unwrap().checkpoint, Some(b"state".to_vec()));
        drop(journal);
        let path = folder.path().join("checkpoint-1");
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let loaded = FileJournal::open(folder.path()).unwrap().load();
            assert!(loaded.is_err(), "{length}");
        }
    }

    /// The process dies before any one of its operations on files, while it writes records and a
    /// checkpoint: what was acknowledged is there, in order, and nothing but that and what was being
    /// written.
    #[test]
    fn a_death_at_any_operation_keeps_what_was_acknowledged() {
        let mut operation = 0;
        loop {
            let folder = tempfile::tempdir().unwrap();
            let crash = testkit::FileCrash::before(operation);
            let mut journal = FileJournal::open(folder.path()).unwrap();
            journal.load().unwrap();
            journal.crashes(crash.clone());
            // The state is the list of all that was written; a checkpoint takes it whole.
            let (mut acknowledged, mut tried) = (Vec::new(), Vec::new());
            for number in 0..6u8 {
                tried.push(number);
                let done = journal.append(&[number]).and_then(|()| journal.sync());
                let done = match number % 2 {
                    0 => done,
                    _ => done.and_then(|()| journal.checkpoint(&tried)),
                };
                if done.is_err() {
                    break;
                }
                acknowledged.clone_from(&tried);
            }
            drop(journal);
            let stored = FileJournal::open(folder.path()).unwrap().load().unwrap();
            let found = [
                stored.checkpoint.unwrap_or_default(),
                stored.records.concat(),
            ]
            .concat();
            assert!(
                found == acknowledged || found == tried,
                "operation {operation}: {found:?}, acknowledged {acknowledged:?}"
            );
            if !crash.came() {
                assert!(operation > 20, "all operations were passed");
                return;
            }
            operation += 1;
        }
    }

    /// Log and checkpoint hold keys of the canisters: nobody else on the machine reads them.
    #[test]
    fn files_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mut journal = FileJournal::open(folder.path()).unwrap();
        journal.load().unwrap();
        journal.checkpoint(b"state").unwrap();
        for name in ["checkpoint-1", "log-1"] {
            let metadata = std::fs::metadata(folder.path().join(name)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }

    /// A second process on the same folder is refused.
    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let _first = FileJournal::open(folder.path()).unwrap();
        let error = FileJournal::open(folder.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    }
}
