//! The worker process of one VM.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod acpi;
pub mod console;
pub mod device;
#[cfg(test)]
mod fake;
pub mod loader;
pub mod memory;
pub mod ports;
