//! The recovery kit: 24 words that make the recovery key (`spec/identity.md`).

use bip39::{Language, Mnemonic};
use ed25519_dalek::SigningKey;
use zeroize::{Zeroize, Zeroizing};

/// 32 random bytes, shown as 24 words of the English BIP-39 list; they are the seed of the
/// account's Ed25519 recovery key.
///
/// # Security
/// Whoever has the words can recover the account. They are shown once and not kept on the device.
pub struct RecoveryKit(Zeroizing<[u8; 32]>);

/// The words are no kit: unknown, too few or many, or with a wrong checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these words are no recovery kit; it has 24 words with a checksum")]
pub struct NoKit;

impl std::fmt::Debug for RecoveryKit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryKit(***)")
    }
}

impl RecoveryKit {
    /// From fresh randomness.
    #[must_use]
    pub fn new(mut random: [u8; 32]) -> Self {
        let kit = Self(Zeroizing::new(random));
        random.zeroize();
        kit
    }

    /// From its words, in any case, separated by white space.
    ///
    /// # Errors
    /// [`NoKit`].
    pub fn from_words(words: &str) -> Result<Self, NoKit> {
        let words = Zeroizing::new(words.to_lowercase());
        let mnemonic = Mnemonic::parse_in(Language::English, words.as_str()).map_err(|_| NoKit)?;
        let entropy = Zeroizing::new(mnemonic.to_entropy());
        let seed = entropy.as_slice().try_into().map_err(|_| NoKit)?;
        Ok(Self(Zeroizing::new(seed)))
    }

    /// Its 24 words.
    ///
    /// # Panics
    /// Never: 32 bytes are always 24 words.
    #[must_use]
    pub fn words(&self) -> Zeroizing<String> {
        let mnemonic = Mnemonic::from_entropy(&self.0[..]).expect("32 bytes are always 24 words");
        Zeroizing::new(mnemonic.to_string())
    }

    /// The recovery key.
    #[must_use]
    pub fn key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the owner wrote down makes the same key; a wrong word is noticed.
    #[test]
    fn words_and_key_belong_together() {
        let kit = RecoveryKit::new([5; 32]);
        let words = kit.words();
        assert_eq!(words.split(' ').count(), 24);
        let again = RecoveryKit::from_words(&words.to_uppercase()).unwrap();
        assert_eq!(again.key().to_bytes(), kit.key().to_bytes());
        let mut wrong: Vec<_> = words.split(' ').collect();
        wrong[3] = if wrong[3] == "zoo" { "zone" } else { "zoo" };
        assert_eq!(
            RecoveryKit::from_words(&wrong.join(" ")).unwrap_err(),
            NoKit
        );
        assert_eq!(
            RecoveryKit::from_words("abandon abandon").unwrap_err(),
            NoKit
        );
        assert_eq!(format!("{kit:?}"), "RecoveryKit(***)");
    }
}
