//! The worker process of one VM: loads its kernel, is its chipset, and finishes the instructions that reach no RAM.
//!
//! It owns the emulated devices (UART, CMOS clock, I/O APIC, power ports), the ACPI tables and the guest's console. It
//! has one VM, whose handle and files `vmms` gave it, and no call by which to name another. What must always hold:
//!
//! 1. A byte of guest memory is copied once and judged as a copy ([`memory`]).
//! 2. Nothing that a guest does makes it panic, or work without an end on one intercept: what it cannot carry out
//!    becomes the exception that a processor would raise, or ends the VM.
//! 3. Its end is that of its VM, and of nothing else.
//!
//! The way in: [`Worker`] waits for events through the seam [`machine`]; an intercept goes to [`ports`] or to [`mmio`],
//! which go to a [`device`]. Host tests run it over a fake, the program over [`kernel`].
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod acpi;
mod bus;
pub mod console;
pub mod device;
#[cfg(test)]
mod fake;
pub mod kernel;
pub mod loader;
pub mod machine;
pub mod memory;
pub mod mmio;
pub mod paging;
pub mod ports;
pub mod registers;
mod string_io;
mod vm;

pub use vm::{StartError, Worker};
