//! The machine seam on x86-64.

use core::ptr::NonNull;

use hv_abi::SpaPage;
use paging::FrameAllocator;
use spin::Once;

use crate::arch::local_apic::{self, Message};
use crate::arch::memory::regions::{self, Regions};
use crate::arch::memory::window;
use crate::arch::x86_processor::X86Processor;
use crate::arch::{cpu, per_cpu, processors, traces, vendor};
use crate::machine::{Machine, Page};
use extension::hidden::without_extensions;
use extension::traces::Traces;

/// What was found out about it at boot.
struct Found {
    regions: Regions,
    tsc_hz: u64,
    processors: u32,
}

/// The machine: one, in a `static`.
pub struct X86Machine {
    found: Once<Found>,
}

impl X86Machine {
    /// Before boot.
    pub const fn new() -> Self {
        Self { found: Once::new() }
    }

    /// Remembers what was found: the root of the hypervisor's tables, the frequency, the processors that run.
    pub fn set(&self, tables: SpaPage, tsc_hz: u64, processors: u32) {
        self.found.call_once(|| Found { regions: Regions::new(tables), tsc_hz, processors });
    }

    #[inline]
    fn found(&self) -> &Found {
        self.found.get().expect("set at boot, before anything else can call")
    }

    fn send(&self, processor: u32, message: Message) {
        if processor < self.found().processors {
            local_apic::send(processors::page(processor as usize).apic_id, message);
        }
    }
}

impl Machine for X86Machine {
    type Backend = X86Processor;

    #[inline]
    fn with_page<R>(&self, page: SpaPage, f: impl FnOnce(&Page) -> R) -> R {
        window::with_page(page, f)
    }

    fn map_object(
        &self,
        region: u32,
        index: u32,
        page: SpaPage,
        frames: &mut dyn FrameAllocator,
    ) -> Option<NonNull<Page>> {
        let address = self.found().regions.map(region, index, page, frames)?;
        NonNull::new(core::ptr::with_exposed_provenance_mut(address.get() as usize))
    }

    fn unmap_object(&self, region: u32, index: u32) -> Option<SpaPage> {
        self.found().regions.unmap(region, index)
    }

    fn release_region(&self, region: u32, frames: &mut dyn FnMut(SpaPage)) {
        self.found().regions.release(region, frames);
    }

    fn catch_up(&self) {
        regions::catch_up();
    }

    #[inline]
    fn tsc(&self) -> u64 {
        cpu::rdtsc()
    }

    #[inline]
    fn guest_mode_ticks(&self) -> u64 {
        per_cpu::this().guest_mode_ticks.get()
    }

    #[inline]
    fn tsc_hz(&self) -> u64 {
        self.found().tsc_hz
    }

    #[inline]
    fn processor(&self) -> u32 {
        per_cpu::this().index
    }

    fn kick(&self, processor: u32) {
        if processor != self.processor() {
            self.send(processor, Message::Nmi);
        }
    }

    #[inline]
    fn clear(&self, traces: Traces) {
        traces::clear(traces);
    }

    fn interrupt_root(&self, processor: u32, vector: u8) {
        self.send(processor, Message::Fixed(vector));
    }

    fn has_apic_assist(&self) -> bool {
        vendor::has_apic_assist()
    }

    #[inline]
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        without_extensions(leaf, cpu::cpuid(leaf, subleaf))
    }

    fn fatal(&self, why: &'static str) -> ! {
        panic!("{why}")
    }
}
