//! AMD-V with nested paging: the first backend of the vendor seam.
//!
//! [`processor`] is the virtual processor; what is pure (layouts, maps, lengths, capabilities) is tested on the host.

pub mod features;
pub mod length;
pub mod permission;
pub mod vmcb;

#[cfg(target_os = "none")]
pub mod enable;
#[cfg(target_os = "none")]
pub mod event;
#[cfg(target_os = "none")]
pub mod exit;
#[cfg(target_os = "none")]
pub mod fetch;
#[cfg(target_os = "none")]
pub mod processor;
#[cfg(target_os = "none")]
pub mod registers;
#[cfg(target_os = "none")]
pub mod root_msr;
#[cfg(target_os = "none")]
pub mod setup;
#[cfg(target_os = "none")]
pub mod world_switch;
