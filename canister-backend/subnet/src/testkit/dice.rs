//! Chance from a seed.

/// Throws that depend on a seed alone: the same seed, the same throws.
#[derive(Debug, Clone)]
pub struct Dice {
    seed: u64,
    throws: u64,
}

impl Dice {
    /// The dice of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, throws: 0 }
    }

    /// Other dice, which depend on this seed and a name: what one part of a test throws does not
    /// change what another one does.
    #[must_use]
    pub fn called(&self, name: &str) -> Self {
        Self::new(hashed(&[&self.seed.to_be_bytes(), name.as_bytes()]))
    }

    /// The next number below `below`, or 0 if that is 0.
    pub fn below(&mut self, below: u64) -> u64 {
        self.throws += 1;
        let thrown = hashed(&[&self.seed.to_be_bytes(), &self.throws.to_be_bytes()]);
        thrown.checked_rem(below).unwrap_or(0)
    }

    /// Whether something comes that comes once in `n` throws.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// The first 8 bytes of BLAKE3 over all parts, each with its length before it.
pub(super) fn hashed(parts: &[&[u8]]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A failure is told with its seed, and comes again with it.
    #[test]
    fn a_seed_gives_the_same_throws() {
        let throws = |seed| {
            let mut dice = Dice::new(seed).called("a part");
            (0..20).map(|_| dice.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(throws(7), throws(7));
        assert_ne!(throws(7), throws(8));
        assert!((0..1_000).any(|seed| Dice::new(seed).one_in(10)));
        assert_eq!(Dice::new(1).below(0), 0);
    }
}
