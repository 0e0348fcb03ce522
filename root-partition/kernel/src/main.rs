//! The root partition's kernel, as an image for a boot loader; everything is in the library.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    root_kernel::arch::panic(info)
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the root kernel runs on the bare machine: build it for x86_64-unknown-none");
}
