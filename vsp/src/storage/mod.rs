//! A synthetic SCSI controller: disks on its logical units, for the driver `hv_storvsc`.
//!
//! A [`Controller`] has the disks, and each of its channels a [`Storage`]: the primary one, through which the driver does
//! its handshake, and as many sub-channels as it asks for, so that each of its processors has one. A request is answered
//! on the channel that it came through; between channels there is no order, as there is none between simple tasks.
//!
//! A request goes from the ring to the [`Disk`] as ranges of guest memory, without a copy, and any number of them run
//! at a time. A disk completes them through [`Completions`] in any order; [`Storage::run`] then writes all answers that
//! are due into the ring with one signal. What is completed while it runs it answers too, and wakes nobody for it.
//!
//! Invariants:
//! 1. Every request that wants an answer gets exactly one. A request that waits for room in the ring keeps its slot,
//!    and while one waits no other is taken, so a guest that does not read its ring holds up nobody but itself.
//! 2. What a disk is given lies within the disk, and its memory adds up to its length.
//! 3. In steady state a request allocates nothing, unless its buffer is very scattered: slots and their lists are reused.
//! 4. A run is short, however much the guest has put into its ring: see [`Storage::must_go_on`]. One that a disk causes takes
//!    no more than it has given back ([`Cause`]), so that no guest feeds itself with its disks' answers.

mod completions;
mod controller;
mod disk;
mod execute;
mod handshake;
mod protocol;
mod run;
mod scsi;
mod slots;
mod sub_channels;
mod transfer;

pub use completions::{Completions, Outcome};
pub use controller::{Controller, LUNS};
pub use disk::{Disk, Geometry, Operation, Request};
pub use run::Cause;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use handshake::Handshake;
use slots::{SLOTS_MAX, SUB_CHANNEL_SLOTS_MAX, Slots};
use sub_channels::Creation;
use vmbus::Memory;

/// The most bytes of one request: the guest is told, and a longer one is refused.
pub const MAX_TRANSFER_BYTES: u32 = 1 << 20;

/// One channel of a controller.
pub struct Storage<M: Memory, D: Disk> {
    memory: M,
    controller: Arc<Controller<D>>,
    completions: Arc<Completions>,
    /// Takes the disks' completions to `completions`.
    done: D::Done,
    slots: Slots,
    /// Answers that wait for room in the ring, by tag.
    unanswered: VecDeque<u32>,
    /// `None`: a sub-channel.
    handshake: Option<Handshake>,
    creation: Creation,
    must_go_on: bool,
    /// Requests may wait in the ring until others are answered: the guest does not signal them.
    is_stalled: bool,
    counters: Counters,
}

/// What a channel of a controller has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Reads, writes, flushes and discards that disks have done.
    pub requests: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
}

impl<M: Memory, D: Disk> Storage<M, D> {
    /// The primary channel of `controller` in a VM with this memory. `done` makes what disks complete its requests
    /// through.
    pub fn primary(
        memory: M,
        controller: Arc<Controller<D>>,
        done: impl FnOnce(Arc<Completions>) -> D::Done,
    ) -> Self {
        Self::new(memory, controller, done, Some(Handshake::default()), SLOTS_MAX)
    }

    /// One more channel of it.
    pub fn sub_channel(
        memory: M,
        controller: Arc<Controller<D>>,
        done: impl FnOnce(Arc<Completions>) -> D::Done,
    ) -> Self {
        Self::new(memory, controller, done, None, SUB_CHANNEL_SLOTS_MAX)
    }

    fn new(
        memory: M,
        controller: Arc<Controller<D>>,
        done: impl FnOnce(Arc<Completions>) -> D::Done,
        handshake: Option<Handshake>,
        slots: usize,
    ) -> Self {
        let completions = Arc::new(Completions::new(slots));
        Self {
            memory,
            controller,
            done: done(Arc::clone(&completions)),
            completions,
            slots: Slots::new(slots),
            unanswered: VecDeque::with_capacity(slots),
            handshake,
            creation: Creation::default(),
            must_go_on: false,
            is_stalled: false,
            counters: Counters::default(),
        }
    }

    /// The controller that this is a channel of.
    #[must_use]
    pub fn controller(&self) -> &Arc<Controller<D>> {
        &self.controller
    }

    /// What it has done.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The channel was closed: nothing is answered any more. Whether the disks have given back all requests; if not,
    /// call it again when a completion says so, and confirm the close ([`vmbus::host::Host::closed`]) only then. Until
    /// then [`Completions::is_wanted`] says that they need not be done. A channel that is opened afterwards begins anew.
    #[must_use]
    pub fn close(&mut self) -> bool {
        if let Some(handshake) = &mut self.handshake {
            *handshake = Handshake::default();
            self.controller.set_ready(false);
        }
        self.forget_sub_channels();
        self.must_go_on = false;
        self.is_stalled = false;
        let mut taken = self.completions.take();
        while let Some((tag, _)) = taken.next(&self.completions) {
            self.slots.give_back(tag);
        }
        while let Some(tag) = self.unanswered.pop_front() {
            self.slots.give_back(tag);
        }
        let is_idle = self.slots.taken() == 0;
        self.completions.set_closing(!is_idle);
        if is_idle {
            // A guest may leave channels closed for as long as it likes.
            self.slots.forget();
        }
        is_idle
    }

    /// Whether the last run has left packets in the ring so that others have their turn. The guest will not signal:
    /// call [`Self::run`] again soon, with [`Cause::Guest`].
    #[must_use]
    pub fn must_go_on(&self) -> bool {
        self.must_go_on
    }
}

impl<M: Memory, D: Disk> Drop for Storage<M, D> {
    fn drop(&mut self) {
        // Its VM may be gone without having closed it.
        self.completions.set_closing(true);
    }
}

#[cfg(test)]
mod tests;
