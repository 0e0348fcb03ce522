//! A set of the 256 vectors that every processor changes.

pub use extension::vectors::Vectors;
use extension::vectors::place;

use crate::atomic::{AtomicU64, Ordering};

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
        self.load().highest()
    }
    /// What is in it now, word by word.
    #[inline]
    pub fn load(&self) -> Vectors {
        // Not as a loop.
        let load = |word: &AtomicU64| word.load(Ordering::Acquire);
        let [a, b, c, d] = &self.0;
        Vectors([load(a), load(b), load(c), load(d)])
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
