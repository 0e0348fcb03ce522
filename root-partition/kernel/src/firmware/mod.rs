//! What the firmware's ACPI tables say about the machine: interrupt controllers, configuration space, power.

pub mod power;
mod s5;
#[cfg(not(test))]
mod tables;

#[cfg(not(test))]
pub(crate) use tables::{Firmware, read};
