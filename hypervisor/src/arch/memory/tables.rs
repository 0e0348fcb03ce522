//! The hypervisor's own page tables, made from the hand-off: W^X, NX, no identity map, a guard page below each stack.
#![expect(unsafe_code, reason = "writes tables through the loader's identity map")]

use core::sync::atomic::{AtomicU64, Ordering};

use hv_abi::{Hva, Spa, SpaPage};
use paging::{
    Attributes, EntryFormat, Error, FrameAllocator, Host, InputPage, PageSize, PageTable, TableMemory,
};

use crate::address_space;
use crate::arch::memory::frames::Frames;

/// Bytes of a page.
const PAGE: u64 = 4096;
/// What data is.
pub const DATA: Attributes = Attributes::WRITE;

/// What registers and pixels of a device are.
pub const DEVICE: Attributes = Attributes::WRITE.union(Attributes::UNCACHED);

/// Tables while the loader's identity map is in use.
pub struct Identity;

fn entry_at(table: SpaPage, index: usize) -> &'static AtomicU64 {
    let address = table.base().get().wrapping_add((index as u64 % 512).wrapping_mul(8));
    let entry = core::ptr::with_exposed_provenance::<AtomicU64>(address as usize);
    // SAFETY: a table that this module allocated, in the loader's identity map; entries are only accessed atomically.
    unsafe { &*entry }
}

impl TableMemory for Identity {
    fn read(&mut self, table: SpaPage, index: usize) -> u64 {
        entry_at(table, index).load(Ordering::Relaxed)
    }
    fn write(&mut self, table: SpaPage, index: usize, entry: u64) {
        entry_at(table, index).store(entry, Ordering::Release);
    }
}

unsafe extern "C" {
    static image_start: u8;
    static image_rodata: u8;
    static image_data: u8;
    static image_end: u8;
}

/// Tables in the making.
pub struct Builder<'a> {
    table: PageTable<Host>,
    frames: &'a mut Frames,
}

impl<'a> Builder<'a> {
    /// Maps the image, whose first byte is at `base`, and prepares the regions.
    pub fn new(frames: &'a mut Frames, base: Spa) -> Result<Self, Error> {
        let mut this = Self { table: PageTable::new(frames)?, frames };
        this.image(base)?;
        this.regions()?;
        Ok(this)
    }

    /// The root of the tables.
    pub fn root(&self) -> SpaPage {
        self.table.root()
    }

    /// A page for the hypervisor's use that need not be mapped.
    pub fn page(&mut self) -> Result<SpaPage, Error> {
        self.frames.allocate().ok_or(Error::OutOfFrames)
    }

    /// Maps a page.
    pub fn map(&mut self, address: u64, page: SpaPage, attributes: Attributes) -> Result<(), Error> {
        let input = InputPage::from_hva(Hva::new(address).ok_or(Error::Misaligned)?);
        self.table.map(&mut Identity, self.frames, input, page, PageSize::Size4K, attributes).map(|_| ())
    }

    /// Maps fresh pages at `address` on, and says which is the first.
    pub fn fresh(&mut self, address: u64, pages: u64) -> Result<SpaPage, Error> {
        let mut first = None;
        for number in 0..pages {
            let page = self.page()?;
            self.map(address.wrapping_add(number.wrapping_mul(PAGE)), page, DATA)?;
            first.get_or_insert(page);
        }
        first.ok_or(Error::NotMapped)
    }

    /// Prepares a processor's window, with its table mapped beside it; where its entry is then.
    pub fn window(&mut self, processor: usize) -> Result<*const AtomicU64, Error> {
        let beside = address_space::window_table(processor);
        // Any page makes the table; then the table takes its place.
        let nothing = self.page()?;
        self.map(beside, nothing, DATA)?;
        let mut table = self.table.root();
        for shift in [39, 30, 21] {
            table = Host::page(Identity.read(table, (beside >> shift) as usize % 512));
        }
        self.map(beside, table, DATA)?;
        let index = (address_space::window(processor) >> 12) % 512;
        Ok(core::ptr::with_exposed_provenance(beside.wrapping_add(index.wrapping_mul(8)) as usize))
    }

    fn image(&mut self, base: Spa) -> Result<(), Error> {
        let [start, rodata, data, end] = sections();
        let sections =
            [(start, rodata, Attributes::EXECUTE), (rodata, data, Attributes::empty()), (data, end, DATA)];
        for (first, end, attributes) in sections {
            for address in (first..end).step_by(PAGE as usize) {
                let page = base.checked_add(address.wrapping_sub(start)).ok_or(Error::Misaligned)?.page();
                self.map(address, page, attributes)?;
            }
        }
        Ok(())
    }

    /// The tables above those of a region, so that a region's own come from and go to its owner.
    fn regions(&mut self) -> Result<(), Error> {
        const SLOTS: u64 = 2;
        for slot in 0..SLOTS {
            let table = self.page()?;
            let index = (address_space::REGIONS >> 39).wrapping_add(slot) % 512;
            Identity.write(self.table.root(), index as usize, Host::table(table));
        }
        Ok(())
    }
}

/// First byte of text, of read-only data, of data, and one above the last.
fn sections() -> [u64; 4] {
    [&raw const image_start, &raw const image_rodata, &raw const image_data, &raw const image_end]
        .map(|symbol| symbol.addr() as u64)
}

/// Bytes of the image in memory.
pub fn image_bytes() -> u64 {
    let [start, _, _, end] = sections();
    end.wrapping_sub(start)
}
