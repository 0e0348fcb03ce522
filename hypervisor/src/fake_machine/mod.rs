//! A machine in the host's memory, for tests and fuzzers.
//!
//! Physical memory is a memory file; the hypervisor's address space is a reservation into which pages of the file are
//! really mapped and really unmapped again, so that a use of what is gone faults, and the two views of a page agree.
#![cfg_attr(not(test), expect(clippy::arithmetic_side_effects, reason = "a test may end where it is wrong"))]

extern crate std;

mod backend;
mod bytes;
mod caller;
mod memory;

pub use backend::{FakeBackend, Step, end_script, script};
pub use bytes::{check, feed};
pub use caller::{Root, guest_call};
pub use memory::FakeMemory;

use core::cell::Cell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::boxed::Box;
use std::sync::Mutex;
use std::thread_local;
use std::vec::Vec;

use extension::traces::Traces;
use hv_abi::vp::CreateVp;
use hv_abi::{CallCode, HvPartitionId, SpaPage};
use paging::FrameAllocator;

use crate::hypervisor::{BootInfo, Hypervisor};
use crate::machine::{Machine, Page};

/// Pages of physical memory: 32 MiB.
pub const RAM_PAGES: u64 = 8192;
/// The hypervisor's own pages.
pub const OWN: core::ops::Range<u64> = 256..512;
/// A hole for devices.
pub const HOLE: core::ops::Range<u64> = 160..256;

/// What the machine was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Kick of a processor.
    Kick(u32),
    /// A vector for a root VP.
    Interrupt(u32, u8),
}

/// The machine.
pub struct FakeMachine {
    /// Its memory.
    pub memory: FakeMemory,
    /// What it was asked to do.
    pub events: Mutex<Vec<Event>>,
    /// The time stamp counter: only tests move it.
    pub time: AtomicU64,
    /// How much of it was in guest mode, alike.
    pub guest_mode: AtomicU64,
    /// Traces that were cleared.
    pub cleared: Mutex<Vec<Traces>>,
    /// Processors that were kicked.
    pub kicked: [AtomicBool; 2],
}

thread_local! {
    /// The processor that this thread is.
    pub static PROCESSOR: Cell<u32> = const { Cell::new(0) };
}

impl FakeMachine {
    /// What it was asked to do since the last time.
    pub fn take_events(&self) -> Vec<Event> {
        self.events.lock().map(|mut events| core::mem::take(&mut *events)).unwrap_or_default()
    }
    fn note(&self, event: Event) {
        if let Ok(mut events) = self.events.lock() {
            events.push(event);
        }
    }
}

impl Machine for FakeMachine {
    type Backend = FakeBackend;

    fn with_page<R>(&self, page: SpaPage, f: impl FnOnce(&Page) -> R) -> R {
        f(self.memory.physical(page))
    }
    fn map_object(
        &self,
        region: u32,
        index: u32,
        page: SpaPage,
        frames: &mut dyn FrameAllocator,
    ) -> Option<NonNull<Page>> {
        self.memory.map(region, index, page, frames)
    }
    fn unmap_object(&self, region: u32, index: u32) -> Option<SpaPage> {
        self.memory.unmap(region, index)
    }
    fn catch_up(&self) {
        memory::catch_up();
    }
    fn release_region(&self, region: u32, frames: &mut dyn FnMut(SpaPage)) {
        self.memory.release(region, frames);
    }
    fn tsc(&self) -> u64 {
        self.time.load(Ordering::Relaxed)
    }
    fn guest_mode_ticks(&self) -> u64 {
        self.guest_mode.load(Ordering::Relaxed)
    }
    fn tsc_hz(&self) -> u64 {
        1_000_000_000
    }
    fn processor(&self) -> u32 {
        PROCESSOR.get()
    }
    fn kick(&self, processor: u32) {
        if let Some(kicked) = self.kicked.get(processor as usize) {
            kicked.store(true, Ordering::SeqCst);
        }
        self.note(Event::Kick(processor));
    }
    fn clear(&self, traces: Traces) {
        if let Ok(mut cleared) = self.cleared.lock() {
            cleared.push(traces);
        }
    }
    fn interrupt_root(&self, processor: u32, vector: u8) {
        self.note(Event::Interrupt(processor, vector));
    }
    fn fatal(&self, why: &'static str) -> ! {
        panic!("{why}")
    }
    fn has_apic_assist(&self) -> bool {
        true
    }
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        match (leaf, subleaf) {
            (0, _) => [0xD, 0, 0, 0],
            // XSAVES, and what comes with it.
            (0xD, 1) => [0xF, 0, 0, 0],
            _ => [0; 4],
        }
    }
}

/// Makes VP 0 of a guest.
pub fn create_vp(root: &mut Root, partition_id: HvPartitionId) {
    let call = CreateVp { partition_id, ..CreateVp::default() };
    root.call::<()>(CallCode::CREATE_VP, &call).expect("deposited enough");
}

/// A hypervisor that has not started, on a machine of its own. Both stay for good.
pub fn not_started() -> &'static Hypervisor<FakeMachine> {
    let machine: &'static FakeMachine = Box::leak(Box::new(FakeMachine {
        memory: FakeMemory::new(RAM_PAGES),
        events: Mutex::new(Vec::new()),
        time: AtomicU64::new(0),
        guest_mode: AtomicU64::new(0),
        cleared: Mutex::new(Vec::new()),
        kicked: [const { AtomicBool::new(false) }; 2],
    }));
    Box::leak(Box::new(Hypervisor::new(machine)))
}

/// One that has.
pub fn hypervisor() -> &'static Hypervisor<FakeMachine> {
    let hv = not_started();
    let page = |n| SpaPage::new(n).unwrap_or_default();
    let boot = BootInfo {
        ram: &[(page(0), HOLE.start), (page(HOLE.end), RAM_PAGES - HOLE.end)],
        hypervisor: &[(page(OWN.start), OWN.end - OWN.start)],
        physical_bits: 46,
        gigabyte_pages: true,
        processors: 2,
        pages: &mut (OWN.start..OWN.start + 96 + 2 * 6 + RAM_PAGES / 512).map(page),
    };
    hv.start(boot).expect("enough pages");
    hv
}
