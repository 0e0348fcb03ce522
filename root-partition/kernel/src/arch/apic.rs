//! The local APIC (APM vol. 2, 16): end of interrupt and the timer. In x2APIC mode where the processor has it.

use super::has_x2apic;
use crate::drivers::mmio::Registers;
use core::sync::atomic::{AtomicU32, Ordering};
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

const SOFTWARE_ENABLE: u32 = 1 << 8;
const MASKED: u32 = 1 << 16;
/// Divide by 1.
const BY_ONE: u32 = 0b1011;

const APIC_BASE: u32 = 0x1B;
const X2APIC_FIRST: u32 = 0x800;
const GLOBAL_ENABLE: u64 = 1 << 11;
const X2APIC_ENABLE: u64 = 1 << 10;

/// Its registers in memory; none in x2APIC mode.
static REGISTERS: Once<Option<Registers>> = Once::new();
static ID_VALUE: AtomicU32 = AtomicU32::new(0);

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

/// Turns it on. `timer` and `spurious` are the vectors that it raises itself.
#[expect(unsafe_code, reason = "model-specific registers")]
pub(crate) fn start(timer: u8, spurious: u8) -> Option<()> {
    // SAFETY: every processor with long mode has the register.
    let base = unsafe { Msr::new(APIC_BASE).read() };
    if has_x2apic() {
        // SAFETY: x2APIC mode exists.
        unsafe { Msr::new(APIC_BASE).write(base | GLOBAL_ENABLE | X2APIC_ENABLE) };
        REGISTERS.call_once(|| None);
    } else {
        let registers = crate::drivers::map_registers(base & 0x000F_FFFF_FFFF_F000, 4096)?;
        REGISTERS.call_once(|| Some(registers));
    }
    let id = if has_x2apic() { read(ID) } else { read(ID) >> 24 };
    ID_VALUE.store(id, Ordering::Relaxed);
    write(TASK_PRIORITY, 0);
    write(LINT0, MASKED);
    write(TIMER, u32::from(timer));
    write(TIMER_DIVIDE, BY_ONE);
    write(SPURIOUS, SOFTWARE_ENABLE | u32::from(spurious));
    Some(())
}

/// This processor's id.
#[must_use]
pub fn id() -> u32 {
    ID_VALUE.load(Ordering::Relaxed)
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
