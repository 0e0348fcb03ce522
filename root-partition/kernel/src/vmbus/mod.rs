//! The VMBus host of each virtual machine: crates `vmbus` and `vsp` put on the hypervisor, the disks and the clock.
//!
//! A [`Bus`] is made with a VM and offers it a SCSI controller, and the shutdown, heartbeat and time services. What the
//! guest posts and signals comes in through [`Bus::message`] and [`Bus::signalled`]; what it is told goes out through
//! [`Wire`]. A request of the guest's goes from the ring to the disk's queue as ranges of the guest's own memory.
//!
//! Everything that a guest sends is hostile: the two crates judge it, and nothing here keeps more of it than they do.

mod bus;
mod disk;
mod effects;
mod integration;
mod notify;
#[cfg(test)]
mod played;
mod port;
mod pump;
mod ram;
mod service;
mod sub_channels;
#[cfg(not(test))]
mod tasks;
#[cfg(test)]
mod tests;
mod wire;

pub use bus::Bus;
pub use ram::{GuestRam, Locate, RamPage};
pub use wire::{NoRoom, Wire};

/// Starts the bus of a VM with this RAM, number of virtual processors and share of the processors.
///
/// # Errors
/// `OutOfMemory`: no room for the ports; `LimitReached`: no event flag is free.
#[cfg(not(test))]
pub fn start(
    wire: alloc::sync::Arc<dyn Wire>,
    ram: GuestRam,
    vps: u32,
    group: alloc::sync::Arc<crate::executor::share::Group>,
) -> Result<alloc::sync::Arc<Bus>, syscall::Error> {
    let bus = Bus::new(wire, ram, vps, crate::time::utc)?;
    tasks::start(&bus, group);
    Ok(bus)
}
