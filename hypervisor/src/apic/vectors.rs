//! Sets of the 256 vectors, as ISR, IRR and TMR hold them.

use crate::atomic::{AtomicU64, Ordering};

/// Where vector `v` is: word and bit.
#[inline]
const fn place(vector: u8) -> (usize, u64) {
    ((vector >> 6) as usize, 1 << (vector & 63))
}

/// The highest vector of `words`, lowest word first.
#[inline]
fn highest(words: [u64; 4]) -> Option<u8> {
    let [a, b, c, d] = words;
    let (base, word) = match (d, c, b) {
        (0, 0, 0) => (0, a),
        (0, 0, b) => (64, b),
        (0, c, _) => (128, c),
        (d, ..) => (192, d),
    };
    word.checked_ilog2().map(|bit| base | (bit as u8))
}

/// The 32 vectors from `32 * index` on, as a register shows them; 0 for an index above 7.
#[inline]
fn register(words: [u64; 4], index: u32) -> u32 {
    let word = words.get((index >> 1) as usize).copied().unwrap_or(0);
    if index & 1 == 0 { word as u32 } else { (word >> 32) as u32 }
}

/// A set that one processor uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vectors([u64; 4]);

impl Vectors {
    /// No vector.
    pub const EMPTY: Self = Self([0; 4]);

    /// Adds `vector`.
    #[inline]
    pub fn insert(&mut self, vector: u8) {
        let (word, bit) = place(vector);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }
    /// Takes `vector` out.
    #[inline]
    pub fn remove(&mut self, vector: u8) {
        let (word, bit) = place(vector);
        if let Some(word) = self.0.get_mut(word) {
            *word &= !bit;
        }
    }
    /// The highest one.
    #[inline]
    pub fn highest(&self) -> Option<u8> {
        highest(self.0)
    }
    /// The 32 vectors from `32 * index` on.
    #[inline]
    pub fn register(&self, index: u32) -> u32 {
        register(self.0, index)
    }
}

/// A set that every processor changes.
#[derive(Debug)]
pub struct AtomicVectors([AtomicU64; 4]);

impl AtomicVectors {
    /// No vector.
    pub fn new() -> Self {
        Self([AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)])
    }
    /// Adds `vector`; says whether it was not there.
    #[inline]
    pub fn insert(&self, vector: u8) -> bool {
        let (word, bit) = place(vector);
        self.0.get(word).is_some_and(|word| word.fetch_or(bit, Ordering::AcqRel) & bit == 0)
    }
    /// Takes `vector` out; says whether it was there.
    #[inline]
    pub fn remove(&self, vector: u8) -> bool {
        let (word, bit) = place(vector);
        self.0.get(word).is_some_and(|word| word.fetch_and(!bit, Ordering::AcqRel) & bit != 0)
    }
    /// Whether `vector` is in it.
    #[inline]
    pub fn contains(&self, vector: u8) -> bool {
        let (word, bit) = place(vector);
        self.0.get(word).is_some_and(|word| word.load(Ordering::Acquire) & bit != 0)
    }
    /// The highest one.
    #[inline]
    pub fn highest(&self) -> Option<u8> {
        highest(self.load().0)
    }
    /// What is in it now, word by word.
    #[inline]
    pub fn load(&self) -> Vectors {
        let [a, b, c, d] = &self.0;
        Vectors([a, b, c, d].map(|word| word.load(Ordering::Acquire)))
    }
    /// Takes all out.
    pub fn clear(&self) {
        for word in &self.0 {
            word.store(0, Ordering::Release);
        }
    }
    /// The 32 vectors from `32 * index` on.
    pub fn register(&self, index: u32) -> u32 {
        self.load().register(index)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn both_agree_with_a_set(steps in proptest::collection::vec((any::<bool>(), any::<u8>()), 0..200)) {
            let (mut model, mut one, many) = (BTreeSet::new(), Vectors::EMPTY, AtomicVectors::new());
            for (add, vector) in steps {
                if add {
                    one.insert(vector);
                    prop_assert_eq!(many.insert(vector), model.insert(vector));
                } else {
                    one.remove(vector);
                    prop_assert_eq!(many.remove(vector), model.remove(&vector));
                }
                prop_assert_eq!(one.highest(), model.last().copied());
                prop_assert_eq!(many.load(), one);
            }
            for index in 0..8 {
                let want = (0..32).filter(|bit| model.contains(&(index * 32 + bit))).map(|bit| 1 << bit).sum::<u32>();
                prop_assert_eq!(one.register(u32::from(index)), want);
            }
        }
    }
}
