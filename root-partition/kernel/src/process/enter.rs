//! Into ring 3 and back.
//!
//! The kernel's stack position is kept in the processor's own page, which GS names in the kernel and not in ring 3.
//! Nothing else is kept, so a process can be left at any trap and entered again from any poll, on any processor.
#![expect(unsafe_code, reason = "the way to ring 3 is assembly")]

use super::context::Context;
use crate::arch::processor::offset;
use crate::arch::{USER_CODE, USER_DATA, set_user_trap};
use core::arch::x86_64::{__cpuid, __cpuid_count};
use x86_64::VirtAddr;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};
use x86_64::registers::model_specific::{LStar, SFMask};
use x86_64::registers::rflags::RFlags;

/// Why a program stopped running.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trap {
    /// It made a system call.
    Call,
    /// An interrupt, or an exception of its own: the vector is in the context.
    Vector,
}

core::arch::global_asm!(
    r#"
    .section .text.enter, "ax"
    // In: RDI = context. Out: RAX = 0 after a system call, 1 after another trap.
    // Ways in: the program is at a system call (RCX and R11 are its to lose), or anywhere.
    .macro save_kernel
        push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        push rdi
        mov gs:[{kernel_stack}], rsp
    .endm
    .macro load_most
        mov rax, [rdi]
        mov rbx, [rdi + 0x08]
        mov rdx, [rdi + 0x18]
        mov rsi, [rdi + 0x20]
        mov rbp, [rdi + 0x30]
        mov r8, [rdi + 0x40]
        mov r9, [rdi + 0x48]
        mov r10, [rdi + 0x50]
        mov r12, [rdi + 0x60]
        mov r13, [rdi + 0x68]
        mov r14, [rdi + 0x70]
        mov r15, [rdi + 0x78]
    .endm
    // In: RCX = context.
    .macro save_most
        mov [rcx], rax
        mov [rcx + 0x08], rbx
        mov [rcx + 0x18], rdx
        mov [rcx + 0x20], rsi
        mov [rcx + 0x28], rdi
        mov [rcx + 0x30], rbp
        mov [rcx + 0x40], r8
        mov [rcx + 0x48], r9
        mov [rcx + 0x50], r10
        mov [rcx + 0x60], r12
        mov [rcx + 0x68], r13
        mov [rcx + 0x70], r14
        mov [rcx + 0x78], r15
    .endm
    .macro return_to_kernel value
        mov eax, \value
        add rsp, 8
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbp
        pop rbx
        ret
    .endm

    .globl enter_after_call
enter_after_call:
    save_kernel
    load_most
    mov rcx, [rdi + 0x80]
    mov r11, [rdi + 0x88]
    mov rsp, [rdi + 0x38]
    mov rdi, [rdi + 0x28]
    swapgs
    sysretq

    .globl enter_anywhere
enter_anywhere:
    save_kernel
    load_most
    mov rcx, [rdi + 0x10]
    mov r11, [rdi + 0x58]
    push {user_data}
    push qword ptr [rdi + 0x38]
    push qword ptr [rdi + 0x88]
    push {user_code}
    push qword ptr [rdi + 0x80]
    mov rdi, [rdi + 0x28]
    swapgs
    iretq

    // SYSCALL: RCX = RIP, R11 = RFLAGS; SFMASK has cleared every flag that matters here.
    .globl system_call
system_call:
    swapgs
    mov gs:[{user_stack}], rsp
    mov rsp, gs:[{kernel_stack}]
    push rcx
    mov rcx, [rsp + 8]
    save_most
    pop rax
    mov [rcx + 0x80], rax
    mov [rcx + 0x88], r11
    mov rax, gs:[{user_stack}]
    mov [rcx + 0x38], rax
    return_to_kernel 0

    // Any other trap, on the trap stack: vector, error code, RIP, CS, RFLAGS, RSP, SS.
    .globl user_trap
user_trap:
    swapgs
    push rcx
    mov rcx, gs:[{kernel_stack}]
    mov rcx, [rcx]
    save_most
    mov [rcx + 0x58], r11
    pop rax
    mov [rcx + 0x10], rax
    pop rax
    mov [rcx + 0x90], rax
    pop rax
    mov [rcx + 0x98], rax
    pop rax
    mov [rcx + 0x80], rax
    pop rax
    pop rax
    mov [rcx + 0x88], rax
    pop rax
    mov [rcx + 0x38], rax
    mov rsp, gs:[{kernel_stack}]
    // The program's flags are still on: direction, alignment check.
    push 2
    popfq
    return_to_kernel 1
    .text
"#,
    kernel_stack = const offset::KERNEL_STACK,
    user_stack = const offset::USER_STACK,
    user_data = const USER_DATA as u64,
    user_code = const USER_CODE as u64,
);

unsafe extern "C" {
    fn enter_after_call(context: *mut Context) -> u64;
    fn enter_anywhere(context: *mut Context) -> u64;
    fn system_call();
    fn user_trap();
}

/// Runs the program whose address space is active until it traps. `after_call`: it is at a system call whose value is in
/// RAX.
pub fn enter(context: &mut Context, after_call: bool) -> Trap {
    let context = core::ptr::from_mut(context);
    let trap = if after_call {
        // SAFETY: RIP is the address after a SYSCALL instruction that was mapped, so it is canonical; the program's
        // flags cannot turn interrupts off or raise its I/O privilege. What the program does stays in its address space.
        unsafe { enter_after_call(context) }
    } else {
        // SAFETY: RIP and flags are those of a trap from ring 3, or the initial ones; else as above.
        unsafe { enter_anywhere(context) }
    };
    if trap == 0 { Trap::Call } else { Trap::Vector }
}

/// Tells this processor where system calls and traps go, and what programs may not do: use vector state, or be read or
/// executed by the kernel by mistake.
pub fn start() {
    // SAFETY: `user_trap` is written for what the interrupt stubs leave.
    unsafe { set_user_trap(user_trap) };
    LStar::write(VirtAddr::from_ptr(system_call as *const u8));
    let cleared = RFlags::all() - RFlags::from_bits_retain(2);
    SFMask::write(cleared);
    // SAFETY: nothing in the root partition uses x87 or vector state; using it is a fault from now on.
    unsafe { Cr0::update(|cr0| cr0.insert(Cr0Flags::EMULATE_COPROCESSOR | Cr0Flags::TASK_SWITCHED)) };
    let without = Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE | Cr4Flags::OSXSAVE;
    // SAFETY: as above.
    unsafe { Cr4::update(|cr4| cr4.remove(without)) };
    if has_smap() {
        // SAFETY: the kernel reaches a program's memory through the direct map only.
        unsafe { Cr4::update(|cr4| cr4.insert(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION)) };
    }
}

/// Executes the instruction that the bench's counting plugin takes for "the first program begins".
pub fn mark_first_program() {
    // SAFETY: a NOP whose operand is a marker.
    unsafe {
        core::arch::asm!(
            ".byte 0x0f, 0x1f, 0x80, 0x22, 0x52, 0x4b, 0x4d",
            options(nomem, nostack, preserves_flags)
        );
    }
}

fn has_smap() -> bool {
    const SMAP: u32 = 1 << 20;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).ebx & SMAP != 0
}
