//! The end: cause, registers and backtrace on COM1, and every processor that comes here stops.
#![expect(unsafe_code, reason = "walks the chain of frames")]

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use x86_64::structures::idt::ExceptionVector;

use crate::arch::exception::Frame;
use crate::arch::{cpu, log};
use crate::backend::Gprs;
use crate::say;

/// Set by the first processor that comes here.
static ENDING: AtomicBool = AtomicBool::new(false);

/// True for the first caller; all others stop here, also one that fails while it says why.
fn first() {
    if ENDING.swap(true, Ordering::AcqRel) {
        cpu::stop();
    }
    // SAFETY: whoever held the port is stopped or about to be; a garbled line is better than none.
    unsafe { log::seize() };
}

/// An exception that must not happen.
pub fn exception(frame: &Frame) -> ! {
    first();
    let (cr2, cr3): (u64, u64);
    // SAFETY: reads two control registers.
    unsafe { asm!("mov {}, cr2", "mov {}, cr3", out(reg) cr2, out(reg) cr3, options(nomem, nostack)) };
    let Frame { registers, vector, error_code, rip, rflags, rsp, .. } = *frame;
    match ExceptionVector::try_from(vector as u8) {
        Ok(name) => say!("\nBulkhead: the hypervisor stopped: {name:?}, error code {error_code:#x}"),
        Err(_) => say!("\nBulkhead: the hypervisor stopped: exception {vector}, error code {error_code:#x}"),
    }
    say!("  rip {rip:016x} rflags {rflags:x} cr2 {cr2:016x} cr3 {cr3:x}");
    show(&Gprs { rsp, ..registers });
    backtrace(registers.rbp);
    cpu::stop()
}

/// A panic of the hypervisor's own code.
pub fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    first();
    say!("\nBulkhead: the hypervisor stopped: {}", info.message());
    if let Some(place) = info.location() {
        say!("  at {place}");
    }
    let rbp: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) rbp, options(nomem, nostack, preserves_flags)) };
    backtrace(rbp);
    cpu::stop()
}

/// Follows the chain of frame pointers, as long as it stays in the upper half and ascends.
fn backtrace(mut rbp: u64) {
    const DEPTH: u32 = 32;
    const UPPER_HALF: u64 = 0xFFFF_8000_0000_0000;
    for _ in 0..DEPTH {
        if rbp < UPPER_HALF || !rbp.is_multiple_of(8) {
            return;
        }
        let frame = core::ptr::with_exposed_provenance::<[u64; 2]>(rbp as usize);
        // SAFETY: a chain of frames on the stack in use; should it be broken the second failure stops quietly.
        let [next, rip] = unsafe { frame.read() };
        if rip < UPPER_HALF {
            return;
        }
        say!("  from {rip:016x}");
        if next <= rbp {
            return;
        }
        rbp = next;
    }
}

/// General registers, four a line.
fn show(registers: &Gprs) {
    const NAMES: [[&str; 4]; 4] = [
        ["rax", "rcx", "rdx", "rbx"],
        ["rsp", "rbp", "rsi", "rdi"],
        ["r8 ", "r9 ", "r10", "r11"],
        ["r12", "r13", "r14", "r15"],
    ];
    for ([a, b, c, d], [v, w, x, y]) in NAMES.iter().zip(registers.as_array().as_chunks().0) {
        say!("  {a} {v:016x} {b} {w:016x} {c} {x:016x} {d} {y:016x}");
    }
}
