//! What a processor does, asked of the one that the hypervisor makes up: a probe a line, `name: result`.
//!
//! A result says nothing that depends on speed, on addresses or on the vendor, so one file holds what all machines must
//! print. Each area leaves the processor as it found it.

mod apic;
mod catch;
mod control;
mod cpuid;
mod debug;
mod descriptor;
mod event;
mod exceptions;
mod forbidden;
mod hyperv;
mod interrupts;
mod legacy;
mod msr;
mod page;
mod paging;
mod ports;
mod priority;
mod processor;
mod second;
mod several;
mod step;
mod system;
mod taken;
mod user;
mod vector;

use core::fmt::{Arguments, Write};

use crate::serial::Serial;
use crate::{power_off, say};
use hv_abi::control::cr0::WP;

/// The instructions of a probe, as a function: RDI points to its words, and all registers but RSP are its own.
macro_rules! body {
    ($($text:expr),+ $(; $($operand:tt)*)?) => {{
        #[unsafe(naked)]
        extern "C" fn body(_: *mut u64) {
            core::arch::naked_asm!($($text,)+ "ret", $($($operand)*)?)
        }
        body
    }};
}
use body;

/// Runs a probe and prints its line: the name first, so that one that never ends is known.
macro_rules! probe {
    ($name:literal, $($result:tt)*) => {{
        $crate::conformance::begin($name);
        $crate::conformance::finish(format_args!($($result)*));
    }};
}
use probe;

fn begin(name: &str) {
    let _ = write!(Serial, "{name}: ");
}

fn finish(result: Arguments<'_>) {
    let _ = writeln!(Serial, "{result}");
}

/// How often to ask where an interrupt may come late: see [`Spared`].
const PATIENCE: u32 = 4;

/// What is not tried, because the machine below does not survive it; and what is allowed to come late there.
#[derive(Clone, Copy, Default)]
pub struct Spared {
    /// Reserved bits of CR3 and CR4, and what CR0 cannot be: QEMU's TCG lets the guest have it and ends the next VMRUN with
    /// VMEXIT_INVALID, be it that of an interrupt in between, or takes PAE away in long mode.
    pub reserved: bool,
    /// Interrupts that a task priority holds back: QEMU ends, with an assertion, when CR8 is written while one waits.
    pub priority: bool,
    /// An interrupt may be taken with a later exit only: VMRUN of QEMU's TCG ignores the interrupt shadow, so the
    /// hypervisor holds the window back when an interrupt of the machine fell into one. Asked again where none came.
    pub late_interrupts: bool,
    /// Bochs' AMD-V looks for interrupts when IF changes: for those of the machine too, and a window in which one of them
    /// comes is missed. Asked again, and there is one more for each interrupt.
    pub late_windows: bool,
    /// CR0.PG without CR0.PE: Bochs ends when it is in an AMD-V guest in long mode.
    pub paged_real: bool,
}

impl Spared {
    /// From the words of the command line.
    pub fn new<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut spared = Self::default();
        for word in words {
            match word {
                "no-reserved" => spared.reserved = true,
                "no-priority" => spared.priority = true,
                "late-interrupts" => spared.late_interrupts = true,
                "late-windows" => spared.late_windows = true,
                "no-paged-real" => spared.paged_real = true,
                _ => say!("conformance: what is {word}?"),
            }
        }
        spared
    }
}

fn install() {
    descriptor::install();
    page::install();
    catch::install();
    apic::enable();
}

/// Says what became of a timer that runs out anywhere around the STI before HLT, `step` ticks later each time.
pub fn around_sti(step: usize) -> ! {
    install();
    say!("AROUND STI: {} wrong", interrupts::deadline_around_sti(step as u64));
    power_off()
}

/// Runs the probes.
pub fn run(spared: Spared) -> ! {
    install();
    processor::set_cr0(processor::cr0() | WP);
    cpuid::run();
    msr::run();
    control::run(spared);
    exceptions::run();
    forbidden::run();
    paging::run();
    ports::run();
    step::run();
    debug::run();
    apic::run();
    interrupts::run(spared);
    hyperv::run();
    system::run();
    vector::run();
    legacy::run();
    second::run();
    several::run();
    say!("CONFORMANCE DONE");
    power_off()
}
