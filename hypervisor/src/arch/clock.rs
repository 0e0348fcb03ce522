//! The clocks that the time stamp counter is measured against.
#![expect(unsafe_code, reason = "ports of the timers")]

use crate::arch::cpu;
use crate::arch::tsc::{self, Clock};

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
        u64::from(unsafe { cpu::in_u32(self.port) }) & (Self::WRAP - 1)
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
        let gate = unsafe { cpu::in_u8(PIT_GATE) };
        for (port, value) in
            [(PIT_GATE, gate & !2 | 1), (PIT_COMMAND, 0xB4), (PIT_CHANNEL_2, 0), (PIT_CHANNEL_2, 0)]
        {
            // SAFETY: nobody uses channel 2 before the root runs.
            unsafe { cpu::out_u8(port, value) };
        }
        Self
    }
}

impl Clock for Pit {
    const HZ: u64 = 1_193_182;
    const WRAP: u64 = 1 << 16;
    fn read(&mut self) -> u64 {
        // SAFETY: latches the count of channel 2, which is ours.
        unsafe { cpu::out_u8(PIT_COMMAND, 0x80) };
        // SAFETY: reads what was latched.
        let low = unsafe { cpu::in_u8(PIT_CHANNEL_2) };
        // SAFETY: reads the other half.
        let high = unsafe { cpu::in_u8(PIT_CHANNEL_2) };
        u64::from(u16::from_le_bytes([low, high])).wrapping_neg() & (Self::WRAP - 1)
    }
}

/// The frequency of the time stamp counter, against the PM timer where there is one, else the PIT.
pub fn tsc_hz(timer_port: Option<u16>) -> Option<u64> {
    timer_port
        .and_then(|port| tsc::measure(PmTimer { port }, cpu::rdtsc, PATIENCE))
        .or_else(|| tsc::measure(Pit::start(), cpu::rdtsc, PATIENCE))
}
