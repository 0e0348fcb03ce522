//! A table, what it translates, and what a walk finds.

use core::marker::PhantomData;

use hv_abi::{GpaPage, Gva, Hva, SpaPage};

use crate::{Attributes, EntryFormat, Error, FrameAllocator, TableMemory};

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
    pub(crate) const fn smaller(self) -> Self {
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
    pub(crate) const fn index(self, level: u32) -> usize {
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

pub(crate) const fn level_of(size: PageSize) -> u32 {
    match size {
        PageSize::Size4K => 0,
        PageSize::Size2M => 1,
        PageSize::Size1G => 2,
    }
}

impl<F: EntryFormat> PageTable<F> {
    pub(crate) const SOFTWARE_MAX: u64 = (1 << F::SOFTWARE_BITS) - 1;

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

    pub(crate) fn entry_of(leaf: Leaf) -> u64 {
        F::leaf(leaf.page, leaf.size, leaf.attributes)
            | (u64::from(leaf.share_count) & Self::SOFTWARE_MAX) << F::SOFTWARE_SHIFT
    }

    /// The place of the entry that decides about `input`, at `lowest` level or above: a leaf, an absent entry, or (at
    /// `lowest`) a pointer to a table.
    pub(crate) fn find(&self, mem: &mut impl TableMemory, input: InputPage, lowest: u32) -> (Place, u64) {
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
}
