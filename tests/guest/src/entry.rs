//! From the PVH entry (32-bit protected mode, no paging) to 64-bit Rust: identity map of the first 4 GiB, one stack.
#![expect(unsafe_code, reason = "the way in is assembly")]

use core::arch::global_asm;

use hv_abi::control::efer::{LME, NXE};

global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .align 4
    .long 4, 4, 18              /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long pvh_entry

    .section .text.entry, "ax"
    .code32
    .global pvh_entry
pvh_entry:
    cli
    cld
    mov esp, offset boot_stack_top
    mov ebp, ebx                /* struct hvm_start_info */
"#,
    include_str!("../../../boot/loader/src/long_mode.s"),
    efer = const LME | NXE,
    main = sym crate::main,
);
