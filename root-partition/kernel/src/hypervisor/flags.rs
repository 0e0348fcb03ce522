//! Numbers of the root's event flags: runs of free ones.
//!
//! A number means a flag of a SINT, the same one on each processor: whoever signals it raises it where he runs. Those of
//! SINT 2 come first, then those of the next, so that few words are to be looked at where there are few VMs.

use hv_abi::synic::{EVENT_FLAGS_PER_SINT, SINT_COUNT, VMBUS_SINT};

/// Flags of one SINT.
const PER_SINT: usize = EVENT_FLAGS_PER_SINT as usize;
/// Bits of a word.
const BITS: usize = u64::BITS as usize;
/// Words of one SINT's flags.
const WORDS_PER_SINT: usize = PER_SINT / BITS;
/// All flags that there are.
pub const FLAGS: usize = SINT_COUNT * PER_SINT;

/// Where a flag is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlagPlace {
    /// The SINT.
    pub sint: u32,
    /// Its flag.
    pub flag: u16,
}

/// Where flag `number` is.
pub const fn place(number: usize) -> FlagPlace {
    FlagPlace { sint: sint(number / PER_SINT), flag: (number % PER_SINT) as u16 }
}

/// Which word of a page of event flags has the 64 flags from number 64 * `word` on.
pub const fn word_of_page(word: usize) -> usize {
    sint(word / WORDS_PER_SINT) as usize * WORDS_PER_SINT + word % WORDS_PER_SINT
}

/// The SINT that is the n-th to be used.
const fn sint(n: usize) -> u32 {
    (VMBUS_SINT + n as u32) % SINT_COUNT as u32
}

/// Which are taken.
pub struct FlagNumbers {
    taken: [u64; FLAGS / BITS],
}

impl FlagNumbers {
    /// None is.
    pub const fn new() -> Self {
        Self { taken: [0; FLAGS / BITS] }
    }

    fn is_taken(&self, number: usize) -> bool {
        self.taken[number / BITS] >> (number % BITS) & 1 != 0
    }

    fn flip(&mut self, first: usize, count: usize) {
        (first..first + count).for_each(|number| self.taken[number / BITS] ^= 1 << (number % BITS));
    }

    /// Takes `count` consecutive flags of one SINT; the number of the first.
    pub fn take(&mut self, count: usize) -> Option<usize> {
        let mut first = 0;
        while first + count <= FLAGS {
            let last = first + count - 1;
            if first / PER_SINT != last / PER_SINT {
                first = last / PER_SINT * PER_SINT;
            } else if let Some(taken) = (first..=last).rev().find(|&number| self.is_taken(number)) {
                first =
                    if self.taken[taken / BITS] == u64::MAX { (taken / BITS + 1) * BITS } else { taken + 1 };
            } else {
                self.flip(first, count);
                return Some(first);
            }
        }
        None
    }

    /// Gives back what [`FlagNumbers::take`] took.
    pub fn give_back(&mut self, first: usize, count: usize) {
        self.flip(first, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn runs_do_not_overlap_and_come_back() {
        let mut flags = FlagNumbers::new();
        assert_eq!((flags.take(3), flags.take(2), flags.take(1)), (Some(0), Some(3), Some(5)));
        flags.give_back(3, 2);
        assert_eq!((flags.take(3), flags.take(2)), (Some(6), Some(3)));
    }

    #[test]
    fn a_run_is_in_one_sint() {
        let mut flags = FlagNumbers::new();
        assert_eq!(
            (flags.take(PER_SINT - 1), flags.take(2), flags.take(1)),
            (Some(0), Some(2048), Some(2047))
        );
        assert_eq!(flags.take(PER_SINT), Some(2 * PER_SINT));
        assert_eq!(flags.take(PER_SINT + 1), None);
    }

    #[test]
    fn each_number_is_another_flag_of_a_sint() {
        let places: BTreeSet<_> = (0..FLAGS).map(place).map(|place| (place.sint, place.flag)).collect();
        assert_eq!((places.len(), place(0)), (FLAGS, FlagPlace { sint: VMBUS_SINT, flag: 0 }));
        for number in [0, 63, 64, PER_SINT, FLAGS - PER_SINT, FLAGS - 1] {
            let FlagPlace { sint, flag } = place(number);
            let bit = sint as usize * PER_SINT + usize::from(flag);
            assert_eq!((word_of_page(number / BITS), number % BITS), (bit / BITS, bit % BITS));
        }
    }

    /// As many as there can be VMs, each with 64 processors that wake each other, four services, and fifteen more channels
    /// for its disks.
    #[test]
    fn all_vms_that_there_can_be_find_flags() {
        let mut flags = FlagNumbers::new();
        for _ in 0..255 {
            assert!(flags.take(64).is_some());
            assert!((0..4 + 15).all(|_| flags.take(1).is_some()));
        }
    }

    #[test]
    fn when_all_are_taken_nothing_happens_until_one_comes_back() {
        let mut flags = FlagNumbers::new();
        let taken: Vec<_> = (0..FLAGS).map(|_| flags.take(1)).collect();
        assert_eq!(taken, (0..FLAGS).map(Some).collect::<Vec<_>>());
        assert_eq!((flags.take(1), flags.take(64)), (None, None));
        flags.give_back(FLAGS - 1, 1);
        assert_eq!((flags.take(1), flags.take(1)), (Some(FLAGS - 1), None));
    }

    proptest! {
        #[test]
        fn nobody_gets_what_another_has(steps in prop::collection::vec((any::<bool>(), 1..300_usize), 1..200)) {
            let (mut flags, mut runs) = (FlagNumbers::new(), Vec::<(usize, usize)>::new());
            for (take, count) in steps {
                if take {
                    let first = flags.take(count).unwrap();
                    prop_assert!(runs.iter().all(|&(other, length)| first + count <= other || other + length <= first));
                    prop_assert_eq!(place(first).sint, place(first + count - 1).sint);
                    runs.push((first, count));
                } else if !runs.is_empty() {
                    let (first, count) = runs.swap_remove(count % runs.len());
                    flags.give_back(first, count);
                }
            }
            for (first, count) in runs {
                flags.give_back(first, count);
            }
            prop_assert!(flags.taken.iter().all(|&word| word == 0));
        }
    }
}
