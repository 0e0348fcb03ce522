//! AMD-V with nested paging.

pub mod features;
pub mod length;
pub mod permission;
pub mod vmcb;
