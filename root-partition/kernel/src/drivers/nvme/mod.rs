//! NVMe controllers (NVM Express base specification 1.4; register, command and field names are its own).
//!
//! Written here because the published driver crate (nvme-driver 0.8) hides its queues behind another block interface
//! that copies through buffers of its own, has no force unit access and no lists of caller's memory.
//!
//! Each namespace has an I/O queue pair with an interrupt for each processor, as far as the controller has them. A
//! command's identifier is its slot; each slot has a page for its PRP list, so submitting allocates nothing. Doorbells
//! are written under the queue's lock, in order.
//!
//! A command that is not answered in time has the whole controller reset, and ends with an error when the controller is
//! stopped ([`recover`]). Abort commands are not tried: controllers may ignore them.

mod command;
#[cfg(not(test))]
mod controller;
mod identify;
mod prp;
mod queue;
mod recover;
#[cfg(not(test))]
mod start;
#[cfg(not(test))]
mod watch;

use crate::block::{Completion, Device, Info, Limits, Operation, Request};
use crate::drivers::of_this_processor;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use identify::{Controller as Identity, Namespace};
use queue::IoQueue;

#[cfg(not(test))]
pub use start::start;

/// A namespace of a controller.
pub struct Nvme {
    info: Info,
    /// One for each processor, in their order, or fewer.
    queues: Vec<Arc<IoQueue>>,
}

impl Nvme {
    /// The disk that `namespace` is.
    fn new(name: String, queues: Vec<Arc<IoQueue>>, identity: &Identity, namespace: &Namespace) -> Self {
        let discard = if identity.has_dataset_management() {
            (u64::from(u32::MAX) * u64::from(namespace.block_size())) & !0xFFF
        } else {
            0
        };
        let limits = Limits {
            transfer: identity.transfer_max().min(prp::TRANSFER_MAX),
            segments: prp::ENTRIES,
            page_boundaries: true,
            discard,
        };
        let info = Info {
            name,
            block_size: namespace.block_size(),
            length: namespace.length(),
            read_only: false,
            limits,
        };
        Self { info, queues }
    }
}

impl Device for Nvme {
    fn info(&self) -> &Info {
        &self.info
    }

    fn submit(&self, request: &Request<'_>, completion: Arc<dyn Completion>, tag: u64) {
        if let Some(queue) = of_this_processor(&self.queues) {
            queue.submit(request, completion, tag);
        }
    }
}

impl Operation {
    /// Its opcode in the NVM command set.
    fn opcode(self) -> u8 {
        match self {
            Self::Flush => command::opcode::FLUSH,
            Self::Write { .. } => command::opcode::WRITE,
            Self::Read => command::opcode::READ,
            Self::Discard => command::opcode::DATASET_MANAGEMENT,
        }
    }
}
