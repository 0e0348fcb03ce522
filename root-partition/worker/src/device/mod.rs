//! The emulated devices. Each is a state machine without a clock or an interrupt controller of its own: what it wants
//! from outside it returns.

pub mod cmos;
pub mod ioapic;
pub mod power;
pub mod uart;
