//! The end: cause, registers and backtrace on COM1, and every processor that comes here stops.
#![expect(unsafe_code, reason = "walks the chain of frames")]

use core::arch::asm;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::arch::exception::Frame;
use crate::arch::{cpu, log};
use crate::say;

/// General registers in the order in which the entry code leaves them.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Registers {
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rbx: u64,
    pub rbp: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
}

impl fmt::Display for Registers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15 } = self;
        writeln!(f, "  rax {rax:016x} rcx {rcx:016x} rdx {rdx:016x} rbx {rbx:016x}")?;
        writeln!(f, "  rbp {rbp:016x} rsi {rsi:016x} rdi {rdi:016x} r8  {r8:016x}")?;
        writeln!(f, "  r9  {r9:016x} r10 {r10:016x} r11 {r11:016x} r12 {r12:016x}")?;
        write!(f, "  r13 {r13:016x} r14 {r14:016x} r15 {r15:016x}")
    }
}

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
    say!("\nBulkhead: the hypervisor stopped: {}, error code {:#x}", name(frame.vector), frame.error_code);
    say!(
        "  rip {:016x} rsp {:016x} rflags {:x} cr2 {cr2:016x} cr3 {cr3:x}",
        frame.rip,
        frame.rsp,
        frame.rflags
    );
    say!("{}", frame.registers);
    backtrace(frame.registers.rbp);
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

fn name(vector: u64) -> &'static str {
    match vector {
        0 => "#DE",
        1 => "#DB",
        3 => "#BP",
        4 => "#OF",
        5 => "#BR",
        6 => "#UD",
        7 => "#NM",
        8 => "#DF",
        10 => "#TS",
        11 => "#NP",
        12 => "#SS",
        13 => "#GP",
        14 => "#PF",
        16 => "#MF",
        17 => "#AC",
        18 => "#MC, the hardware reports a failure",
        19 => "#XF",
        30 => "#SX",
        _ => "an exception",
    }
}
