//! Network files of one number that say different things.

use paigham_wire::network::VerifiedNetwork;

use super::check::Proved;
use super::piece::{Piece, What};

/// All network files of a piece of evidence.
pub(super) struct NetworkFiles(Vec<VerifiedNetwork>);

impl NetworkFiles {
    /// The one that it was judged under, those that are in it, and those that the log showed.
    pub(super) fn of(judged_under: &[u8], pieces: &[Piece]) -> Self {
        let mut files: Vec<_> = VerifiedNetwork::pinned(judged_under).into_iter().collect();
        for piece in pieces {
            match piece {
                Piece::File(file) => files.push((**file).clone()),
                Piece::Shown(shown) => {
                    if let What::Networks(logged) = &shown.what {
                        files.extend(logged.files().cloned());
                    }
                }
                Piece::Word => {}
            }
        }
        Self(files)
    }

    /// Pairs that prove something against the release keys. That the two differ is not enough:
    /// anybody can sign a file with keys of their own. Either both name the same release keys, or
    /// both are signed by the keys of a file before them.
    pub(super) fn two_of_one_number(&self) -> Option<Proved> {
        let pairs = self.0.iter().enumerate();
        let mut pairs = pairs.flat_map(|(index, one)| {
            let others = self.0.iter().skip(index + 1);
            others.map(move |other| (one, other))
        });
        let (one, _) =
            pairs.find(|(one, other)| one.contradicts(other) && self.of_same_keys(one, other))?;
        Some(Proved::TwoNetworkFiles {
            number: one.file().sequence,
        })
    }

    fn of_same_keys(&self, one: &VerifiedNetwork, other: &VerifiedNetwork) -> bool {
        let signed_both = |before: &VerifiedNetwork| {
            // Whether a file has expired does not matter here.
            [one, other]
                .iter()
                .all(|file| before.successor(file.bytes(), 0).is_ok())
        };
        one.file().release == other.file().release || self.0.iter().any(signed_both)
    }
}
