//! The root partition's virtual processors: a thin layer over the processor itself.
//!
//! The root owns the physical interrupt controller, ports and devices; it is stopped only for CPUID, hypercalls,
//! synthetic MSRs, XSETBV, and what it may not touch.

pub mod arrival;
mod cpuid;
pub mod msr;
pub mod run;
mod signal;
pub mod start_vp;
pub mod synic;
mod times;
