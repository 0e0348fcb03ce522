//! From start-up IPI to the hypervisor: the loader left the code below 1 MiB ([`handoff::startup`]), on whose tables the
//! image is where it runs; here it is told whom to call.
#![expect(unsafe_code, reason = "the way in of a processor is assembly")]

use core::arch::global_asm;

use handoff::startup;
use hv_abi::SpaPage;

use crate::arch::memory::window::with_page;
use crate::machine::Page;

global_asm!(
    r#"
    .section .text
    /* On the loader's tables. rdi: number of the processor. rsi: root of the hypervisor's tables. */
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
    static processor_entry: u8;
}

/// The code in place.
pub struct Trampoline {
    first: SpaPage,
}

impl Trampoline {
    /// That at `first`; `root` is the root of the hypervisor's tables.
    pub fn new(first: SpaPage, root: SpaPage) -> Self {
        with_page(first, |page| {
            page.write(startup::TABLES, root.base().get());
            page.write(startup::ENTRY, (&raw const processor_entry).addr() as u64);
        });
        Self { first }
    }

    /// The page to name in SIPI.
    pub fn page(&self) -> u8 {
        self.first.get() as u8
    }

    /// Says which processor starts next, and on which stack.
    pub fn prepare(&self, processor: u64, stack: u64) {
        with_page(self.first, |page| {
            page.write(startup::ARGUMENT, processor);
            page.write(startup::STACK, stack);
        });
    }

    /// Leaves nothing behind.
    pub fn remove(self) {
        for number in 0..startup::PAGES {
            if let Some(page) = self.first.checked_add(number) {
                with_page(page, Page::zero);
            }
        }
    }
}
