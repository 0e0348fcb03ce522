//! What is done on the loader's tables, while its identity map is there: the hand-off is read, and the hypervisor's own
//! tables made. What is needed afterwards is copied, for the identity map goes.
#![expect(unsafe_code, reason = "prepares pages through the loader's identity map")]

use core::fmt;

use handoff::{Framebuffer, HandOff, MAX_PROCESSORS, MAX_REGIONS, Machine, RegionKind};
use hv_abi::{Spa, SpaPage};
use paging::Error;

use crate::address_space::{self, Stack};
use crate::arch::memory::frames::Frames;
use crate::arch::memory::tables::{self, Builder};
use crate::arch::per_cpu::PerCpu;
use crate::arch::{image, local_apic, log, vendor};
use crate::backend::Entry;
use extension::refusal::Refusal;

/// The loader's identity map reaches at least this far.
const IDENTITY: u64 = 4 << 30;

/// Why the hypervisor does not start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The processor.
    Refused(Refusal),
    /// The hand-off is of another version, or none.
    HandOff,
    /// Not enough memory.
    Memory,
    /// Nothing to measure time by.
    Clock,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::HandOff => f.write_str("the boot loader does not match this hypervisor"),
            Self::Memory => f.write_str("not enough memory for the hypervisor"),
            Self::Clock => f.write_str(
                "neither the PM timer nor the PIT runs, so the time stamp counter cannot be measured",
            ),
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
    /// The machine; its first processor is this one.
    pub machine: Machine,
    /// All that is the hypervisor's.
    pub owned: [(SpaPage, u64); 2],
    /// What of it is free.
    pub frames: Frames,
    /// RAM of the root.
    pub ram: Ranges,
    /// Bytes of RAM in all.
    pub ram_bytes: u64,
    /// Where the root starts.
    pub root: Entry,
    /// The framebuffer's first byte in the hypervisor's tables.
    pub framebuffer: u64,
}

const _: () = assert!(MAX_PROCESSORS == address_space::MAX_PROCESSORS);

/// Checks the processor and what the loader hands over; makes the tables.
pub fn make(hand_off: &HandOff) -> Result<Plan, Failure> {
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
    let machine = hand_off.machine;
    let (first, second) = (&hand_off.hypervisor, &hand_off.hypervisor_tables);
    if second.length == 0 {
        return Err(Failure::Memory);
    }
    if machine.tsc_hz == 0 {
        return Err(Failure::Clock);
    }
    let pages = |base, length| pages(base, length).ok_or(Failure::HandOff);
    let owned = [pages(first.base, first.length)?, pages(second.base, second.length)?];
    let mut frames = Frames::new(hand_off, tables::image_bytes());
    let tables = map_all(&mut frames, base, machine.processors(), &hand_off.framebuffer)?;
    let root = Entry {
        rip: hand_off.root.entry,
        rsp: hand_off.root.stack,
        cr3: hand_off.root.page_table,
        rdi: core::ptr::from_ref(hand_off).expose_provenance() as u64,
    };
    let (ram, ram_bytes) = (root_ram(hand_off).collect(), hand_off.ram_bytes());
    let framebuffer = address_space::FRAMEBUFFER.wrapping_add(hand_off.framebuffer.base % 4096);
    Ok(Plan { tables, machine, owned, frames, ram, ram_bytes, root, framebuffer })
}

/// Pages of these bytes.
fn pages(base: u64, length: u64) -> Option<(SpaPage, u64)> {
    Some((SpaPage::new(base >> 12)?, length >> 12))
}

fn root_ram(hand_off: &HandOff) -> impl Iterator<Item = (SpaPage, u64)> {
    let is_root = |kind| kind != RegionKind::RESERVED && kind != RegionKind::HYPERVISOR;
    let regions = hand_off.regions().iter().filter(move |region| is_root(region.kind));
    regions.filter_map(|region| pages(region.base, region.length))
}

/// The image, the local APIC, the framebuffer, and each processor's pages.
fn map_all(
    frames: &mut Frames,
    base: u64,
    processors: &[u32],
    framebuffer: &Framebuffer,
) -> Result<SpaPage, Failure> {
    let base = Spa::new(base).ok_or(Failure::HandOff)?;
    let mut builder = Builder::new(frames, base)?;
    let apic = Spa::new(local_apic::base()).ok_or(Failure::HandOff)?.page();
    builder.map(address_space::LOCAL_APIC, apic, tables::DEVICE)?;
    let pages = log::framebuffer_bytes(framebuffer).div_ceil(4096);
    for page in 0..if framebuffer.base == 0 { 0 } else { pages } {
        let spa = Spa::new(framebuffer.base).and_then(|base| base.checked_add(page << 12));
        let address = address_space::FRAMEBUFFER.wrapping_add(page << 12);
        builder.map(address, spa.ok_or(Failure::HandOff)?.page(), tables::DEVICE)?;
    }
    for (number, apic_id) in processors.iter().enumerate() {
        add_processor(&mut builder, number, *apic_id)?;
    }
    Ok(builder.root())
}

fn add_processor(builder: &mut Builder<'_>, number: usize, apic_id: u32) -> Result<(), Failure> {
    for stack in Stack::ALL {
        let bytes = stack.pages().wrapping_mul(4096);
        builder.fresh(stack.top(number).wrapping_sub(bytes), stack.pages())?;
    }
    let address = address_space::processor_data(number);
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
