//! Catches exceptions and interrupts: each is noted; a fault ends the probe, a trap or an interrupt does not.
//!
//! A probe may give a hook that decides otherwise, and may change gates. What comes outside of a probe ends the guest.
#![expect(unsafe_code, reason = "interrupt gates and their assembly")]

use core::arch::{asm, global_asm, naked_asm};
use core::cell::UnsafeCell;

use super::event::{Event, Outcome};
use super::processor::wrmsr_now;
use crate::gate::{self, Gate, gate};
use crate::say;

/// Vectors that have a gate.
pub const VECTORS: usize = 0x90;
/// The one that ends code of user mode.
pub const LEAVE: u8 = 0x80;

/// Registers when an exception or interrupt came.
#[repr(C)]
pub struct Frame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    pub vector: u64,
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// What follows.
pub enum Then {
    /// What always does.
    Usual,
    /// On with what the frame now says.
    Resume,
    /// The probe ends.
    End,
}

/// Decides what follows.
pub type Hook = fn(&mut Frame) -> Then;

/// Only one processor at a time looks at it, and a handler only while its probe waits.
struct Shared<T>(UnsafeCell<T>);

// SAFETY: as the type says.
unsafe impl<T> Sync for Shared<T> {}

struct State {
    outcome: Outcome,
    hook: Option<Hook>,
    active: bool,
}

static STATE: Shared<State> =
    Shared(UnsafeCell::new(State { outcome: Outcome::NOTHING, hook: None, active: false }));
static IDT: Shared<[Gate; 256]> = Shared(UnsafeCell::new([[0; 2]; 256]));
static STACK: Shared<u64> = Shared(UnsafeCell::new(0));

global_asm!(
    r#"
    .global catch_gates
    .section .text.catch, "ax"
    .altmacro
    .macro catch_gate vector
    .align 16
    .if \vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17 || \vector == 21 || \vector == 29 || \vector == 30
    .else
    push 0
    .endif
    push \vector
    jmp catch_common
    .endm
    .align 16
catch_gates:
    .set vector, 0
    .rept {vectors}
    catch_gate %vector
    .set vector, vector + 1
    .endr
catch_common:
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    cld
    mov rdi, rsp
    mov rbp, rsp
    and rsp, -16
    call {caught}
    mov rsp, rbp
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    add rsp, 16
    iretq
    "#,
    vectors = const VECTORS,
    caught = sym caught,
);

unsafe extern "C" {
    safe static catch_gates: u8;
}

extern "C" fn caught(frame: &mut Frame) {
    // SAFETY: the probe waits.
    let state = unsafe { &mut *STATE.0.get() };
    let vector = frame.vector as u8;
    if !state.active {
        say!("UNEXPECTED vector {vector} error {:#x} rip {:#x}", frame.error, frame.rip);
        crate::power_off();
    }
    if vector != LEAVE {
        state.outcome.note(Event { vector, error: frame.error, rip: frame.rip, cr2: cr2(), dr6: dr6() });
    }
    if vector == 1 {
        clear_dr6();
    }
    if vector >= 32 && vector != LEAVE {
        end_of_interrupt();
    }
    match state.hook.map_or(Then::Usual, |hook| hook(frame)) {
        Then::Resume => {}
        Then::End => end(frame),
        Then::Usual => match vector {
            // So that an instruction breakpoint is passed.
            1 => frame.rflags |= 1 << 16,
            2..=4 => {}
            vector if vector >= 32 && vector != LEAVE => {}
            _ => end(frame),
        },
    }
}

fn end(frame: &mut Frame) {
    frame.rip = (landing as *const ()).addr() as u64;
    frame.cs = 8;
    frame.rflags = 2;
    // SAFETY: written when the probe began.
    frame.rsp = unsafe { *STACK.0.get() };
    frame.ss = 16;
}

fn cr2() -> u64 {
    let value;
    // SAFETY: reads.
    unsafe { asm!("mov {}, cr2", out(reg) value) };
    value
}

fn dr6() -> u64 {
    let value;
    // SAFETY: reads; DR7.GD was cleared when #DB came.
    unsafe { asm!("mov {}, dr7", "btr {0}, 13", "mov dr7, {0}", "mov {0}, dr6", out(reg) value) };
    value
}

/// As after reset: bits of earlier causes stay otherwise.
fn clear_dr6() {
    // SAFETY: debug registers are this program's.
    unsafe { asm!("mov dr6, {}", in(reg) 0xFFFF_0FF0_u64) };
}

/// EOI of the local APIC.
pub fn end_of_interrupt() {
    wrmsr_now(0x80B, 0);
}

/// Loads the interrupt table.
pub fn install() {
    for vector in 0..VECTORS {
        set_gate(vector, usual_gate(vector));
    }
    load(4095);
}

/// The gate that catches `vector`.
pub fn usual_gate(vector: usize) -> Gate {
    let mut gate = gate((&raw const catch_gates).addr() as u64 + 16 * vector as u64);
    if matches!(vector, 3 | 4) || vector == usize::from(LEAVE) {
        // Code of user mode may use it.
        gate[0] |= 3 << 45;
    }
    gate
}

/// Changes a gate.
pub fn set_gate(vector: usize, gate: Gate) {
    // SAFETY: no probe runs.
    unsafe { (*IDT.0.get())[vector] = gate };
}

/// Loads the table with another limit.
pub fn load(limit: u16) {
    // SAFETY: the table is static.
    unsafe { gate::load(IDT.0.get().addr() as u64, limit) };
}

/// Runs `body(words)`; what happened.
pub fn attempt(body: extern "C" fn(*mut u64), words: &mut [u64]) -> Outcome {
    attempt_with(body, words, None)
}

/// The same with a hook.
pub fn attempt_with(body: extern "C" fn(*mut u64), words: &mut [u64], hook: Option<Hook>) -> Outcome {
    let state = STATE.0.get();
    // SAFETY: no handler runs.
    unsafe { state.write(State { outcome: Outcome::NOTHING, hook, active: true }) };
    guarded(body, words.as_mut_ptr(), STACK.0.get());
    // SAFETY: as above.
    let State { outcome, .. } =
        unsafe { state.replace(State { outcome: Outcome::NOTHING, hook: None, active: false }) };
    outcome
}

/// Calls the probe with `*stack` set to where its end is.
#[unsafe(naked)]
extern "C" fn guarded(body: extern "C" fn(*mut u64), words: *mut u64, stack: *mut u64) {
    naked_asm!(
        "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
        "sub rsp, 8",
        "mov [rdx], rsp",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        "jmp {landing}",
        landing = sym landing,
    )
}

/// Where a probe goes on after its end; RSP is what `guarded` noted.
#[unsafe(naked)]
extern "C" fn landing() {
    naked_asm!(
        "push 2",
        "popfq",
        "mov eax, 16",
        "mov ds, eax",
        "mov es, eax",
        "mov ss, eax",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
    )
}
