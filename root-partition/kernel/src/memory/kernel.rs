//! The kernel's half of every address space.
#![expect(unsafe_code, reason = "page tables are reached through maps of physical memory")]

use super::{DIRECT_MAP, LARGE_PAGE_SIZE, PAGE_SIZE};
use handoff::{HandOff, Region, RegionKind};
use hv_abi::{Gva, Spa, SpaPage};
use paging::{Attributes, FrameAllocator, Host, InputPage, PageSize, PageTable, TableMemory};

/// Tables, `offset` above their physical addresses.
pub(super) struct TablesAt {
    pub(super) offset: u64,
}

impl TablesAt {
    fn entry(&self, table: SpaPage, index: usize) -> *mut u64 {
        let address = self.offset + table.base().get() + (index % paging::ENTRIES * 8) as u64;
        core::ptr::with_exposed_provenance_mut(address as usize)
    }
}

impl TableMemory for TablesAt {
    fn read(&mut self, table: SpaPage, index: usize) -> u64 {
        // SAFETY: an entry of a table of ours, which is mapped at `offset`.
        unsafe { self.entry(table, index).read_volatile() }
    }
    fn write(&mut self, table: SpaPage, index: usize, entry: u64) {
        // SAFETY: as above; nothing refers to tables but through this.
        unsafe { self.entry(table, index).write_volatile(entry) }
    }
}

/// Takes zeroed frames off the end of a region before the allocator of frames is up, on the loader's identity map.
pub(crate) struct EarlyFrames<'a> {
    hand_off: &'a mut HandOff,
}

impl EarlyFrames<'_> {
    /// Takes `length` bytes, whole pages, from the end of the largest usable region.
    pub(crate) fn take(&mut self, length: u64) -> Option<u64> {
        let count = self.hand_off.region_count as usize;
        let regions = self.hand_off.regions.get_mut(..count)?;
        let usable = regions.iter_mut().filter(|region| region.kind == RegionKind::USABLE);
        let region: &mut Region =
            usable.filter(|r| r.base + r.length <= 4 << 30).max_by_key(|region| region.length)?;
        region.length = region.length.checked_sub(length)?;
        let address = region.base + region.length;
        let memory = core::ptr::with_exposed_provenance_mut::<u8>(address as usize);
        // SAFETY: free RAM, identity-mapped by the loader.
        unsafe { memory.write_bytes(0, length as usize) };
        Some(address)
    }
}

impl FrameAllocator for EarlyFrames<'_> {
    fn allocate(&mut self) -> Option<SpaPage> {
        Spa::new(self.take(PAGE_SIZE as u64)?).map(Spa::page)
    }
    fn free(&mut self, _page: SpaPage) {}
}

/// The image's parts by the linker: address, end, what they allow.
fn image_parts() -> [(u64, u64, Attributes); 3] {
    unsafe extern "C" {
        static kernel_start: u8;
        static kernel_text_end: u8;
        static kernel_rodata_end: u8;
        static kernel_end: u8;
    }
    let [start, text_end, rodata_end, end] = [
        &raw const kernel_start,
        &raw const kernel_text_end,
        &raw const kernel_rodata_end,
        &raw const kernel_end,
    ]
    .map(|symbol| symbol.addr() as u64);
    [
        (start, text_end, Attributes::EXECUTE),
        (text_end, rodata_end, Attributes::empty()),
        (rodata_end, end, Attributes::WRITE),
    ]
}

/// What the kernel could not be mapped for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoMemory;

/// Builds the kernel's tables on the loader's: the image (but for the `guards`), and RAM at [`DIRECT_MAP`]. Takes the
/// memory for it, and `extra` bytes more, out of the usable regions; the root table and the address of the extra.
pub(crate) fn build(
    hand_off: &mut HandOff,
    guards: &[u64],
    extra: u64,
) -> Result<(PageTable<Host>, u64), NoMemory> {
    let image = hand_off.root;
    let regions = hand_off.regions;
    let count = hand_off.region_count as usize;
    let mut frames = EarlyFrames { hand_off };
    let mut memory = TablesAt { offset: 0 };
    let extra = frames.take(extra.next_multiple_of(PAGE_SIZE as u64)).ok_or(NoMemory)?;
    let table = PageTable::<Host>::new(&mut frames).map_err(|_| NoMemory)?;
    for (start, end, attributes) in image_parts() {
        for address in (start..end).step_by(PAGE_SIZE).filter(|address| !guards.contains(address)) {
            let physical = image.base + (address - image.virtual_base);
            map(&table, &mut memory, &mut frames, address, physical, PageSize::Size4K, attributes)?;
        }
    }
    for region in regions.iter().take(count) {
        if matches!(
            region.kind,
            RegionKind::USABLE | RegionKind::LOADER | RegionKind::ACPI | RegionKind::ROOT_IMAGE
        ) {
            map_ram(&table, &mut memory, &mut frames, region)?;
        }
    }
    Ok((table, extra))
}

fn map_ram(
    table: &PageTable<Host>,
    memory: &mut TablesAt,
    frames: &mut EarlyFrames<'_>,
    region: &Region,
) -> Result<(), NoMemory> {
    const LARGE: u64 = LARGE_PAGE_SIZE as u64;
    let (mut at, end) = (region.base, region.base + region.length);
    while at < end {
        let size = if at % LARGE == 0 && end - at >= LARGE { PageSize::Size2M } else { PageSize::Size4K };
        map(table, memory, frames, DIRECT_MAP + at, at, size, Attributes::WRITE)?;
        at += size.pages() * PAGE_SIZE as u64;
    }
    Ok(())
}

fn map(
    table: &PageTable<Host>,
    memory: &mut TablesAt,
    frames: &mut EarlyFrames<'_>,
    address: u64,
    physical: u64,
    size: PageSize,
    attributes: Attributes,
) -> Result<(), NoMemory> {
    let input = InputPage::from_gva(Gva::new(address).ok_or(NoMemory)?);
    let page = Spa::new(physical).ok_or(NoMemory)?.page();
    let attributes = attributes.union(Attributes::GLOBAL);
    table.map(memory, frames, input, page, size, attributes).map(|_| ()).map_err(|_| NoMemory)
}
