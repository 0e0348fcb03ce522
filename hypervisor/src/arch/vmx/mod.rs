//! VT-x with EPT: the second backend of the vendor seam.
//!
//! [`processor`] is the virtual processor; what is pure (fields, maps, controls, qualifications) is tested on the host.

pub mod controls;
pub mod features;
pub mod field;
pub mod permission;
pub mod qualification;
pub mod segment;

#[cfg(target_os = "none")]
pub mod control_register;
#[cfg(target_os = "none")]
pub mod enable;
#[cfg(target_os = "none")]
pub mod event;
#[cfg(target_os = "none")]
pub mod exit;
#[cfg(target_os = "none")]
pub mod host;
#[cfg(target_os = "none")]
pub mod live;
#[cfg(target_os = "none")]
pub mod processor;
#[cfg(target_os = "none")]
pub mod registers;
#[cfg(target_os = "none")]
pub mod root_msr;
#[cfg(target_os = "none")]
pub mod setup;
#[cfg(target_os = "none")]
pub mod vmcs;
#[cfg(target_os = "none")]
pub mod world_switch;
