//! What the firmware's tables say about the machine: interrupt controllers and wires, configuration space, clocks, power.

pub mod mp;
pub mod power;
pub mod routing;
mod s5;
#[cfg(not(test))]
mod tables;

#[cfg(not(test))]
pub(crate) use tables::{Firmware, read};
