//! The code with which a processor starts, and its way from real mode to 64-bit mode (`handoff::startup`).
#![expect(unsafe_code, reason = "the way in is assembly, in RAM that is named by its address")]

use core::arch::global_asm;

use handoff::startup;

use crate::PAGE;

global_asm!(
    r#"
    .global startup_code, startup_gdt_pointer, startup_far, startup_root, startup_efer
    .section .rodata.startup, "a"
    .code16
    .balign 16
startup_code:
    cli
    cld
    mov ax, cs
    mov ds, ax
    mov eax, cr4
    or eax, 0x20                                    /* PAE */
    mov cr4, eax
    .byte 0x66, 0xA1                                /* mov eax, [root] */
    .word startup_root - startup_code
    mov cr3, eax
    mov ecx, 0xC0000080
    rdmsr
    .byte 0x66, 0x0B, 0x06                          /* or eax, [efer] */
    .word startup_efer - startup_code
    wrmsr
    .byte 0x66, 0x0F, 0x01, 0x16                    /* lgdt [pointer] */
    .word startup_gdt_pointer - startup_code
    mov eax, 0x80010033                             /* PG, WP, NE, ET, MP, PE */
    mov cr0, eax
    .byte 0x66, 0xFF, 0x2E                          /* jmp [far] */
    .word startup_far - startup_code

    .code64
startup_long:
    mov rsp, [rip + startup_words + 8 * {stack}]
    mov rdi, [rip + startup_words + 8 * {argument}]
    mov rsi, [rip + startup_words + 8 * {tables}]
    jmp [rip + startup_words + 8 * {entry}]

    .balign 8
startup_gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF
startup_gdt_pointer:
    .word 15
    .long startup_gdt - startup_code                /* + page */
    .word 0
startup_far:
    .long startup_long - startup_code               /* + page */
    .word 8
    .balign 8
startup_root:
    .quad 0
startup_efer:
    .quad 0
    .skip 8 * {words} - (. - startup_code)
startup_words:
    .text
    "#,
    words = const startup::WORDS,
    stack = const startup::STACK - startup::WORDS,
    argument = const startup::ARGUMENT - startup::WORDS,
    tables = const startup::TABLES - startup::WORDS,
    entry = const startup::ENTRY - startup::WORDS,
);

unsafe extern "C" {
    static startup_code: u8;
    static startup_gdt_pointer: u8;
    static startup_far: u8;
    static startup_root: u8;
    static startup_efer: u8;
}

/// Writes the code to the first of `pages`, which are at `base` below 1 MiB, and a copy of `root` to the second, so that it
/// is where 32 bits reach it. `efer`: bits to set.
pub fn write(pages: &mut [u8], base: u32, root: &[u8], efer: u32) {
    let start = (&raw const startup_code).addr();
    let at = |symbol: *const u8| symbol.addr() - start;
    // SAFETY: the bytes up to the words, which are read-only data of the image.
    let code = unsafe { core::slice::from_raw_parts(&raw const startup_code, startup::WORDS * 8) };
    pages.fill(0);
    pages[..code.len()].copy_from_slice(code);
    let mut add = |at: usize, value: u32| {
        let place = &mut pages[at..at + 4];
        let before = place.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
        place.copy_from_slice(&(before + value).to_le_bytes());
    };
    add(at(&raw const startup_gdt_pointer) + 2, base);
    add(at(&raw const startup_far), base);
    add(at(&raw const startup_root), base + PAGE as u32);
    add(at(&raw const startup_efer), efer);
    pages[PAGE as usize..].copy_from_slice(root);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_told_where_it_is() {
        let root: [u8; PAGE as usize] = core::array::from_fn(|at| at as u8);
        let mut pages = [7; startup::BYTES as usize];
        write(&mut pages, 0x9_C000, &root, 0x900);
        let start = (&raw const startup_code).addr();
        let word = |symbol: *const u8, skip: usize| {
            let bytes = pages[symbol.addr() - start + skip..].first_chunk();
            u32::from_le_bytes(*bytes.unwrap())
        };
        assert_eq!(pages[..2], [0xFA, 0xFC], "CLI, CLD");
        assert_eq!(word(&raw const startup_root, 0), 0x9_D000);
        assert_eq!(word(&raw const startup_efer, 0), 0x900);
        let gdt = word(&raw const startup_gdt_pointer, 2) as usize - 0x9_C000;
        assert_eq!(pages[gdt + 8..gdt + 16], 0x00AF_9B00_0000_FFFF_u64.to_le_bytes());
        let long = word(&raw const startup_far, 0) as usize - 0x9_C000;
        assert_eq!(pages[long..long + 3], [0x48, 0x8B, 0x25], "MOV RSP, [RIP + ...]");
        let stack = u32::from_le_bytes(*pages[long + 3..].first_chunk().unwrap()) as usize;
        assert_eq!(long + 7 + stack, startup::STACK * 8);
        assert!(pages[startup::WORDS * 8..PAGE as usize].iter().all(|byte| *byte == 0));
        assert_eq!(pages[PAGE as usize..], root);
    }
}
