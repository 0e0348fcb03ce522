//! From the loader's entry to the root partition.
#![expect(unsafe_code, reason = "the hand-off is named by its address, and the tables and the stack change")]

use core::arch::asm;
use core::fmt::Display;

use handoff::space::{self, Stack};
use handoff::{HandOff, Iommu, MAX_PROCESSORS, MAX_REGIONS, Region, RegionKind};
use hv_abi::{HvStatus, Spa, SpaPage};

use crate::arch::x86_machine::X86Machine;
use crate::arch::{cpu, extended, image, log, processors, serial, traces, vendor};
use crate::backend::Entry;
use crate::hypervisor::{BootInfo, Hypervisor};
use crate::say;

static MACHINE: X86Machine = X86Machine::new();
static HYPERVISOR: Hypervisor<X86Machine> = Hypervisor::new(&MACHINE);

/// Where the loader comes in: 64-bit mode, interrupts off, on its tables and stack. Leaves these for good.
///
/// # Safety
/// `given` is a loader's.
pub unsafe fn enter(given: *const HandOff) -> ! {
    cpu::mark::<{ cpu::marker::ENTRY }>();
    serial::init();
    // SAFETY: the loader's contract.
    let hand_off = unsafe { &*given };
    if !hand_off.is_valid() {
        refuse("the boot loader does not match this hypervisor");
    }
    if hand_off.hypervisor_tables.length == 0 {
        refuse("not enough memory for the hypervisor");
    }
    // SAFETY: the tables map the image where it runs, and the stack; nothing of the loader's is used from here on.
    unsafe {
        asm!(
            "mov cr3, {tables}",
            "mov rsp, {stack}",
            "xor ebp, ebp",
            "call {next}",
            "ud2",
            tables = in(reg) hand_off.hypervisor_space,
            stack = in(reg) Stack::Run.top(0),
            next = sym start,
            in("rdi") given,
            options(noreturn),
        )
    }
}

fn refuse(why: impl Display) -> ! {
    say!("Bulkhead: {why}");
    cpu::stop()
}

/// On the hypervisor's own tables and stack. `given`: where the root finds what the loader handed over.
extern "C" fn start(given: u64) -> ! {
    let copy = core::ptr::with_exposed_provenance::<HandOff>(space::HAND_OFF as usize);
    // SAFETY: the loader mapped it there for good; nobody writes it.
    let hand_off = unsafe { &*copy };
    let machine = &hand_off.machine;
    let Region { base, length, .. } = hand_off.hypervisor_tables;
    let mut free = (base >> 12..base.saturating_add(length) >> 12).filter_map(SpaPage::new);
    for (number, apic_id) in machine.processors().iter().enumerate() {
        processors::prepare(number, *apic_id, &mut free);
    }
    processors::load_tables(0);
    extended::init();
    // SAFETY: the loader mapped it.
    unsafe { log::use_framebuffer(&hand_off.framebuffer) };
    image::set_base(hand_off.hypervisor.base);
    if let Err(refusal) = vendor::find() {
        refuse(refusal);
    }
    traces::find();
    if machine.tsc_hz == 0 {
        refuse("neither the PM timer nor the PIT runs, so the time stamp counter cannot be measured");
    }
    processors::set_up(0);
    let tables = Spa::new(hand_off.hypervisor_space).unwrap_or_default().page();
    MACHINE.set(tables, machine.tsc_hz, machine.processor_count);
    let startup = Spa::new(machine.startup).filter(|startup| startup.get() != 0);
    let online = startup.map_or(1, |startup| {
        processors::start_others(startup.page(), tables, machine.processors().len(), machine.tsc_hz)
    });
    announce(hand_off, online);
    if let Err(status) = start_hypervisor(hand_off, online, &mut free) {
        refuse(format_args!("the root partition can not be made: status {:#x}", status.0));
    }
    let root = &hand_off.root;
    HYPERVISOR.run_root(0, Entry { rip: root.entry, rsp: root.stack, cr3: root.page_table, rdi: given })
}

/// Runs the root VP of this processor, for good, if the root has started it.
pub fn run_root_if_begun(processor: u32) {
    if let Some(entry) = HYPERVISOR.begin_root(processor) {
        HYPERVISOR.run_root(processor, entry)
    }
}

fn announce(hand_off: &HandOff, online: usize) {
    const ROUND: u64 = 16 << 20;
    let mebibytes = hand_off.ram_bytes().next_multiple_of(ROUND) >> 20;
    let processors = if online == 1 { "processor" } else { "processors" };
    let iommu = match hand_off.machine.iommu {
        Iommu::VT_D => "VT-d, not used yet",
        Iommu::AMD_VI => "AMD-Vi, not used yet",
        _ => "none",
    };
    say!(
        "Bulkhead {} | {}, NX | {online} {processors} | {mebibytes} MiB | \
         IOMMU: {iommu}, DMA is not contained",
        env!("CARGO_PKG_VERSION"),
        vendor::name(),
    );
    let missing = (hand_off.machine.processor_count as usize).saturating_sub(online);
    if missing > 0 {
        say!("Bulkhead: {missing} more processors did not start: they are not used, and not contained");
    }
    if hand_off.machine.processors_left_out > 0 {
        let beyond = hand_off.machine.processors_left_out;
        say!(
            "Bulkhead: {beyond} more processors are not used: there can be {MAX_PROCESSORS}, and they are not contained"
        );
    }
}

fn start_hypervisor(
    hand_off: &HandOff,
    online: usize,
    pages: &mut dyn Iterator<Item = SpaPage>,
) -> Result<(), HvStatus> {
    let is_root = |kind| kind != RegionKind::RESERVED && kind != RegionKind::HYPERVISOR;
    HYPERVISOR.start(BootInfo {
        ram: &ranges(hand_off, is_root),
        hypervisor: &ranges(hand_off, |kind| kind == RegionKind::HYPERVISOR),
        physical_bits: vendor::physical_bits(),
        gigabyte_pages: vendor::has_gigabyte_pages(),
        processors: online as u32,
        pages,
    })
}

/// First page and number of pages of what is of some kinds.
fn ranges(hand_off: &HandOff, of: impl Fn(RegionKind) -> bool) -> heapless::Vec<(SpaPage, u64), MAX_REGIONS> {
    let regions = hand_off.regions().iter().filter(|region| of(region.kind));
    regions.filter_map(|region| Some((SpaPage::new(region.base >> 12)?, region.length >> 12))).collect()
}
