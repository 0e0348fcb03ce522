//! Entry formats: the host's and AMD's nested tables (APM vol. 2, 5.3 and 15.25), and Intel's EPT (SDM vol. 3C, 30.3).

use bitflags::bitflags;
use hv_abi::{Spa, SpaPage};

use crate::table::PageSize;

bitflags! {
    /// What a mapping allows. Mapped means readable.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Attributes: u8 {
        /// May be written.
        const WRITE = 1 << 0;
        /// May be executed.
        const EXECUTE = 1 << 1;
        /// At CPL 3 too (host format; second-level tables ignore it).
        const USER = 1 << 2;
        /// Survives a change of CR3 (host format).
        const GLOBAL = 1 << 3;
        /// Not cached.
        const UNCACHED = 1 << 4;
        /// Cached as the processor's range registers say, or not at all where these do not count (EPT).
        const DEVICE = 1 << 5;
    }
}

/// The bits of an entry. An entry of 0 is absent in every format.
pub trait EntryFormat {
    /// First software bit of a leaf.
    const SOFTWARE_SHIFT: u32;
    /// Number of software bits of a leaf, consecutive.
    const SOFTWARE_BITS: u32;

    /// The entry that maps `page`.
    fn leaf(page: SpaPage, size: PageSize, attributes: Attributes) -> u64;
    /// The entry that points to a table. It restricts nothing: the leaf decides.
    fn table(page: SpaPage) -> u64;
    /// Does it map or point to anything?
    fn is_present(entry: u64) -> bool;
    /// At a level where leaves of `size` are, does a present entry map (not point to a table)?
    fn is_leaf(entry: u64, size: PageSize) -> bool {
        size == PageSize::Size4K || entry & LARGE != 0
    }
    /// What a present leaf allows.
    fn attributes(entry: u64) -> Attributes;
    /// The page of a present entry.
    fn page(entry: u64) -> SpaPage {
        Spa::new(entry & ADDRESS).map(Spa::page).unwrap_or_default()
    }
}

const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
/// PS in both vendors' formats: the entry maps a large page.
const LARGE: u64 = 1 << 7;

const fn large(size: PageSize) -> u64 {
    match size {
        PageSize::Size4K => 0,
        PageSize::Size2M | PageSize::Size1G => LARGE,
    }
}

const fn bit(on: bool, mask: u64) -> u64 {
    if on { mask } else { 0 }
}

/// P.
const PRESENT: u64 = 1 << 0;
/// R/W.
const WRITABLE: u64 = 1 << 1;
/// U/S.
const USER: u64 = 1 << 2;
/// PWT and PCD: uncacheable whatever the PAT's other entries say.
const UNCACHED: u64 = 0b11 << 3;
/// A and D: set from the start, so that the processor never writes to a table.
const ACCESSED_DIRTY: u64 = 0b11 << 5;
/// G.
const GLOBAL: u64 = 1 << 8;
/// NX.
const NO_EXECUTE: u64 = 1 << 63;

fn x86_leaf(page: SpaPage, size: PageSize, a: Attributes) -> u64 {
    page.base().get()
        | PRESENT
        | ACCESSED_DIRTY
        | large(size)
        | bit(a.contains(Attributes::WRITE), WRITABLE)
        | bit(a.contains(Attributes::USER), USER)
        | bit(a.contains(Attributes::UNCACHED), UNCACHED)
        | bit(a.contains(Attributes::GLOBAL), GLOBAL)
        | bit(!a.contains(Attributes::EXECUTE), NO_EXECUTE)
}

fn x86_attributes(entry: u64) -> Attributes {
    let mut a = Attributes::empty();
    a.set(Attributes::WRITE, entry & WRITABLE != 0);
    a.set(Attributes::USER, entry & USER != 0);
    a.set(Attributes::UNCACHED, entry & UNCACHED != 0);
    a.set(Attributes::GLOBAL, entry & GLOBAL != 0);
    a.set(Attributes::EXECUTE, entry & NO_EXECUTE == 0);
    a
}

/// The processor's own long-mode tables.
#[derive(Clone, Copy, Debug)]
pub enum Host {}

impl EntryFormat for Host {
    const SOFTWARE_SHIFT: u32 = 52;
    const SOFTWARE_BITS: u32 = 7;
    fn leaf(page: SpaPage, size: PageSize, attributes: Attributes) -> u64 {
        x86_leaf(page, size, attributes)
    }
    fn table(page: SpaPage) -> u64 {
        page.base().get() | PRESENT | WRITABLE | USER | (1 << 5)
    }
    fn is_present(entry: u64) -> bool {
        entry & PRESENT != 0
    }
    fn attributes(entry: u64) -> Attributes {
        x86_attributes(entry)
    }
}

/// AMD's nested tables: long-mode tables in which each access counts as the user's (APM vol. 2, 15.25.5).
#[derive(Clone, Copy, Debug)]
pub enum Npt {}

impl EntryFormat for Npt {
    const SOFTWARE_SHIFT: u32 = 52;
    const SOFTWARE_BITS: u32 = 7;
    fn leaf(page: SpaPage, size: PageSize, attributes: Attributes) -> u64 {
        x86_leaf(page, size, attributes.difference(Attributes::GLOBAL).union(Attributes::USER))
    }
    fn table(page: SpaPage) -> u64 {
        Host::table(page)
    }
    fn is_present(entry: u64) -> bool {
        entry & PRESENT != 0
    }
    fn attributes(entry: u64) -> Attributes {
        x86_attributes(entry).difference(Attributes::USER)
    }
}

/// Intel's extended page tables.
#[derive(Clone, Copy, Debug)]
pub enum Ept {}

/// R, W, X.
const EPT_READ: u64 = 1 << 0;
const EPT_WRITE: u64 = 1 << 1;
const EPT_EXECUTE: u64 = 1 << 2;
/// Memory type write-back; 0 is uncacheable.
const EPT_WRITE_BACK: u64 = 6 << 3;
const EPT_MEMORY_TYPE: u64 = 7 << 3;

impl EntryFormat for Ept {
    const SOFTWARE_SHIFT: u32 = 52;
    const SOFTWARE_BITS: u32 = 5;
    fn leaf(page: SpaPage, size: PageSize, a: Attributes) -> u64 {
        page.base().get()
            | EPT_READ
            | large(size)
            | bit(a.contains(Attributes::WRITE), EPT_WRITE)
            | bit(a.contains(Attributes::EXECUTE), EPT_EXECUTE)
            | bit(!a.intersects(Attributes::UNCACHED.union(Attributes::DEVICE)), EPT_WRITE_BACK)
    }
    fn table(page: SpaPage) -> u64 {
        page.base().get() | EPT_READ | EPT_WRITE | EPT_EXECUTE
    }
    fn is_present(entry: u64) -> bool {
        entry & (EPT_READ | EPT_WRITE | EPT_EXECUTE) != 0
    }
    fn attributes(entry: u64) -> Attributes {
        let mut a = Attributes::empty();
        a.set(Attributes::WRITE, entry & EPT_WRITE != 0);
        a.set(Attributes::EXECUTE, entry & EPT_EXECUTE != 0);
        a.set(Attributes::UNCACHED, entry & EPT_MEMORY_TYPE == 0);
        a
    }
}
