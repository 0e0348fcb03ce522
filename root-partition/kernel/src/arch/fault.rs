//! The end of the kernel: an exception of its own, or a panic. Says on COM1 what happened and where.
#![expect(unsafe_code, reason = "walks the stack")]

use super::TrapFrame;
use crate::console::emergency;
use core::sync::atomic::{AtomicBool, Ordering};

const NAMES: [&str; 32] = [
    "divide error",
    "debug",
    "non-maskable interrupt",
    "breakpoint",
    "overflow",
    "bound range",
    "invalid opcode",
    "device not available",
    "double fault",
    "vector 9",
    "invalid TSS",
    "segment not present",
    "stack fault",
    "general protection",
    "page fault",
    "vector 15",
    "x87 exception",
    "alignment check",
    "machine check",
    "SIMD exception",
    "virtualization exception",
    "control protection",
    "vector 22",
    "vector 23",
    "vector 24",
    "vector 25",
    "vector 26",
    "vector 27",
    "hypervisor injection",
    "VMM communication",
    "security exception",
    "vector 31",
];

static FAILED: AtomicBool = AtomicBool::new(false);

macro_rules! say {
    ($($arguments:tt)*) => { emergency(format_args!("{}\r\n", format_args!($($arguments)*))) };
}

/// An exception in the kernel: there is no way on.
pub(super) fn exception(frame: &TrapFrame) -> ! {
    super::interrupt_off();
    if FAILED.swap(true, Ordering::Relaxed) {
        super::stop();
    }
    stop_others();
    let name = NAMES.get(frame.vector as usize).copied().unwrap_or("exception");
    say!(
        "\r\nroot kernel: {name} (vector {}, error {:#x}) at {:#018x}",
        frame.vector,
        frame.error,
        frame.rip
    );
    say!(
        "cr2 {:#018x}  rflags {:#x}  cs {:#x}",
        x86_64::registers::control::Cr2::read_raw(),
        frame.rflags,
        frame.cs
    );
    say!("rax {:#018x} rbx {:#018x} rcx {:#018x} rdx {:#018x}", frame.rax, frame.rbx, frame.rcx, frame.rdx);
    say!("rsi {:#018x} rdi {:#018x} rbp {:#018x} rsp {:#018x}", frame.rsi, frame.rdi, frame.rbp, frame.rsp);
    say!("r8  {:#018x} r9  {:#018x} r10 {:#018x} r11 {:#018x}", frame.r8, frame.r9, frame.r10, frame.r11);
    say!("r12 {:#018x} r13 {:#018x} r14 {:#018x} r15 {:#018x}", frame.r12, frame.r13, frame.r14, frame.r15);
    backtrace(frame.rsp);
    super::stop()
}

/// Tells the other processors to stop: what they share may be half done.
fn stop_others() {
    if super::processor::count() > 1 {
        super::apic::send_to_others(crate::interrupts::STOP);
    }
}

/// The panic handler.
pub fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    super::interrupt_off();
    if !FAILED.swap(true, Ordering::Relaxed) {
        stop_others();
        say!("\r\nroot kernel: {info}");
        let here = 0_u64;
        backtrace((&raw const here).addr() as u64);
    }
    super::stop()
}

/// The kernel is built without frame pointers: names what looks like a return address on the stack.
fn backtrace(stack: u64) {
    unsafe extern "C" {
        static kernel_start: u8;
        static kernel_text_end: u8;
    }
    let code = (&raw const kernel_start).addr() as u64..(&raw const kernel_text_end).addr() as u64;
    let main = super::stack::MAIN_STACK.top();
    let top = if (main - (128 << 10)..main).contains(&stack) { main } else { (stack | 0xFFF) + 1 };
    let mut left = 24;
    for address in (stack & !7..top).step_by(8) {
        // SAFETY: on a stack that is in use.
        let value = unsafe { core::ptr::with_exposed_provenance::<u64>(address as usize).read_volatile() };
        if code.contains(&value) && left > 0 {
            say!("  maybe called from {value:#018x}");
            left -= 1;
        }
    }
}
