//! The system-call interface between the root partition's kernel and its programs.
//!
//! 1. A program reaches nothing that it holds no handle to; there is no ambient authority.
//! 2. Every call is a few integers in registers. What a pointer names is copied once, checked, then used.
//! 3. A call that must wait suspends the process (its future), never the kernel.
//! 4. Numbers are stable within a build only: kernel and programs are built together.
//!
//! | register | in | out |
//! |---|---|---|
//! | RAX | [`Call`] | a value ≥ 0, or a negated [`Error`] |
//! | RDI, RSI, RDX, R10, R8, R9 | arguments | unchanged |
//! | RCX, R11 | – | clobbered |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod call;
mod error;
mod processor_set;
mod share;
mod types;
pub mod worker;

pub use call::Call;
pub use error::Error;
pub use processor_set::{PROCESSORS_MAX, ProcessorSet};
pub use share::*;
pub use types::*;
