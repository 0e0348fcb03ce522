//! VT-x with EPT: the second backend of the vendor seam.
//!
//! [`processor`] is the virtual processor; what is pure (fields, maps, controls, qualifications) is [`extension::vmx`].

pub mod apic;
mod control_register;
pub mod enable;
pub mod event;
pub mod exit;
pub mod host;
pub mod live;
pub mod processor;
pub mod registers;
pub mod root_msr;
pub mod setup;
pub mod vmcs;
pub mod world_switch;
