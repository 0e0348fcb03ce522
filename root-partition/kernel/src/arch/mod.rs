//! The processor: entry, segments, interrupts and exceptions, local APIC and IOAPIC, power states.
//!
//! Interrupts are on only in ring 3, in guests, and inside [`idle`] and [`interrupt_window`].

pub mod apic;
mod entry;
mod fault;
mod idt;
pub mod ioapic;
pub mod port;
pub mod processor;
mod segments;
mod stack;

pub use fault::panic;
pub use idt::{TrapFrame, set_user_trap};
pub(crate) use processor::per_processor;
pub use processor::{PROCESSOR_PLACES, Padded, PerProcessor};
pub use segments::{KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA};
pub(crate) use stack::{Stacks, guard_pages};

fn interrupt_off() {
    x86_64::instructions::interrupts::disable();
}
pub(crate) use entry::{enable_protections, has_x2apic};

/// Loads segments, the interrupt table and the system-call selectors of the first processor.
pub(crate) fn start() {
    start_processor(0, Stacks::first());
}

/// As [`start`], for processor `number`.
pub(crate) fn start_processor(number: u32, stacks: Stacks) {
    processor::start(number);
    segments::start(stacks);
    idt::start();
}

/// Takes the interrupts that wait, then goes on.
#[inline]
pub fn interrupt_window() {
    x86_64::instructions::interrupts::enable();
    x86_64::instructions::nop();
    x86_64::instructions::interrupts::disable();
}

/// Stops the processor until an interrupt has been taken. One that came since interrupts were last taken is not lost:
/// STI and HLT are one step to it.
#[inline]
pub fn idle() {
    x86_64::instructions::interrupts::enable_and_hlt();
    x86_64::instructions::interrupts::disable();
}

/// Stops this processor for good.
pub fn stop() -> ! {
    loop {
        x86_64::instructions::interrupts::disable();
        x86_64::instructions::hlt();
    }
}

/// The time-stamp counter.
#[inline]
#[must_use]
pub fn tsc() -> u64 {
    entry::tsc()
}
