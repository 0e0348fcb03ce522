//! From SIPI to the hypervisor: real-mode code on a page below 1 MiB, with tables of its own for the moment in which
//! paging comes on.
//!
//! The pages are free RAM of the memory map, so nothing is kept from them; they are zero again afterwards.
#![expect(unsafe_code, reason = "the way in of a processor is assembly")]

use core::arch::global_asm;

use hv_abi::SpaPage;

use crate::arch::memory::window::with_page;
use crate::machine::{PAGE_BYTES, Page};

global_asm!(
    r#"
    .section .rodata.trampoline, "a"
    .code16
    .balign 16
trampoline:
    cli
    cld
    mov ax, cs
    mov ds, ax
    xor ebx, ebx
    mov bx, ax
    shl ebx, 4
    mov eax, cr4
    or eax, 0x20                                    /* PAE */
    mov cr4, eax
    .byte 0x66, 0xA1                                /* mov eax, [low_root] */
    .word trampoline_low_root - trampoline
    mov cr3, eax
    mov ecx, 0xC0000080
    rdmsr
    or eax, 0x900                                   /* LME, NXE */
    wrmsr
    .byte 0x66, 0x0F, 0x01, 0x16                    /* lgdt [pointer] */
    .word trampoline_gdt_pointer - trampoline
    mov eax, 0x80010033                             /* PG, WP, NE, ET, MP, PE */
    mov cr0, eax
    .byte 0x66, 0xFF, 0x2E                          /* jmp [far] */
    .word trampoline_far - trampoline

    .code64
trampoline_long:
    mov rsp, [rip + trampoline_stack]
    mov rdi, [rip + trampoline_processor]
    mov rsi, [rip + trampoline_root]
    mov rax, [rip + trampoline_entry]
    jmp rax

    .balign 8
trampoline_low_root:    .quad 0
trampoline_root:        .quad 0
trampoline_stack:       .quad 0
trampoline_processor:   .quad 0
trampoline_entry:       .quad 0
trampoline_gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF
trampoline_gdt_pointer:
    .word 15
    .long trampoline_gdt - trampoline               /* + page */
    .word 0
trampoline_far:
    .long trampoline_long - trampoline              /* + page */
    .word 8
    .balign 8
trampoline_end:

    .section .text
    /* On the trampoline's tables, at the image's own address. */
    .global processor_entry
processor_entry:
    mov cr3, rsi
    xor ebp, ebp
    call {main}
    ud2
    "#,
    main = sym crate::arch::processors::main,
);

unsafe extern "C" {
    static trampoline: u8;
    static trampoline_end: u8;
    static trampoline_low_root: u8;
    static trampoline_root: u8;
    static trampoline_stack: u8;
    static trampoline_processor: u8;
    static trampoline_entry: u8;
    static trampoline_gdt_pointer: u8;
    static trampoline_far: u8;
    static processor_entry: u8;
}

/// Pages that it needs, one after the other: code, and three tables.
const PAGES: u64 = 4;
const _: () = assert!(PAGES * PAGE_BYTES as u64 <= handoff::STARTUP_BYTES);

/// The code in place.
pub struct Trampoline {
    first: SpaPage,
    /// The bytes of the code page, patched.
    code: [u8; 512],
    length: usize,
}

fn offset(symbol: *const u8) -> usize {
    symbol.addr().wrapping_sub((&raw const trampoline).addr())
}

impl Trampoline {
    /// Puts the code at `first` and the three pages after it; `root` is the root of the hypervisor's tables.
    pub fn install(first: SpaPage, root: SpaPage) -> Option<Self> {
        let length = offset(&raw const trampoline_end);
        let mut this = Self { first, code: [0; 512], length };
        // SAFETY: the bytes between the two symbols, which are read-only data of the image.
        let bytes = unsafe { core::slice::from_raw_parts(&raw const trampoline, length) };
        for (to, from) in this.code.iter_mut().zip(bytes) {
            *to = *from;
        }
        let base = first.base().get();
        this.put(&raw const trampoline_low_root, first.checked_add(1)?.base().get());
        this.put(&raw const trampoline_root, root.base().get());
        this.put(&raw const trampoline_entry, (&raw const processor_entry).addr() as u64);
        this.add(offset(&raw const trampoline_gdt_pointer).wrapping_add(2), base as u32);
        this.add(offset(&raw const trampoline_far), base as u32);
        this.make_tables(root)?;
        Some(this)
    }

    /// The page to name in SIPI.
    pub fn page(&self) -> u8 {
        self.first.get() as u8
    }

    /// Says which processor starts next, and on which stack.
    pub fn prepare(&mut self, processor: u64, stack: u64) {
        self.put(&raw const trampoline_processor, processor);
        self.put(&raw const trampoline_stack, stack);
        let code = self.code.get(..self.length).unwrap_or_default();
        with_page(self.first, |page| page.copy_in(0, code));
    }

    /// Leaves nothing behind.
    pub fn remove(self) {
        for number in 0..PAGES {
            if let Some(page) = self.first.checked_add(number) {
                with_page(page, Page::zero);
            }
        }
    }

    /// The first 2 MiB at their own addresses, and the upper half of the hypervisor's tables.
    fn make_tables(&self, root: SpaPage) -> Option<()> {
        const TABLE: u64 = 0b11;
        const LARGE: u64 = 1 << 7;
        const WORDS: usize = PAGE_BYTES / 8;
        let [top, middle, last] =
            [self.first.checked_add(1)?, self.first.checked_add(2)?, self.first.checked_add(3)?];
        for page in [top, middle, last] {
            with_page(page, Page::zero);
        }
        for index in WORDS / 2..WORDS {
            let entry = with_page(root, |page| page.read(index));
            with_page(top, |page| page.write(index, entry));
        }
        with_page(top, |page| page.write(0, middle.base().get() | TABLE));
        with_page(middle, |page| page.write(0, last.base().get() | TABLE));
        with_page(last, |page| page.write(0, TABLE | LARGE));
        Some(())
    }

    fn put(&mut self, symbol: *const u8, value: u64) {
        let at = offset(symbol);
        if let Some(slot) = self.code.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
            *slot = value.to_le_bytes();
        }
    }

    fn add(&mut self, at: usize, value: u32) {
        if let Some(slot) = self.code.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
            *slot = u32::from_le_bytes(*slot).wrapping_add(value).to_le_bytes();
        }
    }
}
