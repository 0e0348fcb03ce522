//! The hypervisor's memory: its pages, its address space, and windows onto the pages of others.

pub mod frames;
pub mod regions;
pub mod tables;
pub mod window;
