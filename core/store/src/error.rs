//! What goes wrong, by who must act.

use std::io;

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The passphrase is not that of the store.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// Another process, or another handle of this one, has it.
    #[error("the home is in use by another process")]
    InUse,
    /// There is a store already.
    #[error("there is an account in this home already")]
    Exists,
    /// There is none.
    #[error("there is no account in this home yet")]
    Missing,
    /// The key file is damaged or of a version of the future.
    #[error("the home's key file is damaged or of another version")]
    KeyFile,
    /// The disk.
    #[error("the home's folder: {0}")]
    Disk(#[source] io::Error),
    /// The database does not open.
    #[error("the home's database: {0}")]
    Database(String),
    /// No randomness, or not enough memory for the passphrase's key.
    #[error("the store's key could not be derived")]
    Derivation,
}

/// Why a read or a write failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A record is not what was stored under its name.
    #[error("a record of the home is damaged or was moved")]
    Corrupt,
    /// A record does not encode or decode; a bug, or a store of another version.
    #[error("a record of the home has another format")]
    Format,
    /// Something else was committed since this write-set began.
    #[error("the home was changed meanwhile")]
    Conflict,
    /// The disk or the database.
    #[error("the home's database: {0}")]
    Database(String),
    /// A commit failed on the disk earlier: what is there now only opening the store again tells.
    #[error("the home's database failed earlier; open the home again")]
    Stopped,
    /// No randomness.
    #[error("no randomness to be had")]
    Randomness,
}
