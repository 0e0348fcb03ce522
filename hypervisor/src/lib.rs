//! The hypervisor: partitions, virtual processors, and nothing else.
//!
//! It owns its image, the partitions' pools and second-level tables, and the state of virtual processors; it has no
//! scheduler, no device driver, no device model, no instruction decoder. What must always hold:
//!
//! 1. No partition's second-level table maps a hypervisor page, nor a page of another partition that its owner did not
//!    map there.
//! 2. Creating and deleting a partition returns every page.
//! 3. Any hypercall with any input from any partition answers a status.
//!
//! What is in a partition's pool, in its second-level table, and in the root's table is decided in [`memory`]; who may
//! touch what when, in [`slot`], [`object`] and [`processor`]. The order of locks, outermost first:
//! [`Partition::lifecycle`](partition::Partition::lifecycle), a guest's SynIC's queue, connections, ports, a root VP's
//! SynIC pages, counters, a guest's memory, the root's memory, the root's tables, any pool. A VP's state is never waited
//! for.
//!
//! The way in: [`Hypervisor::start`], then [`Hypervisor::run_root`] on a processor. From there [`hypercall`] takes calls
//! apart (one type a call), and [`Hypervisor::dispatch`] runs a guest: [`exit`] deals with what stopped it.
//!
//! The library is architecture-neutral above the seams [`backend`] (the vendor's extension) and [`machine`] (memory
//! windows, time, other processors), so that host tests run it over fakes; [`arch`] is what is below them.
#![no_std]
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::unwrap_used, clippy::arithmetic_side_effects))]

pub mod apic;
pub mod arch;
mod atomic;
pub mod backend;
pub mod connection;
pub mod cpuid;
pub mod dispatch;
pub mod exit;
#[cfg(all(test, not(loom)))]
mod fake;
#[cfg(any(all(test, not(loom)), feature = "fake"))]
pub mod fake_machine;
pub mod flush;
pub mod gpa_space;
pub mod guest;
pub mod guest_mode;
pub mod hypercall;
pub mod hypervisor;
pub mod inject;
pub mod intercept;
pub mod layout;
pub mod lifecycle;
pub mod machine;
pub mod memory;
pub mod msr;
pub mod object;
pub mod object_lock;
pub mod partition;
pub mod partition_table;
pub mod platform;
pub mod pool;
pub mod port;
pub mod processor;
pub mod reference_time;
pub mod register_page;
pub mod root;
pub mod root_table;
pub mod send;
pub mod slot;
pub mod start;
pub mod synic;
pub mod table;
pub mod timer;
pub mod translate;
pub mod vp;
pub mod vp_set;

#[cfg(all(test, not(loom)))]
mod tests;

pub use hypervisor::{BootInfo, Hypervisor};
pub use root::RootEntry;
