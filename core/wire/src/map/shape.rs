//! Which page a key lies in: linear hashing over the leading bits of keys.
//!
//! The subtree of all keys that begin with the bits b₀ … b₍d₋₁₎ is the [`Place`] of depth d and
//! number Σ bᵢ·2ⁱ. With level L and split pointer s there are 2ᴸ + s pages: places of depth L
//! whose number is s or more, and places of depth L + 1 for those below s. Splitting page s makes
//! page s + 2ᴸ beside it and moves nothing else, so that no directory of pages is needed.

use super::Key;

/// Splits never make a place deeper: 2²⁴ pages are 64 GiB and hold 129 million keys at the usual
/// fill, far beyond what one canister is for. Beyond that pages only overflow.
pub(super) const MAX_LEVEL: usize = 24;

/// Keys per page, in tenths, beyond which the next page is split; a page has ten slots. Fewer cost
/// memory; more put more records into overflow pages, each of which is a second page to write: of
/// a batch's records 2 to 10 %, as splits go round.
const SPLIT_TENTHS: u64 = 77;

/// A subtree: all keys that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// How many bits they share.
    pub depth: usize,
    /// These bits, the first one lowest.
    pub number: u32,
}

impl Place {
    pub(super) const ROOT: Self = Self {
        depth: 0,
        number: 0,
    };

    pub(super) const fn child(self, ones: bool) -> Self {
        Self {
            depth: self.depth + 1,
            number: self.number | (ones as u32) << self.depth,
        }
    }

    /// Of any place but the root.
    pub(super) const fn parent(self) -> Self {
        let depth = self.depth - 1;
        Self {
            depth,
            number: self.number & mask(depth),
        }
    }

    /// Of any place but the root.
    pub(super) const fn sibling(self) -> Self {
        Self {
            depth: self.depth,
            number: self.number ^ 1 << (self.depth - 1),
        }
    }

    /// Whether it is the second child of its parent.
    pub(super) const fn is_ones(self) -> bool {
        self.number >> (self.depth - 1) == 1
    }

    /// Places in the order of their keys; the first bits of its first key.
    pub(super) const fn order(self) -> u32 {
        self.number.reverse_bits()
    }
}

/// How many pages there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shape {
    pub level: usize,
    /// The next page to split, below 2^level.
    pub split: u32,
}

impl Shape {
    /// `None` for a level that is never reached or a pointer beyond its pages.
    pub(super) const fn new(level: usize, split: u32) -> Option<Self> {
        let possible = level < MAX_LEVEL && split < 1 << level || level == MAX_LEVEL && split == 0;
        if possible {
            Some(Self { level, split })
        } else {
            None
        }
    }

    pub(super) const fn pages(self) -> u32 {
        (1 << self.level) + self.split
    }

    /// The page that keys with these first bits lie in.
    pub(super) const fn page(self, first_bits: u32) -> Place {
        let bits = first_bits.reverse_bits();
        let number = bits & mask(self.level);
        if number < self.split {
            let depth = self.level + 1;
            Place {
                depth,
                number: bits & mask(depth),
            }
        } else {
            Place {
                depth: self.level,
                number,
            }
        }
    }

    pub(super) fn page_of(self, key: &Key) -> Place {
        self.page(u32::from_be_bytes([key[0], key[1], key[2], key[3]]))
    }

    /// Whether a place is a page, not a node above pages.
    pub(super) const fn is_page(self, place: Place) -> bool {
        place.depth > self.level || place.depth == self.level && place.number >= self.split
    }

    /// Whether so many keys want one more page, and there may be one.
    pub(super) fn is_full(self, keys: u32) -> bool {
        self.level < MAX_LEVEL && u64::from(keys) * 10 > u64::from(self.pages()) * SPLIT_TENTHS
    }

    /// The page that is split next; its first child keeps its number, its second child's is
    /// [`Shape::pages`].
    pub(super) const fn next_to_split(self) -> Place {
        Place {
            depth: self.level,
            number: self.split,
        }
    }

    /// The shape after that split.
    pub(super) const fn grown(self) -> Self {
        if self.split + 1 == 1 << self.level {
            Self {
                level: self.level + 1,
                split: 0,
            }
        } else {
            Self {
                level: self.level,
                split: self.split + 1,
            }
        }
    }
}

/// The lowest bits.
pub(super) const fn mask(bits: usize) -> u32 {
    (1 << bits) - 1
}
