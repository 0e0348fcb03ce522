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
mod processor;
mod second;
mod step;
mod system;
mod user;
mod vector;

use core::fmt::{Arguments, Write};

use crate::serial::Serial;
use crate::{power_off, say};

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

/// Runs the probes; those that QEMU's TCG does not survive only when `all` is asked for. There, a reserved bit in CR3 or CR4
/// ends VMRUN with VMEXIT_INVALID, and a write of CR8 while a virtual interrupt waits ends QEMU (it asserts that it holds a
/// lock).
pub fn run(all: bool) -> ! {
    descriptor::install();
    page::install();
    catch::install();
    apic::enable();
    processor::set_cr0(processor::cr0() | paging::WP);
    cpuid::run();
    msr::run();
    control::run(all);
    exceptions::run();
    forbidden::run();
    paging::run();
    ports::run();
    step::run();
    debug::run();
    apic::run();
    interrupts::run(all);
    hyperv::run();
    system::run();
    vector::run();
    legacy::run();
    second::run();
    say!("CONFORMANCE DONE");
    power_off()
}
