//! Everything that is specific to this kind of machine: x86-64 servers, and the vendors' extensions.
//!
//! It owns the way in ([`boot`]), the hypervisor's own address space ([`memory`]), its exceptions, its log, the other
//! processors, and the backends ([`svm`], [`vmx`]). It sits below the seams [`crate::backend`] and [`crate::machine`] and knows
//! nothing of partitions. What is pure is compiled for the host too, and tested there.

mod acceptable;
mod asid;
mod event;
mod hidden;
mod layout;
mod msr_map;
mod refusal;
mod screen;
mod svm;
mod vmx;

#[cfg(target_os = "none")]
pub mod boot;
#[cfg(target_os = "none")]
mod cpu;
#[cfg(target_os = "none")]
mod descriptor;
#[cfg(target_os = "none")]
mod exception;
#[cfg(target_os = "none")]
mod extended;
#[cfg(target_os = "none")]
mod image;
#[cfg(target_os = "none")]
mod local_apic;
#[cfg(target_os = "none")]
mod log;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod outside;
#[cfg(target_os = "none")]
mod panic;
#[cfg(target_os = "none")]
mod per_cpu;
#[cfg(target_os = "none")]
mod plan;
#[cfg(target_os = "none")]
mod processors;
#[cfg(target_os = "none")]
mod registers;
#[cfg(target_os = "none")]
mod reset;
#[cfg(target_os = "none")]
mod root_msr;
#[cfg(target_os = "none")]
mod serial;
#[cfg(target_os = "none")]
mod trampoline;
#[cfg(target_os = "none")]
mod vendor;
#[cfg(target_os = "none")]
mod x86_machine;
#[cfg(target_os = "none")]
mod x86_processor;

#[cfg(target_os = "none")]
pub use panic::panic;
