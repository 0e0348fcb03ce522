//! Starting processors, and what each does when it has started.
#![expect(unsafe_code, reason = "control registers")]

use core::sync::atomic::Ordering;

use handoff::space::{self, Stack};
use hv_abi::SpaPage;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};

use crate::arch::local_apic::{self, Message};
use crate::arch::per_cpu::PerCpu;
use crate::arch::trampoline::Trampoline;
use crate::arch::{boot, cpu, descriptor, exception, extended, per_cpu, vendor};

/// Where a processor's own page is.
const fn address(processor: usize) -> *mut PerCpu {
    core::ptr::with_exposed_provenance_mut(space::processor_data(processor) as usize)
}

/// A processor's own page.
pub fn page(processor: usize) -> &'static PerCpu {
    // SAFETY: pages of all processors that there are were prepared at boot and stay mapped.
    unsafe { &*address(processor) }
}

/// Fills the page of a processor that has not started, or of this one. It takes two of the `free` pages, of which the
/// loader leaves more than that for each.
pub fn prepare(processor: usize, apic_id: u32, free: &mut impl Iterator<Item = SpaPage>) {
    let mut page = || free.next().expect("the loader leaves some for each processor");
    let content = PerCpu::new(processor, apic_id, page(), page());
    // SAFETY: the loader mapped it for this; nobody looks at it yet.
    unsafe { address(processor).write(content) };
}

/// Loads this processor's segments and exceptions. Before this none may come: the loader's segments are not mapped any more.
pub fn load_tables(processor: usize) {
    let this = address(processor);
    // SAFETY: this processor's own page; nobody else looks at the tables in it, and they are filled once.
    let gdt = unsafe { &mut (*this).gdt };
    // SAFETY: as above.
    let tss = unsafe { &mut (*this).tss };
    let selectors = descriptor::fill(gdt, tss, processor);
    descriptor::load(gdt, selectors);
    // SAFETY: the page's address is what GS is for; loading the selector cleared it.
    unsafe { cpu::wrmsr(cpu::GS_BASE, space::processor_data(processor)) };
    exception::load();
}

/// Sets up this processor, whose tables are loaded: its control registers, and the vendor's extension.
pub fn set_up(processor: usize) {
    set_control_registers();
    vendor::on_this_processor(page(processor));
}

fn set_control_registers() {
    let mut cr0 = Cr0::read_raw() & !(Cr0Flags::EMULATE_COPROCESSOR | Cr0Flags::TASK_SWITCHED).bits();
    cr0 &= !(Cr0Flags::CACHE_DISABLE | Cr0Flags::NOT_WRITE_THROUGH).bits();
    cr0 |= (Cr0Flags::WRITE_PROTECT | Cr0Flags::NUMERIC_ERROR | Cr0Flags::MONITOR_COPROCESSOR).bits();
    // SAFETY: paging and protection stay on.
    unsafe { Cr0::write_raw(cr0) };
    const SMEP: u32 = 1 << 7;
    const SMAP: u32 = 1 << 20;
    let [_, features, ..] = cpu::cpuid(7, 0);
    let mut cr4 = Cr4Flags::MACHINE_CHECK_EXCEPTION
        | Cr4Flags::PHYSICAL_ADDRESS_EXTENSION
        | Cr4Flags::OSFXSR
        | Cr4Flags::OSXMMEXCPT_ENABLE;
    cr4.set(Cr4Flags::OSXSAVE, extended::has_xsave());
    cr4.set(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION, features & SMEP != 0);
    cr4.set(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION, features & SMAP != 0);
    // SAFETY: the features exist; no page of the hypervisor's is a user page.
    unsafe { Cr4::write(cr4) };
}

/// Where a started processor arrives, on its stack.
pub extern "C" fn main(processor: u64) -> ! {
    load_tables(processor as usize);
    set_up(processor as usize);
    per_cpu::this().online.store(true, Ordering::Release);
    // The root may not use this processor yet, or ever. An NMI ends each HLT.
    loop {
        boot::run_root_if_begun(per_cpu::this().index);
        cpu::wait();
    }
}

/// Starts all processors but this, with the trampoline at `low`; how many are online. INIT to all of them, 10 ms, then
/// SIPI twice to one after the other (APM vol. 2, 15.27 and 16.5).
pub fn start_others(low: SpaPage, root: SpaPage, count: usize, tsc_hz: u64) -> usize {
    let others = (1..count).map(|number| (number, page(number)));
    let trampoline = Trampoline::new(low, root);
    let millisecond = tsc_hz / 1000;
    for (_, processor) in others.clone() {
        local_apic::send(processor.apic_id, Message::Init);
    }
    wait_for(millisecond.wrapping_mul(10), || false);
    let mut online = 1_usize;
    for (number, processor) in others {
        trampoline.prepare(number as u64, Stack::Run.top(number));
        if start(processor, trampoline.page(), millisecond) {
            online = online.saturating_add(1);
        }
    }
    trampoline.remove();
    online
}

/// SIPI. One that is not there costs two seconds; one of QEMU's may need them, where 64 share two of a host's.
fn start(processor: &PerCpu, page: u8, millisecond: u64) -> bool {
    let online = || processor.online.load(Ordering::Acquire);
    for patience in [1, 2000] {
        local_apic::send(processor.apic_id, Message::Startup(page));
        if wait_for(millisecond.wrapping_mul(patience), online) {
            return true;
        }
    }
    // Should it start after all it would find its code gone, and run what is there then outside of any partition.
    local_apic::send(processor.apic_id, Message::Init);
    false
}

/// Waits until `done`, for `ticks` at most.
fn wait_for(ticks: u64, done: impl Fn() -> bool) -> bool {
    let start = cpu::rdtsc();
    while cpu::rdtsc().wrapping_sub(start) < ticks {
        if done() {
            return true;
        }
        cpu::pause();
    }
    done()
}
