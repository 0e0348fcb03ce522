//! What is done on the loader's tables, while its identity map is there: the hand-off is read and changed, memory taken,
//! the hypervisor's own tables made. What is needed afterwards is copied, for the identity map goes.
#![expect(unsafe_code, reason = "reads ACPI tables and prepares pages through the loader's identity map")]

use core::fmt;

use handoff::{Framebuffer, HandOff, MAX_REGIONS, RegionKind};
use hv_abi::{Spa, SpaPage};
use paging::Error;

use crate::arch::acpi::{self, Facts};
use crate::arch::layout::{self, MAX_PROCESSORS, Stack};
use crate::arch::memory::frames::{self, Frames};
use crate::arch::memory::tables::{self, Builder};
use crate::arch::per_cpu::PerCpu;
use crate::arch::refusal::Refusal;
use crate::arch::{cpu, image, local_apic, log, trampoline, vendor};
use crate::root::RootEntry;

/// The loader's identity map reaches at least this far.
const IDENTITY: u64 = 4 << 30;

/// Why the hypervisor does not start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The processor.
    Refused(Refusal),
    /// The hand-off is of another version, or none.
    HandOff,
    /// Not enough memory, or the memory map is full.
    Memory,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::HandOff => f.write_str("the boot loader does not match this hypervisor"),
            Self::Memory => f.write_str("not enough memory for the hypervisor"),
        }
    }
}

impl From<Error> for Failure {
    fn from(_: Error) -> Self {
        Self::Memory
    }
}

/// Ranges of pages: first page, number.
pub type Ranges = heapless::Vec<(SpaPage, u64), MAX_REGIONS>;

/// What is left to do on the hypervisor's own tables, and with what.
#[derive(Debug)]
pub struct Plan {
    /// Root of the hypervisor's tables.
    pub tables: SpaPage,
    /// What ACPI says.
    pub facts: Facts,
    /// Processors to start, this one first.
    pub processors: usize,
    /// Free pages below 1 MiB for starting them.
    pub low: Option<SpaPage>,
    /// Pages of the hypervisor.
    pub frames: Frames,
    /// RAM of the root.
    pub ram: Ranges,
    /// Bytes of RAM in all.
    pub ram_bytes: u64,
    /// Where the root starts.
    pub root: RootEntry,
    /// The framebuffer's first byte in the hypervisor's tables.
    pub framebuffer: u64,
}

/// All of physical memory that the loader's identity map shows.
struct IdentityMap {
    end: u64,
}

impl acpi::Memory for IdentityMap {
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]> {
        if address == 0 || address.checked_add(length as u64)? > self.end {
            return None;
        }
        let first = core::ptr::with_exposed_provenance::<u8>(address as usize);
        // SAFETY: in the identity map; firmware's tables are in RAM that nobody writes now.
        Some(unsafe { core::slice::from_raw_parts(first, length) })
    }
}

/// Checks the processor; takes what the hypervisor keeps out of `hand_off`; makes the tables.
pub fn make(hand_off: &mut HandOff) -> Result<Plan, Failure> {
    if !hand_off.is_valid() {
        return Err(Failure::HandOff);
    }
    if log::framebuffer_bytes(&hand_off.framebuffer).saturating_add(hand_off.framebuffer.base) <= IDENTITY {
        // SAFETY: it is in the part of memory that every loader maps.
        unsafe { log::use_framebuffer(&hand_off.framebuffer) };
    }
    vendor::find().map_err(Failure::Refused)?;
    let base = hand_off.hypervisor.base;
    image::set_base(base);
    let ram = hand_off.regions().iter().filter(|region| region.kind != RegionKind::RESERVED);
    let ram_end = ram.map(|region| region.base.saturating_add(region.length)).max();
    let memory = IdentityMap { end: ram_end.unwrap_or(0).max(IDENTITY) };
    let facts = Facts::read(&memory, hand_off.rsdp);
    let processors = facts.processors().len().max(1);
    let ram_bytes = frames::ram(hand_off);
    let low = low_pages(hand_off);
    let image_end = base.saturating_add(tables::image_bytes());
    let mut frames = Frames::take(hand_off, image_end, processors).ok_or(Failure::Memory)?;
    let tables = map_all(&mut frames, base, &facts, processors, &hand_off.framebuffer)?;
    let root = RootEntry {
        rip: hand_off.root.entry,
        rsp: hand_off.root.stack,
        cr3: hand_off.root.page_table,
        rdi: core::ptr::from_ref(hand_off).expose_provenance() as u64,
    };
    let ram = root_ram(hand_off).collect();
    let framebuffer = layout::FRAMEBUFFER.wrapping_add(hand_off.framebuffer.base % 4096);
    Ok(Plan { tables, facts, processors, low, frames, ram, ram_bytes, root, framebuffer })
}

fn root_ram(hand_off: &HandOff) -> impl Iterator<Item = (SpaPage, u64)> {
    let is_root = |kind| kind != RegionKind::RESERVED && kind != RegionKind::HYPERVISOR;
    let regions = hand_off.regions().iter().filter(move |region| is_root(region.kind));
    regions.filter_map(|region| Some((SpaPage::new(region.base >> 12)?, region.length >> 12)))
}

/// The highest free pages below 640 KiB.
fn low_pages(hand_off: &HandOff) -> Option<SpaPage> {
    const LIMIT: u64 = 0xA0;
    let usable = hand_off.regions().iter().filter(|region| region.kind == RegionKind::USABLE);
    let first = usable.filter_map(|region| {
        let end = (region.base.saturating_add(region.length) >> 12).min(LIMIT);
        end.checked_sub(trampoline::PAGES).filter(|&first| first >= region.base >> 12 && first > 0)
    });
    first.max().and_then(SpaPage::new)
}

/// The image, the local APIC, the framebuffer, and each processor's pages.
fn map_all(
    frames: &mut Frames,
    base: u64,
    facts: &Facts,
    processors: usize,
    framebuffer: &Framebuffer,
) -> Result<SpaPage, Failure> {
    let base = Spa::new(base).ok_or(Failure::HandOff)?;
    let mut builder = Builder::new(frames, base)?;
    let apic = Spa::new(local_apic::base()).ok_or(Failure::HandOff)?.page();
    builder.map(layout::LOCAL_APIC, apic, tables::DEVICE)?;
    let pages = log::framebuffer_bytes(framebuffer).div_ceil(4096);
    for page in 0..if framebuffer.base == 0 { 0 } else { pages } {
        let spa = Spa::new(framebuffer.base).and_then(|base| base.checked_add(page << 12));
        let address = layout::FRAMEBUFFER.wrapping_add(page << 12);
        builder.map(address, spa.ok_or(Failure::HandOff)?.page(), tables::DEVICE)?;
    }
    for (number, apic_id) in in_order(facts, processors) {
        add_processor(&mut builder, number, apic_id)?;
    }
    Ok(builder.root())
}

/// The processors, this one first.
fn in_order(facts: &Facts, count: usize) -> impl Iterator<Item = (usize, u32)> {
    let [_, ebx, ..] = cpu::cpuid(1, 0);
    let listed = facts.processors();
    // Leaf 1 has the low 8 bits only.
    let own = listed.iter().copied().find(|id| id & 0xFF == ebx >> 24).unwrap_or(ebx >> 24);
    let others = listed.iter().copied().filter(move |&id| id != own);
    core::iter::once(own).chain(others).enumerate().take(count.min(MAX_PROCESSORS))
}

fn add_processor(builder: &mut Builder<'_>, number: usize, apic_id: u32) -> Result<(), Failure> {
    for stack in Stack::ALL {
        let bytes = stack.pages().wrapping_mul(4096);
        builder.fresh(stack.top(number).wrapping_sub(bytes), stack.pages())?;
    }
    let address = layout::processor_data(number);
    let page = builder.fresh(address, 1)?;
    let content = PerCpu::new(
        core::ptr::with_exposed_provenance(address as usize),
        number as u32,
        apic_id,
        builder.window(number)?,
        builder.page()?,
        builder.page()?,
    );
    let shown = core::ptr::with_exposed_provenance_mut::<PerCpu>(page.base().get() as usize);
    // SAFETY: the page was allocated just now, and the loader's identity map shows it.
    unsafe { shown.write(content) };
    Ok(())
}
