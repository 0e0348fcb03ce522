//! Words of the root's event flags, 64 each: which are to be looked at, and looking.
//!
//! A processor whose guest has signalled looks at that guest's words only, so that its way to whom it wakes is as long beside
//! hundreds of VMs as alone. No other's flag is raised meanwhile: a guest raises flags where it runs.

use super::flags::FLAGS;
use core::sync::atomic::{AtomicU64, Ordering};

/// Bits of a word.
pub const BITS: usize = u64::BITS as usize;
/// Words of all flags.
const WORDS: usize = FLAGS / BITS;
/// Rows of 64 words.
const ROWS: usize = WORDS / BITS;

/// The words that somebody's flags are in.
#[derive(Debug, Default)]
pub struct FlagWords {
    /// In which of `words` there are any.
    rows: AtomicU64,
    words: [AtomicU64; ROWS],
}

impl FlagWords {
    /// A flag of word `word` is among them.
    pub fn add(&self, word: usize) {
        if let Some(row) = self.words.get(word / BITS) {
            row.fetch_or(1 << (word % BITS), Ordering::Release);
            self.rows.fetch_or(1 << (word / BITS), Ordering::Release);
        }
    }

    /// None is any more.
    pub fn remove(&self, word: usize) {
        if let Some(row) = self.words.get(word / BITS) {
            // An empty row may be looked at.
            row.fetch_and(!(1 << (word % BITS)), Ordering::Release);
        }
    }

    /// Them.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        let rows = bits(self.rows.load(Ordering::Acquire));
        let row = |row: usize| self.words.get(row).map_or(0, |words| words.load(Ordering::Acquire));
        rows.flat_map(move |at| bits(row(at)).map(move |bit| at * BITS + bit))
    }
}

/// The bits that are set, lowest first.
#[inline]
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = (set != 0).then(|| set.trailing_zeros() as usize)?;
        set &= set - 1;
        Some(bit)
    })
}

/// Lowers the flags that are raised in `words` of `page`, and gives each one's number to `serve`. Whether there was one.
#[inline]
pub fn lower<'a>(
    page: impl Fn(usize) -> &'a AtomicU64,
    words: impl Iterator<Item = usize>,
    mut serve: impl FnMut(usize),
) -> bool {
    let mut any = false;
    for word in words {
        let flags = page(word);
        if flags.load(Ordering::Relaxed) != 0 {
            any = true;
            bits(flags.swap(0, Ordering::AcqRel)).for_each(|bit| serve(word * BITS + bit));
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::cell::RefCell;
    use proptest::prelude::*;

    fn of(words: &[usize]) -> FlagWords {
        let flag_words = FlagWords::default();
        words.iter().for_each(|&word| flag_words.add(word));
        flag_words
    }

    #[test]
    fn a_guests_signal_is_looked_for_in_its_own_words_however_many_others_there_are() {
        let page: Vec<AtomicU64> = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
        let guest = of(&[3, 300]);
        let looked_at = RefCell::new(Vec::new());
        let look = |word: usize| {
            looked_at.borrow_mut().push(word);
            &page[word]
        };
        page[300].store(1 << 63 | 1, Ordering::Relaxed);
        page[5].store(1, Ordering::Relaxed);
        let mut raised = Vec::new();
        assert!(lower(look, guest.iter(), |number| raised.push(number)));
        assert_eq!((raised, looked_at.take()), (vec![300 * 64, 300 * 64 + 63], vec![3, 300]));
        assert!(!lower(look, guest.iter(), |_| panic!("all are lowered")));
        assert!(lower(look, 0..WORDS, |number| assert_eq!(number, 5 * 64)));
    }

    proptest! {
        #[test]
        fn words_come_and_go(steps in prop::collection::vec((any::<bool>(), 0..WORDS), 1..100)) {
            let (words, mut expected) = (FlagWords::default(), std::collections::BTreeSet::new());
            for (is_added, word) in steps {
                if is_added {
                    words.add(word);
                    expected.insert(word);
                } else {
                    words.remove(word);
                    expected.remove(&word);
                }
                prop_assert!(words.iter().eq(expected.iter().copied()));
            }
        }
    }
}
