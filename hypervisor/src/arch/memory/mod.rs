//! The hypervisor's memory: its pages, its address space, and windows onto the pages of others.

pub mod regions;
pub mod window;
