//! What crosses the hypervisor's boundary: TLFS types, hypercalls, MSRs, CPUID leaves.
//!
//! This crate owns the single definition of the interface between the hypervisor and the partitions above it; the
//! hypervisor, the root partition and the tests all use it. It is pure data:
//!
//! 1. No I/O, no state, no `unsafe`.
//! 2. A value that comes off the wire is an open newtype: an unknown value survives the round trip and the reader
//!    decides; nothing here panics on any bits.
//! 3. Names are those of the Hyper-V Top Level Functional Specification (TLFS) or of Microsoft's public headers;
//!    where the interface is our own the documentation says "own".
//!
//! The way in: [`hypercall`] for the call convention and codes, then one module for each group of calls
//! ([`partition`], [`memory`], [`vp`], [`interrupt`], [`processor_set`], [`port`], [`stats`]); [`registers`] and [`register_page`] for
//! the state of a virtual processor; [`message`] and [`synic`] for what is delivered; [`msr`] and [`cpuid`] for what
//! a guest probes.
#![no_std]
#![forbid(unsafe_code)]

#[macro_use]
mod open_enum;

pub mod address;
pub mod control;
pub mod cpuid;
pub mod hypercall;
pub mod interrupt;
pub mod memory;
pub mod message;
pub mod msr;
pub mod partition;
pub mod port;
pub mod processor_set;
pub mod register_page;
pub mod registers;
pub mod stats;
pub mod status;
pub mod synic;
pub mod vp;

pub use address::{Gpa, GpaPage, Gva, Hva, PAGE_SIZE, Spa, SpaPage};
pub use hypercall::CallCode;
pub use partition::HvPartitionId;
pub use status::{HvResult, HvStatus};
pub use vp::HvVpIndex;
