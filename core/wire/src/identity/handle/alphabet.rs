//! The letters that a handle may have, and which of them count as one (`spec/handles.md` §2).
//!
//! # Why a table of our own
//! A handle's label in the log is its skeleton, for good. Tables that grow with each version of
//! Unicode would give one handle two labels in two programs; these are frozen with the format. They
//! make at least those letters one that UTS 39 makes one: tests hold them against its data.

/// Letters and digits of handles in Latin script; digits serve both scripts.
pub(super) const LATIN: &str = "abcdefghijklmnopqrstuvwxyz";
/// Digits of both scripts.
pub(super) const DIGITS: &str = "0123456789";
/// What joins words.
pub(super) const JOINER: char = '_';

/// Letters of handles in Arabic script: those of Arabic, then what Urdu, Punjabi, Saraiki, Sindhi,
/// Pashto and Balochi add. No marks, no tatweel, no presentation forms.
pub(super) const ARABIC: &str = concat!(
    "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىي",
    "ٹپچڈڑژکگںھۀہۂۃیےۓ",
    "ٺٻټٽٿڀځڃڄڅڇډڊڌڍڏړږڙښڦڪګڱڳڻڼۍېݙݨ",
);

/// Letters that count as another one, or as two, and why. Everything else counts as itself.
pub(super) const FOLDS: &[(&str, &str, Reason)] = &[
    ("m", "rn", Reason::Uts39),
    ("0هھہ", "o", Reason::Uts39),
    ("1ا", "l", Reason::Uts39),
    ("كڪ", "ک", Reason::Uts39),
    ("ىيےں", "ی", Reason::Uts39),
    ("ڻ", "ٹ", Reason::Uts39),
    ("ث", "پ", Reason::Uts39),
    ("ٺ", "ت", Reason::Uts39),
    ("ې", "ٻ", Reason::Uts39),
    ("آأإ", "l", Reason::Mark),
    ("ةۀۂۃ", "o", Reason::Mark),
    ("ؤ", "و", Reason::Mark),
    ("ئۓ", "ی", Reason::Mark),
    ("ځ", "ح", Reason::Mark),
    ("w", "vv", Reason::LooksLike),
    ("d", "cl", Reason::LooksLike),
    ("ۍ", "ی", Reason::LooksLike),
    ("ګ", "گ", Reason::SameLetter),
];

/// Why a letter counts as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// UTS 39 makes them one.
    Uts39,
    /// They differ in a mark (hamza, madda, the dots of teh marbuta) that is easily read past; the
    /// letter without it is what UTS 39 gives besides the mark.
    Mark,
    /// Too like for small type, though UTS 39 tells them apart.
    LooksLike,
    /// Two spellings of one letter, by keyboard.
    SameLetter,
}

/// What a letter counts as; `None` if as itself.
pub(super) fn fold(letter: char) -> Option<&'static str> {
    FOLDS
        .iter()
        .find(|(letters, _, _)| letters.contains(letter))
        .map(|(_, folded, _)| *folded)
}
