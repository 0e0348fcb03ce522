//! Starts another virtual processor: from the start-up interrupt, in real mode, to 64-bit Rust with this processor's page
//! tables. Its APIC, like this one's, is in x2APIC mode.
#![expect(unsafe_code, reason = "a processor begins in assembly")]

use core::arch::{asm, global_asm};

/// Where its first instructions are, and the vector that says so.
const START: usize = 0xA000;
const VECTOR: u64 = (START >> 12) as u64;
const ICR: u32 = 0x830;
/// INIT and start-up, level asserted.
pub const INIT: u64 = 0x4500;
pub const STARTUP: u64 = 0x4600 | VECTOR;

/// A stack for it.
#[repr(C, align(16))]
pub struct Stack([u8; 16384]);

impl Stack {
    /// An empty one.
    pub const fn new() -> Self {
        Self([0; 16384])
    }
}

global_asm!(
    r#"
    .section .data.startup, "aw"
    .global startup_cr3, startup_stack, startup_main, startup_begin, startup_end
    .align 8
startup_cr3:   .quad 0
startup_stack: .quad 0
startup_main:  .quad 0

    .section .text.startup, "ax"
    .code16
startup_begin:
    cli
    xor ax, ax
    mov ds, ax
    /* lgdt, with a base of 32 bits */
    .byte 0x66, 0x0F, 0x01, 0x16
    .word 0xA000 + startup_gdt_pointer - startup_begin
    mov eax, cr0
    or al, 1
    mov cr0, eax
    .byte 0x66, 0xEA
    .long startup_32
    .word 24
    .align 8
    /* 64-bit code and data have the places that they have in the first processor's table. */
startup_gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF
    .quad 0x00CF93000000FFFF
    .quad 0x00CF9B000000FFFF
startup_gdt_pointer:
    .word 31
    .long 0xA000 + startup_gdt - startup_begin
startup_end:

    .code32
startup_32:
    mov eax, 16
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov eax, cr4
    or eax, 0x620
    mov cr4, eax
    mov eax, [startup_cr3]
    mov cr3, eax
    mov ecx, 0xC0000080
    rdmsr
    or eax, 0x900
    wrmsr
    mov eax, cr0
    and eax, 0x9FFFFFFB
    or eax, 0x80000003
    mov cr0, eax
    .byte 0xEA
    .long startup_64
    .word 8

    .code64
startup_64:
    mov rsp, [rip + startup_stack]
    call [rip + startup_main]
2:  hlt
    jmp 2b
    "#
);

unsafe extern "C" {
    static mut startup_cr3: u64;
    static mut startup_stack: u64;
    static mut startup_main: u64;
    safe static startup_begin: u8;
    safe static startup_end: u8;
}

/// Sends INIT, then start-up twice, as kernels do, to the processor whose APIC has this id. It enables its APIC and calls
/// `main`.
///
/// # Safety
/// Nobody else uses the stack. No other processor is on its way: `main` has said that it runs.
pub unsafe fn start(id: u32, stack: *mut Stack, main: extern "C" fn() -> !) {
    // SAFETY: the caller's contract.
    unsafe { send(u64::from(id) << 32, stack, main) };
}

/// The same for all processors but this, at once.
///
/// # Safety
/// As for [`start`]; what they write to the stack before `main` is the same.
pub unsafe fn start_others(stack: *mut Stack, main: extern "C" fn() -> !) {
    const TO_OTHERS: u64 = 3 << 18;
    // SAFETY: the caller's contract.
    unsafe { send(TO_OTHERS, stack, main) };
}

/// # Safety
/// As above.
unsafe fn send(destination: u64, stack: *mut Stack, main: extern "C" fn() -> !) {
    let cr3: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr3", out(reg) cr3) };
    // SAFETY: no processor is on its way.
    unsafe { (&raw mut startup_cr3).write_volatile(cr3) };
    // SAFETY: as above.
    unsafe { (&raw mut startup_stack).write_volatile(stack.addr() as u64 + size_of::<Stack>() as u64) };
    // SAFETY: as above.
    unsafe { (&raw mut startup_main).write_volatile(main as usize as u64) };
    let length = (&raw const startup_end).addr() - (&raw const startup_begin).addr();
    let target = core::ptr::with_exposed_provenance_mut::<u8>(START);
    // SAFETY: conventional memory that nobody uses but a processor with the table that is in it already.
    unsafe { target.copy_from_nonoverlapping(&raw const startup_begin, length) };
    for command in [INIT, STARTUP, STARTUP].map(|command| command | destination) {
        // SAFETY: the APIC is in x2APIC mode.
        unsafe { asm!("wrmsr", in("ecx") ICR, in("eax") command as u32, in("edx") (command >> 32) as u32) };
    }
}
