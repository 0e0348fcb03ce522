//! The worker process of one VM.
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
