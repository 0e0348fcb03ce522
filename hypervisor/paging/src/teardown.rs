//! Visiting and clearing a table in bounded steps.

use crate::table::{InputPage, Leaf, PageTable, Place, size_at};
use crate::{ENTRIES, EntryFormat, FrameAllocator, TableMemory};

/// How far a bounded step came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Call again from this page.
    More(InputPage),
    /// Nothing is left above.
    Done,
}

impl<F: EntryFormat> PageTable<F> {
    /// The first mapping at or above `from`, looking at no more than `budget` entries (each spends one).
    fn next_leaf(
        &self,
        mem: &mut impl TableMemory,
        from: InputPage,
        budget: &mut usize,
    ) -> Result<(InputPage, u32, Leaf), Progress> {
        let mut input = from;
        'restart: loop {
            let mut table = self.root();
            for level in (0..4).rev() {
                let span = 1_u64 << level_shift(level);
                loop {
                    *budget = budget.checked_sub(1).ok_or(Progress::More(input))?;
                    let index = ((input.get() >> level_shift(level)) as usize) % ENTRIES;
                    let entry = mem.read(table, index);
                    if F::is_present(entry) {
                        if Self::is_leaf(entry, level) {
                            let first = input.get() & span.wrapping_neg();
                            let first = InputPage::new(first).unwrap_or_default();
                            return Ok((first, level, Self::leaf_of(entry, level)));
                        }
                        table = F::page(entry);
                        break;
                    }
                    let next = (input.get() | span.wrapping_sub(1)).wrapping_add(1);
                    input = InputPage::new(next).ok_or(Progress::Done)?;
                    if index == ENTRIES.wrapping_sub(1) {
                        continue 'restart;
                    }
                }
            }
            return Err(Progress::Done);
        }
    }

    /// Calls `visit` for each mapping at or above `from`, in order, looking at no more than `budget` entries.
    pub fn visit_some(
        &self,
        mem: &mut impl TableMemory,
        from: InputPage,
        mut budget: usize,
        mut visit: impl FnMut(InputPage, Leaf),
    ) -> Progress {
        let mut input = from;
        loop {
            match self.next_leaf(mem, input, &mut budget) {
                Err(progress) => return progress,
                Ok((first, _, leaf)) => {
                    visit(first, leaf);
                    match InputPage::new(first.get().wrapping_add(leaf.size.pages())) {
                        Some(next) => input = next,
                        None => return Progress::Done,
                    }
                }
            }
        }
    }

    /// Removes mappings at or above `from` in order and calls `visit` with each, looking at no more than about
    /// `budget` entries; frees the tables (not the root). Call again with what it answers until `Done`.
    pub fn clear_some<A: FrameAllocator>(
        &self,
        mem: &mut impl TableMemory,
        frames: &mut A,
        from: InputPage,
        mut budget: usize,
        mut visit: impl FnMut(&mut A, InputPage, Leaf),
    ) -> Progress {
        let mut input = from;
        loop {
            let (first, level, leaf) = match self.next_leaf(mem, input, &mut budget) {
                Err(progress) => return progress,
                Ok(found) => found,
            };
            if let Some(place) = self.leaf_place(mem, first, level) {
                mem.write(place.table, place.index, 0);
            }
            self.free_empty(mem, frames, first, level);
            visit(frames, first, leaf);
            match InputPage::new(first.get().wrapping_add(size_at(level).pages())) {
                Some(next) => input = next,
                None => return Progress::Done,
            }
        }
    }

    /// The place of the leaf at `level` for `input`, when there is one.
    fn leaf_place(&self, mem: &mut impl TableMemory, input: InputPage, level: u32) -> Option<Place> {
        let mut table = self.root();
        for at in (level..4).rev() {
            let index = ((input.get() >> level_shift(at)) as usize) % ENTRIES;
            if at == level {
                return Some(Place { table, index, level });
            }
            let entry = mem.read(table, index);
            if !F::is_present(entry) || Self::is_leaf(entry, at) {
                return None;
            }
            table = F::page(entry);
        }
        None
    }
}

const fn level_shift(level: u32) -> u32 {
    level.wrapping_mul(9)
}
