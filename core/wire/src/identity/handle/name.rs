//! A handle as it is shown, and the skeleton under which the log keeps it.

use std::fmt;
use std::str::FromStr;

use tls_codec::{DeserializeBytes, Serialize, Size, VLByteSlice, VLBytes};

use super::alphabet::{ARABIC, DIGITS, JOINER, LATIN, fold};
use crate::log::HANDLE_PREFIX;

/// Fewest characters of a handle.
pub const HANDLE_MIN_CHARS: usize = 3;
/// Most characters of a handle.
pub const HANDLE_MAX_CHARS: usize = 32;
/// Most bytes of a handle in UTF-8, and of its skeleton: two for each character.
pub const HANDLE_MAX_BYTES: usize = 2 * HANDLE_MAX_CHARS;

/// The script of a handle's letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// `a` to `z`.
    Latin,
    /// Letters of Arabic, Urdu, Punjabi, Saraiki, Sindhi, Pashto and Balochi.
    Arabic,
}

/// Why a text is no handle: the rules of `spec/handles.md` §2, in the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandleError {
    /// HND-01: fewer than 3 characters or more than 32.
    #[error(
        "a handle has {HANDLE_MIN_CHARS} to {HANDLE_MAX_CHARS} letters, digits and underscores"
    )]
    Length,
    /// HND-02: a character that is none of those allowed.
    #[error("a handle cannot have the character U+{:04X}", *.0 as u32)]
    Character(char),
    /// HND-03: letters of both scripts.
    #[error("a handle is written in one script, Latin or Arabic")]
    MixedScripts,
    /// HND-04: it begins with something else than a letter, ends with an underscore, or has two in
    /// a row.
    #[error("a handle begins with a letter, and each underscore stands between letters or digits")]
    Shape,
}

/// A handle in its display form, which follows the rules of `spec/handles.md` §2.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(String);

/// What a handle looks like: handles of one skeleton are one handle, held by one account.
///
/// Its bytes, behind [`HANDLE_PREFIX`], are the handle's label in the log.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Skeleton(String);

impl Handle {
    /// Takes a display form as it lies in a record.
    ///
    /// What people type goes through `Handle::typed` (with the feature `client`) first.
    ///
    /// # Errors
    /// [`HandleError`].
    pub fn new(display: &str) -> Result<Self, HandleError> {
        check_length(display)?;
        check_script(display)?;
        check_shape(display)?;
        Ok(Self(display.to_owned()))
    }

    /// As it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it looks like.
    #[must_use]
    pub fn skeleton(&self) -> Skeleton {
        Skeleton(skeleton_of(&self.0))
    }

    /// Script of its letters.
    #[must_use]
    pub fn script(&self) -> Script {
        // The first character is a letter of the one script.
        if self.0.starts_with(is_latin) {
            Script::Latin
        } else {
            Script::Arabic
        }
    }
}

impl Skeleton {
    /// The handle's label in the log: `u:` ‖ skeleton, at most 66 bytes.
    #[must_use]
    pub fn label(&self) -> Vec<u8> {
        [HANDLE_PREFIX, self.0.as_bytes()].concat()
    }

    /// The skeleton of a label, if the label is that of a handle.
    #[must_use]
    pub fn of_label(label: &[u8]) -> Option<Self> {
        let skeleton = std::str::from_utf8(label.strip_prefix(HANDLE_PREFIX)?).ok()?;
        let is_one = skeleton.len() <= HANDLE_MAX_BYTES
            && skeleton.chars().count() >= HANDLE_MIN_CHARS
            && skeleton.chars().all(is_allowed)
            && skeleton_of(skeleton) == skeleton;
        is_one.then(|| Self(skeleton.to_owned()))
    }

    /// Its letters; not for showing.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_length(text: &str) -> Result<(), HandleError> {
    // One more than allowed tells as much as all.
    let length = text.chars().take(HANDLE_MAX_CHARS + 1).count();
    if (HANDLE_MIN_CHARS..=HANDLE_MAX_CHARS).contains(&length) {
        Ok(())
    } else {
        Err(HandleError::Length)
    }
}

fn check_script(text: &str) -> Result<(), HandleError> {
    if let Some(stranger) = text.chars().find(|letter| !is_allowed(*letter)) {
        return Err(HandleError::Character(stranger));
    }
    if text.contains(is_latin) && text.contains(is_arabic) {
        return Err(HandleError::MixedScripts);
    }
    Ok(())
}

/// A letter first, so that the direction of the whole is that of its script (RFC 5893 §2, rule 1)
/// and no digits move to its other side.
fn check_shape(text: &str) -> Result<(), HandleError> {
    let joined_well = !text.ends_with(JOINER) && !text.contains("__");
    if text.starts_with(|first| is_latin(first) || is_arabic(first)) && joined_well {
        Ok(())
    } else {
        Err(HandleError::Shape)
    }
}

fn is_latin(letter: char) -> bool {
    LATIN.contains(letter)
}

fn is_arabic(letter: char) -> bool {
    ARABIC.contains(letter)
}

fn is_allowed(letter: char) -> bool {
    is_latin(letter) || is_arabic(letter) || DIGITS.contains(letter) || letter == JOINER
}

/// Each letter as what it counts as.
fn skeleton_of(text: &str) -> String {
    let mut skeleton = String::with_capacity(text.len());
    for letter in text.chars() {
        match fold(letter) {
            Some(folded) => skeleton.push_str(folded),
            None => skeleton.push(letter),
        }
    }
    skeleton
}

impl FromStr for Handle {
    type Err = HandleError;

    fn from_str(display: &str) -> Result<Self, HandleError> {
        Self::new(display)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A handle names a person: it is not for logs.
        f.write_str("Handle(***)")
    }
}

impl fmt::Debug for Skeleton {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Skeleton(***)")
    }
}

impl Size for Handle {
    fn tls_serialized_len(&self) -> usize {
        VLByteSlice(self.0.as_bytes()).tls_serialized_len()
    }
}

impl Serialize for Handle {
    fn tls_serialize<W: std::io::Write>(&self, writer: &mut W) -> Result<usize, tls_codec::Error> {
        VLByteSlice(self.0.as_bytes()).tls_serialize(writer)
    }
}

impl DeserializeBytes for Handle {
    fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(Self, &[u8]), tls_codec::Error> {
        let (display, rest) = VLBytes::tls_deserialize_bytes(bytes)?;
        let handle = std::str::from_utf8(display.as_slice())
            .ok()
            .and_then(|display| Self::new(display).ok())
            .ok_or_else(|| tls_codec::Error::DecodingError("no handle".into()))?;
        Ok((handle, rest))
    }
}
