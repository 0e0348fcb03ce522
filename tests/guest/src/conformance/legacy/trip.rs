//! The way through the modes.
//!
//! Handlers of protected mode answer the vector and the error code above it, those of real mode the vector and how many
//! bytes were pushed, in EAX or AX, and go on where the code said.
#![expect(unsafe_code, reason = "the trip is assembly")]

use core::arch::global_asm;

unsafe extern "C" {
    /// Handlers of protected mode, 16 bytes apart.
    pub safe static legacy_gates: u8;
    /// What was found in protected mode.
    pub safe static legacy_results: u32;
    safe static real_begin: u8;
    safe static real_end: u8;
    pub safe static real_stray: u8;
    pub safe static real_de: u8;
    pub safe static real_db: u8;
    pub safe static real_ud: u8;
    pub safe static real_gp: u8;
    pub safe static real_call: u8;
    pub safe static real_interrupt: u8;
    /// The trip, from and to long mode.
    safe fn legacy_way(words: *mut u64);
}

/// The trip as a probe.
pub extern "C" fn legacy_trip(words: *mut u64) {
    legacy_way(words);
}

/// Where a label is in the segment of real mode.
pub fn offset(label: *const u8) -> u16 {
    (label.addr() - (&raw const real_begin).addr()) as u16
}

/// Copies the code of 16 bits to `to` and clears the page behind it.
pub fn copy(to: usize) {
    let length = usize::from(offset(&raw const real_end));
    let target = core::ptr::with_exposed_provenance_mut::<u8>(to);
    // SAFETY: conventional memory that nobody uses.
    unsafe { target.copy_from_nonoverlapping(&raw const real_begin, length) };
    // SAFETY: as above.
    unsafe { target.add(0x1000).write_bytes(0, 0x1000) };
}

global_asm!(
    r#"
    .global legacy_gates, legacy_results, legacy_way
    .global real_begin, real_end, real_stray, real_de, real_db, real_ud, real_gp, real_call, real_interrupt
    .section .bss.legacy, "aw", @nobits
    .align 16
legacy_results: .skip 256
legacy_rsp:    .skip 8
legacy_cr3:    .skip 8
legacy_cr4:    .skip 8
legacy_stack:  .skip 8
legacy_resume: .skip 8

    .section .data.legacy, "aw"
    .align 8
legacy_idt:
    .word 0x3FF
    .long LEGACY_IDT
real_idt:
    .word 0x3FF
    .long 0

    .section .text.legacy, "ax"
    .altmacro
    .macro legacy_gate vector
    .align 16
    .if \vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17
    .else
    push 0
    .endif
    push \vector
    jmp legacy_common
    .endm
    .macro attempt_32 label
    mov dword ptr [legacy_resume], offset \label
    mov [legacy_stack], esp
    .endm
    .macro put index
    mov [legacy_results + 4 * \index], eax
    .endm

    .code32
    .align 16
legacy_gates:
    .set vector, 0
    .rept 32
    legacy_gate %vector
    .set vector, vector + 1
    .endr
legacy_common:
    pop eax
    pop edx
    shl edx, 8
    or eax, edx
    mov esp, [legacy_stack]
    jmp dword ptr [legacy_resume]

    .code64
legacy_way:
    mov [legacy_rsp], rsp
    mov rax, cr3
    mov [legacy_cr3], rax
    mov rax, cr4
    mov [legacy_cr4], rax
    push 0x18
    lea rax, [rip + legacy_32]
    push rax
    retfq

    .code32
legacy_32:
    mov eax, cr0
    btr eax, 31
    mov cr0, eax
    mov ecx, 0xC0000080
    rdmsr
    btr eax, 8
    wrmsr
    lidt [legacy_idt]

    mov eax, 0x40000000
    cpuid
    mov eax, ebx
    put 0
    attempt_32 after_1
    ud2
after_1:  put 1
    attempt_32 after_2
    mov ecx, 0x20000000
    rdmsr
after_2:  put 2
    attempt_32 after_3
    mov eax, 0x58
    mov fs, eax
after_3:  put 3
    xor eax, eax
    mov edx, 0x3FD
    in al, dx
    and eax, 0x60
    put 4
    attempt_32 after_4
    .byte 0xEA
    .long 0
    .word 0x60
after_4:  put 5
    mov eax, [0xF0000000]
    put 6
    mov ecx, 0xC0000080
    rdmsr
    put 7

    /* Two levels, pages of 4 MiB. */
    mov eax, cr4
    and eax, 0xFFFFFFDF
    or eax, 0x10
    mov cr4, eax
    mov eax, offset LEGACY_DIRECTORY
    mov cr3, eax
    mov eax, cr0
    bts eax, 31
    mov cr0, eax
    attempt_32 after_5
    mov eax, [0xC0000000]
after_5:  put 8
    mov eax, cr2
    put 9
    attempt_32 after_6
    mov dword ptr [0xC0400000], 1
after_6:  put 10
    mov eax, 0x40000000
    cpuid
    mov eax, ebx
    put 11
    mov eax, [0xF0000000]
    put 12
    mov eax, cr0
    btr eax, 31
    mov cr0, eax

    /* Three levels. */
    mov eax, cr4
    or eax, 0x20
    mov cr4, eax
    mov eax, offset LEGACY_PDPT
    mov cr3, eax
    mov eax, cr0
    bts eax, 31
    mov cr0, eax
    attempt_32 after_7
    mov eax, [0xC0000000]
after_7:  put 13
    mov eax, cr2
    put 14
    mov eax, [0xB0000000]
    put 15
    mov eax, cr0
    btr eax, 31
    mov cr0, eax

    /* FS keeps its limit in real mode: nobody loads it there. */
    mov eax, 0x10
    mov fs, eax
    lidt [real_idt]
    .byte 0xEA
    .long 0x8000 + real_16 - real_begin
    .word 0x20

legacy_back:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov eax, [legacy_cr4]
    mov cr4, eax
    mov eax, [legacy_cr3]
    mov cr3, eax
    mov ecx, 0xC0000080
    rdmsr
    bts eax, 8
    wrmsr
    mov eax, cr0
    bts eax, 31
    mov cr0, eax
    .byte 0xEA
    .long legacy_64
    .word 8

    .code64
legacy_64:
    mov rsp, [legacy_rsp]
    ret

    /* Data of real mode at 0x900:0, behind the results: SP and IP after a fault, how many interrupts that are expected, how
       many that are not, and whether to single-step. */
    .macro attempt_16 label
    /* mov word ptr [0x402], label */
    .byte 0xC7, 0x06, 0x02, 0x04
    .word \label - real_begin
    mov [0x400], sp
    .endm
    .macro put_16 index
    mov [4 * \index], eax
    .endm

    .code16
real_begin:
real_stray:
    inc word ptr [0x406]
    iret
real_de:
    mov ax, 0
    jmp real_common
real_ud:
    mov ax, 6
    jmp real_common
real_gp:
    mov ax, 13
real_common:
    mov bx, [0x400]
    sub bx, sp
    mov ah, bl
    mov sp, [0x400]
    movzx eax, ax
    jmp word ptr [0x402]
real_db:
real_call:
    inc word ptr [0x404]
    iret
real_interrupt:
    inc word ptr [0x404]
    push eax
    push ecx
    push edx
    mov ecx, 0x80B
    xor eax, eax
    xor edx, edx
    wrmsr
    pop edx
    pop ecx
    pop eax
    iret

real_16:
    mov ax, 0x28
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x9F00
    mov eax, 0x40000000
    cpuid
    mov [0x9000], ebx
    mov eax, cr0
    and al, 0xFE
    mov cr0, eax
    .byte 0xEA
    .word real_mode - real_begin
    .word 0x800

real_mode:
    mov ax, 0x900
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0xF00
    xor eax, eax
    mov ax, cs
    put_16 1
    int 0x21
    movzx eax, word ptr [0x404]
    put_16 2
    attempt_16 after_8
    ud2
after_8:  put_16 3
    attempt_16 after_9
    xor cx, cx
    div cx
after_9:  put_16 4
    attempt_16 after_10
    mov bx, 0xFFFF
    mov ax, [bx]
after_10:  put_16 5
    attempt_16 after_11
    mov ecx, 0x20000000
    rdmsr
after_11:  put_16 6
    mov ax, 0xFFFF
    mov es, ax
    xor ebx, ebx
    mov es:[bx + 0x500 + 16], bl
    mov es, bx
    mov byte ptr es:[bx + 0x500], 1
    mov ax, 0xFFFF
    mov es, ax
    movzx eax, byte ptr es:[bx + 0x500 + 16]
    xor eax, 1
    put_16 7
    mov ax, 0x900
    mov es, ax
    mov eax, 0x40000000
    cpuid
    mov eax, ebx
    put_16 8
    xor eax, eax
    mov dx, 0x3FD
    in al, dx
    and al, 0x60
    put_16 9
    mov dx, 0x510
    mov di, 0x500
    mov cx, 3
    rep insb
    mov eax, [0x500]
    put_16 10
    mov word ptr [0x404], 0
    mov ecx, 0x83F
    mov eax, 0x60
    xor edx, edx
    wrmsr
    sti
    hlt
    cli
    movzx eax, word ptr [0x404]
    put_16 11
    mov word ptr [0x404], 0
    pushf
    pop bx
    or bx, 0x100
    push bx
    popf
    nop
    xor eax, eax
    cpuid
    mov dx, 0x3FF
    in al, dx
    pushf
    pop bx
    and bx, 0xFEFF
    push bx
    popf
    movzx eax, word ptr [0x404]
    put_16 12
    mov esi, 0x9000
    add esi, 4
    mov dword ptr fs:[esi + 0x1F6FFC], 0x600DF00D
    mov eax, fs:[esi + 0x1F6FFC]
    put_16 13
    mov esi, 0xF0000000
    mov eax, fs:[esi]
    put_16 14
    movzx eax, word ptr [0x406]
    put_16 15
    mov eax, cr0
    or al, 1
    mov cr0, eax
    .byte 0x66, 0xEA
    .long legacy_back
    .word 0x18
real_end:
    .code64
    "#
);
