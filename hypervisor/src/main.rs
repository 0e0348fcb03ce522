//! The hypervisor's image: what the loader enters, and what a panic ends in. All else is in the library.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod entry {
    //! The entry point.
    #![expect(unsafe_code, reason = "the loader's convention")]

    /// Entered by a boot loader, in 64-bit mode with interrupts off; RDI: the hand-off.
    #[unsafe(no_mangle)]
    extern "C" fn hypervisor_entry(hand_off: *const handoff::HandOff) -> ! {
        // SAFETY: the loader gives its hand-off, and is gone.
        unsafe { hypervisor::arch::boot::enter(hand_off) }
    }

    #[panic_handler]
    fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
        hypervisor::arch::panic(info)
    }
}

#[cfg(not(target_os = "none"))]
fn main() {}
