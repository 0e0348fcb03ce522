//! What a ring-3 program of the root partition stands on: entry point, heap, and a safe wrapper for each system call.
//!
//! 1. This is the one place of `unsafe` for programs: `vmms` and `worker` forbid it and reach memory that the kernel
//!    maps (guest RAM, pages of virtual processors) through [`GuestRam`] and [`VpPages`].
//! 2. Each kind of handle is a type; dropping it closes the handle. What kind a received [`Handle`] really is the
//!    kernel checks, so that a wrong conversion is an error of the first call, never more.
//! 3. A program has one thread; a call that waits suspends all of it.
//! 4. On a host (not `target_os = "none"`) everything links, and each call answers
//!    [`Error::Unsupported`](syscall::Error): so that the programs' logic can be tested there.
//!
//! A program is linked with `program.ld` beside this crate, at 4 MiB; its `main.rs` is
//!
//! ```ignore
//! #![cfg_attr(target_os = "none", no_std, no_main)]
//! #![forbid(unsafe_code)]
//! runtime::entry!(main);
//! fn main() {}
//! ```
#![no_std]

extern crate alloc;

mod call;
mod channel;
mod console;
mod file;
mod guest_ram;
mod handle;
#[cfg(target_os = "none")]
mod heap;
mod host;
mod process;
mod start;
mod time;
mod vm;
mod vp_pages;

pub use channel::{Channel, Received};
pub use console::Console;
pub use file::File;
pub use guest_ram::{GuestRam, NotRam};
pub use handle::{Handle, Object};
pub use host::System;
pub use process::{Process, crash, exit, log, mark_prompt, spin};
pub use time::{monotonic, sleep_until, utc, wait};
pub use vm::{Vm, VmEnd};
pub use vp_pages::VpPages;

#[doc(hidden)]
pub use start::finish;
