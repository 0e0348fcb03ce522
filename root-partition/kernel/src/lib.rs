//! The root partition's kernel: an async executor with drivers, processes and virtual machines as its tasks.
//!
//! It owns every device and all RAM that the hypervisor left; guests and programs get at both through it only. The way
//! in is [`boot`]; [`executor`] runs everything afterwards.
//!
//! 1. Kernel code runs with interrupts off. They are taken in ring 3, in guests, when idle, and between two polls of the
//!    executor, so a handler never finds a lock taken; all that a handler does is to wake.
//! 2. Nothing blocks: what must wait is a future. A poll is short.
//! 3. What comes from a program, a guest or a device is checked like input from a network.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(test, expect(dead_code, reason = "what only the machine calls"))]

extern crate alloc;

#[cfg(not(test))]
pub mod arch;
pub mod block;
#[cfg(not(test))]
pub mod boot;
#[cfg(not(test))]
mod calls;
#[cfg(not(test))]
pub mod console;
pub mod drivers;
pub mod executor;
pub mod firmware;
pub mod host_log;
pub mod hypervisor;
#[cfg(not(test))]
pub mod interrupts;
pub mod memory;
pub mod pci;
pub mod process;
#[cfg(not(test))]
mod processors;
pub mod time;
#[cfg(not(test))]
pub mod vm;
pub mod vmbus;
