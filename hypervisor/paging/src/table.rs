//! Walk, map, unmap, protect, and the share count in the software bits.

use core::marker::PhantomData;

use hv_abi::{GpaPage, Gva, Hva, Spa, SpaPage};

use crate::{Attributes, ENTRIES, EntryFormat, Error, FrameAllocator, TableMemory};

/// The sizes of a page; also names the level at which leaves of that size are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PageSize {
    /// 4 KiB.
    Size4K,
    /// 2 MiB.
    Size2M,
    /// 1 GiB.
    Size1G,
}

impl PageSize {
    /// `log2` of its 4 KiB pages.
    pub const fn order(self) -> u32 {
        match self {
            Self::Size4K => 0,
            Self::Size2M => 9,
            Self::Size1G => 18,
        }
    }
    /// Its 4 KiB pages.
    pub const fn pages(self) -> u64 {
        1 << self.order()
    }
    const fn smaller(self) -> Self {
        match self {
            Self::Size1G => Self::Size2M,
            Self::Size2M | Self::Size4K => Self::Size4K,
        }
    }
}

/// The number of a page of the address space that a table translates: below 2³⁶ (48-bit addresses).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct InputPage(u64);

impl InputPage {
    /// One above the last.
    pub const END: u64 = 1 << 36;

    /// The page with this number.
    pub const fn new(number: u64) -> Option<Self> {
        if number < Self::END { Some(Self(number)) } else { None }
    }
    /// A guest page, when the table reaches that far.
    pub const fn from_gpa(page: GpaPage) -> Option<Self> {
        Self::new(page.get())
    }
    /// The page of a guest virtual address.
    pub const fn from_gva(address: Gva) -> Self {
        Self((address.get() >> 12) & (Self::END - 1))
    }
    /// The page of a virtual address of ours.
    pub const fn from_hva(address: Hva) -> Self {
        Self((address.get() >> 12) & (Self::END - 1))
    }
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
    /// Its index in the table of `level` (0: the last, 3: the root).
    const fn index(self, level: u32) -> usize {
        ((self.0 >> level.wrapping_mul(9)) & 511) as usize
    }
}

/// A mapping that was found or removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// First page.
    pub page: SpaPage,
    /// Size.
    pub size: PageSize,
    /// What it allows.
    pub attributes: Attributes,
    /// Its software bits.
    pub share_count: u32,
}

/// A table's root. Holds no memory: the owner frees the root page when [`PageTable::clear_some`] is done.
#[derive(Debug)]
pub struct PageTable<F> {
    root: SpaPage,
    format: PhantomData<F>,
}

impl<F> Clone for PageTable<F> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<F> Copy for PageTable<F> {}

/// Where an entry is.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) table: SpaPage,
    pub(crate) index: usize,
    pub(crate) level: u32,
}

pub(crate) const fn size_at(level: u32) -> PageSize {
    match level {
        0 => PageSize::Size4K,
        1 => PageSize::Size2M,
        _ => PageSize::Size1G,
    }
}

const fn level_of(size: PageSize) -> u32 {
    match size {
        PageSize::Size4K => 0,
        PageSize::Size2M => 1,
        PageSize::Size1G => 2,
    }
}

impl<F: EntryFormat> PageTable<F> {
    const SOFTWARE_MAX: u64 = (1 << F::SOFTWARE_BITS) - 1;

    /// A table that maps nothing.
    pub fn new(frames: &mut impl FrameAllocator) -> Result<Self, Error> {
        Ok(Self::from_root(frames.allocate().ok_or(Error::OutOfFrames)?))
    }
    /// The table whose root is in `root`.
    pub const fn from_root(root: SpaPage) -> Self {
        Self { root, format: PhantomData }
    }
    /// The page of the root.
    pub const fn root(&self) -> SpaPage {
        self.root
    }

    pub(crate) fn is_leaf(entry: u64, level: u32) -> bool {
        level < 3 && F::is_leaf(entry, size_at(level))
    }

    pub(crate) fn leaf_of(entry: u64, level: u32) -> Leaf {
        let size = size_at(level);
        // A large leaf's low address bits are attributes (PAT): mask them off.
        let base = F::page(entry).get() & size.pages().wrapping_neg();
        Leaf {
            page: SpaPage::new(base).unwrap_or_default(),
            size,
            attributes: F::attributes(entry),
            share_count: ((entry >> F::SOFTWARE_SHIFT) & Self::SOFTWARE_MAX) as u32,
        }
    }

    fn entry_of(leaf: Leaf) -> u64 {
        F::leaf(leaf.page, leaf.size, leaf.attributes)
            | (u64::from(leaf.share_count) & Self::SOFTWARE_MAX) << F::SOFTWARE_SHIFT
    }

    /// The place of the entry that decides about `input`, at `lowest` level or above: a leaf, an absent entry, or (at
    /// `lowest`) a pointer to a table.
    fn find(&self, mem: &mut impl TableMemory, input: InputPage, lowest: u32) -> (Place, u64) {
        let mut table = self.root;
        let mut level = 3;
        loop {
            let place = Place { table, index: input.index(level), level };
            let entry = mem.read(table, place.index);
            if level <= lowest || !F::is_present(entry) || Self::is_leaf(entry, level) {
                return (place, entry);
            }
            table = F::page(entry);
            level = level.saturating_sub(1);
        }
    }

    /// What `input` is mapped to.
    pub fn walk(&self, mem: &mut impl TableMemory, input: InputPage) -> Option<Leaf> {
        let (place, entry) = self.find(mem, input, 0);
        F::is_present(entry).then(|| Self::leaf_of(entry, place.level))
    }

    /// The page that `input` is mapped to, and what is allowed there.
    pub fn translate(&self, mem: &mut impl TableMemory, input: InputPage) -> Option<(SpaPage, Attributes)> {
        let leaf = self.walk(mem, input)?;
        let within = input.get() & leaf.size.pages().wrapping_sub(1);
        Some((leaf.page.checked_add(within)?, leaf.attributes))
    }

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
    fn place_for(
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

    /// Changes what the page of `size` at `input` allows; a larger page is split first.
    pub fn protect(
        &self,
        mem: &mut impl TableMemory,
        frames: &mut impl FrameAllocator,
        input: InputPage,
        size: PageSize,
        attributes: Attributes,
    ) -> Result<(), Error> {
        if input.get() & size.pages().wrapping_sub(1) != 0 {
            return Err(Error::Misaligned);
        }
        self.walk(mem, input).ok_or(Error::NotMapped)?;
        let (place, entry) = self.place_for(mem, frames, input, size)?;
        if !Self::is_leaf(entry, place.level) {
            return Err(Error::TableInTheWay);
        }
        let leaf = Leaf { attributes, ..Self::leaf_of(entry, place.level) };
        mem.write(place.table, place.index, Self::entry_of(leaf));
        Ok(())
    }

    /// Splits what maps `input` until it is not larger than `size`.
    pub fn split(
        &self,
        mem: &mut impl TableMemory,
        frames: &mut impl FrameAllocator,
        input: InputPage,
        size: PageSize,
    ) -> Result<(), Error> {
        self.walk(mem, input).ok_or(Error::NotMapped)?;
        self.place_for(mem, frames, input, size).map(|_| ())
    }

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

/// The address of a page's first byte, for those who write a register with it.
impl<F> From<PageTable<F>> for Spa {
    fn from(table: PageTable<F>) -> Self {
        table.root.base()
    }
}
