//! The clocks that the time stamp counter is measured against.
#![expect(unsafe_code, reason = "ports of the timers, and the counter")]

use core::arch::asm;
use core::arch::x86_64::_rdtsc;

use crate::tsc::{self, Clock};

/// Reads before a clock is given up: over a second on every machine.
const PATIENCE: u64 = 10_000_000;

/// ACPI's power-management timer; its low 24 bits are on every machine.
struct PmTimer {
    port: u16,
}

impl Clock for PmTimer {
    const HZ: u64 = 3_579_545;
    const WRAP: u64 = 1 << 24;
    fn read(&mut self) -> u64 {
        // SAFETY: reading the timer changes nothing.
        u64::from(unsafe { in_u32(self.port) }) & (Self::WRAP - 1)
    }
}

/// Channel 2 of the PIT, counting down.
struct Pit;

const PIT_CHANNEL_2: u16 = 0x42;
const PIT_COMMAND: u16 = 0x43;
const PIT_GATE: u16 = 0x61;

impl Pit {
    /// Starts channel 2, speaker off, mode 2, from 65536.
    fn start() -> Self {
        // SAFETY: reading the gate's state changes nothing.
        let gate = unsafe { in_u8(PIT_GATE) };
        for (port, value) in
            [(PIT_GATE, gate & !2 | 1), (PIT_COMMAND, 0xB4), (PIT_CHANNEL_2, 0), (PIT_CHANNEL_2, 0)]
        {
            // SAFETY: nobody uses channel 2 while the loader runs.
            unsafe { out_u8(port, value) };
        }
        Self
    }
}

impl Clock for Pit {
    const HZ: u64 = 1_193_182;
    const WRAP: u64 = 1 << 16;
    fn read(&mut self) -> u64 {
        // SAFETY: latches the count of channel 2, which is ours.
        unsafe { out_u8(PIT_COMMAND, 0x80) };
        // SAFETY: reads what was latched.
        let low = unsafe { in_u8(PIT_CHANNEL_2) };
        // SAFETY: reads the other half.
        let high = unsafe { in_u8(PIT_CHANNEL_2) };
        u64::from(u16::from_le_bytes([low, high])).wrapping_neg() & (Self::WRAP - 1)
    }
}

/// Reads a port of 8 bits.
///
/// # Safety
/// Reading the port must have no effect that others rely on.
unsafe fn in_u8(port: u16) -> u8 {
    let value;
    // SAFETY: the caller's contract.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Reads a port of 32 bits.
///
/// # Safety
/// As [`in_u8`].
unsafe fn in_u32(port: u16) -> u32 {
    let value;
    // SAFETY: the caller's contract.
    unsafe { asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Writes a port of 8 bits.
///
/// # Safety
/// The device must be this caller's.
unsafe fn out_u8(port: u16, value: u8) {
    // SAFETY: the caller's contract.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) };
}

fn time_stamp() -> u64 {
    // SAFETY: reads a counter.
    unsafe { _rdtsc() }
}

/// The frequency of the time stamp counter, against the PM timer where there is one, else the PIT.
#[must_use]
pub fn tsc_hz(timer_port: Option<u16>) -> Option<u64> {
    timer_port
        .and_then(|port| tsc::measure(PmTimer { port }, time_stamp, PATIENCE))
        .or_else(|| tsc::measure(Pit::start(), time_stamp, PATIENCE))
}
