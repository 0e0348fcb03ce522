//! From the PVH or Multiboot2 entry (32-bit protected mode, no paging) to 64-bit Rust: identity map of the first 4 GiB,
//! one stack.
//!
//! The tables and the stack made here are gone once the hypervisor runs on its own.
#![expect(unsafe_code, reason = "the way in is assembly")]

use core::arch::global_asm;

/// EFER.LME.
const LME: u32 = 1 << 8;

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
"#,
    include_str!("../../loader/src/long_mode.s"),
    efer = const LME,
    main = sym crate::main,
);
