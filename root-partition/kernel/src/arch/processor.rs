//! Processors: which one this is, and what each has of its own.
//!
//! GS names a processor's own page while the kernel runs; it is a program's in ring 3, so every way in and out swaps it.
#![expect(unsafe_code, reason = "GS and the page that it names")]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};
use x86_64::VirtAddr;
use x86_64::registers::model_specific::{GsBase, KernelGsBase};

/// Room for all processors that the hypervisor may have, and up to the next power of two.
pub const PROCESSOR_PLACES: usize = handoff::MAX_PROCESSORS.next_power_of_two();
const _: () = assert!(handoff::MAX_PROCESSORS == syscall::PROCESSORS_MAX as usize);

/// What assembly knows of a processor. Only the processor itself uses it.
#[repr(C, align(64))]
struct Page {
    /// Where the kernel's stack was when it entered ring 3; the address of the context is on top of it.
    kernel_stack: UnsafeCell<u64>,
    /// The program's stack pointer, for the few instructions until it is in the context.
    user_stack: UnsafeCell<u64>,
    number: UnsafeCell<u64>,
}

// SAFETY: each is used by its own processor only, through GS, and by `start` before that.
unsafe impl Sync for Page {}

/// Offsets from GS, for assembly.
pub mod offset {
    use super::Page;
    /// Where the kernel's stack is kept while a program runs.
    pub const KERNEL_STACK: usize = core::mem::offset_of!(Page, kernel_stack);
    /// Where the program's stack pointer is put for a moment.
    pub const USER_STACK: usize = core::mem::offset_of!(Page, user_stack);
    /// The number of the processor.
    pub(super) const NUMBER: usize = core::mem::offset_of!(Page, number);
}

static PAGES: [Page; PROCESSOR_PLACES] = [const {
    Page { kernel_stack: UnsafeCell::new(0), user_stack: UnsafeCell::new(0), number: UnsafeCell::new(0) }
}; PROCESSOR_PLACES];

/// How many run. Grows at boot only.
static COUNT: AtomicU32 = AtomicU32::new(1);
/// The id of each one's local APIC.
static APIC_IDS: PerProcessor<AtomicU32> =
    PerProcessor::new([const { Padded(AtomicU32::new(0)) }; PROCESSOR_PLACES]);

/// Points GS to the page of processor `number`, which this is.
pub(super) fn start(number: u32) {
    let page = &PAGES[number as usize % PROCESSOR_PLACES];
    // SAFETY: this processor's own, and GS does not name it yet.
    unsafe { page.number.get().write(u64::from(number)) };
    GsBase::write(VirtAddr::from_ptr(core::ptr::from_ref(page)));
    KernelGsBase::write(VirtAddr::zero());
}

/// The number of this processor: that of its virtual processor in the root partition.
#[inline]
#[must_use]
pub fn number() -> u32 {
    let number: u64;
    // SAFETY: GS names the page from before anything asks; the number never changes.
    unsafe {
        core::arch::asm!(
            "mov {}, gs:[{offset}]",
            out(reg) number,
            offset = const offset::NUMBER,
            options(nostack, preserves_flags, readonly, pure)
        );
    }
    number as u32
}

/// How many processors run: 0 to that.
#[must_use]
pub fn count() -> u32 {
    COUNT.load(Ordering::Acquire)
}

/// Processor `number`, the next one, runs.
pub(crate) fn is_up(number: u32) {
    COUNT.store(number + 1, Ordering::Release);
}

/// Remembers the id of this processor's local APIC.
pub(super) fn set_apic_id(id: u32) {
    APIC_IDS.this().store(id, Ordering::Relaxed);
}

/// The id of a processor's local APIC.
#[must_use]
pub fn apic_id(number: u32) -> u32 {
    APIC_IDS.of(number).load(Ordering::Relaxed)
}

/// One thing on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub struct Padded<T>(pub T);

/// One `T` for each processor. What others may do with it is what `T` allows.
#[derive(Debug)]
pub struct PerProcessor<T>([Padded<T>; PROCESSOR_PLACES]);

impl<T> PerProcessor<T> {
    /// These, in the order of the processors.
    pub const fn new(all: [Padded<T>; PROCESSOR_PLACES]) -> Self {
        Self(all)
    }

    /// This processor's.
    #[inline]
    pub fn this(&self) -> &T {
        self.of(number())
    }

    /// That of processor `number`.
    #[inline]
    pub fn of(&self, number: u32) -> &T {
        &self.0[number as usize % PROCESSOR_PLACES].0
    }

    /// All of those that run.
    pub fn all(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..count()).zip(&self.0).map(|(number, padded)| (number, &padded.0))
    }
}

/// Everybody's `$value`, for a `static`.
macro_rules! per_processor {
    ($value:expr) => {
        $crate::arch::PerProcessor::new(
            [const { $crate::arch::Padded($value) }; $crate::arch::PROCESSOR_PLACES],
        )
    };
}
pub(crate) use per_processor;
