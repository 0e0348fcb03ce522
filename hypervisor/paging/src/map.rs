//! Map and unmap, and what both do on the way: large pages are split, tables made and freed.

use hv_abi::SpaPage;

use crate::table::{Place, level_of};
use crate::{
    Attributes, ENTRIES, EntryFormat, Error, FrameAllocator, InputPage, Leaf, PageSize, PageTable,
    TableMemory,
};

impl<F: EntryFormat> PageTable<F> {
    /// Replaces the leaf at `place` by a table of the next smaller leaves that translate the same. `frame` is zeroed.
    fn split_into(mem: &mut impl TableMemory, place: Place, entry: u64, frame: SpaPage) {
        let leaf = Self::leaf_of(entry, place.level);
        let size = leaf.size.smaller();
        let mut page = Some(leaf.page);
        for index in 0..ENTRIES {
            let part = Leaf { page: page.unwrap_or_default(), size, ..leaf };
            mem.write(frame, index, Self::entry_of(part));
            page = part.page.checked_add(size.pages());
        }
        mem.write(place.table, place.index, F::table(frame));
    }

    /// The place of the entry of `size` for `input`, with large pages split and tables made on the way. All tables
    /// are allocated before the first is linked, so a failure leaves none empty.
    pub(crate) fn place_for(
        &self,
        mem: &mut impl TableMemory,
        frames: &mut impl FrameAllocator,
        input: InputPage,
        size: PageSize,
    ) -> Result<(Place, u64), Error> {
        let target = level_of(size);
        let (mut place, mut entry) = self.find(mem, input, target);
        if place.level == target {
            return Ok((place, entry));
        }
        let mut spare = Spare::take(frames, place.level.saturating_sub(target))?;
        while place.level > target {
            let frame = spare.next().ok_or(Error::OutOfFrames)?;
            if F::is_present(entry) {
                Self::split_into(mem, place, entry, frame);
            } else {
                mem.write(place.table, place.index, F::table(frame));
            }
            let level = place.level.saturating_sub(1);
            place = Place { table: frame, index: input.index(level), level };
            entry = mem.read(frame, place.index);
        }
        Ok((place, entry))
    }

    /// Maps `input` to `page`. What was mapped there at the same size is replaced and returned; a larger page is split
    /// first.
    pub fn map(
        &self,
        mem: &mut impl TableMemory,
        frames: &mut impl FrameAllocator,
        input: InputPage,
        page: SpaPage,
        size: PageSize,
        attributes: Attributes,
    ) -> Result<Option<Leaf>, Error> {
        let mask = size.pages().wrapping_sub(1);
        if (input.get() | page.get()) & mask != 0 {
            return Err(Error::Misaligned);
        }
        let (place, entry) = self.place_for(mem, frames, input, size)?;
        let old = F::is_present(entry);
        if old && !Self::is_leaf(entry, place.level) {
            return Err(Error::TableInTheWay);
        }
        mem.write(place.table, place.index, F::leaf(page, size, attributes));
        Ok(old.then(|| Self::leaf_of(entry, place.level)))
    }

    /// Unmaps the page of `size` at `input`; a larger page is split first. Tables that this leaves empty are freed.
    pub fn unmap(
        &self,
        mem: &mut impl TableMemory,
        frames: &mut impl FrameAllocator,
        input: InputPage,
        size: PageSize,
    ) -> Result<Leaf, Error> {
        if input.get() & size.pages().wrapping_sub(1) != 0 {
            return Err(Error::Misaligned);
        }
        let (found, entry) = self.find(mem, input, level_of(size));
        if !F::is_present(entry) {
            return Err(Error::NotMapped);
        }
        if found.level == level_of(size) && !Self::is_leaf(entry, found.level) {
            return Err(Error::TableInTheWay);
        }
        let (place, entry) = self.place_for(mem, frames, input, size)?;
        mem.write(place.table, place.index, 0);
        self.free_empty(mem, frames, input, place.level);
        Ok(Self::leaf_of(entry, place.level))
    }

    /// Frees the tables on the way to `input`, from `level` up, that hold nothing.
    pub(crate) fn free_empty(
        &self,
        mem: &mut impl TableMemory,
        frames: &mut impl FrameAllocator,
        input: InputPage,
        level: u32,
    ) {
        for level in level..3 {
            let (parent, entry) = self.find(mem, input, level.saturating_add(1));
            if !F::is_present(entry) || Self::is_leaf(entry, parent.level) {
                return;
            }
            let table = F::page(entry);
            // From the next entry on, around: when pages go in ascending order the first look finds the next one.
            let first = input.index(level).wrapping_add(1);
            if (0..ENTRIES).any(|i| mem.read(table, first.wrapping_add(i) % ENTRIES) != 0) {
                return;
            }
            mem.write(parent.table, parent.index, 0);
            frames.free(table);
        }
    }
}

/// Up to three frames, taken together or not at all.
struct Spare {
    frames: [Option<SpaPage>; 3],
    next: usize,
}

impl Spare {
    fn take(from: &mut impl FrameAllocator, count: u32) -> Result<Self, Error> {
        let mut spare = Self { frames: [None; 3], next: 0 };
        for slot in spare.frames.iter_mut().take(count as usize) {
            *slot = from.allocate();
        }
        if spare.frames.iter().flatten().count() == count as usize {
            return Ok(spare);
        }
        for frame in spare.frames.iter().flatten() {
            from.free(*frame);
        }
        Err(Error::OutOfFrames)
    }

    fn next(&mut self) -> Option<SpaPage> {
        let frame = self.frames.get(self.next).copied().flatten();
        self.next = self.next.saturating_add(1);
        frame
    }
}
