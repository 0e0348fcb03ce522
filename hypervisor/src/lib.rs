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
//! What the machine lets the root do all the same, which owns its devices, so that what is above does not hold against a
//! root that means harm:
//!
//! * DMA: no IOMMU is used yet. The first line at boot says so.
//! * Processors that did not start, because there are more than the hypervisor has room for or they took too long: the
//!   root's INIT and start-up IPI have them run its code outside of any partition. A line at boot says so. (A processor
//!   that did start takes no notice of either.)
//! * Sleep (ACPI S1 to S4 through PM1_CNT): the firmware wakes the machine in code that the root named, with the
//!   hypervisor off.
//! * Whatever the firmware has left open to any system: SMM, its flash memory, the chipset's registers.
//!
//! The way in: [`Hypervisor::start`](hypervisor::Hypervisor::start), then
//! [`run_root`](hypervisor::Hypervisor::run_root) on a processor. From there [`hypercall`] takes calls
//! apart (one type a call), and [`dispatch`] runs a guest: [`exit`] deals with what stopped it.
//!
//! The library is architecture-neutral above the seams [`backend`] (the vendor's extension) and [`machine`] (memory
//! windows, time, other processors), so that host tests run it over fakes; `arch` is what is below them.
#![no_std]
#![cfg_attr(not(target_os = "none"), expect(dead_code, reason = "used on the machine itself only"))]
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::unwrap_used, clippy::arithmetic_side_effects))]

mod apic;
#[cfg(target_os = "none")]
pub mod arch;
mod atomic;
mod backend;
mod blocked;
mod connection;
mod cpuid;
mod dispatch;
mod exit;
#[cfg(all(test, not(loom)))]
mod fake;
#[cfg(any(all(test, not(loom)), feature = "fake"))]
pub mod fake_machine;
mod flush;
mod gpa_space;
mod guest;
mod guest_mode;
mod hypercall;
mod hypervisor;
mod inject;
mod intercept;
mod layout;
mod lifecycle;
mod machine;
mod memory;
mod msr;
mod object;
mod object_lock;
mod partition;
mod partition_table;
mod platform;
mod pool;
mod port;
mod processor;
mod reference_time;
mod register_page;
mod root;
mod root_table;
#[cfg(any(all(test, not(loom)), target_os = "none"))]
mod screen;
mod send;
mod slot;
mod start;
mod synic;
mod table;
mod timer;
mod translate;
mod vp;
mod vp_set;

#[cfg(all(test, not(loom)))]
mod tests;
