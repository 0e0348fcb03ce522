//! From the loader's entry to the root partition.
#![expect(unsafe_code, reason = "the hand-off is named by its address, and the tables and the stack change")]

use core::arch::asm;

use handoff::{HandOff, Iommu};
use hv_abi::{HvStatus, Spa};
use spin::Once;

use crate::address_space::Stack;
use crate::arch::plan::{self, Failure, Plan};
use crate::arch::x86_machine::X86Machine;
use crate::arch::{cpu, exception, extended, log, processors, serial, vendor};
use crate::hypervisor::{BootInfo, Hypervisor};
use crate::say;

static MACHINE: X86Machine = X86Machine::new();
static HYPERVISOR: Hypervisor<X86Machine> = Hypervisor::new(&MACHINE);
static PLAN: Once<Plan> = Once::new();

/// Where the loader comes in: 64-bit mode, interrupts off, on its tables and stack.
///
/// # Safety
/// `hand_off` is a loader's.
pub unsafe fn enter(hand_off: *const HandOff) -> ! {
    cpu::mark::<{ cpu::marker::ENTRY }>();
    serial::init();
    exception::load();
    extended::init();
    // SAFETY: the loader's contract.
    match plan::make(unsafe { &*hand_off }) {
        Ok(plan) => leave_loader(PLAN.call_once(|| plan)),
        Err(failure) => refuse(&failure),
    }
}

fn refuse(failure: &Failure) -> ! {
    say!("Bulkhead: {failure}");
    cpu::stop()
}

/// Onto the hypervisor's own tables and stack, for good.
fn leave_loader(plan: &'static Plan) -> ! {
    // SAFETY: the tables map the image where it runs, and the stack; nothing of the loader's is used from here on.
    unsafe {
        asm!(
            "mov cr3, {tables}",
            "mov rsp, {stack}",
            "xor ebp, ebp",
            "call {next}",
            "ud2",
            tables = in(reg) plan.tables.base().get(),
            stack = in(reg) Stack::Run.top(0),
            next = sym start,
            options(noreturn),
        )
    }
}

extern "C" fn start() -> ! {
    let plan = PLAN.get().expect("made before the tables were changed");
    // SAFETY: the tables in use map all of it.
    unsafe { log::move_framebuffer(plan.framebuffer) };
    processors::set_up(0);
    let machine = &plan.machine;
    MACHINE.set(plan.tables, machine.tsc_hz, machine.processor_count);
    let startup = Spa::new(machine.startup).filter(|startup| startup.get() != 0);
    let online = startup.map_or(1, |startup| {
        processors::start_others(startup.page(), plan.tables, machine.processors().len(), machine.tsc_hz)
    });
    announce(plan, online);
    if let Err(status) = start_hypervisor(plan, online) {
        say!("Bulkhead: the root partition can not be made: status {:#x}", status.0);
        cpu::stop()
    }
    HYPERVISOR.run_root(0, plan.root)
}

/// Runs the root VP of this processor, for good, if the root has started it.
pub fn run_root_if_begun(processor: u32) {
    if let Some(entry) = HYPERVISOR.begin_root(processor) {
        HYPERVISOR.run_root(processor, entry)
    }
}

fn announce(plan: &Plan, online: usize) {
    const ROUND: u64 = 16 << 20;
    let mebibytes = plan.ram_bytes.next_multiple_of(ROUND) >> 20;
    let processors = if online == 1 { "processor" } else { "processors" };
    let iommu = match plan.machine.iommu {
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
    let all = plan.machine.processor_count.saturating_add(plan.machine.processors_left_out);
    let missing = (all as usize).saturating_sub(online);
    if missing > 0 {
        say!("Bulkhead: {missing} more processors did not start and are not used");
    }
}

fn start_hypervisor(plan: &Plan, online: usize) -> Result<(), HvStatus> {
    HYPERVISOR.start(BootInfo {
        ram: &plan.ram,
        hypervisor: &plan.owned,
        physical_bits: vendor::physical_bits(),
        gigabyte_pages: vendor::has_gigabyte_pages(),
        processors: online as u32,
        pages: &mut plan.frames.rest(),
    })
}
