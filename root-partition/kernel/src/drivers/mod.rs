//! Drivers of the root partition: NVMe, virtio-blk and ATA, behind [`block::Device`](crate::block::Device).
//!
//! A driver is an object that submits, and a task that completes: the task waits for the device's interrupt, takes
//! everything that is done, and tells whoever asked. Interrupt handlers touch no driver state. Another task looks after
//! requests that are not answered: the device is reset, and they end with an error.
//!
//! A device that can has a queue for each processor, with an interrupt and a task there: what a processor asks for is
//! answered on it.
//!
//! Invariants: a device reads and writes only memory of a [`DmaBuffer`](crate::block::dma::DmaBuffer) and the segments of requests that are in
//! flight; what a device reports (indices, identifiers, sizes) is checked like any other input.

mod ata;
mod backlog;
mod nvme;
mod virtio;

#[cfg(not(test))]
mod probe;
#[cfg(not(test))]
mod watch;
#[cfg(not(test))]
pub(crate) use probe::start;

/// How a device is, as far as those are concerned who want something of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Condition {
    /// It works.
    Works,
    /// It is being reset: requests wait.
    IsReset,
    /// It did not come back: requests fail.
    IsDead,
}

/// Which of `queues`, one for each processor in their order, takes what this processor asks for; where there are fewer,
/// processors share them.
fn of_this_processor<Q>(queues: &[Q]) -> Option<&Q> {
    #[cfg(not(test))]
    let number = crate::arch::processor::number();
    #[cfg(test)]
    let number = 0_u32;
    queues.get((number as usize).checked_rem(queues.len())?)
}
