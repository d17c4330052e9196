//! The file that holds the store key, wrapped by the passphrase.
//!
//! ```text
//! offset  bytes  field
//! 0       8      "PSTORE\0" and version 1
//! 8       4      argon2id memory in KiB, big-endian
//! 12      4      passes
//! 16      4      lanes
//! 20      16     salt
//! 36      24     nonce
//! 60      48     XChaCha20-Poly1305(argon2id(passphrase), nonce, AAD = bytes 0..36, store key)
//! 108     16     BLAKE3 of bytes 0..108, shortened: tells a damaged file from a wrong passphrase
//! ```

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::error::OpenError;

const MAGIC: &[u8; 8] = b"PSTORE\0\x01";
const HEADER_BYTES: usize = 36;
const SALT_AT: usize = 20;
const NONCE_AT: usize = 36;
const SEALED_AT: usize = 60;
const CHECK_AT: usize = 108;
const FILE_BYTES: usize = 124;
/// Most memory in KiB that a key file may ask for: a damaged one must not exhaust the machine.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
const MAX_PASSES: u32 = 16;

/// What deriving the passphrase's key costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KdfCost {
    memory_kib: u32,
    passes: u32,
}

impl KdfCost {
    /// For people: 64 MiB, 3 passes (about a quarter of a second).
    pub const STRONG: Self = Self {
        memory_kib: 64 * 1024,
        passes: 3,
    };
    /// For tests: worth nothing against a thief.
    #[cfg(feature = "testkit")]
    pub const WEAK_FOR_TESTS: Self = Self {
        memory_kib: 64,
        passes: 1,
    };
}

type StoreKey = Zeroizing<[u8; 32]>;

/// Makes a fresh store key and writes its file in one step.
pub(crate) fn create(path: &Path, passphrase: &str, cost: KdfCost) -> Result<StoreKey, OpenError> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(&mut key[..]).map_err(|_| OpenError::Derivation)?;
    write(path, passphrase, cost, &key)?;
    Ok(key)
}

/// Wraps a store key by a passphrase and puts the file in place of the one before, if any.
pub(crate) fn write(
    path: &Path,
    passphrase: &str,
    cost: KdfCost,
    key: &StoreKey,
) -> Result<(), OpenError> {
    let mut bytes = Vec::with_capacity(FILE_BYTES);
    bytes.extend_from_slice(MAGIC);
    for number in [cost.memory_kib, cost.passes, 1] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    let mut random = [0; 40];
    getrandom::fill(&mut random).map_err(|_| OpenError::Derivation)?;
    bytes.extend_from_slice(&random[..16]);
    let wrapping = derive(passphrase, cost, &random[..16])?;
    let nonce: [u8; 24] = random[16..].try_into().map_err(|_| OpenError::Derivation)?;
    let sealed = XChaCha20Poly1305::new(&(*wrapping).into())
        .encrypt(
            &XNonce::from(nonce),
            Payload {
                msg: &key[..],
                aad: &bytes,
            },
        )
        .map_err(|_| OpenError::Derivation)?;
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&sealed);
    bytes.extend_from_slice(&check(&bytes));
    replace(path, &bytes).map_err(OpenError::Disk)
}

/// Unwraps the store key.
pub(crate) fn open(path: &Path, passphrase: &str) -> Result<StoreKey, OpenError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(OpenError::Missing);
        }
        Err(error) => return Err(OpenError::Disk(error)),
    };
    let bytes: &[u8; FILE_BYTES] = bytes
        .as_slice()
        .try_into()
        .map_err(|_| OpenError::KeyFile)?;
    let cost = cost_of(bytes)?;
    let wrapping = derive(passphrase, cost, &bytes[SALT_AT..NONCE_AT])?;
    let nonce: [u8; 24] = bytes[NONCE_AT..SEALED_AT]
        .try_into()
        .map_err(|_| OpenError::KeyFile)?;
    let payload = Payload {
        msg: &bytes[SEALED_AT..CHECK_AT],
        aad: &bytes[..HEADER_BYTES],
    };
    let key = XChaCha20Poly1305::new(&(*wrapping).into())
        .decrypt(&XNonce::from(nonce), payload)
        .map(Zeroizing::new)
        .map_err(|_| OpenError::WrongPassphrase)?;
    let key = key.as_slice().try_into().map_err(|_| OpenError::KeyFile)?;
    Ok(Zeroizing::new(key))
}

/// Checks that the file is whole and of this version before any work is spent on it.
fn cost_of(bytes: &[u8; FILE_BYTES]) -> Result<KdfCost, OpenError> {
    let number =
        |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let whole = &bytes[..8] == MAGIC && bytes[CHECK_AT..] == check(&bytes[..CHECK_AT]);
    let cost = KdfCost {
        memory_kib: number(8),
        passes: number(12),
    };
    let sane = cost.memory_kib <= MAX_MEMORY_KIB && cost.passes <= MAX_PASSES && number(16) == 1;
    if whole && sane {
        Ok(cost)
    } else {
        Err(OpenError::KeyFile)
    }
}

fn check(bytes: &[u8]) -> [u8; FILE_BYTES - CHECK_AT] {
    let hash = blake3::hash(bytes);
    std::array::from_fn(|at| hash.as_bytes()[at])
}

fn derive(passphrase: &str, cost: KdfCost, salt: &[u8]) -> Result<StoreKey, OpenError> {
    let params =
        Params::new(cost.memory_kib, cost.passes, 1, Some(32)).map_err(|_| OpenError::KeyFile)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, &mut key[..])
        .map_err(|_| OpenError::Derivation)?;
    Ok(key)
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: KdfCost = KdfCost {
        memory_kib: 64,
        passes: 1,
    };

    fn put(folder: &tempfile::TempDir, mut bytes: Vec<u8>) -> std::path::PathBuf {
        bytes.truncate(CHECK_AT);
        bytes.extend_from_slice(&check(&bytes));
        let path = folder.path().join("key");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The layout in this module's table: each field stands at its offset.
    #[test]
    fn fields_stand_where_the_table_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(
            &path,
            "p",
            KdfCost {
                memory_kib: 72,
                passes: 2,
            },
        )
        .unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), FILE_BYTES);
        assert_eq!(
            &bytes[..SALT_AT],
            b"PSTORE\0\x01\0\0\0\x48\0\0\0\x02\0\0\0\x01"
        );
        assert!(!folder.path().join("key.new").exists());
    }

    /// Whoever writes to the folder makes a key file, with a right check, that asks for four
    /// terabytes, for no memory, for a million passes or for many lanes: it is refused before any
    /// of that is spent.
    #[test]
    fn an_absurd_cost_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, "p", CHEAP).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for (at, number) in [
            (8, u32::MAX),
            (8, 0),
            (12, 1_000_000),
            (12, 0),
            (16, 64),
            (16, 0),
        ] {
            let mut bytes = whole.clone();
            bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
            let path = put(&folder, bytes);
            assert!(
                matches!(open(&path, "p"), Err(OpenError::KeyFile)),
                "{at}: {number}"
            );
        }
        assert!(open(&put(&folder, whole), "p").is_ok());
    }

    /// A thief lowers the cost in the file and mends its check: the key no longer opens, since
    /// the cost is bound to it.
    #[test]
    fn a_lowered_cost_does_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(
            &path,
            "p",
            KdfCost {
                memory_kib: 128,
                passes: 2,
            },
        )
        .unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[15] = 1;
        assert!(matches!(
            open(&put(&folder, bytes), "p"),
            Err(OpenError::WrongPassphrase)
        ));
    }

    /// Two stores with one passphrase share neither salt nor wrapped key.
    #[test]
    fn each_file_is_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let files = [(); 2].map(|()| {
            create(&path, "p", CHEAP).unwrap();
            std::fs::read(&path).unwrap()
        });
        assert_ne!(files[0][SALT_AT..NONCE_AT], files[1][SALT_AT..NONCE_AT]);
        assert_ne!(files[0][SEALED_AT..CHECK_AT], files[1][SEALED_AT..CHECK_AT]);
    }
}
