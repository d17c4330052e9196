//! From what people type to a handle.

use unicode_normalization::UnicodeNormalization;

use super::name::{HANDLE_MAX_BYTES, Handle, HandleError};

/// Longest text that is looked at, in bytes: room for marks and for what normalisation shortens.
const TYPED_MAX_BYTES: usize = 8 * HANDLE_MAX_BYTES;

impl Handle {
    /// The handle that somebody typed: without white space and an `@` around it, lower case, NFKC,
    /// vowel marks and tatweel left out, digits as 0 to 9.
    ///
    /// Whatever keyboard it was typed on, the same word has the same skeleton.
    ///
    /// # Errors
    /// [`HandleError`]; characters that nobody sees or that turn the direction of the text are
    /// refused, never left out in silence.
    pub fn typed(text: &str) -> Result<Self, HandleError> {
        let text = text.trim();
        let text = text.strip_prefix('@').unwrap_or(text);
        if text.len() > TYPED_MAX_BYTES {
            return Err(HandleError::Length);
        }
        let normalised: String = text
            .nfkc()
            .flat_map(char::to_lowercase)
            .nfkc()
            .filter(|letter| !is_left_out(*letter))
            .map(ascii_digit)
            .collect();
        Self::new(&normalised)
    }
}

/// Vowel marks, which Urdu and Arabic write or leave out as they like, and the tatweel, which only
/// stretches a word.
fn is_left_out(letter: char) -> bool {
    matches!(letter, '\u{064B}'..='\u{0652}' | '\u{0656}'..='\u{0658}' | '\u{0670}' | '\u{0640}')
}

/// The digits of Arabic and of Urdu keyboards are those of every other: shown as 0 to 9, so that
/// none looks like a letter (٥ and ه, ١ and ا).
fn ascii_digit(letter: char) -> char {
    let zero = match letter {
        '\u{0660}'..='\u{0669}' => 0x0660,
        '\u{06F0}'..='\u{06F9}' => 0x06F0,
        _ => return letter,
    };
    char::from_digit(u32::from(letter) - zero, 10).unwrap_or(letter)
}
