//! How fast the time-stamp counter and the local APIC's timer run, by the 8254 timer's channel 2 (where there is no
//! hypervisor to ask).

use super::clock::Source;
use crate::arch::{self, apic, port};

/// Of the 8254.
const PIT_HZ: u64 = 1_193_182;
/// Ticks to count: 20 ms.
const TICKS: u16 = 23_864;
const CHANNEL_2: u16 = 0x42;
const COMMAND: u16 = 0x43;
/// Channel 2, both bytes, mode 0 (interrupt on terminal count).
const ONE_SHOT: u8 = 0xB0;
const CONTROL: u16 = 0x61;
const GATE: u8 = 1;
const SPEAKER: u8 = 2;
const OUTPUT: u8 = 1 << 5;

/// How fast the local APIC's timer runs, by a time-stamp counter of `tsc_hz`.
pub(crate) fn calibrate_apic(tsc_hz: u64) -> u64 {
    // A millisecond: a tick more or less of a million is less than what the timer's own crystal is off.
    let wait = tsc_hz / 1000;
    let start = arch::tsc();
    apic::arm_timer(u32::MAX);
    while arch::tsc() - start < wait {}
    let ticks = u32::MAX - apic::timer_ticks_left();
    apic::arm_timer(0);
    (u128::from(ticks) * u128::from(tsc_hz) / u128::from(arch::tsc() - start).max(1)) as u64
}

/// Measures both. The local APIC's timer must be set up.
pub(crate) fn calibrate() -> Source {
    let control = port::read::<u8>(CONTROL) & !SPEAKER;
    port::write(CONTROL, control & !GATE);
    port::write(COMMAND, ONE_SHOT);
    port::write(CHANNEL_2, TICKS as u8);
    port::write(CHANNEL_2, (TICKS >> 8) as u8);
    apic::arm_timer(u32::MAX);
    let start = arch::tsc();
    port::write(CONTROL, control | GATE);
    while port::read::<u8>(CONTROL) & OUTPUT == 0 {}
    let end = arch::tsc();
    let apic_ticks = u32::MAX - apic::timer_ticks_left();
    apic::arm_timer(0);
    port::write(CONTROL, control & !GATE);
    let per_second = |ticks: u64| (u128::from(ticks) * u128::from(PIT_HZ) / u128::from(TICKS)) as u64;
    Source::from_frequency(per_second(end - start), per_second(u64::from(apic_ticks)), start)
}
