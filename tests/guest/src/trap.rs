//! Exceptions: an instruction that may fault is tried, and the vector comes back; an interrupt is counted.
//!
//! Invariant: a fault outside of [`attempt`] is reported with its address and ends the guest.
#![expect(unsafe_code, reason = "interrupt gates and their assembly")]

use core::arch::{asm, global_asm, naked_asm};
use core::sync::atomic::{AtomicU64, Ordering};

use crate::gate::{self, Gate, gate};
use crate::say;

/// The vector that counts interrupts instead of being a fault.
pub const COUNTED_VECTOR: u8 = 0x40;

/// How many interrupts of [`COUNTED_VECTOR`] came, and the TSC when the last one did.
pub static INTERRUPTS: AtomicU64 = AtomicU64::new(0);
/// TSC at the last counted interrupt.
pub static INTERRUPT_TSC: AtomicU64 = AtomicU64::new(0);

/// Where to go on after a fault; 0: nowhere.
static RECOVERY: AtomicU64 = AtomicU64::new(0);

#[repr(C)]
struct Frame {
    vector: u64,
    error: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

global_asm!(
    r#"
    .section .text.trap, "ax"
    .altmacro
    .macro gate vector
    .align 16
    .if \vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17 || \vector == 21 || \vector == 29 || \vector == 30
    .else
    push 0
    .endif
    push \vector
    jmp trap_common
    .endm
    .align 16
trap_gates:
    .set vector, 0
    .rept 32
    gate %vector
    .set vector, vector + 1
    .endr
trap_common:
    /* All caller-saved registers: an `attempt` declares them clobbered, an unexpected fault never returns. */
    mov rdi, rsp
    cld
    call {fault}
    /* RAX: where to go on. The frame's RSP is that of the attempt. */
    mov rcx, [rsp + 40]
    mov rdx, [rsp]
    mov rsp, rcx
    jmp rax

    .align 16
counted_interrupt:
    push rax
    push rdx
    push rcx
    rdtsc
    shl rdx, 32
    or rax, rdx
    mov [{tsc}], rax
    lock inc qword ptr [{count}]
    mov ecx, 0x80B
    xor eax, eax
    xor edx, edx
    wrmsr
    pop rcx
    pop rdx
    pop rax
    iretq
    "#,
    fault = sym fault,
    tsc = sym INTERRUPT_TSC,
    count = sym INTERRUPTS,
);

unsafe extern "C" {
    safe static trap_gates: u8;
    safe static counted_interrupt: u8;
}

extern "C" fn fault(frame: &Frame) -> u64 {
    let recovery = RECOVERY.swap(0, Ordering::Relaxed);
    if recovery == 0 {
        say!("FAULT vector {} error {:#x} rip {:#x}", frame.vector, frame.error, frame.rip);
        crate::power_off();
    }
    recovery
}

static mut IDT: [Gate; 256] = [[0; 2]; 256];

/// Loads the interrupt table.
pub fn install() {
    let idt = &raw mut IDT;
    for vector in 0..32 {
        let handler = (&raw const trap_gates).addr() as u64 + 16 * vector as u64;
        // SAFETY: one processor, before any interrupt.
        unsafe { (*idt)[vector] = gate(handler) };
    }
    // SAFETY: as above.
    unsafe { (*idt)[usize::from(COUNTED_VECTOR)] = gate((&raw const counted_interrupt).addr() as u64) };
    load();
}

/// Makes this processor use the interrupt table.
pub fn load() {
    // SAFETY: the table is static.
    unsafe { gate::load((&raw const IDT).addr() as u64, 4095) };
}

/// Runs `body(argument)`; the vector of the exception that ended it, if one did.
///
/// `body` must not need destructors: it is left in the middle.
pub fn attempt(body: extern "C" fn(*mut u64), argument: &mut [u64]) -> Option<u8> {
    let vector = guarded(body, argument.as_mut_ptr(), (&raw const RECOVERY).cast());
    u8::try_from(vector).ok().filter(|&vector| vector != 0xFF)
}

/// Calls `body(argument)` with `*recovery` set to a landing point behind the call; 0xFF, or the vector.
#[unsafe(naked)]
extern "C" fn guarded(body: extern "C" fn(*mut u64), argument: *mut u64, recovery: *const u64) -> u64 {
    naked_asm!(
        "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
        "mov [rip + {stack}], rsp",
        "lea rax, [rip + 2f]",
        "mov [rdx], rax",
        "mov rbx, rdx",
        "mov rax, rdi",
        "mov rdi, rsi",
        "sub rsp, 8",
        "call rax",
        "add rsp, 8",
        "mov qword ptr [rbx], 0",
        "mov eax, 0xFF",
        "jmp 3f",
        "2:",
        "mov rsp, [rip + {stack}]",
        "mov rax, rdx",
        "3:",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
        "ret",
        stack = sym STACK,
    )
}

static STACK: AtomicU64 = AtomicU64::new(0);

/// Waits for an interrupt that never comes.
pub fn halt() {
    // SAFETY: interrupts are off.
    unsafe { asm!("cli", "hlt") };
}

/// Ends the machine in a triple fault.
pub fn triple_fault() -> ! {
    let nothing = [0_u8; 10];
    // SAFETY: the end of this program is what is asked for.
    unsafe { asm!("lidt [{}]", "ud2", in(reg) nothing.as_ptr(), options(noreturn)) }
}
