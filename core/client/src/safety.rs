//! The safety number of two accounts: what people compare where no log helps (`spec/client.md` §9).

use std::fmt;
use std::str::FromStr;

use paigham_wire::hash::{Hash, blake3_labelled, label};
use paigham_wire::ids::AccountId;

/// Groups of digits.
const GROUPS: usize = 8;
/// One more than the largest group.
const GROUP_END: u32 = 100_000;
/// How often the hash is repeated: whoever looks for keys that collide pays for each try as often.
const ROUNDS: usize = 4_096;

/// Eight groups of five digits that two people compare, in person or by voice: alike exactly where
/// both see the same two accounts with the same two identity keys.
///
/// h₀ = H("paigham/1 safety number"; account ‖ identity key of the lesser account id ‖ the same of
/// the greater), h_{i+1} = H("paigham/1 safety number"; h_i), 4,096 times; each group is four bytes
/// of the last hash, as a big-endian number modulo 100,000.
///
/// # Security
/// Who stands between two people must find two keys of their own whose numbers are alike: with 133
/// bits of digits 2^66 tries, each of 4,096 hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SafetyNumber([u32; GROUPS]);

impl SafetyNumber {
    /// Of two accounts with their identity keys, in any order.
    #[must_use]
    pub fn of(one: (AccountId, Hash), other: (AccountId, Hash)) -> Self {
        let (first, second) = if one <= other {
            (one, other)
        } else {
            (other, one)
        };
        let parts = [&first.0.0[..], &first.1, &second.0.0, &second.1];
        let start = blake3_labelled(label::SAFETY_NUMBER, &parts);
        let last = (0..ROUNDS).fold(start, |hash, _| {
            blake3_labelled(label::SAFETY_NUMBER, &[&hash])
        });
        let mut groups = [0; GROUPS];
        let (words, _) = last.as_chunks::<4>();
        for (group, word) in groups.iter_mut().zip(words) {
            *group = u32::from_be_bytes(*word) % GROUP_END;
        }
        Self(groups)
    }
}

impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, group) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{group:05}")?;
        }
        Ok(())
    }
}

/// What was typed is no safety number: it has not 40 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a safety number has 40 digits")]
pub struct NoSafetyNumber;

impl FromStr for SafetyNumber {
    type Err = NoSafetyNumber;

    /// Reads 40 digits, with anything but digits and letters between them; also those of Arabic
    /// and Urdu keyboards.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut groups = [0_u32; GROUPS];
        let mut count = 0;
        for character in text.chars() {
            let Some(digit) = digit_of(character) else {
                if character.is_alphanumeric() {
                    return Err(NoSafetyNumber);
                }
                continue;
            };
            let group = groups.get_mut(count / 5).ok_or(NoSafetyNumber)?;
            *group = *group * 10 + digit;
            count += 1;
        }
        (count == GROUPS * 5)
            .then_some(Self(groups))
            .ok_or(NoSafetyNumber)
    }
}

fn digit_of(character: char) -> Option<u32> {
    let zero = match character {
        '0'..='9' => '0',
        '\u{660}'..='\u{669}' => '\u{660}',
        '\u{6F0}'..='\u{6F9}' => '\u{6F0}',
        _ => return None,
    };
    u32::from(character).checked_sub(u32::from(zero))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(id: u8, key: u8) -> (AccountId, Hash) {
        (AccountId([id; 16]), [key; 32])
    }

    /// Both people see one number, whoever looks; anybody else's key gives another.
    #[test]
    fn both_see_the_same_number() {
        let number = SafetyNumber::of(person(1, 7), person(2, 8));
        assert_eq!(number, SafetyNumber::of(person(2, 8), person(1, 7)));
        for other in [
            SafetyNumber::of(person(1, 9), person(2, 8)),
            SafetyNumber::of(person(1, 7), person(2, 9)),
            SafetyNumber::of(person(3, 7), person(2, 8)),
            SafetyNumber::of(person(1, 8), person(2, 7)),
        ] {
            assert_ne!(number, other);
        }
    }

    /// What is shown can be typed again, with or without spaces, on an Urdu keyboard too.
    #[test]
    fn what_is_shown_can_be_typed() {
        let number = SafetyNumber::of(person(1, 7), person(2, 8));
        let shown = number.to_string();
        assert_eq!(shown.len(), 8 * 5 + 7);
        let urdu: String = shown
            .chars()
            .map(|one| match one.to_digit(10) {
                Some(digit) => char::from_u32(0x6F0 + digit).unwrap(),
                None => '-',
            })
            .collect();
        for typed in [shown.clone(), shown.replace(' ', ""), urdu] {
            assert_eq!(typed.parse(), Ok(number), "{typed}");
        }
        for wrong in [
            "",
            "12345",
            &shown[1..],
            &format!("{shown}1"),
            &shown.replace('1', "l"),
        ] {
            let read = wrong.parse::<SafetyNumber>();
            assert!(read.is_err() || wrong == shown, "{wrong}");
        }
    }
}
