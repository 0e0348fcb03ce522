//! How fast the time-stamp counter and the local APIC's timer run, where there is no hypervisor to ask: against a clock
//! whose rate is known. What CPUID says about it (leaf 0x15) is not believed: on emulators it is not so.

use super::clock::Source;
use crate::arch::{self, apic, port};
use crate::drivers::mmio::Registers;
use crate::firmware::Firmware;
use crate::firmware::power::Register;

/// How often a clock is read before it is taken to stand still: seconds, by what reading one takes.
const READS_MAX: u32 = 1 << 24;
/// A measurement takes a second divided by this.
const PART: u64 = 50;

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

/// Measures both, by the first of these that the machine has: the power management timer, the high precision event
/// timer, the 8254. The local APIC's timer must be set up.
pub(crate) fn calibrate(firmware: &Firmware) -> Source {
    let measured = by_pm_timer(firmware).or_else(|| by_hpet(firmware)).or_else(by_pit);
    measured.unwrap_or_else(|| {
        log::warn!("no clock to measure the processor's by: time is a guess");
        Source::from_frequency(1_000_000_000, 100_000_000, 0)
    })
}

/// Measures by `ticks`, which counts up to `mask` and then from 0, `hz` times a second. `None`: it stands still.
fn measure(hz: u64, mask: u64, ticks: impl Fn() -> u64) -> Option<Source> {
    let wanted = hz / PART;
    apic::arm_timer(u32::MAX);
    let (start, first) = (arch::tsc(), ticks());
    let passed = (0..READS_MAX).map(|_| ticks().wrapping_sub(first) & mask).find(|&passed| passed >= wanted);
    let tsc_ticks = arch::tsc() - start;
    let apic_ticks = u32::MAX - apic::timer_ticks_left();
    apic::arm_timer(0);
    let passed = passed?;
    let per_second = |ticks: u64| (u128::from(ticks) * u128::from(hz) / u128::from(passed)) as u64;
    Some(Source::from_frequency(per_second(tsc_ticks), per_second(u64::from(apic_ticks)), 0))
}

/// ACPI 6.5, 4.8.3.3.
fn by_pm_timer(firmware: &Firmware) -> Option<Source> {
    const HZ: u64 = 3_579_545;
    let (register, wide) = firmware.pm_timer?;
    let mask = if wide { u64::from(u32::MAX) } else { 0xFF_FFFF };
    match register {
        Register::Port(number) => measure(HZ, mask, || u64::from(port::read::<u32>(number))),
        Register::Memory(address) => {
            let registers = crate::drivers::map_registers(address, 4)?;
            measure(HZ, mask, || u64::from(registers.read::<u32>(0)))
        }
    }
}

/// IA-PC HPET specification 1.0a, 2.3.
fn by_hpet(firmware: &Firmware) -> Option<Source> {
    const PERIOD: usize = 0x04;
    const CONFIGURATION: usize = 0x10;
    const ENABLE: u32 = 1;
    const COUNTER: usize = 0xF0;
    const FEMTOSECONDS: u64 = 1_000_000_000_000_000;
    /// The longest period that there may be, in femtoseconds.
    const PERIOD_MAX: u64 = 0x05F5_E100;
    let registers: Registers = crate::drivers::map_registers(firmware.hpet?, 1024)?;
    let period = u64::from(registers.read::<u32>(PERIOD));
    if !(1..=PERIOD_MAX).contains(&period) {
        return None;
    }
    let configuration: u32 = registers.read(CONFIGURATION);
    registers.write(CONFIGURATION, configuration | ENABLE);
    // The low half is enough, and every such timer has it.
    measure(FEMTOSECONDS / period, u64::from(u32::MAX), || u64::from(registers.read::<u32>(COUNTER)))
}

/// By the 8254's channel 2.
fn by_pit() -> Option<Source> {
    const HZ: u64 = 1_193_182;
    const CHANNEL_2: u16 = 0x42;
    const COMMAND: u16 = 0x43;
    /// Channel 2, both bytes, mode 0 (interrupt on terminal count).
    const ONE_SHOT: u8 = 0xB0;
    const CONTROL: u16 = 0x61;
    const GATE: u8 = 1;
    const SPEAKER: u8 = 2;
    const OUTPUT: u8 = 1 << 5;
    let count = (HZ / PART) as u16;
    let control = port::read::<u8>(CONTROL) & !SPEAKER;
    port::write(CONTROL, control & !GATE);
    port::write(COMMAND, ONE_SHOT);
    port::write(CHANNEL_2, count as u8);
    port::write(CHANNEL_2, (count >> 8) as u8);
    port::write(CONTROL, control | GATE);
    // What it counts to shows only at its end.
    let done = || u64::from(port::read::<u8>(CONTROL) & OUTPUT != 0) * u64::from(count);
    let source = measure(HZ, u64::MAX, done);
    port::write(CONTROL, control & !GATE);
    source
}
