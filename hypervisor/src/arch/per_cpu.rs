//! What belongs to one processor: its tables, its window, its place in the list. GS points to it.
#![expect(unsafe_code, reason = "GS names the processor's own page")]

use core::arch::asm;
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU64};

use handoff::space;
use hv_abi::SpaPage;

use crate::arch::descriptor::{Gdt, Tss};
use extension::asid::Asids;

/// A processor's own page. Others see only the atomics and what never changes once it was made.
#[repr(C)]
pub struct PerCpu {
    /// Its own address, at GS:0.
    this: *const Self,
    /// Number: the index of its root VP.
    pub index: u32,
    /// Id of its local APIC.
    pub apic_id: u32,
    /// The entry of its window.
    pub window_entry: *const AtomicU64,
    /// The page with the state that VMLOAD gives back to the hypervisor.
    pub host_state: SpaPage,
    /// What the processor saves at VMRUN, or VMXON's region.
    pub host_save: SpaPage,
    /// The current control structure of VT-x; 0: none.
    pub vmcs: Cell<u64>,
    /// Address-space identifiers.
    pub asids: Asids,
    /// Changes of the hypervisor's own address space that this processor has seen.
    pub flushes_seen: Cell<u64>,
    /// Ticks of the time stamp counter in guest mode; in guest mode, less its value at the entry. The world switch keeps
    /// it.
    pub guest_mode_ticks: Cell<u64>,
    /// An NMI came while the hypervisor ran: no guest is entered before somebody has looked.
    pub kicked: AtomicBool,
    /// It has started.
    pub online: AtomicBool,
    /// Segments.
    pub gdt: Gdt,
    /// Stacks for exceptions.
    pub tss: Tss,
}

const _: () = assert!(size_of::<PerCpu>() <= 4096 && core::mem::offset_of!(PerCpu, this) == 0);

// SAFETY: what is not atomic is written before the processor starts, or by that processor alone.
unsafe impl Sync for PerCpu {}

impl PerCpu {
    /// The page's content for a processor, with two pages for its own use.
    pub fn new(processor: usize, apic_id: u32, host_state: SpaPage, host_save: SpaPage) -> Self {
        Self {
            this: core::ptr::with_exposed_provenance(space::processor_data(processor) as usize),
            index: processor as u32,
            apic_id,
            window_entry: core::ptr::with_exposed_provenance(space::window_entry(processor) as usize),
            host_state,
            host_save,
            vmcs: Cell::new(0),
            asids: Asids::new(),
            flushes_seen: Cell::new(0),
            guest_mode_ticks: Cell::new(0),
            kicked: AtomicBool::new(false),
            online: AtomicBool::new(false),
            gdt: Gdt::empty(),
            tss: Tss::new(),
        }
    }
}

/// This processor's page.
#[inline]
pub fn this() -> &'static PerCpu {
    let address: *const PerCpu;
    // SAFETY: GS points to the page from before anything calls this; the page holds its own address first.
    unsafe { asm!("mov {}, gs:[0]", out(reg) address, options(nostack, preserves_flags, readonly)) };
    // SAFETY: the page stays mapped for good.
    unsafe { &*address }
}
