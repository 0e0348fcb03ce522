//! Everything that is specific to this kind of machine: x86-64 servers, and the vendors' extensions.
//!
//! It owns the way in ([`boot`]), the hypervisor's own address space ([`memory`]), its exceptions, its log, the other
//! processors, and the backends ([`svm`], [`vmx`]). It sits below the seams [`crate::backend`] and [`crate::machine`] and knows
//! nothing of partitions. What is pure of it is the crate `extension`, which is tested on the host.

mod svm;
mod vmx;

pub mod boot;
mod cpu;
mod descriptor;
mod exception;
mod extended;
mod image;
mod live;
mod local_apic;
mod log;
mod memory;
mod outside;
mod panic;
mod per_cpu;
mod processors;
mod registers;
mod reset;
mod root_msr;
mod serial;
mod traces;
mod trampoline;
mod vendor;
mod x86_machine;
mod x86_processor;

pub use panic::panic;
