//! The last instructions of the loader.
#![expect(unsafe_code, reason = "leaves for another program")]

use core::arch::asm;

use handoff::{HandOff, Image};

/// Enters `image` on its tables and its stack, with the hand-off's address in RDI.
pub fn enter(image: &Image, hand_off: &'static HandOff) -> ! {
    // SAFETY: both sets of tables map this code at its own address; the image's entry and stack are mapped.
    unsafe {
        asm!(
            "mov cr3, {tables}",
            "mov rsp, {stack}",
            "xor ebp, ebp",
            "call {entry}",
            "ud2",
            tables = in(reg) image.page_table,
            stack = in(reg) image.stack,
            entry = in(reg) image.entry,
            in("rdi") core::ptr::from_ref(hand_off),
            options(noreturn),
        )
    }
}

/// Stops this processor for good.
pub fn stop() -> ! {
    loop {
        // SAFETY: there is nothing left to do.
        unsafe { asm!("cli", "hlt") };
    }
}
