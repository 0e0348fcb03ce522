//! VT-x with EPT.

pub mod controls;
pub mod features;
pub mod field;
pub mod permission;
pub mod qualification;
pub mod segment;
pub mod virtual_apic;
