//! The local APIC (APM vol. 2, 16): end of interrupt, the timer, and interrupts to other processors. In x2APIC mode where
//! the processor has it. Each processor has its own at the same address.

use super::{has_x2apic, processor};
use crate::memory::mmio::Registers;
use hv_abi::control::apic_base;
use hv_abi::msr::{APIC_BASE, X2APIC_FIRST};
use spin::Once;
use x86_64::registers::model_specific::Msr;

const ID: usize = 0x20;
const END_OF_INTERRUPT: usize = 0xB0;
const SPURIOUS: usize = 0xF0;
const TIMER: usize = 0x320;
const TIMER_INITIAL: usize = 0x380;
const TIMER_CURRENT: usize = 0x390;
const TIMER_DIVIDE: usize = 0x3E0;
const TASK_PRIORITY: usize = 0x80;
const LINT0: usize = 0x350;
const COMMAND_LOW: usize = 0x300;
const COMMAND_HIGH: usize = 0x310;

const SOFTWARE_ENABLE: u32 = 1 << 8;
const MASKED: u32 = 1 << 16;
/// A command: not "de-assert". Fixed delivery to one processor.
const ASSERT: u32 = 1 << 14;
/// A command: to all processors but this.
const OTHERS: u32 = 0b11 << 18;
/// A command was not accepted yet.
const PENDING: u32 = 1 << 12;
/// Divide by 1.
const BY_ONE: u32 = 0b1011;

/// Its registers in memory; none in x2APIC mode.
static REGISTERS: Once<Option<Registers>> = Once::new();

#[expect(unsafe_code, reason = "model-specific registers")]
fn read(offset: usize) -> u32 {
    match REGISTERS.get() {
        Some(Some(registers)) => registers.read(offset),
        // SAFETY: reading a register of the local APIC in x2APIC mode.
        _ => unsafe { Msr::new(X2APIC_FIRST + (offset >> 4) as u32).read() as u32 },
    }
}

#[inline]
#[expect(unsafe_code, reason = "model-specific registers")]
fn write(offset: usize, value: u32) {
    match REGISTERS.get() {
        Some(Some(registers)) => registers.write(offset, value),
        // SAFETY: the registers written here affect interrupts only.
        _ => unsafe { Msr::new(X2APIC_FIRST + (offset >> 4) as u32).write(u64::from(value)) },
    }
}

/// Turns this processor's on. `timer` and `spurious` are the vectors that it raises itself.
#[expect(unsafe_code, reason = "model-specific registers")]
pub(crate) fn start(timer: u8, spurious: u8) -> Option<()> {
    // SAFETY: every processor with long mode has the register.
    let base = unsafe { Msr::new(APIC_BASE).read() };
    if has_x2apic() {
        // SAFETY: x2APIC mode exists.
        unsafe { Msr::new(APIC_BASE).write(base | apic_base::EN | apic_base::EXTD) };
        REGISTERS.call_once(|| None);
    } else if !REGISTERS.is_completed() {
        let registers = crate::memory::map_registers(base & 0x000F_FFFF_FFFF_F000, 4096)?;
        REGISTERS.call_once(|| Some(registers));
    }
    let id = if has_x2apic() { read(ID) } else { read(ID) >> 24 };
    processor::set_apic_id(id);
    // First: while it is not enabled, as after INIT, the timer stays masked whatever is written (SDM vol. 3A 12.4.7.2; in
    // QEMU it does not).
    write(SPURIOUS, SOFTWARE_ENABLE | u32::from(spurious));
    write(LINT0, MASKED);
    // Takes back QEMU's note of an interrupt of the 8259, which cannot come any more.
    write(TASK_PRIORITY, 0);
    write(TIMER, u32::from(timer));
    write(TIMER_DIVIDE, BY_ONE);
    Some(())
}

/// This processor's id.
#[must_use]
pub fn id() -> u32 {
    processor::apic_id(processor::number())
}

/// Raises `vector` in another processor.
pub fn send(processor: u32, vector: u8) {
    command(processor::apic_id(processor), ASSERT | u32::from(vector));
}

/// Raises `vector` in all other processors.
pub fn send_to_others(vector: u8) {
    command(0, OTHERS | ASSERT | u32::from(vector));
}

#[expect(unsafe_code, reason = "model-specific registers")]
fn command(target: u32, low: u32) {
    match REGISTERS.get() {
        Some(Some(registers)) => {
            while registers.read::<u32>(COMMAND_LOW) & PENDING != 0 {
                core::hint::spin_loop();
            }
            registers.write(COMMAND_HIGH, target << 24);
            registers.write(COMMAND_LOW, low);
        }
        _ => {
            let value = u64::from(target) << 32 | u64::from(low);
            // What was written for the other to see is there before the interrupt: writing this register waits for nothing.
            core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
            // SAFETY: an interrupt to a processor of ours, whose handler only wakes.
            unsafe { Msr::new(X2APIC_FIRST + (COMMAND_LOW >> 4) as u32).write(value) };
        }
    }
}

/// Ends the interrupt in service.
#[inline]
pub fn end_of_interrupt() {
    write(END_OF_INTERRUPT, 0);
}

/// Raises the timer's vector after `ticks` of it; 0: never.
#[inline]
pub fn arm_timer(ticks: u32) {
    write(TIMER_INITIAL, ticks);
}

/// Ticks until the timer is due.
#[must_use]
pub fn timer_ticks_left() -> u32 {
    read(TIMER_CURRENT)
}
