//! A set of the host's processors.

use core::ops::{BitAnd, BitOr, Sub};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How many processors of the host can be told apart.
pub const PROCESSORS_MAX: u32 = 240;

/// Processors, a bit each, the lowest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(transparent)]
pub struct ProcessorSet([u64; Self::WORDS]);

impl ProcessorSet {
    /// Words that it takes.
    pub const WORDS: usize = PROCESSORS_MAX.div_ceil(u64::BITS) as usize;
    /// No processor.
    pub const NONE: Self = Self([0; Self::WORDS]);
    /// Every processor, those too that a machine may have one day.
    pub const ALL: Self = Self::below(PROCESSORS_MAX);

    /// Those with the bits of `words`.
    #[must_use]
    pub const fn from_words(words: [u64; Self::WORDS]) -> Self {
        Self(words)
    }

    /// The first `count`.
    #[must_use]
    pub const fn below(count: u32) -> Self {
        let mut words = [0; Self::WORDS];
        let mut number = 0;
        while number < count && number < PROCESSORS_MAX {
            words[(number / u64::BITS) as usize] |= 1 << (number % u64::BITS);
            number += 1;
        }
        Self(words)
    }

    /// `number` alone.
    #[must_use]
    pub const fn one(number: u32) -> Self {
        let mut words = [0; Self::WORDS];
        if number < PROCESSORS_MAX {
            words[(number / u64::BITS) as usize] = 1 << (number % u64::BITS);
        }
        Self(words)
    }

    /// Those with the bits of `mask`, the first 64 at most.
    #[must_use]
    pub const fn of(mask: u64) -> Self {
        let mut words = [0; Self::WORDS];
        words[0] = mask;
        Self(words)
    }

    /// A bit for each processor.
    #[must_use]
    pub const fn words(self) -> [u64; Self::WORDS] {
        self.0
    }

    /// Whether `number` is in it.
    #[must_use]
    pub fn contains(self, number: u32) -> bool {
        self.0.get((number / u64::BITS) as usize).is_some_and(|word| word >> (number % u64::BITS) & 1 != 0)
    }

    /// Whether nobody is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// How many are in it.
    #[must_use]
    pub fn len(self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// The lowest that is in it.
    #[must_use]
    pub fn first(self) -> Option<u32> {
        let words = (0..).step_by(u64::BITS as usize).zip(self.0);
        words.filter(|(_, word)| *word != 0).map(|(first, word)| first + word.trailing_zeros()).next()
    }

    fn zip(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        let mut words = self.0;
        words.iter_mut().zip(other.0).for_each(|(word, other)| *word = of(*word, other));
        Self(words)
    }
}

/// Those in both.
impl BitAnd for ProcessorSet {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        self.zip(other, |word, other| word & other)
    }
}

/// Those in either.
impl BitOr for ProcessorSet {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.zip(other, |word, other| word | other)
    }
}

/// Those that are not in the other.
impl Sub for ProcessorSet {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.zip(other, |word, other| word & !other)
    }
}

#[cfg(test)]
mod tests {
    use super::{PROCESSORS_MAX, ProcessorSet};

    #[test]
    fn sets_are_as_sets_are() {
        let (two, all) = (ProcessorSet::below(2), ProcessorSet::ALL);
        let beyond = ProcessorSet::below(130) - ProcessorSet::below(129);
        assert_eq!((ProcessorSet::one(129), ProcessorSet::one(PROCESSORS_MAX)), (beyond, ProcessorSet::NONE));
        assert_eq!((two.len(), all.len(), beyond.len()), (2, PROCESSORS_MAX, 1));
        assert_eq!((two.first(), beyond.first(), ProcessorSet::NONE.first()), (Some(0), Some(129), None));
        assert!(beyond.contains(129) && !beyond.contains(128) && !beyond.contains(1));
        assert!(all.contains(PROCESSORS_MAX - 1) && !all.contains(PROCESSORS_MAX) && !all.contains(u32::MAX));
        assert!((two & beyond).is_empty() && !(two | beyond).is_empty());
        assert_eq!((two | beyond) - two, beyond);
        assert_eq!((ProcessorSet::of(0b101).len(), ProcessorSet::below(1000)), (2, all));
    }
}
