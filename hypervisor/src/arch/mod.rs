//! Everything that is specific to this kind of machine: x86-64 servers, and the vendors' extensions.
//!
//! It owns the way in ([`boot`]), the hypervisor's own address space ([`memory`]), its exceptions, its log, the other
//! processors, and the backends ([`svm`], [`vmx`]). It sits below the seams [`crate::backend`] and [`crate::machine`] and knows
//! nothing of partitions. What is pure is compiled for the host too, and tested there.

pub mod acceptable;
pub mod asid;
pub mod event;
pub mod hidden;
pub mod layout;
pub mod msr_map;
pub mod refusal;
pub mod screen;
pub mod svm;
pub mod vmx;

#[cfg(target_os = "none")]
pub mod boot;
#[cfg(target_os = "none")]
pub mod cpu;
#[cfg(target_os = "none")]
pub mod descriptor;
#[cfg(target_os = "none")]
pub mod exception;
#[cfg(target_os = "none")]
pub mod extended;
#[cfg(target_os = "none")]
pub mod image;
#[cfg(target_os = "none")]
pub mod local_apic;
#[cfg(target_os = "none")]
pub mod log;
#[cfg(target_os = "none")]
pub mod memory;
#[cfg(target_os = "none")]
pub mod panic;
#[cfg(target_os = "none")]
pub mod per_cpu;
#[cfg(target_os = "none")]
pub mod plan;
#[cfg(target_os = "none")]
pub mod processors;
#[cfg(target_os = "none")]
pub mod registers;
#[cfg(target_os = "none")]
pub mod reset;
#[cfg(target_os = "none")]
pub mod serial;
#[cfg(target_os = "none")]
pub mod trampoline;
#[cfg(target_os = "none")]
pub mod vendor;
#[cfg(target_os = "none")]
pub mod x86_machine;
#[cfg(target_os = "none")]
pub mod x86_processor;
