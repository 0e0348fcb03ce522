//! How fast the local APIC's timer runs: by the time-stamp counter, which the loader measured.

use super::clock::Source;
use crate::arch::{self, apic};

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

/// The clock where there is no hypervisor to ask, by what the loader measured: 0 where it had nothing to measure by. The local
/// APIC's timer must be set up.
pub(crate) fn calibrate(tsc_hz: u64) -> Source {
    const GUESS: u64 = 1_000_000_000;
    let tsc_hz = if tsc_hz == 0 {
        log::warn!("no clock to measure the processor's by: time is a guess");
        GUESS
    } else {
        tsc_hz
    };
    Source::from_frequency(tsc_hz, calibrate_apic(tsc_hz), 0)
}
