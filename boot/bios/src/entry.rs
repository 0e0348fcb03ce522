//! From the PVH or Multiboot2 entry (32-bit protected mode, no paging) to 64-bit Rust: identity map of the first 4 GiB,
//! one stack.
//!
//! The tables and the stack made here are gone once the hypervisor runs on its own.
#![expect(unsafe_code, reason = "the way in is assembly")]

use core::arch::global_asm;

global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .align 4
    .long 4, 4, 18              /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long pvh_entry

    .section .multiboot2, "a"
    .align 8
multiboot2_header:
    .long 0xE85250D6, 0         /* magic; architecture: i386, protected mode */
    .long multiboot2_end - multiboot2_header
    .long -(0xE85250D6 + (multiboot2_end - multiboot2_header))
    .short 5, 1                 /* a framebuffer, where there is one; GRUB heeds the depth with a size only */
    .long 20, 1024, 768, 32
    .align 8
    .short 6, 0                 /* modules begin at pages */
    .long 8
    .short 0, 0
    .long 8
multiboot2_end:

    .section .text.entry, "ax"
    .code32
    .global multiboot2_entry
multiboot2_entry:
    mov ebp, eax                /* the protocol's magic number */
    jmp 1f
pvh_entry:
    xor ebp, ebp
1:  cli
    cld
    mov esp, offset boot_stack_top
    mov esi, ebx                /* the boot information, or struct hvm_start_info */

    /* Identity map: one PML4 entry, four page directories of 2 MiB pages. */
    mov eax, offset boot_pdpt
    or eax, 7
    mov [boot_pml4], eax
    mov eax, offset boot_pd
    or eax, 7
    mov ecx, 0
2:  mov [boot_pdpt + ecx*8], eax
    add eax, 4096
    inc ecx
    cmp ecx, 4
    jne 2b
    mov ecx, 0
    mov eax, 0x87
3:  mov [boot_pd + ecx*8], eax
    add eax, 0x200000
    inc ecx
    cmp ecx, 2048
    jne 3b

    mov eax, offset boot_pml4
    mov cr3, eax
    mov eax, cr4
    or eax, 0x620               /* PAE, OSFXSR, OSXMMEXCPT */
    mov cr4, eax
    mov ecx, 0xC0000080
    rdmsr
    or eax, 0x100               /* LME */
    wrmsr
    mov eax, cr0
    and eax, 0xFFFFFFFB         /* no EM */
    or eax, 0x80000003          /* PG, MP, PE */
    mov cr0, eax
    lgdt [boot_gdt_pointer]
    push 8
    mov eax, offset entry64
    push eax
    retf

    .code64
entry64:
    mov eax, 16
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    mov edi, ebp
    mov esi, esi                /* clears the upper half, as above */
    lea rsp, [rip + boot_stack_top]
    xor ebp, ebp
    call {main}
4:  cli
    hlt
    jmp 4b

    .section .data.boot, "aw"
    .align 8
boot_gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF
    .quad 0x00CF93000000FFFF
boot_gdt_pointer:
    .word 23
    .long boot_gdt

    .section .bss.boot, "aw", @nobits
    .align 4096
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd:   .skip 16384
    .skip 65536
boot_stack_top:
"#,
    main = sym crate::main,
);
