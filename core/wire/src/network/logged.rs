//! The network files in the transparency log, under `n:` ‖ network id (`spec/network.md` §2.1).

use super::{NetworkError, VerifiedNetwork};
use crate::log::NETWORK_PREFIX;

/// Why a file is not the next one of the log, or a client does not follow it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoggedError {
    /// NET-01 to NET-09, at the time of logging.
    #[error(transparent)]
    File(#[from] NetworkError),
    /// NET-10: a file of another network than the label's.
    #[error("the file is of another network than its label")]
    OtherNetwork,
    /// NET-11: the number is not one more than that of the file logged before.
    #[error("the network file does not have the next number")]
    NotNext,
    /// NET-12: the log has another file of the number that the client pinned.
    #[error("two network files of number {number}: the release keys signed both")]
    TwoFiles {
        /// The number.
        number: u64,
    },
    /// NET-13: the log has no file that the pinned one is or leads to.
    #[error("the pinned network file is not in its log")]
    NotLogged,
}

/// The network files of a log, each checked as the next of the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedNetworks {
    before: Vec<VerifiedNetwork>,
    newest: VerifiedNetwork,
}

impl VerifiedNetwork {
    /// The network's label in the log: `n:` ‖ id.
    #[must_use]
    pub fn log_label(&self) -> [u8; 18] {
        let mut label = [0; 18];
        label[..2].copy_from_slice(NETWORK_PREFIX);
        label[2..].copy_from_slice(&self.file.network[..]);
        label
    }

    /// Whether two files of one network and one number say different things: a proof that the
    /// release keys signed both. Other signatures under one file are no contradiction.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        self.file.network == other.file.network
            && self.file.sequence == other.file.sequence
            && self.file != other.file
    }

    /// The file that may be logged after this one, by TUF's rules of a root: signed by enough of
    /// the keys of both, one number higher, not expired when it is logged (NET-11).
    ///
    /// # Errors
    /// [`LoggedError`].
    pub fn logged_successor(&self, bytes: &[u8], logged_at: u64) -> Result<Self, LoggedError> {
        let file = self.successor(bytes, logged_at)?;
        if self.file.sequence.checked_add(1) != Some(file.file.sequence) {
            return Err(LoggedError::NotNext);
        }
        Ok(file)
    }
}

impl LoggedNetworks {
    /// The log that a first file begins (NET-10).
    ///
    /// `label` is that under which it lies, `logged_at` the time of its entry in Unix seconds.
    ///
    /// # Errors
    /// [`LoggedError`].
    pub fn first(label: &[u8], bytes: &[u8], logged_at: u64) -> Result<Self, LoggedError> {
        let file = VerifiedNetwork::first(bytes, logged_at)?;
        if file.log_label() != label {
            return Err(LoggedError::OtherNetwork);
        }
        Ok(Self {
            before: Vec::new(),
            newest: file,
        })
    }

    /// Adds the next file ([`VerifiedNetwork::logged_successor`]).
    ///
    /// # Errors
    /// [`LoggedError`]; nothing is added then.
    pub fn push(&mut self, bytes: &[u8], logged_at: u64) -> Result<(), LoggedError> {
        let file = self.newest.logged_successor(bytes, logged_at)?;
        self.before.push(std::mem::replace(&mut self.newest, file));
        Ok(())
    }

    /// What a log has under a label, oldest first, each file with the time of its entry in Unix
    /// seconds. A time may be a lower bound: expiry is checked against it.
    ///
    /// # Errors
    /// [`LoggedError`] of the first file that does not follow.
    pub fn from_files<'a>(
        label: &[u8],
        files: impl IntoIterator<Item = (u64, &'a [u8])>,
    ) -> Result<Self, LoggedError> {
        let mut files = files.into_iter();
        let (time, first) = files.next().ok_or(LoggedError::NotLogged)?;
        let mut logged = Self::first(label, first, time)?;
        for (time, bytes) in files {
            logged.push(bytes, time)?;
        }
        Ok(logged)
    }

    /// The newest file.
    #[must_use]
    pub const fn newest(&self) -> &VerifiedNetwork {
        &self.newest
    }

    /// All files, oldest first.
    pub fn files(&self) -> impl Iterator<Item = &VerifiedNetwork> {
        self.before.iter().chain([&self.newest])
    }

    /// What a client that pinned a file does: `None` if the pinned one is the newest, else its
    /// successor (NET-12, NET-13).
    ///
    /// A pinned file that is newer than the log (a link brought it) stays until the log has one of
    /// its number.
    ///
    /// # Errors
    /// [`LoggedError::TwoFiles`] is a proof against the release keys: keep both files.
    /// [`LoggedError::NotLogged`].
    pub fn follow(
        &self,
        pinned: &VerifiedNetwork,
    ) -> Result<Option<&VerifiedNetwork>, LoggedError> {
        if pinned.file.network != self.newest.file.network {
            return Err(LoggedError::OtherNetwork);
        }
        let number = pinned.file.sequence;
        if self.newest.file.sequence < number {
            return Ok(None);
        }
        let mut files = self.files();
        let logged = files
            .find(|file| file.file.sequence == number)
            .ok_or(LoggedError::NotLogged)?;
        if logged.contradicts(pinned) {
            return Err(LoggedError::TwoFiles { number });
        }
        Ok((self.newest.file.sequence > number).then_some(&self.newest))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, file, key, keys};
    use super::*;

    fn signed(number: u64, release: &[u8], signers: &[u8]) -> Vec<u8> {
        let signers: Vec<_> = signers.iter().map(|seed| key(*seed)).collect();
        let release = keys(release, u32::try_from(release.len()).unwrap());
        file(number, release)
            .sign(&signers.iter().collect::<Vec<_>>())
            .unwrap()
    }

    fn opened(bytes: &[u8]) -> VerifiedNetwork {
        VerifiedNetwork::pinned(bytes).unwrap()
    }

    fn label() -> [u8; 18] {
        opened(&signed(1, &[1], &[1])).log_label()
    }

    /// NET-10: a log of networks begins with a file of its own network that has not expired.
    #[test]
    fn the_first_logged_file_is_of_its_label() {
        let first = signed(5, &[1], &[1]);
        assert!(LoggedNetworks::first(&label(), &first, NOW).is_ok());
        let mut other = label();
        other[17] ^= 1;
        assert_eq!(
            LoggedNetworks::first(&other, &first, NOW),
            Err(LoggedError::OtherNetwork)
        );
        assert_eq!(
            LoggedNetworks::first(&label(), &first, NOW + 1_001),
            Err(LoggedError::File(NetworkError::Expired))
        );
        let none: [(u64, &[u8]); 0] = [];
        assert_eq!(
            LoggedNetworks::from_files(&label(), none),
            Err(LoggedError::NotLogged)
        );
    }

    /// NET-11: old and new keys sign, the number is the next one, and the time is not past.
    #[test]
    fn each_logged_file_is_the_next_root() {
        let mut log = LoggedNetworks::first(&label(), &signed(1, &[1], &[1]), NOW).unwrap();
        let refused = |log: &LoggedNetworks, bytes: &[u8], at| {
            log.newest().logged_successor(bytes, at).unwrap_err()
        };
        let good = signed(2, &[2], &[1, 2]);
        let by_one = |signers: &[u8]| signed(2, &[2], signers);
        assert_eq!(
            refused(&log, &by_one(&[2]), NOW),
            LoggedError::File(NetworkError::NotASuccessor)
        );
        assert_eq!(
            refused(&log, &by_one(&[1]), NOW),
            LoggedError::File(NetworkError::Signatures)
        );
        assert_eq!(
            refused(&log, &signed(3, &[2], &[1, 2]), NOW),
            LoggedError::NotNext
        );
        assert_eq!(
            refused(&log, &signed(1, &[2], &[1, 2]), NOW),
            LoggedError::File(NetworkError::DoesNotFollow)
        );
        assert_eq!(
            refused(&log, &good, NOW + 1_001),
            LoggedError::File(NetworkError::Expired)
        );
        log.push(&good, NOW).unwrap();
        // The keys that signed before the change are worth nothing after it.
        assert_eq!(
            refused(&log, &signed(3, &[1], &[1]), NOW),
            LoggedError::File(NetworkError::NotASuccessor)
        );
        log.push(&signed(3, &[2], &[2]), NOW).unwrap();
        assert_eq!(log.newest().file().sequence, 3);
    }

    /// NET-12, NET-13: a client goes from the file that it pinned to the newest one of the log, and
    /// stops at a file that the log has otherwise or not at all.
    #[test]
    fn a_client_follows_the_log() {
        let files = [
            signed(2, &[1], &[1]),
            signed(3, &[2], &[1, 2]),
            signed(4, &[2], &[2]),
        ];
        let dated = files.iter().map(|bytes| (NOW, &bytes[..]));
        let log = LoggedNetworks::from_files(&label(), dated).unwrap();
        let newest = log.newest();
        assert_eq!(log.follow(&opened(&files[0])), Ok(Some(newest)));
        assert_eq!(log.follow(&opened(&files[1])), Ok(Some(newest)));
        assert_eq!(log.follow(&opened(&files[2])), Ok(None));
        let from_a_link = opened(&signed(5, &[2], &[2]));
        assert_eq!(log.follow(&from_a_link), Ok(None));
        let older_than_the_log = opened(&signed(1, &[1], &[1]));
        assert_eq!(log.follow(&older_than_the_log), Err(LoggedError::NotLogged));
        // The same file under other signatures is the same file.
        let signed_twice = opened(&signed(3, &[2], &[1, 2, 9]));
        assert_eq!(log.follow(&signed_twice), Ok(Some(newest)));
        let other = opened(&signed(3, &[2, 9], &[1, 2, 9]));
        assert!(other.contradicts(&opened(&files[1])));
        assert_eq!(log.follow(&other), Err(LoggedError::TwoFiles { number: 3 }));
    }
}
