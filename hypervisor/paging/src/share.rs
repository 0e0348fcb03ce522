//! The share count of each page, in the software bits of its entry.

use crate::table::{Place, level_of};
use crate::{ENTRIES, EntryFormat, Error, FrameAllocator, InputPage, Leaf, PageSize, PageTable, TableMemory};

impl<F: EntryFormat> PageTable<F> {
    /// Adds one to the share count of each page in the `size` at `input`; a larger page is split first.
    ///
    /// `Saturated`, or `NotMapped` where any part is: nothing is counted.
    pub fn share(
        &self,
        mem: &mut impl TableMemory,
        frames: &mut impl FrameAllocator,
        input: InputPage,
        size: PageSize,
    ) -> Result<(), Error> {
        self.recount(mem, frames, input, size, 1)
    }

    /// Takes one from the share count of each page in the `size` at `input`. `NotMapped` also when a count is 0.
    pub fn unshare(
        &self,
        mem: &mut impl TableMemory,
        frames: &mut impl FrameAllocator,
        input: InputPage,
        size: PageSize,
    ) -> Result<(), Error> {
        self.recount(mem, frames, input, size, -1)
    }

    fn recount(
        &self,
        mem: &mut impl TableMemory,
        frames: &mut impl FrameAllocator,
        input: InputPage,
        size: PageSize,
        by: i32,
    ) -> Result<(), Error> {
        if size == PageSize::Size1G || input.get() & size.pages().wrapping_sub(1) != 0 {
            return Err(Error::Misaligned);
        }
        let (_, entry) = self.find(mem, input, level_of(size));
        if !F::is_present(entry) {
            return Err(Error::NotMapped);
        }
        let (place, entry) = self.place_for(mem, frames, input, size)?;
        if Self::is_leaf(entry, place.level) {
            return Self::recount_one(mem, place, by);
        }
        let table = F::page(entry);
        for index in 0..ENTRIES {
            let part = Place { table, index, level: 0 };
            if let Err(error) = Self::recount_one(mem, part, by) {
                for index in 0..index {
                    // Cannot fail: it undoes what has just been done.
                    let _ = Self::recount_one(mem, Place { table, index, level: 0 }, by.wrapping_neg());
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn recount_one(mem: &mut impl TableMemory, place: Place, by: i32) -> Result<(), Error> {
        let entry = mem.read(place.table, place.index);
        if !F::is_present(entry) {
            return Err(Error::NotMapped);
        }
        let leaf = Self::leaf_of(entry, place.level);
        let share_count = leaf.share_count.checked_add_signed(by).ok_or(Error::NotMapped)?;
        if u64::from(share_count) > Self::SOFTWARE_MAX {
            return Err(Error::Saturated);
        }
        mem.write(place.table, place.index, Self::entry_of(Leaf { share_count, ..leaf }));
        Ok(())
    }
}
