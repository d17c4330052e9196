//! Network files of one number that say different things.

use paigham_wire::network::VerifiedNetwork;

use super::check::Proved;
use super::piece::{Piece, What};

/// All network files of a piece of evidence.
pub(super) struct NetworkFiles {
    /// Those that are in it, and the one that it was judged under: anybody can make them.
    shown: Vec<VerifiedNetwork>,
    /// Those that the log holds or the reader believes.
    believed: Vec<VerifiedNetwork>,
}

impl NetworkFiles {
    pub(super) fn of(
        judged_under: &[u8],
        pieces: &[Piece],
        believed: Option<&VerifiedNetwork>,
    ) -> Self {
        let mut files = Self {
            shown: VerifiedNetwork::pinned(judged_under).into_iter().collect(),
            believed: believed.into_iter().cloned().collect(),
        };
        for piece in pieces {
            match piece {
                Piece::File(file) => files.shown.push((**file).clone()),
                Piece::Shown(shown) => {
                    if let What::Networks(logged) = &shown.what {
                        files.believed.extend(logged.files().cloned());
                    }
                }
                Piece::Word => {}
            }
        }
        files
    }

    /// A pair that proves something against the release keys. That the two differ is not enough:
    /// anybody can sign files with keys of their own. Enough release keys of one file that is believed
    /// must have signed both.
    pub(super) fn two_of_one_number(&self) -> Option<Proved> {
        let all: Vec<_> = self.shown.iter().chain(&self.believed).collect();
        let pairs = all.iter().enumerate();
        let mut pairs = pairs.flat_map(|(index, one)| {
            let others = all.iter().skip(index + 1);
            others.map(move |other| (*one, *other))
        });
        let (one, _) = pairs.find(|(one, other)| {
            one.contradicts(other) && self.is_by_one_set_of_keys(one, other)
        })?;
        Some(Proved::TwoNetworkFiles {
            number: one.file().sequence,
        })
    }

    fn is_by_one_set_of_keys(&self, one: &VerifiedNetwork, other: &VerifiedNetwork) -> bool {
        let mut believed = self.believed.iter();
        believed.any(|believed| is_signed_by(one, believed) && is_signed_by(other, believed))
    }
}

/// Whether a file is one that is believed, or enough release keys of that one signed it. Whether it
/// has expired does not matter here.
fn is_signed_by(file: &VerifiedNetwork, believed: &VerifiedNetwork) -> bool {
    file.file() == believed.file()
        || file.file().release == believed.file().release
        || believed.successor(file.bytes(), 0).is_ok()
}
